//! Accounts that are closed, opened again and unlocked, and a registration that is closed.

use super::harness::*;
use millgate_contract::auth::v1 as pb;
use tonic::{Code, Status};

const ID: &str = "9f0e4c1a-2b3c-4d5e-8f90-a1b2c3d4e5f6";

async fn disable(house: &House, token: &str, id: i64) -> Result<pb::User, Status> {
    let request = pb::DisableUserRequest {
        id,
        ..Default::default()
    };
    disable_by(house, token, request).await
}

async fn disable_by(
    house: &House,
    token: &str,
    request: pb::DisableUserRequest,
) -> Result<pb::User, Status> {
    let answer = house.users.clone().disable_user(with(token, request)).await;
    answer.map(tonic::Response::into_inner)
}

async fn enable(house: &House, token: &str, id: i64) -> Result<pb::User, Status> {
    let request = pb::EnableUserRequest {
        id,
        ..Default::default()
    };
    let answer = house.users.clone().enable_user(with(token, request)).await;
    answer.map(tonic::Response::into_inner)
}

async fn id_of(house: &House, token: &str) -> i64 {
    let me = house.who_am_i(token).await.expect("known");
    me.user.expect("a person").id
}

#[tokio::test]
async fn a_disabled_account_has_no_session_no_token_and_no_login_and_enabling_brings_none_back() {
    on_both(async |house| {
        let admin = house.admin().await;
        let (ada, tokens) = house.person("ada", pb::Role::User).await;
        let closed = disable(&house, &admin, ada.id).await.expect("closed");
        assert_eq!(closed.state(), pb::UserState::Disabled);
        assert_ne!(closed.etag, ada.etag);
        let dead = async |house: &House| {
            assert_eq!(
                reason(house.who_am_i(&tokens.access_token).await),
                "TOKEN_REVOKED"
            );
            assert_eq!(
                reason(house.refresh(&tokens.refresh_token).await),
                "SESSION_ENDED"
            );
        };
        dead(&house).await;
        let refused = house.try_login("ada", PASSWORD).await.expect_err("closed");
        let wrong = house.try_login("ada", "wrong").await.expect_err("wrong");
        assert_eq!(
            (refused.code(), refused.message(), refused.details()),
            (wrong.code(), wrong.message(), wrong.details()),
            "nobody learns that the password was right"
        );

        let opened = enable(&house, &admin, ada.id).await.expect("opened");
        assert_eq!(opened.state(), pb::UserState::Active);
        dead(&house).await;
        let fresh = house.login("ada").await;
        house.who_am_i(&fresh.access_token).await.expect("good");
    })
    .await;
}

#[tokio::test]
async fn only_an_administrator_closes_and_a_refusal_changes_nothing() {
    on_both(async |house| {
        let admin = house.admin().await;
        let (ada, tokens) = house.person("ada", pb::Role::User).await;
        let factory = house.factory().await;
        let before = house.snapshot().await;
        for token in [&tokens.access_token, &factory] {
            let refused = disable(&house, token, ada.id).await;
            assert_eq!(refusal(refused).0, Code::PermissionDenied);
            assert_eq!(
                refusal(enable(&house, token, ada.id).await).0,
                Code::PermissionDenied
            );
        }
        for (id, expected) in [
            (0, "FIELD_INVALID"),
            (-1, "FIELD_INVALID"),
            (999, "USER_NOT_FOUND"),
        ] {
            assert_eq!(reason(disable(&house, &admin, id).await), expected);
            assert_eq!(reason(enable(&house, &admin, id).await), expected);
        }
        let stale = pb::DisableUserRequest {
            id: ada.id,
            etag: "0".into(),
            request_id: String::new(),
        };
        assert_eq!(
            reason(disable_by(&house, &admin, stale).await),
            "ETAG_MISMATCH"
        );
        let no_uuid = pb::DisableUserRequest {
            id: 0,
            request_id: "7".into(),
            ..Default::default()
        };
        let status = disable_by(&house, &admin, no_uuid).await.expect_err("bad");
        assert_eq!(fields(&status), ["request_id", "id"]);
        assert_eq!(house.snapshot().await, before);
        house.who_am_i(&tokens.access_token).await.expect("good");
    })
    .await;
}

