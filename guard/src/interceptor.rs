//! The interceptor: token, then rule, in that order.

use std::sync::Arc;

use tonic::metadata::{Entry, MetadataMap};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::admitted::Pass;
use crate::audit;
use crate::bearer::{self, NoToken};
use crate::caller::Caller;
use crate::refusal::{Details, Refusal};
use crate::revocations::Revocations;
use crate::rules::{Route, Rule};
use crate::stream::{StreamSlot, StreamToken};
use crate::verify::{TokenFault, Verifier};

/// Verifies the token and enforces the rule that the [`crate::RuleLayer`] found. Mount it
/// server-wide, with `tonic::service::InterceptorLayer`, so that it also runs for paths that
/// nobody serves.
#[derive(Clone)]
pub struct GuardInterceptor {
    verifier: Arc<Verifier>,
    revocations: Arc<dyn Revocations>,
}

impl GuardInterceptor {
    pub(crate) fn new(verifier: Arc<Verifier>, revocations: Arc<dyn Revocations>) -> Self {
        Self {
            verifier,
            revocations,
        }
    }
}

impl GuardInterceptor {
    /// Lets a stream live by its caller's token, if this is one.
    fn bind_stream(&self, request: &mut Request<()>, route: Option<Route>, caller: &Caller) {
        let slot = request.extensions_mut().remove::<StreamSlot>();
        if let (Some(slot), Some(Route::Ruled(rule))) = (slot, route) {
            let (verifier, revocations) = (self.verifier.clone(), self.revocations.clone());
            let token = StreamToken::new(caller.clone(), verifier, revocations, rule);
            slot.fill(token.clone());
            request.extensions_mut().insert(token);
        }
    }
}

impl Interceptor for GuardInterceptor {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        hide_credential(&mut request);
        match request.extensions_mut().remove::<Route>() {
            Some(Route::Public) => {
                // Whoever an earlier request left here has not sent this one.
                request.extensions_mut().remove::<Caller>();
                request.extensions_mut().insert(Pass::Public);
            }
            route => {
                let revocations = self.revocations.as_ref();
                let caller = authenticate(&self.verifier, revocations, request.metadata())?;
                permit(route.as_ref(), &caller, self.verifier.clock().now_seconds())?;
                self.bind_stream(&mut request, route, &caller);
                admit(&mut request, caller);
            }
        }
        Ok(request)
    }
}

/// Whether somebody who is known may call what was found under the path.
fn permit(route: Option<&Route>, caller: &Caller, now: i64) -> Result<(), Status> {
    let (refusal, cause) = match route {
        Some(Route::Ruled(rule)) => return authorize(rule, caller, now),
        // Answered here, so that what is mounted but not known to the rules stays shut.
        Some(Route::Unserved) => (Refusal::MethodUnknown, "unserved"),
        Some(Route::Public | Route::Unruled) | None => (Refusal::PolicyMissing, "no_rule"),
    };
    audit::refused(refusal, cause, "", Some(caller));
    Err(refusal.into())
}

impl std::fmt::Debug for GuardInterceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuardInterceptor").finish_non_exhaustive()
    }
}

/// Keeps the credential out of whatever prints the metadata later.
pub(crate) fn hide_credential(request: &mut Request<()>) {
    if let Ok(Entry::Occupied(mut entries)) = request.metadata_mut().entry("authorization") {
        for credential in entries.iter_mut() {
            credential.set_sensitive(true);
        }
    }
}

/// Leaves the evidence for [`crate::Admitted`], and the caller for the layers in between to read,
/// in place of what an earlier request left there.
pub(crate) fn admit(request: &mut Request<()>, caller: Caller) {
    let pass = Pass::Admitted(caller.clone());
    request.extensions_mut().insert(pass);
    request.extensions_mut().insert(caller);
}

/// Who is calling, by the token in the metadata.
pub(crate) fn authenticate(
    verifier: &Verifier,
    revocations: &dyn Revocations,
    metadata: &MetadataMap,
) -> Result<Caller, Status> {
    let token = bearer::find(metadata).map_err(|missing| match missing {
        NoToken::Missing => {
            audit::refused(Refusal::TokenMissing, "missing", "", None);
            Refusal::TokenMissing.into()
        }
        NoToken::Fault(fault) => refuse_token(fault),
    })?;
    identify(verifier, revocations, token)
}

/// Who is calling, if they say so.
pub(crate) fn optional(
    verifier: &Verifier,
    revocations: &dyn Revocations,
    metadata: &MetadataMap,
) -> Result<Option<Caller>, Status> {
    match bearer::find(metadata) {
        Err(NoToken::Missing) => Ok(None),
        _ => authenticate(verifier, revocations, metadata).map(Some),
    }
}

