//! What administrators, services and people do with accounts.

use millgate_contract::auth::v1 as pb;
use millgate_guard::Caller;
use millgate_platform::{Claim, Etag, Fault, Page, Tx};

use super::{attempt, step_up};
use crate::app::App;
use crate::audit::Event;
use crate::domain::{
    EndReason, ExternalId, NameChange, Names, NewPassword, NewUser, Role, User, Viewer, not_found,
};
use crate::origin::Origin;
use crate::store;
use crate::store::user_list::{Filter, Order};
use crate::wire::{self, Naming};

/// The parsed account of a CreateUser.
pub(crate) struct Wanted {
    /// What it logs in with.
    pub(crate) names: Names,
    /// Its password.
    pub(crate) password: NewPassword,
    /// What it may do.
    pub(crate) role: Role,
    /// The id that the creating client knows it by.
    pub(crate) external_id: Option<ExternalId>,
}

/// Makes an account.
///
/// # Errors
/// ROLE_DENIED for a service that asks for more than a customer; SCOPE_DENIED, FRESH_TOKEN_REQUIRED for a person who does
/// with a token that has a scope or is old: whoever held it could make themselves an administrator; USERNAME_TAKEN, EMAIL_TAKEN, EXTERNAL_ID_TAKEN;
/// OVERLOADED when too many passwords are being hashed.
pub(crate) async fn create(
    app: &App,
    caller: &Caller,
    wanted: Wanted,
    request: pb::CreateUserRequest,
    origin: &Origin,
) -> Result<pb::User, Fault> {
    let viewer = Viewer::of(caller);
    viewer.create(wanted.role)?;
    if wanted.role != Role::Customer {
        step_up::whole_and_fresh(app, caller)?;
    }
    let (request_id, body) = wire::without_id(request, |request| &mut request.request_id);
    let naming = Naming::of(&wanted.names, wanted.external_id.as_ref());
    let key = caller.key();
    // Before the hash, which costs: a retry needs none. The claim below decides.
    let done = app
        .idempotency
        .recall(&app.db, &key, "CreateUser", &request_id, &body)
        .await?;
    if let Some(mut answer) = done {
        naming.put(&mut answer);
        return Ok(answer);
    }
    let new = NewUser {
        names: wanted.names,
        password_hash: app.hashing.hash(wanted.password.password()).await?,
        role: wanted.role,
        external_id: wanted.external_id,
        created_by: viewer.only_made_by().map(str::to_owned),
    };
    let mut tx = app.db.begin().await?;
    let mut once = app
        .idempotency
        .claim(&mut tx, &key, "CreateUser", &request_id, &body)
        .await?;
    if let Some(mut answer) = once.replay() {
        naming.put(&mut answer);
        return Ok(answer);
    }
    let user = store::users::insert(&mut tx, &new, app.now()).await?;
    let answer = remembered(once, &mut tx, wire::user(&user)).await?;
    tell(app, &mut tx, "create_user", caller, &user, origin).await?;
    tx.commit().await?;
    Ok(answer)
}

/// An account, for who may see it.
///
/// # Errors
/// USER_NOT_FOUND.
pub(crate) async fn get(app: &App, caller: &Caller, id: i64) -> Result<User, Fault> {
    let user = store::users::by_id(&app.db, id)
        .await?
        .ok_or_else(|| not_found(id))?;
    Viewer::of(caller).see(&user)?;
    Ok(user)
}

/// A page of the accounts that the caller may see, and the token of the next one.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn list(
    app: &App,
    caller: &Caller,
    filter: Filter<'_>,
    order: Order,
    page: &Page,
) -> Result<(Vec<User>, String), Fault> {
    let viewer = Viewer::of(caller);
    let filter = Filter {
        created_by: viewer.only_made_by(),
        ..filter
    };
    store::user_list::page(&app.db, &filter, order, page).await
}

