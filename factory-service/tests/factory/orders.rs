//! Orders: what may be placed, who sees it, and the verbs that move it.

use millgate_contract::factory::v1 as pb;
use tonic::Code;

use crate::world::{World, is_refused, metadata, money, ok, on_both, order_of, refused, uuid};

async fn nothing_is_reserved(world: &World) {
    assert_eq!(world.count("SELECT count(*) FROM orders").await, 0);
    assert_eq!(world.count("SELECT count(*) FROM order_lines").await, 0);
    assert_eq!(
        world
            .count("SELECT cast(coalesce(sum(reserved), 0) AS bigint) FROM products")
            .await,
        0
    );
}

#[tokio::test]
async fn an_order_copies_prices_and_reserves_its_pieces() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let nut = world.priced("nut", 10, money("EUR", 0, 250_000_000)).await;
        let customer = world.profile("Ada Lovelace").await;
        // The later product first: lines keep the order of the request, locks the order of the ids.
        let request = order_of(customer.id, &[(nut.id, 4), (bolt.id, 2)]);
        let order = ok(world.orders().place_order(world.staff(request)).await);
        assert_eq!(order.state(), pb::OrderState::Placed);
        assert_eq!(order.total, Some(money("EUR", 4, 0)));
        let lines: Vec<_> = order
            .lines
            .iter()
            .map(|line| (line.sku.as_str(), line.quantity))
            .collect();
        assert_eq!(lines, [("nut", 4), ("bolt", 2)]);
        assert_eq!(order.lines[1].line_total, Some(money("EUR", 3, 0)));
        assert_eq!(order.next_actions, ["confirm", "cancel"]);
        assert_eq!(world.get_product(bolt.id).await.available, 8);

        let dearer = pb::Product {
            id: bolt.id,
            unit_price: Some(money("USD", 9, 0)),
            ..Default::default()
        };
        let update = pb::UpdateProductRequest {
            product: Some(dearer),
            ..Default::default()
        };
        ok(world.products().update_product(world.staff(update)).await);
        let kept = ok(world
            .orders()
            .get_order(world.staff(pb::GetOrderRequest { id: order.id }))
            .await);
        assert_eq!(kept, order);
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test]
async fn every_bad_line_is_named_at_once_and_nothing_is_reserved() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let customer = world.profile("Ada Lovelace").await;
        let place = |customer_id, lines: &[(i64, i64)]| {
            let request = world.staff(order_of(customer_id, lines));
            let mut orders = world.orders();
            async move { orders.place_order(request).await }
        };
        let quantities = [
            (1, 0),
            (2, -1),
            (3, i64::MAX),
            (4, i64::MIN),
            (5, 1_000_001),
            (0, 1),
            (-7, 1),
        ];
        let fields = [
            "lines[0].quantity",
            "lines[1].quantity",
            "lines[2].quantity",
            "lines[3].quantity",
            "lines[4].quantity",
            "lines[5].product_id",
            "lines[6].product_id",
        ];
        is_refused(
            place(customer.id, &quantities).await,
            "FIELD_INVALID",
            &fields,
        );
        is_refused(
            place(0, &[]).await,
            "FIELD_INVALID",
            &["customer_id", "lines"],
        );
        let twice = place(customer.id, &[(bolt.id, 1), (bolt.id, 1)]).await;
        is_refused(twice, "FIELD_INVALID", &["lines[1].product_id"]);
        let many: Vec<_> = (1..=501).map(|id| (id, 1)).collect();
        is_refused(place(customer.id, &many).await, "FIELD_INVALID", &["lines"]);

        let unknown = place(customer.id, &[(bolt.id, 1), (998, 1), (999, 1)]).await;
        is_refused(
            unknown,
            "PRODUCT_NOT_FOUND",
            &["lines[1].product_id", "lines[2].product_id"],
        );
        let short = place(customer.id, &[(bolt.id, 11)]).await;
        assert_eq!(metadata(&short, "product_id"), Some(bolt.id.to_string()));
        assert_eq!(metadata(&short, "available").as_deref(), Some("10"));
        let refusal = refused(short);
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Code::FailedPrecondition, "OUT_OF_STOCK")
        );
        assert_eq!(
            refused(place(4711, &[(bolt.id, 1)]).await).reason,
            "CUSTOMER_NOT_FOUND"
        );
        assert_eq!(
            refused(place(4711, &[(999, 1)]).await).reason,
            "CUSTOMER_NOT_FOUND"
        );
        nothing_is_reserved(&world).await;
    })
    .await;
}

