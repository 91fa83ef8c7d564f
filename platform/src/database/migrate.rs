//! Schema migrations, run at the start of every replica under a lock.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use futures::future::BoxFuture;
use sqlx::{
    Connection as _, PgConnection, SqlitePool,
    migrate::{AppliedMigration, Migrate as _, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::{Instant, sleep, timeout};

use crate::config::StartError;

/// The two folders of a service: `migrations/sqlite` and `migrations/postgres`.
///
/// ```ignore
/// static MIGRATIONS: Migrations = Migrations {
///     sqlite: sqlx::migrate!("migrations/sqlite"),
///     postgres: sqlx::migrate!("migrations/postgres"),
/// };
/// ```
#[derive(Debug)]
pub struct Migrations {
    /// What SQLite runs.
    pub sqlite: Migrator,
    /// What PostgreSQL runs.
    pub postgres: Migrator,
}

const LOCK_POLL: Duration = Duration::from_millis(20);

/// SQLite has no lock that outlives one migration (sqlx's is empty there), so a file beside
/// the database serves. The kernel frees it when its holder dies.
pub(super) async fn sqlite(
    pool: &SqlitePool,
    file: &Path,
    migrations: &Migrations,
    patience: Duration,
) -> Result<(), StartError> {
    let lock = lock_path(file);
    let held = hold(&lock, patience).await?;
    let done = boxed(migrations.sqlite.run(pool)).await;
    drop(held);
    done.map_err(|error| StartError::new("database migrations", error.to_string()))
}

/// PostgreSQL: sqlx takes an advisory lock named after the database. It runs on a connection
/// of its own, which has no statement timeout: a migration may take long.
pub(super) async fn postgres(
    options: &PgConnectOptions,
    migrations: &Migrations,
    patience: Duration,
) -> Result<(), StartError> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(options.clone());
    let done = timeout(patience, boxed(migrations.postgres.run(&pool))).await;
    pool.close().await;
    let failed = |error: String| StartError::new("database migrations", error);
    done.map_err(|_| {
        failed(String::from(
            "another replica holds the migration lock too long",
        ))
    })?
    .map_err(|error| failed(error.to_string()))
}

/// Refuses a file whose schema is not of these migrations, all of them and no others.
pub(super) async fn sqlite_is_current(
    pool: &SqlitePool,
    migrations: &Migrations,
) -> Result<(), StartError> {
    let table = &migrations.sqlite.table_name;
    let mut connection = pool.acquire().await.map_err(not_current)?;
    let applied = connection.list_applied_migrations(table).await;
    is_current(&migrations.sqlite, &applied.map_err(not_current)?)
}

/// The same of a PostgreSQL database.
pub(super) async fn postgres_is_current(
    options: &PgConnectOptions,
    migrations: &Migrations,
) -> Result<(), StartError> {
    let table = &migrations.postgres.table_name;
    let mut connection = PgConnection::connect_with(options)
        .await
        .map_err(not_current)?;
    let applied = connection.list_applied_migrations(table).await;
    // A failed goodbye changes nothing.
    let _ = connection.close().await;
    is_current(&migrations.postgres, &applied.map_err(not_current)?)
}

fn is_current(known: &Migrator, applied: &[AppliedMigration]) -> Result<(), StartError> {
    let known = known.iter().map(|known| (known.version, &known.checksum));
    if known.eq(applied.iter().map(|done| (done.version, &done.checksum))) {
        return Ok(());
    }
    Err(not_current("other migrations have been run"))
}

fn not_current(why: impl std::fmt::Display) -> StartError {
    let wrong = format!(
        "the schema is not that of this version, which does not change it here: a service that starts does ({why})"
    );
    StartError::new("database migrations", wrong)
}

/// The compiler proves that the migrator's future can change threads only behind a type that
/// names its lifetime.
fn boxed<'a, T>(future: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
    Box::pin(future)
}

fn lock_path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

async fn hold(path: &Path, patience: Duration) -> Result<File, StartError> {
    let failed = |error: std::io::Error| {
        StartError::new(
            super::open::SETTING,
            format!("cannot lock {}: {error}", path.display()),
        )
    };
    let file = super::open::private_file(path).map_err(failed)?;
    let give_up = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < give_up => sleep(LOCK_POLL).await,
            Err(error) => return Err(failed(error.into())),
        }
    }
}
