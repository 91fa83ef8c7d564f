//! Whoever calls a guarded server from outside, over the wire.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod desk;
mod streams_end;

use std::sync::Arc;
use std::time::Duration;

use desk::call::call;
use desk::{Desk, NOW};
use millgate_guard::testing::Defect;
use millgate_guard::{Claims, Refusal, Revocations};
use tonic::Code;
use tonic_types::StatusExt as _;

fn unauthenticated(reason: &str) -> (Code, String) {
    (Code::Unauthenticated, reason.to_owned())
}

fn denied(reason: &str) -> (Code, String) {
    (Code::PermissionDenied, reason.to_owned())
}

const READ: &str = "/test.desk.v1.DeskService/Read";
const WRITE: &str = "/test.desk.v1.DeskService/Write";
const SIGN: &str = "/test.desk.v1.DeskService/Sign";
const BURN: &str = "/test.desk.v1.DeskService/Burn";
const SYNC: &str = "/test.desk.v1.DeskService/Sync";
const FORGOTTEN: &str = "/test.desk.v1.DeskService/Forgotten";

/// What nobody serves, or serves without having said so.
const UNSERVED: [&str; 16] = [
    "/test.desk.v1.DeskService/Unknown",
    "/test.desk.v1.Unknown/Read",
    "/test.desk.v1.CellarService/Open",
    "/test.desk.v1.AtticService/Read",
    "/",
    "/test.desk.v1.DeskService/Read/",
    // Other spellings of what is open or served.
    "/test.desk.v1.DeskService/%52ead",
    "/test.desk.v1.DeskService/Read%00",
    "/test.desk.v1.DeskService/Read;x",
    "/test.desk.v1.DeskService/read",
    "/TEST.desk.v1.DeskService/Read",
    "//test.desk.v1.DeskService/Read",
    "/test.desk.v1.DeskService//Read",
    "/test.desk.v1.DeskService/Read/../Write",
    "/test.desk.v1.DeskService%2FRead",
    "/grpc.health.v1.Health/../test.desk.v1.DeskService/Write",
];

#[tokio::test]
async fn a_good_token_is_admitted_and_names_the_caller() {
    let desk = Desk::start().await;
    let (admin, service) = (
        desk.issuer.user(7, "admin").bearer(),
        desk.issuer.service("factory", "desk.sync").bearer(),
    );
    for path in [WRITE, SIGN, BURN] {
        assert_eq!(
            call(path).with(&admin).to(&desk).await.unwrap(),
            "user:7",
            "{path}"
        );
    }
    assert_eq!(
        call(SYNC).with(&service).to(&desk).await.unwrap(),
        "service:factory"
    );
}

#[tokio::test]
async fn a_public_method_does_not_look_at_the_token() {
    let desk = Desk::start().await;
    let forged = desk
        .issuer
        .user(7, "admin")
        .defect(Defect::ForeignKey)
        .bearer();
    assert_eq!(call(READ).to(&desk).await.unwrap(), "hello");
    assert_eq!(call(READ).with(&forged).to(&desk).await.unwrap(), "hello");
    let twice = call(READ).with(&forged).with("Basic x");
    assert_eq!(twice.to(&desk).await.unwrap(), "hello");
}

