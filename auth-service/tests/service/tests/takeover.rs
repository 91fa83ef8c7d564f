//! A token that is old, or that is for less, makes nobody an administrator and takes no account over.

use super::access_tokens::{exchange, token as personal};
use super::accounts::create;
use super::harness::*;
use futures::stream;
use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::import_users_request::Part;
use std::time::Duration;
use tonic::{Code, Status};

/// A token of the administrator for these scopes.
async fn scoped(house: &House, admin: &str, scopes: &[&str]) -> String {
    let made = personal(house, admin, scopes).await;
    let exchanged = exchange(house, &made.token, "").await.expect("exchanged");
    exchanged.access_token
}

/// A live token of a login that is a second longer ago than fifteen minutes.
async fn stale(house: &House, username: &str) -> String {
    let tokens = house.login(username).await;
    house.clock.advance(Duration::from_secs(14 * 60));
    let tokens = house.refresh(&tokens.refresh_token).await;
    house.clock.advance(Duration::from_secs(61));
    tokens.expect("refreshed").access_token
}

fn new(username: &str, role: pb::Role) -> pb::CreateUserRequest {
    pb::CreateUserRequest {
        user: Some(pb::User {
            username: username.into(),
            role: role.into(),
            ..Default::default()
        }),
        password: PASSWORD.into(),
        ..Default::default()
    }
}

async fn rename(house: &House, token: &str, user: pb::User) -> Result<pb::User, Status> {
    let request = pb::UpdateUserRequest {
        user: Some(user),
        update_mask: None,
    };
    let renamed = house.users.clone().update_user(with(token, request)).await;
    renamed.map(tonic::Response::into_inner)
}

fn address(id: i64, email: &str) -> pb::User {
    pb::User {
        id,
        email: email.into(),
        ..Default::default()
    }
}

fn called(id: i64, username: &str) -> pb::User {
    pb::User {
        id,
        username: username.into(),
        ..Default::default()
    }
}

fn scope_denied() -> (Code, String) {
    (Code::PermissionDenied, "SCOPE_DENIED".into())
}

fn not_fresh() -> (Code, String) {
    (Code::Unauthenticated, "FRESH_TOKEN_REQUIRED".into())
}

#[tokio::test]
async fn only_a_whole_and_fresh_token_makes_staff() {
    on_both(async |house| {
        let script = scoped(&house, &house.admin().await, &["users.write"]).await;
        let before = house.snapshot().await;
        for role in [pb::Role::Admin, pb::Role::Mechanic, pb::Role::User] {
            let refused = create(&house, &script, new("eve", role)).await;
            assert_eq!(refusal(refused), scope_denied(), "{role:?}");
        }
        assert_eq!(house.snapshot().await, before);
        create(&house, &script, new("bob", pb::Role::Customer))
            .await
            .expect("a customer");

        let old = stale(&house, ADMIN).await;
        let before = house.snapshot().await;
        for role in [pb::Role::Admin, pb::Role::Mechanic, pb::Role::User] {
            let refused = create(&house, &old, new("eve", role)).await;
            assert_eq!(refusal(refused), not_fresh(), "{role:?}");
        }
        let row = pb::ImportUsersRequest {
            part: Some(Part::Options(pb::ImportOptions::default())),
        };
        let mut users = house.users.clone();
        let imported = users.import_users(with(&old, stream::iter([row]))).await;
        assert_eq!(refusal(imported), not_fresh());
        assert_eq!(house.snapshot().await, before);
        create(&house, &old, new("carl", pb::Role::Customer))
            .await
            .expect("a customer");
        create(&house, &house.admin().await, new("dora", pb::Role::Admin))
            .await
            .expect("fresh and whole");
    })
    .await;
}

