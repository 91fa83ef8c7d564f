//! What the statements about second factors promise, on both databases.

use millgate_platform::Database;
use millgate_platform::testing::both_databases;

use super::login_challenges::Challenge;
use super::{MIGRATIONS, login_challenges, second_factors, users};
use crate::domain::{
    CODES_PER_CHALLENGE, ChallengeToken, FactorPlace, Names, NewUser, Role, Username,
};
use millgate_platform::SystemEntropy;

async fn person(db: &Database, name: &str) -> i64 {
    let new = NewUser {
        names: Names::new(Username::parse(name).ok(), None).expect("a name"),
        password_hash: "hash".into(),
        role: Role::User,
        external_id: None,
        created_by: None,
    };
    let mut tx = db.begin().await.expect("begun");
    let user = users::insert(&mut tx, &new, 1).await.expect("inserted");
    tx.commit().await.expect("committed");
    user.id
}

async fn begin(db: &Database, user_id: i64, begin_time: i64) -> bool {
    let place = FactorPlace {
        user_id,
        begin_time,
    };
    let mut tx = db.begin().await.expect("begun");
    let kept = second_factors::begin(&mut tx, place, b"sealed").await;
    tx.commit().await.expect("committed");
    kept.expect("written")
}

async fn confirm(db: &Database, user_id: i64, step: i64) -> bool {
    let mut tx = db.begin().await.expect("begun");
    let confirmed = second_factors::confirm(&mut tx, user_id, step, 7).await;
    tx.commit().await.expect("committed");
    confirmed.expect("written")
}

async fn use_step(db: &Database, user_id: i64, step: i64) -> bool {
    let mut tx = db.begin().await.expect("begun");
    let used = second_factors::use_step(&mut tx, user_id, step).await;
    tx.commit().await.expect("committed");
    used.expect("written")
}

#[tokio::test]
async fn steps_only_go_forward_and_only_where_the_factor_is_on() {
    both_databases(&MIGRATIONS, async |db| {
        let ada = person(&db, "ada").await;
        assert!(!use_step(&db, ada, 5).await && !confirm(&db, ada, 5).await);
        assert!(begin(&db, ada, 1).await && begin(&db, ada, 2).await);
        assert!(!use_step(&db, ada, 5).await, "not confirmed");
        assert!(confirm(&db, ada, 5).await);
        assert!(!confirm(&db, ada, 6).await && !begin(&db, ada, 3).await);
        for (step, good) in [
            (5, false),
            (4, false),
            (6, true),
            (6, false),
            (5, false),
            (8, true),
            (7, false),
        ] {
            assert_eq!(use_step(&db, ada, step).await, good, "{step}");
        }
        let factor = second_factors::by_user(&db, ada)
            .await
            .expect("read")
            .expect("there");
        assert_eq!(
            (factor.place().begin_time, factor.confirm_time),
            (2, Some(7))
        );
    })
    .await;
}

#[tokio::test]
async fn only_what_nobody_confirmed_is_forgotten() {
    both_databases(&MIGRATIONS, async |db| {
        let (old, new, on) = (
            person(&db, "old").await,
            person(&db, "new").await,
            person(&db, "confirmed").await,
        );
        for (user, time) in [(old, 10), (new, 11), (on, 10)] {
            assert!(begin(&db, user, time).await);
        }
        assert!(confirm(&db, on, 1).await);
        assert_eq!(
            second_factors::purge_pending(&db, 10)
                .await
                .expect("purged"),
            1
        );
        assert_eq!(
            second_factors::purge_pending(&db, 10)
                .await
                .expect("purged"),
            0
        );
        for (user, there) in [(old, false), (new, true), (on, true)] {
            let factor = second_factors::by_user(&db, user).await.expect("read");
            assert_eq!(factor.is_some(), there, "{user}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_recovery_code_is_used_once_and_by_its_own_account_only() {
    both_databases(&MIGRATIONS, async |db| {
        let (ada, bob) = (person(&db, "ada").await, person(&db, "bob").await);
        assert!(begin(&db, ada, 1).await && begin(&db, bob, 1).await);
        let mut tx = db.begin().await.expect("begun");
        for codes in [
            vec![b"old".to_vec()],
            vec![b"one".to_vec(), b"two".to_vec()],
        ] {
            second_factors::replace_recovery_codes(&mut tx, ada, &codes)
                .await
                .expect("written");
        }
        for (user, code, good) in [
            (bob, "one", false),
            (ada, "old", false),
            (ada, "one", true),
            (ada, "one", false),
            (ada, "two", true),
        ] {
            let used = second_factors::use_recovery_code(&mut tx, user, code.as_bytes()).await;
            assert_eq!(used.expect("written"), good, "{user} {code}");
        }
        tx.commit().await.expect("committed");
        assert_eq!(
            second_factors::recovery_codes_left(&db, ada)
                .await
                .expect("read"),
            0
        );
    })
    .await;
}

#[tokio::test]
async fn a_login_waits_for_five_codes_of_its_generation_until_its_time_is_over() {
    both_databases(&MIGRATIONS, async |db| {
        let ada = person(&db, "ada").await;
        let token = ChallengeToken::generate(&SystemEntropy);
        let challenge = Challenge {
            user_id: ada,
            generation: 1,
            account_attempts: 2,
            device_label: "phone".into(),
        };
        let mut tx = db.begin().await.expect("begun");
        login_challenges::insert(&mut tx, &token, &challenge, 100)
            .await
            .expect("inserted");
        tx.commit().await.expect("committed");
        let waits = async |now| {
            let found = login_challenges::find(&db, &token, now).await;
            found.expect("read").is_some()
        };
        assert!(waits(99).await && !waits(100).await);
        let mut tx = db.begin().await.expect("begun");
        for (generation, now, good) in [(2, 99, false), (1, 100, false), (1, 99, true)] {
            let counted = login_challenges::try_code(&mut tx, &token, generation, now).await;
            assert_eq!(counted.expect("written"), good);
        }
        for _ in 1..CODES_PER_CHALLENGE {
            assert!(
                login_challenges::try_code(&mut tx, &token, 1, 99)
                    .await
                    .expect("written")
            );
        }
        assert!(
            !login_challenges::try_code(&mut tx, &token, 1, 99)
                .await
                .expect("written")
        );
        tx.commit().await.expect("committed");
        assert!(!waits(99).await);
        assert_eq!(login_challenges::purge(&db, 99).await.expect("purged"), 0);
        assert_eq!(login_challenges::purge(&db, 100).await.expect("purged"), 1);
    })
    .await;
}
