//! The OpenAPI document: valid, complete, and true to what the routes answer.

use crate::support::{Answered, Double, Gate};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

async fn document(gate: &Gate) -> Value {
    let answered = gate.request("GET", "/openapi.json").send().await;
    assert_eq!(answered.status, 200);
    assert_eq!(answered.header("content-type"), "application/json");
    answered.json()
}

/// Every operation, with its path and verb.
fn operations(document: &Value) -> Vec<(&String, &String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let item = item.as_object().unwrap();
            item.iter()
                .map(move |(verb, operation)| (path, verb, operation))
        })
        .collect()
}

/// Sends what the document gives as an example.
async fn send_example(gate: &Gate, path: &str, verb: &str, operation: &Value) -> Answered {
    let mut path = path.to_owned();
    let mut query = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let (name, example) = (parameter["name"].as_str(), &parameter["example"]);
        let values: Vec<String> = match example {
            Value::Null => continue,
            Value::Array(items) => items.iter().map(text).collect(),
            one => vec![text(one)],
        };
        match parameter["in"].as_str().unwrap() {
            "path" => path = path.replace(&format!("{{{}}}", name.unwrap()), &values[0]),
            _ => query.extend(
                values
                    .iter()
                    .map(|value| format!("{}={value}", name.unwrap())),
            ),
        }
    }
    if !query.is_empty() {
        path += &format!("?{}", query.join("&"));
    }
    let mut request = gate.signed(&verb.to_ascii_uppercase(), &path);
    let content = &operation["requestBody"]["content"];
    if content["application/x-ndjson"].is_object() {
        let lines = request.header("content-type", "application/x-ndjson");
        return lines.body("{}\n").send().await;
    }
    let body = &content["application/json"]["example"];
    if !body.is_null() {
        request = request.json(body.to_string());
    }
    request.send().await
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[tokio::test]
async fn every_route_of_the_document_answers_to_its_own_example() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    let document = document(&gate).await;
    let operations = operations(&document);
    assert!(operations.len() > 40, "{}", operations.len());
    for (path, verb, operation) in operations {
        let answered = send_example(&gate, path, verb, operation).await;
        assert!(answered.status.is_success(), "{verb} {path}: {answered:?}");
        let told = &operation["responses"][answered.status.as_str()];
        assert!(told.is_object(), "{verb} {path}: {}", answered.status);
        let called = double.seen().pop().unwrap().path.replace('/', ".");
        assert_eq!(
            format!(".{}", operation["x-grpc-method"].as_str().unwrap()),
            called
        );
    }
}

#[tokio::test]
async fn every_route_is_in_the_document_with_an_id_of_its_own() {
    let gate = Gate::before(&Double::empty()).await;
    let document = document(&gate).await;
    let operations = operations(&document);
    assert_eq!(operations.len(), crate::routes::api().bindings().count());
    let ids: BTreeSet<&str> = operations
        .iter()
        .map(|(.., operation)| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), operations.len());
    for (path, _, operation) in operations {
        assert_ne!(operation["summary"], "", "{path} has no comment");
    }
}

