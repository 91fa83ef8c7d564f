use super::harness::*;
use millgate_contract::auth::v1 as pb;
use std::time::Duration;
use tonic::{Code, Status};

async fn reauthenticate(
    house: &House,
    token: &str,
    password: &str,
) -> Result<pb::ReauthenticateResponse, Status> {
    let request = pb::ReauthenticateRequest {
        current_password: password.to_owned(),
        ..Default::default()
    };
    let fresh = house
        .auth
        .clone()
        .reauthenticate(with(token, request))
        .await;
    fresh.map(tonic::Response::into_inner)
}

/// A session that is older than what sensitive methods ask for, with a token that is not.
async fn stale(house: &House) -> pb::TokenResponse {
    let tokens = house.login(ADMIN).await;
    house.clock.advance(Duration::from_secs(14 * 60));
    let tokens = house
        .refresh(&tokens.refresh_token)
        .await
        .expect("refreshed");
    house.clock.advance(Duration::from_secs(61));
    tokens
}

#[tokio::test]
async fn a_stale_token_is_refused_and_proving_oneself_again_makes_a_fresh_one() {
    on_both(async |house| {
        let ada = house.register("ada").await;
        let tokens = stale(&house).await;
        let before = house.snapshot().await;
        assert_eq!(
            refusal(
                house
                    .set_role(&tokens.access_token, ada.id, pb::Role::User)
                    .await
            ),
            (Code::Unauthenticated, "FRESH_TOKEN_REQUIRED".into())
        );
        assert_eq!(house.snapshot().await, before);
        house
            .who_am_i(&tokens.access_token)
            .await
            .expect("it is good for the rest");

        let fresh = reauthenticate(&house, &tokens.access_token, PASSWORD)
            .await
            .expect("proved");
        assert_eq!(fresh.session_id, tokens.session_id);
        let me = house.who_am_i(&fresh.access_token).await.expect("known");
        assert_eq!(
            me.auth_time.map(|time| time.seconds),
            fresh.auth_time.map(|time| time.seconds)
        );
        house
            .set_role(&fresh.access_token, ada.id, pb::Role::User)
            .await
            .expect("set");
        // The session's own refresh token goes on, and what it gives is fresh, too.
        let next = house
            .refresh(&tokens.refresh_token)
            .await
            .expect("refreshed");
        house
            .set_role(&next.access_token, ada.id, pb::Role::Mechanic)
            .await
            .expect("set");
        // To the second: fifteen minutes are fresh, one more is not.
        house.clock.advance(Duration::from_secs(14 * 60));
        let later = house.refresh(&next.refresh_token).await.expect("refreshed");
        house.clock.advance(Duration::from_secs(60));
        house
            .set_role(&later.access_token, ada.id, pb::Role::User)
            .await
            .expect("set");
        house.clock.advance(Duration::from_secs(1));
        let refused = house
            .set_role(&later.access_token, ada.id, pb::Role::Mechanic)
            .await;
        assert_eq!(reason(refused), "FRESH_TOKEN_REQUIRED");
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_makes_nothing_fresh() {
    on_both(async |house| {
        let ada = house.register("ada").await;
        let tokens = stale(&house).await;
        let before = house.snapshot().await;
        let token = tokens.access_token.as_str();
        assert_eq!(
            refusal(reauthenticate(&house, token, "a wrong guess").await),
            (Code::Unauthenticated, "CREDENTIALS_INVALID".into())
        );
        assert_eq!(
            refusal(reauthenticate(&house, token, "").await),
            (Code::InvalidArgument, "FIELD_INVALID".into())
        );
        let factory = house.factory().await;
        assert_eq!(
            refusal(reauthenticate(&house, &factory, FACTORY_SECRET).await),
            (Code::PermissionDenied, "PRINCIPAL_KIND_DENIED".into())
        );
        let refused = house.set_role(token, ada.id, pb::Role::User).await;
        assert_eq!(reason(refused), "FRESH_TOKEN_REQUIRED");
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn who_holds_a_token_cannot_guess_its_password_here_either() {
    on_both_with(&["--throttles", "true"], async |house| {
        let token = house.login(ADMIN).await.access_token;
        for _ in 0..5 {
            let refused = reauthenticate(&house, &token, "a wrong guess").await;
            assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        }
        let refused = reauthenticate(&house, &token, PASSWORD).await;
        assert_eq!(reason(refused), "ACCOUNT_THROTTLED");
        house.clock.advance(Duration::from_secs(1));
        reauthenticate(&house, &token, PASSWORD)
            .await
            .expect("proved");
    })
    .await;
}

#[tokio::test]
async fn an_ended_session_is_not_made_fresh() {
    on_both(async |house| {
        house.register("ada").await;
        let tokens = house.login("ada").await;
        // The password is checked while the session ends.
        let (mut auth, token) = (house.auth.clone(), tokens.access_token.clone());
        let proving = tokio::spawn(async move {
            let request = pb::ReauthenticateRequest {
                current_password: PASSWORD.to_owned(),
                ..Default::default()
            };
            auth.reauthenticate(with(&token, request)).await
        });
        let everywhere = with(&tokens.access_token, pb::LogoutEverywhereRequest {});
        house
            .auth
            .clone()
            .logout_everywhere(everywhere)
            .await
            .expect("ended");
        if let Ok(fresh) = proving.await.expect("no panic") {
            let token = fresh.into_inner().access_token;
            assert!(house.who_am_i(&token).await.is_err(), "a live token");
        }
    })
    .await;
}
