//! Bad input, each kind of it: the pinned answer, and nothing half-written behind it.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and speaks to whoever runs it"
)]

mod support;

use millgate_contract::auth::v1::{
    CreateUserRequest, ListUsersRequest, RegisterRequest, Role, User, WhoAmIRequest,
};
use millgate_contract::factory::v1::place_order_request::Line;
use millgate_contract::factory::v1::{
    CreateProductRequest, ListOrdersRequest, ListProductsRequest, OrderState, PlaceOrderRequest,
    Product, ProductState, RegisterCustomerRequest, UpdateProductRequest,
};
use millgate_contract::google::r#type::Money;
use millgate_guard::testing::{Defect, Issuer};
use millgate_guard::{FilePermissions, KeyRing, SharedRing, SystemClock};
use prost_types::FieldMask;
use serde_json::json;
use std::sync::Arc;
use support::people::PASSWORD;
use support::{World, bearing, reason};
use tonic::Code;
use tonic_types::StatusExt as _;

on_both_databases!(
    bad_tokens_are_refused_by_both_services,
    names_that_are_taken_are_named,
    bad_orders_reserve_nothing,
    a_page_token_belongs_to_its_filter_and_its_caller,
    a_mask_names_only_fields_that_are_there_and_may_be_written,
    bad_json_is_refused_with_the_place_of_the_fault,
    every_bad_field_is_named_at_once,
);

fn price(currency: &str, units: i64) -> Option<Money> {
    Some(Money {
        currency_code: currency.into(),
        units,
        nanos: 0,
    })
}

fn fields(status: &tonic::Status) -> Vec<String> {
    let details = status.get_error_details();
    let violations = details
        .bad_request()
        .map(|bad| bad.field_violations.clone())
        .unwrap_or_default();
    violations
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}

async fn product(
    world: &World,
    staff: &str,
    sku: &str,
    unit_price: Option<Money>,
    on_hand: i64,
) -> Product {
    let product = Product {
        sku: sku.into(),
        name: "Widget".into(),
        unit_price,
        on_hand,
        ..Default::default()
    };
    let request = CreateProductRequest {
        product: Some(product),
        ..Default::default()
    };
    world
        .products()
        .create_product(bearing(staff, request))
        .await
        .expect("staff make products")
        .into_inner()
}

async fn bad_tokens_are_refused_by_both_services(world: World) {
    let ring = KeyRing::load(
        &world.data_folder().join("keys.json"),
        FilePermissions::Private,
    )
    .unwrap();
    let issuer = Issuer::over(SharedRing::new(ring), Arc::new(SystemClock));
    let admin = world.login("admin", support::ADMIN_PASSWORD).await.unwrap();
    let mut bad: Vec<(String, String, &str)> = Defect::ALL
        .iter()
        .map(|defect| {
            let expected = if *defect == Defect::WrongType {
                "TOKEN_WRONG_TYPE"
            } else {
                "TOKEN_INVALID"
            };
            (
                format!("{defect:?}"),
                issuer.user(1, "admin").defect(*defect).token(),
                expected,
            )
        })
        .collect();
    bad.push((
        "expired".into(),
        issuer.user(1, "admin").expired().token(),
        "TOKEN_EXPIRED",
    ));
    bad.push((
        "a refresh token".into(),
        admin.refresh_token.clone(),
        "TOKEN_INVALID",
    ));
    bad.push(("oversized".into(), "x".repeat(5000), "TOKEN_INVALID"));
    for (what, token, expected) in bad {
        let auth = world
            .auth()
            .who_am_i(bearing(&token, WhoAmIRequest {}))
            .await
            .unwrap_err();
        assert_eq!(
            (auth.code(), reason(&auth).as_str()),
            (Code::Unauthenticated, expected),
            "{what} at auth"
        );
        let factory = world
            .products()
            .list_products(bearing(&token, ListProductsRequest::default()))
            .await
            .unwrap_err();
        assert_eq!(
            (factory.code(), reason(&factory).as_str()),
            (Code::Unauthenticated, expected),
            "{what} at the factory"
        );
    }
    let mut twice = bearing(&admin.access_token, WhoAmIRequest {});
    let again = format!("Bearer {}", admin.access_token).parse().unwrap();
    twice.metadata_mut().append("authorization", again);
    assert_eq!(
        reason(&world.auth().who_am_i(twice).await.unwrap_err()),
        "TOKEN_INVALID"
    );
    let mut basic = tonic::Request::new(WhoAmIRequest {});
    basic
        .metadata_mut()
        .insert("authorization", "Basic YWRtaW46".parse().unwrap());
    assert_eq!(
        reason(&world.auth().who_am_i(basic).await.unwrap_err()),
        "TOKEN_MISSING"
    );
    // A well signed token of somebody whom the users table does not know is good at no RPC of auth.
    let ghost = issuer.user(4711, "admin").token();
    assert_eq!(
        reason(
            &world
                .auth()
                .who_am_i(bearing(&ghost, WhoAmIRequest {}))
                .await
                .unwrap_err()
        ),
        "TOKEN_REVOKED"
    );
}