#[tokio::test]
async fn without_a_token_every_path_answers_the_same() {
    let desk = Desk::start().await;
    for path in [WRITE, SIGN, BURN, SYNC, FORGOTTEN].iter().chain(&UNSERVED) {
        assert_eq!(
            call(path).refused_by(&desk).await,
            unauthenticated("TOKEN_MISSING"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn with_a_bad_token_every_path_answers_the_same() {
    let desk = Desk::start().await;
    let forged = desk
        .issuer
        .user(7, "admin")
        .defect(Defect::ForeignKey)
        .bearer();
    for path in [WRITE, SIGN, BURN, SYNC, FORGOTTEN].iter().chain(&UNSERVED) {
        let refused = call(path).with(&forged).refused_by(&desk).await;
        assert_eq!(refused, unauthenticated("TOKEN_INVALID"), "{path}");
    }
}

#[tokio::test]
async fn what_nobody_serves_is_unimplemented_for_a_good_token() {
    let desk = Desk::start().await;
    let admin = desk.issuer.user(7, "admin").bearer();
    for path in UNSERVED {
        let (code, _) = call(path).with(&admin).refused_by(&desk).await;
        assert_eq!(code, Code::Unimplemented, "{path}");
    }
}

#[tokio::test]
async fn a_served_method_without_a_rule_is_shut_for_everybody() {
    let desk = Desk::start().await;
    for bearer in [
        desk.issuer.user(7, "admin").bearer(),
        desk.issuer.service("factory", "desk.sync").bearer(),
    ] {
        let refused = call(FORGOTTEN).with(bearer).refused_by(&desk).await;
        assert_eq!(refused, denied("POLICY_MISSING"));
    }
}

#[tokio::test]
async fn health_is_open_and_only_its_own_methods_are() {
    let desk = Desk::start().await;
    let health = call("/grpc.health.v1.Health/Check").to(&desk).await;
    // The request names a service "hello" that has no health of its own: it was asked, though.
    assert_eq!(health.unwrap_err().code(), Code::NotFound);
    let other = call("/grpc.health.v1.Health/Shutdown")
        .refused_by(&desk)
        .await;
    assert_eq!(other, unauthenticated("TOKEN_MISSING"));
}

#[tokio::test]
async fn another_verb_a_query_and_another_content_type_are_refused() {
    let desk = Desk::start().await;
    let admin = desk.issuer.user(7, "admin").bearer();
    let malformed = (Code::InvalidArgument, "MESSAGE_MALFORMED".to_owned());
    for path in [READ, WRITE] {
        for verb in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let mut call = call(path).with(&admin);
            call.verb = verb;
            assert_eq!(call.refused_by(&desk).await, malformed, "{verb} {path}");
        }
        let query = format!("{path}?x=1");
        assert_eq!(call(&query).with(&admin).refused_by(&desk).await, malformed);
        for content_type in [
            "application/json",
            "application/grpc-web",
            "application/grpc+json",
        ] {
            let mut call = call(path).with(&admin);
            call.content_type = content_type;
            let refused = (Code::InvalidArgument, "CONTENT_TYPE".to_owned());
            assert_eq!(
                call.refused_by(&desk).await,
                refused,
                "{content_type} {path}"
            );
        }
    }
    let mut proto = call(WRITE).with(&admin);
    proto.content_type = "application/grpc+proto";
    assert_eq!(proto.to(&desk).await.unwrap(), "user:7");
}

#[tokio::test]
async fn two_authorization_entries_are_refused_even_if_both_are_good() {
    let desk = Desk::start().await;
    let admin = desk.issuer.user(7, "admin").bearer();
    let twice = call(WRITE).with(&admin).with(&admin);
    assert_eq!(
        twice.refused_by(&desk).await,
        unauthenticated("TOKEN_INVALID")
    );
    let joined = call(WRITE).with(format!("{admin}, {admin}"));
    assert_eq!(
        joined.refused_by(&desk).await,
        unauthenticated("TOKEN_INVALID")
    );
}

/// A good token anywhere but in its one entry is none.
#[tokio::test]
async fn a_token_in_another_place_is_missing() {
    let desk = Desk::start().await;
    let admin = desk.issuer.user(7, "admin").bearer();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &admin);
    for call in [
        call(WRITE).trailer("authorization", &admin),
        call(WRITE).header("authorization-bin", encoded),
        call(WRITE).header("proxy-authorization", &admin),
        call(WRITE).header("x-authorization", &admin),
        call(WRITE).header("cookie", format!("authorization={admin}")),
        call(WRITE).header("access_token", &admin),
    ] {
        assert_eq!(
            call.refused_by(&desk).await,
            unauthenticated("TOKEN_MISSING")
        );
    }
    // Nor does it speak for somebody else's.
    let customer = desk.issuer.user(8, "customer").bearer();
    let both = call(WRITE).with(customer).trailer("authorization", &admin);
    assert_eq!(both.to(&desk).await.unwrap(), "user:8");
}

#[tokio::test]
async fn no_credential_another_scheme_and_an_empty_one_are_missing() {
    let desk = Desk::start().await;
    let token = desk.issuer.user(7, "admin").token();
    for authorization in [
        "",
        "Bearer",
        "Basic dTpw",
        &format!("Token {token}"),
        &token,
    ] {
        let refused = call(WRITE).with(authorization).refused_by(&desk).await;
        assert_eq!(refused, unauthenticated("TOKEN_MISSING"), "{authorization}");
    }
    let lower = call(WRITE).with(format!("bearer {token}"));
    assert_eq!(lower.to(&desk).await.unwrap(), "user:7");
}

#[tokio::test]
async fn every_defect_is_refused() {
    let desk = Desk::start().await;
    for defect in Defect::ALL {
        let told = match defect {
            Defect::WrongType => "TOKEN_WRONG_TYPE",
            _ => "TOKEN_INVALID",
        };
        let broken = desk.issuer.user(7, "admin").defect(defect).bearer();
        let refused = call(WRITE).with(broken).refused_by(&desk).await;
        assert_eq!(refused, unauthenticated(told), "{defect:?}");
    }
}

#[tokio::test]
async fn a_token_has_its_time() {
    let desk = Desk::start().await;
    let bearer = desk.issuer.user(7, "admin").bearer();
    assert!(call(WRITE).with(&bearer).to(&desk).await.is_ok());
    desk.clock.advance(Duration::from_secs(900));
    let refused = call(WRITE).with(&bearer).refused_by(&desk).await;
    assert_eq!(refused, unauthenticated("TOKEN_EXPIRED"));
    desk.clock.set((NOW - 6) * 1_000_000);
    let refused = call(WRITE).with(&bearer).refused_by(&desk).await;
    assert_eq!(refused, unauthenticated("TOKEN_NOT_YET_VALID"));
}

#[tokio::test]
async fn refusals_come_in_the_order_of_kind_role_scope_freshness() {
    let desk = Desk::start().await;
    let old = Duration::from_secs(61);
    let issuer = &desk.issuer;
    for (bearer, refusal) in [
        (
            issuer.service("factory", "x").bearer(),
            denied("PRINCIPAL_KIND_DENIED"),
        ),
        (
            issuer.user(7, "user").scope("x").proved_ago(old).bearer(),
            denied("ROLE_DENIED"),
        ),
        (
            issuer.user(7, "admin").scope("x").proved_ago(old).bearer(),
            denied("SCOPE_DENIED"),
        ),
        (
            issuer
                .user(7, "admin")
                .scope("desk.burn")
                .proved_ago(old)
                .bearer(),
            unauthenticated("FRESH_TOKEN_REQUIRED"),
        ),
    ] {
        assert_eq!(call(BURN).with(bearer).refused_by(&desk).await, refusal);
    }
    let person = issuer.user(7, "admin").scope("desk.sync").bearer();
    let refused = call(SYNC).with(person).refused_by(&desk).await;
    assert_eq!(refused, denied("PRINCIPAL_KIND_DENIED"));
}

#[tokio::test]
async fn an_unscoped_rule_is_never_passed_by_a_scoped_or_a_service_token() {
    let desk = Desk::start().await;
    for bearer in [
        desk.issuer.user(7, "admin").scope("desk.sign").bearer(),
        desk.issuer
            .service("factory", "desk.sign desk.write")
            .bearer(),
        desk.issuer.service("factory", "").bearer(),
    ] {
        let refused = call(WRITE).with(bearer).refused_by(&desk).await;
        assert_eq!(refused, denied("SCOPE_DENIED"));
    }
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let desk = Desk::start().await;
    let bearer = desk.issuer.service("factory", "desk.read").bearer();
    let status = call(SIGN).with(bearer).to(&desk).await.unwrap_err();
    assert_eq!(
        status.get_details_error_info().unwrap().metadata["scope"],
        "desk.sign"
    );
}

#[tokio::test]
async fn an_unknown_role_grants_nothing() {
    let desk = Desk::start().await;
    let emperor = desk.issuer.user(7, "emperor").bearer();
    assert_eq!(
        call(SIGN).with(&emperor).refused_by(&desk).await,
        denied("ROLE_DENIED")
    );
    assert_eq!(
        call(WRITE).with(&emperor).to(&desk).await.unwrap(),
        "user:7"
    );
}

struct Revoked;

impl Revocations for Revoked {
    fn refuses(&self, claims: &Claims) -> Option<Refusal> {
        match claims.subject.as_str() {
            "1" => Some(Refusal::TokenRevoked),
            "2" => Some(Refusal::SessionEnded),
            "3" => Some(Refusal::RevocationUnavailable),
            _ => None,
        }
    }
}

#[tokio::test]
async fn revocations_are_told_only_of_good_tokens() {
    let desk = Desk::start_with(|guard| guard.with_revocations(Arc::new(Revoked))).await;
    for (id, refusal) in [
        (1, unauthenticated("TOKEN_REVOKED")),
        (2, unauthenticated("SESSION_ENDED")),
        (3, (Code::Unavailable, "REVOCATION_UNAVAILABLE".to_owned())),
    ] {
        let draft = desk.issuer.user(id, "admin");
        assert_eq!(
            call(WRITE).with(draft.bearer()).refused_by(&desk).await,
            refusal
        );
        assert_eq!(
            call(UNSERVED[0])
                .with(draft.bearer())
                .refused_by(&desk)
                .await,
            refusal
        );
        let expired = call(WRITE).with(draft.clone().expired().bearer());
        assert_eq!(
            expired.refused_by(&desk).await,
            unauthenticated("TOKEN_EXPIRED")
        );
        let forged = call(WRITE).with(draft.defect(Defect::ForeignKey).bearer());
        assert_eq!(
            forged.refused_by(&desk).await,
            unauthenticated("TOKEN_INVALID")
        );
    }
    assert!(
        call(WRITE)
            .with(desk.issuer.user(4, "user").bearer())
            .to(&desk)
            .await
            .is_ok()
    );
}
