//! The operator's commands: they speak gRPC to a running service with an administrator's login, or, with `--local`, work
//! on the database of a stopped one.

mod audit;
mod connect;
mod demo;
mod failure;
mod import;
mod keys;
mod local;
mod output;
mod people;
mod products;
mod prompt;
mod service_accounts;
mod sessions;
mod tokens;
mod totp;
mod users;

use std::process::ExitCode;

pub(crate) use failure::Failure;

/// The commands.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// The accounts.
    #[command(subcommand)]
    Users(users::Command),
    /// Where people are logged in.
    #[command(subcommand)]
    Sessions(sessions::Command),
    /// The accounts of internal services.
    #[command(subcommand, name = "service-accounts")]
    ServiceAccounts(service_accounts::Command),
    /// The products, as CSV files.
    #[command(subcommand)]
    Products(products::Command),
    /// Fills a factory with believable demo data.
    Demo(Box<demo::Demo>),
    /// The key ring that tokens are signed and verified with.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Access tokens.
    #[command(subcommand)]
    Tokens(tokens::Command),
    /// The second factor.
    #[command(subcommand)]
    Totp(totp::Command),
    /// The audit log.
    #[command(subcommand)]
    Audit(audit::Command),
}

/// Runs one. What was refused is told on standard error, in one line where one is enough.
pub(crate) async fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Users(command) => users::run(command).await,
        Command::Sessions(command) => sessions::run(command).await,
        Command::ServiceAccounts(command) => service_accounts::run(command).await,
        Command::Products(command) => products::run(command).await,
        Command::Demo(demo) => demo::run(*demo).await,
        Command::Keys(command) => keys::run(command).await,
        Command::Tokens(command) => tokens::run(&command),
        Command::Totp(command) => totp::run(command).await,
        Command::Audit(command) => audit::run(command).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            crate::terminal::complain(&failure.to_string());
            ExitCode::from(failure.exit_code())
        }
    }
}