async fn names_that_are_taken_are_named(world: World) {
    let admin = world.admin().await;
    let user = |username: &str, email: &str| RegisterRequest {
        username: username.into(),
        email: email.into(),
        password: PASSWORD.into(),
        ..Default::default()
    };
    world
        .auth()
        .register(user("anna", "anna@example.com"))
        .await
        .unwrap();
    for (username, email, expected) in [
        ("ANNA", "b@example.com", "USERNAME_TAKEN"),
        ("bert", "Anna@Example.com", "EMAIL_TAKEN"),
    ] {
        let refused = world
            .auth()
            .register(user(username, email))
            .await
            .unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::AlreadyExists, expected)
        );
    }
    // The email is taken at auth, so the factory undoes what it began: the same address is free again for nobody else's data.
    let taken = RegisterCustomerRequest {
        name: "Anna".into(),
        email: "anna@example.com".into(),
        password: PASSWORD.into(),
        ..Default::default()
    };
    let refused = world
        .customers()
        .register_customer(taken)
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::AlreadyExists, "EMAIL_TAKEN")
    );
    let http = world.http();
    assert_eq!(
        http.get("/v1/customers?show_deleted=true", Some(&admin))
            .await
            .body["customers"],
        json!([])
    );
    let users = world
        .users()
        .list_users(bearing(&admin, ListUsersRequest::default()))
        .await
        .unwrap()
        .into_inner()
        .users;
    assert_eq!(users.len(), 2, "the administrator and anna: {users:?}");

    let first = product(&world, &admin, "W-1", price("EUR", 1), 1).await;
    let again = Product {
        sku: "w-1".into(),
        name: "Other".into(),
        unit_price: price("EUR", 1),
        ..Default::default()
    };
    let request = CreateProductRequest {
        product: Some(again),
        ..Default::default()
    };
    let refused = world
        .products()
        .create_product(bearing(&admin, request))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::AlreadyExists, "SKU_TAKEN")
    );
    let list = world
        .products()
        .list_products(bearing(&admin, ListProductsRequest::default()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(list.products, [first]);
}

async fn bad_orders_reserve_nothing(world: World) {
    let staff = world.staff("sam").await;
    let ada = world.shopper("ada").await;
    let euro = product(&world, &staff, "W-1", price("EUR", 1), 10).await;
    let dollar = product(&world, &staff, "W-2", price("USD", 1), 10).await;
    let dear = product(
        &world,
        &staff,
        "W-3",
        price("EUR", 90_000_000_000_000_000),
        1_000_000,
    )
    .await;
    let line = |product: &Product, quantity| Line {
        product_id: product.id,
        quantity,
        ..Default::default()
    };
    let unknown = Line {
        product_id: 4711,
        quantity: 1,
        ..Default::default()
    };
    let cases = [
        (vec![], Code::InvalidArgument, "FIELD_INVALID"),
        (vec![line(&euro, 0)], Code::InvalidArgument, "FIELD_INVALID"),
        (
            vec![line(&euro, -1)],
            Code::InvalidArgument,
            "FIELD_INVALID",
        ),
        (
            vec![line(&euro, i64::MAX)],
            Code::InvalidArgument,
            "FIELD_INVALID",
        ),
        (
            vec![line(&euro, 1), line(&euro, 1)],
            Code::InvalidArgument,
            "FIELD_INVALID",
        ),
        (
            vec![line(&euro, 1), line(&dollar, 1)],
            Code::InvalidArgument,
            "FIELD_INVALID",
        ),
        (
            vec![line(&euro, 1), line(&dear, 1_000_000)],
            Code::InvalidArgument,
            "AMOUNT_OUT_OF_RANGE",
        ),
        (
            vec![line(&euro, 1), unknown],
            Code::NotFound,
            "PRODUCT_NOT_FOUND",
        ),
        (
            vec![line(&euro, 11)],
            Code::FailedPrecondition,
            "OUT_OF_STOCK",
        ),
    ];
    for (lines, code, expected) in cases {
        let what = format!("{lines:?}");
        let request = PlaceOrderRequest {
            lines,
            ..Default::default()
        };
        let refused = world
            .orders()
            .place_order(bearing(&ada.token, request))
            .await
            .unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (code, expected),
            "{what}: {refused:?}"
        );
    }
    let list = world
        .products()
        .list_products(bearing(&staff, ListProductsRequest::default()))
        .await
        .unwrap()
        .into_inner();
    assert!(
        list.products.iter().all(|product| product.reserved == 0),
        "{list:?}"
    );
    let orders = world
        .orders()
        .list_orders(bearing(&staff, ListOrdersRequest::default()))
        .await
        .unwrap()
        .into_inner();
    assert!(orders.orders.is_empty());
}

