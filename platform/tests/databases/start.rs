use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use millgate_platform::{
    Affected as _, Database, DatabaseOptions, StartError, on, on_write,
    testing::{PostgresDatabase, sqlite_url},
};

use crate::MIGRATIONS;

async fn open(url: &str) -> Result<Database, StartError> {
    Database::open(&url.into(), &MIGRATIONS, &DatabaseOptions::default()).await
}

async fn eight_replicas_start_on(url: &str) {
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let url = url.to_owned();
            tokio::spawn(async move { open(&url).await })
        })
        .collect();
    for task in tasks {
        let db = task.await.expect("joined").expect("every replica starts");
        let (count,): (i64,) = on!(db, |c| sqlx::query_as("SELECT count(*) FROM things")
            .fetch_one(c)
            .await)
        .expect("the schema is there");
        assert_eq!(count, 0);
        db.close().await;
    }
}

#[tokio::test]
async fn replicas_that_start_together_migrate_once() {
    let (url, _folder) = sqlite_url();
    eight_replicas_start_on(&url).await;
    if let Some(database) = PostgresDatabase::create().await {
        eight_replicas_start_on(database.url()).await;
        database.remove().await;
    }
}

#[tokio::test]
async fn a_replica_that_holds_the_lock_too_long_is_named() {
    let (url, folder) = sqlite_url();
    let lock = std::fs::File::create(folder.path().join("test.db.lock")).expect("a lock file");
    lock.lock().expect("held");
    let options = DatabaseOptions {
        migration_timeout: Duration::from_millis(100),
        ..Default::default()
    };
    let error = Database::open(&url.into(), &MIGRATIONS, &options)
        .await
        .expect_err("held");
    assert!(error.to_string().contains("lock"), "{error}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_refused_at_start() {
    let error = open("sqlite:/no/such/folder/test.db")
        .await
        .expect_err("no folder");
    assert!(error.to_string().contains("/no/such/folder"), "{error}");
    // Root may write everywhere, so the file is a folder instead.
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).expect("set");
    assert!(
        open(&format!("sqlite:{}", folder.path().display()))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_wrong_url_is_refused_without_repeating_its_password() {
    for url in [
        "mysql://root:hunter2@localhost/x",
        "postgres://me:hunter2@[nonsense/x",
        "postgres://me:hunter2@127.0.0.1:1/x",
        "postgres://me:hunter2@localhost/x?sslmode=hunter2",
    ] {
        let error = open(url)
            .await
            .expect_err(url)
            .named("AUTH_DATABASE_URL")
            .to_string();
        assert!(error.starts_with("AUTH_DATABASE_URL: "), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("test.db");
    std::fs::write(
        &path,
        "this is no database, whatever its name says".repeat(100),
    )
    .expect("made");
    assert!(open(&format!("sqlite:{}", path.display())).await.is_err());
}

async fn is_opened_as_it_is_or_not_at_all(url: &str) {
    let existing = async || {
        Database::open_existing(&url.into(), &MIGRATIONS, &DatabaseOptions::default()).await
    };
    let refused = existing().await.expect_err("there is nothing yet");
    let why = refused.to_string();
    assert!(
        why.contains("there is no") || why.contains("not that of this version"),
        "{why}"
    );
    let db = open(url).await.expect("made");
    existing().await.expect("today's").close().await;
    on_write!(db, |c| sqlx::query("DELETE FROM _sqlx_migrations")
        .execute(c)
        .await
        .affected())
    .expect("another version's");
    let why = existing().await.expect_err("another version's").to_string();
    assert!(why.contains("not that of this version"), "{why}");
    let count: i64 = on!(db, |c| sqlx::query_scalar(
        "SELECT count(*) FROM _sqlx_migrations"
    )
    .fetch_one(c)
    .await)
    .expect("counted");
    assert_eq!(count, 0, "nothing was migrated");
    db.close().await;
}

#[tokio::test]
async fn a_command_beside_a_service_neither_makes_nor_migrates_a_database() {
    let (url, folder) = sqlite_url();
    is_opened_as_it_is_or_not_at_all(&url).await;
    let (url, other) = sqlite_url();
    Database::open_existing(&url.into(), &MIGRATIONS, &DatabaseOptions::default())
        .await
        .expect_err("no file");
    assert_eq!(
        std::fs::read_dir(other.path()).expect("a folder").count(),
        0
    );
    drop(folder);
    if let Some(database) = PostgresDatabase::create().await {
        is_opened_as_it_is_or_not_at_all(database.url()).await;
        database.remove().await;
    }
}

#[tokio::test]
async fn what_is_deleted_is_gone_from_the_sqlite_file() {
    let (url, folder) = sqlite_url();
    let db = open(&url).await.expect("open");
    let run = async |sql: &'static str| {
        on_write!(db, |c| sqlx::query(sql).execute(c).await.affected()).expect(sql)
    };
    run("INSERT INTO things (name) VALUES ('Zerxes Quuxbaum'), ('Ada')").await;
    run("UPDATE things SET name = '' WHERE name = 'Ada'").await;
    run("DELETE FROM things WHERE name = 'Zerxes Quuxbaum'").await;
    db.close().await;
    let bytes = std::fs::read(folder.path().join("test.db")).expect("the file");
    for gone in ["Zerxes", "Ada"] {
        let found = bytes
            .windows(gone.len())
            .any(|part| part == gone.as_bytes());
        assert!(!found, "{gone}");
    }
}
