//! What people and administrators do with sessions.

use millgate_guard::Caller;
use millgate_platform::{Fault, Page, Reason};

use crate::app::App;
use crate::audit::Event;
use crate::domain::{EndReason, ListedSession, Viewer, not_found};
use crate::origin::Origin;
use crate::standing::revoked;
use crate::store;
use crate::store::session_list::{Filter, Order};

/// A page of the sessions of `user`, or of the caller, and the token of the next one. Only those that live, unless the
/// ended ones are wanted, too.
///
/// # Errors
/// USER_NOT_FOUND for an account that is not there or not the caller's to see.
pub(crate) async fn list(
    app: &App,
    caller: &Caller,
    user: Option<i64>,
    include_ended: bool,
    order: Order,
    page: &Page,
) -> Result<(Vec<ListedSession>, String), Fault> {
    let own = caller.user_id().ok_or_else(revoked)?;
    let user_id = user.unwrap_or(own);
    if user_id != own {
        if Viewer::of(caller) != Viewer::Admin {
            return Err(not_found(user_id));
        }
        store::users::by_id(&app.db, user_id)
            .await?
            .ok_or_else(|| not_found(user_id))?;
    }
    let filter = Filter {
        user_id,
        live_at: (!include_ended).then(|| app.now()),
    };
    store::session_list::page(&app.db, filter, app.sessions, order, page).await
}

/// Ends a session. One that has ended is fine: what was asked for is so.
///
/// # Errors
/// SESSION_NOT_FOUND for one that is not there or not the caller's to end.
pub(crate) async fn revoke(
    app: &App,
    caller: &Caller,
    id: &str,
    origin: &Origin,
) -> Result<(), Fault> {
    let not_found = || Fault::not_found(Reason::SessionNotFound, format_args!("session {id}"));
    let session = store::sessions::by_id(&app.db, id)
        .await?
        .filter(|session| {
            caller.user_id() == Some(session.user_id) || Viewer::of(caller) == Viewer::Admin
        })
        .ok_or_else(not_found)?;
    let (user, now) = (session.user_id, app.now());
    let mut tx = app.db.begin().await?;
    if store::sessions::end(&mut tx, id, user, EndReason::Revoked, now).await? {
        let event = Event {
            what: "revoke_session",
            actor: &caller.key(),
            subject: Some(user),
            session: id,
            ..Event::default()
        };
        event.done(&mut tx, app, origin).await?;
    }
    tx.commit().await
}

/// Ends all sessions of the caller, and every access token of theirs; says how many sessions there were.
///
/// # Errors
/// TOKEN_REVOKED when the account is gone or disabled meanwhile.
pub(crate) async fn log_out_everywhere(
    app: &App,
    caller: &Caller,
    origin: &Origin,
) -> Result<u64, Fault> {
    let id = caller.user_id().ok_or_else(revoked)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    // The account first, and it stays held: whoever logs in meanwhile waits, and then has a session of after.
    if !store::users::raise_generation(&mut tx, id).await? {
        return Err(revoked());
    }
    let ended = store::sessions::end_all(&mut tx, id, "", EndReason::LogoutEverywhere, now).await?;
    let event = Event {
        what: "logout_everywhere",
        actor: &caller.key(),
        subject: Some(id),
        session: caller.session().unwrap_or_default(),
        ..Event::default()
    };
    event.done(&mut tx, app, origin).await?;
    tx.commit().await?;
    Ok(ended)
}
