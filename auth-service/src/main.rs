//! `auth-service` serves; `auth-service healthcheck` asks a running one whether it is well.

use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use auth_service::{Ambient, Config, prepare};
use clap::Parser;
use millgate_platform::{
    ClientTlsArgs, LogArgs, healthcheck, reachable, shutdown_signal, telemetry,
};
use tokio::net::TcpListener;

const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// The auth service of Millgate: accounts, logins, tokens.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Asks a running auth service whether it is ready; the exit status says so.
    Healthcheck {
        /// Where it is; the address that it listens on when not said.
        #[arg(long, value_name = "URL")]
        endpoint: Option<String>,
        #[command(flatten)]
        tls: ClientTlsArgs,
    },
}

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    let Cli {
        command,
        config,
        log,
    } = Cli::parse();
    let done = match command {
        Some(Command::Healthcheck { endpoint, tls }) => ask(endpoint, config.listen, &tls).await,
        None => serve(config, &log).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "auth-service: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: Config, log: &LogArgs) -> Result<(), Failure> {
    let _logging = telemetry::init(log)?;
    let mut shutdown = pin!(shutdown_signal()?);
    let listen = config.listen;
    let prepared = tokio::select! {
        // It may wait minutes for the migrations of another replica.
        () = &mut shutdown => return Ok(()),
        prepared = prepare(config, Ambient::default()) => prepared?,
    };
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("AUTH_LISTEN: {listen}: {error}"))?;
    Ok(prepared.serve(listener, shutdown).await?)
}

async fn ask(
    endpoint: Option<String>,
    listen: SocketAddr,
    tls: &ClientTlsArgs,
) -> Result<(), Failure> {
    let tls = tls.client()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoint = endpoint.unwrap_or_else(|| format!("{scheme}://{}", reachable(listen)));
    Ok(healthcheck(&endpoint, tls.as_ref(), HEALTHCHECK_TIMEOUT).await?)
}
