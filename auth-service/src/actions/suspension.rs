//! An administrator closes an account and opens it again.

use millgate_contract::auth::v1 as pb;
use millgate_guard::Caller;
use millgate_platform::{Fault, Tx};
use prost::Message;

use super::accounts::{held, remembered, tell};
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
    if let Some(mut answer) = once.replay() {
        if let Some(user) = store::users::in_tx(&mut tx, which.id).await? {
            Naming::take(&mut wire::user(&user)).put(&mut answer);
        }
        return Ok(answer);
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
