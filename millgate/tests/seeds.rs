//! The routes and bodies of the systems that Millgate grew from, as their own documentation sends them.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and speaks to whoever runs it"
)]

mod support;

use serde_json::json;
use support::World;

on_both_databases!(
    the_mechanic_shops_curls_work,
    the_item_stores_user_routes_work,
    the_factorys_customer_routes_work
);

/// The four curls of the mechanic shop's page on its token authentication.
async fn the_mechanic_shops_curls_work(world: World) {
    let http = world.http();
    let registration = r#"{
    "first_name": "John",
    "last_name": "Doe",
    "email": "john@example.com",
    "phone_number": "555-0123",
    "password": "securepassword123"
  }"#;
    let created = http
        .call("POST", "/customers/", None, Some(registration.into()))
        .await;
    assert_eq!(created.status, 201, "{created:?}");

    let credentials = r#"{
    "email": "john@example.com",
    "password": "securepassword123"
  }"#;
    let login = http
        .call("POST", "/customers/login", None, Some(credentials.into()))
        .await;
    assert_eq!(login.status, 200, "{login:?}");
    assert!(login.body["message"].is_string());
    let customer = &login.body["customer"];
    let expected = [
        ("first_name", "John"),
        ("last_name", "Doe"),
        ("email", "john@example.com"),
        ("phone_number", "555-0123"),
    ];
    for (field, value) in expected {
        assert_eq!(customer[field], value, "{field}");
    }
    let token = login.body["token"]
        .as_str()
        .expect("the token under its old name");

    let tickets = http.get("/customers/my-tickets", Some(token)).await;
    assert_eq!(
        (tickets.status, &tickets.body["tickets"]),
        (200, &json!([]))
    );
    assert_eq!(http.get("/customers/my-tickets", None).await.status, 401);

    // The page writes /customers/1; the first customer's id is what the login said.
    let path = format!("/customers/{}", customer["id"].as_str().unwrap());
    let updated = http
        .call(
            "PUT",
            &path,
            Some(token),
            Some(r#"{ "first_name": "Johnny" }"#.into()),
        )
        .await;
    assert_eq!(
        (
            updated.status,
            &updated.body["first_name"],
            &updated.body["last_name"]
        ),
        (200, &json!("Johnny"), &json!("Doe"))
    );

    let eve = world.shopper("eve").await;
    let other = http
        .call(
            "PUT",
            &path,
            Some(&eve.token),
            Some(r#"{ "first_name": "Eve" }"#.into()),
        )
        .await;
    assert_eq!((other.status, other.reason()), (404, "CUSTOMER_NOT_FOUND"));
    assert_eq!(
        http.call("DELETE", &path, Some(&eve.token), None)
            .await
            .status,
        404
    );
    let deleted = http.call("DELETE", &path, Some(token), None).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    assert!(deleted.body["message"].is_string());
    let gone = http
        .call("POST", "/customers/login", None, Some(credentials.into()))
        .await;
    assert_eq!(
        (gone.status, gone.reason()),
        (401, "CREDENTIALS_INVALID"),
        "deleting the profile ends the login"
    );
}

/// `POST /register`, `POST /login`, `GET /my-info`, `GET` and `DELETE /user/{id}`.
async fn the_item_stores_user_routes_work(world: World) {
    let http = world.http();
    let body = json!({ "username": "jose", "password": "a long enough one" });
    let registered = http.post("/register", None, body.clone()).await;
    assert_eq!(
        (registered.status, &registered.body["message"]),
        (201, &json!("User created successfully."))
    );
    let again = http.post("/register", None, body.clone()).await;
    assert_eq!((again.status, again.reason()), (409, "USERNAME_TAKEN"));

    let login = http.post("/login", None, body.clone()).await;
    assert_eq!(
        (login.status, &login.body["status"]),
        (200, &json!("success"))
    );
    assert_eq!(login.body["token"], login.body["access_token"]);
    let token = login.body["access_token"].as_str().unwrap();
    let me = http.get("/my-info", Some(token)).await;
    assert_eq!(
        (me.status, &me.body["user"]["username"]),
        (200, &json!("jose"))
    );
    assert_eq!(http.get("/my-info", None).await.status, 401);

    let path = format!("/user/{}", me.body["user"]["id"].as_str().unwrap());
    let user = http.get(&path, Some(token)).await;
    assert_eq!(
        (user.status, &user.body["username"], &user.body["role"]),
        (200, &json!("jose"), &json!("ROLE_CUSTOMER"))
    );
    let refused = http.call("DELETE", &path, Some(token), None).await;
    assert_eq!((refused.status, refused.reason()), (403, "ROLE_DENIED"));
    let deleted = http
        .call("DELETE", &path, Some(&world.admin().await), None)
        .await;
    assert_eq!(
        (deleted.status, &deleted.body["message"]),
        (200, &json!("User deleted."))
    );
    let gone = http.post("/login", None, body).await;
    assert_eq!((gone.status, gone.reason()), (401, "CREDENTIALS_INVALID"));
    let ended = http.get("/my-info", Some(token)).await;
    assert_eq!(
        (ended.status, ended.reason()),
        (401, "TOKEN_REVOKED"),
        "the deleted user's token is refused at once"
    );
}

/// `POST /customers` with `name` and `phone`, `GET /customers` for staff, `PUT` with the whole profile.
async fn the_factorys_customer_routes_work(world: World) {
    let http = world.http();
    let body = json!({ "name": "Grace Hopper", "email": "grace@example.com", "phone": "555-0199", "password": "a long enough one" });
    let created = http.post("/customers", None, body).await;
    assert_eq!(
        (created.status, &created.body["customer"]["name"]),
        (201, &json!("Grace Hopper"))
    );
    let path = format!(
        "/customers/{}",
        created.body["customer"]["id"].as_str().unwrap()
    );
    let staff = world.staff("sam").await;
    let list = http.get("/customers", Some(&staff)).await;
    assert_eq!(
        (list.status, list.body["customers"].as_array().map(Vec::len)),
        (200, Some(1))
    );
    assert_eq!(http.get("/customers", None).await.status, 401);
    let changes =
        json!({ "name": "Grace B. Hopper", "email": "grace@example.com", "phone": "555-0100" });
    let updated = http
        .call("PUT", &path, Some(&staff), Some(changes.to_string()))
        .await;
    assert_eq!(
        (
            updated.status,
            &updated.body["last_name"],
            &updated.body["phone"]
        ),
        (200, &json!("B. Hopper"), &json!("555-0100"))
    );
}
