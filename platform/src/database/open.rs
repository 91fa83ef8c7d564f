//! Opening a database: the URL, the pools, the settings that make them safe.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::Arc,
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{
    Connection as _, PgConnection,
    pool::PoolOptions,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    Database, DatabaseOptions, Migrations, SqliteDatabase, migrate, sqlite_file::SqliteFile,
    wake::Inserts,
};
use crate::config::StartError;

/// What a [`StartError`] of this module is about, until the service names its own setting.
pub(super) const SETTING: &str = "database URL";

/// A connection that was idle for longer is asked for a sign of life before it is used: a
/// server that restarted meanwhile costs a reconnect and not a failed call. A busy pool never
/// pays for it.
const TRUST_IDLE_FOR: Duration = Duration::from_secs(1);

/// What is done about a schema that is not today's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Schema {
    /// It is brought up to date, and made where there is none.
    Migrate,
    /// The database is refused.
    MustBeCurrent,
}

impl Database {
    /// Opens the database and brings its schema up to date.
    ///
    /// URLs: `sqlite:PATH` or `postgres://user:password@host:port/name`. An in-memory SQLite
    /// database is not supported: its readers would not see its writer.
    ///
    /// # Errors
    /// A [`StartError`] on `database URL`, which the service renames to its own setting
    /// ([`StartError::named`]); it never repeats a PostgreSQL URL, which holds a password.
    pub async fn open(
        url: &SecretString,
        migrations: &Migrations,
        options: &DatabaseOptions,
    ) -> Result<Self, StartError> {
        Self::open_as(url, migrations, options, Schema::Migrate).await
    }

    /// Opens a database that is there and whose schema is exactly today's, and changes nothing: for commands beside a
    /// service, which may be of another version.
    ///
    /// # Errors
    /// As [`Database::open`], and where there is no file, or the schema is another version's.
    pub async fn open_existing(
        url: &SecretString,
        migrations: &Migrations,
        options: &DatabaseOptions,
    ) -> Result<Self, StartError> {
        Self::open_as(url, migrations, options, Schema::MustBeCurrent).await
    }

    async fn open_as(
        url: &SecretString,
        migrations: &Migrations,
        options: &DatabaseOptions,
        schema: Schema,
    ) -> Result<Self, StartError> {
        let url = url.expose_secret();
        let database = if let Some(rest) = url.strip_prefix("sqlite:") {
            let path = sqlite_path(rest).map_err(|error| StartError::new(SETTING, error))?;
            open_sqlite(&path, migrations, options, schema).await?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            open_postgres(url, migrations, options, schema).await?
        } else {
            return Err(StartError::new(
                SETTING,
                "must begin with sqlite: or postgres://",
            ));
        };
        tracing::info!(
            kind = database.kind(),
            options = options.summary(),
            "database is open"
        );
        Ok(database)
    }
}

fn sqlite_path(rest: &str) -> Result<PathBuf, &'static str> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path.contains(":memory:") {
        return Err("sqlite: needs the path of a file");
    }
    if path.contains('?') {
        return Err("sqlite: takes a path and no options");
    }
    Ok(PathBuf::from(path))
}

/// Opens or creates a file that only its owner may read; what is there keeps its content.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
}

