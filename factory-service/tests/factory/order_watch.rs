//! Streams of orders.

use std::time::Duration;

use millgate_contract::factory::v1 as pb;
use tonic::Streaming;

use crate::world::{World, ok, on_both, order_of, refused};

type Watch = Streaming<pb::WatchOrdersResponse>;

async fn next(watch: &mut Watch) -> pb::WatchOrdersResponse {
    let told = tokio::time::timeout(Duration::from_secs(20), watch.message()).await;
    told.expect("in time").expect("a change").expect("no end")
}

async fn confirm(world: &World, id: i64) {
    let confirm = pb::ConfirmOrderRequest {
        id,
        ..Default::default()
    };
    ok(world.orders().confirm_order(world.staff(confirm)).await);
}

#[tokio::test]
async fn staff_watch_every_order_and_a_customer_their_own() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 100).await;
        let ada = world.registered("Ada Lovelace").await;
        let eve = world.registered("Eve Adams").await;
        let all = pb::WatchOrdersRequest::default();
        let mut staff = ok(world.orders().watch_orders(world.staff(all)).await);
        let own = world.customer(ada.user_id, all);
        let mut own = ok(world.orders().watch_orders(own).await);
        let eves = world.placed(eve.id, bolt.id, 3).await;
        let place = order_of(0, &[(bolt.id, 1)]);
        let adas = ok(world
            .orders()
            .place_order(world.customer(ada.user_id, place))
            .await);
        confirm(&world, eves.id).await;
        confirm(&world, adas.id).await;
        let mut told = Vec::new();
        for _ in 0..4 {
            let change = next(&mut staff).await;
            let order = change.order.expect("the order");
            told.push((change.verb, order.id, order.lines.len(), order.state()));
        }
        let (placed, confirmed) = (pb::OrderState::Placed, pb::OrderState::Confirmed);
        let word = |verb: &str| verb.to_owned();
        assert_eq!(
            told,
            [
                (word("create"), eves.id, 1, placed),
                (word("create"), adas.id, 1, placed),
                (word("confirm"), eves.id, 0, confirmed),
                (word("confirm"), adas.id, 0, confirmed),
            ]
        );
        let first = next(&mut own).await;
        let second = next(&mut own).await;
        for (change, verb) in [(&first, "create"), (&second, "confirm")] {
            assert_eq!(change.verb, verb);
            assert_eq!(change.order.as_ref().map(|order| order.id), Some(adas.id));
        }
        // Cut off, it goes on where it was, and never with another's.
        drop(own);
        let from = pb::WatchOrdersRequest {
            from_sequence: second.sequence,
        };
        let mut own = ok(world
            .orders()
            .watch_orders(world.customer(ada.user_id, from))
            .await);
        assert_eq!(next(&mut own).await, second);
        world.placed(eve.id, bolt.id, 1).await;
        let cancel = pb::CancelOrderRequest {
            id: adas.id,
            reason: "too late".into(),
            ..Default::default()
        };
        ok(world.orders().cancel_order(world.staff(cancel)).await);
        let last = next(&mut own).await;
        let order = last.order.expect("the order");
        assert_eq!(
            (order.id, order.cancel_reason.as_str()),
            (adas.id, "too late")
        );
    })
    .await;
}

#[tokio::test]
async fn a_customer_is_not_told_the_newest_number_by_a_watch() {
    on_both(|world| async move {
        world.product("bolt", 100).await;
        let ada = world.registered("Ada Lovelace").await;
        let far = pb::WatchOrdersRequest {
            from_sequence: 1_000_000,
        };
        ok(world
            .orders()
            .watch_orders(world.customer(ada.user_id, far))
            .await);
        let refusal = refused(world.orders().watch_orders(world.staff(far)).await);
        assert_eq!(refusal.reason, "FIELD_INVALID");
    })
    .await;
}
