//! A token is ended by whoever holds it (RFC 7009).

use millgate_guard::Caller;
use millgate_platform::{Fault, Reason};
use uuid::Uuid;

use super::access_tokens;
use super::logout::{Holding, log_out};
use crate::app::App;
use crate::audit::Event;
use crate::domain::{MachineSecret, RefreshToken};
use crate::origin::Origin;
use crate::{standing, store};

/// What somebody wants ended, as its form says.
pub(crate) enum Ending<'a> {
    /// A personal access token.
    PersonalAccessToken(MachineSecret),
    /// A refresh token.
    Refresh(RefreshToken),
    /// Anything else: an access token, or nothing.
    Access(&'a str),
}

/// Ends a token. What is no token, or none any more, is fine, and nobody learns which it was.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn revoke(app: &App, ending: Ending<'_>, origin: &Origin) -> Result<(), Fault> {
    match ending {
        Ending::PersonalAccessToken(token) => access_tokens::give_up(app, &token, origin).await,
        Ending::Refresh(token) => log_out(app, Holding::Refresh(token), origin).await,
        Ending::Access(token) => match app.verifier.identify(token) {
            Ok(holder) => end_access_token(app, &holder, origin).await,
            Err(_) => Ok(()),
        },
    }
}

/// Ends an access token. Only what was signed here, has not expired, and still stands is written down: nobody fills the
/// table with what they made up.
async fn end_access_token(app: &App, holder: &Caller, origin: &Origin) -> Result<(), Fault> {
    let claims = holder.claims();
    // Ours are UUIDs; whoever shares the key might have signed another.
    if Uuid::try_parse(&claims.token_id).is_err() {
        return Ok(());
    }
    match standing::check(app, holder).await {
        Ok(_) => {}
        Err(fault) if matches!(fault.reason(), Reason::TokenRevoked | Reason::SessionEnded) => {
            return Ok(());
        }
        Err(fault) => return Err(fault),
    }
    let mut tx = app.db.begin().await?;
    let expire_time = claims.expires_at.saturating_mul(1_000_000);
    let revoked = store::revoked_tokens::revoke(&mut tx, &claims.token_id, expire_time).await?;
    tx.commit().await?;
    if revoked {
        let person = claims
            .role
            .as_ref()
            .and_then(|_| claims.subject.parse().ok());
        let event = Event {
            what: "revoke_token",
            subject: person,
            client_id: if person.is_none() {
                &claims.subject
            } else {
                ""
            },
            session: claims.session.as_deref().unwrap_or_default(),
            ..Event::default()
        };
        // Summed up: there are as many tokens as somebody cares to get, and the log keeps every row.
        event.noted(app, origin);
    }
    Ok(())
}
