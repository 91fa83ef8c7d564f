use super::harness::*;
use super::phone::*;
use millgate_contract::auth::v1 as pb;
use std::time::Duration;
use tonic::{Code, Response, Status};

const METHODS: [&str; 3] = ["pwd", "otp", "mfa"];

async fn sessions(house: &House) -> i64 {
    house.count("SELECT count(*) FROM sessions").await
}

#[tokio::test]
async fn a_login_takes_two_steps_and_its_session_says_so() {
    on_both(async |house| {
        let ada = enrolled(&house, "ada").await;
        let before = sessions(&house).await;
        let half = first_step(&house, "ada").await;
        assert_eq!(sessions(&house).await, before);
        let wrong = complete(&house, &half, &ada.phone.wrong(&house)).await;
        assert_eq!(
            refusal(wrong),
            (Code::Unauthenticated, "CREDENTIALS_INVALID".into())
        );
        assert_eq!(sessions(&house).await, before);
        let tokens = complete(&house, &half, &ada.phone.code(&house))
            .await
            .expect("logged in");
        assert_eq!(
            (
                tokens.status.as_str(),
                tokens.mfa_required,
                tokens.mfa_token.as_str()
            ),
            ("success", false, "")
        );
        let me = house.who_am_i(&tokens.access_token).await.expect("known");
        assert_eq!(me.amr, METHODS);
        let next = house
            .refresh(&tokens.refresh_token)
            .await
            .expect("refreshed");
        let me = house.who_am_i(&next.access_token).await.expect("known");
        assert_eq!(me.amr, METHODS);
        // The token of the first step has done its work.
        next_step(&house);
        assert_eq!(
            refusal(complete(&house, &half, &ada.phone.code(&house)).await),
            (Code::Unauthenticated, "MFA_CHALLENGE_INVALID".into())
        );
        assert_eq!(sessions(&house).await, before + 1);
    })
    .await;
}

#[tokio::test]
async fn a_code_or_a_recovery_code_sent_along_logs_in_at_once() {
    on_both(async |house| {
        let ada = enrolled(&house, "ada").await;
        let before = snapshot(&house).await;
        let wrong = login_with(&house, "ada", &ada.phone.wrong(&house)).await;
        assert_eq!(reason(wrong), "CREDENTIALS_INVALID");
        for malformed in ["abc", "1234567", &"1".repeat(1000)] {
            let refused = login_with(&house, "ada", malformed).await;
            assert_eq!(
                fields(&refused.expect_err("malformed")),
                ["totp_code"],
                "{malformed:.10}"
            );
        }
        assert_eq!(snapshot(&house).await, before);
        let tokens = login_with(&house, "ada", &ada.phone.code(&house))
            .await
            .expect("logged in");
        let me = house.who_am_i(&tokens.access_token).await.expect("known");
        assert_eq!(me.amr, METHODS);
        let code = &ada.recovery_codes[4];
        login_with(&house, "ada", code).await.expect("logged in");
        let again = login_with(&house, "ada", code).await;
        assert_eq!(reason(again), "CREDENTIALS_INVALID");
        let half = first_step(&house, "ada").await;
        let again = complete(&house, &half, code).await;
        assert_eq!(reason(again), "CREDENTIALS_INVALID");
        complete(&house, &half, &ada.recovery_codes[5])
            .await
            .expect("logged in");
        // Somebody without a second factor may send one all the same.
        house.register("bob").await;
        login_with(&house, "bob", "123456")
            .await
            .expect("logged in");
    })
    .await;
}

