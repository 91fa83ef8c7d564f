//! A person proves once more who they are, in the session that they have.

use millgate_guard::Caller;
use millgate_platform::Fault;

use super::attempt::Attempt;
use super::password;
use crate::app::App;
use crate::audit::Event;
use crate::domain::{Micros, Password};
use crate::origin::Origin;
use crate::standing::{revoked, session_ended};
use crate::store;
use crate::store::users::Credentials;
use crate::tokens::AccessToken;

/// A fresh access token of the caller's session.
pub(crate) struct Fresh {
    /// The token.
    pub(crate) access: AccessToken,
    /// Its session.
    pub(crate) session: String,
    /// When the person proved who they are.
    pub(crate) auth_time: Micros,
}

/// Gives the caller a token that is fresh from now on.
///
/// # Errors
/// CREDENTIALS_INVALID for a wrong password, ACCOUNT_THROTTLED after too many, TOKEN_REVOKED or SESSION_ENDED when the
/// account or the session changed meanwhile, OVERLOADED when too many passwords are being checked.
pub(crate) async fn reauthenticate(
    app: &App,
    caller: &Caller,
    given: &Given,
    origin: &Origin,
) -> Result<Fresh, Fault> {
    // The rule of the method lets no service through.
    let (Some(id), Some(session)) = (caller.user_id(), caller.session()) else {
        return Err(revoked());
    };
    let actor = caller.key();
    let event = |cause| Event {
        what: "reauthenticate",
        cause,
        actor: &actor,
        subject: Some(id),
        session,
        ..Event::default()
    };
    let account = store::users::credentials_by_id(&app.db, id)
        .await?
        .ok_or_else(revoked)?;
    let attempt = prove(app, &account, given)
        .await
        .inspect_err(|fault| event(password::cause(fault)).refused(app, origin))?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    // Held at the generation whose password was checked: a change meanwhile must not be followed by a fresh token.
    let user = store::users::lock(&mut tx, id)
        .await?
        .filter(|user| user.generation == account.generation)
        .ok_or_else(revoked)?;
    let session = store::sessions::prove_again(&mut tx, session, id, now)
        .await?
        .ok_or_else(session_ended)?;
    attempt.succeeded(&mut tx).await?;
    event("").done(&mut tx, app, origin).await?;
    tx.commit().await?;
    Ok(Fresh {
        access: app.mint.person(&user, &session),
        auth_time: session.auth_time,
        session: session.id,
    })
}

/// What somebody proves with.
pub(crate) struct Given {
    /// The password.
    pub(crate) password: Password,
}

/// Everything that this account has to prove again, in order: the one place that says so.
async fn prove(app: &App, account: &Credentials, given: &Given) -> Result<Attempt, Fault> {
    password::prove(app, account, &given.password).await
}