async fn open_sqlite(
    path: &Path,
    migrations: &Migrations,
    options: &DatabaseOptions,
    schema: Schema,
) -> Result<Database, StartError> {
    if schema == Schema::MustBeCurrent && !path.is_file() {
        let missing = format!("there is no {}", path.display());
        return Err(StartError::new(SETTING, missing));
    }
    let failed = |error: &dyn std::fmt::Display| {
        StartError::new(SETTING, format!("cannot open {}: {error}", path.display()))
    };
    // Made here and not by SQLite, whose new files everybody may read; the journal takes over
    // the mode of the file.
    private_file(path).map_err(|error| failed(&error))?;
    let file = SqliteFile::at(path).map_err(|error| failed(&error))?;
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // What is deleted or erased is gone from the file, too, and not only from what is read of it.
        .pragma("secure_delete", "on")
        .busy_timeout(options.acquire_timeout);
    let inserts = Inserts::default();
    let watched = inserts.clone();
    let writer = SqlitePoolOptions::new()
        .after_connect(move |connection, _| Box::pin(watched.clone().watch(connection)))
        .max_connections(1)
        .acquire_timeout(options.acquire_timeout)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(connect.clone())
        .await
        .map_err(|error| failed(&error))?;
    match schema {
        Schema::Migrate => {
            migrate::sqlite(&writer, path, migrations, options.migration_timeout).await?;
        }
        Schema::MustBeCurrent => migrate::sqlite_is_current(&writer, migrations).await?,
    }
    let reader = SqlitePoolOptions::new()
        .max_connections(options.connections)
        .acquire_timeout(options.acquire_timeout)
        .test_before_acquire(false)
        .max_lifetime(None)
        .connect_with(connect.pragma("query_only", "on"))
        .await
        .map_err(|error| failed(&error))?;
    Ok(Database::Sqlite(SqliteDatabase {
        reader,
        writer,
        file: Arc::new(file),
        inserts,
    }))
}

async fn open_postgres(
    url: &str,
    migrations: &Migrations,
    options: &DatabaseOptions,
    schema: Schema,
) -> Result<Database, StartError> {
    // The error of a bad URL may repeat it, password included: it is not passed on.
    let connect = PgConnectOptions::from_str(url)
        .map_err(|_| StartError::new(SETTING, "is not a valid postgres:// URL"))?;
    say_hello(&connect, options.acquire_timeout).await?;
    match schema {
        Schema::Migrate => {
            migrate::postgres(&connect, migrations, options.migration_timeout).await?;
        }
        Schema::MustBeCurrent => migrate::postgres_is_current(&connect, migrations).await?,
    }
    let statement_timeout = options.statement_timeout.as_millis().to_string();
    let connect = connect.options([
        ("statement_timeout", statement_timeout.as_str()),
        // A transaction whose call was dropped is rolled back at once; this is for the rest.
        ("idle_in_transaction_session_timeout", "60000"),
        // What the locks are thought out for, whatever the server, the database or the role has as its default: who has
        // waited for a lock must see what the one before has done. Under REPEATABLE READ it would not, and two
        // administrators could remove each other.
        ("default_transaction_isolation", "read committed"),
    ]);
    let pool: PgPoolOptions = PoolOptions::new()
        .max_connections(options.connections)
        .acquire_timeout(options.acquire_timeout)
        .test_before_acquire(false)
        .before_acquire(|connection: &mut PgConnection, meta| {
            Box::pin(async move {
                Ok(meta.idle_for < TRUST_IDLE_FOR || connection.ping().await.is_ok())
            })
        });
    let pool = pool
        .connect_with(connect)
        .await
        .map_err(|error| StartError::new(SETTING, format!("cannot connect: {error}")))?;
    Ok(Database::Postgres(pool))
}

/// One connection before the pool: a pool tries again until its time is up, and then no longer
/// knows why.
async fn say_hello(connect: &PgConnectOptions, patience: Duration) -> Result<(), StartError> {
    let failed = |cause: String| StartError::new(SETTING, format!("cannot connect: {cause}"));
    let connection = tokio::time::timeout(patience, PgConnection::connect_with(connect))
        .await
        .map_err(|_| failed(String::from("no answer in time")))?
        .map_err(|error| failed(error.to_string()))?;
    // A failed goodbye changes nothing.
    let _ = connection.close().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_url_is_a_path_and_nothing_else() {
        assert_eq!(
            sqlite_path("data/auth.db"),
            Ok(PathBuf::from("data/auth.db"))
        );
        assert_eq!(
            sqlite_path("///var/auth.db"),
            Ok(PathBuf::from("/var/auth.db"))
        );
        for bad in ["", "//", ":memory:", "//:memory:", "a.db?mode=memory"] {
            assert!(sqlite_path(bad).is_err(), "{bad:?}");
        }
    }
}
