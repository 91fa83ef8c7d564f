//! gzip both ways, and texts that the client has already.

use crate::support::{Double, Gate};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use millgate_contract::auth::v1::{CreateUserRequest, TokenResponse};
use millgate_contract::factory::v1::{ListProductsResponse, Product};
use prost::Message as _;
use std::io::{Read as _, Write as _};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

fn product() -> Product {
    Product {
        id: 7,
        etag: "3".to_owned(),
        description: "x".repeat(2000),
        ..Product::default()
    }
}

#[tokio::test]
async fn who_has_the_revision_is_told_so_and_not_sent_it_again() {
    let double = Double::answering(|seen| match seen.path.rsplit('/').next().unwrap() {
        "ListProducts" => Ok(ListProductsResponse::default().encode_to_vec()),
        "GetOrder" => Err(tonic::Status::not_found("no such order")),
        _ => Ok(product().encode_to_vec()),
    });
    let gate = Gate::before(&double).await;
    let ask = |verb: &str, path: &str, tag: &str| {
        let request = gate.signed(verb, path);
        request.header("if-none-match", tag).send()
    };
    for verb in ["GET", "HEAD"] {
        for tag in ["\"3\"", "W/\"3\"", "*", "\"2\", \"3\""] {
            let answered = ask(verb, "/v1/products/7", tag).await;
            assert_eq!(
                (answered.status.as_u16(), answered.body.len()),
                (304, 0),
                "{tag}"
            );
            assert_eq!(answered.header("etag"), "\"3\"");
            assert_eq!(answered.header("content-type"), "");
            assert_eq!(answered.header("x-request-id").len(), 36);
        }
        for tag in ["\"2\"", "3", ""] {
            let answered = ask(verb, "/v1/products/7", tag).await;
            assert_eq!(answered.status, 200, "{tag}");
            assert_eq!(answered.header("etag"), "\"3\"");
            assert_eq!(answered.body.is_empty(), verb == "HEAD");
        }
        // A list has no revision, and a refusal is no answer that anybody has.
        assert_eq!(ask(verb, "/v1/products", "*").await.status, 200);
        assert_eq!(ask(verb, "/v1/orders/7", "*").await.status, 404);
    }
    let nobody = gate
        .request("GET", "/v1/products/7")
        .header("if-none-match", "*");
    nobody.send().await.expect(401, "TOKEN_MISSING");
}

#[tokio::test]
async fn the_document_is_asked_about_and_not_sent_again() {
    let gate = Gate::before(&Double::empty()).await;
    let first = gate.request("GET", "/openapi.json").send().await;
    assert_eq!(first.header("cache-control"), "no-cache");
    let etag = first.header("etag").to_owned();
    let second = gate
        .request("GET", "/openapi.json")
        .header("if-none-match", etag)
        .send()
        .await;
    assert_eq!((second.status.as_u16(), second.body.len()), (304, 0));
}

#[tokio::test]
async fn a_long_answer_is_compressed_for_those_who_take_it() {
    let page = ListProductsResponse {
        products: vec![product()],
        ..ListProductsResponse::default()
    };
    let double = Double::answering(move |_| Ok(page.encode_to_vec()));
    let gate = Gate::before(&double).await;
    let plain = gate.signed("GET", "/v1/products").send().await;
    assert_eq!(plain.header("content-encoding"), "");
    assert_eq!(plain.header("vary"), "accept-encoding");
    let compressed = gate
        .signed("GET", "/v1/products")
        .header("accept-encoding", "gzip")
        .send()
        .await;
    assert_eq!(compressed.header("content-encoding"), "gzip");
    assert!(compressed.body.len() < plain.body.len() / 4);
    assert_eq!(
        gunzip(&compressed.body),
        String::from_utf8_lossy(&plain.body)
    );

    let bundle = "/docs/swagger-ui-5.35.0/swagger-ui.css";
    let plain = gate.request("GET", bundle).send().await;
    let compressed = gate
        .request("GET", bundle)
        .header("accept-encoding", "gzip")
        .send()
        .await;
    assert_eq!(
        gunzip(&compressed.body),
        String::from_utf8_lossy(&plain.body)
    );
}

#[tokio::test]
async fn what_is_short_secret_or_a_revision_goes_out_as_it_is() {
    let double = Double::answering(|seen| {
        Ok(match seen.path.rsplit('/').next().unwrap() {
            "Login" => TokenResponse {
                access_token: "a".repeat(2000),
                ..TokenResponse::default()
            }
            .encode_to_vec(),
            "GetProduct" => product().encode_to_vec(),
            _ => Vec::new(),
        })
    });
    let gate = Gate::before(&double).await;
    let login = gate.request("POST", "/v1/auth/login").json("{}");
    let revision = gate.signed("GET", "/v1/products/7");
    let short = gate.signed("GET", "/v1/products");
    for request in [login, revision, short] {
        let answered = request.header("accept-encoding", "gzip").send().await;
        assert_eq!(answered.status, 200);
        assert_eq!(answered.header("content-encoding"), "");
    }
}

#[tokio::test]
async fn a_compressed_body_is_read_and_a_bomb_is_not() {
    let double = Double::empty();
    let gate = Gate::before(&double).await;
    let send = |body: Vec<u8>| {
        gate.signed("POST", "/v1/users")
            .header("content-type", "application/json")
            .header("content-encoding", "gzip")
            .body(body)
            .send()
    };
    assert!(
        send(gzip(br#"{"user":{"username":"ada"}}"#))
            .await
            .status
            .is_success()
    );
    assert_eq!(
        double
            .only()
            .message::<CreateUserRequest>()
            .user
            .unwrap_or_default()
            .username,
        "ada"
    );
    // 64 MiB of blanks in 64 KiB.
    send(gzip(&vec![b' '; 64 << 20]))
        .await
        .expect(413, "MESSAGE_TOO_LARGE");
    send(b"{}".to_vec()).await.expect(400, "JSON_MALFORMED");
    // One member: of a hundred thousand empty ones there would be no end.
    let twice = [gzip(b"{}"), gzip(b"")].concat();
    send(twice).await.expect(400, "JSON_MALFORMED");
    send(gzip(b"").repeat(100_000))
        .await
        .expect(400, "JSON_MALFORMED");
    for encoding in ["br", "gzip, gzip", "deflate"] {
        let answered = gate
            .signed("POST", "/v1/users")
            .header("content-encoding", encoding)
            .json("{}")
            .send()
            .await;
        answered.expect(415, "CONTENT_TYPE");
    }
    assert_eq!(
        double
            .seen()
            .iter()
            .filter(|call| !call.bytes.is_empty() && call.bytes[..] != [0xff])
            .count(),
        1
    );
}
