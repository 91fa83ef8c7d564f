//! Every pinned answer that is no success.

use crate::support::{Double, Gate};
use millgate_platform::{Fault, Reason};
use serde_json::json;
use std::time::Duration;
use tonic::{Code, Status};

/// A gate before a service that always refuses so.
async fn refusing(status: impl Fn() -> Status + Send + Sync + 'static) -> Gate {
    Gate::before(&Double::refusing(status)).await
}

#[tokio::test]
async fn every_reason_has_its_http_status() {
    for reason in Reason::ALL.iter().copied() {
        let gate = refusing(move || Fault::new(reason, "no").into()).await;
        let answered = gate.signed("GET", "/v1/me").send().await;
        let expected = match (reason.code(), reason.as_str()) {
            (_, "CONTENT_TYPE") => 415,
            (_, "MESSAGE_TOO_LARGE") => 413,
            (Code::Unauthenticated, _) => 401,
            (Code::PermissionDenied, _) => 403,
            (Code::NotFound, _) => 404,
            (Code::InvalidArgument | Code::FailedPrecondition, _) => 400,
            (Code::AlreadyExists | Code::Aborted, _) => 409,
            (Code::ResourceExhausted, _) => 429,
            (Code::Unavailable, _) => 503,
            (Code::DeadlineExceeded | Code::Cancelled, _) => 504,
            (Code::Unimplemented, _) => 501,
            (Code::Internal, _) => 500,
            (code, _) => panic!("{code:?} of {reason:?} is not in the table"),
        };
        answered.expect(expected, reason.as_str());
    }
}

#[tokio::test]
async fn the_body_of_a_refusal_is_as_pinned() {
    let gate = refusing(|| Fault::field("page_size", "must not be negative").into()).await;
    let answered = gate.signed("GET", "/v1/users").send().await;
    let mut json = answered.json();
    let message = json["error"]["message"].take();
    assert!(!message.as_str().unwrap().is_empty());
    let expected = json!({"error": {
        "code": 400, "status": "INVALID_ARGUMENT", "message": null, "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "FIELD_INVALID", "domain": "millgate", "metadata": {}},
            {"@type": "type.googleapis.com/google.rpc.BadRequest",
             "field_violations": [{"field": "page_size", "description": "must not be negative"}]},
        ],
    }});
    assert_eq!(json, expected);
    assert_eq!(answered.header("content-type"), "application/json");
}

#[tokio::test]
async fn throttling_says_when_to_come_back() {
    let gate = refusing(|| {
        let fault = Fault::new(Reason::RateLimited, "slower");
        fault.with_retry_after(Duration::from_millis(1500)).into()
    })
    .await;
    let answered = gate.signed("GET", "/v1/me").send().await;
    answered.expect(429, "RATE_LIMITED");
    assert_eq!(answered.header("retry-after"), "2");
    let details = answered.json()["error"]["details"].clone();
    assert_eq!(
        details[1],
        json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retry_delay": "1.500s"})
    );
}

#[tokio::test]
async fn the_challenge_says_what_was_wrong_with_the_token() {
    let cases = [
        (Reason::TokenExpired, true, "Bearer error=\"invalid_token\""),
        (Reason::TokenMissing, true, "Bearer"),
        (
            Reason::ScopeDenied,
            true,
            "Bearer error=\"insufficient_scope\", scope=\"profile\"",
        ),
        (Reason::RoleDenied, true, ""),
        (Reason::CredentialsInvalid, false, "Bearer"),
    ];
    for (reason, protected, challenge) in cases {
        let gate = refusing(move || Fault::new(reason, "no").into()).await;
        let answered = if protected {
            gate.signed("GET", "/v1/me").send().await
        } else {
            gate.signed("POST", "/login").json("{}").send().await
        };
        assert_eq!(answered.header("www-authenticate"), challenge, "{reason:?}");
    }
}

#[tokio::test]
async fn a_call_without_a_token_is_refused_before_anything_else_is_looked_at() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    let answers = [
        gate.request("GET", "/v1/me").send().await,
        gate.request("POST", "/v1/products").json("{}").send().await,
        gate.request("POST", "/v1/products")
            .json("{ not json")
            .send()
            .await,
        gate.request("POST", "/v1/products")
            .body("text")
            .send()
            .await,
        gate.request("POST", "/v1/products")
            .json(" ".repeat(5 << 20))
            .send()
            .await,
        gate.request("GET", "/v1/users/seven?colour=red")
            .send()
            .await,
        gate.request("GET", "/v1/me")
            .header("authorization", "Basic eDp5")
            .send()
            .await,
        gate.request("GET", "/v1/me")
            .header("authorization", "Bearer ")
            .send()
            .await,
        gate.request("GET", "/v1/me")
            .header("cookie", "token=good")
            .send()
            .await,
        gate.request("GET", "/v1/me")
            .header("accept", "text/html")
            .send()
            .await,
    ];
    for answered in &answers {
        answered.expect(401, "TOKEN_MISSING");
        assert_eq!(answered.header("www-authenticate"), "Bearer");
        assert_eq!(
            answered.body.len(),
            answers[0].body.len(),
            "the answer is always the same"
        );
    }
    assert!(double.seen().is_empty());
}

