//! People turn their second factor on and off, and administrators take away one that was lost.

use millgate_contract::auth::v1 as pb;
use millgate_guard::{Caller, Principal};
use millgate_platform::{Fault, Reason, Tx};
use secrecy::{ExposeSecret, SecretString};

use super::attempt::{self, Attempt};
use super::second_step::{code_wrong, open, spend};
use super::{Issued, begin_family};
use crate::app::App;
use crate::audit::Event;
use crate::domain::throttle::Counter;
use crate::domain::totp::confirmable_until;
use crate::domain::{
    BOTH_METHODS, Code, EndReason, FactorPlace, Micros, RECOVERY_CODES, RecoveryCode, TotpCode,
    TotpSecret, User, UserState, Viewer, not_found,
};
use crate::origin::Origin;
use crate::standing::{revoked, session_ended};
use crate::store;
use crate::wire;

/// What is known of somebody's second factor.
pub(crate) struct Known {
    /// Whether a secret waits to be confirmed.
    pub(crate) pending: bool,
    /// Since when the factor is in use, where it is.
    pub(crate) confirm_time: Option<Micros>,
    /// How many recovery codes have not been used.
    pub(crate) recovery_codes_left: i64,
}

/// Says whether the caller, or `user`, has a second factor.
///
/// # Errors
/// USER_NOT_FOUND for an account that is not there or not the caller's to see.
pub(crate) async fn get(app: &App, caller: &Caller, user: Option<i64>) -> Result<Known, Fault> {
    let id = match whose(caller, user)? {
        Whose::Own => Me::of(caller)?.id,
        Whose::Lost(id) => {
            let user = store::users::by_id(&app.db, id).await?;
            user.ok_or_else(|| not_found(id))?.id
        }
    };
    let factor = store::second_factors::by_user(&app.db, id).await?;
    let confirm_time = factor.as_ref().and_then(|factor| factor.confirm_time);
    let confirmable = factor.is_some_and(|factor| confirmable_until(factor.begin_time) > app.now());
    Ok(Known {
        pending: confirm_time.is_none() && confirmable,
        confirm_time,
        recovery_codes_left: store::second_factors::recovery_codes_left(&app.db, id).await?,
    })
}

/// A secret for somebody's app.
pub(crate) struct Begun {
    /// To be typed.
    pub(crate) secret: SecretString,
    /// To be opened or scanned.
    pub(crate) uri: SecretString,
    /// When it is forgotten.
    pub(crate) expire_time: Micros,
}

/// The longest name that an app is to show: a longer one makes the QR code too dense to scan.
const LONGEST_SHOWN: usize = 64;

/// Makes a secret for the caller's app, instead of one that is not confirmed.
///
/// # Errors
/// STATE_CONFLICT when the factor is on; TOKEN_REVOKED when the account has changed meanwhile.
pub(crate) async fn begin(app: &App, caller: &Caller, origin: &Origin) -> Result<Begun, Fault> {
    let me = Me::of(caller)?;
    let secret = TotpSecret::generate(app.entropy.as_ref());
    let place = FactorPlace {
        user_id: me.id,
        begin_time: app.now(),
    };
    let sealed = app
        .factor_keys
        .seal(&secret, place, app.entropy.as_ref())
        .map_err(|_| Fault::internal("a second factor's secret could not be encrypted"))?;
    let mut tx = app.db.begin().await?;
    let user = me.held(&mut tx).await?;
    if !store::second_factors::begin(&mut tx, place, &sealed).await? {
        return Err(conflict("the second factor is on; remove it first"));
    }
    let uri = secret.uri(&app.totp_issuer, &shown(&user))?;
    tx.commit().await?;
    // Summed up: a secret that is not confirmed changes nothing, and can be made as often as somebody cares to.
    me.event("begin_totp", "").noted(app, origin);
    Ok(Begun {
        secret: secret.base32(),
        uri,
        expire_time: confirmable_until(place.begin_time),
    })
}

/// What the app calls the account.
fn shown(user: &User) -> String {
    let fits = |name: &&String| name.len() <= LONGEST_SHOWN && !name.contains(':');
    let mut names = [&user.username, &user.email].into_iter().flatten();
    names
        .find(fits)
        .map_or_else(|| user.id.to_string(), String::clone)
}

