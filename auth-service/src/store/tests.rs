//! One suite for both databases: what each statement promises.

use millgate_platform::testing::{both_databases, sorted_by_a_language};
use millgate_platform::{Database, Fault, Reason, SystemEntropy, Tx, on_tx};
use std::time::Duration;

use super::throttle::Counted;
use super::{MIGRATIONS, refresh_tokens, secrets_check, sessions, standing, throttle, users};
use crate::domain::throttle::{ADDRESS, delay};
use crate::domain::{
    Email, EndReason, ExternalId, LONG_AGO, NameChange, Names, NewUser, Place, RefreshToken, Role,
    Session, SessionLimits, User, Username,
};

fn new(username: &str, role: Role) -> NewUser {
    let name = Username::parse(username).expect("a name");
    NewUser {
        names: Names::new(Some(name), None).expect("a name"),
        password_hash: "old-hash".into(),
        role,
        external_id: None,
        created_by: None,
    }
}

fn made_by(username: &str, client: &str, external_id: &str) -> NewUser {
    NewUser {
        external_id: ExternalId::parse(external_id).expect("an id"),
        created_by: Some(client.into()),
        ..new(username, Role::Customer)
    }
}

async fn insert(db: &Database, new: &NewUser) -> Result<User, Fault> {
    let mut tx = db.begin().await.expect("begun");
    let user = users::insert(&mut tx, new, 1_000).await?;
    tx.commit().await.expect("committed");
    Ok(user)
}

async fn user(db: &Database, name: &str) -> User {
    insert(db, &new(name, Role::Customer))
        .await
        .expect("inserted")
}

/// What is asked about a token that nobody has revoked and nobody acts with.
pub(super) fn nothing_else() -> standing::Asked<'static> {
    standing::Asked {
        jti: "j",
        issued: 0,
        actors: &[],
        now: 0,
    }
}

/// A refresh token of a session.
fn token(session: &str, number: i64) -> RefreshToken {
    let place = Place {
        session: session.to_owned(),
        number,
    };
    RefreshToken::generate(&SystemEntropy, place)
}

/// A session with one refresh token.
async fn session(db: &Database, user_id: i64, id: &str, at: i64) -> RefreshToken {
    let session = Session {
        id: id.into(),
        user_id,
        auth_time: at,
        amr: "pwd".into(),
        create_time: at,
        last_used_time: at,
        ended_time: None,
    };
    let origin = sessions::Origin {
        device_label: "",
        address: "::1",
        user_agent: "",
    };
    let mut tx = db.begin().await.expect("begun");
    sessions::insert(&mut tx, &session, &origin)
        .await
        .expect("inserted");
    let token = token(id, 1);
    refresh_tokens::insert(&mut tx, &token, id, at)
        .await
        .expect("inserted");
    tx.commit().await.expect("committed");
    token
}

async fn held(db: &Database, token: &RefreshToken) -> Option<Session> {
    let mut tx = db.begin().await.expect("begun");
    refresh_tokens::hold_session(&mut tx, token)
        .await
        .expect("read")
        .map(|held| held.session)
}

fn reason<T: std::fmt::Debug>(result: Result<T, Fault>) -> Reason {
    result.expect_err("refused").reason()
}

#[tokio::test]
async fn a_constraint_says_which_name_is_taken() {
    both_databases(&MIGRATIONS, |db| async move {
        let with_email = |name: &str| NewUser {
            names: Names::new(Username::parse(name).ok(), Email::parse("A@b.c").ok())
                .expect("names"),
            ..new(name, Role::Customer)
        };
        insert(&db, &with_email("ada")).await.expect("inserted");
        assert_eq!(
            reason(insert(&db, &new("ADA", Role::User)).await),
            Reason::UsernameTaken
        );
        assert_eq!(
            reason(insert(&db, &with_email("bob")).await),
            Reason::EmailTaken
        );
        insert(&db, &made_by("carl", "shop", "1"))
            .await
            .expect("inserted");
        assert_eq!(
            reason(insert(&db, &made_by("dora", "shop", "1")).await),
            Reason::ExternalIdTaken
        );
        insert(&db, &made_by("dora", "other", "1"))
            .await
            .expect("another client's id");

        let bob = user(&db, "bob").await;
        let mut tx = db.begin().await.expect("begun");
        let change = NameChange {
            username: Some(Username::parse("Ada").ok()),
            email: None,
        };
        assert_eq!(
            reason(users::rename(&mut tx, bob.id, &change, 2).await),
            Reason::UsernameTaken
        );
        drop(tx);
        let unchanged = users::by_id(&db, bob.id)
            .await
            .expect("read")
            .expect("there");
        assert_eq!(
            (unchanged.username.as_deref(), unchanged.revision),
            (Some("bob"), 1)
        );
    })
    .await;
}

