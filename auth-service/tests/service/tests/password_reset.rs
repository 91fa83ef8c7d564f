//! A forgotten password is set anew by a mailed link.

use std::sync::Arc;
use std::time::Duration;

use super::harness::*;
use super::phone::{Phone, begin, complete, confirm, first_step, next_step};
use super::smtp_double::SmtpDouble;
use millgate_contract::auth::v1 as pb;
use millgate_platform::Metrics;
use tonic::{Code, Status};

const NEW: &str = "another good password";
const NOTED: &str = "SELECT count(*) FROM audit_log WHERE event = 'request_password_reset'";

/// A house that sends mail to a server of its own, on both databases.
async fn mailing<F: AsyncFn(House, Arc<SmtpDouble>)>(more: &[&str], test: F) {
    let smtp = Arc::new(SmtpDouble::start().await);
    let settings = smtp.settings();
    let settings: Vec<&str> = settings
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect();
    on_both_with(&settings, async |house| test(house, smtp.clone()).await).await;
}

impl House {
    async fn with_address(&self, username: &str, email: &str) -> pb::User {
        let request = pb::RegisterRequest {
            email: email.into(),
            ..registration(username, PASSWORD)
        };
        let answer = self.auth.clone().register(request).await;
        let answer = answer.expect("registered").into_inner();
        answer.user.expect("a user")
    }

    async fn ask(
        &self,
        username: &str,
        email: &str,
    ) -> Result<pb::RequestPasswordResetResponse, Status> {
        let request = pb::RequestPasswordResetRequest {
            username: username.into(),
            email: email.into(),
        };
        let answer = self.auth.clone().request_password_reset(request).await;
        answer.map(tonic::Response::into_inner)
    }

    async fn reset(&self, token: &str, password: &str) -> Result<(), Status> {
        let request = pb::ResetPasswordRequest {
            token: token.into(),
            new_password: password.into(),
        };
        self.auth.clone().reset_password(request).await.map(drop)
    }

