//! Schema migrations, run at the start of every replica under a lock.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use futures::future::BoxFuture;
use sqlx::{
    SqlitePool,
    migrate::Migrator,
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