#[tokio::test]
async fn a_login_counts_only_for_the_generation_whose_password_was_checked() {
    both_databases(&MIGRATIONS, |db| async move {
        let ada = user(&db, "ada").await;
        let name = Username::parse("ADA").expect("a name");
        let found = users::credentials_by_username(&db, &name)
            .await
            .expect("read")
            .expect("there");
        assert_eq!(
            (found.id, found.generation, found.password_hash.as_str()),
            (ada.id, 1, "old-hash")
        );
        let mut tx = db.begin().await.expect("begun");
        let changed = users::set_password(&mut tx, ada.id, 1, "new-hash")
            .await
            .expect("set")
            .expect("there");
        assert_eq!(
            (changed.generation, changed.revision),
            (2, 1),
            "the etag is about what a reader sees"
        );
        assert!(
            users::set_password(&mut tx, ada.id, 1, "late")
                .await
                .expect("tried")
                .is_none()
        );
        assert!(
            users::log_in(&mut tx, ada.id, 1, 5)
                .await
                .expect("tried")
                .is_none()
        );
        assert!(
            users::log_in(&mut tx, ada.id, 2, 5)
                .await
                .expect("tried")
                .is_some()
        );
        users::rehash(&mut tx, ada.id, "old-hash", "rehash")
            .await
            .expect("nothing to do");
        tx.commit().await.expect("committed");
        let found = users::credentials_by_id(&db, ada.id)
            .await
            .expect("read")
            .expect("there");
        assert_eq!(
            found.password_hash, "new-hash",
            "a rehash never undoes a change"
        );
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_is_used_up_once_and_known_when_its_row_is_gone() {
    both_databases(&MIGRATIONS, |db| async move {
        let ada = user(&db, "ada").await;
        let first = session(&db, ada.id, "s1", 10).await;
        let (second, third) = (token("s1", 2), token("s1", 3));
        assert!(
            held(&db, &token("s2", 1)).await.is_none(),
            "nobody has this session"
        );
        assert_eq!(held(&db, &first).await.expect("held").id, "s1");

        let mut tx = db.begin().await.expect("begun");
        let hold = async |tx: &mut Tx| {
            let held = refresh_tokens::hold_session(tx, &first).await;
            held.expect("read").expect("held")
        };
        let look_up = async |tx: &mut Tx, token: &RefreshToken, child: &RefreshToken| {
            let held = hold(tx).await;
            let used = refresh_tokens::look_up(tx, &held, token, child).await;
            used.expect("read")
                .map(|used| (used.used_time, used.child_is_unused))
        };
        assert_eq!(look_up(&mut tx, &first, &second).await, Some((None, false)));
        assert_eq!(look_up(&mut tx, &second, &third).await, None, "not issued");
        for (parent, child, now) in [(&first, &second, 20), (&second, &third, 30)] {
            let held = hold(&mut tx).await;
            refresh_tokens::use_up(&mut tx, parent, now)
                .await
                .expect("used");
            refresh_tokens::insert(&mut tx, child, "s1", now)
                .await
                .expect("inserted");
            refresh_tokens::count_up(&mut tx, &held, now)
                .await
                .expect("counted");
            assert_eq!(
                look_up(&mut tx, parent, child).await,
                Some((Some(now), true))
            );
            assert_eq!(
                reason(refresh_tokens::use_up(&mut tx, parent, 41).await),
                Reason::Internal
            );
        }
        let held = hold(&mut tx).await;
        assert_eq!((held.session.last_used_time, held.family.count), (30, 3));
        let rows: i64 = on_tx!(tx, |c| sqlx::query_scalar(
            "SELECT count(*) FROM refresh_tokens"
        )
        .fetch_one(c)
        .await)
        .expect("counted");
        assert_eq!(rows, 2, "the newest and the one before it");
        assert_eq!(
            look_up(&mut tx, &first, &second).await,
            Some((Some(LONG_AGO), false))
        );
        let number = refresh_tokens::begin_family(&mut tx, "s1").await;
        assert_eq!(number.expect("begun"), 4);
        for forgotten in [&first, &second, &third] {
            assert_eq!(look_up(&mut tx, forgotten, &token("s1", 9)).await, None);
        }
    })
    .await;
}

#[tokio::test]
async fn of_too_many_sessions_the_ones_not_used_for_the_longest_end() {
    both_databases(&MIGRATIONS, |db| async move {
        let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
        let limits = SessionLimits {
            idle: Duration::from_secs(60),
            absolute: Duration::from_secs(600),
            per_user: 3,
        };
        const NOW: i64 = 700_000_000;
        // Three live ones, of which the newest has not been used for the longest; one that has ended by itself.
        for (id, at) in [
            ("s1", NOW - 30),
            ("s2", NOW - 20),
            ("s3", NOW - 40),
            ("old", 5),
        ] {
            session(&db, ada.id, id, at).await;
        }
        session(&db, bob.id, "bobs", NOW - 50).await;
        let end_surplus = async |user: &User, new: &str| {
            let mut tx = db.begin().await.expect("begun");
            let ended = sessions::end_surplus(&mut tx, user.id, new, limits, NOW).await;
            tx.commit().await.expect("committed");
            ended.expect("ended")
        };
        assert!(
            end_surplus(&ada, "s3").await.is_empty(),
            "three are not too many"
        );
        session(&db, ada.id, "s4", NOW).await;
        session(&db, ada.id, "s5", NOW).await;
        let mut ended = end_surplus(&ada, "s5").await;
        ended.sort();
        assert_eq!(ended, ["s1", "s3"]);
        assert!(end_surplus(&ada, "s5").await.is_empty());
        assert!(end_surplus(&bob, "bobs").await.is_empty());
        let of = sessions::by_id(&db, "s3").await.expect("read");
        assert_eq!(of.expect("kept").ended_time, Some(NOW));
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_once_and_only_for_its_own_person() {
    both_databases(&MIGRATIONS, |db| async move {
        let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
        let token = session(&db, ada.id, "s1", 10).await;
        for id in ["s2", "s3"] {
            session(&db, ada.id, id, 10).await;
        }
        session(&db, bob.id, "s4", 10).await;
        let end = async |id: &str, user: &User| {
            let mut tx = db.begin().await.expect("begun");
            let ended = sessions::end(&mut tx, id, user.id, EndReason::Logout, 20)
                .await
                .expect("tried");
            tx.commit().await.expect("committed");
            ended
        };
        assert!(!end("s1", &bob).await);
        assert!(end("s1", &ada).await);
        assert!(!end("s1", &ada).await);
        assert_eq!(held(&db, &token).await.expect("held").ended_time, Some(20));
        let mut tx = db.begin().await.expect("begun");
        assert!(
            sessions::prove_again(&mut tx, "s1", ada.id, 30)
                .await
                .expect("tried")
                .is_none()
        );
        assert!(
            sessions::prove_again(&mut tx, "s2", bob.id, 30)
                .await
                .expect("tried")
                .is_none()
        );
        let proved = sessions::prove_again(&mut tx, "s2", ada.id, 30)
            .await
            .expect("tried")
            .expect("theirs");
        assert_eq!(
            (proved.auth_time, proved.last_used_time, proved.create_time),
            (30, 30, 10)
        );
        let ended = sessions::end_all(&mut tx, ada.id, "s2", EndReason::PasswordChanged, 40).await;
        assert_eq!(
            ended.expect("ended"),
            1,
            "s3; s1 had ended, s2 is kept, s4 is Bob's"
        );
    })
    .await;
}

#[tokio::test]
async fn the_sessions_and_tokens_of_a_deleted_account_go_with_it() {
    both_databases(&MIGRATIONS, |db| async move {
        let ada = user(&db, "ada").await;
        let token = session(&db, ada.id, "s1", 10).await;
        assert!(
            standing::person(&db, ada.id, "s1", &nothing_else())
                .await
                .expect("read")
                .is_some()
        );
        let mut tx = db.begin().await.expect("begun");
        users::delete(&mut tx, ada.id).await.expect("deleted");
        tx.commit().await.expect("committed");
        assert!(held(&db, &token).await.is_none());
        assert!(
            standing::person(&db, ada.id, "s1", &nothing_else())
                .await
                .expect("read")
                .is_none()
        );
        assert!(
            user(&db, "ada").await.id > ada.id,
            "the id never comes back"
        );
    })
    .await;
}

#[tokio::test]
async fn a_sweep_takes_the_old_sessions_a_batch_at_a_time_and_leaves_the_rest() {
    both_databases(&MIGRATIONS, |db| async move {
        let ada = user(&db, "ada").await;
        let mut old = Vec::new();
        for index in 0..3 {
            old.push(session(&db, ada.id, &format!("old-{index}"), index).await);
        }
        let young = session(&db, ada.id, "young", 100).await;
        assert_eq!(sessions::purge(&db, 3).await.expect("purged"), 3);
        assert_eq!(sessions::purge(&db, 3).await.expect("purged"), 0);
        for token in &old {
            assert!(held(&db, token).await.is_none());
        }
        assert!(held(&db, &young).await.is_some());
    })
    .await;
}

#[tokio::test]
async fn one_administrator_remains_and_a_disabled_one_does_not_count() {
    both_databases(&MIGRATIONS, |db| async move {
        let first = insert(&db, &new("first", Role::Admin))
            .await
            .expect("inserted");
        let mut tx = db.begin().await.expect("begun");
        assert_eq!(
            reason(users::leave_an_admin(&mut tx, &first).await),
            Reason::LastAdmin
        );
        drop(tx);
        let customer = user(&db, "customer").await;
        let second = insert(&db, &new("second", Role::Admin))
            .await
            .expect("inserted");
        let mut tx = db.begin().await.expect("begun");
        users::leave_an_admin(&mut tx, &customer)
            .await
            .expect("no administrator");
        users::leave_an_admin(&mut tx, &first)
            .await
            .expect("the second remains");
        let demoted = users::set_role(&mut tx, second.id, Role::User, 9)
            .await
            .expect("set");
        assert_eq!(
            (demoted.generation, demoted.revision, demoted.update_time),
            (2, 2, 9)
        );
        assert_eq!(
            reason(users::leave_an_admin(&mut tx, &first).await),
            Reason::LastAdmin
        );
    })
    .await;
}

#[tokio::test]
async fn of_several_first_administrators_at_once_one_is_made_whatever_their_names() {
    both_databases(&MIGRATIONS, |db| async move {
        let tries = (0..8).map(|index| {
            let db = db.clone();
            async move {
                let name = Username::parse(&format!("admin-{index}")).expect("a name");
                let mut tx = db.begin().await.expect("begun");
                let made = users::insert_first_admin(&mut tx, &name, "hash", 1)
                    .await
                    .expect("tried");
                tx.commit().await.expect("committed");
                made
            }
        });
        let made = futures::future::join_all(tries).await;
        assert_eq!(made.into_iter().filter(|made| *made).count(), 1);
        assert!(users::has_an_admin(&db).await.expect("read"));
    })
    .await;
}

#[tokio::test]
async fn the_first_administrator_takes_nobodys_name() {
    both_databases(&MIGRATIONS, |db| async move {
        user(&db, "admin").await;
        let mut tx = db.begin().await.expect("begun");
        let name = Username::parse("Admin").expect("a name");
        assert!(
            !users::insert_first_admin(&mut tx, &name, "hash", 1)
                .await
                .expect("tried")
        );
        tx.commit().await.expect("committed");
        assert!(!users::has_an_admin(&db).await.expect("read"));
    })
    .await;
}

#[tokio::test]
async fn a_database_knows_the_secrets_that_it_was_first_used_with() {
    both_databases(&MIGRATIONS, |db| async move {
        assert!(secrets_check::fits(&db, b"one").await.expect("read"));
        assert!(secrets_check::fits(&db, b"one").await.expect("read"));
        assert!(!secrets_check::fits(&db, b"two").await.expect("read"));
    })
    .await;
}

#[tokio::test]
async fn the_statement_that_counts_keeps_to_the_schedule() {
    both_databases(&MIGRATIONS, |db| async move {
        let mut now = 1_000_000;
        for attempt in 1..=102 {
            let mut tx = db.begin().await.expect("begun");
            let counted = throttle::count(&mut tx, b"ada", now)
                .await
                .expect("counted");
            // After the hundredth, and the day that follows it, it begins anew.
            let expected = if attempt > 100 {
                attempt - 100
            } else {
                attempt
            };
            assert_eq!(counted, Counted::Admitted(expected));
            let delay = delay(expected);
            if delay > 0 {
                let early = throttle::count(&mut tx, b"ada", now + delay - 1).await;
                assert_eq!(early.expect("counted"), Counted::Blocked(now + delay));
            }
            tx.commit().await.expect("committed");
            now += delay;
        }
    })
    .await;
}

#[tokio::test]
async fn what_the_throttles_have_forgotten_is_deleted_a_batch_at_a_time() {
    both_databases(&MIGRATIONS, |db| async move {
        const DAY: i64 = 24 * 60 * 60 * 1_000_000;
        let mut tx = db.begin().await.expect("begun");
        for key in 0..600_i32 {
            let key = key.to_be_bytes();
            throttle::count(&mut tx, &key, 5).await.expect("counted");
            throttle::fill(&mut tx, &key, ADDRESS, 5)
                .await
                .expect("filled");
        }
        throttle::count(&mut tx, b"newer", 6)
            .await
            .expect("counted");
        tx.commit().await.expect("committed");
        let purge = async |now| throttle::purge(&db, now).await.expect("purged");
        assert_eq!(purge(10_000_004).await, 0);
        assert_eq!(purge(10_000_005).await, 500, "the buckets have drained");
        assert_eq!(purge(DAY + 5).await, 500 + 100);
        assert_eq!(purge(DAY + 5).await, 100);
        assert_eq!(purge(DAY + 5).await, 0);
        assert_eq!(purge(DAY + 6).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_bucket_takes_its_burst_and_drains_with_time() {
    both_databases(&MIGRATIONS, |db| async move {
        let mut tx = db.begin().await.expect("begun");
        let fill = async |tx: &mut Tx, now| {
            throttle::fill(tx, b"office", ADDRESS, now)
                .await
                .expect("filled")
        };
        for _ in 0..30 {
            assert_eq!(fill(&mut tx, 0).await, Counted::Admitted(1));
        }
        assert_eq!(fill(&mut tx, 0).await, Counted::Blocked(10_000_000));
        throttle::pour_back(&mut tx, b"office")
            .await
            .expect("poured");
        assert_eq!(fill(&mut tx, 0).await, Counted::Admitted(1));
        assert_eq!(fill(&mut tx, 9_999_999).await, Counted::Blocked(10_000_000));
        assert_eq!(fill(&mut tx, 10_000_000).await, Counted::Admitted(1));
        for _ in 0..30 {
            assert_eq!(fill(&mut tx, 400_000_000).await, Counted::Admitted(1));
        }
        assert_eq!(
            fill(&mut tx, 400_000_000).await,
            Counted::Blocked(410_000_000)
        );
    })
    .await;
}

#[tokio::test]
async fn names_are_sorted_and_searched_by_code_point_on_both_databases() {
    both_databases(&MIGRATIONS, |db| async move {
        assert_eq!(sorted_by_a_language(&db).await, [""; 0]);
    })
    .await;
}
