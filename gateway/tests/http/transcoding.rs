//! Paths, queries and bodies become messages: the rules of http.proto and of the proto3 JSON mapping, on a service that
//! is not ours.

use crate::sample::{API, DESCRIPTORS, message};
use gateway::cors::Cors;
use gateway::json::encode;
use gateway::{Gateway, Peer, Rules, Upstream, UpstreamConfig};
use millgate_platform::{SystemEntropy, TrustedProxies};
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The fields that are set, as JSON.
fn fields(message: &DynamicMessage) -> Value {
    let options = prost_reflect::SerializeOptions::new().use_proto_field_name(true);
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .unwrap()
}

#[track_caller]
fn makes(method: &str, target: &str, body: &str, expected: &Value) {
    match message(method, target, body) {
        Ok(message) => assert_eq!(fields(&message), *expected, "{method} {target} {body}"),
        Err(problem) => panic!("{method} {target} {body}: {problem:?}"),
    }
}

#[track_caller]
fn refused(method: &str, target: &str, body: &str, reason: &str, named: &[&str]) {
    let problem = message(method, target, body).expect_err(target);
    let found: Vec<&str> = problem
        .violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    assert_eq!(
        (problem.reason.as_ref(), found.as_slice()),
        (reason, named),
        "{method} {target} {body}"
    );
}

#[test]
fn paths_are_bound_as_http_proto_says() {
    makes(
        "GET",
        "/v1/shelves/1/books/2",
        "",
        &json!({"name": "shelves/1/books/2"}),
    );
    makes(
        "GET",
        "/v1/shelves/a%2Fb/books/c%20d",
        "",
        &json!({"name": "shelves/a%2Fb/books/c d"}),
    );
    makes("GET", "/v1/files/a/b//c", "", &json!({"name": "a/b//c"}));
    makes("GET", "/v1/files", "", &json!({}));
    makes(
        "GET",
        "/v1/nested/a%2Fb/7",
        "",
        &json!({"inner": {"name": "a/b"}, "number": "7"}),
    );
    makes("REPORT", "/v1/report", "", &json!({}));
    makes("PROPFIND", "/v1/any", "", &json!({}));
    refused(
        "GET",
        "/v1/nested/a/seven",
        "",
        "FIELD_INVALID",
        &["number"],
    );
}

#[test]
fn queries_are_bound_for_every_kind_of_field() {
    let cases = [
        (
            "name=a+b&flag=true&amount=1.5&colour=COLOUR_RED",
            json!({"name": "a b", "flag": true, "amount": 1.5, "colour": "COLOUR_RED"}),
        ),
        ("colour=1", json!({"colour": "COLOUR_RED"})),
        ("numbers=1&numbers=2", json!({"numbers": [1, 2]})),
        (
            "colours=COLOUR_RED&colours=0",
            json!({"colours": ["COLOUR_RED", "COLOUR_UNSPECIFIED"]}),
        ),
        (
            "inner.name=a&inner.inner.count=3",
            json!({"inner": {"name": "a", "inner": {"count": 3}}}),
        ),
        (
            "time=2026-01-01T00:00:00Z",
            json!({"time": "2026-01-01T00:00:00Z"}),
        ),
        ("duration=1.5s", json!({"duration": "1.500s"})),
        ("mask=aB,c_d", json!({"mask": "aB,cD"})),
        (
            "wrapped=7&wrappedText=",
            json!({"wrapped": "7", "wrapped_text": ""}),
        ),
        ("data=_-8", json!({"data": "/+8="})),
        ("first=x", json!({"first": "x"})),
        ("maybe=0", json!({"maybe": 0})),
        ("", json!({})),
        ("&&", json!({})),
    ];
    for (query, expected) in cases {
        makes("GET", &format!("/v1/any?{query}"), "", &expected);
    }
    let refusals = [
        ("first=x&second=1", "FIELD_INVALID", "second"),
        ("flag=1", "FIELD_INVALID", "flag"),
        ("inner=x", "FIELD_INVALID", "inner"),
        ("list=x", "FIELD_INVALID", "list"),
        ("list.name=x", "UNKNOWN_FIELD", "list.name"),
        ("counts=1", "FIELD_INVALID", "counts"),
        ("counts.key=1", "FIELD_INVALID", "counts.key"),
        ("structure=x", "FIELD_INVALID", "structure"),
        ("time=now", "FIELD_INVALID", "time"),
        ("name=a&name=b", "DUPLICATE_FIELD", "name"),
        ("wrapped=1&wrapped=2", "DUPLICATE_FIELD", "wrapped"),
        ("inner.name=a&inner.name=b", "DUPLICATE_FIELD", "inner.name"),
        ("inner.=a", "UNKNOWN_FIELD", "inner."),
        (".name=a", "UNKNOWN_FIELD", ".name"),
        ("=a", "UNKNOWN_FIELD", ""),
        ("name=%ff", "FIELD_INVALID", "name"),
        ("colour=RED", "FIELD_INVALID", "colour"),
    ];
    for (query, reason, named) in refusals {
        refused("GET", &format!("/v1/any?{query}"), "", reason, &[named]);
    }
    let deep = format!("/v1/any?{}name=x", "inner.".repeat(1000));
    assert_eq!(
        message("GET", &deep, "").unwrap_err().reason,
        "UNKNOWN_FIELD"
    );
}

