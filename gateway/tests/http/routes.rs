//! Which request reaches which RPC.

use crate::support::{Double, Gate, pool};
use gateway::api::{Api, Body};
use millgate_contract::DESCRIPTORS;
use millgate_contract::auth::v1::{GetUserRequest, UpdateUserRequest};
use prost_reflect::Kind;
use std::collections::BTreeSet;

pub(crate) fn api() -> Api {
    Api::new(DESCRIPTORS, |service| {
        service.starts_with("millgate.").then_some(0)
    })
    .unwrap()
}

#[tokio::test]
async fn every_route_of_the_contract_reaches_its_rpc() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    for binding in api().bindings() {
        // Variables are ids: 7 fits every one of them, or the test says which it does not fit.
        let mut path = binding.text.clone();
        while let Some(start) = path.find('{') {
            let end = start + path[start..].find('}').unwrap();
            path.replace_range(start..=end, "7");
        }
        let verb = binding.verb.as_ref().unwrap();
        let mut request = gate.signed(verb.as_str(), &path);
        if binding.method.takes_stream {
            request = request.header("content-type", "application/x-ndjson");
            request = request.body("{}\n");
        } else if binding.body != Body::None {
            request = request.json("{}");
        }
        let answered = request.send().await;
        assert_eq!(
            answered.status, binding.method.success,
            "{verb} {path}: {answered:?}"
        );
        let seen = double.seen().pop().unwrap();
        assert_eq!(seen.path, binding.method.path.as_str(), "{verb} {path}");
        if let Some(fields) = binding.path_fields.first() {
            let request =
                prost_reflect::DynamicMessage::decode(binding.method.input.clone(), seen.bytes)
                    .unwrap();
            let last = fields
                .iter()
                .fold(prost_reflect::Value::Message(request), |value, field| {
                    value.as_message().unwrap().get_field(field).into_owned()
                });
            let is_seven = last.as_i64() == Some(7) || last.as_str() == Some("7");
            assert!(is_seven, "{verb} {path}: {last:?}");
        }
    }
}

#[test]
fn every_rpc_of_the_contract_has_a_route() {
    let served: BTreeSet<String> = api()
        .bindings()
        .map(|binding| binding.method.name.clone())
        .collect();
    let all: BTreeSet<String> = pool()
        .services()
        .filter(|service| service.full_name().starts_with("millgate."))
        .flat_map(|service| {
            service
                .methods()
                // HTTP/1.1 cannot stream both ways at once.
                .filter(|method| !(method.is_client_streaming() && method.is_server_streaming()))
                .map(|method| method.full_name().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(served, all);
}

#[test]
fn no_secret_field_can_stand_in_a_query() {
    for binding in api().bindings() {
        let redacted = binding.method.input.fields().any(|field| {
            let option = field
                .options()
                .get_field_by_name("debug_redact")
                .and_then(|value| value.as_bool());
            option == Some(true) && !matches!(field.kind(), Kind::Message(_))
        });
        if redacted {
            assert_eq!(binding.body, Body::Whole, "{}", binding.method.name);
        }
    }
}

#[tokio::test]
async fn a_wrong_verb_is_told_the_right_ones() {
    let gate = Gate::before(&Double::empty()).await;
    let cases = [
        ("DELETE", "/v1/products", "GET, HEAD, POST"),
        ("POST", "/v1/products/7", "DELETE, GET, HEAD, PATCH, PUT"),
        ("GET", "/v1/orders/7:confirm", "POST"),
        ("POST", "/v1/me", "GET, HEAD"),
        ("TRACE", "/v1/me", "GET, HEAD"),
        ("PROPFIND", "/v1/me", "GET, HEAD"),
    ];
    for (method, path, allow) in cases {
        let answered = gate.request(method, path).send().await;
        answered.expect(405, "METHOD_NOT_ALLOWED");
        assert_eq!(answered.header("allow"), allow, "{method} {path}");
    }
    let answered = gate.request("OPTIONS", "/v1/me").send().await;
    assert_eq!(
        (answered.status.as_u16(), answered.header("allow")),
        (204, "GET, HEAD")
    );
}

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    for path in [
        "/",
        "/v1",
        "/v2/products",
        "/v1/products/7/x",
        "/V1/products",
        "/v1//products",
        "/millgate.auth.v1.AuthService/WhoAmI",
        "/grpc.health.v1.Health/Check",
    ] {
        gate.signed("GET", path)
            .send()
            .await
            .expect(404, "ROUTE_NOT_FOUND");
    }
    gate.signed("GET", "/v1/products/%zz")
        .send()
        .await
        .expect(400, "FIELD_INVALID");
    assert!(double.seen().is_empty());
}

#[tokio::test]
async fn one_trailing_slash_is_dropped() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    for (method, path, rpc) in [
        ("GET", "/v1/users/7/", "GetUser"),
        ("GET", "/customers/my-tickets/", "ListMyTickets"),
        ("GET", "/customers/", "ListCustomers"),
    ] {
        gate.signed(method, path).send().await;
        assert!(double.seen().pop().unwrap().path.ends_with(rpc), "{path}");
    }
    let answered = gate
        .request("POST", "/customers/")
        .json(r#"{"name":"A B"}"#)
        .send()
        .await;
    assert_eq!(answered.status.as_u16(), 201);
}

#[tokio::test]
async fn an_encoded_slash_stays_in_its_segment() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    let answered = gate.signed("GET", "/v1/users/7%2Forders").send().await;
    answered.expect(400, "FIELD_INVALID");
    assert_eq!(answered.fields(), ["id"]);
    gate.signed("GET", "/v1/users/%37").send().await;
    let seen = double.seen().pop().unwrap();
    assert_eq!(seen.message::<GetUserRequest>().id, 7);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    let got = gate.signed("GET", "/v1/users/7").send().await;
    let headed = gate.signed("HEAD", "/v1/users/7").send().await;
    assert_eq!(headed.status, got.status);
    assert!(headed.body.is_empty() && !got.body.is_empty());
    assert_eq!(headed.header("content-length"), got.body.len().to_string());
}

#[tokio::test]
async fn a_variable_may_stand_inside_the_resource() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    gate.signed("PUT", "/v1/users/7")
        .json(r#"{"username":"anna"}"#)
        .send()
        .await;
    let request: UpdateUserRequest = double.only().message();
    let user = request.user.unwrap();
    assert_eq!((user.id, user.username.as_str()), (7, "anna"));
}

#[test]
fn two_rpcs_with_the_same_route_are_both_named_at_start() {
    let mut compiler = protox::Compiler::new(["tests/http/proto", "../proto"]).unwrap();
    compiler
        .include_imports(true)
        .open_file("conflict.proto")
        .unwrap();
    let error = Api::new(&compiler.encode_file_descriptor_set(), |_| Some(0))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("conflict.Things.GetOne") && error.contains("conflict.Things.GetOther"),
        "{error}"
    );
}