#[tokio::test]
async fn a_state_that_is_so_already_changes_nothing_and_a_retry_gets_the_first_answer() {
    on_both(async |house| {
        let admin = house.admin().await;
        let (ada, tokens) = house.person("ada", pb::Role::User).await;
        let same = enable(&house, &admin, ada.id).await.expect("open already");
        assert_eq!(same.etag, ada.etag);
        house.who_am_i(&tokens.access_token).await.expect("good");

        let request = pb::DisableUserRequest {
            id: ada.id,
            etag: ada.etag.clone(),
            request_id: ID.into(),
        };
        let closed = disable_by(&house, &admin, request.clone())
            .await
            .expect("closed");
        assert_eq!(closed.username, "ada");
        let again = disable_by(&house, &admin, request.clone()).await;
        assert_eq!(
            again.expect("the same"),
            closed,
            "the etag was that of then"
        );
        enable(&house, &admin, ada.id).await.expect("opened");
        let late = disable_by(&house, &admin, request).await.expect("the same");
        assert_eq!(late.state(), pb::UserState::Disabled);
        house.login("ada").await;
        let other = pb::EnableUserRequest {
            id: ada.id,
            etag: ada.etag,
            request_id: ID.into(),
        };
        let reused = house.users.clone().enable_user(with(&admin, other)).await;
        assert_eq!(reason(reused), "REQUEST_ID_REUSED");
    })
    .await;
}

#[tokio::test]
async fn the_last_administrator_cannot_be_disabled() {
    on_both(async |house| {
        let admin = house.admin().await;
        let id = id_of(&house, &admin).await;
        let (second, _) = house.person("second", pb::Role::Admin).await;
        disable(&house, &admin, second.id).await.expect("closed");
        let before = house.snapshot().await;
        assert_eq!(
            refusal(disable(&house, &admin, id).await),
            (Code::FailedPrecondition, "LAST_ADMIN".into())
        );
        assert_eq!(house.snapshot().await, before);
        house.who_am_i(&admin).await.expect("still good");
        enable(&house, &admin, second.id).await.expect("opened");
        disable(&house, &admin, id).await.expect("one remains");
        assert_eq!(reason(house.who_am_i(&admin).await), "TOKEN_REVOKED");
    })
    .await;
}

#[tokio::test]
async fn administrators_who_disable_each_other_at_once_leave_one() {
    const ADMINS: &str = "SELECT count(*) FROM users WHERE role = 'admin' AND state = 'active'";
    const RESTORE: &str = "UPDATE users SET state = 'active' WHERE role = 'admin'";
    on_both(async |house| {
        let (rival, _) = house.person("rival", pb::Role::Admin).await;
        for round in 0..25 {
            let first = house.admin().await;
            let first_id = id_of(&house, &first).await;
            let second = house.login("rival").await.access_token;
            let duel = [(first, rival.id), (second, first_id)];
            let users = house.users.clone();
            let results = at_once(2, |index| {
                let (mut users, (token, id)) = (users.clone(), duel[index].clone());
                async move {
                    let request = pb::DisableUserRequest {
                        id,
                        ..Default::default()
                    };
                    users.disable_user(with(&token, request)).await.map(drop)
                }
            })
            .await;
            assert_eq!(house.count(ADMINS).await, 1, "round {round}: {results:?}");
            assert_eq!(
                results.iter().filter(|result| result.is_ok()).count(),
                1,
                "round {round}: {results:?}"
            );
            millgate_platform::on_write!(house.db, |c| sqlx::query(RESTORE)
                .execute(c)
                .await
                .map(drop))
            .expect("restored");
        }
    })
    .await;
}

#[tokio::test]
async fn a_login_or_a_refresh_that_races_a_disabling_leaves_nothing_alive() {
    const ALIVE: &str = "SELECT count(*) FROM sessions s JOIN users u ON u.id = s.user_id \
        WHERE u.username = 'ada' AND s.ended_time IS NULL";
    on_both(async |house| {
        let admin = house.admin().await;
        let ada = house.register("ada").await;
        for round in 0..10 {
            let tokens = house.login("ada").await;
            let (auth, users) = (house.auth.clone(), house.users.clone());
            let got = at_once(6, |index| {
                let (mut auth, mut users) = (auth.clone(), users.clone());
                let (admin, refresh_token) = (admin.clone(), tokens.refresh_token.clone());
                async move {
                    let tokens = match index {
                        0 => {
                            let request = pb::DisableUserRequest {
                                id: ada.id,
                                ..Default::default()
                            };
                            users.disable_user(with(&admin, request)).await?;
                            return Ok(None);
                        }
                        1 | 2 => auth.refresh(pb::RefreshRequest { refresh_token }).await?,
                        _ => auth.login(login("ada", PASSWORD)).await?,
                    };
                    Ok::<_, Status>(Some(tokens.into_inner()))
                }
            })
            .await;
            assert_eq!(house.count(ALIVE).await, 0, "round {round}");
            for tokens in got.into_iter().flatten().flatten() {
                assert_eq!(
                    reason(house.who_am_i(&tokens.access_token).await),
                    "TOKEN_REVOKED"
                );
                assert_eq!(
                    reason(house.refresh(&tokens.refresh_token).await),
                    "SESSION_ENDED"
                );
            }
            enable(&house, &admin, ada.id).await.expect("opened");
        }
    })
    .await;
}

