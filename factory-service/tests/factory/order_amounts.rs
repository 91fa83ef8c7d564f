//! What an order comes to: discounts, taxes, and the sums.

use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::place_order_request::Line;

use crate::world::{is_refused, money, ok, on_both, order_of};

fn minor(amount: &Option<millgate_contract::google::r#type::Money>) -> i64 {
    let amount = amount.as_ref().expect("an amount");
    amount.units * 100 + i64::from(amount.nanos / 10_000_000)
}

#[tokio::test]
async fn discount_and_tax_are_rounded_on_the_line_and_the_totals_are_their_sums() {
    on_both(|world| async move {
        // 0.05 a piece.
        let bolt = world.priced("bolt", 100, money("EUR", 0, 50_000_000)).await;
        let nut = pb::Product {
            sku: "nut".into(),
            name: "Nut".into(),
            unit_price: Some(money("EUR", 1, 500_000_000)),
            on_hand: 100,
            tax_rate_basis_points: 1900,
            ..Default::default()
        };
        let create = pb::CreateProductRequest {
            product: Some(nut),
            ..Default::default()
        };
        let nut = ok(world.products().create_product(world.staff(create)).await);
        let ada = world.profile("Ada Lovelace").await;
        let line = |product_id, quantity, discount, tax| Line {
            product_id,
            quantity,
            discount_basis_points: discount,
            tax_rate_basis_points: tax,
        };
        let place = |lines: Vec<Line>| {
            world.staff(pb::PlaceOrderRequest {
                lines,
                ..order_of(ada.id, &[])
            })
        };
        // Half of 0.05 is 0.025: to the even 0.02. Of 3 pieces, half of 0.15 is 0.075: to 0.08.
        let lines = vec![line(bolt.id, 3, 5000, Some(700)), line(nut.id, 1, 0, None)];
        let order = ok(world.orders().place_order(place(lines)).await);
        let told: Vec<_> = order
            .lines
            .iter()
            .map(|line| {
                (
                    minor(&line.discount),
                    minor(&line.line_total),
                    minor(&line.tax),
                )
            })
            .collect();
        // 19 percent of 1.50 is 0.285: to the even 0.28.
        assert_eq!(told, [(8, 7, 0), (0, 150, 28)]);
        assert_eq!(
            order.lines[1].tax_rate_basis_points, 1900,
            "the product's own"
        );
        assert_eq!(
            (
                minor(&order.subtotal),
                minor(&order.tax_total),
                minor(&order.total)
            ),
            (157, 28, 185)
        );
        let get = world.staff(pb::GetOrderRequest { id: order.id });
        assert_eq!(ok(world.orders().get_order(get).await), order);
        let one = vec![line(bolt.id, 1, 5000, Some(10_000))];
        let order = ok(world.orders().place_order(place(one)).await);
        assert_eq!((minor(&order.subtotal), minor(&order.total)), (3, 6));
        let free = vec![line(bolt.id, 1, 10_000, Some(1900))];
        let order = ok(world.orders().place_order(place(free)).await);
        assert_eq!(minor(&order.total), 0);
        is_refused(
            world
                .orders()
                .place_order(place(vec![line(bolt.id, 1, -1, Some(10_001))]))
                .await,
            "FIELD_INVALID",
            &[
                "lines[0].discount_basis_points",
                "lines[0].tax_rate_basis_points",
            ],
        );
    })
    .await;
}

#[tokio::test]
async fn a_customer_gives_themselves_no_discount_and_no_tax() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let ada = world.registered("Ada Lovelace").await;
        for (discount, tax) in [(10_000, None), (0, Some(0)), (1, Some(5))] {
            let line = Line {
                product_id: bolt.id,
                quantity: 1,
                discount_basis_points: discount,
                tax_rate_basis_points: tax,
            };
            let request = pb::PlaceOrderRequest {
                lines: vec![line],
                ..Default::default()
            };
            let answer = world
                .orders()
                .place_order(world.customer(ada.user_id, request))
                .await;
            let mut fields = Vec::new();
            if discount != 0 {
                fields.push("lines[0].discount_basis_points");
            }
            if tax.is_some() {
                fields.push("lines[0].tax_rate_basis_points");
            }
            is_refused(answer, "FIELD_NOT_WRITABLE", &fields);
        }
        assert_eq!(world.count("SELECT count(*) FROM orders").await, 0);
        assert_eq!(world.get_product(bolt.id).await.reserved, 0);
    })
    .await;
}

