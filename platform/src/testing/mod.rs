//! One suite for both databases (feature `testing`).
//!
//! ```ignore
//! #[tokio::test]
//! async fn a_username_is_taken_whatever_its_case() {
//!     both_databases(&MIGRATIONS, |db| async move { ... }).await;
//! }
//! ```
//!
//! Each test gets an empty, migrated database of its own, first SQLite, then PostgreSQL. The
//! server is the one that `MILLGATE_TEST_POSTGRES` names (a URL of a user that may create
//! databases), else one that listens locally, else a throwaway one made from the installed
//! binaries. Where none can be had, the test says so and goes on without; with `CI` set it
//! fails instead.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test harness fails by panicking, and speaks to whoever runs the tests"
)]

mod cluster;

use std::{future::Future, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt as _;
use millgate_guard::{Entropy as _, SystemEntropy};
use secrecy::SecretString;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::database::{Database, DatabaseOptions, Migrations};

static SERVER: OnceCell<Option<String>> = OnceCell::const_new();

/// Runs a test on SQLite and on PostgreSQL, each time on an empty database with this schema.
///
/// # Panics
/// When the test does; and when `CI` is set and there is no PostgreSQL.
pub async fn both_databases<F, Fut>(migrations: &Migrations, test: F)
where
    F: Fn(Database) -> Fut,
    Fut: Future<Output = ()>,
{
    on_sqlite(migrations, &test).await;
    on_postgres(migrations, &test).await;
}

/// Runs a test on SQLite alone: for what only exists there.
///
/// # Panics
/// When the test does.
pub async fn on_sqlite<F, Fut>(migrations: &Migrations, test: F)
where
    F: Fn(Database) -> Fut,
    Fut: Future<Output = ()>,
{
    let (url, _folder) = sqlite_url();
    let db = open(&url, migrations).await;
    eprintln!("-- on SQLite");
    test(db.clone()).await;
    db.close().await;
}

/// Runs a test on PostgreSQL alone: for what only exists there.
///
/// # Panics
/// When the test does; and when `CI` is set and there is no PostgreSQL.
pub async fn on_postgres<F, Fut>(migrations: &Migrations, test: F)
where
    F: Fn(Database) -> Fut,
    Fut: Future<Output = ()>,
{
    let Some(database) = PostgresDatabase::create().await else {
        return;
    };
    let db = open(database.url(), migrations).await;
    eprintln!("-- on PostgreSQL");
    let ended = AssertUnwindSafe(test(db.clone())).catch_unwind().await;
    db.close().await;
    database.remove().await;
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

/// The columns of names in one spelling (`..._canonical`) that PostgreSQL sorts by the rules of a language: a search for
/// how they begin is a range of code points, and would not find all of them.
///
/// # Panics
/// When the database does not answer.
pub async fn sorted_by_a_language(db: &Database) -> Vec<String> {
    let Database::Postgres(pool) = db else {
        return Vec::new();
    };
    let columns = "SELECT table_name || '.' || column_name FROM information_schema.columns \
         WHERE table_schema = 'public' AND column_name LIKE '%canonical' AND collation_name IS DISTINCT FROM 'C'";
    sqlx::query_scalar(columns)
        .fetch_all(pool)
        .await
        .expect("the columns")
}

/// A fresh SQLite file in a folder that goes when the guard is dropped.
pub fn sqlite_url() -> (String, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("test.db");
    (format!("sqlite:{}", path.display()), folder)
}

async fn open(url: &str, migrations: &Migrations) -> Database {
    let url = SecretString::from(url);
    Database::open(&url, migrations, &DatabaseOptions::default())
        .await
        .unwrap_or_else(|error| panic!("the test database does not open: {error}"))
}

/// An empty PostgreSQL database, for a test that starts servers on it. Call
/// [`PostgresDatabase::remove`] at the end.
#[derive(Debug)]
pub struct PostgresDatabase {
    server: String,
    name: String,
    url: String,
}

impl PostgresDatabase {
    /// Makes one; `None`, and a loud word, where there is no server.
    ///
    /// # Panics
    /// When `CI` is set and there is no server.
    pub async fn create() -> Option<Self> {
        let server = server().await?;
        let name = format!("millgate_test_{}", SystemEntropy.uuid_v4().simple());
        let mut admin = PgConnection::connect(&server)
            .await
            .expect("the test server answers");
        // As in databases elsewhere, texts are sorted by the rules of a language: a statement that counts on the order of
        // code points has to say so. A server that was built without them sorts as it will.
        let create = format!("CREATE DATABASE {name}");
        let with_rules = format!(
            "{create} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
        );
        if sqlx::query(AssertSqlSafe(with_rules))
            .execute(&mut admin)
            .await
            .is_err()
        {
            sqlx::query(AssertSqlSafe(create))
                .execute(&mut admin)
                .await
                .expect("the test user may create databases");
        }
        let url = with_database(&server, &name);
        Some(Self { server, name, url })
    }

    /// The URL of the database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Removes the database, whoever is still connected to it.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn remove(self) {
        let mut admin = PgConnection::connect(&self.server)
            .await
            .expect("the server answers");
        sqlx::query(AssertSqlSafe(format!(
            "DROP DATABASE {} WITH (FORCE)",
            self.name
        )))
        .execute(&mut admin)
        .await
        .expect("the test database can be dropped");
    }

    /// Ends every connection to the database, as a restart of the server would, and refuses
    /// new ones until [`PostgresDatabase::restore`].
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn lose(&self) {
        self.allow(false).await;
        let mut admin = PgConnection::connect(&self.server)
            .await
            .expect("the server answers");
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1")
            .bind(&self.name)
            .execute(&mut admin)
            .await
            .expect("connections can be ended");
    }

    /// Takes connections again.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn restore(&self) {
        self.allow(true).await;
    }

    async fn allow(&self, allow: bool) {
        let mut admin = PgConnection::connect(&self.server)
            .await
            .expect("the server answers");
        let sql = format!("ALTER DATABASE {} ALLOW_CONNECTIONS {allow}", self.name);
        sqlx::query(AssertSqlSafe(sql))
            .execute(&mut admin)
            .await
            .expect("the database is there");
    }
}