/// Changes the names of an account. Those that it has already change nothing.
///
/// # Errors
/// RATE_LIMITED after many changes of one's own account. USER_NOT_FOUND, ROLE_DENIED for a service whose customer is one no more, ETAG_MISMATCH, FIELD_INVALID when no name
/// would be left, USERNAME_TAKEN, EMAIL_TAKEN. For people also SCOPE_DENIED, when the token has a scope and the email
/// address changes or the account is no customer's, and FRESH_TOKEN_REQUIRED, when it is old and the address changes:
/// whoever has the address can have the password mailed anew.
pub(crate) async fn rename(
    app: &App,
    caller: &Caller,
    id: i64,
    change: &NameChange,
    etag: &str,
    origin: &Origin,
) -> Result<User, Fault> {
    let mut tx = app.db.begin().await?;
    attempt::own_change(app, &mut tx, caller, id).await?;
    let user = held(&mut tx, caller, id, etag).await?;
    if !change.touches(&user) {
        return Ok(user);
    }
    if change.touches_email(&user) {
        step_up::whole_and_fresh(app, caller)?;
    } else if user.role != Role::Customer {
        step_up::whole(caller)?;
    }
    if change.leaves_nameless(&user) {
        return Err(Fault::field(
            "user",
            "a user name or an email address must remain",
        ));
    }
    let user = store::users::rename(&mut tx, id, change, app.now()).await?;
    tell(app, &mut tx, "update_user", caller, &user, origin).await?;
    tx.commit().await?;
    Ok(user)
}

/// Deletes an account for good.
///
/// # Errors
/// USER_NOT_FOUND, ROLE_DENIED for a service whose customer is one no more, ETAG_MISMATCH, LAST_ADMIN.
pub(crate) async fn delete(
    app: &App,
    caller: &Caller,
    id: i64,
    etag: &str,
    origin: &Origin,
) -> Result<(), Fault> {
    let mut tx = app.db.begin().await?;
    let user = held(&mut tx, caller, id, etag).await?;
    store::users::leave_an_admin(&mut tx, &user).await?;
    store::users::delete(&mut tx, id).await?;
    tell(app, &mut tx, "delete_user", caller, &user, origin).await?;
    tx.commit().await?;
    Ok(())
}

/// Gives an account another role, and ends its sessions and tokens. The role that it has already changes nothing.
///
/// # Errors
/// USER_NOT_FOUND, ETAG_MISMATCH, LAST_ADMIN, REQUEST_ID_REUSED.
pub(crate) async fn set_role(
    app: &App,
    caller: &Caller,
    role: Role,
    request: pb::SetUserRoleRequest,
    origin: &Origin,
) -> Result<pb::User, Fault> {
    let (request_id, body) = wire::without_id(request, |request| &mut request.request_id);
    let mut tx = app.db.begin().await?;
    let mut once = app
        .idempotency
        .claim(&mut tx, &caller.key(), "SetUserRole", &request_id, &body)
        .await?;
    if let Some(mut answer) = once.replay() {
        if let Some(user) = store::users::in_tx(&mut tx, body.id).await? {
            Naming::take(&mut wire::user(&user)).put(&mut answer);
        }
        return Ok(answer);
    }
    let mut user = held(&mut tx, caller, body.id, &body.etag).await?;
    let changes = user.role != role;
    if changes {
        // A new role is never `admin` here when the old one was.
        store::users::leave_an_admin(&mut tx, &user).await?;
        let now = app.now();
        user = store::users::set_role(&mut tx, user.id, role, now).await?;
        store::sessions::end_all(&mut tx, user.id, "", EndReason::RoleChanged, now).await?;
    }
    let answer = remembered(once, &mut tx, wire::user(&user)).await?;
    if changes {
        tell(app, &mut tx, "set_user_role", caller, &user, origin).await?;
    }
    tx.commit().await?;
    Ok(answer)
}

/// The answer, remembered without what names the person.
pub(super) async fn remembered(
    once: Claim<pb::User>,
    tx: &mut Tx,
    mut answer: pb::User,
) -> Result<pb::User, Fault> {
    let naming = Naming::take(&mut answer);
    once.record(tx, &answer).await?;
    naming.put(&mut answer);
    Ok(answer)
}

/// The account, locked, for who may change it at this revision.
pub(super) async fn held(tx: &mut Tx, caller: &Caller, id: i64, etag: &str) -> Result<User, Fault> {
    let user = store::users::lock(tx, id)
        .await?
        .ok_or_else(|| not_found(id))?;
    Viewer::of(caller).change(&user)?;
    Etag::check(etag, user.revision)?;
    Ok(user)
}

pub(super) async fn tell(
    app: &App,
    tx: &mut Tx,
    what: &'static str,
    caller: &Caller,
    user: &User,
    origin: &Origin,
) -> Result<(), Fault> {
    let event = Event {
        what,
        actor: &caller.key(),
        subject: Some(user.id),
        session: caller.session().unwrap_or_default(),
        ..Event::default()
    };
    event.done(tx, app, origin).await
}
