//! Lists of orders.

use millgate_contract::factory::v1 as pb;
use tonic::Request;

use crate::world::{is_refused, ok, on_both, refused};

#[tokio::test]
async fn orders_are_listed_by_what_they_are_page_by_page() {
    on_both(|world| async move {
        let (bolt, nut) = (
            world.product("bolt", 100).await,
            world.product("nut", 100).await,
        );
        let (ada, bob) = (
            world.registered("Ada Lovelace").await,
            world.profile("Bob Smith").await,
        );
        let mut ids = Vec::new();
        for (customer, product) in [
            (ada.id, bolt.id),
            (bob.id, bolt.id),
            (ada.id, nut.id),
            (ada.id, bolt.id),
        ] {
            ids.push(world.placed(customer, product, 1).await.id);
        }
        let confirm = pb::ConfirmOrderRequest {
            id: ids[0],
            ..Default::default()
        };
        ok(world.orders().confirm_order(world.staff(confirm)).await);
        let now = ok(world
            .orders()
            .get_order(world.staff(pb::GetOrderRequest { id: ids[0] }))
            .await)
        .create_time;
        let listed = |request: pb::ListOrdersRequest| {
            let request = world.staff(request);
            let mut orders = world.orders();
            async move {
                let page = ok(orders.list_orders(request).await);
                assert!(page.orders.iter().all(|order| order.lines.len() == 1));
                page.orders.iter().map(|order| order.id).collect::<Vec<_>>()
            }
        };
        let all = pb::ListOrdersRequest::default();
        assert_eq!(listed(all.clone()).await, ids);
        assert_eq!(
            listed(pb::ListOrdersRequest {
                order_by: "id desc".into(),
                page_size: 1,
                ..all.clone()
            })
            .await,
            [ids[3]]
        );
        assert_eq!(
            listed(pb::ListOrdersRequest {
                state: 2,
                ..all.clone()
            })
            .await,
            [ids[0]]
        );
        assert_eq!(
            listed(pb::ListOrdersRequest {
                customer_id: bob.id,
                ..all.clone()
            })
            .await,
            [ids[1]]
        );
        assert_eq!(
            listed(pb::ListOrdersRequest {
                product_id: nut.id,
                ..all.clone()
            })
            .await,
            [ids[2]]
        );
        assert_eq!(
            listed(pb::ListOrdersRequest {
                placed_after: now,
                ..all.clone()
            })
            .await
            .len(),
            4
        );
        assert!(
            listed(pb::ListOrdersRequest {
                placed_before: now,
                ..all.clone()
            })
            .await
            .is_empty()
        );
        let bad = pb::ListOrdersRequest {
            state: 77,
            customer_id: -1,
            order_by: "total".into(),
            ..all
        };
        let answer = world.orders().list_orders(world.staff(bad)).await;
        is_refused(
            answer,
            "FIELD_INVALID",
            &["state", "customer_id", "order_by"],
        );

        let mine = |token: String| {
            let request = pb::ListMyOrdersRequest {
                page_size: 2,
                page_token: token,
                ..Default::default()
            };
            world.customer(ada.user_id, request)
        };
        let first = ok(world.orders().list_my_orders(mine(String::new())).await);
        assert_eq!(
            first
                .orders
                .iter()
                .map(|order| order.id)
                .collect::<Vec<_>>(),
            [ids[3], ids[2]]
        );
        let second = ok(world
            .orders()
            .list_my_orders(mine(first.next_page_token.clone()))
            .await);
        assert_eq!(
            second
                .orders
                .iter()
                .map(|order| order.id)
                .collect::<Vec<_>>(),
            [ids[0]]
        );
        assert!(second.next_page_token.is_empty());
        let stolen: Request<_> = world.staff(pb::ListOrdersRequest {
            page_token: first.next_page_token,
            ..Default::default()
        });
        assert_eq!(
            refused(world.orders().list_orders(stolen).await).reason,
            "PAGE_TOKEN_INVALID"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_large_orders_is_cut_before_it_grows_heavy() {
    on_both(|world| async move {
        let ada = world.registered("Ada Lovelace").await;
        let mut lines = Vec::new();
        for i in 0..500 {
            lines.push((world.product(&format!("P{i}"), 1).await.id, 1));
        }
        // A customer needs no more than 500 pieces for as many lines as they like: they cancel.
        for _ in 0..12 {
            let place = crate::world::order_of(0, &lines);
            let order = ok(world
                .orders()
                .place_order(world.customer(ada.user_id, place))
                .await);
            let cancel = pb::CancelOrderRequest {
                id: order.id,
                ..Default::default()
            };
            ok(world
                .orders()
                .cancel_order(world.customer(ada.user_id, cancel))
                .await);
        }
        let list = |page_token: String| {
            world.staff(pb::ListOrdersRequest {
                page_size: 1000,
                page_token,
                ..Default::default()
            })
        };
        let first = ok(world.orders().list_orders(list(String::new())).await);
        assert_eq!(first.orders.len(), 10, "5000 lines");
        let second = ok(world
            .orders()
            .list_orders(list(first.next_page_token))
            .await);
        assert_eq!(
            (second.orders.len(), second.next_page_token.as_str()),
            (2, "")
        );
        assert!(second.orders.iter().all(|order| order.lines.len() == 500));
    })
    .await;
}