/// Turns the caller's second factor on.
///
/// # Errors
/// CREDENTIALS_INVALID for a wrong code, MFA_THROTTLED after too many; STATE_CONFLICT when none is pending;
/// TOKEN_REVOKED or SESSION_ENDED when the account or the session has changed meanwhile; REQUEST_ID_REUSED.
pub(crate) async fn confirm(
    app: &App,
    caller: &Caller,
    code: &TotpCode,
    request: pb::ConfirmTotpRequest,
    origin: &Origin,
) -> Result<pb::ConfirmTotpResponse, Fault> {
    const METHOD: &str = "ConfirmTotp";
    let me = Me::of(caller)?;
    let (request_id, body) = wire::without_id(request, |request| &mut request.request_id);
    let known = app
        .idempotency
        .recall(&app.db, &me.key, METHOD, &request_id, &body);
    if let Some(answer) = known.await? {
        return Ok(answer);
    }
    // Counted like every other code: a secret that somebody has just begun with could be guessed here otherwise.
    // Where nothing waits there is nothing to guess, and a count would only keep the owner from their second step.
    let waits = store::second_factors::by_user(&app.db, me.id)
        .await?
        .is_some_and(|factor| factor.confirm_time.is_none());
    let attempt = match waits {
        true => Some(me.attempt(app, "confirm_totp", origin).await?),
        false => None,
    };
    let mut tx = app.db.begin().await?;
    let mut once = app
        .idempotency
        .claim(&mut tx, &me.key, METHOD, &request_id, &body)
        .await?;
    if let Some(answer) = once.replay() {
        return Ok(answer);
    }
    me.held(&mut tx).await?;
    let now = app.now();
    let (pending, attempt) = store::second_factors::in_tx(&mut tx, me.id)
        .await?
        .filter(|factor| factor.confirm_time.is_none())
        .filter(|factor| confirmable_until(factor.begin_time) > now)
        // Only with an attempt that was counted.
        .zip(attempt)
        .ok_or_else(|| conflict("no second factor waits to be confirmed; begin one"))?;
    let Some(step) = open(app, &pending)?.matching_step(code, now) else {
        me.event("confirm_totp", "wrong_code").refused(app, origin);
        return Err(code_wrong());
    };
    if !store::second_factors::confirm(&mut tx, me.id, step, now).await? {
        return Err(Fault::internal("a held second factor was confirmed twice"));
    }
    let recovery_codes = new_recovery_codes(app, &mut tx, me.id).await?;
    let issued = me.settle(app, &mut tx).await?;
    attempt.succeeded(&mut tx).await?;
    once.record(&mut tx, &pb::ConfirmTotpResponse::default())
        .await?;
    me.event("confirm_totp", "")
        .done(&mut tx, app, origin)
        .await?;
    tx.commit().await?;
    Ok(pb::ConfirmTotpResponse {
        recovery_codes,
        tokens: Some(wire::tokens(&issued, "The second factor is on.")),
    })
}

/// Gives the caller other recovery codes.
///
/// # Errors
/// As [`confirm`]; STATE_CONFLICT when the factor is not on.
pub(crate) async fn regenerate(
    app: &App,
    caller: &Caller,
    code: &Code,
    request: pb::RegenerateRecoveryCodesRequest,
    origin: &Origin,
) -> Result<pb::RegenerateRecoveryCodesResponse, Fault> {
    const METHOD: &str = "RegenerateRecoveryCodes";
    let me = Me::of(caller)?;
    let (request_id, body) = wire::without_id(request, |request| &mut request.request_id);
    let known = app
        .idempotency
        .recall(&app.db, &me.key, METHOD, &request_id, &body);
    if let Some(answer) = known.await? {
        return Ok(answer);
    }
    let attempt = me.attempt(app, "regenerate_recovery_codes", origin).await?;
    let mut tx = app.db.begin().await?;
    let mut once = app
        .idempotency
        .claim(&mut tx, &me.key, METHOD, &request_id, &body)
        .await?;
    if let Some(answer) = once.replay() {
        return Ok(answer);
    }
    me.prove(app, &mut tx, code, "regenerate_recovery_codes", origin)
        .await?;
    let recovery_codes = new_recovery_codes(app, &mut tx, me.id).await?;
    let issued = me.settle(app, &mut tx).await?;
    attempt.succeeded(&mut tx).await?;
    once.record(&mut tx, &pb::RegenerateRecoveryCodesResponse::default())
        .await?;
    me.event("regenerate_recovery_codes", "")
        .done(&mut tx, app, origin)
        .await?;
    tx.commit().await?;
    Ok(pb::RegenerateRecoveryCodesResponse {
        recovery_codes,
        tokens: Some(wire::tokens(&issued, "The recovery codes are new.")),
    })
}

