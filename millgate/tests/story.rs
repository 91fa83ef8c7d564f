//! The main job, as people do it: register, log in, be refused, make products, place orders that move stock.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and speaks to whoever runs it"
)]

mod support;

use millgate_contract::auth::v1::{LogoutRequest, RefreshRequest, Role, WhoAmIRequest};
use millgate_contract::factory::v1::place_order_request::Line;
use millgate_contract::factory::v1::{
    CancelOrderRequest, ConfirmOrderRequest, CreateProductRequest, GetOrderRequest,
    GetProductRequest, Order, OrderState, PlaceOrderRequest, Product, ShipOrderRequest,
    StartProductionRequest,
};
use millgate_contract::google::r#type::Money;
use serde_json::json;
use support::{World, bearing, reason};

on_both_databases!(
    staff_make_products_and_customers_order_them,
    a_customer_cannot_read_anothers_order,
    a_hundred_orders_for_ten_pieces_sell_ten,
    a_login_ends_with_its_logout_and_a_refresh_token_works_once,
    the_same_over_http,
    what_was_acknowledged_outlives_a_crash,
);

fn euros(units: i64, nanos: i32) -> Option<Money> {
    Some(Money {
        currency_code: "EUR".into(),
        units,
        nanos,
    })
}

fn widget(sku: &str, on_hand: i64) -> CreateProductRequest {
    let product = Product {
        sku: sku.into(),
        name: "Widget".into(),
        unit_price: euros(12, 500_000_000),
        on_hand,
        ..Default::default()
    };
    CreateProductRequest {
        product: Some(product),
        ..Default::default()
    }
}

fn order_of(product: &Product, quantity: i64) -> PlaceOrderRequest {
    PlaceOrderRequest {
        lines: vec![Line {
            product_id: product.id,
            quantity,
            ..Default::default()
        }],
        ..Default::default()
    }
}

async fn stock(world: &World, token: &str, id: i64) -> (i64, i64, i64) {
    let product = world
        .products()
        .get_product(bearing(token, GetProductRequest { id }))
        .await
        .expect("a product")
        .into_inner();
    (product.on_hand, product.reserved, product.available)
}

async fn make(world: &World, token: &str, sku: &str, on_hand: i64) -> Product {
    world
        .products()
        .create_product(bearing(token, widget(sku, on_hand)))
        .await
        .expect("staff make products")
        .into_inner()
}

async fn staff_make_products_and_customers_order_them(world: World) {
    let staff = world.staff("sam").await;
    let ada = world.shopper("ada").await;

    let refused = world
        .products()
        .create_product(widget("W-1", 10))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "TOKEN_MISSING");
    let refused = world
        .products()
        .create_product(bearing(&ada.token, widget("W-1", 10)))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (tonic::Code::PermissionDenied, "ROLE_DENIED".into())
    );

    let product = make(&world, &staff, "W-1", 10).await;
    let order = world
        .orders()
        .place_order(bearing(&ada.token, order_of(&product, 3)))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (order.state(), order.customer_id),
        (OrderState::Placed, ada.customer.id)
    );
    assert_eq!(order.total, euros(37, 500_000_000));
    assert_eq!(order.next_actions, ["cancel"], "a customer may only cancel");
    assert_eq!(stock(&world, &staff, product.id).await, (10, 3, 7));

    let refused = world
        .orders()
        .place_order(bearing(&ada.token, order_of(&product, 8)))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "OUT_OF_STOCK");
    assert_eq!(stock(&world, &staff, product.id).await, (10, 3, 7));

    let refused = world
        .orders()
        .ship_order(bearing(
            &staff,
            ShipOrderRequest {
                id: order.id,
                ..Default::default()
            },
        ))
        .await;
    assert_eq!(reason(&refused.unwrap_err()), "STATE_CONFLICT");
    let request = ConfirmOrderRequest {
        id: order.id,
        etag: order.etag.clone(),
        ..Default::default()
    };
    let confirmed = world
        .orders()
        .confirm_order(bearing(&staff, request.clone()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(confirmed.next_actions, ["startProduction", "cancel"]);
    let stale = StartProductionRequest {
        id: order.id,
        etag: order.etag.clone(),
        ..Default::default()
    };
    let refused = world
        .orders()
        .start_production(bearing(&staff, stale))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "ETAG_MISMATCH");
    let late = CancelOrderRequest {
        id: order.id,
        ..Default::default()
    };
    assert_eq!(
        reason(
            &world
                .orders()
                .cancel_order(bearing(&ada.token, late))
                .await
                .unwrap_err()
        ),
        "STATE_CONFLICT"
    );

    world
        .orders()
        .start_production(bearing(
            &staff,
            StartProductionRequest {
                id: order.id,
                ..Default::default()
            },
        ))
        .await
        .unwrap();
    world
        .orders()
        .ship_order(bearing(
            &staff,
            ShipOrderRequest {
                id: order.id,
                ..Default::default()
            },
        ))
        .await
        .unwrap();
    assert_eq!(stock(&world, &staff, product.id).await, (7, 0, 7));

    let second = world
        .orders()
        .place_order(bearing(&ada.token, order_of(&product, 7)))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(stock(&world, &staff, product.id).await, (7, 7, 0));
    let cancel = CancelOrderRequest {
        id: second.id,
        reason: "changed my mind".into(),
        ..Default::default()
    };
    let cancelled = world
        .orders()
        .cancel_order(bearing(&ada.token, cancel))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(cancelled.state(), OrderState::Cancelled);
    assert_eq!(stock(&world, &staff, product.id).await, (7, 0, 7));
}

