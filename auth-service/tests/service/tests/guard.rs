//! What the guard refuses before any handler: every call of this service, with every kind of bad token.

use super::harness::*;
use millgate_contract::auth::v1 as pb;
use millgate_guard::testing::Defect;
use std::time::Duration;
use tonic::{Code, Request, Status};

/// Every call that needs a token, with a body that is bad: without a token nobody hears about the body.
async fn every_call(
    house: &House,
    dress: impl Fn() -> tonic::metadata::MetadataMap,
) -> Vec<(Code, String)> {
    fn dressed<T>(metadata: tonic::metadata::MetadataMap, message: T) -> Request<T> {
        Request::from_parts(metadata, tonic::Extensions::default(), message)
    }
    let (mut auth, mut users) = (house.auth.clone(), house.users.clone());
    let (mut accounts, mut tokens) = (house.service_accounts.clone(), house.access_tokens.clone());
    let results: Vec<Result<(), Status>> = vec![
        auth.exchange_token(dressed(dress(), pb::ExchangeTokenRequest::default()))
            .await
            .map(drop),
        accounts
            .create_service_account(dressed(dress(), pb::CreateServiceAccountRequest::default()))
            .await
            .map(drop),
        accounts
            .get_service_account(dressed(dress(), pb::GetServiceAccountRequest::default()))
            .await
            .map(drop),
        accounts
            .list_service_accounts(dressed(dress(), pb::ListServiceAccountsRequest::default()))
            .await
            .map(drop),
        accounts
            .update_service_account(dressed(dress(), pb::UpdateServiceAccountRequest::default()))
            .await
            .map(drop),
        accounts
            .rotate_secret(dressed(dress(), pb::RotateSecretRequest::default()))
            .await
            .map(drop),
        accounts
            .disable_service_account(dressed(
                dress(),
                pb::DisableServiceAccountRequest::default(),
            ))
            .await
            .map(drop),
        accounts
            .enable_service_account(dressed(dress(), pb::EnableServiceAccountRequest::default()))
            .await
            .map(drop),
        accounts
            .delete_service_account(dressed(dress(), pb::DeleteServiceAccountRequest::default()))
            .await
            .map(drop),
        tokens
            .create_access_token(dressed(dress(), pb::CreateAccessTokenRequest::default()))
            .await
            .map(drop),
        tokens
            .list_access_tokens(dressed(dress(), pb::ListAccessTokensRequest::default()))
            .await
            .map(drop),
        tokens
            .revoke_access_token(dressed(dress(), pb::RevokeAccessTokenRequest::default()))
            .await
            .map(drop),
        auth.validate_token(dressed(dress(), pb::ValidateTokenRequest::default()))
            .await
            .map(drop),
        auth.who_am_i(dressed(dress(), pb::WhoAmIRequest {}))
            .await
            .map(drop),
        auth.change_password(dressed(dress(), pb::ChangePasswordRequest::default()))
            .await
            .map(drop),
        users
            .create_user(dressed(dress(), pb::CreateUserRequest::default()))
            .await
            .map(drop),
        users
            .get_user(dressed(dress(), pb::GetUserRequest::default()))
            .await
            .map(drop),
        users
            .list_users(dressed(
                dress(),
                pb::ListUsersRequest {
                    page_size: -1,
                    ..Default::default()
                },
            ))
            .await
            .map(drop),
        users
            .update_user(dressed(dress(), pb::UpdateUserRequest::default()))
            .await
            .map(drop),
        users
            .delete_user(dressed(dress(), pb::DeleteUserRequest::default()))
            .await
            .map(drop),
        users
            .set_user_role(dressed(dress(), pb::SetUserRoleRequest::default()))
            .await
            .map(drop),
    ];
    results.into_iter().map(refusal).collect()
}

fn bearer(entries: &[&str]) -> tonic::metadata::MetadataMap {
    let mut metadata = tonic::metadata::MetadataMap::new();
    for entry in entries {
        metadata.append("authorization", entry.parse().expect("ASCII"));
    }
    metadata
}

