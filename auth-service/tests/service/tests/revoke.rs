//! Whoever holds a token may end it, and learns nothing else by it.

use super::access_tokens::{exchange as exchange_personal, token as personal};
use super::exchange::{exchange, service};
use super::harness::*;
use super::machines::account;
use millgate_contract::auth::v1 as pb;
use std::time::Duration;

async fn revoke(house: &House, token: &str) -> pb::RevokeTokenResponse {
    let request = pb::RevokeTokenRequest {
        token: token.to_owned(),
        token_type_hint: "whatever".into(),
    };
    let mut client = house.auth.clone();
    let revoked = client.revoke_token(request).await;
    revoked.expect("always OK").into_inner()
}

const ROWS: &str = "SELECT count(*) FROM revoked_tokens";

#[tokio::test]
async fn an_access_token_ends_alone() {
    on_both(async |house| {
        let (_, login) = house.person("ada", pb::Role::User).await;
        let secret = account(&house, "shop", &["profile"]).await;
        let service = house
            .service_token("shop", &secret, "")
            .await
            .expect("issued")
            .access_token;
        for token in [&login.access_token, &service] {
            house.who_am_i(token).await.expect("good before");
            revoke(&house, token).await;
            assert_eq!(reason(house.who_am_i(token).await), "TOKEN_REVOKED");
            revoke(&house, token).await;
        }
        assert_eq!(house.count(ROWS).await, 2);
        let fresh = house
            .refresh(&login.refresh_token)
            .await
            .expect("the session goes on");
        house
            .who_am_i(&fresh.access_token)
            .await
            .expect("and so do its other tokens");
        house
            .service_token("shop", &secret, "")
            .await
            .expect("and the account");
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_ends_with_its_session() {
    on_both(async |house| {
        let (_, login) = house.person("ada", pb::Role::User).await;
        let other = house.login("ada").await;
        revoke(&house, &login.refresh_token).await;
        assert_eq!(
            reason(house.who_am_i(&login.access_token).await),
            "SESSION_ENDED"
        );
        assert_eq!(
            reason(house.refresh(&login.refresh_token).await),
            "SESSION_ENDED"
        );
        house
            .who_am_i(&other.access_token)
            .await
            .expect("another session");
        assert_eq!(house.count(ROWS).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_personal_access_token_ends_with_what_it_was_exchanged_for() {
    on_both(async |house| {
        let admin = house.admin().await;
        let made = personal(&house, &admin, &["profile"]).await;
        let cut = exchange_personal(&house, &made.token, "")
            .await
            .expect("exchanged");
        // Ending what it was exchanged for does not end it.
        revoke(&house, &cut.access_token).await;
        assert_eq!(
            reason(house.who_am_i(&cut.access_token).await),
            "TOKEN_REVOKED"
        );
        let cut = exchange_personal(&house, &made.token, "")
            .await
            .expect("exchanged again");
        revoke(&house, &made.token).await;
        assert_eq!(
            reason(house.who_am_i(&cut.access_token).await),
            "SESSION_ENDED"
        );
        assert_eq!(
            reason(exchange_personal(&house, &made.token, "").await),
            "TOKEN_REVOKED"
        );
        revoke(&house, &made.token).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_no_token_gets_the_same_answer_and_leaves_no_trace() {
    on_both(async |house| {
        let login = house.login(ADMIN).await;
        let secret = account(&house, "shop", &["profile"]).await;
        let me = house
            .who_am_i(&login.access_token)
            .await
            .expect("known")
            .user
            .expect("me");
        let gone = house.login(ADMIN).await;
        revoke(&house, &gone.refresh_token).await;
        let before = house.snapshot().await;
        let answer = revoke(&house, "x").await;
        let issuer = &house.issuer;
        let unknown_session = issuer.user(me.id, "admin").with(|claims| {
            claims.generation = Some(1);
            claims.token_id = "1d2f7a7e-7d7c-4d7b-8f36-0a8e2a8f7c01".into();
        });
        let odd_name = issuer.user(me.id, "admin").with(|claims| {
            claims.generation = Some(1);
            claims.session = Some(login.session_id.clone());
            claims.token_id = "j".repeat(2000);
        });
        for nothing in [
            &"x".repeat(100_000),
            &secret,
            &gone.refresh_token,
            &gone.access_token,
            &issuer.user(me.id, "admin").expired().token(),
            &issuer
                .user(me.id, "admin")
                .defect(millgate_guard::testing::Defect::ForeignKey)
                .token(),
            &unknown_session.token(),
            &odd_name.token(),
            "mgp_",
            "\u{0}",
        ] {
            assert_eq!(revoke(&house, nothing).await, answer);
        }
        assert_eq!(house.snapshot().await, before);
        assert_eq!(house.count(ROWS).await, 0);
        house
            .service_token("shop", &secret, "")
            .await
            .expect("a client secret is no token");
        let mut auth = house.auth.clone();
        let empty = auth.revoke_token(pb::RevokeTokenRequest::default()).await;
        assert_eq!(reason(empty), "FIELD_INVALID");
    })
    .await;
}

#[tokio::test]
async fn a_revoked_token_is_neither_exchanged_nor_active() {
    on_both(async |house| {
        let login = house.login(ADMIN).await;
        let admin = house.admin().await;
        let shop = service(&house, "shop", &["profile"]).await;
        let request = || pb::ExchangeTokenRequest {
            subject_token: login.access_token.clone(),
            ..Default::default()
        };
        let got = exchange(&house, &shop, request())
            .await
            .expect("exchanged")
            .access_token;
        revoke(&house, &got).await;
        assert_eq!(reason(house.who_am_i(&got).await), "TOKEN_REVOKED");
        revoke(&house, &login.access_token).await;
        assert_eq!(
            reason(exchange(&house, &shop, request()).await),
            "DELEGATION_DENIED"
        );
        let asked = pb::ValidateTokenRequest {
            token: login.access_token.clone(),
        };
        let found = house.auth.clone().validate_token(with(&admin, asked)).await;
        let found = found.expect("looked at").into_inner();
        assert_eq!(
            (found.active, found.reason.as_str()),
            (false, "TOKEN_REVOKED")
        );
        revoke(&house, &shop).await;
        assert_eq!(
            reason(exchange(&house, &shop, request()).await),
            "TOKEN_REVOKED"
        );
        house.clock.advance(Duration::from_secs(901));
        assert_eq!(
            reason(house.who_am_i(&login.access_token).await),
            "TOKEN_EXPIRED"
        );
    })
    .await;
}
