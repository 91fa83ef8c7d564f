//! A service acts for a person: with no more rights than both have, and no longer than either lasts.

use super::access_tokens::{exchange as exchange_personal, token as personal};
use super::harness::*;
use super::machines::{account, disable};
use millgate_contract::auth::v1 as pb;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

const TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

fn request(subject: &str, scope: &str) -> pb::ExchangeTokenRequest {
    pb::ExchangeTokenRequest {
        subject_token: subject.to_owned(),
        scope: scope.to_owned(),
        ..Default::default()
    }
}

pub(crate) async fn exchange(
    house: &House,
    service: &str,
    request: pb::ExchangeTokenRequest,
) -> Result<pb::ExchangeTokenResponse, Status> {
    let mut client = house.auth.clone();
    let exchanged = client.exchange_token(with(service, request)).await;
    exchanged.map(tonic::Response::into_inner)
}

/// A service that may exchange, with these scopes besides; gives its token.
pub(crate) async fn service(house: &House, client_id: &str, scopes: &[&str]) -> String {
    let all = [&["tokens.exchange"], scopes].concat();
    let secret = account(house, client_id, &all).await;
    let token = house.service_token(client_id, &secret, "").await;
    token.expect("issued").access_token
}

/// Why it was denied.
#[track_caller]
fn cause(result: Result<pb::ExchangeTokenResponse, Status>) -> String {
    let status = result.expect_err("this should have been denied");
    let info = status.get_details_error_info().expect("a reason");
    assert_eq!(
        (status.code(), info.reason.as_str()),
        (Code::PermissionDenied, "DELEGATION_DENIED")
    );
    info.metadata["cause"].clone()
}

#[tokio::test]
async fn the_rights_are_those_that_person_and_service_share() {
    on_both(async |house| {
        let (ada, login) = house.person("ada", pb::Role::User).await;
        let shop = service(&house, "shop", &["profile", "users.read"]).await;
        let got = exchange(&house, &shop, request(&login.access_token, "")).await;
        let got = got.expect("exchanged");
        assert_eq!(
            (
                got.scope.as_str(),
                got.expires_in,
                got.issued_token_type.as_str()
            ),
            ("profile users.read", 300, TYPE)
        );
        let token = got.access_token;
        let me = house.who_am_i(&token).await.expect("in scope");
        assert_eq!(me.user.expect("a person").id, ada.id);
        assert_eq!(me.session_id, login.session_id);
        let verifier = house.issuer.verifier();
        let (claims, of_person) = (
            verifier.verify(&token).expect("good"),
            verifier.verify(&login.access_token).expect("good"),
        );
        assert_eq!(claims.actors, ["shop"]);
        assert_eq!(
            (claims.auth_time, &claims.amr),
            (of_person.auth_time, &of_person.amr)
        );
        assert_eq!(claims.generation, of_person.generation);

        let before = house.snapshot().await;
        let mut users = house.users.clone();
        let listed = users
            .list_users(with(&token, pb::ListUsersRequest::default()))
            .await;
        assert_eq!(
            reason(listed),
            "ROLE_DENIED",
            "the scope is there, the role is not"
        );
        let renamed = users
            .update_user(with(&token, pb::UpdateUserRequest::default()))
            .await;
        assert_eq!(
            reason(renamed),
            "SCOPE_DENIED",
            "the role is there, the scope is not"
        );
        let mut auth = house.auth.clone();
        let password = pb::ChangePasswordRequest::default();
        assert_eq!(
            reason(auth.change_password(with(&token, password)).await),
            "SCOPE_DENIED"
        );
        let made = super::access_tokens::wanted(&house, &["profile"], 3600);
        let made = house
            .access_tokens
            .clone()
            .create_access_token(with(&token, made))
            .await;
        assert_eq!(reason(made), "SCOPE_DENIED");
        // Nor does it end the session that it was cut from.
        auth.logout(with(&token, pb::LogoutRequest::default()))
            .await
            .expect("always OK");
        assert_eq!(house.snapshot().await, before);
        house
            .who_am_i(&login.access_token)
            .await
            .expect("still logged in");

        let admin = house.admin().await;
        let less = exchange(&house, &shop, request(&admin, "users.read users.write")).await;
        let less = less.expect("what is shared");
        assert_eq!(less.scope, "users.read");
        users
            .list_users(with(&less.access_token, pb::ListUsersRequest::default()))
            .await
            .expect("role and scope are there");
    })
    .await;
}

