//! What happens when only part of the guard stands before a handler.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;

use futures::StreamExt as _;
use millgate_guard::testing::{Defect, Issuer, ManualClock, MemoryFeed};
use millgate_guard::{
    Admitted, Anyone, Caller, Claims, Guard, Refusal, Revocations, Rules, StreamToken,
    role_required, token_required,
};
use tonic::service::Interceptor;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

const NOW_MICROS: i64 = 1_790_000_000_000_000;

fn issuer() -> Issuer {
    Issuer::new(ManualClock::shared(NOW_MICROS))
}

fn request(bearer: &str) -> Request<()> {
    let mut request = Request::new(());
    request
        .metadata_mut()
        .insert("authorization", bearer.parse().unwrap());
    request
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

#[test]
fn without_the_guard_a_handler_gets_neither_admitted_nor_anyone() {
    for status in [
        Admitted::of(Request::new(())).unwrap_err(),
        Anyone::of(Request::new(())).unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(reason(&status), "POLICY_MISSING");
    }
}

#[test]
fn the_interceptor_without_the_rule_layer_admits_nobody() {
    let issuer = issuer();
    let mut interceptor = Guard::new(issuer.verifier(), Rules::default()).interceptor();
    let refused = interceptor
        .call(request(&issuer.user(7, "admin").bearer()))
        .unwrap_err();
    assert_eq!(reason(&refused), "POLICY_MISSING");
    let refused = interceptor.call(Request::new(())).unwrap_err();
    assert_eq!(reason(&refused), "TOKEN_MISSING");
}

#[test]
fn token_required_admits_any_person_with_a_good_token() {
    let issuer = issuer();
    let mut interceptor = token_required(issuer.verifier());
    let admitted = interceptor
        .call(request(&issuer.user(7, "customer").bearer()))
        .unwrap();
    let admitted = Admitted::of(admitted).unwrap();
    assert_eq!(admitted.caller.user_id(), Some(7));
    assert!(admitted.caller.has_role("customer"));
    for (bearer, told) in [
        (issuer.user(7, "admin").expired().bearer(), "TOKEN_EXPIRED"),
        (
            issuer.user(7, "admin").defect(Defect::AlgNone).bearer(),
            "TOKEN_INVALID",
        ),
        (issuer.service("factory", "a").bearer(), "SCOPE_DENIED"),
    ] {
        assert_eq!(
            reason(&interceptor.call(request(&bearer)).unwrap_err()),
            told
        );
    }
    let mut scoped = token_required(issuer.verifier()).with_scope("a");
    assert!(
        scoped
            .call(request(&issuer.service("factory", "a b").bearer()))
            .is_ok()
    );
}

#[test]
fn role_required_admits_its_roles_and_without_roles_nobody() {
    let issuer = issuer();
    let mut staff = role_required(issuer.verifier(), ["admin", "user"]);
    let mut nobody = role_required(issuer.verifier(), Vec::<String>::new());
    let (admin, customer) = (
        issuer.user(7, "admin").bearer(),
        issuer.user(7, "customer").bearer(),
    );
    assert!(staff.call(request(&admin)).is_ok());
    assert_eq!(
        reason(&staff.call(request(&customer)).unwrap_err()),
        "ROLE_DENIED"
    );
    assert_eq!(
        reason(&nobody.call(request(&admin)).unwrap_err()),
        "ROLE_DENIED"
    );
}

struct AllRevoked;

impl Revocations for AllRevoked {
    fn refuses(&self, _: &Claims) -> Option<Refusal> {
        Some(Refusal::TokenRevoked)
    }
}

#[test]
fn plain_interceptors_ask_about_revocations_too() {
    let issuer = issuer();
    let mut interceptor = token_required(issuer.verifier()).with_revocations(Arc::new(AllRevoked));
    let refused = interceptor
        .call(request(&issuer.user(7, "admin").bearer()))
        .unwrap_err();
    assert_eq!(reason(&refused), "TOKEN_REVOKED");
}

#[tokio::test]
async fn behind_a_plain_interceptor_a_handler_ends_its_streams_with_the_token() {
    let clock = ManualClock::shared(NOW_MICROS);
    let issuer = Issuer::new(clock.clone());
    let feed = MemoryFeed::new(clock);
    let mut interceptor = token_required(issuer.verifier()).with_revocations(feed.revocations());
    let (one, other) = (issuer.user(7, "user"), issuer.user(8, "user"));
    let mut streams = [&one, &other].map(|draft| {
        let admitted = interceptor.call(request(&draft.bearer())).unwrap();
        let token = admitted.extensions().get::<StreamToken>().unwrap().clone();
        let answers = futures::stream::iter([Ok(1)]).chain(futures::stream::pending());
        Box::pin(token.cut(answers))
    });
    for stream in &mut streams {
        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
    }
    feed.revoke(one.claims());
    let [cut, held] = &mut streams;
    let refused = cut.next().await.unwrap().unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(reason(&refused), "TOKEN_REVOKED");
    assert!(cut.next().await.is_none());
    assert!(futures::poll!(held.next()).is_pending());
}

/// A caller that was verified for an earlier request does not vouch for this one.
#[test]
fn evidence_of_another_request_is_dropped() {
    let issuer = issuer();
    let mut interceptor = token_required(issuer.verifier());
    let admitted = interceptor
        .call(request(&issuer.user(1, "admin").bearer()))
        .unwrap();
    let admin = admitted.extensions().get::<Caller>().unwrap().clone();

    let mut smuggled = request(&issuer.user(7, "customer").bearer());
    smuggled.extensions_mut().insert(admin.clone());
    let caller = Admitted::of(interceptor.call(smuggled).unwrap())
        .unwrap()
        .caller;
    assert_eq!(caller.key(), "user:7");

    let mut without_token = Request::new(());
    without_token.extensions_mut().insert(admin);
    assert!(interceptor.call(without_token).is_err());
}

/// Whoever holds a caller cannot admit another request with it, where no guard stands.
#[test]
fn a_caller_in_the_extensions_is_no_evidence() {
    let issuer = issuer();
    let mut interceptor = token_required(issuer.verifier());
    let bearer = issuer.user(1, "admin").bearer();
    let admitted = Admitted::of(interceptor.call(request(&bearer)).unwrap()).unwrap();

    let mut forged = Request::new(());
    forged.extensions_mut().insert(admitted.caller);
    assert_eq!(reason(&Admitted::of(forged).unwrap_err()), "POLICY_MISSING");
    // Nor with the extensions of the request that was admitted: its evidence was taken.
    let handed_on = Request::from_parts(admitted.metadata, admitted.extensions, ());
    let refused = Admitted::of(handed_on).unwrap_err();
    assert_eq!(reason(&refused), "POLICY_MISSING");
}

#[test]
fn a_caller_tells_what_the_token_said() {
    let issuer = issuer();
    let mut interceptor = token_required(issuer.verifier()).with_scope("a");
    let draft = issuer.user(7, "admin").scope("b a").acting("factory");
    let admitted = Admitted::of(interceptor.call(request(&draft.bearer())).unwrap()).unwrap();
    let caller = admitted.caller;
    assert_eq!(caller.subject(), "7");
    assert_eq!(caller.actor(), Some("factory"));
    assert_eq!(caller.token_id(), draft.claims().token_id);
    assert_eq!(caller.expires_at(), NOW_MICROS / 1_000_000 + 900);
    assert_eq!(caller.auth_time(), Some(NOW_MICROS / 1_000_000));
    assert_eq!(
        caller.scope().map(ToString::to_string).as_deref(),
        Some("a b")
    );
    assert_eq!(caller.session(), Some("session-of-7"));
    let draft = issuer.service("factory", "a");
    let admitted = Admitted::of(interceptor.call(request(&draft.bearer())).unwrap()).unwrap();
    let caller = admitted.caller;
    assert_eq!(caller.key(), "service:factory");
    assert_eq!(
        (caller.user_id(), caller.role(), caller.session()),
        (None, None, None)
    );
    assert!(!caller.has_role(""));
}
