use std::time::{Duration, Instant};

use millgate_platform::{
    Affected as _, Database, DatabaseOptions, Fault, Reason, on, on_write,
    testing::{PostgresDatabase, on_postgres, sqlite_url},
};
use sqlx::{Connection as _, SqliteConnection};

use crate::MIGRATIONS;

fn impatient() -> DatabaseOptions {
    DatabaseOptions {
        acquire_timeout: Duration::from_millis(500),
        ..Default::default()
    }
}

async fn write(db: &Database) -> Result<(), Fault> {
    on_write!(db, |c| sqlx::query(
        "INSERT INTO owners (name) VALUES ('x')"
    )
    .execute(c)
    .await
    .affected())?;
    Ok(())
}

async fn read(db: &Database) -> Result<i64, Fault> {
    let (count,): (i64,) = on!(db, |c| sqlx::query_as("SELECT count(*) FROM owners")
        .fetch_one(c)
        .await)?;
    Ok(count)
}

#[tokio::test]
async fn a_lost_postgres_is_unavailable_within_the_deadline_and_comes_back_by_itself() {
    let Some(database) = PostgresDatabase::create().await else {
        return;
    };
    let db = Database::open(&database.url().into(), &MIGRATIONS, &impatient())
        .await
        .expect("open");
    write(&db).await.expect("written");
    database.lose().await;
    for _ in 0..5 {
        let asked = Instant::now();
        let fault = write(&db).await.expect_err("it is gone");
        assert_eq!(fault.reason(), Reason::StoreUnavailable, "{fault:?}");
        let fault = db.begin().await.expect_err("it is gone");
        assert_eq!(fault.reason(), Reason::StoreUnavailable, "{fault:?}");
        assert!(db.ping().await.is_err());
        assert!(asked.elapsed() < Duration::from_secs(5));
    }
    database.restore().await;
    write(&db).await.expect("back without a restart");
    assert_eq!(read(&db).await.expect("counted"), 2);
    db.close().await;
    database.remove().await;
}

#[tokio::test]
async fn connections_that_died_while_idle_cost_no_call() {
    let Some(database) = PostgresDatabase::create().await else {
        return;
    };
    let db = Database::open(&database.url().into(), &MIGRATIONS, &impatient())
        .await
        .expect("open");
    let reads: Vec<_> = (0..10).map(|_| read(&db)).collect();
    futures::future::join_all(reads).await;
    database.lose().await;
    database.restore().await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for _ in 0..10 {
        read(&db).await.expect("a fresh connection");
    }
    db.close().await;
    database.remove().await;
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_stopped_by_the_database() {
    on_postgres(&MIGRATIONS, |_| async {}).await;
    let Some(database) = PostgresDatabase::create().await else {
        return;
    };
    let options = DatabaseOptions {
        statement_timeout: Duration::from_millis(200),
        ..Default::default()
    };
    let db = Database::open(&database.url().into(), &MIGRATIONS, &options)
        .await
        .expect("open");
    let slept = on_write!(db, |c| sqlx::query("SELECT pg_sleep(5)")
        .execute(c)
        .await
        .affected());
    let fault = Fault::from(slept.expect_err("stopped"));
    assert_eq!(fault.reason(), Reason::Deadline);
    db.close().await;
    database.remove().await;
}

#[tokio::test]
async fn a_sqlite_file_that_somebody_else_holds_is_unavailable_until_they_let_go() {
    let (url, folder) = sqlite_url();
    let db = Database::open(&url.into(), &MIGRATIONS, &impatient())
        .await
        .expect("open");
    write(&db).await.expect("written");
    let path = format!("sqlite:{}", folder.path().join("test.db").display());
    let mut other = SqliteConnection::connect(&path)
        .await
        .expect("another process");
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .expect("held");
    let fault = write(&db).await.expect_err("held by somebody else");
    assert_eq!(fault.reason(), Reason::StoreUnavailable, "{fault:?}");
    assert_eq!(read(&db).await.expect("readers go on"), 1);
    sqlx::query("ROLLBACK")
        .execute(&mut other)
        .await
        .expect("let go");
    write(&db).await.expect("back");
    db.close().await;
}

#[tokio::test]
async fn a_sqlite_file_that_was_moved_away_takes_no_writes_until_it_is_back() {
    let (url, folder) = sqlite_url();
    let db = Database::open(&url.into(), &MIGRATIONS, &impatient())
        .await
        .expect("open");
    let (here, away) = (folder.path().join("test.db"), folder.path().join("away.db"));
    std::fs::rename(&here, &away).expect("moved");
    for fault in [db.begin().await.map(drop), db.ping().await] {
        let fault = fault.expect_err("nobody would find the write again");
        assert_eq!(fault.reason(), Reason::StoreUnavailable);
    }
    std::fs::write(&here, "another file").expect("written");
    assert!(
        db.begin().await.is_err(),
        "another file is not the database"
    );
    std::fs::rename(&away, &here).expect("moved back");
    db.ping().await.expect("back");
    db.begin()
        .await
        .expect("begun")
        .commit()
        .await
        .expect("committed");
    db.close().await;
}