#[tokio::test]
async fn currencies_are_not_mixed_and_amounts_do_not_overflow() {
    on_both(|world| async move {
        let euro = world.product("euro", 2_000_000).await;
        let dollar = world.priced("dollar", 10, money("USD", 1, 0)).await;
        let dear = world
            .priced("dear", 10, money("EUR", i64::MAX / 100, 0))
            .await;
        let customer = world.profile("Ada Lovelace").await;
        let place = |lines: &[(i64, i64)]| {
            let request = world.staff(order_of(customer.id, lines));
            let mut orders = world.orders();
            async move { orders.place_order(request).await }
        };
        let mixed = place(&[(euro.id, 1), (dollar.id, 1)]).await;
        is_refused(mixed, "FIELD_INVALID", &["lines[1].product_id"]);
        is_refused(
            place(&[(dear.id, 2)]).await,
            "AMOUNT_OUT_OF_RANGE",
            &["lines[0].quantity"],
        );
        is_refused(
            place(&[(dear.id, 1), (euro.id, 1)]).await,
            "AMOUNT_OUT_OF_RANGE",
            &["lines"],
        );
        nothing_is_reserved(&world).await;
        ok(place(&[(euro.id, 1_000_000)]).await);
    })
    .await;
}

#[tokio::test]
async fn all_lines_are_reserved_or_none() {
    on_both(|world| async move {
        let (bolt, nut) = (
            world.product("bolt", 10).await,
            world.product("nut", 1).await,
        );
        let customer = world.profile("Ada Lovelace").await;
        let request = order_of(customer.id, &[(bolt.id, 5), (nut.id, 2)]);
        assert_eq!(
            refused(world.orders().place_order(world.staff(request)).await).reason,
            "OUT_OF_STOCK"
        );
        nothing_is_reserved(&world).await;
        let inactive = pb::Product {
            id: nut.id,
            state: 2,
            ..Default::default()
        };
        let update = pb::UpdateProductRequest {
            product: Some(inactive),
            ..Default::default()
        };
        ok(world.products().update_product(world.staff(update)).await);
        let request = order_of(customer.id, &[(bolt.id, 5), (nut.id, 1)]);
        let answer = world.orders().place_order(world.staff(request)).await;
        is_refused(answer, "STATE_CONFLICT", &["lines[1].product_id"]);
        nothing_is_reserved(&world).await;
        let delete = pb::DeleteProductRequest {
            id: nut.id,
            ..Default::default()
        };
        ok(world.products().delete_product(world.staff(delete)).await);
        let request = order_of(customer.id, &[(bolt.id, 5), (nut.id, 1)]);
        let answer = world.orders().place_order(world.staff(request)).await;
        is_refused(answer, "PRODUCT_NOT_FOUND", &["lines[1].product_id"]);
        nothing_is_reserved(&world).await;
    })
    .await;
}

