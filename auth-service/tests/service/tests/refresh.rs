use super::harness::*;
use millgate_contract::auth::v1 as pb;
use std::time::Duration;
use tonic::Code;

const LIVE: &str = "SELECT count(*) FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id \
    WHERE t.used_time IS NULL AND s.ended_time IS NULL";

#[tokio::test]
async fn a_refresh_token_works_once_and_its_successor_next() {
    on_both(async |house| {
        let first = house.login(ADMIN).await;
        let second = house
            .refresh(&first.refresh_token)
            .await
            .expect("refreshed");
        assert_ne!(first.refresh_token, second.refresh_token);
        assert_eq!(first.session_id, second.session_id);
        house
            .who_am_i(&second.access_token)
            .await
            .expect("the new token is good");
        let third = house
            .refresh(&second.refresh_token)
            .await
            .expect("refreshed");
        assert_eq!(house.count(LIVE).await, 1);

        // The first is now used, and so is its child: somebody else has it.
        assert_eq!(
            refusal(house.refresh(&first.refresh_token).await),
            (Code::Unauthenticated, "REFRESH_REUSED".into())
        );
        assert_eq!(
            reason(house.refresh(&third.refresh_token).await),
            "SESSION_ENDED"
        );
        assert_eq!(
            reason(house.refresh(&first.refresh_token).await),
            "SESSION_ENDED"
        );
        assert_eq!(
            reason(house.who_am_i(&third.access_token).await),
            "SESSION_ENDED"
        );
        assert_eq!(house.count(LIVE).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_retry_within_ten_seconds_gets_the_same_successor() {
    on_both(async |house| {
        let first = house.login(ADMIN).await;
        let second = house
            .refresh(&first.refresh_token)
            .await
            .expect("refreshed");
        house.clock.advance(Duration::from_secs(10));
        let again = house.refresh(&first.refresh_token).await.expect("a retry");
        assert_eq!(again.refresh_token, second.refresh_token);
        assert_eq!(house.count(LIVE).await, 1);
        house.clock.advance(Duration::from_micros(1));
        assert_eq!(
            reason(house.refresh(&first.refresh_token).await),
            "REFRESH_REUSED"
        );
        assert_eq!(
            reason(house.refresh(&second.refresh_token).await),
            "SESSION_ENDED"
        );
    })
    .await;
}

#[tokio::test]
async fn a_retry_gets_the_same_successor_also_after_a_restart() {
    at_both(async |place| {
        let house = House::open(place, &[]).await;
        let clock = house.clock.clone();
        let first = house.login(ADMIN).await;
        let second = house
            .refresh(&first.refresh_token)
            .await
            .expect("refreshed");
        let place = house.close().await;
        let house = House::open_at(place, &[], clock).await;
        let again = house.refresh(&first.refresh_token).await.expect("a retry");
        assert_eq!(again.refresh_token, second.refresh_token);
    })
    .await;
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused_and_nothing_changes() {
    on_both(async |house| {
        let tokens = house.login(ADMIN).await;
        let before = house.snapshot().await;
        assert_eq!(
            refusal(house.refresh("").await),
            (Code::InvalidArgument, "FIELD_INVALID".into())
        );
        let unknown = "A".repeat(43);
        let padded = format!("{}=", tokens.refresh_token);
        for bad in [
            "x",
            unknown.as_str(),
            &tokens.access_token,
            &padded,
            &tokens.refresh_token[1..],
        ] {
            assert_eq!(
                refusal(house.refresh(bad).await),
                (Code::Unauthenticated, "REFRESH_INVALID".into()),
                "{bad}"
            );
        }
        assert_eq!(
            reason(house.who_am_i(&tokens.refresh_token).await),
            "TOKEN_INVALID"
        );
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn an_idle_session_ends_and_a_busy_one_ends_at_its_absolute_limit() {
    on_both_with(
        &["--session-idle", "1h", "--session-absolute", "3h"],
        async |house| {
            let idle = house.login(ADMIN).await;
            let mut busy = house.login(ADMIN).await;
            house.clock.advance(Duration::from_secs(59 * 60));
            busy = house
                .refresh(&busy.refresh_token)
                .await
                .expect("refreshed in time");
            house.clock.advance(Duration::from_secs(60));
            assert_eq!(
                reason(house.refresh(&idle.refresh_token).await),
                "SESSION_ENDED"
            );
            for _ in 0..2 {
                house.clock.advance(Duration::from_secs(58 * 60));
                busy = house
                    .refresh(&busy.refresh_token)
                    .await
                    .expect("refreshed in time");
            }
            assert_eq!(busy.expires_in, 240, "no token outlives its session");
            house.clock.advance(Duration::from_secs(240));
            assert_eq!(
                reason(house.refresh(&busy.refresh_token).await),
                "SESSION_ENDED"
            );
        },
    )
    .await;
}

#[tokio::test]
async fn the_role_is_read_again_at_a_refresh() {
    on_both(async |house| {
        let (user, tokens) = house.person("worker", pb::Role::User).await;
        // Behind the service's back: its own SetUserRole would end the session.
        millgate_platform::on_write!(house.db, |c| sqlx::query(
            "UPDATE users SET role = 'mechanic' WHERE id = $1"
        )
        .bind(user.id)
        .execute(c)
        .await
        .map(drop))
        .expect("changed");
        assert_eq!(
            reason(house.who_am_i(&tokens.access_token).await),
            "TOKEN_REVOKED"
        );
        let fresh = house
            .refresh(&tokens.refresh_token)
            .await
            .expect("refreshed");
        let me = house.who_am_i(&fresh.access_token).await.expect("known");
        assert_eq!(me.user.expect("a person").role(), pb::Role::Mechanic);
    })
    .await;
}

const ROWS: &str = "SELECT count(*) FROM refresh_tokens";

#[tokio::test]
async fn a_session_keeps_two_rows_and_knows_every_token_that_it_ever_used() {
    on_both(async |house| {
        // The first of them, one of the middle, the last but two: whichever comes again ends the session.
        for again in [0, 17, 37] {
            let rows = house.count(ROWS).await;
            let mut tokens = vec![house.login(ADMIN).await.refresh_token];
            for _ in 0..40 {
                let last = tokens.last().expect("one");
                let next = house.refresh(last).await.expect("refreshed");
                tokens.push(next.refresh_token);
                assert!(house.count(ROWS).await <= rows + 2);
            }
            assert_eq!(
                reason(house.refresh(&tokens[again]).await),
                "REFRESH_REUSED"
            );
            assert_eq!(reason(house.refresh(&tokens[40]).await), "SESSION_ENDED");
            assert_eq!(house.count(LIVE).await, 0);
        }
    })
    .await;
}

#[tokio::test]
async fn a_used_token_of_long_ago_still_logs_its_session_out() {
    on_both(async |house| {
        let first = house.login(ADMIN).await;
        let mut last = first.clone();
        for _ in 0..4 {
            last = house.refresh(&last.refresh_token).await.expect("refreshed");
        }
        let logout = pb::LogoutRequest {
            refresh_token: first.refresh_token,
        };
        house.auth.clone().logout(logout).await.expect("logged out");
        assert_eq!(
            reason(house.refresh(&last.refresh_token).await),
            "SESSION_ENDED"
        );
    })
    .await;
}

#[tokio::test]
async fn tokens_from_before_a_password_change_are_unknown_and_end_nothing() {
    on_both(async |house| {
        house.register("ada").await;
        let first = house.login("ada").await;
        let second = house
            .refresh(&first.refresh_token)
            .await
            .expect("refreshed");
        let third = house
            .refresh(&second.refresh_token)
            .await
            .expect("refreshed");
        let request = pb::ChangePasswordRequest {
            current_password: PASSWORD.into(),
            new_password: "quite another password".into(),
        };
        let changed = house
            .auth
            .clone()
            .change_password(with(&third.access_token, request))
            .await
            .expect("changed")
            .into_inner();
        for old in [first, second, third] {
            assert_eq!(
                reason(house.refresh(&old.refresh_token).await),
                "REFRESH_INVALID"
            );
            let logout = pb::LogoutRequest {
                refresh_token: old.refresh_token,
            };
            house.auth.clone().logout(logout).await.expect("answered");
        }
        house
            .refresh(&changed.refresh_token)
            .await
            .expect("the session lives");
    })
    .await;
}

#[tokio::test]
async fn a_token_from_before_there_were_places_works_once_like_any_other() {
    on_both(async |house| {
        let session = house.login(ADMIN).await.session_id;
        // 32 zero bytes, as an older version would have sent and stored them.
        let old = "A".repeat(43);
        let hash = ring::digest::digest(&ring::digest::SHA256, &[0; 32]);
        millgate_platform::on_write!(house.db, |c| {
            sqlx::query("UPDATE sessions SET refresh_count = 0, refresh_floor = 0")
                .execute(c)
                .await
                .map(drop)
        })
        .expect("reset");
        millgate_platform::on_write!(house.db, |c| sqlx::query(
            "UPDATE refresh_tokens SET token_hash = $1, number = NULL WHERE session_id = $2"
        )
        .bind(hash.as_ref())
        .bind(&session)
        .execute(c)
        .await
        .map(drop))
        .expect("replaced");
        let second = house.refresh(&old).await.expect("refreshed");
        let again = house.refresh(&old).await.expect("a retry");
        assert_eq!(again.refresh_token, second.refresh_token);
        let third = house
            .refresh(&second.refresh_token)
            .await
            .expect("refreshed");
        let fourth = house
            .refresh(&third.refresh_token)
            .await
            .expect("refreshed");
        assert_eq!(reason(house.refresh(&old).await), "REFRESH_REUSED");
        assert_eq!(
            reason(house.refresh(&fourth.refresh_token).await),
            "SESSION_ENDED"
        );
    })
    .await;
}
