//! The benchmark: `cargo run --release -p bench`. The README says what its rows mean.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table goes to the terminal"
)]

mod args;
mod auth;
mod client;
mod cpu;
mod double;
mod exchanges;
mod factory;
mod keys;
mod load;
mod measure;
mod memory;
mod ordering;
mod paging;
mod reading;
mod rpc;
mod slow;
mod stage;
mod statements;
mod table;
mod through;
mod verification;
mod wire;

use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::Parser as _;
use millgate_platform::{LogArgs, shutdown_signal, telemetry};

use crate::args::{Args, Which};
use crate::keys::Keys;
use crate::stage::Stage;
use crate::table::Report;

/// Whatever ends a run early; it is told to the one who started it.
type Problem = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    match bench(&Args::parse()).await {
        Ok(Some(report)) => {
            println!("\n{report}");
            if report.is_clean() {
                ExitCode::SUCCESS
            } else {
                eprintln!("bench: there were errors, so these are not the figures of the work");
                ExitCode::FAILURE
            }
        }
        Ok(None) => {
            eprintln!("bench: stopped, and nothing was left behind");
            ExitCode::FAILURE
        }
        Err(problem) => {
            eprintln!("bench: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Measures, and removes what it made, however it ends. `None`: somebody stopped it.
async fn bench(args: &Args) -> Result<Option<Report>, Problem> {
    let stop = shutdown_signal()?;
    let log = |filter: &String| {
        telemetry::init(&LogArgs {
            log: filter.clone(),
            ..LogArgs::default()
        })
    };
    let _logging = args.log.as_ref().map(log).transpose()?;
    let needs_databases = [
        Which::C,
        Which::D,
        Which::E,
        Which::F,
        Which::G,
        Which::H,
        Which::J,
        Which::K,
    ]
    .into_iter()
    .any(|which| args.wants(which));
    let stage = match needs_databases {
        true => Some(Stage::set().await?),
        false => None,
    };
    let report = tokio::select! {
        report = measure(args, stage.as_ref()) => report.map(Some),
        () = stop => Ok(None),
    };
    if let Some(stage) = stage {
        stage.strike().await?;
    }
    report
}

async fn measure(args: &Args, stage: Option<&Stage>) -> Result<Report, Problem> {
    let plan = args.plan();
    let server = match stage {
        Some(stage) => stage.server().await?,
        None => None,
    };
    println!(
        "{} cores; {} calls at once; {} rounds of {:?} each in turns; rate limits off, log {}; {}",
        available_parallelism()?,
        plan.concurrency,
        plan.rounds,
        plan.turn,
        args.log.as_deref().unwrap_or("off"),
        server.as_deref().unwrap_or("no PostgreSQL"),
    );
    let keys = Keys::generate()?;
    let mut report = Report::default();
    if args.wants(Which::A) {
        report.add(verification::measure(&keys, &plan).await?);
    }
    if args.wants(Which::B) {
        report.add(rpc::measure(&keys, &plan).await?);
    }
    if args.wants(Which::I) {
        report.add(through::routes(&plan).await?);
        report.add(through::measure(&keys, &plan).await?);
        slow::measure(&keys, &plan, &mut report).await?;
    }
    let Some(stage) = stage else {
        return Ok(report);
    };
    if !stage.has_postgres() {
        report.skip(
            "(c) to (h), (j) and (k) on PostgreSQL: no server answers; set MILLGATE_TEST_POSTGRES",
        );
    }
    if args.wants(Which::K)
        && let Some((factory, wire)) = stage.counted(&keys).await?
    {
        for line in exchanges::count(&factory, &wire).await? {
            report.note(line);
        }
    }
    if [Which::C, Which::D, Which::J]
        .into_iter()
        .any(|which| args.wants(which))
    {
        with_factories(args, stage, &keys, &mut report).await?;
    }
    if [Which::E, Which::F, Which::G, Which::H]
        .into_iter()
        .any(|which| args.wants(which))
    {
        auth::measure(args, stage, &keys, &mut report).await?;
    }
    Ok(report)
}

async fn with_factories(
    args: &Args,
    stage: &Stage,
    keys: &Keys,
    report: &mut Report,
) -> Result<(), Problem> {
    let plan = args.plan();
    let factories = stage.factories(keys).await?;
    if args.wants(Which::C) {
        for factory in &factories {
            report.add(reading::measure(factory, keys, &plan).await?);
        }
    }
    if args.wants(Which::D) {
        for factory in &factories {
            report.add(ordering::measure(factory, keys, &plan).await?);
        }
    }
    // Behind (d), which counts the orders.
    if args.wants(Which::J) {
        for factory in &factories {
            report.add(paging::measure(factory, args.orders, &plan).await?);
        }
    }
    Ok(())
}
