//! What people do with their personal access tokens.

use millgate_contract::auth::v1 as pb;
use millgate_guard::{Caller, Scopes};
use millgate_platform::{Fault, Page, Reason};

use super::attempt;
use crate::app::App;
use crate::audit::Event;
use crate::domain::{
    AccessToken, AccessTokenState, MachineSecret, NewAccessToken, SecretKind, Viewer,
    access_token_not_found, not_found, stored_access_token,
};
use crate::origin::Origin;
use crate::standing::revoked;
use crate::store;
use crate::tokens;
use crate::wire;

/// Makes a token for the person who calls. The answer alone holds it.
///
/// # Errors
/// ACCESS_TOKEN_LIMIT, REQUEST_ID_REUSED; TOKEN_REVOKED when the account has changed meanwhile.
pub(crate) async fn create(
    app: &App,
    caller: &Caller,
    user_id: i64,
    new: &NewAccessToken,
    request: pb::CreateAccessTokenRequest,
    origin: &Origin,
) -> Result<pb::AccessToken, Fault> {
    let (request_id, body) = wire::without_id(request, |request| &mut request.request_id);
    let mut tx = app.db.begin().await?;
    let mut once = app
        .idempotency
        .claim(
            &mut tx,
            &caller.key(),
            "CreateAccessToken",
            &request_id,
            &body,
        )
        .await?;
    if let Some(answer) = once.replay() {
        return Ok(answer);
    }
    attempt::own_change(app, &mut tx, caller, user_id).await?;
    // Held, so that two who make the last token they may make do not both succeed; and a change of the account that came
    // between the guard and here leaves no token behind.
    let user = store::users::lock(&mut tx, user_id)
        .await?
        .ok_or_else(revoked)?;
    if caller.claims().generation != Some(user.generation) {
        return Err(revoked());
    }
    let (now, generation) = (app.now(), user.generation);
    let live = store::access_tokens::count_live(&mut tx, user_id, generation, now).await?;
    if live >= AccessToken::MOST_LIVE {
        let message = "there are 50 personal access tokens already; revoke one first";
        return Err(Fault::new(Reason::AccessTokenLimit, message));
    }
    store::access_tokens::forget_ended(&mut tx, user_id, generation, now).await?;
    let secret = MachineSecret::generate(SecretKind::AccessToken, app.entropy.as_ref());
    let hash = stored_access_token(&secret, &app.access_token_key);
    let sid = app.entropy.uuid_v4().to_string();
    let token =
        store::access_tokens::insert(&mut tx, user_id, generation, new, &sid, &hash, now).await?;
    let answer = wire::access_token(&token, now);
    // Without the token itself: what is remembered here would otherwise be a place to steal it from.
    once.record(&mut tx, &answer).await?;
    event("create_access_token", &caller.key(), &token)
        .done(&mut tx, app, origin)
        .await?;
    tx.commit().await?;
    Ok(pb::AccessToken {
        token: secret.text().to_owned(),
        ..answer
    })
}

/// A page of the tokens of `user_id`, and the token of the next one.
///
/// # Errors
/// USER_NOT_FOUND for who is neither an administrator nor this person.
pub(crate) async fn list(
    app: &App,
    caller: &Caller,
    user_id: i64,
    newest_first: bool,
    page: &Page,
) -> Result<(Vec<AccessToken>, String), Fault> {
    if !may_see(caller, user_id) {
        return Err(not_found(user_id));
    }
    store::access_tokens::page(&app.db, user_id, newest_first, page).await
}

