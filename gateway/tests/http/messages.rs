//! What the RPC gets, and what the client gets back.

use crate::support::{Double, Gate};
use millgate_contract::auth::v1::{ListUsersRequest, RegisterResponse, Role, User, UserState};
use millgate_contract::factory::v1::{
    AdjustStockRequest, BatchGetProductsRequest, BatchGetProductsResponse, CreateProductRequest,
    ListProductsRequest, Product,
};
use millgate_contract::google::r#type::Money;
use prost::Message as _;
use prost_reflect::prost_types::Timestamp;
use serde_json::json;

fn product() -> Product {
    Product {
        id: 9_007_199_254_740_993,
        sku: "M-1".to_owned(),
        unit_price: Some(Money {
            currency_code: "EUR".to_owned(),
            units: i64::MAX,
            nanos: 990_000_000,
        }),
        etag: "3".to_owned(),
        create_time: Some(Timestamp {
            seconds: 1,
            nanos: 500_000_000,
        }),
        ..Product::default()
    }
}

#[tokio::test]
async fn a_created_resource_is_answered_201_with_its_place_and_its_revision() {
    let double = Double::answering(|_| Ok(product().encode_to_vec()));
    let gate = Gate::before(&double).await;
    let body = r#"{"sku":"M-1","unitPrice":{"currency_code":"EUR","units":"9223372036854775807","nanos":990000000},"on_hand":12}"#;
    let answered = gate
        .signed("POST", "/v1/products?request_id=abc")
        .json(body)
        .send()
        .await;

    assert_eq!(answered.status.as_u16(), 201);
    assert_eq!(answered.header("location"), "/v1/products/9007199254740993");
    assert_eq!(answered.header("etag"), "\"3\"");
    assert_eq!(answered.header("content-type"), "application/json");
    let expected = json!({
        "id": "9007199254740993", "sku": "M-1", "name": "", "description": "",
        "unit_price": {"currency_code": "EUR", "units": "9223372036854775807", "nanos": 990_000_000},
        "on_hand": "0", "reserved": "0", "available": "0", "state": "PRODUCT_STATE_UNSPECIFIED", "etag": "3",
        "reorder_threshold": "0", "tax_rate_basis_points": 0,
        "create_time": "1970-01-01T00:00:01.500Z",
    });
    assert_eq!(answered.json(), expected);

    let request: CreateProductRequest = double.only().message();
    assert_eq!(request.request_id, "abc");
    let sent = request.product.unwrap();
    assert_eq!((sent.sku.as_str(), sent.on_hand), ("M-1", 12));
    assert_eq!(sent.unit_price, product().unit_price);
}

#[tokio::test]
async fn a_resource_inside_of_the_answer_has_its_place_too() {
    let double = Double::answering(|_| {
        Ok(RegisterResponse {
            message: "User created successfully.".to_owned(),
            user: Some(User {
                id: 7,
                ..User::default()
            }),
        }
        .encode_to_vec())
    });
    let gate = Gate::before(&double).await;
    let answered = gate.request("POST", "/register").json("{}").send().await;
    assert_eq!(
        (answered.status.as_u16(), answered.header("location")),
        (201, "/v1/users/7")
    );

    let gate = Gate::before(&Double::empty()).await;
    let answered = gate.request("POST", "/register").json("{}").send().await;
    assert_eq!(
        (answered.status.as_u16(), answered.header("location")),
        (201, "")
    );
}

#[tokio::test]
async fn an_empty_list_and_a_list_are_arrays() {
    let double = Double::answering(|seen| {
        let request: BatchGetProductsRequest = seen.message();
        let products = request.ids.iter().map(|id| Product {
            id: *id,
            ..Product::default()
        });
        Ok(BatchGetProductsResponse {
            products: products.collect(),
        }
        .encode_to_vec())
    });
    let gate = Gate::before(&double).await;
    let answered = gate
        .signed("GET", "/v1/products:batchGet?ids=3&ids=1")
        .send()
        .await;
    let ids: Vec<_> = answered.json()["products"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["id"].clone())
        .collect();
    assert_eq!(ids, ["3", "1"]);
    let answered = gate.signed("GET", "/v1/products:batchGet").send().await;
    assert_eq!(answered.json(), json!({"products": []}));
}

#[tokio::test]
async fn a_query_sets_fields() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    let path = "/v1/products?page_size=5&pageToken=a%2Bb+c%26&query=&state=PRODUCT_STATE_ACTIVE&show_deleted=true&";
    gate.signed("GET", path).send().await;
    let request: ListProductsRequest = double.only().message();
    let expected = ListProductsRequest {
        page_size: 5,
        page_token: "a+b c&".to_owned(),
        query: String::new(),
        state: 1,
        show_deleted: true,
        ..ListProductsRequest::default()
    };
    assert_eq!(request, expected);

    gate.signed("GET", "/v1/users?role=1&state=USER_STATE_DISABLED")
        .send()
        .await;
    let request: ListUsersRequest = double.seen()[1].message();
    assert_eq!(
        (request.role(), request.state()),
        (Role::Admin, UserState::Disabled)
    );
}