async fn a_customer_cannot_read_anothers_order(world: World) {
    let staff = world.staff("sam").await;
    let (ada, eve) = (world.shopper("ada").await, world.shopper("eve").await);
    let product = make(&world, &staff, "W-1", 10).await;
    let order = world
        .orders()
        .place_order(bearing(&ada.token, order_of(&product, 1)))
        .await
        .unwrap()
        .into_inner();

    let get = |token: String, id| {
        let mut orders = world.orders();
        async move {
            orders
                .get_order(bearing(&token, GetOrderRequest { id }))
                .await
        }
    };
    let hidden = get(eve.token.clone(), order.id).await.unwrap_err();
    let absent = get(eve.token.clone(), order.id + 1000).await.unwrap_err();
    assert_eq!(
        (hidden.code(), reason(&hidden)),
        (tonic::Code::NotFound, "ORDER_NOT_FOUND".into())
    );
    assert_eq!(
        hidden.message().replace(&order.id.to_string(), "N"),
        absent
            .message()
            .replace(&(order.id + 1000).to_string(), "N")
    );
    let cancel = CancelOrderRequest {
        id: order.id,
        ..Default::default()
    };
    assert_eq!(
        reason(
            &world
                .orders()
                .cancel_order(bearing(&eve.token, cancel))
                .await
                .unwrap_err()
        ),
        "ORDER_NOT_FOUND"
    );
    let untouched: Order = get(ada.token, order.id).await.unwrap().into_inner();
    assert_eq!(untouched, order);
}

async fn a_hundred_orders_for_ten_pieces_sell_ten(world: World) {
    let staff = world.staff("sam").await;
    let ada = world.shopper("ada").await;
    let product = make(&world, &staff, "W-1", 10).await;
    let orders = (0..100).map(|_| {
        let (mut client, request) = (world.orders(), bearing(&ada.token, order_of(&product, 1)));
        tokio::spawn(async move { client.place_order(request).await })
    });
    let mut sold = 0;
    for order in orders.collect::<Vec<_>>() {
        match order.await.unwrap() {
            Ok(_) => sold += 1,
            Err(refused) => assert_eq!(reason(&refused), "OUT_OF_STOCK"),
        }
    }
    assert_eq!(sold, 10);
    assert_eq!(stock(&world, &staff, product.id).await, (10, 10, 0));
}

async fn a_login_ends_with_its_logout_and_a_refresh_token_works_once(world: World) {
    let first = world.login("admin", support::ADMIN_PASSWORD).await.unwrap();
    let wrong = world.login("admin", "not the password").await.unwrap_err();
    let unknown = world.login("nobody", "not the password").await.unwrap_err();
    assert_eq!(reason(&wrong), "CREDENTIALS_INVALID");
    assert_eq!(
        (wrong.code(), wrong.message(), reason(&wrong)),
        (unknown.code(), unknown.message(), reason(&unknown))
    );

    let refused = world
        .auth()
        .who_am_i(bearing(&first.refresh_token, WhoAmIRequest {}))
        .await
        .unwrap_err();
    assert_eq!(
        reason(&refused),
        "TOKEN_INVALID",
        "a refresh token is not an access token"
    );
    let refresh = RefreshRequest {
        refresh_token: first.refresh_token.clone(),
    };
    let second = world
        .auth()
        .refresh(refresh.clone())
        .await
        .unwrap()
        .into_inner();
    let third = world
        .auth()
        .refresh(RefreshRequest {
            refresh_token: second.refresh_token,
        })
        .await
        .unwrap()
        .into_inner();
    // The first token's successor has been used by now, so this is no retry but a stolen token.
    assert_eq!(
        reason(&world.auth().refresh(refresh).await.unwrap_err()),
        "REFRESH_REUSED"
    );
    let ended = world
        .auth()
        .refresh(RefreshRequest {
            refresh_token: third.refresh_token,
        })
        .await
        .unwrap_err();
    assert_eq!(
        reason(&ended),
        "SESSION_ENDED",
        "a reuse ends the whole session"
    );

    let again = world.login("admin", support::ADMIN_PASSWORD).await.unwrap();
    let me = world
        .auth()
        .who_am_i(bearing(&again.access_token, WhoAmIRequest {}))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(me.user.unwrap().role(), Role::Admin);
    world
        .auth()
        .logout(LogoutRequest {
            refresh_token: again.refresh_token.clone(),
        })
        .await
        .unwrap();
    let refused = world
        .auth()
        .who_am_i(bearing(&again.access_token, WhoAmIRequest {}))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "SESSION_ENDED");
    let refused = world
        .auth()
        .refresh(RefreshRequest {
            refresh_token: again.refresh_token,
        })
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "SESSION_ENDED");
}

