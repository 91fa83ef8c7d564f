//! A session is ended by whoever holds a token of it.

use millgate_platform::{Fault, Tx};

use crate::app::App;
use crate::audit::Event;
use crate::domain::{EndReason, RefreshToken};
use crate::origin::Origin;
use crate::{standing, store};

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
    match holding {
        Holding::Refresh(token) => by_refresh_token(app, &token, origin).await,
        Holding::Access(token) => by_access_token(app, token, origin).await,
        Holding::Nothing => Ok(()),
    }
}

async fn by_refresh_token(app: &App, token: &RefreshToken, origin: &Origin) -> Result<(), Fault> {
    let mut tx = app.db.begin().await?;
    let Some(held) = store::refresh_tokens::hold_session(&mut tx, token).await? else {
        return Ok(());
    };
    let child = token.child(&app.refresh_keys, &held.session.id);
    let known = store::refresh_tokens::look_up(&mut tx, &held, token, &child).await?;
    let session = held.session;
    if known.is_none() || session.ended_time.is_some() {
        return Ok(());
    }
    store::sessions::end_held(&mut tx, &session, EndReason::Logout, app.now()).await?;
    tell(app, &mut tx, session.user_id, &session.id, origin).await?;
    tx.commit().await
}

async fn by_access_token(app: &App, token: &str, origin: &Origin) -> Result<(), Fault> {
    let Ok(holder) = app.verifier.identify(token) else {
        return Ok(());
    };
    if standing::key_stands(app, &holder).is_err() {
        return Ok(());
    }
    let claims = holder.claims();
    // A token that may do only some things, such as a service's on the person's behalf, does not end the person's session.
    if claims.scope.is_some() {
        return Ok(());
    }
    let (Some(session), Ok(user)) = (&claims.session, claims.subject.parse()) else {
        return Ok(());
    };
    let mut tx = app.db.begin().await?;
    if store::sessions::end(&mut tx, session, user, EndReason::Logout, app.now()).await? {
        tell(app, &mut tx, user, session, origin).await?;
    }
    tx.commit().await
}

async fn tell(
    app: &App,
    tx: &mut Tx,
    user: i64,
    session: &str,
    origin: &Origin,
) -> Result<(), Fault> {
    let event = Event {
        what: "logout",
        subject: Some(user),
        session,
        ..Event::default()
    };
    event.done(tx, app, origin).await
}