#[test]
fn bodies_are_read_by_the_json_mapping() {
    let cases = [
        r#"{"name":"é\n","number":"7","flag":true,"amount":1e3,"data":"/+8=","colour":"COLOUR_RED"}"#,
        r#"{"numbers":[1,2],"colours":["COLOUR_RED"],"counts":{"a":1},"inners":{"-1":{"name":"x"}}}"#,
        r#"{"inner":{"inner":{"count":1}},"list":[{"name":"a"},{"count":2}],"second":3,"maybe":0}"#,
        r#"{"time":"2026-01-01T00:00:00Z","duration":"1.500s","mask":"aB","wrapped":"7","wrapped_text":""}"#,
        r#"{"structure":{"a":[1.0,null,true,"x",{"b":{}}]},"value":[1.0],"values":["x"]}"#,
        r#"{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}}"#,
    ];
    for body in cases {
        let expected: Value = serde_json::from_str(body).unwrap();
        match message("POST", "/v1/books", body) {
            Ok(message) => {
                let found: Value = fields(&message);
                assert_eq!(
                    found.to_string().replace("1000.0", "1e3"),
                    expected.to_string().replace("1000.0", "1e3"),
                    "{body}"
                );
            }
            Err(problem) => panic!("{body}: {problem:?}"),
        }
    }
    makes(
        "POST",
        "/v1/books",
        r#"{"wrappedText":"x","value":null,"null":null,"inner":null,"number":7.0}"#,
        &json!({"wrapped_text": "x", "value": null, "number": "7"}),
    );
    makes(
        "PUT",
        "/v1/numbers?name=x",
        "[1,2]",
        &json!({"name": "x", "numbers": [1, 2]}),
    );
    makes("POST", "/v1/books", "", &json!({}));
}

