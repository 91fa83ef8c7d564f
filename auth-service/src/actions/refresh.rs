//! A refresh token is traded for its successor.

use millgate_platform::{Fault, Reason, Tx};

use super::Issued;
use crate::app::App;
use crate::audit::Event;
use crate::domain::{EndReason, Presented, RefreshToken, Session, User, UserState, Verdict};
use crate::origin::Origin;
use crate::standing::session_ended;
use crate::store::{self, refresh_tokens::Held};

/// Trades a refresh token. The role is read again, so the new access token has today's.
///
/// # Errors
/// REFRESH_INVALID for an unknown token, SESSION_ENDED for one whose session is over, REFRESH_REUSED for one that was
/// used before: its session is then ended.
pub(crate) async fn refresh(
    app: &App,
    token: &RefreshToken,
    origin: &Origin,
) -> Result<Issued, Fault> {
    let mut tx = app.db.begin().await?;
    let held = store::refresh_tokens::hold_session(&mut tx, token)
        .await?
        .ok_or_else(unknown)?;
    // Read after the session was taken, so nobody who ends it can come between here and the commit.
    let user = store::users::in_tx(&mut tx, held.session.user_id)
        .await?
        .ok_or_else(unknown)?;
    let child = token.child(&app.refresh_keys, &held.session.id);
    let used = store::refresh_tokens::look_up(&mut tx, &held, token, &child)
        .await?
        .ok_or_else(unknown)?;
    let now = app.now();
    let presented = Presented {
        session_lives: held.session.lives(now, app.sessions) && user.state == UserState::Active,
        used_time: used.used_time,
        child_is_unused: used.child_is_unused,
    };
    match presented.judge(now) {
        Verdict::Ended => Err(session_ended()),
        Verdict::Repeat => Ok(Issued::new(app, &user, &held.session, &child)),
        Verdict::Reused => {
            let ended = &held.session;
            store::sessions::end_held(&mut tx, ended, EndReason::RefreshReused, now).await?;
            tell_reuse(app, &mut tx, ended, origin).await?;
            tx.commit().await?;
            Err(Fault::new(
                Reason::RefreshReused,
                "the refresh token was used before; the session has ended",
            ))
        }
        Verdict::Rotate => rotate(app, tx, &user, &held, token, &child).await,
    }
}

async fn rotate(
    app: &App,
    mut tx: Tx,
    user: &User,
    held: &Held,
    token: &RefreshToken,
    child: &RefreshToken,
) -> Result<Issued, Fault> {
    let now = app.now();
    store::refresh_tokens::use_up(&mut tx, token, now).await?;
    store::refresh_tokens::insert(&mut tx, child, &held.session.id, now).await?;
    store::refresh_tokens::count_up(&mut tx, held, now).await?;
    tx.commit().await?;
    Ok(Issued::new(app, user, &held.session, child))
}

/// Two parties have the token, and one of them is a thief: the strongest sign of theft that there is.
async fn tell_reuse(
    app: &App,
    tx: &mut Tx,
    session: &Session,
    origin: &Origin,
) -> Result<(), Fault> {
    let event = Event {
        what: "refresh",
        cause: "reused",
        subject: Some(session.user_id),
        session: &session.id,
        ..Event::default()
    };
    event.refused_in(tx, app, origin).await
}

fn unknown() -> Fault {
    Fault::new(Reason::RefreshInvalid, "the refresh token is not valid")
}
