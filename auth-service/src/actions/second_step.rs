//! The second step of a login, and whatever else a code of the second factor is asked for.
//!
//! Codes are counted per account before they are checked, whichever door they are tried at. A good password does not
//! reset the count of the passwords tried at the account; only a login that is complete does.

use millgate_platform::{Fault, Reason, Tx};
use secrecy::SecretString;

use super::Issued;
use super::attempt::{self, Attempt};
use super::login::{self, Proved};
use crate::app::App;
use crate::audit::Event;
use crate::domain::throttle::Counter;
use crate::domain::{
    BOTH_METHODS, CHALLENGE_LIFE, ChallengeToken, Code, DeviceLabel, TotpSecret, UserState, micros,
};
use crate::origin::Origin;
use crate::store;
use crate::store::login_challenges::Challenge;
use crate::store::second_factors::Factor;
use crate::store::users::Credentials;

/// Keeps a login whose password was good until its code comes. None when the account has changed since.
pub(super) async fn begin(
    app: &App,
    proved: &Proved,
    device: &DeviceLabel,
    origin: &Origin,
) -> Result<Option<SecretString>, Fault> {
    let Credentials { id, generation, .. } = proved.account;
    let mut tx = app.db.begin().await?;
    let user = store::users::lock(&mut tx, id).await?;
    if !user.is_some_and(|user| user.generation == generation && user.state == UserState::Active) {
        return Ok(None);
    }
    proved.rehash(&mut tx).await?;
    let token = ChallengeToken::generate(app.entropy.as_ref());
    let challenge = Challenge {
        user_id: id,
        generation,
        account_attempts: proved.attempt.half_succeeded(&mut tx).await?,
        device_label: device.as_str().to_owned(),
    };
    let expire_time = app.now().saturating_add(micros(CHALLENGE_LIFE));
    store::login_challenges::insert(&mut tx, &token, &challenge, expire_time).await?;
    event("login_first_step", "", id)
        .done(&mut tx, app, origin)
        .await?;
    tx.commit().await?;
    Ok(Some(token.text()))
}

/// Completes a login whose code was sent along. None when the account has changed since its password was checked.
pub(super) async fn at_once(
    app: &App,
    proved: &Proved,
    code: &Code,
    device: &DeviceLabel,
    origin: &Origin,
) -> Result<Option<Issued>, Fault> {
    let Credentials { id, generation, .. } = proved.account;
    // The address's attempt is counted with the password's.
    let attempt = Attempt::begin(app, Counter::SecondFactor(id), None)
        .await
        .inspect_err(|_| event("login", "throttled", id).refused(app, origin))?;
    let mut tx = app.db.begin().await?;
    let Some(user) = store::users::log_in(&mut tx, id, generation, app.now()).await? else {
        return Ok(None);
    };
    if let Err(cause) = spend(app, &mut tx, id, code, origin).await? {
        event("login", cause, id).refused(app, origin);
        return Err(code_wrong());
    }
    proved.rehash(&mut tx).await?;
    let device = device.as_str();
    let (session, refresh) = login::open(app, &mut tx, id, BOTH_METHODS, device, origin).await?;
    proved.attempt.succeeded(&mut tx).await?;
    attempt.succeeded(&mut tx).await?;
    tx.commit().await?;
    Ok(Some(Issued::new(app, &user, &session, &refresh)))
}