#[tokio::test]
async fn the_password_decides_first_and_says_nothing_of_a_second_factor() {
    on_both(async |house| {
        let ada = enrolled(&house, "ada").await;
        house.register("bob").await;
        let mut answers = Vec::new();
        for name in ["ada", "bob", "nobody"] {
            for code in ["", "123456", ada.phone.code(&house).as_str()] {
                let request = pb::LoginRequest {
                    totp_code: code.to_owned(),
                    ..login(name, "a wrong guess")
                };
                let status = house.auth.clone().login(request).await.expect_err("wrong");
                answers.push((
                    status.code(),
                    status.message().to_owned(),
                    status.details().to_vec(),
                ));
            }
        }
        assert!(
            answers.iter().all(|answer| *answer == answers[0]),
            "{answers:?}"
        );
        // No code was used up on the way.
        login_with(&house, "ada", &ada.phone.code(&house))
            .await
            .expect("logged in");
    })
    .await;
}

#[tokio::test]
async fn the_token_of_the_first_step_is_good_for_nothing_else() {
    on_both(async |house| {
        let ada = enrolled(&house, "ada").await;
        let half = first_step(&house, "ada").await;
        assert_eq!(reason(house.who_am_i(&half).await), "TOKEN_INVALID");
        assert_eq!(reason(house.refresh(&half).await), "REFRESH_INVALID");
        let code = ada.phone.code(&house);
        for other in [
            ada.tokens.refresh_token.as_str(),
            ada.tokens.access_token.as_str(),
            "x",
            &half[1..],
            &format!("{half}="),
            &"A".repeat(43),
            &"A".repeat(100_000),
        ] {
            let refused = complete(&house, other, &code).await;
            assert_eq!(reason(refused), "MFA_CHALLENGE_INVALID", "{other:.50}");
        }
        let refused = complete(&house, "", "").await;
        let named = fields(&refused.expect_err("nothing"));
        assert_eq!(named, ["mfa_token", "code"]);
        // One person's token does not go with another's code, nor the other way round.
        let bob = enrolled(&house, "bob").await;
        let refused = complete(&house, &half, &bob.recovery_codes[0]).await;
        assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        complete(&house, &half, &ada.recovery_codes[0])
            .await
            .expect("ada's own");
    })
    .await;
}

#[tokio::test]
async fn the_second_step_has_to_come_within_five_minutes() {
    on_both(async |house| {
        let ada = enrolled(&house, "ada").await;
        let (in_time, late) = (
            first_step(&house, "ada").await,
            first_step(&house, "ada").await,
        );
        house
            .clock
            .advance(Duration::from_micros(5 * 60 * 1_000_000 - 1));
        complete(&house, &in_time, &ada.phone.code(&house))
            .await
            .expect("logged in");
        house.clock.advance(Duration::from_micros(1));
        let refused = complete(&house, &late, &ada.recovery_codes[0]).await;
        assert_eq!(reason(refused), "MFA_CHALLENGE_INVALID");
        assert_eq!(house.count("SELECT count(*) FROM recovery_codes").await, 10);
    })
    .await;
}

#[tokio::test]
async fn a_wrong_code_may_be_corrected_four_times() {
    on_both(async |house| {
        let ada = enrolled(&house, "ada").await;
        let wrong = ada.phone.wrong(&house);
        let (four, five) = (
            first_step(&house, "ada").await,
            first_step(&house, "ada").await,
        );
        for _ in 0..4 {
            assert_eq!(
                reason(complete(&house, &four, &wrong).await),
                "CREDENTIALS_INVALID"
            );
        }
        complete(&house, &four, &ada.phone.code(&house))
            .await
            .expect("logged in");
        next_step(&house);
        for _ in 0..5 {
            assert_eq!(
                reason(complete(&house, &five, &wrong).await),
                "CREDENTIALS_INVALID"
            );
        }
        let refused = complete(&house, &five, &ada.phone.code(&house)).await;
        assert_eq!(reason(refused), "MFA_CHALLENGE_INVALID");
    })
    .await;
}

