//! `millgate sessions`.

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::session_service_client::SessionServiceClient;

use super::Failure;
use super::connect::{Line, Remote, session, timed};
use super::output::{List, Output, time};
use super::people::find;

/// The commands on sessions.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Lists where somebody is logged in, the newest first.
    List {
        /// Whose: an id, a user name or an email address; your own when it is left out.
        #[arg(long)]
        user: Option<String>,
        /// Also those that have ended.
        #[arg(long)]
        ended: bool,
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        output: Output,
    },
    /// Ends a session and with it its tokens.
    Revoke {
        /// The session's id.
        id: String,
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        output: Output,
    },
}

/// Runs one.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List {
            user,
            ended,
            remote,
            output,
        } => {
            session(&remote, async |line| {
                let user_id = match &user {
                    Some(name) => find(&line, name).await?.id,
                    None => 0,
                };
                let request = pb::ListSessionsRequest {
                    page_size: 1000,
                    user_id,
                    include_ended: ended,
                    ..Default::default()
                };
                list(line, request, output).await
            })
            .await
        }
        Command::Revoke { id, remote, output } => {
            session(&remote, async |line| {
                let mut sessions = SessionServiceClient::new(line);
                let request = pb::RevokeSessionRequest { id };
                let ended = sessions.revoke_session(timed(request)).await?.into_inner();
                output.one("RevokeSessionResponse", &ended, || ended.message.clone())
            })
            .await
        }
    }
}

async fn list(
    line: Line,
    mut request: pb::ListSessionsRequest,
    output: Output,
) -> Result<(), Failure> {
    let columns = [
        "id",
        "user",
        "device",
        "address",
        "proved by",
        "began",
        "last used",
        "ended",
    ];
    let mut told = List::new(output, "Session", &columns);
    let mut sessions = SessionServiceClient::new(line);
    loop {
        let page = sessions.list_sessions(timed(request.clone())).await?;
        let page = page.into_inner();
        for one in &page.sessions {
            told.add(one, || {
                let here = if one.current { " (this)" } else { "" };
                let ended = time(one.end_time.as_ref());
                vec![
                    one.id.clone(),
                    one.user_id.to_string(),
                    format!("{}{here}", one.device_label),
                    one.address.clone(),
                    one.amr.join(" "),
                    time(one.create_time.as_ref()),
                    time(one.last_used_time.as_ref()),
                    format!("{ended} {}", one.end_reason).trim().to_owned(),
                ]
            })?;
        }
        if page.next_page_token.is_empty() {
            told.end("sessions")?;
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}