#[tokio::test]
async fn a_customer_places_for_themselves_and_cannot_read_anothers_order() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let (ada, bob) = (
            world.registered("Ada Lovelace").await,
            world.registered("Bob Smith").await,
        );
        let place = |customer_id| order_of(customer_id, &[(bolt.id, 1)]);
        for named in [ada.id, bob.id] {
            let answer = world
                .orders()
                .place_order(world.customer(ada.user_id, place(named)))
                .await;
            is_refused(answer, "FIELD_NOT_WRITABLE", &["customer_id"]);
        }
        let answer = world
            .orders()
            .place_order(world.customer(4711, place(0)))
            .await;
        assert_eq!(refused(answer).reason, "CUSTOMER_NOT_FOUND");
        nothing_is_reserved(&world).await;

        let order = ok(world
            .orders()
            .place_order(world.customer(ada.user_id, place(0)))
            .await);
        assert_eq!(
            (order.customer_id, order.next_actions.as_slice()),
            (ada.id, ["cancel".to_owned()].as_slice())
        );
        let get = pb::GetOrderRequest { id: order.id };
        assert_eq!(
            ok(world
                .orders()
                .get_order(world.customer(ada.user_id, get))
                .await),
            order
        );
        let hidden = refused(
            world
                .orders()
                .get_order(world.customer(bob.user_id, get))
                .await,
        );
        let missing = pb::GetOrderRequest { id: 999 };
        let missing = refused(
            world
                .orders()
                .get_order(world.customer(bob.user_id, missing))
                .await,
        );
        assert_eq!(
            (hidden.code, hidden.reason.as_str()),
            (Code::NotFound, "ORDER_NOT_FOUND")
        );
        assert_eq!(
            hidden.message.replace(&order.id.to_string(), "999"),
            missing.message
        );
        let cancel = pb::CancelOrderRequest {
            id: order.id,
            ..Default::default()
        };
        let answer = world
            .orders()
            .cancel_order(world.customer(bob.user_id, cancel.clone()))
            .await;
        assert_eq!(refused(answer).reason, "ORDER_NOT_FOUND");
        let confirm = pb::ConfirmOrderRequest {
            id: order.id,
            ..Default::default()
        };
        let answer = world
            .orders()
            .confirm_order(world.customer(ada.user_id, confirm))
            .await;
        assert_eq!(refused(answer).reason, "ROLE_DENIED");

        let mine = |user_id| world.customer(user_id, pb::ListMyOrdersRequest::default());
        assert_eq!(
            ok(world.orders().list_my_orders(mine(ada.user_id)).await).orders,
            [order]
        );
        assert!(
            ok(world.orders().list_my_orders(mine(bob.user_id)).await)
                .orders
                .is_empty()
        );
        assert_eq!(
            refused(world.orders().list_my_orders(mine(4711)).await).reason,
            "CUSTOMER_NOT_FOUND"
        );
        let all = world.customer(ada.user_id, pb::ListOrdersRequest::default());
        assert_eq!(
            refused(world.orders().list_orders(all).await).reason,
            "ROLE_DENIED"
        );
    })
    .await;
}

#[tokio::test]
async fn a_request_id_places_one_order_for_one_caller() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let customer = world.profile("Ada Lovelace").await;
        let request = pb::PlaceOrderRequest {
            request_id: uuid(),
            ..order_of(customer.id, &[(bolt.id, 2)])
        };
        let calls = (0..32).map(|_| {
            let (mut orders, request) = (world.orders(), world.staff(request.clone()));
            tokio::spawn(async move { ok(orders.place_order(request).await) })
        });
        let calls: Vec<_> = calls.collect();
        let mut answers = Vec::new();
        for call in calls {
            answers.push(call.await.expect("an answer"));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(world.count("SELECT count(*) FROM orders").await, 1);
        let other = pb::PlaceOrderRequest {
            request_id: request.request_id.clone(),
            ..order_of(customer.id, &[(bolt.id, 3)])
        };
        assert_eq!(
            refused(world.orders().place_order(world.staff(other)).await).reason,
            "REQUEST_ID_REUSED"
        );
        assert_eq!(world.get_product(bolt.id).await.reserved, 2);
        let anothers = ok(world.orders().place_order(world.admin(request)).await);
        assert_ne!(anothers.id, answers[0].id);
        world.stock_adds_up().await;
    })
    .await;
}
