//! An administrator closes an account, opens it again, or unlocks one that was guessed at too often.

use millgate_contract::auth::v1 as pb;
use millgate_guard::Caller;
use millgate_platform::{Fault, Tx};
use prost::Message;

use super::accounts::{held, remembered, tell};
use super::attempt;
use crate::app::App;
use crate::domain::{EndReason, User, UserState};
use crate::origin::Origin;
use crate::store;
use crate::wire::{self, Naming};

/// Which account, at which revision, under which request.
struct Which<'a> {
    /// The account.
    id: i64,
    /// The revision it must have; empty for any.
    etag: &'a str,
    /// May be empty.
    request_id: &'a str,
}

/// Closes an account: its generation rises and its sessions end with the same commit. One that is closed already stays
/// as it is.
///
/// # Errors
/// USER_NOT_FOUND, ETAG_MISMATCH, LAST_ADMIN, REQUEST_ID_REUSED.
pub(crate) async fn disable(
    app: &App,
    caller: &Caller,
    request: pb::DisableUserRequest,
    origin: &Origin,
) -> Result<pb::User, Fault> {
    let (request_id, body) = wire::without_id(request, |request| &mut request.request_id);
    let which = Which {
        id: body.id,
        etag: &body.etag,
        request_id: &request_id,
    };
    put(app, caller, UserState::Disabled, which, &body, origin).await
}

/// Opens a closed account again; none of its sessions and tokens comes back.
///
/// # Errors
/// USER_NOT_FOUND, ETAG_MISMATCH, REQUEST_ID_REUSED.
pub(crate) async fn enable(
    app: &App,
    caller: &Caller,
    request: pb::EnableUserRequest,
    origin: &Origin,
) -> Result<pb::User, Fault> {
    let (request_id, body) = wire::without_id(request, |request| &mut request.request_id);
    let which = Which {
        id: body.id,
        etag: &body.etag,
        request_id: &request_id,
    };
    put(app, caller, UserState::Active, which, &body, origin).await
}

/// Forgets the failed attempts at an account. The account itself does not change.
///
/// # Errors
/// USER_NOT_FOUND, ETAG_MISMATCH, REQUEST_ID_REUSED.
pub(crate) async fn unlock(
    app: &App,
    caller: &Caller,
    request: pb::UnlockUserRequest,
    origin: &Origin,
) -> Result<pb::User, Fault> {
    let (request_id, body) = wire::without_id(request, |request| &mut request.request_id);
    let mut tx = app.db.begin().await?;
    let mut once = app
        .idempotency
        .claim(&mut tx, &caller.key(), "UnlockUser", &request_id, &body)
        .await?;
    if let Some(answer) = once.replay() {
        return named(&mut tx, body.id, answer).await;
    }
    let user = held(&mut tx, caller, body.id, &body.etag).await?;
    attempt::forget(app, &mut tx, user.id).await?;
    let answer = remembered(once, &mut tx, wire::user(&user)).await?;
    tell(app, &mut tx, "unlock_user", caller, &user, origin).await?;
    tx.commit().await?;
    Ok(answer)
}

/// An answer that is remembered without names, with today's.
async fn named(tx: &mut Tx, id: i64, mut answer: pb::User) -> Result<pb::User, Fault> {
    if let Some(user) = store::users::in_tx(tx, id).await? {
        Naming::take(&mut wire::user(&user)).put(&mut answer);
    }
    Ok(answer)
}

async fn put(
    app: &App,
    caller: &Caller,
    state: UserState,
    which: Which<'_>,
    body: &impl Message,
    origin: &Origin,
) -> Result<pb::User, Fault> {
    let (method, event) = match state {
        UserState::Disabled => ("DisableUser", "disable_user"),
        UserState::Active => ("EnableUser", "enable_user"),
    };
    let mut tx = app.db.begin().await?;
    let mut once = app
        .idempotency
        .claim(&mut tx, &caller.key(), method, which.request_id, body)
        .await?;
    if let Some(answer) = once.replay() {
        return named(&mut tx, which.id, answer).await;
    }
    let user = held(&mut tx, caller, which.id, which.etag).await?;
    let changes = user.state != state;
    let user = if changes {
        write(app, &mut tx, user, state).await?
    } else {
        user
    };
    let answer = remembered(once, &mut tx, wire::user(&user)).await?;
    if changes {
        tell(app, &mut tx, event, caller, &user, origin).await?;
    }
    tx.commit().await?;
    Ok(answer)
}

async fn write(app: &App, tx: &mut Tx, user: User, state: UserState) -> Result<User, Fault> {
    let now = app.now();
    match state {
        UserState::Active => store::users::enable(tx, user.id, now).await,
        UserState::Disabled => {
            store::users::leave_an_admin(tx, &user).await?;
            let closed = store::users::disable(tx, user.id, now).await?;
            store::sessions::end_all(tx, user.id, "", EndReason::Disabled, now).await?;
            Ok(closed)
        }
    }
}
