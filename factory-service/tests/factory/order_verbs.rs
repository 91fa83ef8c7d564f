//! The verbs that move an order.

use millgate_contract::factory::v1 as pb;

use crate::world::{is_refused, metadata, ok, on_both, refused, uuid};

#[tokio::test]
async fn an_order_goes_its_way_and_its_pieces_leave_the_stock_when_it_ships() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let customer = world.profile("Ada Lovelace").await;
        let order = world.placed(customer.id, bolt.id, 4).await;
        let id = order.id;
        let ship = pb::ShipOrderRequest {
            id,
            ..Default::default()
        };
        let answer = world.orders().ship_order(world.staff(ship.clone())).await;
        assert_eq!(metadata(&answer, "state").as_deref(), Some("PLACED"));
        assert_eq!(
            metadata(&answer, "allowed").as_deref(),
            Some("confirm, cancel")
        );
        assert_eq!(refused(answer).reason, "STATE_CONFLICT");

        let confirm = pb::ConfirmOrderRequest {
            id,
            etag: order.etag,
            request_id: uuid(),
        };
        let confirmed = ok(world
            .orders()
            .confirm_order(world.staff(confirm.clone()))
            .await);
        assert_eq!(confirmed.next_actions, ["startProduction", "cancel"]);
        assert_eq!(
            ok(world
                .orders()
                .confirm_order(world.staff(confirm.clone()))
                .await),
            confirmed
        );
        let again = pb::ConfirmOrderRequest {
            request_id: String::new(),
            ..confirm
        };
        assert_eq!(
            refused(world.orders().confirm_order(world.staff(again)).await).reason,
            "ETAG_MISMATCH"
        );
        let start = pb::StartProductionRequest {
            id,
            ..Default::default()
        };
        ok(world.orders().start_production(world.staff(start)).await);
        assert_eq!(world.get_product(bolt.id).await.on_hand, 10);
        ok(world.orders().ship_order(world.staff(ship.clone())).await);
        let left = world.get_product(bolt.id).await;
        assert_eq!((left.on_hand, left.reserved, left.available), (6, 0, 6));
        assert_eq!(
            refused(world.orders().ship_order(world.staff(ship)).await).reason,
            "STATE_CONFLICT"
        );
        let cancel = pb::CancelOrderRequest {
            id,
            ..Default::default()
        };
        assert_eq!(
            refused(world.orders().cancel_order(world.staff(cancel)).await).reason,
            "STATE_CONFLICT"
        );
        let complete = pb::CompleteOrderRequest {
            id,
            ..Default::default()
        };
        let completed = ok(world.orders().complete_order(world.staff(complete)).await);
        assert_eq!(
            (completed.state(), completed.next_actions.len()),
            (pb::OrderState::Completed, 0)
        );
        assert_eq!(world.count("SELECT count(*) FROM order_states").await, 5);
        assert_eq!(
            world
                .count("SELECT count(*) FROM order_states WHERE actor = 'user:2'")
                .await,
            5
        );
        assert_eq!(world.get_product(bolt.id).await, left);
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_order_gives_its_pieces_back_once() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let ada = world.registered("Ada Lovelace").await;
        let order = world.placed(ada.id, bolt.id, 4).await;
        let cancel = |reason: &str| pb::CancelOrderRequest {
            id: order.id,
            reason: reason.to_owned(),
            ..Default::default()
        };
        let long = world.customer(ada.user_id, cancel(&"x".repeat(501)));
        is_refused(
            world.orders().cancel_order(long).await,
            "FIELD_INVALID",
            &["reason"],
        );
        let cancelled = ok(world
            .orders()
            .cancel_order(world.customer(ada.user_id, cancel("too late")))
            .await);
        assert_eq!(
            (cancelled.state(), cancelled.cancel_reason.as_str()),
            (pb::OrderState::Cancelled, "too late")
        );
        assert_eq!(world.get_product(bolt.id).await.available, 10);
        let again = world
            .orders()
            .cancel_order(world.staff(cancel("again")))
            .await;
        assert_eq!(refused(again).reason, "STATE_CONFLICT");
        assert_eq!(world.get_product(bolt.id).await.available, 10);

        let order = world.placed(ada.id, bolt.id, 4).await;
        let confirm = pb::ConfirmOrderRequest {
            id: order.id,
            ..Default::default()
        };
        ok(world.orders().confirm_order(world.staff(confirm)).await);
        let cancel = pb::CancelOrderRequest {
            id: order.id,
            ..Default::default()
        };
        let answer = world
            .orders()
            .cancel_order(world.customer(ada.user_id, cancel.clone()))
            .await;
        assert_eq!(refused(answer).reason, "STATE_CONFLICT");
        assert_eq!(world.get_product(bolt.id).await.available, 6);
        ok(world.orders().cancel_order(world.staff(cancel)).await);
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test]
async fn a_caller_who_may_only_read_is_offered_no_verbs() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let customer = world.profile("Ada Lovelace").await;
        let id = world.placed(customer.id, bolt.id, 1).await.id;
        for (scope, expected) in [("orders.read", 0), ("orders.read orders.write", 2)] {
            let get = world.service(scope, pb::GetOrderRequest { id });
            let order = ok(world.orders().get_order(get).await);
            assert_eq!(order.next_actions.len(), expected, "{scope}");
        }
        let confirm = pb::ConfirmOrderRequest {
            id,
            ..Default::default()
        };
        let denied = world
            .orders()
            .confirm_order(world.service("orders.read", confirm.clone()))
            .await;
        assert_eq!(refused(denied).reason, "SCOPE_DENIED");
        let done = world.service("orders.write", confirm);
        ok(world.orders().confirm_order(done).await);
        let by_service =
            "SELECT count(*) FROM order_states WHERE actor = 'service:billing' AND session = ''";
        assert_eq!(world.count(by_service).await, 1);
    })
    .await;
}
