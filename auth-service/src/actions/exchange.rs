//! A service acts for a person.

use millgate_guard::{Caller, Scopes};
use millgate_platform::{Fault, Reason};

use crate::app::App;
use crate::audit::Event;
use crate::domain::{Delegation, delegation_denied};
use crate::origin::Origin;
use crate::standing;
use crate::tokens::AccessToken;

/// Trades a person's access token for one by which the caller, a service, acts for them.
///
/// # Errors
/// DELEGATION_DENIED.
pub(crate) async fn exchange(
    app: &App,
    caller: &Caller,
    subject_token: &str,
    asked: Option<&Scopes>,
    origin: &Origin,
) -> Result<(AccessToken, Scopes), Fault> {
    let client_id = caller.subject();
    let event = |cause| Event {
        what: "exchange_token",
        cause,
        client_id,
        ..Event::default()
    };
    let actor = caller.key();
    let subject = app.verifier.identify(subject_token).map_err(|fault| {
        let cause = fault.reason().as_str();
        let event = Event {
            actor: &actor,
            ..event(cause)
        };
        event.refused(app, origin);
        delegation_denied(cause)
    })?;
    let claims = subject.claims();
    let event = |cause| Event {
        actor: &actor,
        subject: claims
            .role
            .as_ref()
            .and_then(|_| claims.subject.parse().ok()),
        session: claims.session.as_deref().unwrap_or_default(),
        ..event(cause)
    };
    // Its own token is as bad a subject as any: what the database says comes before what could be traded.
    match standing::check(app, &subject).await {
        Ok(_) => {}
        Err(fault) if matches!(fault.reason(), Reason::TokenRevoked | Reason::SessionEnded) => {
            event(fault.reason().as_str()).refused(app, origin);
            return Err(delegation_denied(fault.reason().as_str()));
        }
        Err(fault) => return Err(fault),
    }
    // A service without scopes does not get here: the rule asks for one.
    let held = caller
        .scope()
        .ok_or_else(|| delegation_denied("no_scope_is_shared"))?;
    let Delegation { scopes, actors } = Delegation::decide(claims, client_id, held, asked)
        .inspect_err(|_| event("not_delegable").refused(app, origin))?;
    event("").noted(app, origin);
    Ok((app.mint.delegated(claims, &scopes, actors), scopes))
}
