//! Whatever is sent, there is an answer, and it is never the server's fault.

use crate::sample::message;
use crate::support::{Double, Gate, method};
use gateway::api::Api;
use gateway::json::{Target, decode, encode};
use millgate_contract::DESCRIPTORS;
use proptest::prelude::*;
use std::sync::LazyLock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code;

static API: LazyLock<Api> = LazyLock::new(|| Api::new(DESCRIPTORS, |_| Some(0)).unwrap());

proptest! {
    #[test]
    fn any_body_is_a_message_or_the_callers_fault(body in prop::collection::vec(any::<u8>(), 0..200), which in any::<prop::sample::Index>()) {
        let inputs: Vec<_> = API.bindings().map(|binding| binding.method.input.clone()).collect();
        let problem = decode(&body, Target::Message(which.get(&inputs))).err();
        prop_assert!(problem.is_none_or(|problem| problem.code == Code::InvalidArgument));
    }

    #[test]
    fn any_json_like_body_is_a_message_or_the_callers_fault(
        body in r#"\{("(sku|name|unit_price|unitPrice|state|on_hand|create_time|etag|x)":("[a-zA-Z0-9:.\-]*"|-?[0-9.e]{1,9}|true|null|\[\]|\{\}|\{"units":"?[0-9]{1,25}"?\}),?){0,4}\}"#,
    ) {
        let product = API.pool.get_message_by_name("millgate.factory.v1.Product").unwrap();
        let problem = decode(body.as_bytes(), Target::Message(&product)).err();
        prop_assert!(problem.is_none_or(|problem| problem.code == Code::InvalidArgument));
    }
}

/// A name that the sample's message knows, or nearly.
fn name() -> impl Strategy<Value = String> {
    let known = "name number flag amount data colour numbers counts inners inner list first second time duration mask \
        wrapped wrappedText structure value values any maybe null update_mask x @type 1";
    prop::sample::select(
        known
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>(),
    )
}

/// JSON of every shape under those names.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        "[0-9.eE+-]{1,9}",
        "[a-zA-Z0-9:./,+=-]{0,12}".prop_map(|text| format!("{text:?}")),
        Just("\"2026-01-01T00:00:00Z\"".to_owned()),
        Just("\"type.googleapis.com/sample.Inner\"".to_owned()),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let member = (name(), inner.clone()).prop_map(|(name, value)| format!("{name:?}:{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|values| format!("[{}]", values.join(","))),
            prop::collection::vec(member, 0..4)
                .prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn any_query_is_bound_or_the_callers_fault(pairs in prop::collection::vec((name(), ".{0,12}"), 0..5), raw in ".*") {
        let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        for query in [pairs.join("&"), raw] {
            let problem = message("GET", &format!("/v1/any?{query}"), "").err();
            prop_assert!(problem.is_none_or(|problem| problem.code == Code::InvalidArgument));
        }
    }

    #[test]
    fn any_body_is_bound_and_told_again_or_the_callers_fault(name in name(), value in json()) {
        match message("POST", "/v1/books", format!("{{{name:?}:{value}}}")) {
            Ok(message) => prop_assert!(encode(&message).is_ok()),
            Err(problem) => prop_assert_eq!(problem.code, Code::InvalidArgument),
        }
    }
}

#[tokio::test]
async fn any_request_is_answered_and_never_with_5xx() {
    let gate = Gate::before(&Double::empty()).await;
    let paths = [
        "/v1/products",
        "/v1/products/7",
        "/v1/products/%00",
        "/v1/products/-1",
        "/v1/products/1e3",
        "/v1/orders/7:confirm",
        "/v1/orders/:confirm",
        "/v1/orders/7:",
        "/v1/orders/7::confirm",
        "/login",
        "/%",
        "/..%2f..",
        "/v1/products?%00=%00",
        "/v1/products?page_size=1;state=2",
        "/v1/products?[]=",
        "/v1/me/../users",
    ];
    let bodies = [
        "",
        "{}",
        "[",
        "null",
        "\"\"",
        "{\"\":{}}",
        "{\"\\u0000\":1}",
        "{\"__proto__\":{}}",
        "\u{feff}{}",
        "1e999999",
    ];
    for path in paths {
        for verb in [
            "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "BREW",
        ] {
            let mut stream = tokio::net::TcpStream::connect(gate.address).await.unwrap();
            for body in bodies {
                let request = format!(
                    "{} {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    method(verb),
                    body.len(),
                );
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer).await;
                let answer = String::from_utf8_lossy(&answer);
                let status: u16 = answer
                    .get(9..12)
                    .and_then(|status| status.parse().ok())
                    .unwrap_or_default();
                assert!(
                    (200..500).contains(&status),
                    "{verb} {path} {body:?}: {answer}"
                );
                stream = tokio::net::TcpStream::connect(gate.address).await.unwrap();
            }
        }
    }
}
