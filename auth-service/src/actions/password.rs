//! A person changes their password.

use millgate_guard::Caller;
use millgate_platform::{Fault, Fields, Reason};

use super::{Issued, begin_family, credentials_invalid, step_up};
use crate::actions::attempt::Attempt;
use crate::app::App;
use crate::audit::Event;
use crate::domain::throttle::Counter;
use crate::domain::{EndReason, NewPassword, Password};
use crate::origin::Origin;
use crate::standing::{revoked, session_ended};
use crate::store;
use crate::store::users::Credentials;

/// Changes the password of the caller, who proves again who they are. Every access token issued before is worthless
/// from then on, every other session has ended, and this session's refresh tokens are forgotten: new ones come back.
///
/// # Errors
/// FRESH_TOKEN_REQUIRED where the account has a second factor and the token is old; CREDENTIALS_INVALID for a wrong
/// current password, TOKEN_REVOKED or SESSION_ENDED when the account or the session changed meanwhile, ACCOUNT_THROTTLED
/// after too many wrong ones, OVERLOADED when too many passwords are being checked.
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

    let user = store::users::by_id(&app.db, id)
        .await?
        .ok_or_else(revoked)?;
    let mut fields = Fields::new();
    let names = [user.username.as_deref(), user.email.as_deref()];
    fields.parse("new_password", new.avoid(names.into_iter().flatten()));
    fields.finish()?;
    let account = store::users::credentials_by_id(&app.db, id)
        .await?
        .ok_or_else(revoked)?;
    step_up::at_its_level(app, caller, &account)?;
    let attempt = prove(app, &account, current)
        .await
        .inspect_err(|fault| event(cause(fault)).refused(app, origin))?;
    let hash = match app.hashing.hash(new.password()).await {
        Ok(hash) => hash,
        // The attempt was good, whatever comes of it.
        Err(busy) => {
            event(cause(&busy)).refused(app, origin);
            let mut tx = app.db.begin().await?;
            attempt.succeeded(&mut tx).await?;
            tx.commit().await?;
            return Err(busy);
        }
    };

    let now = app.now();
    let mut tx = app.db.begin().await?;
    let user = store::users::set_password(&mut tx, id, account.generation, &hash)
        .await?
        .ok_or_else(revoked)?;
    let kept = store::sessions::prove_again(&mut tx, session, id, now)
        .await?
        .ok_or_else(session_ended)?;
    store::sessions::end_all(&mut tx, id, session, EndReason::PasswordChanged, now).await?;
    let refresh = begin_family(app, &mut tx, &kept).await?;
    attempt.succeeded(&mut tx).await?;
    event("").done(&mut tx, app, origin).await?;
    tx.commit().await?;
    Ok(Issued::new(app, &user, &kept, &refresh))
}

/// Lets through who knows the password of an account that they hold a token of. The attempt is counted; the caller says
/// that it [succeeded](Attempt::succeeded) in the transaction in which something comes of it.
///
/// # Errors
/// CREDENTIALS_INVALID; ACCOUNT_THROTTLED; OVERLOADED.
pub(super) async fn prove(
    app: &App,
    account: &Credentials,
    password: &Password,
) -> Result<Attempt, Fault> {
    let place = app.hashing.place()?;
    let attempt = Attempt::begin(app, Counter::Holder(account.id), None).await?;
    let stored = Some(account.password_hash.as_str());
    if app.hashing.verify(place, password, stored).await?.matches {
        Ok(attempt)
    } else {
        Err(credentials_invalid())
    }
}

/// What the audit log says about a proof that was refused.
pub(super) fn cause(refused: &Fault) -> &'static str {
    match refused.reason() {
        Reason::CredentialsInvalid => "wrong_password",
        Reason::AccountThrottled => "throttled",
        _ => "busy",
    }
}
