//! The factory service by itself: `factory-service` serves, `factory-service healthcheck` asks one that does.
#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a start that fails says why on the terminal, and a check what it found"
)]

use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use factory_service::{Ambient, Config, DatabaseUrl, Finding, prepare};
use millgate_platform::{
    ClientTlsArgs, DatabaseOptions, LogArgs, StartError, healthcheck, reachable, shutdown_signal,
    telemetry,
};
use tokio::net::TcpListener;

const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// Customers, products, orders and service tickets, behind the guard.
#[derive(Parser)]
#[command(
    name = "factory-service",
    version,
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    logs: LogArgs,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Asks a running service whether it is ready; the exit status says so.
    Healthcheck {
        /// Where it is; the address that it listens on when not said.
        #[arg(long, value_name = "URL")]
        endpoint: Option<String>,
        /// The address that it listens on.
        #[arg(
            long,
            env = "FACTORY_LISTEN",
            value_name = "ADDRESS",
            default_value = "127.0.0.1:50052"
        )]
        listen: SocketAddr,
        #[command(flatten)]
        tls: ClientTlsArgs,
    },
    /// Looks whether the database is as it must be (the ledger is the stock, totals are their lines, every move is in
    /// the log); the exit status says so. It writes nothing, and stops no statement however long it takes.
    Check {
        /// The factory's own database.
        #[command(flatten)]
        database_url: DatabaseUrl,
        /// How it is used.
        #[command(flatten)]
        database: DatabaseOptions,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.command {
        None => serve(cli.config, &cli.logs).await,
        Some(Command::Healthcheck {
            endpoint,
            listen,
            tls,
        }) => ask(endpoint, listen, &tls).await,
        Some(Command::Check {
            database_url,
            database,
        }) => look(&database_url, &database).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("factory-service: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: Config, logs: &LogArgs) -> Result<(), StartError> {
    let _logging = telemetry::init(logs)?;
    let failed = |error: std::io::Error| StartError::new("FACTORY_LISTEN", error.to_string());
    let mut shutdown = pin!(shutdown_signal().map_err(failed)?);
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let prepared = tokio::select! {
        // It may wait minutes for the migrations of another replica.
        () = &mut shutdown => return Ok(()),
        prepared = prepare(config, Ambient::default()) => prepared?,
    };
    prepared
        .serve(listener, shutdown)
        .await
        .map_err(|error| StartError::new("FACTORY_LISTEN", error.to_string()))
}

async fn look(url: &DatabaseUrl, options: &DatabaseOptions) -> Result<(), StartError> {
    let tell = |Finding { rule, wrong }: &Finding| match wrong {
        0 => println!("ok    {rule}"),
        wrong => println!("WRONG {rule}: {wrong}"),
    };
    let found = factory_service::check(url, options, tell).await?;
    if found.iter().all(|finding| finding.wrong == 0) {
        return Ok(());
    }
    Err(StartError::new(
        "FACTORY_DATABASE_URL",
        "the database is not as it must be",
    ))
}

async fn ask(
    endpoint: Option<String>,
    listen: SocketAddr,
    tls: &ClientTlsArgs,
) -> Result<(), StartError> {
    let tls = tls.client()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoint = endpoint.unwrap_or_else(|| format!("{scheme}://{}", reachable(listen)));
    healthcheck(&endpoint, tls.as_ref(), HEALTHCHECK_TIMEOUT).await
}