/// The URL with another database in its path.
fn with_database(server: &str, name: &str) -> String {
    let (base, options) = server
        .split_once('?')
        .map_or((server, ""), |(base, rest)| (base, rest));
    let scheme_end = base.find("://").map_or(0, |at| at + 3);
    let host = base[scheme_end..]
        .find('/')
        .map_or(base, |at| &base[..scheme_end + at]);
    let options = if options.is_empty() {
        String::new()
    } else {
        format!("?{options}")
    };
    format!("{host}/{name}{options}")
}

async fn server() -> Option<String> {
    let found = SERVER.get_or_init(find_server).await.clone();
    if found.is_none() {
        let message = "no PostgreSQL: set MILLGATE_TEST_POSTGRES, or install its server";
        if std::env::var_os("CI").is_some() {
            panic!("{message}");
        }
        eprintln!("\n!!!! SKIPPED on PostgreSQL: {message} !!!!\n");
    }
    found
}

async fn find_server() -> Option<String> {
    if let Ok(url) = std::env::var("MILLGATE_TEST_POSTGRES") {
        assert!(
            answers(&url).await,
            "MILLGATE_TEST_POSTGRES does not answer"
        );
        return Some(url);
    }
    for user in ["postgres", "root"] {
        for host in [
            "127.0.0.1:5432/postgres",
            "localhost/postgres?host=/var/run/postgresql",
        ] {
            let url = format!("postgres://{user}@{host}");
            if answers(&url).await {
                return Some(url);
            }
        }
    }
    let url = tokio::task::spawn_blocking(cluster::start)
        .await
        .ok()
        .flatten()?;
    for _ in 0..100 {
        if answers(&url).await {
            return Some(url);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}

async fn answers(url: &str) -> bool {
    let connected = tokio::time::timeout(Duration::from_secs(2), PgConnection::connect(url)).await;
    matches!(connected, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_a_url_is_replaced_and_its_options_stay() {
        for (server, expected) in [
            ("postgres://a@h:1/postgres", "postgres://a@h:1/x"),
            ("postgres://a@h:1", "postgres://a@h:1/x"),
            (
                "postgres://a@localhost/p?host=/run/pg",
                "postgres://a@localhost/x?host=/run/pg",
            ),
        ] {
            assert_eq!(with_database(server, "x"), expected);
        }
    }
}