#[tokio::test]
async fn many_wrong_codes_at_once_are_no_more_than_five() {
    on_both(async |house| {
        let ada = enrolled(&house, "ada").await;
        let half = first_step(&house, "ada").await;
        let wrong = ada.phone.wrong(&house);
        let client = house.auth.clone();
        let answers = at_once(20, |_| {
            let (mut client, mfa_token, code) = (client.clone(), half.clone(), wrong.clone());
            async move {
                let request = pb::CompleteLoginRequest { mfa_token, code };
                reason(client.complete_login(request).await)
            }
        })
        .await;
        let looked_at = answers
            .iter()
            .filter(|answer| *answer == "CREDENTIALS_INVALID");
        assert_eq!(looked_at.count(), 5, "{answers:?}");
    })
    .await;
}

#[tokio::test]
async fn a_code_is_good_for_one_step_before_and_after_and_never_again() {
    on_both(async |house| {
        let ada = enrolled(&house, "ada").await;
        for _ in 0..3 {
            next_step(&house);
        }
        for (ahead, good) in [
            (-60, false),
            (60, false),
            (-30, true),
            (0, true),
            (30, true),
        ] {
            let code = ada.phone.shows(&house, ahead);
            let answer = login_with(&house, "ada", &code).await;
            assert_eq!(answer.is_ok(), good, "{ahead}");
            let again = login_with(&house, "ada", &code).await;
            assert_eq!(reason(again), "CREDENTIALS_INVALID", "{ahead}");
        }
        // The phone is ahead, so what it showed before is too old now, although it was never used.
        next_step(&house);
        let skipped = login_with(&house, "ada", &ada.phone.shows(&house, 0)).await;
        assert_eq!(reason(skipped), "CREDENTIALS_INVALID");
        login_with(&house, "ada", &ada.phone.shows(&house, 30))
            .await
            .expect("the next one");
    })
    .await;
}

