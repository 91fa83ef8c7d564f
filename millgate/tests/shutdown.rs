//! The end of the process: on purpose under load, and what it promised before.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and speaks to whoever runs it"
)]

mod support;

use millgate_contract::factory::v1::place_order_request::Line;
use millgate_contract::factory::v1::{
    CreateProductRequest, GetOrderRequest, GetProductRequest, PlaceOrderRequest, Product,
};
use millgate_contract::google::r#type::Money;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{World, bearing, reason};

on_both_databases!(a_sigterm_under_load_loses_no_acknowledged_order);

/// Orders acknowledged before the signal is sent, and clients that place them.
const BEFORE: usize = 100;
const CLIENTS: usize = 8;

async fn a_sigterm_under_load_loses_no_acknowledged_order(mut world: World) {
    let staff = world.staff("sam").await;
    let ada = world.shopper("ada").await;
    let unit_price = Some(Money {
        currency_code: "EUR".into(),
        units: 1,
        nanos: 0,
    });
    let product = Product {
        sku: "W-1".into(),
        name: "Widget".into(),
        unit_price,
        on_hand: 1_000_000,
        ..Default::default()
    };
    let request = CreateProductRequest {
        product: Some(product),
        ..Default::default()
    };
    let product = world
        .products()
        .create_product(bearing(&staff, request))
        .await
        .unwrap()
        .into_inner();

    let acknowledged = Arc::new(AtomicUsize::new(0));
    let enough = Arc::new(tokio::sync::Notify::new());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (mut orders, token, product_id) = (world.orders(), ada.token.clone(), product.id);
            let (acknowledged, enough) = (acknowledged.clone(), enough.clone());
            tokio::spawn(async move {
                let mut placed = Vec::new();
                loop {
                    let request = PlaceOrderRequest {
                        lines: vec![Line {
                            product_id,
                            quantity: 1,
                            ..Default::default()
                        }],
                        ..Default::default()
                    };
                    match orders.place_order(bearing(&token, request)).await {
                        Ok(order) => placed.push(order.into_inner().id),
                        Err(end) => return (placed, end),
                    }
                    if acknowledged.fetch_add(1, Ordering::SeqCst) + 1 == BEFORE {
                        enough.notify_one();
                    }
                }
            })
        })
        .collect();
    enough.notified().await;
    world.running().terminate();
    assert!(
        world.running().wait().success(),
        "a SIGTERM ends the process with status 0"
    );

    let mut placed = Vec::new();
    for client in clients {
        let (orders, end) = client.await.unwrap();
        // What ends a client is the connection, not a half-done order: anything but success was not acknowledged. A
        // status that the client made of a closed connection has a source; tonic calls a GOAWAY that came between two
        // calls INTERNAL, and the server never saw that call.
        let by_the_server = std::error::Error::source(&end).is_none();
        assert!(
            !by_the_server || end.code() != tonic::Code::Internal,
            "{end:?} {}",
            reason(&end)
        );
        placed.extend(orders);
    }
    assert!(placed.len() >= BEFORE);

    world.run();
    for id in &placed {
        let order = world
            .orders()
            .get_order(bearing(&ada.token, GetOrderRequest { id: *id }))
            .await;
        assert!(
            order.is_ok(),
            "the acknowledged order {id} is lost: {order:?}"
        );
    }
    let product = world
        .products()
        .get_product(bearing(&staff, GetProductRequest { id: product.id }))
        .await
        .unwrap()
        .into_inner();
    let stored = placed.iter().max().copied().unwrap_or_default();
    // An order may have been stored whose answer no longer arrived, but none reserves a piece without being there.
    let reserved = usize::try_from(product.reserved).unwrap();
    assert!(
        (placed.len()..=placed.len() + CLIENTS).contains(&reserved),
        "{reserved} reserved, {} acknowledged, last {stored}",
        placed.len()
    );
}