#[test]
fn bodies_that_do_not_fit_are_refused_by_path() {
    let cases = [
        (
            r#"{"wrappedText":"x","wrapped_text":"y"}"#,
            "DUPLICATE_FIELD",
            vec!["wrapped_text"],
        ),
        (
            r#"{"inner":{"name":"a","name":"b"}}"#,
            "DUPLICATE_FIELD",
            vec!["inner.name"],
        ),
        (
            r#"{"counts":{"a":1,"a":2}}"#,
            "DUPLICATE_FIELD",
            vec!["counts.a"],
        ),
        (
            r#"{"inners":{"1":{},"1":{}}}"#,
            "DUPLICATE_FIELD",
            vec!["inners.1"],
        ),
        (r#"{"inners":{"x":{}}}"#, "FIELD_INVALID", vec!["inners.x"]),
        (
            r#"{"list":[{},{"nam":1}]}"#,
            "UNKNOWN_FIELD",
            vec!["list[1].nam"],
        ),
        (
            r#"{"list":[{},{"name":1},null]}"#,
            "FIELD_INVALID",
            vec!["list[1].name", "list[2]"],
        ),
        (
            r#"{"first":"a","second":1}"#,
            "FIELD_INVALID",
            vec!["second"],
        ),
        (
            r#"{"numbers":[1,"x",2.5]}"#,
            "FIELD_INVALID",
            vec!["numbers[1]", "numbers[2]"],
        ),
        (r#"{"numbers":1}"#, "FIELD_INVALID", vec!["numbers"]),
        (r#"{"flag":"true"}"#, "FIELD_INVALID", vec!["flag"]),
        (r#"{"data":"%"}"#, "FIELD_INVALID", vec!["data"]),
        (r#"{"amount":"1e999"}"#, "FIELD_INVALID", vec!["amount"]),
        (r#"{"time":{"seconds":1}}"#, "FIELD_INVALID", vec!["time"]),
        (
            r#"{"any":{"@type":"x/unknown.Type"}}"#,
            "FIELD_INVALID",
            vec!["any"],
        ),
        (r#"{"a":1,"b":2}"#, "UNKNOWN_FIELD", vec!["a", "b"]),
        (r#"{"a":1,"flag":2}"#, "FIELD_INVALID", vec!["a", "flag"]),
        ("null", "FIELD_INVALID", vec!["body"]),
        ("7", "FIELD_INVALID", vec!["body"]),
    ];
    for (body, reason, named) in cases {
        refused("POST", "/v1/books", body, reason, &named);
    }
    refused(
        "PUT",
        "/v1/numbers",
        r#"["x"]"#,
        "FIELD_INVALID",
        &["numbers[0]"],
    );
}

#[test]
fn what_names_its_own_fields_is_refused_by_path_too() {
    let cases = [
        (
            r#"{"structure":{"a":1,"a":2}}"#,
            "DUPLICATE_FIELD",
            "structure.a",
        ),
        (
            r#"{"value":[{"b":{"a":1,"a":2}}]}"#,
            "DUPLICATE_FIELD",
            "value.b.a",
        ),
        (
            r#"{"any":{"@type":"x/sample.Inner","nam":1}}"#,
            "UNKNOWN_FIELD",
            "any.nam",
        ),
        (
            r#"{"any":{"name":7,"@type":"x/sample.Inner"}}"#,
            "FIELD_INVALID",
            "any.name",
        ),
        (
            r#"{"any":{"@type":"x/sample.Inner","name":"a","name":"b"}}"#,
            "DUPLICATE_FIELD",
            "any.name",
        ),
        (
            r#"{"any":{"@type":"x/google.protobuf.Duration","value":"soon"}}"#,
            "FIELD_INVALID",
            "any.value",
        ),
        (
            r#"{"any":{"@type":"x/google.protobuf.Duration","value":"1s","value":"2s"}}"#,
            "DUPLICATE_FIELD",
            "any.value",
        ),
        (
            r#"{"any":{"@type":"x/google.protobuf.Duration","value":"1s","more":1}}"#,
            "UNKNOWN_FIELD",
            "any.more",
        ),
        (
            r#"{"any":{"@type":"x/google.protobuf.Duration"}}"#,
            "FIELD_INVALID",
            "any",
        ),
        (
            r#"{"any":{"@type":"x/sample.Inner","@type":"x/sample.Inner"}}"#,
            "FIELD_INVALID",
            "any",
        ),
        (
            r#"{"any":{"@type":"sample.Inner"}}"#,
            "FIELD_INVALID",
            "any",
        ),
        (r#"{"any":{}}"#, "FIELD_INVALID", "any"),
        (r#"{"any":{"@type":7}}"#, "FIELD_INVALID", "any"),
        (r#"{"any":{"name":"a"}}"#, "FIELD_INVALID", "any"),
        (r#"{"any":7}"#, "FIELD_INVALID", "any"),
    ];
    for (body, reason, named) in cases {
        refused("POST", "/v1/books", body, reason, &[named]);
    }
}

#[test]
fn a_message_of_any_type_comes_back_as_it_was_sent() {
    for any in [
        r#"{"@type":"type.googleapis.com/sample.Inner","count":1,"name":"a"}"#,
        r#"{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}"#,
        r#"{"@type":"type.googleapis.com/google.protobuf.Int64Value","value":"7"}"#,
        r#"{"@type":"type.googleapis.com/google.protobuf.Struct","value":{"a":true}}"#,
        r#"{"@type":"type.googleapis.com/google.protobuf.Any","value":{"@type":"type.googleapis.com/sample.Inner","name":"b"}}"#,
    ] {
        let expected: Value = serde_json::from_str(any).unwrap();
        let body = format!(r#"{{"any":{any}}}"#);
        makes("POST", "/v1/books", &body, &json!({"any": expected}));
    }
    let last = r#"{"any":{"name":"a","@type":"type.googleapis.com/sample.Inner"}}"#;
    let expected = json!({"@type": "type.googleapis.com/sample.Inner", "name": "a"});
    makes("POST", "/v1/books", last, &json!({"any": expected}));
}

#[test]
fn a_mask_enters_messages_of_ours() {
    let cases = [
        (
            r#"{"count":1,"inner":{"count":2,"inner":{"name":"x"}}}"#,
            json!("count,inner.count,inner.inner.name"),
        ),
        (r#"{"inner":{}}"#, json!("inner")),
        (r#"{"inner":null}"#, json!("inner")),
        (r#"{"name":"a"}"#, json!("")),
    ];
    for (body, expected) in cases {
        let found = fields(&message("PATCH", "/v1/books/a", body).unwrap());
        let mask = found.get("update_mask").cloned().unwrap_or(json!(""));
        assert_eq!(mask, expected, "{body}");
    }
}

#[test]
fn answers_are_written_by_the_json_mapping() {
    let message = message(
        "POST",
        "/v1/books",
        r#"{"amount":"NaN","number":-1,"data":"/+8="}"#,
    )
    .unwrap();
    let found: Value = serde_json::from_slice(&encode(&message).unwrap()).unwrap();
    let expected = json!({
        "name": "", "number": "-1", "flag": false, "amount": "NaN", "data": "/+8=", "colour": "COLOUR_UNSPECIFIED",
        "numbers": [], "colours": [], "counts": {}, "inners": {}, "list": [], "null": null, "floats": [],
    });
    assert_eq!(found, expected);
    let list = gateway::json::encode_field(&message, &message_field(&message, "numbers")).unwrap();
    assert_eq!(list, b"[]");
    // A field alone is written as it stands in the whole: the shortest text of a float of 32 bits.
    let floats = crate::sample::message("POST", "/v1/books", r#"{"floats":[0.1,3.4028235e38]}"#);
    let floats = floats.unwrap();
    let field = message_field(&floats, "floats");
    assert_eq!(
        gateway::json::encode_field(&floats, &field).unwrap(),
        b"[0.1,3.4028235e+38]"
    );
    let inner = message_field(&floats, "inner");
    assert_eq!(
        gateway::json::encode_field(&floats, &inner).unwrap(),
        b"null"
    );
}

#[test]
fn an_answer_is_written_as_prost_reflect_would_write_it() {
    let options = prost_reflect::SerializeOptions::new()
        .use_proto_field_name(true)
        .skip_default_fields(false);
    for body in [
        r#"{}"#,
        r#"{"name":"a\"\\\u0001\u2028é","number":-9223372036854775808,"flag":true,"amount":1e300,"data":"_-8="}"#,
        r#"{"amount":"Infinity","floats":["NaN","Infinity","-Infinity",0.1,-0.0,1e21]}"#,
        r#"{"amount":"-Infinity","numbers":[1,-2],"colour":"COLOUR_RED","colours":["COLOUR_RED",0,77]}"#,
        r#"{"counts":{"a\"b":1},"inners":{"-7":{"name":"x","inner":{}}}}"#,
        r#"{"inner":{},"list":[{},{"count":3,"inner":{"name":"y"}}],"first":"","maybe":0,"null":null}"#,
        r#"{"second":0,"time":"2026-11-28T01:02:03.4Z","duration":"-1.5s","mask":"a,bC.d"}"#,
        r#"{"wrapped":"7","wrapped_text":"","structure":{"a":[1,null]},"value":null,"values":[true,{"b":"c"}]}"#,
        r#"{"any":{"@type":"type.googleapis.com/sample.Inner","count":1}}"#,
        r#"{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}}"#,
    ] {
        let message = message("POST", "/v1/books", body).unwrap();
        let mut expected = Vec::new();
        message
            .serialize_with_options(&mut serde_json::Serializer::new(&mut expected), &options)
            .unwrap();
        let found = encode(&message).unwrap();
        assert_eq!(
            String::from_utf8(found).unwrap(),
            String::from_utf8(expected).unwrap(),
            "{body}"
        );
    }
}

fn message_field(message: &DynamicMessage, name: &str) -> prost_reflect::FieldDescriptor {
    prost_reflect::ReflectMessage::descriptor(message)
        .get_field_by_name(name)
        .unwrap()
}

#[test]
fn a_method_without_a_route_is_not_served_and_a_stream_is_known_as_one() {
    let names: Vec<&str> = API
        .bindings()
        .map(|binding| binding.method.name.as_str())
        .collect();
    assert!(!names.contains(&"sample.Library.Hidden"));
    let streams = API
        .bindings()
        .find(|binding| binding.method.gives_stream)
        .unwrap();
    assert_eq!(streams.method.name, "sample.Library.Follow");
    assert!(
        API.bindings().all(|binding| binding.method.token_required),
        "no access rule: a token is asked for"
    );
}

#[tokio::test]
async fn a_stream_both_ways_is_answered_501_and_only_with_a_token() {
    let upstream = UpstreamConfig {
        prefix: "sample".to_owned(),
        endpoint: "http://127.0.0.1:1".to_owned(),
        setting: "test".to_owned(),
    };
    let rules = Rules {
        deadline: Duration::from_secs(1),
        max_body_bytes: 1024,
        body_timeout: Duration::from_secs(1),
        proxies: TrustedProxies::default(),
        proxy_secret: None,
        cors: Cors::default(),
        streams: gateway::streams::Streams::new(0),
        rate: Arc::new(gateway::rate::Rate::new(&gateway::LimitArgs::default())),
        tls: false,
        unruled: gateway::api::Unruled::default(),
        memory: gateway::memory::Memory::new(1 << 28, 1 << 22),
    };
    let upstreams = vec![Upstream::new(&upstream, None).unwrap()];
    let gateway = Gateway::new(&DESCRIPTORS, upstreams, rules, Arc::new(SystemEntropy)).unwrap();
    let peer = Peer {
        address: "192.0.2.1".parse().unwrap(),
        is_proxy: false,
    };
    for (token, status) in [("", 401), ("Bearer x", 501)] {
        let request = http::Request::post("/v1/chat")
            .header("host", "a")
            .header("authorization", token)
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .unwrap();
        assert_eq!(
            gateway.answer(request, peer).await.status().as_u16(),
            status
        );
    }
}

#[test]
fn members_of_one_oneof_never_undo_each_other() {
    let fields = |method: &str, target: &str, body: &str| {
        let problem = message(method, target, body).unwrap_err();
        assert_eq!(problem.reason, "FIELD_INVALID", "{target}");
        let violations = problem.violations.iter();
        violations
            .map(|violation| violation.field.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(fields("GET", "/v1/any?first=a&second=1", ""), ["second"]);
    assert_eq!(
        fields(
            "GET",
            "/v1/any?round.name=a&square.name=b&round.count=1",
            ""
        ),
        ["square.name"]
    );
    assert_eq!(
        fields("PUT", "/v1/round/a", "{\"name\":\"b\"}"),
        ["round.name"]
    );
    assert!(message("GET", "/v1/any?round.name=a&round.count=1", "").is_ok());
}
