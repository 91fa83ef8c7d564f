//! Orders that are placed, moved and cancelled at the same moment.

use millgate_contract::factory::v1 as pb;
use tonic::Code;

use crate::world::{ok, on_both, order_of, refused};

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_concurrent_orders_for_ten_pieces_ten_succeed() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let customer = world.profile("Ada Lovelace").await;
        let calls: Vec<_> = (0..100)
            .map(|_| {
                let request = world.staff(order_of(customer.id, &[(bolt.id, 1)]));
                let mut orders = world.orders();
                tokio::spawn(async move { orders.place_order(request).await })
            })
            .collect();
        let mut placed = 0;
        for call in calls {
            match call.await.expect("an answer") {
                Ok(_) => placed += 1,
                refusal => assert_eq!(refused(refusal).reason, "OUT_OF_STOCK"),
            }
        }
        assert_eq!(placed, 10);
        let left = world.get_product(bolt.id).await;
        assert_eq!((left.on_hand, left.reserved, left.available), (10, 10, 0));
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_with_the_same_products_in_opposite_order_never_wait_for_each_other() {
    on_both(|world| async move {
        let (a, b) = (
            world.product("a", 1000).await,
            world.product("b", 1000).await,
        );
        let customer = world.profile("Ada Lovelace").await;
        let calls: Vec<_> = (0..60)
            .map(|i| {
                let lines = if i % 2 == 0 {
                    [(a.id, 1), (b.id, 1)]
                } else {
                    [(b.id, 1), (a.id, 1)]
                };
                let request = world.staff(order_of(customer.id, &lines));
                let cancel = i % 3 == 0;
                let (mut orders, issuer) = (world.orders(), world.issuer.user(1, "admin").token());
                tokio::spawn(async move {
                    let order = ok(orders.place_order(request).await);
                    if cancel {
                        let cancel = pb::CancelOrderRequest {
                            id: order.id,
                            ..Default::default()
                        };
                        ok(orders
                            .cancel_order(crate::world::with_token(cancel, &issuer))
                            .await);
                    }
                })
            })
            .collect();
        for call in calls {
            call.await.expect("an answer");
        }
        assert_eq!(world.get_product(a.id).await.reserved, 40);
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_verbs_at_the_same_moment_one_moves_the_order() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let customer = world.profile("Ada Lovelace").await;
        let order = world.placed(customer.id, bolt.id, 4).await;
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let cancel = pb::CancelOrderRequest {
                    id: order.id,
                    ..Default::default()
                };
                let (mut orders, request) = (world.orders(), world.staff(cancel));
                tokio::spawn(async move { orders.cancel_order(request).await })
            })
            .collect();
        let mut moved = 0;
        for call in calls {
            match call.await.expect("an answer") {
                Ok(_) => moved += 1,
                refusal => assert_eq!(refused(refusal).reason, "STATE_CONFLICT"),
            }
        }
        assert_eq!(moved, 1);
        assert_eq!(world.get_product(bolt.id).await.reserved, 0);
        world.stock_adds_up().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_order_is_placed_for_a_customer_who_is_deleted_at_the_same_moment() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 1000).await;
        for i in 0..10 {
            let customer = world.profile(&format!("Customer {i}")).await;
            let delete = world.staff(pb::DeleteCustomerRequest {
                id: customer.id,
                ..Default::default()
            });
            let place = world.staff(order_of(customer.id, &[(bolt.id, 1)]));
            let (mut customers, mut orders) = (world.customers(), world.orders());
            let deleted = tokio::spawn(async move { customers.delete_customer(delete).await });
            let placed = tokio::spawn(async move { orders.place_order(place).await });
            let (deleted, placed) = (
                deleted.await.expect("an answer"),
                placed.await.expect("an answer"),
            );
            match (deleted, placed) {
                (Ok(_), Err(status)) => assert_eq!(status.code(), Code::NotFound),
                (Err(status), Ok(_)) => assert_eq!(status.code(), Code::FailedPrecondition),
                other => panic!("deleted with an open order: {other:?}"),
            }
        }
        let orphans = "SELECT count(*) FROM orders o JOIN customers c ON c.id = o.customer_id \
             WHERE c.delete_time IS NOT NULL";
        assert_eq!(world.count(orphans).await, 0);
    })
    .await;
}
