//! The prices that a product had, and the ledger of its stock.

use millgate_contract::factory::v1 as pb;

use crate::world::{World, is_refused, money, ok, on_both};

async fn update(world: &World, product: pb::Product, mask: &[&str]) -> pb::Product {
    let request = pb::UpdateProductRequest {
        product: Some(product),
        update_mask: Some(prost_types::FieldMask {
            paths: mask.iter().map(ToString::to_string).collect(),
        }),
    };
    ok(world.products().update_product(world.staff(request)).await)
}

#[tokio::test]
async fn every_price_is_kept_with_who_set_it() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 1).await;
        let product = |units| pb::Product {
            id: bolt.id,
            name: format!("Bolt of {units}"),
            unit_price: Some(money("EUR", units, 0)),
            ..Default::default()
        };
        update(&world, product(2), &["unit_price"]).await;
        update(&world, product(2), &["name", "unit_price"]).await;
        update(&world, product(3), &["unit_price"]).await;
        let list = pb::ListProductPricesRequest {
            product_id: bolt.id,
            page_size: 2,
            ..Default::default()
        };
        let first = ok(world
            .products()
            .list_product_prices(world.staff(list.clone()))
            .await);
        let rest = pb::ListProductPricesRequest {
            page_token: first.next_page_token,
            ..list.clone()
        };
        let rest = ok(world
            .products()
            .list_product_prices(world.staff(rest))
            .await);
        let units: Vec<_> = first
            .prices
            .iter()
            .chain(&rest.prices)
            .map(|price| price.unit_price.as_ref().expect("a price").units)
            .collect();
        assert_eq!(units, [3, 2, 1], "a price that stays is no new price");
        assert_eq!(first.prices[0].actor, "user:2");
        let ada = world.registered("Ada Lovelace").await;
        let asked = world.customer(ada.user_id, list);
        let answer = world.products().list_product_prices(asked).await;
        is_refused(answer, "ROLE_DENIED", &[]);
        let unknown = pb::ListProductPricesRequest {
            product_id: 4711,
            ..Default::default()
        };
        let answer = world
            .products()
            .list_product_prices(world.staff(unknown))
            .await;
        is_refused(answer, "PRODUCT_NOT_FOUND", &[]);
    })
    .await;
}

#[tokio::test]
async fn every_movement_is_in_the_ledger_and_their_sums_are_the_stock() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let ada = world.profile("Ada Lovelace").await;
        let order = world.placed(ada.id, bolt.id, 4).await;
        let cancel = pb::CancelOrderRequest {
            id: order.id,
            ..Default::default()
        };
        ok(world.orders().cancel_order(world.staff(cancel)).await);
        let order = world.placed(ada.id, bolt.id, 3).await;
        let id = order.id;
        let confirm = pb::ConfirmOrderRequest {
            id,
            ..Default::default()
        };
        ok(world.orders().confirm_order(world.staff(confirm)).await);
        let start = pb::StartProductionRequest {
            id,
            ..Default::default()
        };
        ok(world.orders().start_production(world.staff(start)).await);
        let ship = pb::ShipOrderRequest {
            id,
            ..Default::default()
        };
        ok(world.orders().ship_order(world.staff(ship)).await);
        let list = pb::ListStockMovementsRequest {
            product_id: bolt.id,
            ..Default::default()
        };
        let unknown = pb::ListStockMovementsRequest {
            product_id: 4711,
            ..Default::default()
        };
        let answer = world
            .products()
            .list_stock_movements(world.staff(unknown))
            .await;
        is_refused(answer, "PRODUCT_NOT_FOUND", &[]);
        let movements = ok(world
            .products()
            .list_stock_movements(world.staff(list))
            .await)
        .movements;
        use pb::StockMovementKind::{Created, Released, Reserved, Shipped};
        let told: Vec<_> = movements
            .iter()
            .rev()
            .map(|row| (row.kind(), row.delta, row.reserved_delta))
            .collect();
        assert_eq!(
            told,
            [
                (Created, 10, 0),
                (Reserved, 0, 4),
                (Released, 0, -4),
                (Reserved, 0, 3),
                (Shipped, -3, -3),
            ]
        );
        assert!(movements.iter().rev().skip(3).all(|row| row.order_id == id));
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test]
async fn an_etag_is_of_all_that_is_shown_and_a_reservation_spoils_no_edit() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let ada = world.profile("Ada Lovelace").await;
        world.placed(ada.id, bolt.id, 4).await;
        let reserved = world.get_product(bolt.id).await;
        assert_ne!(reserved.etag, bolt.etag);
        let product = pb::Product {
            id: bolt.id,
            name: "Long bolt".into(),
            etag: bolt.etag.clone(),
            ..Default::default()
        };
        let changed = update(&world, product.clone(), &["name"]).await;
        assert_ne!(changed.etag, reserved.etag);
        let request = pb::UpdateProductRequest {
            product: Some(product),
            ..Default::default()
        };
        let answer = world.products().update_product(world.staff(request)).await;
        is_refused(answer, "ETAG_MISMATCH", &[]);
    })
    .await;
}

#[tokio::test]
async fn a_list_shows_what_is_low_in_stock() {
    on_both(|world| async move {
        let (bolt, nut) = (
            world.product("bolt", 10).await,
            world.product("nut", 10).await,
        );
        world.product("washer", 0).await;
        for (product, reorder_threshold) in [(&bolt, 8), (&nut, 9)] {
            let product = pb::Product {
                id: product.id,
                reorder_threshold,
                ..Default::default()
            };
            update(&world, product, &["reorder_threshold"]).await;
        }
        let low = async || {
            let request = pb::ListProductsRequest {
                low_stock: true,
                ..Default::default()
            };
            let listed = ok(world.products().list_products(world.staff(request)).await);
            let skus = listed.products.into_iter().map(|product| product.sku);
            skus.collect::<Vec<_>>()
        };
        assert!(low().await.is_empty());
        let ada = world.profile("Ada Lovelace").await;
        world.placed(ada.id, bolt.id, 1).await;
        world.placed(ada.id, nut.id, 1).await;
        assert_eq!(low().await, ["nut"]);
        world.placed(ada.id, bolt.id, 1).await;
        assert_eq!(low().await, ["bolt", "nut"]);
    })
    .await;
}
