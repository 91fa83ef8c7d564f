use super::harness::*;
use millgate_contract::auth::v1 as pb;
use std::time::Duration;
use tonic::Request;

async fn log_out(house: &House, request: Request<pb::LogoutRequest>) {
    house
        .auth
        .clone()
        .logout(request)
        .await
        .expect("logout is always OK");
}

fn holding(refresh_token: &str) -> pb::LogoutRequest {
    pb::LogoutRequest {
        refresh_token: refresh_token.to_owned(),
    }
}

#[tokio::test]
async fn logout_ends_the_session_of_either_token() {
    on_both(async |house| {
        for by_refresh in [true, false] {
            let tokens = house.login(ADMIN).await;
            let other = house.login(ADMIN).await;
            if by_refresh {
                log_out(&house, Request::new(holding(&tokens.refresh_token))).await;
            } else {
                log_out(&house, with(&tokens.access_token, holding(""))).await;
            }
            assert_eq!(
                reason(house.refresh(&tokens.refresh_token).await),
                "SESSION_ENDED"
            );
            assert_eq!(
                reason(house.who_am_i(&tokens.access_token).await),
                "SESSION_ENDED"
            );
            house
                .who_am_i(&other.access_token)
                .await
                .expect("the other session lives");
            house
                .refresh(&other.refresh_token)
                .await
                .expect("the other session lives");
        }
    })
    .await;
}

#[tokio::test]
async fn the_refresh_token_in_the_body_decides() {
    on_both(async |house| {
        let (ended, bearer) = (house.login(ADMIN).await, house.login(ADMIN).await);
        log_out(
            &house,
            with(&bearer.access_token, holding(&ended.refresh_token)),
        )
        .await;
        assert_eq!(
            reason(house.refresh(&ended.refresh_token).await),
            "SESSION_ENDED"
        );
        house.who_am_i(&bearer.access_token).await.expect("lives");
        log_out(&house, with(&bearer.access_token, holding("nonsense"))).await;
        house
            .who_am_i(&bearer.access_token)
            .await
            .expect("lives: the body decides, also when it is nonsense");
    })
    .await;
}

#[tokio::test]
async fn a_bad_or_missing_token_is_ok_and_ends_nothing() {
    on_both_with(&["--session-idle", "1h"], async |house| {
        let tokens = house.login(ADMIN).await;
        let me = house
            .who_am_i(&tokens.access_token)
            .await
            .expect("known")
            .user
            .expect("a person");
        let before = house.snapshot().await;
        log_out(&house, Request::new(holding(""))).await;
        log_out(&house, Request::new(holding("nonsense"))).await;
        log_out(&house, Request::new(holding(&"A".repeat(43)))).await;
        log_out(&house, with("nonsense", holding(""))).await;
        let service = house.factory().await;
        log_out(&house, with(&service, holding(""))).await;
        // Signed by the right key, for a session of another person.
        let other = house.register("other").await;
        let crossed = house
            .issuer
            .user(other.id, "customer")
            .with(|claims| claims.session = Some(tokens.session_id.clone()));
        log_out(&house, with(&crossed.token(), holding(""))).await;
        house.clock.advance(Duration::from_secs(16 * 60));
        log_out(&house, with(&tokens.access_token, holding(""))).await;
        let after = house.snapshot().await;
        assert_eq!(after.len(), before.len() + 1, "only the new user");
        assert!(before.iter().all(|line| after.contains(line)));
        house.refresh(&tokens.refresh_token).await.expect("lives");
        assert_eq!(me.username, ADMIN);
    })
    .await;
}

#[tokio::test]
async fn logging_out_twice_is_fine() {
    on_both(async |house| {
        let tokens = house.login(ADMIN).await;
        for _ in 0..2 {
            log_out(&house, Request::new(holding(&tokens.refresh_token))).await;
            log_out(&house, with(&tokens.access_token, holding(""))).await;
        }
        assert_eq!(
            house
                .count("SELECT count(*) FROM sessions WHERE end_reason = 'logout'")
                .await,
            1
        );
    })
    .await;
}
