//! What passes the gateway, and what every answer carries.

use crate::support::{Double, Gate, config};
use gateway::Config;
use millgate_platform::ProxyArgs;

/// What a client might send to pose as somebody.
const LIES: [(&str, &str); 12] = [
    ("x-forwarded-for", "6.6.6.6"),
    ("x-forwarded-user-agent", "liar"),
    ("forwarded", "for=6.6.6.6"),
    ("x-real-ip", "6.6.6.6"),
    ("x-millgate-proxy", "guess"),
    ("x-user-id", "1"),
    ("x-role", "admin"),
    ("cookie", "session=1"),
    ("grpc-trace-bin", "AAAA"),
    ("x-internal", "1"),
    ("tracestate", "a=b"),
    ("proxy-authorization", "Bearer other"),
];

#[tokio::test]
async fn nothing_that_a_client_sends_can_pose_as_an_identity() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    let request = LIES
        .iter()
        .fold(gate.signed("GET", "/v1/me"), |request, (name, value)| {
            request.header(name, value)
        });
    let answered = request.header("user-agent", "browser").send().await;
    assert_eq!(answered.status.as_u16(), 200);

    let seen = double.only();
    let mut names: Vec<&str> = seen
        .metadata
        .iter()
        .map(|entry| match entry {
            tonic::metadata::KeyAndValueRef::Ascii(name, _) => name.as_str(),
            tonic::metadata::KeyAndValueRef::Binary(name, _) => name.as_str(),
        })
        .collect();
    names.sort_unstable();
    let expected = [
        "authorization",
        "grpc-timeout",
        "traceparent",
        "user-agent",
        "x-forwarded-for",
        "x-forwarded-user-agent",
        "x-request-id",
    ];
    names.retain(|name| !["content-type", "te"].contains(name));
    assert_eq!(names, expected);
    assert_eq!(seen.header("authorization"), Some("Bearer good"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-user-agent"), Some("browser"));
    assert!(seen.header("user-agent").unwrap().starts_with("tonic/"));
}

#[tokio::test]
async fn two_tokens_are_not_made_one() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    gate.signed("GET", "/v1/me")
        .header("authorization", "Bearer other")
        .send()
        .await;
    assert_eq!(
        double
            .only()
            .metadata
            .get_all("authorization")
            .iter()
            .count(),
        2
    );
}

#[tokio::test]
async fn a_trusted_proxys_word_is_taken() {
    let double = Double::empty();
    let gate = trusting(&double, "127.0.0.0/8").await;
    gate.signed("GET", "/v1/me")
        .header("x-forwarded-for", "192.0.2.7, 127.0.0.9")
        .send()
        .await;
    assert_eq!(double.only().header("x-forwarded-for"), Some("192.0.2.7"));
    let double = Double::empty();
    let gate = trusting(&double, "10.0.0.0/8").await;
    gate.signed("GET", "/v1/me")
        .header("x-forwarded-for", "192.0.2.7")
        .send()
        .await;
    assert_eq!(double.only().header("x-forwarded-for"), Some("127.0.0.1"));
}

async fn trusting(double: &Double, network: &str) -> Gate {
    Gate::with(Config {
        proxies: ProxyArgs {
            trusted_proxies: vec![network.parse().unwrap()],
            ..ProxyArgs::default()
        },
        ..config(double.clone().listen().await)
    })
    .await
}

#[tokio::test]
async fn the_secret_of_the_process_goes_along_and_never_comes_back() {
    let double = Double::empty();
    let gate = Gate::with(Config {
        proxy_secret: Some("of this process".to_owned().into()),
        ..config(double.clone().listen().await)
    })
    .await;
    let answered = gate
        .signed("GET", "/v1/me")
        .header("x-millgate-proxy", "guess")
        .send()
        .await;
    assert_eq!(
        double.only().header("x-millgate-proxy"),
        Some("of this process")
    );
    assert_eq!(answered.header("x-millgate-proxy"), "");
}

#[tokio::test]
async fn a_request_keeps_its_decent_id_and_gets_one_else() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    let answered = gate
        .signed("GET", "/v1/me")
        .header("x-request-id", "mine-1")
        .send()
        .await;
    assert_eq!(answered.header("x-request-id"), "mine-1");
    assert_eq!(double.only().header("x-request-id"), Some("mine-1"));
    let answered = gate
        .signed("GET", "/v1/me")
        .header("x-request-id", "a b\"c")
        .send()
        .await;
    assert_eq!(answered.header("x-request-id").len(), 36);
    let refused = gate.request("GET", "/nowhere").send().await;
    assert_eq!(refused.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn every_answer_is_safe_to_show_to_a_browser() {
    let gate = Gate::before(&Double::empty()).await;
    for (method, path) in [
        ("GET", "/v1/me"),
        ("GET", "/nowhere"),
        ("PUT", "/v1/me"),
        ("GET", "/healthz"),
    ] {
        let answered = gate.signed(method, path).send().await;
        assert_eq!(answered.header("x-content-type-options"), "nosniff");
        assert_eq!(answered.header("cache-control"), "no-store");
        assert!(
            answered
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
        assert_eq!(
            answered.header("access-control-allow-origin"),
            "",
            "CORS is off"
        );
        assert_eq!(answered.header("server"), "");
    }
}

#[tokio::test]
async fn a_page_may_call_only_from_the_exact_origin() {
    let double = Double::empty();
    let gate = Gate::with(Config {
        cors_origins: vec!["https://app.example.com".to_owned()],
        ..config(double.clone().listen().await)
    })
    .await;
    let preflight = |origin: &'static str| {
        gate.request("OPTIONS", "/v1/products/7")
            .header("origin", origin)
            .header("access-control-request-method", "PATCH")
            .send()
    };
    let asked = preflight("https://app.example.com").await;
    assert_eq!(asked.status.as_u16(), 204);
    assert_eq!(
        asked.header("access-control-allow-origin"),
        "https://app.example.com"
    );
    assert!(
        asked
            .header("access-control-allow-methods")
            .contains("PATCH")
    );
    assert!(
        asked
            .header("access-control-allow-headers")
            .contains("authorization")
    );
    // A page may say all that is looked at here, such as where a stream of its own making was cut off.
    for name in [
        "content-encoding",
        "content-type",
        "grpc-timeout",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "last-event-id",
        "x-request-id",
    ] {
        let allowed = asked.header("access-control-allow-headers");
        assert!(allowed.split(", ").any(|allowed| allowed == name), "{name}");
    }
    assert_eq!(asked.header("access-control-allow-credentials"), "");
    assert_eq!(asked.header("vary"), "Origin");
    let asked = preflight("https://evil.example.com").await;
    assert_eq!(asked.header("access-control-allow-origin"), "");
    assert_eq!(asked.header("access-control-allow-methods"), "");

    let answered = gate
        .signed("GET", "/v1/me")
        .header("origin", "https://app.example.com")
        .send()
        .await;
    assert_eq!(
        answered.header("access-control-allow-origin"),
        "https://app.example.com"
    );
    assert!(
        answered
            .header("access-control-expose-headers")
            .contains("etag")
    );
}
