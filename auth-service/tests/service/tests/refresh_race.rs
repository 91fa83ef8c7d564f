//! Refreshes against each other, and against what ends their session.

use super::harness::*;
use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::auth_service_client::AuthServiceClient;
use std::collections::HashSet;
use std::time::Instant;
use tonic::transport::Channel;

const LIVE: &str = "SELECT count(*) FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id \
    WHERE t.used_time IS NULL AND s.ended_time IS NULL";

/// `rounds` of `width` equal refreshes at the same instant.
async fn storm(house: &House, rounds: usize, width: usize) {
    storm_over(house, std::slice::from_ref(&house.auth), rounds, width).await;
}

/// The same, in turns at these replicas.
async fn storm_over(
    house: &House,
    replicas: &[AuthServiceClient<Channel>],
    rounds: usize,
    width: usize,
) {
    let mut tokens = house.login(ADMIN).await;
    let others = house.count(LIVE).await - 1;
    let begin = Instant::now();
    for round in 0..rounds {
        let results = at_once(width, |index| {
            let mut auth = replicas[(index + round) % replicas.len()].clone();
            let refresh_token = tokens.refresh_token.clone();
            async move { auth.refresh(pb::RefreshRequest { refresh_token }).await }
        })
        .await;
        let answers: Vec<_> = results
            .into_iter()
            .map(|result| {
                result
                    .unwrap_or_else(|error| panic!("round {round}: {error}"))
                    .into_inner()
            })
            .collect();
        let children: HashSet<_> = answers.iter().map(|answer| &answer.refresh_token).collect();
        assert_eq!(children.len(), 1, "round {round}");
        assert_eq!(house.count(LIVE).await, others + 1, "round {round}");
        tokens = answers.into_iter().next().expect("one");
    }
    let took = begin.elapsed();
    eprintln!("{rounds} rounds of {width} equal refreshes: one live child each, {took:.1?}");
    house.who_am_i(&tokens.access_token).await.expect("good");
}

#[tokio::test]
async fn equal_refreshes_at_once_leave_exactly_one_live_successor() {
    on_both(async |house| {
        for width in [2, 8, 32] {
            storm(&house, 70, width).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_refreshes_at_two_replicas_leave_exactly_one_live_successor() {
    at_both(async |place| {
        let one = House::open(place.clone(), &[]).await;
        let other = House::open_at(place, &[], one.clock.clone()).await;
        storm_over(&one, &[one.auth.clone(), other.auth.clone()], 50, 8).await;
        other.close().await;
        one.close().await;
    })
    .await;
}

/// The full count. `cargo test --test service -- --ignored ten_thousand --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "420,000 refreshes on each database take minutes"]
async fn ten_thousand_rounds_of_equal_refreshes_leave_one_live_successor_each() {
    on_both(async |house| {
        for width in [2, 8, 32] {
            storm(&house, 10_000, width).await;
        }
    })
    .await;
}

/// What ends a session, or its tokens.
#[derive(Debug, Clone, Copy)]
enum End {
    Logout,
    LogoutEverywhere,
    Revoke,
    ChangePassword,
    SetRole,
    Disable,
    Delete,
}

const ENDS: [End; 7] = [
    End::Logout,
    End::LogoutEverywhere,
    End::Revoke,
    End::ChangePassword,
    End::SetRole,
    End::Disable,
    End::Delete,
];

impl End {
    async fn come(self, house: &House, admin: &str, user: i64, tokens: &pb::TokenResponse) {
        let own = tokens.access_token.as_str();
        let done = match self {
            Self::Logout => {
                let request = with(own, pb::LogoutRequest::default());
                house.auth.clone().logout(request).await.map(drop)
            }
            Self::LogoutEverywhere => {
                let request = with(own, pb::LogoutEverywhereRequest {});
                house
                    .auth
                    .clone()
                    .logout_everywhere(request)
                    .await
                    .map(drop)
            }
            Self::Revoke => {
                let id = tokens.session_id.clone();
                let request = with(admin, pb::RevokeSessionRequest { id });
                house
                    .sessions
                    .clone()
                    .revoke_session(request)
                    .await
                    .map(drop)
            }
            Self::ChangePassword => {
                let request = pb::ChangePasswordRequest {
                    current_password: PASSWORD.into(),
                    new_password: "quite another password".into(),
                };
                let request = with(own, request);
                house.auth.clone().change_password(request).await.map(drop)
            }
            Self::SetRole => house.set_role(admin, user, pb::Role::User).await.map(drop),
            Self::Disable => {
                let request = pb::DisableUserRequest {
                    id: user,
                    ..Default::default()
                };
                house
                    .users
                    .clone()
                    .disable_user(with(admin, request))
                    .await
                    .map(drop)
            }
            Self::Delete => {
                let request = pb::DeleteUserRequest {
                    id: user,
                    ..Default::default()
                };
                house
                    .users
                    .clone()
                    .delete_user(with(admin, request))
                    .await
                    .map(drop)
            }
        };
        done.unwrap_or_else(|status| panic!("{self:?}: {status}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshes_that_race_the_end_of_their_session_never_leave_a_live_token() {
    on_both(async |house| {
        let admin = house.admin().await;
        for round in 0..70 {
            let end = ENDS[round % ENDS.len()];
            let name = format!("racer-{round}");
            let user = house.register(&name).await;
            let tokens = house.login(&name).await;
            // One after the other until one is refused, so that the end comes in the middle of one of them. The last ones
            // are looked at.
            let (mut auth, mut token) = (house.auth.clone(), tokens.refresh_token.clone());
            let chain = tokio::spawn(async move {
                let mut answers = Vec::new();
                for _ in 0..100_000 {
                    let request = pb::RefreshRequest {
                        refresh_token: token.clone(),
                    };
                    let Ok(answer) = auth.refresh(request).await else {
                        return (answers, true);
                    };
                    let answer = answer.into_inner();
                    token = answer.refresh_token.clone();
                    answers.push(answer);
                    if answers.len() > 20 {
                        answers.remove(0);
                    }
                }
                (answers, false)
            });
            for _ in 0..round % 5 {
                tokio::task::yield_now().await;
            }
            end.come(&house, &admin, user.id, &tokens).await;
            let (answers, stopped) = chain.await.expect("no panic");
            assert!(stopped, "{end:?} {round}: the refreshes went on");
            for answer in answers {
                let access = house.who_am_i(&answer.access_token).await;
                assert!(access.is_err(), "{end:?} {round}: a live access token");
                let refresh = house.refresh(&answer.refresh_token).await;
                assert!(refresh.is_err(), "{end:?} {round}: a live refresh token");
            }
        }
    })
    .await;
}
