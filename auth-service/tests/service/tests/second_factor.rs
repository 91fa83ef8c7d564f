use super::harness::*;
use super::phone::*;
use millgate_contract::auth::v1 as pb;
use millgate_platform::on;
use std::time::Duration;
use tonic::Code;

const REQUEST: &str = "6f1c9f7e-6f0e-4a53-9c1b-0f3a6f3f0b11";
const METHODS: [&str; 3] = ["pwd", "otp", "mfa"];

#[tokio::test]
async fn it_is_off_until_a_code_confirms_it_and_then_ends_every_other_session() {
    on_both(async |house| {
        house.register("ada").await;
        let other = house.login("ada").await;
        let mine = house.login("ada").await;
        let token = mine.access_token.as_str();
        let none = (pb::SecondFactorState::None, 0);
        assert_eq!(state(&house, token, 0).await.expect("seen"), none);

        let begun = begin(&house, token).await.expect("begun");
        assert_eq!(&begun.qr_png[1..4], b"PNG");
        assert!(begun.otpauth_uri.contains(&begun.secret));
        assert!(
            begun
                .otpauth_uri
                .starts_with("otpauth://totp/Millgate:ada?")
        );
        let phone = Phone::scan(&begun);
        let pending = (pb::SecondFactorState::Pending, 0);
        assert_eq!(state(&house, token, 0).await.expect("seen"), pending);
        house.login("ada").await;

        let before = snapshot(&house).await;
        for (code, refused) in [
            (phone.wrong(&house).as_str(), "CREDENTIALS_INVALID"),
            ("12345", "FIELD_INVALID"),
            ("", "FIELD_INVALID"),
            ("0123-4567-89AB-CDEF", "FIELD_INVALID"),
        ] {
            assert_eq!(
                reason(confirm(&house, token, code).await),
                refused,
                "{code}"
            );
        }
        assert_eq!(snapshot(&house).await, before);

        let code = phone.code(&house);
        let spaced = format!("{} {}", &code[..3], &code[3..]);
        let on = confirm(&house, token, &spaced).await.expect("confirmed");
        assert_eq!(on.recovery_codes.len(), 10);
        let new = on.tokens.expect("tokens");
        assert_eq!(new.session_id, mine.session_id);
        assert_eq!(reason(house.who_am_i(token).await), "TOKEN_REVOKED");
        assert_eq!(
            reason(house.refresh(&mine.refresh_token).await),
            "REFRESH_INVALID"
        );
        assert_eq!(
            reason(house.refresh(&other.refresh_token).await),
            "SESSION_ENDED"
        );
        let me = house.who_am_i(&new.access_token).await.expect("known");
        assert_eq!(me.amr, METHODS);
        let all = (pb::SecondFactorState::On, 10);
        assert_eq!(
            state(&house, &new.access_token, 0).await.expect("seen"),
            all
        );
        // What is on is never replaced by a new beginning.
        assert_eq!(
            refusal(begin(&house, &new.access_token).await),
            (Code::FailedPrecondition, "STATE_CONFLICT".into())
        );
        let again = confirm(&house, &new.access_token, &phone.shows(&house, 30)).await;
        assert_eq!(reason(again), "STATE_CONFLICT");
        // The code that confirmed it is used up.
        assert_eq!(
            reason(login_with(&house, "ada", &code).await),
            "CREDENTIALS_INVALID"
        );
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_forgotten_after_ten_minutes_or_when_another_is_begun() {
    on_both(async |house| {
        house.register("ada").await;
        let token = house.login("ada").await.access_token;
        let first = Phone::scan(&begin(&house, &token).await.expect("begun"));
        let second = Phone::scan(&begin(&house, &token).await.expect("begun"));
        let old = confirm(&house, &token, &first.code(&house)).await;
        assert_eq!(reason(old), "CREDENTIALS_INVALID");
        house.clock.advance(Duration::from_secs(10 * 60));
        let late = confirm(&house, &token, &second.code(&house)).await;
        assert_eq!(reason(late), "STATE_CONFLICT");
        let none = (pb::SecondFactorState::None, 0);
        assert_eq!(state(&house, &token, 0).await.expect("seen"), none);
        assert!(!house.login("ada").await.mfa_required);

        let third = Phone::scan(&begin(&house, &token).await.expect("begun"));
        house.clock.advance(Duration::from_secs(10 * 60 - 1));
        let token = house.login("ada").await.access_token;
        confirm(&house, &token, &third.code(&house))
            .await
            .expect("in the last second");
    })
    .await;
}

#[tokio::test]
async fn a_retry_is_told_that_it_is_on_and_shown_nothing_twice() {
    on_both(async |house| {
        house.register("ada").await;
        let token = house.login("ada").await.access_token;
        let phone = Phone::scan(&begin(&house, &token).await.expect("begun"));
        let request = pb::ConfirmTotpRequest {
            code: phone.code(&house),
            request_id: REQUEST.to_owned(),
        };
        let first = confirm_with(&house, &token, request.clone())
            .await
            .expect("on");
        // The answer was lost, and with it the new tokens.
        next_step(&house);
        let token = login_with(&house, "ada", &phone.code(&house))
            .await
            .expect("logged in")
            .access_token;
        let retry = confirm_with(&house, &token, request.clone())
            .await
            .expect("told");
        assert_eq!(retry, pb::ConfirmTotpResponse::default());
        let other = pb::ConfirmTotpRequest {
            code: phone.wrong(&house),
            ..request
        };
        assert_eq!(
            reason(confirm_with(&house, &token, other).await),
            "REQUEST_ID_REUSED"
        );
        // Nothing of what was shown once is remembered.
        let rows: Vec<Vec<u8>> = on!(house.db, |c| sqlx::query_scalar(
            "SELECT response FROM idempotency_keys WHERE response IS NOT NULL"
        )
        .fetch_all(c)
        .await)
        .expect("rows");
        for code in first.recovery_codes {
            assert!(rows.iter().all(|row| !contains(row, code.as_bytes())));
        }

        let made = "0c1c9f7e-6f0e-4a53-9c1b-0f3a6f3f0b12";
        next_step(&house);
        let code = phone.code(&house);
        let codes = regenerate(&house, &token, &code, made).await.expect("made");
        let token = codes.tokens.expect("tokens").access_token;
        let retry = regenerate(&house, &token, &code, made).await.expect("told");
        assert!(retry.recovery_codes.is_empty() && retry.tokens.is_none());
    })
    .await;
}

#[tokio::test]
async fn of_many_confirmations_at_once_one_shows_codes() {
    on_both(async |house| {
        house.register("ada").await;
        let token = house.login("ada").await.access_token;
        let phone = Phone::scan(&begin(&house, &token).await.expect("begun"));
        let code = phone.code(&house);
        let client = house.second_factors.clone();
        let results = at_once(8, |_| {
            let (mut client, token, code) = (client.clone(), token.clone(), code.clone());
            async move {
                let request = pb::ConfirmTotpRequest {
                    code,
                    request_id: String::new(),
                };
                client.confirm_totp(with(&token, request)).await
            }
        })
        .await;
        let shown: Vec<_> = results.into_iter().filter_map(Result::ok).collect();
        assert_eq!(shown.len(), 1);
        let codes = &shown[0].get_ref().recovery_codes;
        login_with(&house, "ada", &codes[9])
            .await
            .expect("a code of the one answer");
        assert_eq!(house.count("SELECT count(*) FROM recovery_codes").await, 9);
    })
    .await;
}

#[tokio::test]
async fn it_is_taken_away_by_a_fresh_token_and_a_code_only() {
    on_both(async |house| {
        let ada = enrolled(&house, "ada").await;
        house.clock.advance(Duration::from_secs(240));
        let stale = ada.tokens.access_token.as_str();
        let before = snapshot(&house).await;
        house.clock.advance(Duration::from_secs(31));
        let code = ada.phone.code(&house);
        let refused = remove(&house, stale, &code, 0).await;
        assert_eq!(
            refusal(refused),
            (Code::Unauthenticated, "FRESH_TOKEN_REQUIRED".into())
        );
        let refused = regenerate(&house, stale, &code, "").await;
        assert_eq!(reason(refused), "FRESH_TOKEN_REQUIRED");
        assert_eq!(snapshot(&house).await, before);

        let fresh = login_with(&house, "ada", &code).await.expect("logged in");
        let token = fresh.access_token.as_str();
        let before = snapshot(&house).await;
        for (code, refused) in [
            ("", "FIELD_INVALID"),
            (ada.phone.wrong(&house).as_str(), "CREDENTIALS_INVALID"),
            (code.as_str(), "CREDENTIALS_INVALID"),
            ("0123-4567-89AB-CDEF", "CREDENTIALS_INVALID"),
        ] {
            assert_eq!(
                reason(remove(&house, token, code, 0).await),
                refused,
                "{code}"
            );
            let id = ada.user.id;
            assert_eq!(
                reason(remove(&house, token, code, id).await),
                refused,
                "{code}"
            );
        }
        assert_eq!(snapshot(&house).await, before);

        next_step(&house);
        let removed = remove(&house, token, &ada.phone.code(&house), 0)
            .await
            .expect("removed");
        let new = removed.tokens.expect("tokens").access_token;
        assert_eq!(reason(house.who_am_i(token).await), "TOKEN_REVOKED");
        assert_eq!(
            reason(house.refresh(&ada.tokens.refresh_token).await),
            "SESSION_ENDED"
        );
        let none = (pb::SecondFactorState::None, 0);
        assert_eq!(state(&house, &new, 0).await.expect("seen"), none);
        assert_eq!(house.count("SELECT count(*) FROM recovery_codes").await, 0);
        assert!(!house.login("ada").await.mfa_required);
        let nothing = remove(&house, &new, "123456", 0).await;
        assert_eq!(reason(nothing), "STATE_CONFLICT");
        begin(&house, &new).await.expect("begun again");
    })
    .await;
}

#[tokio::test]
async fn an_administrator_takes_away_a_lost_one_and_nobody_else_does() {
    on_both(async |house| {
        let ada = enrolled(&house, "ada").await;
        let (_, staff) = house.person("bob", pb::Role::User).await;
        let half = first_step(&house, "ada").await;
        let before = snapshot(&house).await;
        let refused = remove(&house, &staff.access_token, "", ada.user.id).await;
        assert_eq!(refusal(refused), (Code::NotFound, "USER_NOT_FOUND".into()));
        let refused = state(&house, &staff.access_token, ada.user.id).await;
        assert_eq!(reason(refused), "USER_NOT_FOUND");
        let admin = house.admin().await;
        let refused = remove(&house, &admin, &ada.recovery_codes[0], ada.user.id).await;
        assert_eq!(reason(refused), "FIELD_INVALID");
        let refused = remove(&house, &admin, "", 4711).await;
        assert_eq!(reason(refused), "USER_NOT_FOUND");
        let refused = remove(&house, &admin, "", -1).await;
        assert_eq!(reason(refused), "FIELD_INVALID");
        let factory = house.factory().await;
        let refused = remove(&house, &factory, "", ada.user.id).await;
        assert_eq!(reason(refused), "PRINCIPAL_KIND_DENIED");
        house.clock.advance(Duration::from_secs(301));
        let refused = remove(&house, &admin, "", ada.user.id).await;
        assert_eq!(reason(refused), "FRESH_TOKEN_REQUIRED");
        let now = snapshot(&house).await;
        assert_eq!(before[before.len() - 11..], now[now.len() - 11..]);

        let admin = house.admin().await;
        let seen = state(&house, &admin, ada.user.id).await.expect("seen");
        assert_eq!(seen, (pb::SecondFactorState::On, 10));
        let removed = remove(&house, &admin, "", ada.user.id)
            .await
            .expect("removed");
        assert_eq!(removed.tokens, None);
        assert_eq!(
            reason(house.refresh(&ada.tokens.refresh_token).await),
            "SESSION_ENDED"
        );
        assert_eq!(
            reason(house.who_am_i(&ada.tokens.access_token).await),
            "TOKEN_REVOKED"
        );
        let old = complete(&house, &half, &ada.phone.code(&house)).await;
        assert_eq!(reason(old), "MFA_CHALLENGE_INVALID");
        assert!(!house.login("ada").await.mfa_required);
        assert_eq!(
            reason(remove(&house, &admin, "", ada.user.id).await),
            "STATE_CONFLICT"
        );
        let told = house.sealed("remove_totp done", 1).await;
        let row = format!("remove_totp done lost user:1 {} ", ada.user.id);
        assert!(told.iter().any(|told| told.starts_with(&row)), "{told:?}");
    })
    .await;
}

#[tokio::test]
async fn new_recovery_codes_replace_the_old_ones() {
    on_both(async |house| {
        let ada = enrolled(&house, "ada").await;
        let token = ada.tokens.access_token.as_str();
        let wrong = regenerate(&house, token, &ada.phone.wrong(&house), "").await;
        assert_eq!(reason(wrong), "CREDENTIALS_INVALID");
        // One of the old ones pays for the new.
        let made = regenerate(&house, token, &ada.recovery_codes[0], "")
            .await
            .expect("made");
        assert_eq!(made.recovery_codes.len(), 10);
        for old in &ada.recovery_codes {
            assert_eq!(
                reason(login_with(&house, "ada", old).await),
                "CREDENTIALS_INVALID"
            );
        }
        login_with(&house, "ada", &made.recovery_codes[3].to_lowercase())
            .await
            .expect("logged in");
        let token = made.tokens.expect("tokens").access_token;
        let left = state(&house, &token, 0).await.expect("seen");
        assert_eq!(left, (pb::SecondFactorState::On, 9));
    })
    .await;
}

#[tokio::test]
async fn the_database_holds_no_secret_and_no_row_works_at_another_account() {
    on_both(async |house| {
        house.register("ada").await;
        let token = house.login("ada").await.access_token;
        let begun = begin(&house, &token).await.expect("begun");
        let ada = Phone::scan(&begun);
        let on = confirm(&house, &token, &ada.code(&house)).await.expect("on");
        let raw = totp_rs::Totp::from_url(&begun.otpauth_uri).expect("read");
        let half = first_step(&house, "ada").await;
        let mut secrets: Vec<Vec<u8>> = vec![
            raw.secret().as_bytes().to_vec(),
            begun.secret.into_bytes(),
            half.into_bytes(),
        ];
        for code in on.recovery_codes {
            secrets.push(code.replace('-', "").into_bytes());
            secrets.push(code.into_bytes());
        }
        let bob = enrolled(&house, "bob").await;
        for cell in cells(&house).await {
            for secret in &secrets {
                assert!(!contains(&cell, secret), "{cell:?}");
            }
        }

        // Somebody who can write the database gives Bob's account Ada's secret and her recovery codes.
        for sql in [
            "UPDATE second_factors SET sealed_secret = (SELECT sealed_secret FROM second_factors WHERE user_id = 2),
                 begin_time = (SELECT begin_time FROM second_factors WHERE user_id = 2) WHERE user_id = 3",
            "DELETE FROM recovery_codes WHERE user_id = 3",
            "UPDATE recovery_codes SET user_id = 3",
        ] {
            millgate_platform::on_write!(house.db, |c| sqlx::query(sql).execute(c).await.map(drop))
                .expect("written");
        }
        next_step(&house);
        assert_eq!(bob.user.id, 3);
        let sessions = house.count("SELECT count(*) FROM sessions").await;
        for code in [ada.code(&house), bob.phone.code(&house)] {
            assert!(login_with(&house, "bob", &code).await.is_err());
        }
        let texts = secrets.iter().filter_map(|secret| std::str::from_utf8(secret).ok());
        for code in texts.filter(|text| text.len() == 19) {
            assert!(login_with(&house, "bob", code).await.is_err());
        }
        assert_eq!(house.count("SELECT count(*) FROM sessions").await, sessions);
    })
    .await;
}

#[tokio::test]
async fn it_goes_with_the_account() {
    on_both(async |house| {
        let ada = enrolled(&house, "ada").await;
        first_step(&house, "ada").await;
        let request = pb::DeleteUserRequest {
            id: ada.user.id,
            ..Default::default()
        };
        let admin = house.admin().await;
        let deleted = house.users.clone().delete_user(with(&admin, request)).await;
        deleted.expect("deleted");
        for table in [
            "SELECT count(*) FROM second_factors",
            "SELECT count(*) FROM recovery_codes",
            "SELECT count(*) FROM login_challenges",
        ] {
            assert_eq!(house.count(table).await, 0, "{table}");
        }
    })
    .await;
}

#[tokio::test]
async fn beginning_needs_a_fresh_token_of_a_person() {
    on_both(async |house| {
        house.register("ada").await;
        let tokens = house.login("ada").await;
        house.clock.advance(Duration::from_secs(14 * 60));
        let token = house
            .refresh(&tokens.refresh_token)
            .await
            .expect("refreshed")
            .access_token;
        house.clock.advance(Duration::from_secs(61));
        assert_eq!(reason(begin(&house, &token).await), "FRESH_TOKEN_REQUIRED");
        let factory = house.factory().await;
        assert_eq!(
            reason(begin(&house, &factory).await),
            "PRINCIPAL_KIND_DENIED"
        );
        assert_eq!(house.count("SELECT count(*) FROM second_factors").await, 0);
    })
    .await;
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|part| part == needle)
}

/// Every column of what the second factor and its neighbours store, as bytes.
async fn cells(house: &House) -> Vec<Vec<u8>> {
    let mut cells = Vec::new();
    for sql in [
        "SELECT sealed_secret FROM second_factors",
        "SELECT code_hash FROM recovery_codes",
        "SELECT token_hash FROM login_challenges",
        "SELECT response FROM idempotency_keys WHERE response IS NOT NULL",
        "SELECT body_hash FROM idempotency_keys",
    ] {
        let rows: Vec<Vec<u8>> =
            on!(house.db, |c| sqlx::query_scalar(sql).fetch_all(c).await).expect("rows");
        cells.extend(rows);
    }
    cells
}
