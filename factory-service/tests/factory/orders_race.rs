//! Orders that are placed, moved and cancelled at the same moment.

use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::order_service_client::OrderServiceClient;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::world::{ok, on_both, order_of, refused, with_token};

type Client = OrderServiceClient<Channel>;

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
                        ok(orders.cancel_order(with_token(cancel, &issuer)).await);
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

/// Numbers that look random and are the same in every run.
fn numbers(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

async fn verb(orders: &mut Client, token: &str, id: i64, which: u64) -> Result<(), Status> {
    macro_rules! call {
        ($method:ident, $request:ident) => {{
            let request = pb::$request {
                id,
                ..Default::default()
            };
            orders.$method(with_token(request, token)).await.map(drop)
        }};
    }
    match which {
        0 => call!(confirm_order, ConfirmOrderRequest),
        1 => call!(start_production, StartProductionRequest),
        2 => call!(ship_order, ShipOrderRequest),
        3 => call!(complete_order, CompleteOrderRequest),
        _ => call!(cancel_order, CancelOrderRequest),
    }
}

/// One client places an order and uses verbs on it and on others' at random, legal or not.
async fn busy(mut orders: Client, token: String, lines: [(i64, i64); 2], customer: i64, seed: u64) {
    let mut random = numbers(seed);
    for _ in 0..8 {
        let quantity = i64::try_from(random(4)).expect("small") + 1;
        let lines = if random(2) == 0 {
            lines
        } else {
            [lines[1], lines[0]]
        };
        let wanted = lines.map(|(product, _)| (product, quantity));
        let placed = orders
            .place_order(with_token(order_of(customer, &wanted), &token))
            .await;
        let Ok(placed) = placed else { continue };
        let newest = u64::try_from(placed.into_inner().id).expect("an id");
        for _ in 0..6 {
            let id = i64::try_from(random(newest) + 1).expect("an id");
            if let Err(status) = verb(&mut orders, &token, id, random(5)).await {
                let expected = [Code::FailedPrecondition, Code::NotFound];
                assert!(expected.contains(&status.code()), "{status:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_on_hand_and_pieces_shipped_together_stay_what_they_were() {
    on_both(|world| async move {
        let (a, b) = (world.product("a", 100).await, world.product("b", 100).await);
        let customer = world.profile("Ada Lovelace").await;
        let clients: Vec<_> = (1..=8)
            .map(|seed| {
                let token = world.issuer.user(seed, "user").token();
                let lines = [(a.id, 1), (b.id, 1)];
                let seed = u64::try_from(seed).expect("small");
                tokio::spawn(busy(world.orders(), token, lines, customer.id, seed))
            })
            .collect();
        for client in clients {
            client.await.expect("an end without surprise");
        }
        world.stock_adds_up().await;
        let shipped = "SELECT cast(coalesce(sum(l.quantity), 0) AS bigint) FROM order_lines l \
             JOIN orders o ON o.id = l.order_id WHERE o.state IN ('SHIPPED', 'COMPLETED')";
        let shipped = world.count(shipped).await;
        let on_hand = world.count("SELECT cast(sum(on_hand) AS bigint) FROM products").await;
        assert_eq!(on_hand + shipped, 200);
        assert!(shipped > 0, "nothing was shipped, so nothing was shown");
        let not_in_the_ledger = "SELECT count(*) FROM orders o WHERE o.state IN ('SHIPPED', 'COMPLETED') \
             AND NOT EXISTS (SELECT 1 FROM stock_movements m WHERE m.order_id = o.id)";
        assert_eq!(world.count(not_in_the_ledger).await, 0);
        let total_is_not_its_lines = "SELECT count(*) FROM orders o WHERE o.total_minor <> \
             (SELECT sum(l.line_total_minor) FROM order_lines l WHERE l.order_id = o.id)";
        assert_eq!(world.count(total_is_not_its_lines).await, 0);
    })
    .await;
}