async fn a_page_token_belongs_to_its_filter_and_its_caller(world: World) {
    let (staff, other) = (world.staff("sam").await, world.staff("tim").await);
    for sku in ["A", "B", "C"] {
        product(&world, &staff, sku, price("EUR", 1), 1).await;
    }
    let page = |token: &str, page_token: &str, state: ProductState| {
        let request = ListProductsRequest {
            page_size: 2,
            page_token: page_token.into(),
            state: state.into(),
            ..Default::default()
        };
        let (mut products, request) = (world.products(), bearing(token, request));
        async move {
            products
                .list_products(request)
                .await
                .map(tonic::Response::into_inner)
        }
    };
    let first = page(&staff, "", ProductState::Unspecified).await.unwrap();
    let second = page(&staff, &first.next_page_token, ProductState::Unspecified)
        .await
        .unwrap();
    assert_eq!(
        (
            first.products.len(),
            second.products.len(),
            second.next_page_token.as_str()
        ),
        (2, 1, "")
    );
    let next = first.next_page_token.as_str();
    for refused in [
        page(&staff, next, ProductState::Active).await,
        page(&other, next, ProductState::Unspecified).await,
        page(&staff, &format!("{next}x"), ProductState::Unspecified).await,
    ] {
        assert_eq!(reason(&refused.unwrap_err()), "PAGE_TOKEN_INVALID");
    }
    let orders = ListOrdersRequest {
        page_token: next.into(),
        state: OrderState::Placed.into(),
        ..Default::default()
    };
    assert_eq!(
        reason(
            &world
                .orders()
                .list_orders(bearing(&staff, orders))
                .await
                .unwrap_err()
        ),
        "PAGE_TOKEN_INVALID"
    );
}

async fn a_mask_names_only_fields_that_are_there_and_may_be_written(world: World) {
    let staff = world.staff("sam").await;
    let made = product(&world, &staff, "W-1", price("EUR", 1), 10).await;
    for (path, expected) in [
        ("nonsense", "UNKNOWN_FIELD"),
        ("on_hand", "FIELD_NOT_WRITABLE"),
        ("id", "FIELD_NOT_WRITABLE"),
    ] {
        let request = UpdateProductRequest {
            product: Some(Product {
                id: made.id,
                name: "Other".into(),
                on_hand: 99,
                ..Default::default()
            }),
            update_mask: Some(FieldMask {
                paths: vec!["name".into(), path.into()],
            }),
        };
        let refused = world
            .products()
            .update_product(bearing(&staff, request))
            .await
            .unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::InvalidArgument, expected),
            "{path}"
        );
    }
    let http = world.http();
    let path = format!("/v1/products/{}", made.id);
    assert_eq!(http.get(&path, Some(&staff)).await.body["name"], "Widget");
    let patched = http
        .call(
            "PATCH",
            &path,
            Some(&staff),
            Some(json!({ "name": "Gadget", "description": "" }).to_string()),
        )
        .await;
    assert_eq!(
        (patched.status, &patched.body["name"], &patched.body["sku"]),
        (200, &json!("Gadget"), &json!("W-1"))
    );
}