#[tokio::test]
async fn a_body_must_be_json_and_of_a_bearable_size() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    for kind in [
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/grpc",
        "multipart/form-data",
    ] {
        let answered = gate
            .signed("POST", "/v1/products")
            .header("content-type", kind)
            .body("{}")
            .send()
            .await;
        answered.expect(415, "CONTENT_TYPE");
    }
    gate.signed("POST", "/v1/products")
        .body("{}")
        .send()
        .await
        .expect(415, "CONTENT_TYPE");
    let gzipped = gate
        .signed("POST", "/v1/products")
        .header("content-encoding", "br");
    gzipped.json("{}").send().await.expect(415, "CONTENT_TYPE");

    let too_large = format!("{{\"sku\":\"{}\"}}", "a".repeat(4 << 20));
    gate.signed("POST", "/v1/products")
        .json(too_large)
        .send()
        .await
        .expect(413, "MESSAGE_TOO_LARGE");
    let chunks =
        futures::stream::iter((0..80).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 16])));
    let endless = gate
        .signed("POST", "/v1/products")
        .header("content-type", "application/json");
    endless
        .body(reqwest::Body::wrap_stream(chunks))
        .send()
        .await
        .expect(413, "MESSAGE_TOO_LARGE");
    let many = format!("{{\"lines\":[{}{{}}]}}", "{},".repeat(100_001));
    gate.signed("POST", "/v1/orders")
        .json(many)
        .send()
        .await
        .expect(413, "MESSAGE_TOO_LARGE");
    let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    gate.signed("POST", "/v1/orders")
        .json(deep)
        .send()
        .await
        .expect(400, "JSON_MALFORMED");
    let with_body = gate.signed("GET", "/v1/me").body("{}").send().await;
    with_body.expect(400, "FIELD_INVALID");
    assert!(
        double
            .seen()
            .iter()
            .all(|seen| seen.bytes.as_ref() == [0xff]),
        "no handler was reached"
    );
}

#[tokio::test]
async fn a_client_that_wants_no_json_is_told() {
    let gate = Gate::before(&Double::empty()).await;
    gate.signed("GET", "/v1/me")
        .header("accept", "text/html")
        .send()
        .await
        .expect(406, "NOT_ACCEPTABLE");
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let answered = gate
        .signed("GET", "/v1/me")
        .header("accept", browser)
        .send()
        .await;
    assert_eq!(answered.status.as_u16(), 200);
}

#[tokio::test]
async fn an_old_revision_is_412_when_the_header_asked_and_409_else() {
    let gate = refusing(|| Fault::new(Reason::EtagMismatch, "changed").into()).await;
    let with = gate
        .signed("DELETE", "/v1/products/7")
        .header("if-match", "\"1\"")
        .send()
        .await;
    with.expect(412, "ETAG_MISMATCH");
    let without = gate.signed("DELETE", "/v1/products/7?etag=1").send().await;
    without.expect(409, "ETAG_MISMATCH");
}

#[tokio::test]
async fn who_may_not_call_is_told_that_before_their_message_is_looked_at() {
    let double = Double::refusing(|| Fault::new(Reason::RoleDenied, "no").into());
    let gate = Gate::before(&double).await;
    for body in ["{ not json", r#"{"colour":"red"}"#] {
        gate.signed("POST", "/v1/products")
            .json(body)
            .send()
            .await
            .expect(403, "ROLE_DENIED");
    }
    gate.signed("GET", "/v1/users/seven")
        .send()
        .await
        .expect(403, "ROLE_DENIED");
    assert!(
        double
            .seen()
            .iter()
            .all(|seen| seen.bytes.as_ref() == [0xff]),
        "asked with no message"
    );

    let gate = refusing(|| Fault::new(Reason::MessageMalformed, "no").into()).await;
    gate.signed("GET", "/v1/users/seven")
        .send()
        .await
        .expect(400, "FIELD_INVALID");
    // A public method looks at no token, so nobody is asked.
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    gate.signed("POST", "/login")
        .json("{ not json")
        .send()
        .await
        .expect(400, "JSON_MALFORMED");
    assert!(double.seen().is_empty());
}
