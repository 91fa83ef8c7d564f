//! The gateway by itself: `gateway` serves, `gateway healthcheck` asks one that does.
#![expect(
    clippy::print_stderr,
    reason = "a start that fails says why on the terminal"
)]

use clap::Parser;
use gateway::{Config, healthcheck, prepare};
use millgate_platform::{
    LogArgs, StartError, SystemEntropy, reachable, shutdown_signal, telemetry,
};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// HTTP/JSON for the gRPC services behind it.
#[derive(Parser)]
#[command(name = "gateway", version, args_conflicts_with_subcommands = true)]
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
    /// Asks a running gateway whether it and the services behind it are ready; the exit status says so.
    Healthcheck {
        /// Where it is; the address that it listens on when not said.
        #[arg(long, value_name = "URL")]
        endpoint: Option<String>,
        /// The address that it listens on.
        #[arg(
            long,
            env = "GATEWAY_LISTEN",
            value_name = "ADDRESS",
            default_value = "127.0.0.1:8080"
        )]
        listen: SocketAddr,
        /// The authority of its certificate (PEM), where it speaks TLS.
        #[arg(long, value_name = "PATH")]
        ca: Option<PathBuf>,
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
            ca,
        }) => {
            let scheme = if ca.is_some() { "https" } else { "http" };
            let endpoint = endpoint.unwrap_or_else(|| format!("{scheme}://{}", reachable(listen)));
            healthcheck(&endpoint, ca.as_deref(), HEALTHCHECK_TIMEOUT).await
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: Config, logs: &LogArgs) -> Result<(), StartError> {
    let _logging = telemetry::init(logs)?;
    let failed =
        |error: &dyn std::fmt::Display| StartError::new("GATEWAY_LISTEN", error.to_string());
    let shutdown = shutdown_signal().map_err(|error| failed(&error))?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| failed(&error))?;
    let prepared = prepare(config, Arc::new(SystemEntropy))?;
    prepared
        .serve(listener, shutdown)
        .await
        .map_err(|error| failed(&error))
}
