//! The stock of a product, and its ledger.

use millgate_contract::factory::v1 as pb;
use tonic::Code;

use crate::world::{is_refused, metadata, ok, on_both, refused, uuid};

#[tokio::test]
async fn a_stock_never_falls_below_what_is_reserved_or_grows_past_its_bound() {
    on_both(|world| async move {
        let product = world.product("M8", 10).await;
        let customer = world.profile("Ada Lovelace").await;
        world.placed(customer.id, product.id, 4).await;
        let adjust = |delta: i64| {
            let reason = "count".to_owned();
            world.staff(pb::AdjustStockRequest {
                id: product.id,
                delta,
                reason,
                ..Default::default()
            })
        };
        let answer = world.products().adjust_stock(adjust(-7)).await;
        assert_eq!(metadata(&answer, "reserved").as_deref(), Some("4"));
        assert_eq!(refused(answer).reason, "OUT_OF_STOCK");
        assert_eq!(
            refused(world.products().adjust_stock(adjust(-11)).await).reason,
            "OUT_OF_STOCK"
        );
        let answer = world
            .products()
            .adjust_stock(adjust(1_000_000_000_000))
            .await;
        assert_eq!(refused(answer).reason, "AMOUNT_OUT_OF_RANGE");
        is_refused(
            world.products().adjust_stock(adjust(i64::MIN)).await,
            "AMOUNT_OUT_OF_RANGE",
            &["delta"],
        );
        is_refused(
            world.products().adjust_stock(adjust(0)).await,
            "FIELD_INVALID",
            &["delta"],
        );
        assert_eq!(world.get_product(product.id).await.on_hand, 10);
        let down = ok(world.products().adjust_stock(adjust(-6)).await);
        assert_eq!((down.on_hand, down.reserved, down.available), (4, 4, 0));
        let delete = pb::DeleteProductRequest {
            id: product.id,
            ..Default::default()
        };
        assert_eq!(
            refused(world.products().delete_product(world.staff(delete)).await).reason,
            "REFERENCED"
        );
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test]
async fn a_request_id_gives_the_first_answer_again_and_moves_the_stock_once() {
    on_both(|world| async move {
        let product = world.product("M8", 10).await;
        let request = pb::AdjustStockRequest {
            id: product.id,
            delta: 5,
            reason: "delivery".to_owned(),
            request_id: uuid(),
            ..Default::default()
        };
        let first = ok(world
            .products()
            .adjust_stock(world.staff(request.clone()))
            .await);
        let again = ok(world
            .products()
            .adjust_stock(world.staff(request.clone()))
            .await);
        assert_eq!((first.on_hand, &first), (15, &again));
        let other = pb::AdjustStockRequest {
            delta: 6,
            ..request.clone()
        };
        let refusal = refused(world.products().adjust_stock(world.staff(other)).await);
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::AlreadyExists, "REQUEST_ID_REUSED")
        );
        let bad = pb::AdjustStockRequest {
            request_id: "1".to_owned(),
            ..request
        };
        is_refused(
            world.products().adjust_stock(world.staff(bad)).await,
            "FIELD_INVALID",
            &["request_id"],
        );
        assert_eq!(world.get_product(product.id).await.on_hand, 15);
        world.stock_adds_up().await;
    })
    .await;
}
