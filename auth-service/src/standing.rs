//! The standing of who calls: the guard has verified what the token says; whether that is still so is read from the
//! store, at every call. The other services learn of it by revocations; this one knows at once.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use millgate_guard::{Caller, Claims};
use millgate_platform::{Fault, Reason};
use tonic::Status;

use crate::app::App;
use crate::domain::{Session, UserState};
use crate::store;

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
        if let Err(fault) = check(&app, caller.claims()).await {
            return Status::from(fault).into_http();
        }
        request.extensions_mut().insert(GoodStanding(()));
    }
    next.run(request).await
}

/// Lets through claims that are still so.
///
/// # Errors
/// SESSION_ENDED when a person's session, or the personal access token that stands for one, is over; TOKEN_REVOKED when the account is gone or disabled, has another role
/// or a newer generation, or the service account is gone or disabled, or was disabled since.
pub(crate) async fn check(app: &App, claims: &Claims) -> Result<(), Fault> {
    match (&claims.role, &claims.session, claims.generation) {
        (Some(role), Some(session), Some(generation)) => {
            // The verifier has made sure that a person's subject is a number.
            let id = claims.subject.parse().map_err(|_| revoked())?;
            person(app, id, role, session, generation).await
        }
        _ => {
            let issued = claims.issued_at.saturating_mul(1_000_000);
            if store::standing::service_stands(&app.db, &claims.subject, issued).await? {
                Ok(())
            } else {
                Err(revoked())
            }
        }
    }
}

async fn person(
    app: &App,
    id: i64,
    role: &str,
    session: &str,
    generation: i64,
) -> Result<(), Fault> {
    let now = app.now();
    let row = store::standing::person(&app.db, id, session, now)
        .await?
        .ok_or_else(revoked)?;
    if row.state != UserState::Active.as_str() || row.role != role || row.generation != generation {
        return Err(revoked());
    }
    let lives = |session: Session| session.lives(now, app.sessions);
    if row.access_token_lives || row.session(session, id).is_some_and(lives) {
        Ok(())
    } else {
        Err(session_ended())
    }
}

/// The answer for whatever belongs to a session that is over.
pub(crate) fn session_ended() -> Fault {
    Fault::new(Reason::SessionEnded, "the session has ended")
}

/// The answer for a token that a change of its account has made worthless.
pub(crate) fn revoked() -> Fault {
    Fault::new(Reason::TokenRevoked, "the token was revoked")
}
