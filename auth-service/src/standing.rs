//! The standing of who calls: the guard has verified what the token says; whether that is still so is read from the
//! store, at every call. The other services learn of it by revocations; this one knows at once.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use millgate_guard::{Caller, Revocations as _};
use millgate_platform::{Fault, Reason};
use tonic::Status;

use crate::app::App;
use crate::domain::{Micros, Session, UserState};
use crate::store;
use crate::store::standing::Asked;

/// In the extensions of a request whose caller's standing was found good. Only [`layer`] makes one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GoodStanding(());

/// Stands before every handler, behind the guard. A call to a public method has no caller and passes.
pub(crate) async fn layer(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(caller) = request.extensions().get::<Caller>().cloned() {
        if let Err(fault) = check(&app, &caller).await {
            return Status::from(fault).into_http();
        }
        request.extensions_mut().insert(GoodStanding(()));
    }
    next.run(request).await
}

/// What stands behind a token that is still good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    /// A session of a person, which ends at this time at the latest.
    Session(Micros),
    /// A personal access token, which ends at this time at the latest.
    AccessToken(Micros),
    /// A service account.
    ServiceAccount,
}

/// Lets through whose token was signed with a key that nobody has taken away, and whose claims are still so. Also for a
/// token in the body of a call, whose key no guard has looked at.
///
/// # Errors
/// SESSION_ENDED when a person's session, or the personal access token that stands for one, is over; TOKEN_REVOKED when
/// the account is gone or disabled, has another role or a newer generation, when a service account (the subject, or one
/// that acts for it) is gone or disabled, or was disabled since, and when the token itself or its key was revoked.
pub(crate) async fn check(app: &App, caller: &Caller) -> Result<Ground, Fault> {
    key_stands(app, caller)?;
    let claims = caller.claims();
    let asked = Asked {
        jti: &claims.token_id,
        issued: claims.issued_at.saturating_mul(1_000_000),
        actors: &claims.actors,
        now: app.now(),
    };
    match (&claims.role, &claims.session, claims.generation) {
        (Some(role), Some(session), Some(generation)) => {
            // The verifier has made sure that a person's subject is a number.
            let id = claims.subject.parse().map_err(|_| revoked())?;
            let row = store::standing::person(&app.db, id, session, &asked)
                .await?
                .ok_or_else(revoked)?;
            let same = row.state == UserState::Active.as_str()
                && row.role == *role
                && row.generation == generation;
            if !same || row.is_revoked || row.standing_actors != different(&claims.actors) {
                return Err(revoked());
            }
            let lives = |session: &Session| session.lives(asked.now, app.sessions);
            match (row.access_token_end, row.session(session, id).filter(lives)) {
                (Some(end), _) => Ok(Ground::AccessToken(end)),
                (None, Some(session)) => Ok(Ground::Session(session.end(app.sessions))),
                (None, None) => Err(session_ended()),
            }
        }
        // Nobody acts for a service: such a token is not issued, and would not be checked here.
        _ if claims.actors.is_empty()
            && store::standing::service_stands(&app.db, &claims.subject, &asked).await? =>
        {
            Ok(Ground::ServiceAccount)
        }
        _ => Err(revoked()),
    }
}

/// Lets through a token whose key is still one. A replica with a key file of its own may have one that was removed
/// elsewhere.
///
/// # Errors
/// TOKEN_REVOKED.
pub(crate) fn key_stands(app: &App, caller: &Caller) -> Result<(), Fault> {
    match app.trust.known.refuses_key(caller.key_id()) {
        None => Ok(()),
        Some(_) => Err(revoked()),
    }
}

/// How many different ones these are: an actor may act through another and again itself.
fn different(actors: &[String]) -> i64 {
    let mut names: Vec<&String> = actors.iter().collect();
    names.sort_unstable();
    names.dedup();
    i64::try_from(names.len()).unwrap_or(i64::MAX)
}

/// The answer for whatever belongs to a session that is over.
pub(crate) fn session_ended() -> Fault {
    Fault::new(Reason::SessionEnded, "the session has ended")
}

/// The answer for a token that a change of its account has made worthless.
pub(crate) fn revoked() -> Fault {
    Fault::new(Reason::TokenRevoked, "the token was revoked")
}
