//! What a token says, and whether it is good now (RFC 7662).

use millgate_guard::{Caller, Claims, Refusal};
use millgate_platform::{Fault, Reason};

use crate::app::App;
use crate::domain::Viewer;
use crate::{standing, store};

/// What became of a token that was looked at.
pub(crate) enum Introspection {
    /// Good: what it says, and the person's user name.
    Active(Box<Claims>, String),
    /// Not good, and why.
    Inactive(&'static str),
}

/// Looks at a token. Services, who need the scope, and administrators may ask about any; a person about their own
/// only: another's good token is to them like one that nobody made.
///
/// # Errors
/// STORE_UNAVAILABLE. A bad token is no error.
pub(crate) async fn introspect(
    app: &App,
    caller: &Caller,
    token: &str,
) -> Result<Introspection, Fault> {
    let claims = match app.verifier.verify(token) {
        Ok(claims) => claims,
        Err(fault) => return Ok(Introspection::Inactive(fault.reason().as_str())),
    };
    if matches!(Viewer::of(caller), Viewer::Person(_)) && claims.subject != caller.subject() {
        return Ok(Introspection::Inactive(Refusal::TokenInvalid.as_str()));
    }
    match standing::check(app, &claims).await {
        Ok(()) => {
            let username = username(app, &claims).await?;
            Ok(Introspection::Active(Box::new(claims), username))
        }
        Err(fault) if matches!(fault.reason(), Reason::TokenRevoked | Reason::SessionEnded) => {
            Ok(Introspection::Inactive(fault.reason().as_str()))
        }
        Err(fault) => Err(fault),
    }
}

async fn username(app: &App, claims: &Claims) -> Result<String, Fault> {
    let Some(id) = claims
        .role
        .as_ref()
        .and_then(|_| claims.subject.parse().ok())
    else {
        return Ok(String::new());
    };
    let user = store::users::by_id(&app.db, id).await?;
    Ok(user.and_then(|user| user.username).unwrap_or_default())
}