#[tokio::test]
async fn a_closed_registration_answers_so_whatever_is_sent_and_administrators_go_on() {
    on_both_with(&["--registration", "closed"], async |house| {
        let before = house.snapshot().await;
        for (username, password) in [("ada", PASSWORD), (ADMIN, PASSWORD), ("", ""), ("a@b", "x")] {
            let request = registration(username, password);
            assert_eq!(
                refusal(house.auth.clone().register(request).await),
                (Code::PermissionDenied, "REGISTRATION_CLOSED".into())
            );
        }
        assert_eq!(house.snapshot().await, before);
        let wanted = super::accounts::wanted("ada", pb::Role::Customer);
        let admin = house.admin().await;
        super::accounts::create(&house, &admin, wanted)
            .await
            .expect("made");
        house.login("ada").await;
    })
    .await;
}

#[tokio::test]
async fn a_retry_of_a_registration_or_a_creation_costs_no_hash() {
    on_both_with(
        &["--hashing-width", "1", "--hashing-queue", "0"],
        async |house| {
            let admin = house.admin().await;
            let registering = pb::RegisterRequest {
                request_id: ID.into(),
                ..registration("ada", PASSWORD)
            };
            let creating = pb::CreateUserRequest {
                request_id: ID.into(),
                ..super::accounts::wanted("bob", pb::Role::User)
            };
            let mut auth = house.auth.clone();
            let first = auth.register(registering.clone()).await;
            let first = first.expect("made").into_inner();
            let made = super::accounts::create(&house, &admin, creating.clone())
                .await
                .expect("made");
            // Nobody but one can hash at a time, and nobody may wait: a retry that hashed would be refused now and then.
            let (auth, users) = (house.auth.clone(), house.users.clone());
            let answers = at_once(40, |index| {
                let (mut auth, mut users) = (auth.clone(), users.clone());
                let (registering, creating) = (registering.clone(), creating.clone());
                let request = with(&admin, creating);
                async move {
                    if index % 2 == 0 {
                        let answer = auth.register(registering).await?.into_inner();
                        Ok::<_, Status>(answer.user.expect("a user"))
                    } else {
                        users
                            .create_user(request)
                            .await
                            .map(tonic::Response::into_inner)
                    }
                }
            })
            .await;
            for (index, answer) in answers.into_iter().enumerate() {
                let expected = if index % 2 == 0 {
                    first.user.as_ref().expect("a user")
                } else {
                    &made
                };
                assert_eq!(answer.as_ref().expect("no hash was needed"), expected);
            }
        },
    )
    .await;
}

async fn unlock(
    house: &House,
    token: &str,
    request: pb::UnlockUserRequest,
) -> Result<pb::User, Status> {
    let answer = house.users.clone().unlock_user(with(token, request)).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn an_unlocked_account_need_not_wait_and_nobody_unlocks_their_own() {
    on_both_with(&["--throttles", "true"], async |house| {
        let admin = house.admin().await;
        let (ada, tokens) = house.person("ada", pb::Role::User).await;
        let guess = async |times: usize| {
            let mut last = String::new();
            for _ in 0..times {
                last = reason(house.try_login("ada", "a wrong guess").await);
            }
            last
        };
        assert_eq!(guess(6).await, "ACCOUNT_THROTTLED");
        let of_ada = || pb::UnlockUserRequest {
            id: ada.id,
            ..Default::default()
        };
        let refused = unlock(&house, &tokens.access_token, of_ada()).await;
        assert_eq!(refusal(refused).0, Code::PermissionDenied);
        let stale = pb::UnlockUserRequest {
            etag: "0".into(),
            ..of_ada()
        };
        assert_eq!(reason(unlock(&house, &admin, stale).await), "ETAG_MISMATCH");
        let nobody = pb::UnlockUserRequest {
            id: 999,
            ..of_ada()
        };
        assert_eq!(
            reason(unlock(&house, &admin, nobody).await),
            "USER_NOT_FOUND"
        );
        assert_eq!(
            reason(house.try_login("ada", PASSWORD).await),
            "ACCOUNT_THROTTLED"
        );

        let request = pb::UnlockUserRequest {
            request_id: ID.into(),
            ..of_ada()
        };
        let unlocked = unlock(&house, &admin, request.clone()).await;
        let unlocked = unlocked.expect("unlocked");
        assert_eq!(unlocked.username, "ada");
        house.login("ada").await;
        assert_eq!(guess(6).await, "ACCOUNT_THROTTLED");
        let again = unlock(&house, &admin, request).await.expect("the same");
        assert_eq!(again.etag, unlocked.etag);
        assert_eq!(
            guess(1).await,
            "ACCOUNT_THROTTLED",
            "a retry unlocks nothing new"
        );
    })
    .await;
}
