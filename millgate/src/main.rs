//! Millgate in one process, and the operator's commands.
#![expect(
    clippy::print_stderr,
    reason = "a command's answer goes to the terminal"
)]

mod banner;
mod cli;
mod errors;
mod folder;
mod policy;
mod serve;
mod settings;
mod terminal;

use std::process::ExitCode;

use clap::Parser;
use millgate_platform::StartError;

/// The auth service, the factory service and the gateway in one process. Without a command: `serve`.
#[derive(Parser)]
#[command(name = "millgate", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Args,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Starts the auth service, the factory service and the gateway.
    Serve(Box<serve::Args>),
    #[command(flatten)]
    Cli(Box<cli::Command>),
    /// Prints who may call what, as Markdown: the content of docs/access.md.
    Policy,
    /// Prints every reason for a refusal, as Markdown: the content of docs/errors.md.
    Errors,
    /// Prints every setting of every binary, as Markdown: the content of docs/configuration.md.
    Settings,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.command {
        None => serve::run(cli.serve).await,
        Some(Command::Serve(args)) => serve::run(*args).await,
        Some(Command::Cli(command)) => return cli::run(*command).await,
        Some(Command::Policy) => policy(),
        Some(Command::Errors) => print(&errors::page()),
        Some(Command::Settings) => print(&settings::page()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("millgate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn policy() -> Result<(), StartError> {
    let page =
        policy::page().map_err(|error| StartError::new("access rules", error.to_string()))?;
    print(&page)
}

fn print(page: &str) -> Result<(), StartError> {
    terminal::say(page.trim_end()).map_err(terminal::unsaid)
}
