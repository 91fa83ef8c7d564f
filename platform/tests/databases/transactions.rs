use std::time::Duration;

use millgate_platform::{
    Affected as _, Database, Fault, on, on_tx, on_write,
    testing::{both_databases, on_sqlite},
};

use crate::MIGRATIONS;

const INSERT: &str = "INSERT INTO things (name) VALUES ($1)";

async fn count(db: &Database) -> i64 {
    let (count,): (i64,) = on!(db, |c| sqlx::query_as("SELECT count(*) FROM things")
        .fetch_one(c)
        .await)
    .expect("a count");
    count
}

async fn insert_twice(db: &Database, name: &str, pause: Duration) -> Result<(), Fault> {
    let mut tx = db.begin().await?;
    on_tx!(tx, |c| sqlx::query(INSERT)
        .bind(name)
        .execute(c)
        .await
        .affected())?;
    tokio::time::sleep(pause).await;
    on_tx!(tx, |c| sqlx::query(INSERT)
        .bind(format!("{name} again"))
        .execute(c)
        .await
        .affected())?;
    tx.commit().await
}

#[tokio::test]
async fn what_is_committed_is_there_and_what_is_dropped_is_not() {
    both_databases(&MIGRATIONS, |db| async move {
        insert_twice(&db, "kept", Duration::ZERO)
            .await
            .expect("committed");
        let mut tx = db.begin().await.expect("begun");
        on_tx!(tx, |c| sqlx::query(INSERT)
            .bind("dropped")
            .execute(c)
            .await
            .affected())
        .expect("inserted");
        drop(tx);
        let mut tx = db.begin().await.expect("begun");
        let by_reference = &mut tx;
        on_tx!(by_reference, |c| sqlx::query(INSERT)
            .bind("rolled back")
            .execute(c)
            .await
            .affected())
        .expect("inserted");
        tx.rollback().await.expect("rolled back");
        on_write!(db, |c| sqlx::query(INSERT)
            .bind("single")
            .execute(c)
            .await
            .affected())
        .expect("inserted");
        assert_eq!(count(&db).await, 3);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_given_up_at_any_moment_leaves_nothing_half_written() {
    both_databases(&MIGRATIONS, |db| async move {
        for micros in (0..200).map(|step| step * 40) {
            let name = format!("given up after {micros}");
            let work = insert_twice(&db, &name, Duration::from_micros(500));
            // Given up or finished: both are fine, half is not.
            let _ = tokio::time::timeout(Duration::from_micros(micros), work).await;
        }
        insert_twice(&db, "after all", Duration::ZERO)
            .await
            .expect("the writer still works");
        assert_eq!(count(&db).await % 2, 0, "both rows of each call or none");
    })
    .await;
}

#[tokio::test]
async fn many_writers_at_once_all_get_through() {
    both_databases(&MIGRATIONS, |db| async move {
        let tasks: Vec<_> = (0..50)
            .map(|task| {
                let db = db.clone();
                tokio::spawn(async move {
                    insert_twice(&db, &format!("task {task}"), Duration::from_millis(1)).await
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("joined").expect("written");
        }
        assert_eq!(count(&db).await, 100);
    })
    .await;
}

#[tokio::test]
async fn two_processes_that_read_before_they_write_do_not_lose_an_update() {
    let (url, _folder) = millgate_platform::testing::sqlite_url();
    let url = url.into();
    let one = Database::open(&url, &MIGRATIONS, &Default::default())
        .await
        .expect("open");
    let other = Database::open(&url, &MIGRATIONS, &Default::default())
        .await
        .expect("open");
    on_write!(one, |c| sqlx::query(
        "INSERT INTO things (name) VALUES ('a')"
    )
    .execute(c)
    .await
    .affected())
    .expect("inserted");
    let add = async |db: Database| {
        for _ in 0..20 {
            let mut tx = db.begin().await?;
            let (amount,): (i64,) = on_tx!(tx, |c| sqlx::query_as("SELECT amount FROM things")
                .fetch_one(c)
                .await)?;
            tokio::task::yield_now().await;
            on_tx!(tx, |c| sqlx::query("UPDATE things SET amount = $1")
                .bind(amount + 1)
                .execute(c)
                .await
                .affected())?;
            tx.commit().await?;
        }
        Ok::<_, Fault>(())
    };
    let (first, second) = tokio::join!(add(one.clone()), add(other.clone()));
    first.expect("no lock is missed half-way");
    second.expect("no lock is missed half-way");
    let (amount,): (i64,) = on!(one, |c| sqlx::query_as("SELECT amount FROM things")
        .fetch_one(c)
        .await)
    .expect("a row");
    assert_eq!(amount, 40);
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn a_body_for_reading_cannot_write_on_sqlite() {
    on_sqlite(&MIGRATIONS, |db| async move {
        let written = on!(db, |c| sqlx::query(INSERT)
            .bind("x")
            .execute(c)
            .await
            .affected());
        assert!(written.is_err());
        assert_eq!(count(&db).await, 0);
    })
    .await;
}

#[tokio::test]
async fn sqlite_is_durable_checked_and_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let (url, folder) = millgate_platform::testing::sqlite_url();
    let db = Database::open(&url.into(), &MIGRATIONS, &Default::default())
        .await
        .expect("open");
    let setting = "SELECT \
        (SELECT synchronous FROM pragma_synchronous), \
        (SELECT foreign_keys FROM pragma_foreign_keys), \
        (SELECT journal_mode FROM pragma_journal_mode)";
    let set: (i64, i64, String) =
        on_write!(db, |c| sqlx::query_as(setting).fetch_one(c).await).expect("the settings");
    assert_eq!(set, (2, 1, "wal".to_owned()), "FULL, on, WAL");
    db.begin()
        .await
        .expect("begun")
        .commit()
        .await
        .expect("committed");
    for entry in std::fs::read_dir(folder.path()).expect("listed").flatten() {
        let mode = entry.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", entry.path());
    }
    db.close().await;
}
