use super::harness::*;
use millgate_contract::auth::v1 as pb;
use millgate_platform::on_write;
use std::time::{Duration, Instant};
use tonic::{Code, Status};

async fn execute(house: &House, sql: &'static str) {
    on_write!(house.db, |c| sqlx::query(sql).execute(c).await.map(drop)).expect("executed");
}

/// A status as the caller sees it, byte for byte.
fn bytes(result: Result<pb::TokenResponse, Status>) -> (Code, String, Vec<u8>) {
    let status = result.expect_err("refused");
    (
        status.code(),
        status.message().to_owned(),
        status.details().to_vec(),
    )
}

#[tokio::test]
async fn unknown_wrong_and_disabled_get_the_same_answer_and_leave_nothing() {
    on_both(async |house| {
        house.register("somebody").await;
        house.register("disabled").await;
        execute(
            &house,
            "UPDATE users SET state = 'disabled' WHERE username = 'disabled'",
        )
        .await;
        let before = house.snapshot().await;
        let wrong = bytes(house.try_login("somebody", "not the password").await);
        assert_eq!(wrong.0, Code::Unauthenticated);
        assert_eq!(
            reason(house.try_login("somebody", "not the password").await),
            "CREDENTIALS_INVALID"
        );
        for (username, password) in [
            ("nobody", PASSWORD),
            ("disabled", PASSWORD),
            ("disabled", "not the password"),
            ("no name at all", PASSWORD),
            ("somebody", "x"),
            ("somebody", "password123"),
            ("somebody@example.com", PASSWORD),
        ] {
            assert_eq!(
                bytes(house.try_login(username, password).await),
                wrong,
                "{username} {password}"
            );
        }
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn an_unknown_name_costs_as_much_as_a_wrong_password() {
    on_both(async |house| {
        house.register("somebody").await;
        // In turns, so that whatever else the machine does meets all three alike.
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..15 {
            for (index, username) in ["somebody", "nobody", "no name at all"]
                .into_iter()
                .enumerate()
            {
                let begin = Instant::now();
                let _ = house.try_login(username, "not the password").await;
                times[index].push(begin.elapsed());
            }
        }
        let [known, unknown, impossible] = times.map(|mut times| {
            times.sort();
            times[7]
        });
        // A login without a hash would take a twentieth of the time: half is far from noise and from that.
        for other in [unknown, impossible] {
            assert!(
                other > known / 2 && other < known * 2,
                "{known:?} {unknown:?} {impossible:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn username_and_email_both_log_in() {
    on_both(async |house| {
        let request = pb::RegisterRequest {
            email: "Ada@Example.com".into(),
            ..registration("ada", PASSWORD)
        };
        house
            .auth
            .clone()
            .register(request)
            .await
            .expect("registered");
        let by_email = pb::LoginRequest {
            email: "ada@example.COM".into(),
            ..login("", PASSWORD)
        };
        house.auth.clone().login(by_email).await.expect("by email");
        house.try_login("ADA", PASSWORD).await.expect("by name");
        let swapped = pb::LoginRequest {
            email: "ada".into(),
            ..login("", PASSWORD)
        };
        assert_eq!(
            reason(house.auth.clone().login(swapped).await),
            "CREDENTIALS_INVALID"
        );
    })
    .await;
}

#[tokio::test]
async fn a_login_without_a_name_with_two_or_with_a_novel_is_refused() {
    on_both(async |house| {
        let before = house.snapshot().await;
        let refused = async |request| refusal(house.auth.clone().login(request).await);
        let invalid = |reason: &str| (Code::InvalidArgument, reason.to_owned());
        assert_eq!(refused(login("", PASSWORD)).await, invalid("FIELD_INVALID"));
        assert_eq!(refused(login(ADMIN, "")).await, invalid("FIELD_INVALID"));
        let two = pb::LoginRequest {
            email: "a@example.com".into(),
            ..login(ADMIN, PASSWORD)
        };
        assert_eq!(refused(two).await, invalid("FIELD_INVALID"));
        let label = pb::LoginRequest {
            device_label: "x".repeat(101),
            ..login(ADMIN, PASSWORD)
        };
        assert_eq!(refused(label).await, invalid("FIELD_INVALID"));
        // The same for known and unknown names, before anything is looked up.
        for name in [ADMIN, "nobody"] {
            assert_eq!(
                refused(login(name, &"x".repeat(257))).await,
                invalid("PASSWORD_TOO_LONG")
            );
        }
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn two_keyboards_type_one_password() {
    on_both(async |house| {
        let request = registration("ada", "p\u{e4}ssw\u{f6}rd one");
        house
            .auth
            .clone()
            .register(request)
            .await
            .expect("registered");
        house
            .try_login("ada", "pa\u{308}sswo\u{308}rd one")
            .await
            .expect("decomposed");
        assert_eq!(
            reason(house.try_login("ada", "passwörd one").await),
            "CREDENTIALS_INVALID"
        );
    })
    .await;
}

#[tokio::test]
async fn an_old_hash_logs_in_once_and_is_replaced() {
    on_both(async |house| {
        house.register("from-flask").await;
        // Werkzeug 3.1.9, generate_password_hash("correct horse battery", method="scrypt:1024:8:1")
        execute(&house, "UPDATE users SET password_hash = 'scrypt:1024:8:1$90ZsL4SdfIQplBY9$d2cb07f3a26d1f6e44b2078a8b2a2c9874e6743ea4c23d7d355ae8145b0e43aab8c84de27b3b0acc9591b56a174f81854dc2eee7b1590cba0e1b0a5ab603bc61' WHERE username = 'from-flask'").await;
        assert_eq!(reason(house.try_login("from-flask", "not the password").await), "CREDENTIALS_INVALID");
        const NEW: &str = "SELECT count(*) FROM users WHERE username = 'from-flask' \
            AND password_hash LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'";
        assert_eq!(house.count(NEW).await, 0, "a wrong password replaces nothing");
        house.login("from-flask").await;
        assert_eq!(house.count(NEW).await, 1);
        house.login("from-flask").await;
    })
    .await;
}

#[tokio::test]
async fn a_stored_hash_that_asks_for_four_gigabytes_is_not_obeyed() {
    on_both(async |house| {
        house.register("greedy").await;
        execute(&house, "UPDATE users SET password_hash = '$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc' WHERE username = 'greedy'").await;
        let begin = Instant::now();
        assert_eq!(reason(house.try_login("greedy", "password").await), "CREDENTIALS_INVALID");
        assert!(begin.elapsed() < Duration::from_secs(2));
    })
    .await;
}

#[tokio::test]
async fn more_logins_than_the_queue_holds_are_sent_away_at_once() {
    on_both_with(
        &["--hashing-width", "1", "--hashing-queue", "2"],
        async |house| {
            let auth = house.auth.clone();
            let results = at_once(40, |_| {
                let mut auth = auth.clone();
                async move { auth.login(login(ADMIN, PASSWORD)).await.map(drop) }
            })
            .await;
            let served = results.iter().filter(|result| result.is_ok()).count();
            assert!((1..40).contains(&served), "{served} were served");
            for refused in results.into_iter().filter(Result::is_err) {
                use tonic_types::StatusExt;
                let status = refused.expect_err("refused");
                assert!(
                    status
                        .get_details_retry_info()
                        .is_some_and(|info| info.retry_delay.is_some())
                );
                assert_eq!(
                    refusal::<()>(Err(status)),
                    (Code::ResourceExhausted, "OVERLOADED".into())
                );
            }
            house.login(ADMIN).await;
        },
    )
    .await;
}

#[tokio::test]
async fn the_logins_of_an_address_are_counted_and_those_of_services_are_not() {
    on_both_with(&["--logins-per-minute", "3"], async |house| {
        for _ in 0..3 {
            house.login(ADMIN).await;
        }
        assert_eq!(
            refusal(house.try_login(ADMIN, PASSWORD).await),
            (Code::ResourceExhausted, "RATE_LIMITED".into())
        );
        let registering = house
            .auth
            .clone()
            .register(registration("somebody", PASSWORD))
            .await;
        assert_eq!(reason(registering), "RATE_LIMITED");
        house.factory().await;
    })
    .await;
}

#[tokio::test]
async fn who_has_a_token_cannot_guess_its_password_faster_than_a_stranger() {
    on_both_with(&["--logins-per-minute", "3"], async |house| {
        let token = house.login(ADMIN).await.access_token;
        let guess = async || {
            let request = pb::ChangePasswordRequest {
                current_password: "a wrong guess".into(),
                new_password: "quite another password".into(),
            };
            reason(
                house
                    .auth
                    .clone()
                    .change_password(with(&token, request))
                    .await,
            )
        };
        for _ in 0..2 {
            assert_eq!(guess().await, "CREDENTIALS_INVALID");
        }
        assert_eq!(guess().await, "RATE_LIMITED");
        house.who_am_i(&token).await.expect("other calls go on");
    })
    .await;
}

#[tokio::test]
async fn the_session_remembers_where_it_came_from() {
    on_both(async |house| {
        let request = pb::LoginRequest {
            device_label: "Anna's phone".into(),
            ..login(ADMIN, PASSWORD)
        };
        house.auth.clone().login(request).await.expect("logged in");
        const KEPT: &str = "SELECT count(*) FROM sessions WHERE device_label = 'Anna''s phone' \
            AND address = '127.0.0.1' AND user_agent LIKE 'tonic/%'";
        assert_eq!(house.count(KEPT).await, 1);
    })
    .await;
}