#[tokio::test]
async fn the_document_says_what_the_descriptors_say() {
    let gate = Gate::before(&Double::empty()).await;
    let document = document(&gate).await;
    let schemas = &document["components"]["schemas"];
    let create = &document["paths"]["/v1/products"]["post"];
    assert_eq!(create["operationId"], "CreateProduct");
    assert_eq!(create["x-roles"], serde_json::json!(["admin", "user"]));
    assert_eq!(create["x-scope"], "products.write");
    assert_eq!(create["security"], serde_json::json!([{"bearer": []}]));
    assert!(
        create["description"]
            .as_str()
            .unwrap()
            .contains("`admin`, `user`")
    );
    assert!(create["responses"]["201"]["headers"]["Location"].is_object());
    // Of some bodies nothing must be said, and then there need be none.
    let rotate = &document["paths"]["/v1/keys:rotate"]["post"];
    assert_eq!(create["requestBody"]["required"], true);
    assert_eq!(rotate["requestBody"]["required"], false);
    let login = &document["paths"]["/login"]["post"];
    assert_eq!(login["operationId"], "Login_2");
    assert_eq!(login["security"], serde_json::json!([]));

    // What the service writes is not asked for, what is required to make is not required to change.
    let (output, input, change) = (
        &schemas["Product"],
        &schemas["Product.Input"],
        &schemas["Product.Change"],
    );
    assert!(output["properties"]["reserved"].is_object());
    assert!(input["properties"]["reserved"].is_null());
    assert_eq!(
        input["required"],
        serde_json::json!(["sku", "name", "unit_price"])
    );
    assert_eq!(input["properties"]["name"]["minLength"], 1);
    assert_eq!(input["properties"]["name"]["maxLength"], 200);
    assert!(output["properties"]["name"]["maxLength"].is_null());
    assert!(input["properties"]["on_hand"].is_object());
    assert!(change["properties"]["on_hand"].is_null());
    assert!(change["required"].is_null());
    assert_eq!(output["properties"]["id"]["type"], "string");

    // What is read can be asked about, and every answer has an example.
    let get = &document["paths"]["/v1/products/{id}"]["get"];
    let parameters = get["parameters"].as_array().unwrap();
    let if_none_match = "#/components/parameters/IfNoneMatch";
    assert!(parameters.iter().any(|one| one["$ref"] == if_none_match));
    assert_eq!(
        get["responses"]["304"]["$ref"],
        "#/components/responses/NotModified"
    );
    assert!(document["components"]["responses"]["NotModified"]["content"].is_null());
    let example = &get["responses"]["200"]["content"]["application/json"]["example"];
    assert_eq!(example["unit_price"]["currency_code"], "EUR");
    let quantity = &schemas["PlaceOrderRequest.Line.Input"]["properties"]["quantity"];
    assert_eq!(
        (&quantity["minimum"], &quantity["maximum"]),
        (&1.into(), &1_000_000.into())
    );
    let watch = &document["paths"]["/v1/orders:watch"]["get"];
    let parameters = watch["parameters"].as_array().unwrap();
    let last_event_id = "#/components/parameters/LastEventId";
    assert!(
        parameters.iter().any(|one| one["$ref"] == last_event_id),
        "{watch}"
    );

    // PATCH /v1/products/{product.id} and GET /v1/products/{id} are one path.
    let product = document["paths"]["/v1/products/{id}"].as_object().unwrap();
    let verbs: Vec<&String> = product.keys().collect();
    assert_eq!(verbs, ["delete", "get", "patch", "put"]);
    let headers: Vec<&Value> = product["patch"]["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    assert!(
        headers
            .iter()
            .any(|parameter| parameter["$ref"] == "#/components/parameters/IfMatch")
    );
}

#[tokio::test]
async fn the_document_is_read_and_never_written() {
    let gate = Gate::before(&Double::empty()).await;
    let answered = gate.request("POST", "/openapi.json").send().await;
    answered.expect(405, "METHOD_NOT_ALLOWED");
    assert_eq!(answered.header("allow"), "GET, HEAD");
    let head = gate.request("HEAD", "/openapi.json").send().await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
}

/// The second opinion: PyPI openapi-spec-validator.
#[tokio::test]
async fn the_document_passes_the_validator_of_others() {
    let there = Command::new("python3")
        .args(["-c", "import openapi_spec_validator"])
        .output();
    if !there.is_ok_and(|output| output.status.success()) {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI needs python3 with openapi-spec-validator"
        );
        eprintln!("SKIPPED: python3 with openapi-spec-validator is not there");
        return;
    }
    let gate = Gate::before(&Double::empty()).await;
    for document in [document(&gate).await, crate::sample::openapi()] {
        let script =
            "import json, sys, openapi_spec_validator as v; v.validate(json.load(sys.stdin))";
        let mut python = Command::new("python3")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = python.stdin.take().unwrap();
        stdin.write_all(document.to_string().as_bytes()).unwrap();
        drop(stdin);
        let output = python.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
