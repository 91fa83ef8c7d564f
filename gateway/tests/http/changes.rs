//! Changes: masks, revisions and keys, and a request that contradicts itself.

use crate::support::{Double, Gate};
use millgate_contract::auth::v1::UpdateUserRequest;
use millgate_contract::factory::v1::{
    ConfirmOrderRequest, CreateProductRequest, DeleteProductRequest, UpdateProductRequest,
};

#[tokio::test]
async fn a_body_cannot_contradict_the_path() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    let answered = gate
        .signed("POST", "/v1/orders/7:confirm")
        .json(r#"{"id":"8"}"#)
        .send()
        .await;
    answered.expect(400, "FIELD_INVALID");
    assert_eq!(answered.fields(), ["id"]);
    let answered = gate
        .signed("PATCH", "/v1/products/7")
        .json(r#"{"id":8,"name":"x"}"#)
        .send()
        .await;
    assert_eq!(answered.fields(), ["product.id"]);

    gate.signed("POST", "/v1/orders/7:confirm")
        .json(r#"{"id":7}"#)
        .send()
        .await;
    gate.signed("POST", "/v1/orders/7:confirm").send().await;
    let asked: Vec<i64> = double
        .seen()
        .iter()
        .filter(|seen| seen.bytes.as_ref() != [0xff])
        .map(|seen| seen.message::<ConfirmOrderRequest>().id)
        .collect();
    assert_eq!(asked, [7, 7]);
}

#[tokio::test]
async fn a_patch_without_a_mask_changes_what_its_body_names() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    let cases = [
        ("PATCH", "/v1/products/7", r#"{"name":"x"}"#, vec!["name"]),
        (
            "PUT",
            "/v1/products/7",
            r#"{"name":"x","description":""}"#,
            vec!["name", "description"],
        ),
        (
            "PATCH",
            "/v1/products/7",
            r#"{"unitPrice":{"units":1}}"#,
            vec!["unit_price"],
        ),
        (
            "PATCH",
            "/v1/products/7",
            r#"{"description":null}"#,
            vec!["description"],
        ),
        (
            "PATCH",
            "/v1/products/7",
            r#"{"id":7,"etag":"3","name":"x"}"#,
            vec!["name"],
        ),
        (
            "PATCH",
            "/v1/products/7",
            r#"{"create_time":"2026-01-01T00:00:00Z"}"#,
            vec!["create_time"],
        ),
        ("PATCH", "/v1/products/7", "{}", vec![]),
        (
            "PATCH",
            "/v1/products/7?update_mask=name,unitPrice",
            r#"{"sku":"x"}"#,
            vec!["name", "unit_price"],
        ),
        (
            "PATCH",
            "/v1/products/7?updateMask=unit_price",
            r#"{"sku":"x"}"#,
            vec!["unit_price"],
        ),
    ];
    for (method, path, body, paths) in cases {
        let answered = gate.signed(method, path).json(body).send().await;
        assert_eq!(answered.status.as_u16(), 200, "{answered:?}");
        let request: UpdateProductRequest = double.seen().pop().unwrap().message();
        assert_eq!(
            request.update_mask.unwrap_or_default().paths,
            paths,
            "{path} {body}"
        );
        assert_eq!(request.product.unwrap().id, 7);
    }
    gate.signed("PUT", "/v1/users/7")
        .json(r#"{"email":"a@b.c"}"#)
        .send()
        .await;
    let request: UpdateUserRequest = double.seen().pop().unwrap().message();
    assert_eq!(request.update_mask.unwrap().paths, ["email"]);
}

#[tokio::test]
async fn if_match_becomes_the_etag_wherever_the_request_has_one() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    gate.signed("DELETE", "/v1/products/7")
        .header("if-match", "\"3\"")
        .send()
        .await;
    assert_eq!(
        double
            .seen()
            .pop()
            .unwrap()
            .message::<DeleteProductRequest>()
            .etag,
        "3"
    );
    gate.signed("PATCH", "/v1/products/7")
        .header("if-match", "\"4\"")
        .json(r#"{"name":"x"}"#)
        .send()
        .await;
    let request: UpdateProductRequest = double.seen().pop().unwrap().message();
    assert_eq!(request.product.unwrap().etag, "4");
    assert_eq!(request.update_mask.unwrap().paths, ["name"]);
    gate.signed("DELETE", "/v1/products/7")
        .header("if-match", "*")
        .send()
        .await;
    assert_eq!(
        double
            .seen()
            .pop()
            .unwrap()
            .message::<DeleteProductRequest>()
            .etag,
        ""
    );

    let contradicting = gate
        .signed("PATCH", "/v1/products/7")
        .header("if-match", "\"4\"");
    contradicting
        .json(r#"{"etag":"3"}"#)
        .send()
        .await
        .expect(400, "FIELD_INVALID");
    let unheeded = gate
        .signed("POST", "/v1/me:changePassword")
        .header("if-match", "\"4\"");
    unheeded
        .json("{}")
        .send()
        .await
        .expect(400, "FIELD_INVALID");
    let weak = gate
        .signed("DELETE", "/v1/products/7")
        .header("if-match", "W/\"3\"");
    weak.send().await.expect(412, "ETAG_MISMATCH");
    // Neither is a promise made that would not be kept: to make something only where nothing is.
    let calls = double.seen().len();
    for (method, path) in [("PUT", "/v1/products/7"), ("POST", "/v1/products")] {
        let refused = gate
            .signed(method, path)
            .header("if-none-match", "*")
            .json("{}")
            .send()
            .await;
        refused.expect(400, "FIELD_INVALID");
        assert_eq!(refused.fields(), ["If-None-Match"]);
    }
    // Nobody was asked but for the right to call.
    let asked = double.seen();
    assert!(asked[calls..].iter().all(|seen| seen.bytes == vec![0xff]));
}

#[tokio::test]
async fn an_idempotency_key_becomes_the_request_id() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    gate.signed("POST", "/v1/products")
        .header("idempotency-key", "\"k-1\"")
        .json("{}")
        .send()
        .await;
    assert_eq!(
        double
            .seen()
            .pop()
            .unwrap()
            .message::<CreateProductRequest>()
            .request_id,
        "k-1"
    );
    gate.signed("POST", "/v1/orders/7:confirm")
        .header("idempotency-key", "k-2")
        .json(r#"{"request_id":"k-2"}"#)
        .send()
        .await;
    assert_eq!(
        double
            .seen()
            .pop()
            .unwrap()
            .message::<ConfirmOrderRequest>()
            .request_id,
        "k-2"
    );
    let contradicting = gate
        .signed("POST", "/v1/orders/7:confirm")
        .header("idempotency-key", "k-2");
    let answered = contradicting.json(r#"{"request_id":"k-3"}"#).send().await;
    answered.expect(400, "FIELD_INVALID");
    assert_eq!(answered.fields(), ["request_id"]);
}
