use std::{sync::Arc, time::Duration};

use millgate_guard::testing::ManualClock;
use millgate_platform::{
    Claim, ClaimBy, Database, Fault, Idempotency, Reason, on, on_tx, testing::both_databases,
};

use crate::MIGRATIONS;

const ID: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn memory() -> (Idempotency, Arc<ManualClock>) {
    let clock = ManualClock::shared(1_700_000_000_000_000);
    (Idempotency::new(&[3; 32], clock.clone()), clock)
}

/// A create, as a service writes it: its answer is the new row's id.
async fn create(
    db: &Database,
    memory: &Idempotency,
    by: ClaimBy<'_>,
    request_id: &str,
    name: &str,
) -> Result<i64, Fault> {
    let mut tx = db.begin().await?;
    let body = name.to_owned();
    let mut once: Claim<i64> = memory
        .claim(&mut tx, by, "CreateThing", request_id, &body)
        .await?;
    if let Some(answer) = once.replay() {
        return Ok(answer);
    }
    let (id,): (i64,) = on_tx!(tx, |c| sqlx::query_as(
        "INSERT INTO things (name) VALUES ($1 || (SELECT count(*) FROM things)) RETURNING id"
    )
    .bind(name)
    .fetch_one(c)
    .await)?;
    once.record(&mut tx, &id).await?;
    tx.commit().await?;
    Ok(id)
}

async fn things(db: &Database) -> i64 {
    let (count,): (i64,) = on!(db, |c| sqlx::query_as("SELECT count(*) FROM things")
        .fetch_one(c)
        .await)
    .expect("a count");
    count
}

fn caller(key: &str) -> ClaimBy<'_> {
    ClaimBy::Caller(key)
}

#[tokio::test]
async fn thirty_two_at_once_make_one_thing_and_get_one_answer() {
    both_databases(&MIGRATIONS, |db| async move {
        let (memory, _) = memory();
        let tasks: Vec<_> = (0..32)
            .map(|_| {
                let (db, memory) = (db.clone(), memory.clone());
                tokio::spawn(async move { create(&db, &memory, caller("user:1"), ID, "a").await })
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.expect("joined").expect("answered"));
        }
        assert!(
            answers.windows(2).all(|pair| pair[0] == pair[1]),
            "{answers:?}"
        );
        assert_eq!(things(&db).await, 1);
    })
    .await;
}

#[tokio::test]
async fn an_id_stands_for_one_body_of_one_method_of_one_caller() {
    both_databases(&MIGRATIONS, |db| async move {
        let (memory, _) = memory();
        let first = create(&db, &memory, caller("user:1"), ID, "a")
            .await
            .expect("made");
        let upper = ID.to_uppercase();
        let again = create(&db, &memory, caller("user:1"), &upper, "a")
            .await
            .expect("replayed");
        assert_eq!(first, again);
        let fault = create(&db, &memory, caller("user:1"), ID, "b")
            .await
            .expect_err("reused");
        assert_eq!(fault.reason(), Reason::RequestIdReused);
        let mut tx = db.begin().await.expect("begun");
        let fault = memory
            .claim::<i64>(&mut tx, "user:1", "DeleteThing", ID, &String::from("a"))
            .await
            .expect_err("another method");
        assert_eq!(fault.reason(), Reason::RequestIdReused);
        drop(tx);
        let other = create(&db, &memory, caller("user:2"), ID, "b")
            .await
            .expect("another caller");
        assert_ne!(first, other);
        assert_eq!(things(&db).await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_stranger_can_neither_read_nor_spoil_a_public_create() {
    both_databases(&MIGRATIONS, |db| async move {
        let (memory, _) = memory();
        let mine = create(&db, &memory, ClaimBy::Anyone, ID, "mine")
            .await
            .expect("made");
        let theirs = create(&db, &memory, ClaimBy::Anyone, ID, "theirs")
            .await
            .expect("made too");
        let again = create(&db, &memory, ClaimBy::Anyone, ID, "mine")
            .await
            .expect("replayed");
        assert_eq!(mine, again);
        assert_ne!(mine, theirs);
    })
    .await;
}

#[tokio::test]
async fn work_that_was_rolled_back_can_be_tried_again() {
    both_databases(&MIGRATIONS, |db| async move {
        let (memory, _) = memory();
        let mut tx = db.begin().await.expect("begun");
        let claim: Claim<i64> = memory
            .claim(&mut tx, "user:1", "CreateThing", ID, &String::from("a"))
            .await
            .expect("fresh");
        assert!(matches!(claim, Claim::Fresh(_)));
        drop(tx);
        create(&db, &memory, caller("user:1"), ID, "other body")
            .await
            .expect("the id is free");
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_kept_for_a_day() {
    both_databases(&MIGRATIONS, |db| async move {
        let (memory, clock) = memory();
        let first = create(&db, &memory, caller("user:1"), ID, "a")
            .await
            .expect("made");
        clock.advance(DAY - Duration::from_secs(1));
        assert_eq!(memory.purge(&db).await.expect("purged"), 0);
        let again = create(&db, &memory, caller("user:1"), ID, "a")
            .await
            .expect("replayed");
        assert_eq!(first, again);
        clock.advance(Duration::from_secs(1));
        let later = create(&db, &memory, caller("user:1"), ID, "b")
            .await
            .expect("the id is free");
        assert_ne!(first, later);
        clock.advance(DAY);
        assert_eq!(memory.purge(&db).await.expect("purged"), 1);
    })
    .await;
}

#[tokio::test]
async fn without_an_id_every_call_counts_and_a_bad_id_is_named() {
    both_databases(&MIGRATIONS, |db| async move {
        let (memory, _) = memory();
        let first = create(&db, &memory, caller("user:1"), "", "a")
            .await
            .expect("made");
        let second = create(&db, &memory, caller("user:1"), "", "a")
            .await
            .expect("made");
        assert_ne!(first, second);
        let fault = create(&db, &memory, caller("user:1"), "7", "a")
            .await
            .expect_err("no UUID");
        assert_eq!(fault.reason(), Reason::FieldInvalid);
        assert_eq!(fault.violations()[0].field, "request_id");
    })
    .await;
}

#[tokio::test]
async fn a_days_answers_are_purged_in_pieces_to_the_last() {
    both_databases(&MIGRATIONS, |db| async move {
        let (memory, clock) = memory();
        let now = millgate_guard::Clock::now_micros(&*clock);
        let mut tx = db.begin().await.expect("begun");
        for i in 0..2001 {
            on_tx!(tx, |c| sqlx::query(
                "INSERT INTO idempotency_keys (caller, request_id, method, body_hash, create_time) \
                 VALUES ('caller:user:1', $1, 'm', $2, $3)"
            )
            .bind(i.to_string())
            .bind(vec![0_u8])
            .bind(now)
            .execute(c)
            .await
            .map(drop))
            .expect("inserted");
        }
        tx.commit().await.expect("committed");
        assert_eq!(memory.purge(&db).await.expect("none is old"), 0);
        clock.advance(DAY);
        assert_eq!(memory.purge(&db).await.expect("purged"), 2001);
    })
    .await;
}