async fn the_same_over_http(world: World) {
    let http = world.http();
    let credentials = json!({ "username": "admin", "password": support::ADMIN_PASSWORD });
    let login = http.post("/v1/auth/login", None, credentials).await;
    assert_eq!(login.status, 200, "{login:?}");
    let admin = login.body["access_token"].as_str().unwrap();

    let missing = http.get("/v1/products", None).await;
    assert_eq!(
        (
            missing.status,
            missing.reason(),
            missing.header("www-authenticate")
        ),
        (401, "TOKEN_MISSING", "Bearer")
    );
    let body =
        json!({ "email": "ada@example.com", "name": "Ada Mill", "password": "a long enough one" });
    assert_eq!(http.post("/customers", None, body).await.status, 201);
    let login = http
        .post(
            "/customers/login",
            None,
            json!({ "email": "ada@example.com", "password": "a long enough one" }),
        )
        .await;
    let ada = login.body["token"].as_str().unwrap();
    let widget = json!({ "sku": "W-1", "name": "Widget", "on_hand": "10",
        "unit_price": { "currency_code": "EUR", "units": "12", "nanos": 500_000_000 } });
    let refused = http.post("/v1/products", Some(ada), widget.clone()).await;
    assert_eq!((refused.status, refused.reason()), (403, "ROLE_DENIED"));

    let created = http.post("/v1/products", Some(admin), widget).await;
    assert_eq!(created.status, 201, "{created:?}");
    let path = format!("/v1/products/{}", created.body["id"].as_str().unwrap());
    assert_eq!(created.header("location"), path);
    assert_eq!(
        http.get(&path, Some(ada)).await.header("etag"),
        format!("\"{}\"", created.body["etag"].as_str().unwrap())
    );

    let lines = json!({ "lines": [{ "product_id": created.body["id"], "quantity": "3" }] });
    let key = [("idempotency-key", "0b9bd1c5-5a50-4f4a-9d3c-4f7c4b8c9d10")];
    let order = http
        .call_with(
            "POST",
            "/v1/orders",
            Some(ada),
            Some(lines.to_string()),
            &key,
        )
        .await;
    let again = http
        .call_with(
            "POST",
            "/v1/orders",
            Some(ada),
            Some(lines.to_string()),
            &key,
        )
        .await;
    assert_eq!(
        (order.status, &order.body),
        (201, &again.body),
        "the same request id gives the first answer"
    );
    let other = json!({ "lines": [{ "product_id": created.body["id"], "quantity": "4" }] });
    let reused = http
        .call_with(
            "POST",
            "/v1/orders",
            Some(ada),
            Some(other.to_string()),
            &key,
        )
        .await;
    assert_eq!((reused.status, reused.reason()), (409, "REQUEST_ID_REUSED"));
    assert_eq!(http.get(&path, Some(ada)).await.body["available"], "7");

    let verb = format!("/v1/orders/{}:confirm", order.body["id"].as_str().unwrap());
    let stale = http
        .call_with(
            "POST",
            &verb,
            Some(admin),
            Some("{}".into()),
            &[("if-match", "\"999\"")],
        )
        .await;
    assert_eq!((stale.status, stale.reason()), (412, "ETAG_MISMATCH"));
    let confirmed = http.post(&verb, Some(admin), json!({})).await;
    assert_eq!(
        (confirmed.status, confirmed.body["state"].as_str()),
        (200, Some("ORDER_STATE_CONFIRMED"))
    );
}

async fn what_was_acknowledged_outlives_a_crash(mut world: World) {
    let ada = world.shopper("ada").await;
    let staff = world.staff("sam").await;
    let product = make(&world, &staff, "W-1", 10).await;
    let order = world
        .orders()
        .place_order(bearing(&ada.token, order_of(&product, 4)))
        .await
        .unwrap()
        .into_inner();
    world.kill();
    world.run();
    let read = world
        .orders()
        .get_order(bearing(&ada.token, GetOrderRequest { id: order.id }))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        read, order,
        "the tokens and the data are good after the restart"
    );
    assert_eq!(stock(&world, &staff, product.id).await, (10, 4, 6));
}
