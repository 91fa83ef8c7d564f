//! The trust feed and the keys: `cargo run --release -p bench --bin trust`. The README says what its lines mean.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the figures go to the terminal"
)]

mod house;
mod memory;
mod revoking;
mod rotating;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use millgate_platform::testing::{PostgresDatabase, sqlite_url};

use crate::house::House;

/// Whatever ends a run early; it is told to the one who started it.
type Problem = Box<dyn std::error::Error + Send + Sync>;

/// Measures how fast a revocation arrives, what a million of them cost, and whether anybody notices a rotation.
#[derive(Debug, Parser)]
#[command(name = "trust", version)]
struct Args {
    /// How many revocations that are held at once.
    #[arg(long, default_value_t = 1_000_000)]
    entries: usize,
    /// How many revocations that are timed.
    #[arg(long, default_value_t = 1000)]
    revocations: usize,
    /// How many rotations.
    #[arg(long, default_value_t = 100)]
    rotations: usize,
    /// How many seconds the auth service is away.
    #[arg(long, default_value_t = 60)]
    away: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match measure(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("trust: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(args: &Args) -> Result<(), Problem> {
    memory::measure(args.entries)?;
    let (url, _folder) = sqlite_url();
    on("SQLite", &url, args).await?;
    match PostgresDatabase::create().await {
        Some(database) => {
            let measured = on("PostgreSQL", database.url(), args).await;
            database.remove().await;
            measured?;
        }
        None => println!("PostgreSQL: no server answers; set MILLGATE_TEST_POSTGRES"),
    }
    Ok(())
}

async fn on(kind: &str, url: &str, args: &Args) -> Result<(), Problem> {
    let house = House::open(url, Duration::from_secs(900)).await?;
    revoking::measure(kind, &house, args.revocations).await?;
    rotating::away(kind, house, Duration::from_secs(args.away)).await?;
    // Short lives, so that old keys are removed while the others are still being rotated.
    let house = House::open(url, Duration::from_secs(10)).await?;
    rotating::measure(kind, &house, args.rotations).await?;
    house.close().await
}
