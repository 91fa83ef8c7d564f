//! A person changes their password.

use millgate_guard::Caller;
use millgate_platform::Fault;

use super::{Issued, begin_family, credentials_invalid};
use crate::app::App;
use crate::audit::Event;
use crate::domain::{EndReason, NewPassword, Password};
use crate::origin::Origin;
use crate::standing::{revoked, session_ended};
use crate::store;

/// Changes the password of the caller, who proves again who they are. Every access token issued before is worthless
/// from then on, every other session has ended, and this session's refresh tokens are forgotten: new ones come back.
///
/// # Errors
/// CREDENTIALS_INVALID for a wrong current password, TOKEN_REVOKED or SESSION_ENDED when the account or the session
/// changed meanwhile, OVERLOADED when too many passwords are being checked.
pub(crate) async fn change(
    app: &App,
    caller: &Caller,
    current: &Password,
    new: &NewPassword,
    origin: &Origin,
) -> Result<Issued, Fault> {
    // The rule of the method lets no service through.
    let (Some(id), Some(session)) = (caller.user_id(), caller.session()) else {
        return Err(revoked());
    };
    let actor = caller.key();
    let event = |cause| Event {
        what: "change_password",
        cause,
        actor: &actor,
        subject: Some(id),
        session,
        ..Event::default()
    };

    let account = store::users::credentials_by_id(&app.db, id)
        .await?
        .ok_or_else(revoked)?;
    if !app
        .hashing
        .verify(current, Some(&account.password_hash))
        .await?
        .matches
    {
        event("wrong_password").refused(origin);
        return Err(credentials_invalid());
    }
    let hash = app.hashing.hash(new.password()).await?;

    let now = app.now();
    let mut tx = app.db.begin().await?;
    let user = store::users::set_password(&mut tx, id, account.generation, &hash)
        .await?
        .ok_or_else(revoked)?;
    let kept = store::sessions::prove_again(&mut tx, session, id, now)
        .await?
        .ok_or_else(session_ended)?;
    store::sessions::end_all(&mut tx, id, session, EndReason::PasswordChanged, now).await?;
    store::refresh_tokens::delete_all(&mut tx, session).await?;
    let refresh = begin_family(app, &mut tx, &kept).await?;
    tx.commit().await?;
    event("").done(origin);
    Ok(Issued::new(app, &user, &kept, &refresh))
}