#[tokio::test]
async fn an_order_keeps_its_address_its_notes_and_every_state_it_was_in() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let register = pb::RegisterCustomerRequest {
            shipping_address: "1 Old Street".into(),
            ..crate::world::registration("Ada Lovelace")
        };
        let ada = ok(world.customers().register_customer(register).await);
        let ada = ada.customer.expect("a profile");
        let request = pb::PlaceOrderRequest {
            notes: "ring twice".into(),
            ..order_of(0, &[(bolt.id, 1)])
        };
        let order = ok(world
            .orders()
            .place_order(world.customer(ada.user_id, request))
            .await);
        let elsewhere = pb::PlaceOrderRequest {
            shipping_address: "2 Other Street".into(),
            ..order_of(ada.id, &[(bolt.id, 1)])
        };
        let elsewhere = ok(world.orders().place_order(world.staff(elsewhere)).await);
        assert_eq!(elsewhere.shipping_address, "2 Other Street");
        let moved = pb::UpdateCustomerRequest {
            customer: Some(pb::Customer {
                id: ada.id,
                shipping_address: "9 New Street".into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        ok(world.customers().update_customer(world.staff(moved)).await);
        let get = world.staff(pb::GetOrderRequest { id: order.id });
        let kept = ok(world.orders().get_order(get).await);
        assert_eq!(
            (kept.shipping_address.as_str(), kept.notes.as_str()),
            ("1 Old Street", "ring twice")
        );
        let confirm = pb::ConfirmOrderRequest {
            id: order.id,
            ..Default::default()
        };
        ok(world.orders().confirm_order(world.admin(confirm)).await);
        let states = pb::ListOrderStatesRequest { id: order.id };
        let told = ok(world.orders().list_order_states(world.staff(states)).await).states;
        let told: Vec<_> = told
            .iter()
            .map(|past| (past.state(), past.actor.clone()))
            .collect();
        let placed_by = format!("user:{}", ada.user_id);
        assert_eq!(
            told,
            [
                (pb::OrderState::Placed, placed_by),
                (pb::OrderState::Confirmed, "user:1".to_owned())
            ]
        );
        let own = world.customer(ada.user_id, states);
        let own = ok(world.orders().list_order_states(own).await).states;
        assert!(own.len() == 2 && own.iter().all(|past| past.actor.is_empty()));
        let eve = world.registered("Eve Adams").await;
        for request in [
            world.customer(eve.user_id, states),
            world.staff(pb::ListOrderStatesRequest { id: 4711 }),
        ] {
            let answer = world.orders().list_order_states(request).await;
            is_refused(answer, "ORDER_NOT_FOUND", &[]);
        }
    })
    .await;
}

#[tokio::test]
async fn the_database_itself_refuses_an_order_that_does_not_add_up() {
    on_both(|world| async move {
        let bolt = world.product("bolt", 10).await;
        let ada = world.profile("Ada Lovelace").await;
        world.placed(ada.id, bolt.id, 2).await;
        for sql in [
            "UPDATE orders SET total_minor = total_minor + 1",
            "UPDATE orders SET tax_minor = 1",
            "UPDATE order_lines SET line_total_minor = 1",
            "UPDATE order_lines SET discount_minor = 1, line_total_minor = line_total_minor - 1",
            "UPDATE order_lines SET tax_minor = 1",
            "UPDATE order_lines SET discount_bp = 10001",
        ] {
            assert!(!world.accepts(sql).await, "{sql}");
        }
    })
    .await;
}