/// Whose token it is, if it is good and nobody has taken it back.
pub(crate) fn identify(
    verifier: &Verifier,
    revocations: &dyn Revocations,
    token: &str,
) -> Result<Caller, Status> {
    let caller = verifier.identify(token).map_err(refuse_token)?;
    let refusal = revocations
        .refuses(caller.claims())
        .or_else(|| revocations.refuses_key(caller.key_id()));
    if let Some(refusal) = refusal {
        audit::refused(refusal, "revoked", "", Some(&caller));
        return Err(refusal.into());
    }
    Ok(caller)
}

fn refuse_token(fault: TokenFault) -> Status {
    let flaw = match fault {
        TokenFault::Malformed(flaw) => flaw,
        _ => "",
    };
    audit::refused(fault.reason(), fault.cause(), flaw, None);
    fault.reason().into()
}

/// Whether the caller may call the method of this rule; the refusal names what was missing.
pub(crate) fn authorize(rule: &Rule, caller: &Caller, now: i64) -> Result<(), Status> {
    rule.admits(caller, now).map_err(|refusal| {
        audit::refused(refusal, "rule", "", Some(caller));
        refusal.with(match (refusal, &rule.scope) {
            (Refusal::ScopeDenied, Some(scope)) => Details::none().metadata("scope", scope),
            _ => Details::none(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admitted::{Admitted, Anyone};
    use crate::guard::Guard;
    use crate::rules::Rules;
    use crate::testing::{Issuer, ManualClock};

    /// A request with an admin's token, whose method has this route.
    fn request(issuer: &Issuer, route: Route) -> Request<()> {
        let bearer = issuer.user(7, "admin").bearer();
        let mut request = Request::new(());
        request
            .metadata_mut()
            .insert("authorization", bearer.parse().unwrap());
        request.extensions_mut().insert(route);
        request
    }

    fn issuer() -> Issuer {
        Issuer::new(ManualClock::shared(1_790_000_000_000_000))
    }

    fn pass(issuer: &Issuer, request: Request<()>) -> Request<()> {
        let mut interceptor = Guard::new(issuer.verifier(), Rules::default()).interceptor();
        interceptor.call(request).unwrap()
    }

    fn ruled() -> Route {
        Route::Ruled(Arc::new(Rule {
            access: crate::rules::Access::Token,
            scope: None,
            fresh_within: None,
            principal: None,
        }))
    }

    /// The one way in which evidence could travel is a process that hands extensions on.
    #[test]
    fn a_public_method_has_no_caller_even_if_one_was_handed_on() {
        let issuer = issuer();
        let admin = Caller::new(issuer.user(7, "admin").claims().clone(), "k".into()).unwrap();
        let handed_on = || {
            let mut request = request(&issuer, Route::Public);
            request.extensions_mut().insert(admin.clone());
            request
                .extensions_mut()
                .insert(Pass::Admitted(admin.clone()));
            pass(&issuer, request)
        };
        assert!(handed_on().extensions().get::<Caller>().is_none());
        assert!(Admitted::of(handed_on()).is_err());
        let anyone = Anyone::of(handed_on()).unwrap();
        // What was taken once is not there a second time.
        let again = Request::from_parts(anyone.metadata, anyone.extensions, ());
        assert!(Anyone::of(again).is_err());
    }

    #[test]
    fn an_admitted_request_does_not_pass_for_a_public_one() {
        let issuer = issuer();
        let handed_on = || {
            let mut request = request(&issuer, ruled());
            request.extensions_mut().insert(Pass::Public);
            pass(&issuer, request)
        };
        assert!(Anyone::of(handed_on()).is_err());
        assert!(Admitted::of(handed_on()).is_ok());
        // The next hop must look up its own rule.
        assert!(handed_on().extensions().get::<Route>().is_none());
    }

    #[test]
    fn the_credential_is_hidden_from_whatever_prints_the_request() {
        let issuer = issuer();
        let token = issuer.user(7, "admin").token();
        let bearer: tonic::metadata::MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
        let mut request = Request::new(());
        request
            .metadata_mut()
            .append("authorization", bearer.clone());
        request.metadata_mut().append("authorization", bearer);
        request.extensions_mut().insert(Route::Public);
        assert!(format!("{request:?}").contains(&token));
        let passed = pass(&issuer, request);
        assert!(!format!("{passed:?}").contains(&token));
    }
}
