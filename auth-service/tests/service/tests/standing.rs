//! A token whose account or session has changed is refused at once, by every call that needs one.

use super::harness::*;
use millgate_contract::auth::v1 as pb;
use millgate_platform::on_write;

/// Every call that a person's token reaches, tried with a token that should not be good any more.
async fn refusals(house: &House, token: &str) -> Vec<String> {
    let (mut auth, mut users) = (house.auth.clone(), house.users.clone());
    let (mut accounts, mut tokens) = (house.service_accounts.clone(), house.access_tokens.clone());
    vec![
        reason(
            accounts
                .create_service_account(with(token, pb::CreateServiceAccountRequest::default()))
                .await,
        ),
        reason(
            accounts
                .rotate_secret(with(token, pb::RotateSecretRequest::default()))
                .await,
        ),
        reason(
            accounts
                .list_service_accounts(with(token, pb::ListServiceAccountsRequest::default()))
                .await,
        ),
        reason(
            tokens
                .create_access_token(with(token, pb::CreateAccessTokenRequest::default()))
                .await,
        ),
        reason(
            tokens
                .list_access_tokens(with(token, pb::ListAccessTokensRequest::default()))
                .await,
        ),
        reason(
            tokens
                .revoke_access_token(with(token, pb::RevokeAccessTokenRequest::default()))
                .await,
        ),
        reason(auth.who_am_i(with(token, pb::WhoAmIRequest {})).await),
        reason(
            auth.validate_token(with(
                token,
                pb::ValidateTokenRequest {
                    token: token.into(),
                },
            ))
            .await,
        ),
        reason(
            auth.change_password(with(token, pb::ChangePasswordRequest::default()))
                .await,
        ),
        reason(
            users
                .create_user(with(token, pb::CreateUserRequest::default()))
                .await,
        ),
        reason(
            users
                .get_user(with(token, pb::GetUserRequest { id: 1 }))
                .await,
        ),
        reason(
            users
                .list_users(with(token, pb::ListUsersRequest::default()))
                .await,
        ),
        reason(
            users
                .update_user(with(token, pb::UpdateUserRequest::default()))
                .await,
        ),
        reason(
            users
                .delete_user(with(
                    token,
                    pb::DeleteUserRequest {
                        id: 1,
                        ..Default::default()
                    },
                ))
                .await,
        ),
        reason(
            users
                .set_user_role(with(token, pb::SetUserRoleRequest::default()))
                .await,
        ),
        reason(
            users
                .disable_user(with(token, pb::DisableUserRequest::default()))
                .await,
        ),
        reason(
            users
                .enable_user(with(token, pb::EnableUserRequest::default()))
                .await,
        ),
        reason(
            users
                .unlock_user(with(token, pb::UnlockUserRequest::default()))
                .await,
        ),
        reason(
            users
                .import_users(with(token, futures::stream::empty()))
                .await,
        ),
    ]
}

#[tokio::test]
async fn a_token_that_its_account_has_outlived_opens_nothing() {
    on_both(async |house| {
        for (change, expected) in [
            (
                "UPDATE users SET state = 'disabled' WHERE username = 'second'",
                "TOKEN_REVOKED",
            ),
            (
                "UPDATE users SET generation = generation + 1 WHERE username = 'second'",
                "TOKEN_REVOKED",
            ),
            (
                "UPDATE users SET role = 'user' WHERE username = 'second'",
                "TOKEN_REVOKED",
            ),
            (
                "UPDATE sessions SET ended_time = 1, end_reason = 'logout'",
                "SESSION_ENDED",
            ),
            ("DELETE FROM sessions", "SESSION_ENDED"),
            (
                "DELETE FROM users WHERE username = 'second'",
                "TOKEN_REVOKED",
            ),
        ] {
            let (user, tokens) = house.person("second", pb::Role::Admin).await;
            house
                .who_am_i(&tokens.access_token)
                .await
                .expect("good before");
            on_write!(house.db, |c| sqlx::query(change).execute(c).await.map(drop))
                .expect("changed");
            let before = house.snapshot().await;
            for refused in refusals(&house, &tokens.access_token).await {
                assert_eq!(refused, expected, "{change}");
            }
            assert_eq!(house.snapshot().await, before, "{change}");
            on_write!(house.db, |c| sqlx::query("DELETE FROM users WHERE id = $1")
                .bind(user.id)
                .execute(c)
                .await
                .map(drop))
            .expect("removed");
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_signed_with_the_shared_key_needs_an_account_and_a_session_here() {
    on_both(async |house| {
        // The factory holds the same key: a token that it made itself opens nothing here.
        let tokens = house.login(ADMIN).await;
        let me = house
            .who_am_i(&tokens.access_token)
            .await
            .expect("known")
            .user
            .expect("a person");
        let forged = house
            .issuer
            .user(me.id, "admin")
            .with(|claims| claims.generation = Some(1));
        assert_eq!(
            reason(house.who_am_i(&forged.token()).await),
            "SESSION_ENDED"
        );
        assert_eq!(
            reason(
                house
                    .who_am_i(&house.issuer.user(999, "admin").token())
                    .await
            ),
            "TOKEN_REVOKED"
        );
        let service = house.issuer.service("nobody", "users.read profile");
        assert_eq!(
            reason(house.who_am_i(&service.token()).await),
            "TOKEN_REVOKED"
        );
        // Another's session under one's own id.
        let other = house.register("other").await;
        let crossed = house.issuer.user(other.id, "customer").with(|claims| {
            claims.generation = Some(1);
            claims.session = Some(tokens.session_id.clone());
        });
        assert_eq!(
            reason(house.who_am_i(&crossed.token()).await),
            "SESSION_ENDED"
        );
    })
    .await;
}