#[tokio::test]
async fn a_query_that_does_not_fit_is_refused_with_its_names() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    let cases = [
        ("/v1/products?colour=red", "UNKNOWN_FIELD", "colour"),
        ("/v1/products?page_size.x=1", "UNKNOWN_FIELD", "page_size.x"),
        (
            "/v1/products?access_token=x",
            "UNKNOWN_FIELD",
            "access_token",
        ),
        (
            "/v1/products?page_size=1&page_size=2",
            "DUPLICATE_FIELD",
            "page_size",
        ),
        (
            "/v1/products?page_size=1&pageSize=1",
            "DUPLICATE_FIELD",
            "pageSize",
        ),
        ("/v1/products?page_size=", "FIELD_INVALID", "page_size"),
        ("/v1/products?page_size=many", "FIELD_INVALID", "page_size"),
        (
            "/v1/products?page_size=99999999999",
            "FIELD_INVALID",
            "page_size",
        ),
        ("/v1/products?state=ACTIVE", "FIELD_INVALID", "state"),
        (
            "/v1/products?show_deleted=yes",
            "FIELD_INVALID",
            "show_deleted",
        ),
        ("/v1/products?query=%ff", "FIELD_INVALID", "query"),
        ("/v1/products/7?id=8", "DUPLICATE_FIELD", "id"),
    ];
    for (path, reason, field) in cases {
        let answered = gate.signed("GET", path).send().await;
        answered.expect(400, reason);
        assert_eq!(answered.fields(), [field], "{path}");
    }
    let answered = gate
        .signed("GET", "/v1/products?a=1&page_size=x")
        .send()
        .await;
    assert_eq!(answered.fields(), ["a", "page_size"]);

    // What belongs into the body is not taken from the query.
    let login = gate
        .request("POST", "/login?password=secret")
        .json("{}")
        .send()
        .await;
    login.expect(400, "UNKNOWN_FIELD");
    let patch = gate
        .signed("PATCH", "/v1/products/7?product.name=x")
        .json("{}")
        .send()
        .await;
    patch.expect(400, "UNKNOWN_FIELD");
    assert!(
        double
            .seen()
            .iter()
            .all(|seen| seen.bytes.as_ref() == [0xff]),
        "no handler was reached"
    );
}

#[tokio::test]
async fn a_body_that_does_not_fit_is_refused_with_its_names() {
    let gate = Gate::before(&Double::empty()).await;
    let cases = [
        (
            r#"{"sku":"a","colour":"red"}"#,
            "UNKNOWN_FIELD",
            vec!["product.colour"],
        ),
        (
            r#"{"sku":"a","sku":"b"}"#,
            "DUPLICATE_FIELD",
            vec!["product.sku"],
        ),
        (
            r#"{"unit_price":{},"unitPrice":{}}"#,
            "DUPLICATE_FIELD",
            vec!["product.unit_price"],
        ),
        (
            r#"{"unit_price":{"units":"1.5"}}"#,
            "FIELD_INVALID",
            vec!["product.unit_price.units"],
        ),
        (
            r#"{"on_hand":"many"}"#,
            "FIELD_INVALID",
            vec!["product.on_hand"],
        ),
        (
            r#"{"on_hand":9223372036854775808}"#,
            "FIELD_INVALID",
            vec!["product.on_hand"],
        ),
        (r#"{"sku":1}"#, "FIELD_INVALID", vec!["product.sku"]),
        (
            r#"{"state":"GREAT"}"#,
            "FIELD_INVALID",
            vec!["product.state"],
        ),
        (
            r#"{"create_time":"yesterday"}"#,
            "FIELD_INVALID",
            vec!["product.create_time"],
        ),
        (
            r#"{"sku":[],"name":{}}"#,
            "FIELD_INVALID",
            vec!["product.sku", "product.name"],
        ),
        (r#"[]"#, "FIELD_INVALID", vec!["product"]),
        (r#""text""#, "FIELD_INVALID", vec!["product"]),
    ];
    for (body, reason, fields) in cases {
        let answered = gate.signed("POST", "/v1/products").json(body).send().await;
        answered.expect(400, reason);
        assert_eq!(answered.fields(), fields, "{body}");
    }
    for (body, line, column) in [
        ("{", "1", "2"),
        ("{\"sku\":\n 'a'}", "2", "2"),
        ("{}{}", "1", "3"),
        (" ", "1", "2"),
    ] {
        let answered = gate.signed("POST", "/v1/products").json(body).send().await;
        answered.expect(400, "JSON_MALFORMED");
        let metadata = answered.json()["error"]["details"][0]["metadata"].clone();
        assert_eq!(metadata, json!({"line": line, "column": column}), "{body}");
    }
    let invalid_utf8 = gate
        .signed("POST", "/v1/products")
        .header("content-type", "application/json");
    invalid_utf8
        .body(b"{\"sku\":\"\xff\"}".to_vec())
        .send()
        .await
        .expect(400, "JSON_MALFORMED");
}

#[tokio::test]
async fn numbers_are_exact_whichever_way_they_are_written() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    for body in [
        r#"{"delta":"-9223372036854775808"}"#,
        r#"{"delta":-9223372036854775808}"#,
    ] {
        gate.signed("POST", "/v1/products/9007199254740993:adjustStock")
            .json(body)
            .send()
            .await;
        let request: AdjustStockRequest = double.seen().pop().unwrap().message();
        assert_eq!(
            (request.id, request.delta),
            (9_007_199_254_740_993, i64::MIN)
        );
    }
}