#[tokio::test]
async fn of_one_code_at_two_replicas_and_both_doors_at_once_one_logs_in() {
    at_both(async |place| {
        let one = House::open(place.clone(), &[]).await;
        let other = House::open_at(place, &[], one.clock.clone()).await;
        let ada = enrolled(&one, "ada").await;
        for round in 0..6 {
            let recovery = round % 2 == 1;
            let code = match recovery {
                true => ada.recovery_codes[round].clone(),
                false => ada.phone.code(&one),
            };
            let half = first_step(&one, "ada").await;
            let halves = [half.clone(), half, first_step(&other, "ada").await];
            let clients = [one.auth.clone(), other.auth.clone()];
            let results = at_once(8, |index| {
                let (mut client, code) = (clients[index % 2].clone(), code.clone());
                let mfa_token = halves[index % 3].clone();
                async move {
                    let answer: Result<Response<pb::TokenResponse>, Status> = if index < 4 {
                        client
                            .complete_login(pb::CompleteLoginRequest { mfa_token, code })
                            .await
                    } else {
                        let request = pb::LoginRequest {
                            totp_code: code,
                            ..login("ada", PASSWORD)
                        };
                        client.login(request).await
                    };
                    answer.map(Response::into_inner)
                }
            })
            .await;
            let (good, bad): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
            assert_eq!(good.len(), 1, "round {round}: {bad:?}");
            for refused in bad {
                let reason = reason(refused);
                assert!(
                    reason == "CREDENTIALS_INVALID" || reason == "MFA_CHALLENGE_INVALID",
                    "{reason}"
                );
            }
            next_step(&one);
        }
        one.close().await;
        other.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_login_that_was_begun_dies_with_what_it_was_begun_with() {
    on_both(async |house| {
        let ada = enrolled(&house, "ada").await;
        let half = first_step(&house, "ada").await;
        let admin = house.admin().await;
        house
            .set_role(&admin, ada.user.id, pb::Role::User)
            .await
            .expect("set");
        let refused = complete(&house, &half, &ada.phone.code(&house)).await;
        assert_eq!(reason(refused), "MFA_CHALLENGE_INVALID");

        let half = first_step(&house, "ada").await;
        let request = pb::DisableUserRequest {
            id: ada.user.id,
            ..Default::default()
        };
        let disabled = house
            .users
            .clone()
            .disable_user(with(&admin, request))
            .await;
        disabled.expect("disabled");
        let refused = complete(&house, &half, &ada.phone.code(&house)).await;
        assert_eq!(reason(refused), "MFA_CHALLENGE_INVALID");
        let request = pb::EnableUserRequest {
            id: ada.user.id,
            ..Default::default()
        };
        let enabled = house.users.clone().enable_user(with(&admin, request)).await;
        enabled.expect("enabled");
        let refused = complete(&house, &half, &ada.phone.code(&house)).await;
        assert_eq!(reason(refused), "MFA_CHALLENGE_INVALID");
        // The code was not used up by any of them.
        login_with(&house, "ada", &ada.phone.code(&house))
            .await
            .expect("logged in");
    })
    .await;
}

#[tokio::test]
async fn turning_it_on_while_somebody_logs_in_leaves_no_session_of_one_factor() {
    on_both(async |house| {
        for round in 0..5 {
            let name = format!("person-{round}");
            house.register(&name).await;
            let token = house.login(&name).await.access_token;
            let phone = Phone::scan(&begin(&house, &token).await.expect("begun"));
            let mut auth = house.auth.clone();
            let request = login(&name, PASSWORD);
            let racing = tokio::spawn(async move { auth.login(request).await });
            confirm(&house, &token, &phone.code(&house))
                .await
                .expect("on");
            if let Ok(tokens) = racing.await.expect("no panic").map(Response::into_inner)
                && !tokens.mfa_required
            {
                assert!(house.who_am_i(&tokens.access_token).await.is_err());
                assert!(house.refresh(&tokens.refresh_token).await.is_err());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn proving_oneself_again_and_changing_the_password_need_both_factors() {
    on_both(async |house| {
        let ada = enrolled(&house, "ada").await;
        house.clock.advance(Duration::from_secs(14 * 60));
        let tokens = house
            .refresh(&ada.tokens.refresh_token)
            .await
            .expect("refreshed");
        house.clock.advance(Duration::from_secs(61));
        let token = tokens.access_token.as_str();
        let change = |token: &str| {
            let request = pb::ChangePasswordRequest {
                current_password: PASSWORD.to_owned(),
                new_password: "another good passphrase".to_owned(),
            };
            let (mut auth, request) = (house.auth.clone(), with(token, request));
            async move {
                auth.change_password(request)
                    .await
                    .map(Response::into_inner)
            }
        };
        let before = snapshot(&house).await;
        assert_eq!(reason(change(token).await), "FRESH_TOKEN_REQUIRED");
        let again = |code: &str| {
            let request = pb::ReauthenticateRequest {
                current_password: PASSWORD.to_owned(),
                totp_code: code.to_owned(),
            };
            let (mut auth, request) = (house.auth.clone(), with(token, request));
            async move { auth.reauthenticate(request).await.map(Response::into_inner) }
        };
        let without = again("").await;
        assert_eq!(fields(&without.expect_err("no code")), ["totp_code"]);
        let wrong = again(&ada.phone.wrong(&house)).await;
        assert_eq!(reason(wrong), "CREDENTIALS_INVALID");
        assert_eq!(snapshot(&house).await, before);

        let fresh = again(&ada.phone.code(&house)).await.expect("proved");
        assert_eq!(
            reason(again(&ada.phone.code(&house)).await),
            "CREDENTIALS_INVALID",
            "the code is used up"
        );
        let changed = change(&fresh.access_token).await.expect("changed");
        let me = house.who_am_i(&changed.access_token).await.expect("known");
        assert_eq!(me.amr, METHODS);
        // The factor is still there.
        let all = (pb::SecondFactorState::On, 10);
        let left = state(&house, &changed.access_token, 0).await.expect("seen");
        assert_eq!(left, all);
    })
    .await;
}
