//! Guessing: what slows it down, and what it must not do to those who know their passwords.

use super::harness::*;
use millgate_contract::auth::v1 as pb;
use millgate_platform::{on, on_write};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

const ON: &[&str] = &["--throttles", "true"];
const ROWS: &str = "SELECT count(*) FROM throttles";

async fn throttled<F: AsyncFn(House)>(test: F) {
    on_both_with(ON, test).await;
}

/// What an attempt that failed was answered, and how long it was told to wait.
fn answer(result: Result<pb::TokenResponse, Status>) -> (String, u64) {
    let status = result.expect_err("refused");
    let wait = status
        .get_details_retry_info()
        .and_then(|info| info.retry_delay)
        .map_or(0, |delay| delay.as_secs());
    (refusal::<()>(Err(status)).1, wait)
}

async fn wrong(house: &House, name: &str) -> (String, u64) {
    answer(house.try_login(name, "a wrong guess").await)
}

/// Empties the buckets of the addresses, where a test is about accounts.
async fn from_elsewhere(house: &House) {
    on_write!(house.db, |c| sqlx::query("DELETE FROM address_buckets")
        .execute(c)
        .await
        .map(drop))
    .expect("emptied");
}

#[tokio::test]
async fn from_the_fifth_failure_every_guess_has_to_wait_twice_as_long_as_the_one_before() {
    throttled(async |house| {
        house.register("somebody").await;
        house.login("somebody").await;
        for name in ["somebody", "nobody", "no name at all", "me@example.com"] {
            from_elsewhere(&house).await;
            for _ in 0..5 {
                assert_eq!(wrong(&house, name).await, ("CREDENTIALS_INVALID".into(), 0));
            }
            for delay in [1, 2, 4, 8] {
                let blocked = ("ACCOUNT_THROTTLED".to_owned(), delay);
                assert_eq!(wrong(&house, name).await, blocked, "{name}");
                let right = house.try_login(name, PASSWORD).await;
                assert_eq!(answer(right), blocked, "the right password waits, too");
                house.clock.advance(Duration::from_secs(delay));
                assert_eq!(
                    wrong(&house, name).await.0,
                    "CREDENTIALS_INVALID",
                    "{name}, after {delay} s"
                );
            }
        }
        house.clock.advance(Duration::from_secs(16));
        house.login("somebody").await;
        for _ in 0..5 {
            assert_eq!(wrong(&house, "somebody").await.0, "CREDENTIALS_INVALID");
        }
    })
    .await;
}