#[tokio::test]
async fn nothing_is_exchanged_that_may_not_be() {
    on_both(async |house| {
        let (_, login) = house.person("ada", pb::Role::User).await;
        let person = login.access_token.as_str();
        let shop = service(&house, "shop", &["users.read"]).await;
        let alone = service(&house, "alone", &[]).await;
        let (plain, admin) = (house.factory().await, house.admin().await);
        let before = house.snapshot().await;
        // Who may not ask.
        let denied = (Code::PermissionDenied, "SCOPE_DENIED".to_owned());
        assert_eq!(
            refusal(exchange(&house, &plain, request(person, "")).await),
            denied
        );
        for caller in [person, &admin] {
            assert_eq!(
                reason(exchange(&house, caller, request(person, "")).await),
                "PRINCIPAL_KIND_DENIED"
            );
        }
        // What may not be asked.
        for bad in [
            request("", ""),
            request(person, "a  b"),
            pb::ExchangeTokenRequest {
                subject_token_type: "urn:ietf:params:oauth:token-type:refresh_token".into(),
                ..request(person, "")
            },
            pb::ExchangeTokenRequest {
                audience: "elsewhere".into(),
                ..request(person, "")
            },
        ] {
            assert_eq!(reason(exchange(&house, &shop, bad).await), "FIELD_INVALID");
        }
        // Whom nobody may act for.
        assert_eq!(
            cause(exchange(&house, &shop, request(&shop, "")).await),
            "subject_is_a_service"
        );
        assert_eq!(
            cause(exchange(&house, &shop, request(&plain, "")).await),
            "subject_is_a_service"
        );
        for (scope, expected) in [
            ("users.write", "no_scope_is_shared"),
            ("tokens.exchange", "no_scope_is_shared"),
            ("everything", "no_scope_is_shared"),
        ] {
            assert_eq!(
                cause(exchange(&house, &shop, request(person, scope)).await),
                expected
            );
        }
        assert_eq!(
            cause(exchange(&house, &alone, request(person, "")).await),
            "no_scope_is_shared"
        );
        let subject = |draft: millgate_guard::testing::Draft<'_>| request(&draft.token(), "");
        let expired = subject(house.issuer.user(2, "user").expired());
        assert_eq!(
            cause(exchange(&house, &shop, expired).await),
            "TOKEN_EXPIRED"
        );
        for garbage in ["x", &login.refresh_token] {
            assert_eq!(
                cause(exchange(&house, &shop, request(garbage, "")).await),
                "TOKEN_INVALID"
            );
        }
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_subject_that_no_longer_stands_is_not_exchanged_and_takes_its_tokens_with_it() {
    on_both(async |house| {
        let shop = service(&house, "shop", &["profile"]).await;
        let admin = house.admin().await;
        for change in ["logout", "role"] {
            let (ada, login) = house.person("ada", pb::Role::User).await;
            let got = exchange(&house, &shop, request(&login.access_token, "")).await;
            let token = got.expect("exchanged").access_token;
            house.who_am_i(&token).await.expect("good before");
            let expected = if change == "logout" {
                let request = pb::LogoutRequest::default();
                let mut auth = house.auth.clone();
                auth.logout(with(&login.access_token, request))
                    .await
                    .expect("logged out");
                "SESSION_ENDED"
            } else {
                // The generation rises: a stale one is as good as none.
                house
                    .set_role(&admin, ada.id, pb::Role::Mechanic)
                    .await
                    .expect("set");
                "TOKEN_REVOKED"
            };
            assert_eq!(reason(house.who_am_i(&token).await), expected);
            for subject in [&login.access_token, &token] {
                assert_eq!(
                    cause(exchange(&house, &shop, request(subject, "")).await),
                    expected
                );
            }
            let request = pb::DeleteUserRequest {
                id: ada.id,
                ..Default::default()
            };
            house
                .users
                .clone()
                .delete_user(with(&admin, request))
                .await
                .expect("deleted");
        }
    })
    .await;
}

#[tokio::test]
async fn a_disabled_service_acts_for_nobody_any_more() {
    on_both(async |house| {
        let (_, login) = house.person("ada", pb::Role::User).await;
        let (front, back) = (
            service(&house, "front", &["profile"]).await,
            service(&house, "back", &["profile"]).await,
        );
        let one = exchange(&house, &front, request(&login.access_token, "")).await;
        let one = one.expect("exchanged").access_token;
        let two = exchange(&house, &back, request(&one, ""))
            .await
            .expect("exchanged")
            .access_token;
        house.who_am_i(&two).await.expect("good before");
        let admin = house.admin().await;
        disable(&house, &admin, "front").await;
        for token in [&one, &two] {
            assert_eq!(reason(house.who_am_i(token).await), "TOKEN_REVOKED");
            assert_eq!(
                cause(exchange(&house, &back, request(token, "")).await),
                "TOKEN_REVOKED"
            );
        }
        house
            .who_am_i(&login.access_token)
            .await
            .expect("the person stays");
        exchange(&house, &back, request(&login.access_token, ""))
            .await
            .expect("the other stays");
    })
    .await;
}

#[tokio::test]
async fn a_chain_of_services_ends_at_three_and_only_narrows() {
    on_both(async |house| {
        let (_, login) = house.person("ada", pb::Role::User).await;
        let mut subject = login.access_token.clone();
        let verifier = house.issuer.verifier();
        let mut expected: Vec<String> = Vec::new();
        for (client, scopes) in [
            ("one", &["profile", "users.read", "users.write"][..]),
            ("two", &["profile", "users.read", "tokens.validate"]),
            ("three", &["profile", "users.write"]),
        ] {
            let caller = service(&house, client, scopes).await;
            let got = exchange(&house, &caller, request(&subject, ""))
                .await
                .expect("exchanged");
            subject = got.access_token;
            expected.insert(0, client.to_owned());
            let claims = verifier.verify(&subject).expect("good");
            assert_eq!(claims.actors, expected);
        }
        let claims = verifier.verify(&subject).expect("good");
        assert_eq!(claims.scope.expect("scoped").to_string(), "profile");
        house.who_am_i(&subject).await.expect("good");
        let four = service(&house, "four", &["profile"]).await;
        assert_eq!(
            cause(exchange(&house, &four, request(&subject, "")).await),
            "too_many_actors"
        );
    })
    .await;
}

#[tokio::test]
async fn an_exchanged_token_ends_with_the_persons_and_after_five_minutes() {
    on_both(async |house| {
        let shop = service(&house, "shop", &["profile"]).await;
        let login = house.login(ADMIN).await;
        house.clock.advance(Duration::from_secs(700));
        let got = exchange(&house, &shop, request(&login.access_token, "")).await;
        let got = got.expect("exchanged");
        assert!((199..=200).contains(&got.expires_in), "{}", got.expires_in);
        // Each step starts from the first token's end, not from its own five minutes.
        let again = exchange(&house, &shop, request(&got.access_token, "")).await;
        assert!(again.expect("exchanged").expires_in <= got.expires_in);
        house.clock.advance(Duration::from_secs(200));
        assert_eq!(
            reason(house.who_am_i(&got.access_token).await),
            "TOKEN_EXPIRED"
        );
    })
    .await;
}

#[tokio::test]
async fn a_personal_access_tokens_scopes_bind_also_who_acts_with_it() {
    on_both(async |house| {
        let admin = house.admin().await;
        let made = personal(&house, &admin, &["profile"]).await;
        let cut = exchange_personal(&house, &made.token, "")
            .await
            .expect("exchanged");
        let shop = service(&house, "shop", &["profile", "users.write"]).await;
        let got = exchange(&house, &shop, request(&cut.access_token, "")).await;
        let got = got.expect("exchanged");
        assert_eq!(got.scope, "profile");
        let claims = house
            .issuer
            .verifier()
            .verify(&got.access_token)
            .expect("good");
        assert_eq!(
            (claims.auth_time, claims.session),
            (None, Some(made.session_id))
        );
        assert_eq!(
            cause(exchange(&house, &shop, request(&cut.access_token, "users.write")).await),
            "no_scope_is_shared"
        );
        assert_eq!(
            cause(exchange(&house, &shop, request(&made.token, "")).await),
            "TOKEN_INVALID"
        );
    })
    .await;
}