/// Ends a token. One that was revoked already stays as it is.
///
/// # Errors
/// ACCESS_TOKEN_NOT_FOUND, also for another's; REQUEST_ID_REUSED.
pub(crate) async fn revoke(
    app: &App,
    caller: &Caller,
    request: pb::RevokeAccessTokenRequest,
    origin: &Origin,
) -> Result<pb::AccessToken, Fault> {
    let (request_id, body) = wire::without_id(request, |request| &mut request.request_id);
    let mut tx = app.db.begin().await?;
    let mut once = app
        .idempotency
        .claim(
            &mut tx,
            &caller.key(),
            "RevokeAccessToken",
            &request_id,
            &body,
        )
        .await?;
    if let Some(answer) = once.replay() {
        return Ok(answer);
    }
    let mut token = store::access_tokens::in_tx(&mut tx, body.id)
        .await?
        .filter(|token| may_see(caller, token.user_id))
        .ok_or_else(|| access_token_not_found(body.id))?;
    attempt::own_change(app, &mut tx, caller, token.user_id).await?;
    let now = app.now();
    if store::access_tokens::revoke(&mut tx, &token, now).await? {
        token.revoke_time = Some(now);
        event("revoke_access_token", &caller.key(), &token)
            .done(&mut tx, app, origin)
            .await?;
    }
    let answer = wire::access_token(&token, now);
    once.record(&mut tx, &answer).await?;
    tx.commit().await?;
    Ok(answer)
}

/// Trades a token for an access token with the scopes `asked`, or all that it has. `presented` is none for what cannot be
/// one: it is refused without asking the database.
///
/// Wrong ones are counted by address alone and after the check: nobody guesses 256 random bits, so the right one is never
/// kept waiting, whoever shares its address.
///
/// # Errors
/// TOKEN_INVALID, or RATE_LIMITED after many wrong ones from the same address; TOKEN_EXPIRED, TOKEN_REVOKED, SCOPE_DENIED.
pub(crate) async fn exchange(
    app: &App,
    presented: Option<&MachineSecret>,
    asked: Option<Scopes>,
    origin: &Origin,
) -> Result<(tokens::AccessToken, Scopes), Fault> {
    let nobody = |cause| Event {
        what: "exchange_access_token",
        cause,
        ..Event::default()
    };
    let Some(presented) = presented else {
        nobody("malformed").refused(app, origin);
        return Err(invalid());
    };
    let hash = stored_access_token(presented, &app.access_token_key);
    let Some(token) = store::access_tokens::by_hash(&app.db, &hash).await? else {
        nobody("unknown").refused(app, origin);
        attempt::service_failed(app, origin.network).await?;
        return Err(invalid());
    };
    let user = store::users::by_id(&app.db, token.user_id)
        .await?
        .ok_or_else(invalid)?;
    let now = app.now();
    let told = |cause| Event {
        cause,
        ..event("exchange_access_token", "", &token)
    };
    let scopes = token
        .exchange(&user, asked, now)
        .inspect_err(|fault| told(fault.reason().as_str()).refused(app, origin))?;
    if token.use_is_news(now) {
        store::access_tokens::mark_used(&app.db, token.id, now).await?;
    }
    told("").noted(app, origin);
    Ok((app.mint.by_access_token(&user, &token, &scopes), scopes))
}

/// Ends a token because whoever holds it says so. One that is unknown or has ended is fine.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(super) async fn give_up(
    app: &App,
    presented: &MachineSecret,
    origin: &Origin,
) -> Result<(), Fault> {
    let hash = stored_access_token(presented, &app.access_token_key);
    let now = app.now();
    let found = store::access_tokens::by_hash(&app.db, &hash).await?;
    let Some(token) = found.filter(|token| token.state(now) == AccessTokenState::Active) else {
        return Ok(());
    };
    let mut tx = app.db.begin().await?;
    if store::access_tokens::revoke(&mut tx, &token, now).await? {
        event("revoke_access_token", "", &token)
            .done(&mut tx, app, origin)
            .await?;
    }
    tx.commit().await
}

/// The one answer for whatever is no personal access token.
fn invalid() -> Fault {
    Fault::new(Reason::TokenInvalid, "this is not a personal access token")
}

fn may_see(caller: &Caller, user_id: i64) -> bool {
    match Viewer::of(caller) {
        Viewer::Admin => true,
        Viewer::Person(id) => id == user_id,
        Viewer::Service(_) => false,
    }
}

fn event<'a>(what: &'static str, actor: &'a str, token: &'a AccessToken) -> Event<'a> {
    Event {
        what,
        actor,
        subject: Some(token.user_id),
        session: &token.sid,
        ..Event::default()
    }
}