/// What is said of a service with one method of this annotation.
fn refusal_of(annotation: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let proto = format!(
        r#"syntax = "proto3";
        package one;
        import "google/api/annotations.proto";
        service Things {{ rpc GetOne(Thing) returns (Thing) {{ option (google.api.http) = {{{annotation}}}; }} }}
        message Thing {{ int64 id = 1; string name = 2; Thing inner = 3; repeated string names = 4; }}"#
    );
    std::fs::write(folder.path().join("one.proto"), proto).unwrap();
    let mut compiler =
        protox::Compiler::new([folder.path(), std::path::Path::new("../proto")]).unwrap();
    compiler
        .include_imports(true)
        .open_file("one.proto")
        .unwrap();
    let descriptors = folder.path().join("descriptors");
    std::fs::write(&descriptors, compiler.encode_file_descriptor_set()).unwrap();
    let config = gateway::Config {
        descriptors: Some(descriptors),
        more_upstreams: vec![gateway::UpstreamConfig {
            prefix: "one".to_owned(),
            endpoint: "http://127.0.0.1:1".to_owned(),
            setting: "GATEWAY_UPSTREAMS".to_owned(),
        }],
        ..gateway::Config::default()
    };
    let prepared = gateway::prepare(
        config,
        std::sync::Arc::new(millgate_platform::SystemEntropy),
    );
    prepared.map_or_else(|error| error.to_string(), |_| String::new())
}

#[tokio::test]
async fn an_annotation_that_cannot_be_served_is_told_at_start_with_its_method() {
    assert_eq!(refusal_of(r#"get: "/things/{id}""#), "");
    for (annotation, complaint) in [
        (r#"get: "/things/{nothing}""#, "which the request has not"),
        (r#"get: "/things/{inner}""#, "which is a message"),
        (r#"get: "/things/{names}""#, "which is repeated"),
        (r#"get: "/things/{id""#, "not closed"),
        (r#"body: "*""#, "has \"\" for a method"),
        (
            r#"post: "/things" body: "nothing""#,
            "which one.Thing has not",
        ),
        (
            r#"post: "/things" response_body: "nothing""#,
            "which one.Thing has not",
        ),
        (
            r#"post: "/things/{name}" body: "name""#,
            "which is the body, too",
        ),
        (
            r#"get: "/a" additional_bindings {get: "/b" additional_bindings {get: "/c"}}"#,
            "additional bindings of its own",
        ),
        (r#"get: "/healthz""#, "one of the gateway's own"),
        (
            r#"post: "/things" additional_bindings {post: "/docs"}"#,
            "one of the gateway's own",
        ),
        (r#"get: "/openapi.json""#, "one of the gateway's own"),
    ] {
        let refusal = refusal_of(annotation);
        assert!(
            refusal.contains(complaint) && refusal.contains("one.Things.GetOne"),
            "{annotation}: {refusal}"
        );
    }
}
