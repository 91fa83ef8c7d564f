//! `millgate totp`: the second factor of who gives the command, and one that somebody has lost.

use auth_service::qr::Qr;
use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::second_factor_service_client::SecondFactorServiceClient;
use secrecy::ExposeSecret as _;

use super::connect::{Line, Remote, log_out, session, timed};
use super::local::Local;
use super::output::Output;
use super::people::find;
use super::{Failure, local, prompt};

/// The commands on second factors.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Turns your second factor on: shows a QR code for your authenticator app, asks for the code that the app shows then,
    /// and tells your recovery codes.
    Enroll {
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        output: Output,
    },
    /// Takes your second factor away, for a code of it; or one that somebody has lost. With --local also that of the last
    /// administrator.
    Remove {
        /// Who has lost theirs: an id, a user name or an email address.
        #[arg(long, required_if_eq("local", "true"))]
        user: Option<String>,
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        local: Local,
        #[command(flatten)]
        output: Output,
    },
}

/// Runs one.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Enroll { remote, output } => {
            session(&remote, async |line| enroll(line, output).await).await
        }
        Command::Remove {
            user: Some(user),
            local,
            output,
            ..
        } if local.is_meant() => local::remove_second_factor(&local, &user, output).await,
        Command::Remove {
            user: Some(user),
            remote,
            output,
            ..
        } => {
            session(&remote, async |line| {
                let request = pb::RemoveTotpRequest {
                    user_id: find(&line, &user).await?.id,
                    ..Default::default()
                };
                remove(line, request, output).await
            })
            .await
        }
        Command::Remove {
            user: None,
            remote,
            output,
            ..
        } => {
            session(&remote, async |line| {
                let code = prompt::code("code of the app, or a recovery code")?;
                let request = pb::RemoveTotpRequest {
                    code: code.expose_secret().to_owned(),
                    ..Default::default()
                };
                remove(line, request, output).await
            })
            .await
        }
    }
}

async fn enroll(line: Line, output: Output) -> Result<(), Failure> {
    let mut factors = SecondFactorServiceClient::new(line.clone());
    let begun = factors
        .begin_totp(timed(pb::BeginTotpRequest {}))
        .await?
        .into_inner();
    let picture =
        Qr::new(&begun.otpauth_uri).map_err(|error| Failure::Refused(error.to_string()))?;
    output.one("BeginTotpResponse", &begun, || {
        format!(
            "{}\nScan this with your authenticator app, or type: {}",
            picture.terminal(),
            begun.secret
        )
    })?;
    let code = prompt::code("code that the app shows")?;
    let request = pb::ConfirmTotpRequest {
        code: code.expose_secret().to_owned(),
        ..Default::default()
    };
    let mut on = factors.confirm_totp(timed(request)).await?.into_inner();
    // The tokens that this command logged in with are worthless now; it ends its session with the new ones.
    if let Some(tokens) = on.tokens.take() {
        log_out(line, tokens.refresh_token).await;
    }
    output.one("ConfirmTotpResponse", &on, || {
        let codes = on.recovery_codes.join("\n  ");
        format!(
            "The second factor is on. Each of these codes logs in once without the app; keep them where the app is not:\n  \
             {codes}"
        )
    })
}

async fn remove(line: Line, request: pb::RemoveTotpRequest, output: Output) -> Result<(), Failure> {
    let mut factors = SecondFactorServiceClient::new(line.clone());
    let mut removed = factors.remove_totp(timed(request)).await?.into_inner();
    if let Some(tokens) = removed.tokens.take() {
        log_out(line, tokens.refresh_token).await;
    }
    output.one("RemoveTotpResponse", &removed, || removed.message.clone())
}