#[tokio::test]
async fn a_throttled_attempt_changes_nothing_and_computes_nothing() {
    // One hash at a time and none waiting: a second one would be told OVERLOADED.
    throttled(async |house| {
        house.register("somebody").await;
        for _ in 0..5 {
            wrong(&house, "somebody").await;
        }
        let before = house.snapshot().await;
        let begin = std::time::Instant::now();
        for _ in 0..10 {
            assert_eq!(wrong(&house, "somebody").await.0, "ACCOUNT_THROTTLED");
        }
        // Ten hashes would take 130 ms on the fastest machine that we know, and far more in a debug build.
        assert!(begin.elapsed() < Duration::from_millis(130 * 5));
        assert_eq!(house.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn known_and_unknown_names_are_answered_alike_at_every_step() {
    throttled(async |house| {
        house.register("somebody").await;
        house.register("disabled").await;
        on_write!(house.db, |c| sqlx::query(
            "UPDATE users SET state = 'disabled' WHERE username = 'disabled'"
        )
        .execute(c)
        .await
        .map(drop))
        .expect("disabled");
        let mut seen = Vec::new();
        for name in [
            "somebody",
            "SOMEBODY",
            "disabled",
            "nobody",
            "no name at all",
        ] {
            from_elsewhere(&house).await;
            let mut told = Vec::new();
            for _ in 0..7 {
                let status = house
                    .try_login(name, "a wrong guess")
                    .await
                    .expect_err("refused");
                told.push((
                    status.code(),
                    status.message().to_owned(),
                    status.details().to_vec(),
                ));
            }
            if name == "SOMEBODY" {
                assert!(
                    told.iter()
                        .all(|(code, ..)| *code == Code::ResourceExhausted)
                );
            } else {
                seen.push(told);
            }
        }
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
    })
    .await;
}

#[tokio::test]
async fn all_names_of_an_account_count_together() {
    throttled(async |house| {
        let request = pb::RegisterRequest {
            email: "ada@example.com".into(),
            ..registration("ada", PASSWORD)
        };
        house
            .auth
            .clone()
            .register(request)
            .await
            .expect("registered");
        for _ in 0..5 {
            wrong(&house, "ada").await;
        }
        let by_email = pb::LoginRequest {
            email: "ADA@example.com".into(),
            ..login("", PASSWORD)
        };
        let refused = house.auth.clone().login(by_email).await;
        assert_eq!(reason(refused), "ACCOUNT_THROTTLED");
    })
    .await;
}

#[tokio::test]
async fn after_a_hundred_failures_in_a_row_an_account_is_closed_to_guesses_for_a_day() {
    throttled(async |house| {
        house.register("somebody").await;
        let tokens = house.login("somebody").await;
        for _ in 0..5 {
            wrong(&house, "somebody").await;
        }
        // Ninety-four more, without a day of waiting.
        on_write!(house.db, |c| sqlx::query(
            "UPDATE throttles SET failures = 99, blocked_until = 0"
        )
        .execute(c)
        .await
        .map(drop))
        .expect("set");
        assert_eq!(wrong(&house, "somebody").await.0, "CREDENTIALS_INVALID");
        assert_eq!(
            wrong(&house, "somebody").await,
            ("ACCOUNT_THROTTLED".into(), 24 * 60 * 60)
        );
        // Whoever keeps a person out of new sessions does not end the ones there are.
        house
            .refresh(&tokens.refresh_token)
            .await
            .expect("it lives");
        house.clock.advance(Duration::from_secs(24 * 60 * 60 - 1));
        assert_eq!(
            wrong(&house, "somebody").await,
            ("ACCOUNT_THROTTLED".into(), 1)
        );
        house.clock.advance(Duration::from_secs(1));
        house.login("somebody").await;
    })
    .await;
}

#[tokio::test]
async fn an_address_fails_thirty_times_at_once_and_then_once_in_ten_seconds() {
    throttled(async |house| {
        house.register("somebody").await;
        for index in 0..30 {
            let name = format!("nobody-{index}");
            assert_eq!(wrong(&house, &name).await.0, "CREDENTIALS_INVALID");
            if index % 10 == 0 {
                house.login("somebody").await;
            }
        }
        let rows = house.count(ROWS).await;
        assert_eq!(
            wrong(&house, "another").await,
            ("RATE_LIMITED".into(), 10),
            "logins that succeed do not count"
        );
        assert_eq!(
            answer(house.try_login("somebody", PASSWORD).await).0,
            "RATE_LIMITED"
        );
        assert_eq!(
            house.count(ROWS).await,
            rows,
            "a name that was not tried is not kept"
        );
        house.clock.advance(Duration::from_secs(10));
        house.login("somebody").await;
        assert_eq!(wrong(&house, "another").await.0, "CREDENTIALS_INVALID");
        assert_eq!(wrong(&house, "another").await.0, "RATE_LIMITED");
    })
    .await;
}

#[tokio::test]
async fn of_many_guesses_at_once_over_two_replicas_no_more_are_checked_than_allowed() {
    at_both(async |place| {
        let first = House::open(place.clone(), ON).await;
        let second = House::open_at(place, ON, first.clock.clone()).await;
        first.register("somebody").await;
        for name in ["somebody", "nobody"] {
            from_elsewhere(&first).await;
            let clients = [first.auth.clone(), second.auth.clone()];
            let results = at_once(64, |index| {
                let mut auth = clients[index % 2].clone();
                async move { auth.login(login(name, "a wrong guess")).await }
            })
            .await;
            let mut told = HashMap::new();
            for result in results {
                *told.entry(reason(result)).or_insert(0) += 1;
            }
            assert_eq!(
                told.remove("CREDENTIALS_INVALID"),
                Some(5),
                "{name} {told:?}"
            );
            assert_eq!(
                told.remove("ACCOUNT_THROTTLED"),
                Some(25),
                "{name} {told:?}"
            );
            assert_eq!(told.remove("RATE_LIMITED"), Some(34), "{name} {told:?}");
            assert!(told.is_empty(), "{told:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_the_busy_pool_sends_away_is_not_counted() {
    let busy = [
        "--hashing-width",
        "1",
        "--hashing-queue",
        "0",
        "--throttles",
        "true",
    ];
    on_both_with(&busy, async |house| {
        house.register("somebody").await;
        let auth = house.auth.clone();
        let results = at_once(5, |_| {
            let mut auth = auth.clone();
            async move { auth.login(login("somebody", "a wrong guess")).await }
        })
        .await;
        let told: Vec<_> = results.into_iter().map(reason).collect();
        let checked = told.iter().filter(|told| *told == "CREDENTIALS_INVALID");
        let checked = i64::try_from(checked.count()).expect("a few");
        assert!((1..5).contains(&checked), "{told:?}");
        const FAILURES: &str = "SELECT coalesce(CAST(sum(failures) AS BIGINT), 0) FROM throttles";
        assert_eq!(house.count(FAILURES).await, checked, "{told:?}");
        house.login("somebody").await;
        assert_eq!(house.count(ROWS).await, 0);
    })
    .await;
}

#[tokio::test]
async fn who_holds_a_token_guesses_no_faster_and_is_not_kept_out_by_strangers() {
    throttled(async |house| {
        house.register("ada").await;
        let tokens = house.login("ada").await;
        for _ in 0..6 {
            wrong(&house, "ada").await;
        }
        let change = async |token: &str, current: &str| {
            let request = pb::ChangePasswordRequest {
                current_password: current.into(),
                new_password: "quite another password".into(),
            };
            let changed = house
                .auth
                .clone()
                .change_password(with(token, request))
                .await;
            changed.map(tonic::Response::into_inner)
        };
        for _ in 0..5 {
            let refused = change(&tokens.access_token, "a wrong guess").await;
            assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        }
        let before = house.snapshot().await;
        let refused = change(&tokens.access_token, PASSWORD).await;
        assert_eq!(answer(refused), ("ACCOUNT_THROTTLED".into(), 1));
        assert_eq!(house.snapshot().await, before);
        house.clock.advance(Duration::from_secs(1));
        let fresh = change(&tokens.access_token, PASSWORD)
            .await
            .expect("changed");
        house.who_am_i(&fresh.access_token).await.expect("known");
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_wrong_secrets_is_refused_and_the_right_one_passes() {
    throttled(async |house| {
        house.register("somebody").await;
        for index in 0..30 {
            let client = if index % 2 == 0 { FACTORY } else { "nobody" };
            let refused = house.service_token(client, "a wrong guess", "").await;
            assert_eq!(reason(refused), "CREDENTIALS_INVALID");
        }
        let refused = house.service_token(FACTORY, "a wrong guess", "").await;
        assert_eq!(reason(refused), "RATE_LIMITED");
        house.factory().await;
        house.login("somebody").await;
    })
    .await;
}

#[tokio::test]
async fn no_name_that_was_typed_stands_in_the_database() {
    throttled(async |house| {
        wrong(&house, "hunter2-typed-here").await;
        let keys: Vec<Vec<u8>> = on!(house.db, |c| sqlx::query_scalar(
            "SELECT key_hash FROM throttles"
        )
        .fetch_all(c)
        .await)
        .expect("read");
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].len(), 32);
        let needle = b"hunter2";
        assert!(!keys[0].windows(needle.len()).any(|window| window == needle));
    })
    .await;
}

#[tokio::test]
async fn counters_live_through_a_restart() {
    at_both(async |place: Arc<Place>| {
        let house = House::open(place, ON).await;
        let clock = house.clock.clone();
        for _ in 0..5 {
            wrong(&house, "nobody").await;
        }
        let house = House::open_at(house.close().await, ON, clock).await;
        assert_eq!(wrong(&house, "nobody").await.0, "ACCOUNT_THROTTLED");
    })
    .await;
}