/// Takes away the caller's own second factor, for a code.
///
/// # Errors
/// As [`regenerate`].
pub(crate) async fn remove(
    app: &App,
    caller: &Caller,
    code: &Code,
    request: pb::RemoveTotpRequest,
    origin: &Origin,
) -> Result<pb::RemoveTotpResponse, Fault> {
    let me = Me::of(caller)?;
    let (request_id, body) = wire::without_id(request, |request| &mut request.request_id);
    let known = app
        .idempotency
        .recall(&app.db, &me.key, REMOVE, &request_id, &body);
    if let Some(answer) = known.await? {
        return Ok(answer);
    }
    let attempt = me.attempt(app, "remove_totp", origin).await?;
    let mut tx = app.db.begin().await?;
    let mut once = app
        .idempotency
        .claim(&mut tx, &me.key, REMOVE, &request_id, &body)
        .await?;
    if let Some(answer) = once.replay() {
        return Ok(answer);
    }
    me.prove(app, &mut tx, code, "remove_totp", origin).await?;
    store::second_factors::remove(&mut tx, me.id).await?;
    let issued = me.settle(app, &mut tx).await?;
    attempt.succeeded(&mut tx).await?;
    once.record(&mut tx, &removed()).await?;
    me.event("remove_totp", "")
        .done(&mut tx, app, origin)
        .await?;
    tx.commit().await?;
    Ok(pb::RemoveTotpResponse {
        tokens: Some(wire::tokens(&issued, "The second factor is removed.")),
        ..removed()
    })
}

/// Takes away a second factor that somebody else has lost; every session of theirs ends.
///
/// # Errors
/// USER_NOT_FOUND, STATE_CONFLICT when there is none, REQUEST_ID_REUSED.
pub(crate) async fn remove_lost(
    app: &App,
    caller: &Caller,
    user_id: i64,
    request: pb::RemoveTotpRequest,
    origin: &Origin,
) -> Result<pb::RemoveTotpResponse, Fault> {
    let me = Me::of(caller)?;
    let (request_id, body) = wire::without_id(request, |request| &mut request.request_id);
    let mut tx = app.db.begin().await?;
    let mut once = app
        .idempotency
        .claim(&mut tx, &me.key, REMOVE, &request_id, &body)
        .await?;
    if let Some(answer) = once.replay() {
        return Ok(answer);
    }
    take_away(app, &mut tx, user_id).await?;
    once.record(&mut tx, &removed()).await?;
    let event = Event {
        subject: Some(user_id),
        ..me.event("remove_totp", "lost")
    };
    event.done(&mut tx, app, origin).await?;
    tx.commit().await?;
    Ok(removed())
}

/// Takes away a factor without a code: every token of the account is worthless, every session has ended.
///
/// # Errors
/// USER_NOT_FOUND, STATE_CONFLICT when there is none.
pub(crate) async fn take_away(app: &App, tx: &mut Tx, user_id: i64) -> Result<User, Fault> {
    let user = store::users::lock(tx, user_id)
        .await?
        .ok_or_else(|| not_found(user_id))?;
    store::second_factors::in_tx(tx, user_id)
        .await?
        .filter(|factor| factor.confirm_time.is_some())
        .ok_or_else(not_on)?;
    store::second_factors::remove(tx, user_id).await?;
    // False for an account that is disabled: its tokens are refused as it is.
    store::users::raise_generation(tx, user_id).await?;
    let reason = EndReason::SecondFactorChanged;
    store::sessions::end_all(tx, user_id, "", reason, app.now()).await?;
    attempt::forgive(app, tx, Counter::SecondFactor(user_id)).await?;
    Ok(user)
}

const REMOVE: &str = "RemoveTotp";

fn removed() -> pb::RemoveTotpResponse {
    pb::RemoveTotpResponse {
        message: "The second factor is removed.".to_owned(),
        tokens: None,
    }
}

/// Whose second factor a call is about.
pub(crate) enum Whose {
    /// The caller's.
    Own,
    /// Somebody else's, and the caller is an administrator.
    Lost(i64),
}

