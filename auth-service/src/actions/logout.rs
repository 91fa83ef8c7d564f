//! A session is ended by whoever holds a token of it.

use millgate_platform::Fault;

use crate::app::App;
use crate::audit::Event;
use crate::domain::{EndReason, RefreshToken};
use crate::origin::Origin;
use crate::store;

/// What a logout was sent with.
pub(crate) enum Holding<'a> {
    /// A refresh token, which decides alone.
    Refresh(RefreshToken),
    /// An access token, not yet verified.
    Access(&'a str),
    /// Nothing that could name a session.
    Nothing,
}

/// Ends the session behind the token. A token that is unknown, expired or ended already is fine: what was asked for is
/// so, and nobody learns which it was.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn log_out(app: &App, holding: Holding<'_>, origin: &Origin) -> Result<(), Fault> {
    let ended = match holding {
        Holding::Refresh(token) => by_refresh_token(app, &token).await?,
        Holding::Access(token) => by_access_token(app, token).await?,
        Holding::Nothing => None,
    };
    if let Some((user, session)) = ended {
        Event {
            what: "logout",
            subject: Some(user),
            session: &session,
            ..Event::default()
        }
        .done(origin);
    }
    Ok(())
}

async fn by_refresh_token(app: &App, token: &RefreshToken) -> Result<Option<(i64, String)>, Fault> {
    let mut tx = app.db.begin().await?;
    let Some(session) = store::refresh_tokens::hold_session(&mut tx, token).await? else {
        return Ok(None);
    };
    if session.ended_time.is_some() {
        return Ok(None);
    }
    store::sessions::end_held(&mut tx, &session, EndReason::Logout, app.now()).await?;
    tx.commit().await?;
    Ok(Some((session.user_id, session.id)))
}

async fn by_access_token(app: &App, token: &str) -> Result<Option<(i64, String)>, Fault> {
    let Ok(claims) = app.verifier.verify(token) else {
        return Ok(None);
    };
    let (Some(session), Ok(user)) = (claims.session, claims.subject.parse()) else {
        return Ok(None);
    };
    let ended = store::sessions::end(&app.db, &session, user, EndReason::Logout, app.now()).await?;
    Ok(ended.then_some((user, session)))
}
