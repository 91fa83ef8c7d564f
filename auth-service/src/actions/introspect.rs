//! What a token says, and whether it is good now (RFC 7662).

use millgate_guard::{Caller, Claims, Refusal};
use millgate_platform::{Fault, Reason};

use crate::app::App;
use crate::domain::Viewer;
use crate::standing::{self, Ground};
use crate::store;

/// What became of a token that was looked at.
pub(crate) enum Introspection {
    /// Good.
    Active(Box<Active>),
    /// Not good, and why.
    Inactive(&'static str),
}

/// A token that is good now.
pub(crate) struct Active {
    /// What it says.
    pub(crate) claims: Claims,
    /// The person's user name.
    pub(crate) username: String,
    /// What stands behind it.
    pub(crate) ground: Ground,
}

/// Looks at a token. Services, who need the scope, and administrators may ask about any; a person about their own
/// only: another's token, good or over, is to them like one that nobody made.
///
/// # Errors
/// STORE_UNAVAILABLE. A bad token is no error.
pub(crate) async fn introspect(
    app: &App,
    caller: &Caller,
    token: &str,
) -> Result<Introspection, Fault> {
    let may_hear = |claims: &Claims| match Viewer::of(caller) {
        Viewer::Admin | Viewer::Service(_) => true,
        Viewer::Person(_) => claims.subject == caller.subject(),
    };
    let holder = match app.verifier.identify(token) {
        Ok(holder) if may_hear(holder.claims()) => holder,
        Err(fault)
            if app
                .verifier
                .read_signed(token)
                .is_ok_and(|it| may_hear(&it)) =>
        {
            return Ok(Introspection::Inactive(fault.reason().as_str()));
        }
        // What was not well signed says nothing about whose it is, and nobody but its maker would learn from more.
        Ok(_) | Err(_) => return Ok(Introspection::Inactive(Refusal::TokenInvalid.as_str())),
    };
    match standing::check(app, &holder).await {
        Ok(ground) => {
            let claims = holder.claims().clone();
            let username = username(app, &claims).await?;
            Ok(Introspection::Active(Box::new(Active {
                claims,
                username,
                ground,
            })))
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