/// Reads whose it is. Administrators who name themselves mean their own, which needs a code.
///
/// # Errors
/// USER_NOT_FOUND for anybody but an administrator who names somebody else.
pub(crate) fn whose(caller: &Caller, user: Option<i64>) -> Result<Whose, Fault> {
    match user {
        Some(id) if caller.user_id() != Some(id) => match Viewer::of(caller) {
            Viewer::Admin => Ok(Whose::Lost(id)),
            _ => Err(not_found(id)),
        },
        _ => Ok(Whose::Own),
    }
}

/// The person who calls.
struct Me<'a> {
    id: i64,
    session: &'a str,
    generation: i64,
    key: String,
}

impl<'a> Me<'a> {
    fn of(caller: &'a Caller) -> Result<Self, Fault> {
        match caller.principal() {
            Principal::User {
                id,
                session,
                generation,
                ..
            } => Ok(Self {
                id: *id,
                session,
                generation: *generation,
                key: caller.key(),
            }),
            // The rules of the methods let no service through.
            Principal::Service { .. } => Err(revoked()),
        }
    }

    fn event(&self, what: &'static str, cause: &'static str) -> Event<'_> {
        Event {
            what,
            cause,
            actor: &self.key,
            subject: Some(self.id),
            session: self.session,
            ..Event::default()
        }
    }

    async fn attempt(
        &self,
        app: &App,
        what: &'static str,
        origin: &Origin,
    ) -> Result<Attempt, Fault> {
        Attempt::begin(app, Counter::SecondFactor(self.id), None)
            .await
            .inspect_err(|_| self.event(what, "throttled").refused(app, origin))
    }

    /// The account, held, at the generation that the token was issued under.
    async fn held(&self, tx: &mut Tx) -> Result<User, Fault> {
        store::users::lock(tx, self.id)
            .await?
            .filter(|user| user.generation == self.generation && user.state == UserState::Active)
            .ok_or_else(revoked)
    }

    /// Holds the account and uses up a code of it.
    async fn prove(
        &self,
        app: &App,
        tx: &mut Tx,
        code: &Code,
        what: &'static str,
        origin: &Origin,
    ) -> Result<(), Fault> {
        self.held(tx).await?;
        store::second_factors::in_tx(tx, self.id)
            .await?
            .filter(|factor| factor.confirm_time.is_some())
            .ok_or_else(not_on)?;
        spend(app, tx, self.id, code, origin)
            .await?
            .map_err(|cause| {
                self.event(what, cause).refused(app, origin);
                code_wrong()
            })
    }

    /// What every change of the factor ends with: all tokens issued before are worthless, every other session has
    /// ended, and this one gets new tokens. Both factors have been proved in it by now.
    async fn settle(&self, app: &App, tx: &mut Tx) -> Result<Issued, Fault> {
        let now = app.now();
        store::users::raise_generation(tx, self.id).await?;
        let user = store::users::in_tx(tx, self.id)
            .await?
            .ok_or_else(revoked)?;
        let session = store::sessions::prove_more(tx, self.session, self.id, BOTH_METHODS, now)
            .await?
            .ok_or_else(session_ended)?;
        let reason = EndReason::SecondFactorChanged;
        store::sessions::end_all(tx, self.id, self.session, reason, now).await?;
        let refresh = begin_family(app, tx, &session).await?;
        Ok(Issued::new(app, &user, &session, &refresh))
    }
}

/// Makes recovery codes, and forgets those before.
async fn new_recovery_codes(app: &App, tx: &mut Tx, user_id: i64) -> Result<Vec<String>, Fault> {
    let codes: Vec<_> = (0..RECOVERY_CODES)
        .map(|_| RecoveryCode::generate(app.entropy.as_ref()))
        .collect();
    let hashes: Vec<_> = codes
        .iter()
        .map(|code| code.stored(user_id, &app.factor_keys.recovery))
        .collect();
    store::second_factors::replace_recovery_codes(tx, user_id, &hashes).await?;
    let texts = codes.iter().map(|code| code.text());
    Ok(texts.map(|text| text.expose_secret().to_owned()).collect())
}

fn not_on() -> Fault {
    conflict("there is no second factor")
}

fn conflict(message: &str) -> Fault {
    Fault::new(Reason::StateConflict, message)
}