#[tokio::test]
async fn only_a_whole_and_fresh_token_changes_an_address() {
    on_both(async |house| {
        let admin = house.admin().await;
        let ada = house.register("ada").await;
        let script = scoped(&house, &admin, &["users.write"]).await;
        let me = house.who_am_i(&admin).await.expect("known");
        let me = me.user.expect("a person").id;
        let before = house.snapshot().await;
        for user in [
            address(ada.id, "eve@example.com"),
            address(me, "eve@example.com"),
            called(me, "eve"),
        ] {
            assert_eq!(refusal(rename(&house, &script, user).await), scope_denied());
        }
        assert_eq!(house.snapshot().await, before);
        rename(&house, &script, called(ada.id, "adele"))
            .await
            .expect("a customer's user name");

        for name in ["adele", ADMIN] {
            let old = stale(&house, name).await;
            let before = house.snapshot().await;
            let refused = rename(&house, &old, address(ada.id, "eve@example.com")).await;
            assert_eq!(refusal(refused), not_fresh(), "{name}");
            assert_eq!(house.snapshot().await, before);
        }
        let old = stale(&house, "adele").await;
        rename(&house, &old, called(ada.id, "ada"))
            .await
            .expect("her user name");
        let fresh = house.login("ada").await.access_token;
        let known = rename(&house, &fresh, address(ada.id, "ada@example.com"))
            .await
            .expect("fresh and whole");
        assert_eq!(known.email, "ada@example.com");
        let old = stale(&house, "ada").await;
        let both = pb::User {
            email: known.email,
            ..called(ada.id, "adele")
        };
        rename(&house, &old, both)
            .await
            .expect("the address is what it was");
        assert_eq!(
            refusal(rename(&house, &old, address(ada.id, "ADA@example.com")).await),
            not_fresh()
        );
    })
    .await;
}

#[tokio::test]
async fn a_name_of_megabytes_is_not_kept() {
    on_both(async |house| {
        let before = house.snapshot().await;
        for (length, expected) in [(1024, "CREDENTIALS_INVALID"), (1025, "FIELD_INVALID")] {
            let name = "x".repeat(length);
            let by_name = house.try_login(&name, PASSWORD).await;
            assert_eq!(reason(by_name), expected, "{length}");
            let request = pb::LoginRequest {
                email: name,
                ..login("", PASSWORD)
            };
            let by_email = house.auth.clone().login(request).await;
            assert_eq!(reason(by_email), expected, "{length}");
        }
        for (field, username, email) in [
            ("username", "x".repeat(1025), String::new()),
            ("email", String::new(), "x".repeat(1025)),
        ] {
            let request = pb::RequestPasswordResetRequest { username, email };
            let asked = house.auth.clone().request_password_reset(request).await;
            assert_eq!(fields(&asked.expect_err("refused")), [field]);
        }
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_hash_with_a_control_character_is_told_and_stops_nothing() {
    on_both(async |house| {
        let admin = house.admin().await;
        let hash = |salt: &str| format!("pbkdf2:sha256:1000${salt}${}", "0".repeat(64));
        let row = |line: i64, salt: &str| pb::ImportedUser {
            line,
            username: format!("user-{line}"),
            password_hash: hash(salt),
            ..Default::default()
        };
        let rows = [
            row(1, "salt"),
            row(2, "s\0lt"),
            row(3, "s\u{7f}lt"),
            row(4, "tlas"),
        ];
        let options = pb::ImportOptions {
            default_role: pb::Role::Customer.into(),
            ..Default::default()
        };
        let parts = std::iter::once(Part::Options(options)).chain(rows.map(Part::User));
        let messages: Vec<_> = parts
            .map(|part| pb::ImportUsersRequest { part: Some(part) })
            .collect();
        let mut users = house.users.clone();
        let report = users
            .import_users(with(&admin, stream::iter(messages)))
            .await;
        let report = report.expect("imported").into_inner();
        assert_eq!((report.created, report.refused), (2, 2), "{report:?}");
        for (error, line) in report.errors.iter().zip([2, 3]) {
            assert_eq!(
                (error.line, error.field.as_str(), error.reason.as_str()),
                (line, "password_hash", "PASSWORD_HASH_UNKNOWN")
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_password_of_a_million_marks_is_refused_unread() {
    on_both(async |house| {
        let before = house.snapshot().await;
        let marks = format!("a{}", "\u{301}\u{316}".repeat(10_000));
        let refused = house.try_login(ADMIN, &marks).await.expect_err("refused");
        assert_eq!(fields(&refused), ["password"]);
        let request = registration("ada", &marks);
        let refused = house.auth.clone().register(request).await;
        assert_eq!(fields(&refused.expect_err("refused")), ["password"]);
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn no_account_gets_a_number_for_a_name() {
    on_both(async |house| {
        let before = house.snapshot().await;
        let request = registration("12345", PASSWORD);
        let refused = house.auth.clone().register(request).await;
        assert_eq!(fields(&refused.expect_err("refused")), ["username"]);
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}
