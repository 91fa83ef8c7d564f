use super::harness::*;
use millgate_contract::auth::v1 as pb;
use std::collections::HashSet;
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
async fn many_equal_refreshes_at_once_leave_exactly_one_live_successor() {
    on_both(async |house| {
        let mut token = house.login(ADMIN).await.refresh_token;
        for round in 0..200 {
            let auth = house.auth.clone();
            let results = at_once(8, |_| {
                let (mut auth, refresh_token) = (auth.clone(), token.clone());
                async move { auth.refresh(pb::RefreshRequest { refresh_token }).await }
            })
            .await;
            let children: HashSet<String> = results
                .into_iter()
                .map(|result| {
                    result
                        .unwrap_or_else(|error| panic!("round {round}: {error}"))
                        .into_inner()
                        .refresh_token
                })
                .collect();
            assert_eq!(children.len(), 1, "round {round}");
            assert_eq!(house.count(LIVE).await, 1, "round {round}");
            token = children.into_iter().next().expect("one");
        }
    })
    .await;
}

#[tokio::test]
async fn a_refresh_that_races_the_end_of_its_session_never_leaves_a_live_token() {
    on_both(async |house| {
        for round in 0..60 {
            let name = format!("racer-{round}");
            let user = house.register(&name).await;
            let tokens = house.login(&name).await;
            let admin = house.admin().await;
            let (mut refreshing, mut ending, mut users) =
                (house.auth.clone(), house.auth.clone(), house.users.clone());
            let refresh_token = tokens.refresh_token.clone();
            let refreshed = tokio::spawn(async move {
                refreshing
                    .refresh(pb::RefreshRequest { refresh_token })
                    .await
            });
            match round % 3 {
                0 => {
                    let logout = with(&tokens.access_token, pb::LogoutRequest::default());
                    ending.logout(logout).await.expect("logged out");
                }
                1 => {
                    let role = pb::SetUserRoleRequest {
                        id: user.id,
                        role: pb::Role::User.into(),
                        ..Default::default()
                    };
                    users
                        .set_user_role(with(&admin, role))
                        .await
                        .expect("role set");
                }
                _ => {
                    let delete = pb::DeleteUserRequest {
                        id: user.id,
                        ..Default::default()
                    };
                    users
                        .delete_user(with(&admin, delete))
                        .await
                        .expect("deleted");
                }
            }
            if let Ok(answer) = refreshed.await.expect("no panic") {
                let answer = answer.into_inner();
                assert!(
                    house.who_am_i(&answer.access_token).await.is_err(),
                    "round {round}"
                );
                assert!(
                    house.refresh(&answer.refresh_token).await.is_err(),
                    "round {round}"
                );
            }
        }
    })
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
