//! Guessing codes: counted for the account, whichever door they are tried at.

use super::harness::*;
use super::phone::*;
use millgate_contract::auth::v1 as pb;
use millgate_platform::on_write;
use std::time::Duration;

/// Empties the buckets of the addresses: these tests are about accounts.
async fn from_elsewhere(house: &House) {
    on_write!(house.db, |c| sqlx::query("DELETE FROM address_buckets")
        .execute(c)
        .await
        .map(drop))
    .expect("emptied");
}

async fn throttled<F: AsyncFn(House)>(test: F) {
    on_both_with(&["--throttles", "true"], test).await;
}

#[tokio::test]
async fn confirming_what_is_on_keeps_nobody_from_their_second_step() {
    throttled(async |house| {
        let ada = enrolled(&house, "ada").await;
        let wrong = ada.phone.wrong(&house);
        for _ in 0..12 {
            let refused = confirm(&house, &ada.tokens.access_token, &wrong).await;
            assert_eq!(reason(refused), "STATE_CONFLICT");
        }
        let half = first_step(&house, "ada").await;
        complete(&house, &half, &ada.phone.code(&house))
            .await
            .expect("logged in");
    })
    .await;
}

#[tokio::test]
async fn wrong_codes_count_together_at_every_door_and_then_the_right_one_waits_too() {
    throttled(async |house| {
        let ada = enrolled(&house, "ada").await;
        let token = ada.tokens.access_token.as_str();
        let wrong = ada.phone.wrong(&house);
        let half = first_step(&house, "ada").await;
        let refused = complete(&house, &half, &wrong).await;
        assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        let refused = login_with(&house, "ada", &wrong).await;
        assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        let refused = remove(&house, token, &wrong, 0).await;
        assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        let refused = regenerate(&house, token, &wrong, "").await;
        assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        let request = pb::ReauthenticateRequest {
            current_password: PASSWORD.to_owned(),
            totp_code: "0123-4567-89AB-CDEF".to_owned(),
        };
        let refused = house
            .auth
            .clone()
            .reauthenticate(with(token, request))
            .await;
        assert_eq!(reason(refused), "CREDENTIALS_INVALID");

        // Those were five.
        let before = snapshot(&house).await;
        let code = ada.phone.code(&house);
        assert_eq!(
            reason(complete(&house, &half, &code).await),
            "MFA_THROTTLED"
        );
        assert_eq!(
            reason(login_with(&house, "ada", &code).await),
            "MFA_THROTTLED"
        );
        assert_eq!(
            reason(remove(&house, token, &code, 0).await),
            "MFA_THROTTLED"
        );
        let refused = regenerate(&house, token, &ada.recovery_codes[0], "").await;
        assert_eq!(reason(refused), "MFA_THROTTLED");
        assert_eq!(snapshot(&house).await, before);
        house.clock.advance(Duration::from_secs(1));
        complete(&house, &half, &ada.phone.code(&house))
            .await
            .expect("logged in");
        // A good one wipes the slate.
        next_step(&house);
        from_elsewhere(&house).await;
        for _ in 0..4 {
            let refused = login_with(&house, "ada", &ada.phone.wrong(&house)).await;
            assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        }
        login_with(&house, "ada", &ada.phone.code(&house))
            .await
            .expect("logged in");
    })
    .await;
}

#[tokio::test]
async fn new_logins_do_not_buy_more_codes() {
    throttled(async |house| {
        let ada = enrolled(&house, "ada").await;
        let wrong = ada.phone.wrong(&house);
        let mut tried = 0;
        for _ in 0..12 {
            from_elsewhere(&house).await;
            let Ok(half) = house.try_login("ada", PASSWORD).await else {
                continue;
            };
            while reason(complete(&house, &half.mfa_token, &wrong).await) == "CREDENTIALS_INVALID" {
                tried += 1;
            }
        }
        assert_eq!(tried, 5);
    })
    .await;
}

#[tokio::test]
async fn a_good_password_does_not_forgive_wrong_ones_before_the_code_is_good_too() {
    throttled(async |house| {
        let ada = enrolled(&house, "ada").await;
        for _ in 0..3 {
            let refused = house.try_login("ada", "a wrong guess").await;
            assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        }
        let half = first_step(&house, "ada").await;
        let refused = login_with(&house, "ada", &ada.phone.wrong(&house)).await;
        assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        // Those were five attempts at the password.
        let refused = house.try_login("ada", PASSWORD).await;
        assert_eq!(reason(refused), "ACCOUNT_THROTTLED");
        house.clock.advance(Duration::from_secs(1));
        complete(&house, &half, &ada.phone.code(&house))
            .await
            .expect("logged in");
        for _ in 0..4 {
            let refused = house.try_login("ada", "a wrong guess").await;
            assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        }
        first_step(&house, "ada").await;
    })
    .await;
}

#[tokio::test]
async fn the_accounts_throttle_holds_at_the_second_step() {
    throttled(async |house| {
        let ada = enrolled(&house, "ada").await;
        let half = first_step(&house, "ada").await;
        for _ in 0..4 {
            let refused = house.try_login("ada", "a wrong guess").await;
            assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        }
        let before = snapshot(&house).await;
        let refused = complete(&house, &half, &ada.phone.code(&house)).await;
        assert_eq!(reason(refused), "ACCOUNT_THROTTLED");
        assert_eq!(snapshot(&house).await, before);
        house.clock.advance(Duration::from_secs(1));
        // The first step was let through after the wait, so it does not block its own second step.
        let own = first_step(&house, "ada").await;
        complete(&house, &own, &ada.phone.code(&house))
            .await
            .expect("logged in");
    })
    .await;
}