    /// Waits until so many requests were looked at.
    async fn looked_at(&self, requests: i64) {
        while self.count(NOTED).await < requests {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn token_in(mail: &str) -> String {
    let link = mail.split("https://app.example.com/reset#").nth(1);
    let line = link.expect("a link").lines().next();
    line.expect("its line").trim().to_owned()
}

const INVALID: &str = "RESET_TOKEN_INVALID";

#[tokio::test]
async fn the_mailed_link_sets_the_password_once_and_ends_everything_else() {
    mailing(&[], async |house, smtp| {
        house.with_address("ada", "Ada@Example.com").await;
        let tokens = house.login("ada").await;
        house.ask("", "ada@example.com").await.expect("heard");
        let mail = smtp.next().await;
        assert!(mail.contains("RCPT TO:<Ada@Example.com>"), "{mail}");
        assert!(mail.contains("MAIL FROM:<noreply@example.com>"), "{mail}");
        let token = token_in(&mail);
        assert_eq!(token.len(), 43, "{mail}");

        for (bad, expected) in [
            ("short", "PASSWORD_TOO_SHORT"),
            ("password123", "PASSWORD_BLOCKLISTED"),
            ("ada@example.com", "PASSWORD_BLOCKLISTED"),
        ] {
            assert_eq!(reason(house.reset(&token, bad).await), expected);
        }
        house.login("ada").await;
        house
            .reset(&token, NEW)
            .await
            .expect("set, in spite of the tries before");
        assert_eq!(
            reason(house.who_am_i(&tokens.access_token).await),
            "TOKEN_REVOKED"
        );
        assert_eq!(
            reason(house.refresh(&tokens.refresh_token).await),
            "SESSION_ENDED"
        );
        assert_eq!(
            reason(house.try_login("ada", PASSWORD).await),
            "CREDENTIALS_INVALID"
        );
        house.try_login("ada", NEW).await.expect("the new one");
        assert_eq!(reason(house.reset(&token, PASSWORD).await), INVALID, "used");
        house.try_login("ada", NEW).await.expect("still");
    })
    .await;
}

#[tokio::test]
async fn nobody_learns_whether_there_is_an_account() {
    mailing(&[], async |house, smtp| {
        house.with_address("ada", "ada@example.com").await;
        house.register("nomail").await;
        let known = house.ask("ada", "").await.expect("heard");
        smtp.next().await;
        for (username, email) in [
            ("nobody", ""),
            ("nomail", ""),
            ("no name at all", ""),
            ("", "nobody@example.com"),
            ("", "no address at all"),
        ] {
            let answer = house.ask(username, email).await.expect("heard");
            assert_eq!(answer, known, "{username}{email}");
        }
        house.looked_at(6).await;
        assert!(smtp.is_empty().await);
        for (username, email) in [("", ""), ("ada", "ada@example.com")] {
            assert_eq!(
                refusal(house.ask(username, email).await),
                (Code::InvalidArgument, "FIELD_INVALID".into())
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_wrong_old_or_overtaken_changes_nothing() {
    mailing(&[], async |house, smtp| {
        let ask = async |name: &str| {
            house.ask(name, "").await.expect("heard");
            token_in(&smtp.next().await)
        };
        let ended = async |token: &str, why: &str| {
            let before = house.snapshot().await;
            assert_eq!(
                refusal(house.reset(token, NEW).await),
                (Code::Unauthenticated, INVALID.into()),
                "{why}"
            );
            assert_eq!(house.snapshot().await, before, "{why}");
        };
        for wrong in ["x", &"A".repeat(43), &"é".repeat(43)] {
            ended(wrong, "wrong").await;
        }
        assert_eq!(reason(house.reset("", NEW).await), "FIELD_INVALID");

        house.with_address("ada", "ada@example.com").await;
        let first = ask("ada").await;
        let second = ask("ada").await;
        ended(&first, "a newer one").await;
        house.clock.advance(Duration::from_secs(15 * 60));
        ended(&second, "expired").await;
        let admin = house.admin().await;

        let overtaken = async |name: &str| {
            let user = house
                .with_address(name, &format!("{name}@example.com"))
                .await;
            (user.id, ask(name).await)
        };
        let (_, token) = overtaken("changed").await;
        let tokens = house.login("changed").await;
        let change = pb::ChangePasswordRequest {
            current_password: PASSWORD.into(),
            new_password: "yet another password".into(),
        };
        let change = with(&tokens.access_token, change);
        house
            .auth
            .clone()
            .change_password(change)
            .await
            .expect("changed");
        ended(&token, "the password was changed").await;

        let (id, token) = overtaken("renamed").await;
        let update = pb::UpdateUserRequest {
            user: Some(pb::User {
                id,
                email: "elsewhere@example.com".into(),
                ..Default::default()
            }),
            update_mask: None,
        };
        house
            .users
            .clone()
            .update_user(with(&admin, update))
            .await
            .expect("renamed");
        ended(&token, "another address").await;

        let (id, token) = overtaken("disabled").await;
        let disable = pb::DisableUserRequest {
            id,
            ..Default::default()
        };
        house
            .users
            .clone()
            .disable_user(with(&admin, disable))
            .await
            .expect("closed");
        ended(&token, "disabled").await;
        let enable = pb::EnableUserRequest {
            id,
            ..Default::default()
        };
        house
            .users
            .clone()
            .enable_user(with(&admin, enable))
            .await
            .expect("opened");
        ended(&token, "enabled again").await;

        let (id, token) = overtaken("deleted").await;
        let delete = pb::DeleteUserRequest {
            id,
            ..Default::default()
        };
        house
            .users
            .clone()
            .delete_user(with(&admin, delete))
            .await
            .expect("gone");
        ended(&token, "deleted").await;
    })
    .await;
}

#[tokio::test]
async fn of_many_who_use_one_link_at_once_one_sets_the_password() {
    mailing(&[], async |house, smtp| {
        house.with_address("ada", "ada@example.com").await;
        house.ask("ada", "").await.expect("heard");
        let token = token_in(&smtp.next().await);
        let auth = house.auth.clone();
        let results = at_once(16, |index| {
            let (mut auth, token) = (auth.clone(), token.clone());
            async move {
                let new_password = format!("a new password, {index}");
                let request = pb::ResetPasswordRequest {
                    token,
                    new_password: new_password.clone(),
                };
                auth.reset_password(request).await.map(|_| new_password)
            }
        })
        .await;
        let (done, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!(done.len(), 1);
        assert!(
            refused
                .into_iter()
                .all(|refused| reason(refused) == INVALID)
        );
        let password = done[0].as_ref().expect("one");
        house
            .try_login("ada", password)
            .await
            .expect("the one that was set");
    })
    .await;
}

#[tokio::test]
async fn an_account_gets_ten_mails_an_hour_and_the_tenth_link_stays_good() {
    mailing(&[], async |house, smtp| {
        house.with_address("ada", "ada@example.com").await;
        let mut token = String::new();
        for _ in 0..10 {
            house.ask("ada", "").await.expect("heard");
            token = token_in(&smtp.next().await);
        }
        for _ in 0..3 {
            house.ask("ada", "").await.expect("heard all the same");
        }
        // Of the equal events of a minute the log keeps five: those of five mails, and of three refusals.
        house.looked_at(5 + 3).await;
        assert!(smtp.is_empty().await);
        house.reset(&token, NEW).await.expect("set");
        house.ask("ada", "").await.expect("heard");
        house.looked_at(5 + 4).await;
        assert!(smtp.is_empty().await, "using one does not begin a new hour");
        house.clock.advance(Duration::from_secs(60 * 60));
        house.ask("ada", "").await.expect("heard");
        smtp.next().await;
    })
    .await;
}

#[tokio::test]
async fn an_address_asks_no_more_often_than_it_may_log_in() {
    mailing(&["--logins-per-minute", "5"], async |house, _smtp| {
        let mut reasons = Vec::new();
        for _ in 0..8 {
            if let Err(status) = house.ask("nobody", "").await {
                reasons.push(reason::<()>(Err(status)));
            }
        }
        assert_eq!(reasons, ["RATE_LIMITED"; 3]);
        assert_eq!(reason(house.reset("x", NEW).await), "RATE_LIMITED");
    })
    .await;
}

#[tokio::test]
async fn a_mail_that_is_not_taken_is_tried_again_and_a_lost_one_is_counted() {
    let smtp = SmtpDouble::start().await;
    let settings = smtp.settings();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    at_both(async |place| {
        let metrics = Metrics::new();
        let mut config = place.config(&settings);
        config.metrics.shared = Some(metrics.clone());
        let house = House::open_with(place, config).await;
        house.with_address("ada", "ada@example.com").await;
        let offered = smtp.offered();
        smtp.turn_away(1);
        house.ask("ada", "").await.expect("heard");
        smtp.next().await;
        assert_eq!(smtp.offered() - offered, 2);
        smtp.turn_away(3);
        house.ask("ada", "").await.expect("heard");
        house.looked_at(2).await;
        assert_eq!(smtp.offered() - offered, 5, "three times, and no more");
        smtp.turn_away(0);
        let numbers = metrics.text();
        for line in [
            "millgate_mails_sent_total 1",
            "millgate_mails_failed_total 1",
        ] {
            assert!(numbers.contains(line), "{numbers}");
        }
        let failed = "SELECT count(*) FROM audit_log WHERE cause = 'mail_failed'";
        assert_eq!(house.count(failed).await, 1);
        let counted = "SELECT mails FROM password_resets";
        assert_eq!(house.count(counted).await, 1, "the lost one is given back");
    })
    .await;
}

#[tokio::test]
async fn without_a_mail_server_everybody_is_told_so() {
    on_both(async |house| {
        house.with_address("ada", "ada@example.com").await;
        let before = house.snapshot().await;
        for name in ["ada", "nobody", "no name at all"] {
            assert_eq!(
                refusal(house.ask(name, "").await),
                (Code::FailedPrecondition, "MAIL_NOT_CONFIGURED".into())
            );
        }
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_reset_ends_the_wait_for_the_password() {
    mailing(&["--throttles", "true"], async |house, smtp| {
        house.with_address("ada", "ada@example.com").await;
        for _ in 0..6 {
            let _ = house.try_login("ada", "a wrong guess").await;
        }
        assert_eq!(
            reason(house.try_login("ada", PASSWORD).await),
            "ACCOUNT_THROTTLED"
        );
        house.ask("ada", "").await.expect("heard");
        let token = token_in(&smtp.next().await);
        house.reset(&token, NEW).await.expect("set");
        house.try_login("ada", NEW).await.expect("at once");
    })
    .await;
}

#[tokio::test]
async fn a_reset_leaves_the_second_factor_and_the_count_of_its_wrong_codes() {
    mailing(&["--throttles", "true"], async |house, smtp| {
        house.with_address("ada", "ada@example.com").await;
        let token = house.login("ada").await.access_token;
        let phone = Phone::scan(&begin(&house, &token).await.expect("begun"));
        confirm(&house, &token, &phone.code(&house))
            .await
            .expect("on");
        next_step(&house);
        let half = first_step(&house, "ada").await;
        for _ in 0..5 {
            let refused = complete(&house, &half, &phone.wrong(&house)).await;
            assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        }
        let half = first_step(&house, "ada").await;
        house.ask("ada", "").await.expect("heard");
        let token = token_in(&smtp.next().await);
        house.reset(&token, NEW).await.expect("set");
        let begun = house.try_login("ada", NEW).await.expect("half a login");
        assert!(begun.mfa_required && begun.access_token.is_empty());
        // Whoever reads the mail has no more guesses than before.
        let refused = complete(&house, &begun.mfa_token, &phone.code(&house)).await;
        assert_eq!(reason(refused), "MFA_THROTTLED");
        house.clock.advance(Duration::from_secs(1));
        // The login that was begun with the old password is over.
        let refused = complete(&house, &half, &phone.code(&house)).await;
        assert_eq!(reason(refused), "MFA_CHALLENGE_INVALID");
        complete(&house, &begun.mfa_token, &phone.code(&house))
            .await
            .expect("logged in");
    })
    .await;
}