/// Completes a login that was begun.
///
/// # Errors
/// MFA_CHALLENGE_INVALID for a token that is unknown, used, expired, or of an account that has changed since;
/// CREDENTIALS_INVALID for a wrong code; MFA_THROTTLED, ACCOUNT_THROTTLED and RATE_LIMITED after too many failures.
pub(crate) async fn complete(
    app: &App,
    token: &ChallengeToken,
    code: &Code,
    origin: &Origin,
) -> Result<Issued, Fault> {
    let now = app.now();
    let Challenge {
        user_id,
        generation,
        account_attempts,
        device_label,
    } = store::login_challenges::find(&app.db, token, now)
        .await?
        .ok_or_else(challenge_invalid)?;
    let refused = |cause| event("login", cause, user_id).refused(app, origin);
    attempt::refused_since(app, user_id, account_attempts)
        .await
        .inspect_err(|_| refused("throttled"))?;
    let attempt = Attempt::begin(app, Counter::SecondFactor(user_id), origin.network)
        .await
        .inspect_err(|_| refused("throttled"))?;
    let mut tx = app.db.begin().await?;
    // The account first, as everybody does who changes what hangs on it.
    store::users::lock(&mut tx, user_id)
        .await?
        .filter(|user| user.generation == generation && user.state == UserState::Active)
        .ok_or_else(challenge_invalid)?;
    if !store::login_challenges::try_code(&mut tx, token, generation, now).await? {
        return Err(challenge_invalid());
    }
    if let Err(cause) = spend(app, &mut tx, user_id, code, origin).await? {
        // What is kept is that a code was tried.
        tx.commit().await?;
        refused(cause);
        return Err(code_wrong());
    }
    store::login_challenges::delete(&mut tx, token).await?;
    let user = store::users::log_in(&mut tx, user_id, generation, now)
        .await?
        .ok_or_else(challenge_invalid)?;
    let (session, refresh) =
        login::open(app, &mut tx, user_id, BOTH_METHODS, &device_label, origin).await?;
    // In this order: the address's bucket before any counter, as everywhere.
    attempt.succeeded(&mut tx).await?;
    attempt::forgive(app, &mut tx, Counter::Account(user_id)).await?;
    tx.commit().await?;
    Ok(Issued::new(app, &user, &session, &refresh))
}

/// Uses up a code of an account that the transaction holds: in it, no code is good twice, on however many replicas it is
/// tried at once. What was wrong with one that is not good is for the audit log alone.
pub(super) async fn spend(
    app: &App,
    tx: &mut Tx,
    user_id: i64,
    code: &Code,
    origin: &Origin,
) -> Result<Result<(), &'static str>, Fault> {
    let factor = store::second_factors::in_tx(tx, user_id).await?;
    let Some(factor) = factor.filter(|factor| factor.confirm_time.is_some()) else {
        return Ok(Err("no_second_factor"));
    };
    match code {
        Code::Totp(code) => {
            let Some(step) = open(app, &factor)?.matching_step(code, app.now()) else {
                return Ok(Err("wrong_code"));
            };
            let used = store::second_factors::use_step(tx, user_id, step).await?;
            Ok(used.then_some(()).ok_or("code_used_before"))
        }
        Code::Recovery(code) => {
            let hash = code.stored(user_id, &app.factor_keys.recovery);
            if !store::second_factors::use_recovery_code(tx, user_id, &hash).await? {
                return Ok(Err("wrong_recovery_code"));
            }
            event("use_recovery_code", "", user_id)
                .done(tx, app, origin)
                .await?;
            Ok(Ok(()))
        }
    }
}

/// The secret of a factor.
///
/// # Errors
/// INTERNAL when somebody has changed or moved the row: it is not asked for codes then, and nobody gets in by it.
pub(super) fn open(app: &App, factor: &Factor) -> Result<TotpSecret, Fault> {
    app.factor_keys
        .open(&factor.sealed_secret, factor.place())
        .ok_or_else(|| Fault::internal("a second factor's secret does not open in its row"))
}

/// The answer to a code that is wrong, used before, or too old.
pub(super) fn code_wrong() -> Fault {
    Fault::new(Reason::CredentialsInvalid, "the code is wrong")
}

/// The answer to a token that completes no login.
pub(crate) fn challenge_invalid() -> Fault {
    Fault::new(
        Reason::MfaChallengeInvalid,
        "the mfa_token is unknown, used up or expired; log in again",
    )
}

fn event<'a>(what: &'static str, cause: &'static str, user_id: i64) -> Event<'a> {
    Event {
        what,
        cause,
        subject: Some(user_id),
        ..Event::default()
    }
}
