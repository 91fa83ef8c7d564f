//! `millgate service-accounts`.

use std::time::Duration;

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::service_account_service_client::ServiceAccountServiceClient;
use millgate_platform::config::duration;

use super::Failure;
use super::connect::{Line, Remote, session, timed};
use super::output::{List, Output, time, word};
use super::users::request_id;

/// The commands on service accounts.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Makes a service account and prints its secret, once.
    Create {
        /// Who the service says it is: `a-z`, `0-9`, `.`, `_` and `-`.
        client_id: String,
        /// A scope that its tokens may have; can be given several times.
        #[arg(long = "scope", required = true, value_name = "SCOPE")]
        scopes: Vec<String>,
        /// What it is for.
        #[arg(long, default_value = "")]
        description: String,
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        output: Output,
    },
    /// Gives a service account another secret and prints it, once; the old one goes on working for a while.
    Rotate {
        /// Which.
        client_id: String,
        /// How long the old secret goes on working: `0` for one that has leaked, at most `7d`.
        #[arg(long, default_value = "24h", value_parser = duration)]
        overlap: Duration,
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        output: Output,
    },
    /// Lists the service accounts.
    List {
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        output: Output,
    },
}

/// Runs one.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Create {
            client_id,
            scopes,
            description,
            remote,
            output,
        } => {
            let request = pb::CreateServiceAccountRequest {
                service_account: Some(pb::ServiceAccount {
                    client_id,
                    scopes,
                    description,
                    ..Default::default()
                }),
                request_id: request_id(),
            };
            session(&remote, async |line| {
                let mut accounts = ServiceAccountServiceClient::new(line);
                let made = accounts.create_service_account(timed(request)).await?;
                tell(output, "made", &made.into_inner())
            })
            .await
        }
        Command::Rotate {
            client_id,
            overlap,
            remote,
            output,
        } => {
            let overlap = prost_types::Duration::try_from(overlap)
                .map_err(|_| Failure::Usage("--overlap is too long".to_owned()))?;
            let request = pb::RotateSecretRequest {
                client_id,
                overlap: Some(overlap),
                request_id: request_id(),
                ..Default::default()
            };
            session(&remote, async |line| {
                let mut accounts = ServiceAccountServiceClient::new(line);
                let rotated = accounts.rotate_secret(timed(request)).await?;
                tell(output, "rotated", &rotated.into_inner())
            })
            .await
        }
        Command::List { remote, output } => {
            session(&remote, async |line| list(line, output).await).await
        }
    }
}

async fn list(line: Line, output: Output) -> Result<(), Failure> {
    let columns = [
        "client id",
        "state",
        "scopes",
        "made",
        "last used",
        "description",
    ];
    let mut told = List::new(output, "ServiceAccount", &columns);
    let mut accounts = ServiceAccountServiceClient::new(line);
    let mut request = pb::ListServiceAccountsRequest {
        page_size: 1000,
        ..Default::default()
    };
    loop {
        let page = accounts
            .list_service_accounts(timed(request.clone()))
            .await?;
        let page = page.into_inner();
        for account in &page.service_accounts {
            told.add(account, || {
                vec![
                    account.client_id.clone(),
                    word(account.state().as_str_name(), "SERVICE_ACCOUNT_STATE_"),
                    account.scopes.join(" "),
                    time(account.create_time.as_ref()),
                    time(account.last_used_time.as_ref()),
                    account.description.clone(),
                ]
            })?;
        }
        if page.next_page_token.is_empty() {
            told.end("service accounts")?;
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}

fn tell(output: Output, what: &str, account: &pb::ServiceAccount) -> Result<(), Failure> {
    output.one("ServiceAccount", account, || {
        format!(
            "{what}: {} with {}\nsecret (told only this once): {}",
            account.client_id,
            account.scopes.join(" "),
            account.client_secret
        )
    })
}
