//! A person proves once more who they are, in the session that they have.

use millgate_guard::Caller;
use millgate_platform::{Fault, Reason};

use super::attempt::Attempt;
use super::{password, second_step};
use crate::app::App;
use crate::audit::Event;
use crate::domain::throttle::Counter;
use crate::domain::{CODE_METHOD, Code, Micros, Password};
use crate::origin::Origin;
use crate::standing::{revoked, session_ended};
use crate::store::{self, users::Credentials};
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
/// CREDENTIALS_INVALID for a wrong password or code, ACCOUNT_THROTTLED or MFA_THROTTLED after too many, TOKEN_REVOKED or SESSION_ENDED when the
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
    let factor = account.has_second_factor;
    if factor && given.code.is_none() {
        return Err(Fault::field(
            "totp_code",
            "is needed: the account has a second factor",
        ));
    }
    let attempt = password::prove(app, &account, &given.password)
        .await
        .inspect_err(|fault| event(password::cause(fault)).refused(app, origin))?;
    let code = given.code.as_ref().filter(|_| factor);
    let code_attempt = match code {
        None => None,
        Some(_) => Some(
            Attempt::begin(app, Counter::SecondFactor(id), None)
                .await
                .inspect_err(|_| event("throttled").refused(app, origin))?,
        ),
    };
    let now = app.now();
    let mut tx = app.db.begin().await?;
    // Held at the generation whose password was checked: a change meanwhile must not be followed by a fresh token.
    let user = store::users::lock(&mut tx, id)
        .await?
        .filter(|user| user.generation == account.generation)
        .ok_or_else(revoked)?;
    if let Some(code) = code
        && let Err(cause) = second_step::spend(app, &mut tx, id, code, origin).await?
    {
        event(cause).refused(app, origin);
        return Err(second_step::code_wrong());
    }
    let session = store::sessions::prove_again(&mut tx, session, id, now)
        .await?
        .ok_or_else(session_ended)?;
    attempt.succeeded(&mut tx).await?;
    if let Some(attempt) = code_attempt {
        attempt.succeeded(&mut tx).await?;
    }
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
    /// A code of the second factor.
    pub(crate) code: Option<Code>,
}

/// Lets through a person whose token is all of their session, and who has proved not long ago who they are: for what
/// makes whoever holds the token as mighty as the account, or another one. The rule of such a method cannot ask for it
/// where the method does harmless things, too. Services are held to rules of their own.
///
/// # Errors
/// SCOPE_DENIED, FRESH_TOKEN_REQUIRED: as the guard says it.
pub(super) fn whole_and_fresh(app: &App, caller: &Caller) -> Result<(), Fault> {
    whole(caller)?;
    if caller.user_id().is_none() || is_fresh(app, caller) {
        return Ok(());
    }
    Err(Fault::new(
        Reason::FreshTokenRequired,
        "prove again who you are, and call with the new token",
    ))
}

/// Lets through a person whose token has no scope: one that has is for less than they may do.
///
/// # Errors
/// SCOPE_DENIED.
pub(super) fn whole(caller: &Caller) -> Result<(), Fault> {
    if caller.user_id().is_some() && caller.scope().is_some() {
        return Err(Fault::new(
            Reason::ScopeDenied,
            "a token with a scope does not allow this",
        ));
    }
    Ok(())
}

/// A time still to come proves nothing, but for clocks that differ a little: as the guard sees it.
fn is_fresh(app: &App, caller: &Caller) -> bool {
    let now = app.clock.now_seconds();
    caller
        .auth_time()
        .is_some_and(|proved| (-5..=FRESH).contains(&now.saturating_sub(proved)))
}

/// What a session was begun with counts for a change of the password this long: as long as for the methods whose rule
/// asks for a fresh token.
const FRESH: i64 = 15 * 60;

/// Lets through who may change the password of an account that they know the password of. Where it has a second factor,
/// the change needs a proof at the same level (NIST SP 800-63B-4 section 4.1): a token that both factors were proved
/// for, and not long ago. Else whoever finds a session and the password would keep the person out.
///
/// # Errors
/// FRESH_TOKEN_REQUIRED.
pub(super) fn at_its_level(app: &App, caller: &Caller, account: &Credentials) -> Result<(), Fault> {
    if !account.has_second_factor {
        return Ok(());
    }
    let with_code = caller.claims().amr.iter().any(|m| m == CODE_METHOD);
    if with_code && is_fresh(app, caller) {
        return Ok(());
    }
    Err(Fault::new(
        Reason::FreshTokenRequired,
        "the account has a second factor: prove both again first",
    ))
}