async fn bad_json_is_refused_with_the_place_of_the_fault(world: World) {
    let http = world.http();
    let admin = world.admin().await;
    let cases = [
        (r#"{"sku":"W-1""#, 400, "JSON_MALFORMED"),
        ("[]", 400, "JSON_MALFORMED"),
        (r#"{"sku":"W-1","colour":"red"}"#, 400, "UNKNOWN_FIELD"),
        (r#"{"sku":"W-1","sku":"W-2"}"#, 400, "DUPLICATE_FIELD"),
        (
            r#"{"sku":"W-1","on_hand":"1","onHand":"2"}"#,
            400,
            "DUPLICATE_FIELD",
        ),
        (r#"{"sku":7}"#, 400, "FIELD_INVALID"),
        (
            r#"{"sku":"W-1","on_hand":"9223372036854775808"}"#,
            400,
            "FIELD_INVALID",
        ),
    ];
    for (body, status, expected) in cases {
        let refused = http
            .call("POST", "/v1/products", Some(&admin), Some(body.into()))
            .await;
        // A value that is no object at all may be told as the field that it is not.
        let fine = refused.reason() == expected || (body == "[]" && refused.status == 400);
        assert!(refused.status == status && fine, "{body}: {refused:?}");
    }
    let large = format!(r#"{{"sku":"{}"}}"#, "x".repeat(5 * 1024 * 1024));
    let refused = http
        .call("POST", "/v1/products", Some(&admin), Some(large))
        .await;
    assert_eq!(
        (refused.status, refused.reason()),
        (413, "MESSAGE_TOO_LARGE")
    );
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let refused = http
        .call_with(
            "POST",
            "/v1/auth/login",
            None,
            Some("username=admin".into()),
            &form,
        )
        .await;
    assert_eq!(
        (refused.status, refused.reason()),
        (415, "CONTENT_TYPE"),
        "{refused:?}"
    );
    let wrong_verb = http
        .call("DELETE", "/v1/products", Some(&admin), None)
        .await;
    assert_eq!(
        (
            wrong_verb.status,
            wrong_verb.header("allow").contains("GET")
        ),
        (405, true)
    );
    assert_eq!(
        http.get("/v1/products", Some(&admin)).await.body["products"],
        json!([]),
        "nothing was made"
    );
}

async fn every_bad_field_is_named_at_once(world: World) {
    let admin = world.admin().await;
    let bad = Product {
        sku: "no spaces".into(),
        name: String::new(),
        unit_price: price("XXXX", -1),
        on_hand: -1,
        ..Default::default()
    };
    let request = CreateProductRequest {
        product: Some(bad),
        request_id: "not a uuid".into(),
    };
    let refused = world
        .products()
        .create_product(bearing(&admin, request))
        .await
        .unwrap_err();
    let named = fields(&refused);
    for field in [
        "product.sku",
        "product.name",
        "product.unit_price",
        "product.on_hand",
        "request_id",
    ] {
        assert!(
            named.iter().any(|name| name.starts_with(field)),
            "{field} is not in {named:?}"
        );
    }
    let user = User {
        username: "a".into(),
        email: "nowhere".into(),
        role: Role::Unspecified.into(),
        ..Default::default()
    };
    let request = CreateUserRequest {
        user: Some(user),
        password: "short".into(),
        ..Default::default()
    };
    let named = fields(
        &world
            .users()
            .create_user(bearing(&admin, request))
            .await
            .unwrap_err(),
    );
    for field in ["user.username", "user.email", "user.role", "password"] {
        assert!(
            named.contains(&field.to_owned()),
            "{field} is not in {named:?}"
        );
    }
}
