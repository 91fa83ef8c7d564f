//! What is refused before any handler runs, and leaves nothing written.

use std::time::Duration;

use millgate_contract::factory::v1 as pb;
use millgate_guard::testing::Defect;
use tonic::{Code, Request};

use crate::world::{money, on_both, refused, with_token};

fn create(description: String) -> pb::CreateProductRequest {
    let product = pb::Product {
        sku: "M8".into(),
        name: "Bolt".into(),
        unit_price: Some(money("EUR", 1, 0)),
        description,
        ..Default::default()
    };
    pb::CreateProductRequest {
        product: Some(product),
        request_id: String::new(),
    }
}

#[tokio::test]
async fn no_broken_token_saves_a_product() {
    on_both(|world| async move {
        let good = || world.issuer.user(1, "admin");
        let mut attempts: Vec<(String, Request<_>, &str)> = Vec::new();
        for defect in Defect::ALL {
            let token = good().defect(defect).token();
            let reason = match defect {
                Defect::WrongType => "TOKEN_WRONG_TYPE",
                _ => "TOKEN_INVALID",
            };
            attempts.push((
                format!("{defect:?}"),
                with_token(create(String::new()), &token),
                reason,
            ));
        }
        let expired = with_token(create(String::new()), &good().expired().token());
        attempts.push(("expired".into(), expired, "TOKEN_EXPIRED"));
        let early = good()
            .with(|claims| claims.not_before = Some(claims.expires_at - 1))
            .token();
        attempts.push((
            "early".into(),
            with_token(create(String::new()), &early),
            "TOKEN_NOT_YET_VALID",
        ));
        let refresh = with_token(
            create(String::new()),
            "kC3KGG_WP31eitZPcMw1kPXkFmarQxXq-JCRfDeUQus",
        );
        attempts.push(("a refresh token".into(), refresh, "TOKEN_INVALID"));
        let mut twice = with_token(create(String::new()), &good().token());
        let entry = good().bearer().parse().expect("a header");
        twice.metadata_mut().append("authorization", entry);
        attempts.push(("twice".into(), twice, "TOKEN_INVALID"));
        attempts.push((
            "none".into(),
            Request::new(create(String::new())),
            "TOKEN_MISSING",
        ));
        for (attempt, request, reason) in attempts {
            let refusal = refused(world.products().create_product(request).await);
            assert_eq!(
                (refusal.code, refusal.reason.as_str()),
                (Code::Unauthenticated, reason),
                "{attempt}"
            );
        }
        assert_eq!(world.count("SELECT count(*) FROM products").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_the_next_call_answered() {
    on_both(|world| async move {
        let large = world.staff(create("x".repeat(5 * 1024 * 1024)));
        let refusal = refused(world.products().create_product(large).await);
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::ResourceExhausted, "MESSAGE_TOO_LARGE")
        );
        assert_eq!(world.count("SELECT count(*) FROM products").await, 0);
        world.product("M8", 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_call_whose_time_is_up_is_answered_so() {
    on_both(|world| async move {
        let mut late = world.staff(pb::ListProductsRequest::default());
        late.set_timeout(Duration::from_nanos(1));
        let refusal = refused(world.products().list_products(late).await);
        assert!(
            matches!(refusal.code, Code::DeadlineExceeded | Code::Cancelled),
            "{refusal:?}"
        );
    })
    .await;
}