#[tokio::test]
async fn without_a_good_token_every_call_is_refused_the_same_way_and_nothing_changes() {
    on_both(async |house| {
        let admin = house.admin().await;
        let good = format!("Bearer {admin}");
        let refresh = format!("Bearer {}", house.login(ADMIN).await.refresh_token);
        let before = house.snapshot().await;
        let cases: Vec<(Vec<String>, &str)> = vec![
            (vec![], "TOKEN_MISSING"),
            (vec!["Basic YWRtaW46YWRtaW4=".into()], "TOKEN_MISSING"),
            (vec![good.clone(), good.clone()], "TOKEN_INVALID"),
            (vec!["Bearer nonsense".into()], "TOKEN_INVALID"),
            (vec![refresh], "TOKEN_INVALID"),
            (
                vec![house.issuer.user(1, "admin").expired().bearer()],
                "TOKEN_EXPIRED",
            ),
            (
                vec![
                    house
                        .issuer
                        .user(1, "admin")
                        .lives(Duration::from_secs(90_000))
                        .bearer(),
                ],
                "TOKEN_INVALID",
            ),
        ];
        for (entries, expected) in cases {
            let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
            for answer in every_call(&house, || bearer(&entries)).await {
                assert_eq!(
                    answer,
                    (Code::Unauthenticated, expected.to_owned()),
                    "{entries:?}"
                );
            }
        }
        for defect in Defect::ALL {
            let forged = house.issuer.user(1, "admin").defect(defect).bearer();
            let expected = if defect == Defect::WrongType {
                "TOKEN_WRONG_TYPE"
            } else {
                "TOKEN_INVALID"
            };
            for answer in every_call(&house, || bearer(&[&forged])).await {
                assert_eq!(
                    answer,
                    (Code::Unauthenticated, expected.to_owned()),
                    "{defect:?}"
                );
            }
        }
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_scoped_token_reaches_only_the_calls_of_its_scope() {
    on_both(async |house| {
        let tokens = house.login(ADMIN).await;
        let id = house
            .who_am_i(&tokens.access_token)
            .await
            .expect("known")
            .user
            .expect("a person")
            .id;
        let generation = house
            .count("SELECT generation FROM users WHERE username = 'admin'")
            .await;
        let scoped = |scope: &str| {
            let draft = house.issuer.user(id, "admin").scope(scope).with(|claims| {
                claims.session = Some(tokens.session_id.clone());
                claims.generation = Some(generation);
            });
            draft.token()
        };
        house.who_am_i(&scoped("profile")).await.expect("in scope");
        assert_eq!(
            refusal(house.who_am_i(&scoped("users.read")).await),
            (Code::PermissionDenied, "SCOPE_DENIED".into())
        );
        let request = pb::ListUsersRequest::default();
        house
            .users
            .clone()
            .list_users(with(&scoped("users.read"), request.clone()))
            .await
            .expect("in scope");
        assert_eq!(
            reason(
                house
                    .users
                    .clone()
                    .list_users(with(&scoped("users.write"), request))
                    .await
            ),
            "SCOPE_DENIED"
        );
        let refused = house
            .set_role(&scoped("users.read users.write"), id, pb::Role::User)
            .await;
        assert_eq!(
            reason(refused),
            "SCOPE_DENIED",
            "a rule without a scope lets no scoped token through"
        );
    })
    .await;
}

#[tokio::test]
async fn a_database_that_is_gone_is_unavailable_and_recovers_by_itself() {
    use millgate_platform::testing::PostgresDatabase;
    let Some(postgres) = PostgresDatabase::create().await else {
        return;
    };
    let place = std::sync::Arc::new(Place::at(postgres.url()));
    let house = House::open(place, &["--database-acquire-timeout", "1s"]).await;
    let tokens = house.login(ADMIN).await;
    postgres.lose().await;
    let gone = (Code::Unavailable, "STORE_UNAVAILABLE".to_owned());
    assert_eq!(refusal(house.who_am_i(&tokens.access_token).await), gone);
    assert_eq!(refusal(house.refresh(&tokens.refresh_token).await), gone);
    assert_eq!(refusal(house.try_login(ADMIN, PASSWORD).await), gone);
    postgres.restore().await;
    // A connection is made anew, for which a busy machine may need longer than one call waits.
    let mut back = house.who_am_i(&tokens.access_token).await;
    for _ in 0..20 {
        if back.is_ok() {
            break;
        }
        back = house.who_am_i(&tokens.access_token).await;
    }
    back.expect("back");
    house
        .refresh(&tokens.refresh_token)
        .await
        .expect("back, and nothing was used up");
    house.close().await;
    postgres.remove().await;
}
