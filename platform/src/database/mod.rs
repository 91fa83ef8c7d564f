//! The two databases behind one handle.
//!
//! Every statement is written once. [`on!`](crate::on), [`on_write!`](crate::on_write) and
//! [`on_tx!`](crate::on_tx) put the same body behind both arms; `$1` placeholders,
//! `RETURNING` and `ON CONFLICT` mean the same on both.
//!
//! ```no_run
//! use millgate_platform::{Affected as _, Database, Fault, on, on_tx};
//!
//! async fn rename(db: &Database, id: i64, name: &str) -> Result<bool, Fault> {
//!     let known: Option<(i64,)> = on!(db, |c| sqlx::query_as("SELECT id FROM users WHERE id = $1")
//!         .bind(id)
//!         .fetch_optional(c)
//!         .await)?;
//!     let mut tx = db.begin().await?;
//!     let changed = on_tx!(tx, |c| sqlx::query("UPDATE users SET name = $1 WHERE id = $2")
//!         .bind(name)
//!         .bind(id)
//!         .execute(c)
//!         .await
//!         .affected())?;
//!     tx.commit().await?;
//!     Ok(known.is_some() && changed == 1)
//! }
//! ```
//!
//! SQLite has one writer by nature, so it gets a pool of one for writing and a pool of
//! query-only connections for reading; a transaction begins IMMEDIATE, which takes the write
//! lock at once and so can never fail half-way for want of it.

mod error;
mod migrate;
mod open;
mod options;
mod sqlite_file;
mod wake;

use std::{fmt, sync::Arc};

use sqlx::{PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction};

pub use error::{Violation, ViolationKind, violated};
pub use migrate::Migrations;
pub use options::DatabaseOptions;
pub use wake::Wake;

use crate::fault::Fault;

/// A service's database: SQLite in a file, or PostgreSQL. Cheap to clone.
#[derive(Clone)]
pub enum Database {
    /// The embedded database.
    Sqlite(SqliteDatabase),
    /// A server, or what speaks its protocol.
    Postgres(PgPool),
}

/// SQLite's two pools over one file.
#[derive(Clone)]
pub struct SqliteDatabase {
    /// Many connections that may only read (`query_only`).
    pub(crate) reader: SqlitePool,
    /// The one connection that writes.
    pub(crate) writer: SqlitePool,
    /// The file under them.
    pub(crate) file: Arc<sqlite_file::SqliteFile>,
    /// Who waits for what the writer inserts.
    pub(crate) inserts: wake::Inserts,
}

/// One of the pools of a [`Database`], for the macros.
#[doc(hidden)]
pub enum PoolRef<'a> {
    /// A pool of SQLite connections.
    Sqlite(&'a SqlitePool),
    /// The pool of PostgreSQL connections.
    Postgres(&'a PgPool),
}

impl Database {
    /// Where reads go.
    #[doc(hidden)]
    pub fn reader(&self) -> PoolRef<'_> {
        match self {
            Self::Sqlite(sqlite) => PoolRef::Sqlite(&sqlite.reader),
            Self::Postgres(pool) => PoolRef::Postgres(pool),
        }
    }

    /// Where single writing statements go.
    #[doc(hidden)]
    pub fn writer(&self) -> PoolRef<'_> {
        match self {
            Self::Sqlite(sqlite) => PoolRef::Sqlite(&sqlite.writer),
            Self::Postgres(pool) => PoolRef::Postgres(pool),
        }
    }

    /// Begins a transaction that may write.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE` when no connection is to be had within the acquire timeout.
    pub async fn begin(&self) -> Result<Tx, Fault> {
        Ok(match self {
            Self::Sqlite(sqlite) => {
                sqlite.file.is_in_place()?;
                Tx::Sqlite(sqlite.writer.begin_with("BEGIN IMMEDIATE").await?)
            }
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Proves that the database answers, by reading something that is not in a cache of ours.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE` when it does not.
    pub async fn ping(&self) -> Result<(), Fault> {
        let sql = match self {
            Self::Sqlite(sqlite) => {
                sqlite.file.is_in_place()?;
                // Reads the file's header, which `SELECT 1` would not touch.
                "SELECT count(*) FROM sqlite_schema"
            }
            Self::Postgres(_) => "SELECT 1",
        };
        crate::on!(self, |pool| sqlx::query(sql).execute(pool).await.map(drop))?;
        Ok(())
    }

    /// Closes the pools; waits for the connections that are in use to come back.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(sqlite) => {
                sqlite.reader.close().await;
                sqlite.writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }

    /// `sqlite` or `postgres`, for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.kind()).finish()
    }
}

/// A transaction on either database. Dropped without [`Tx::commit`], it is rolled back.
pub enum Tx {
    /// On the one writing connection, begun IMMEDIATE.
    Sqlite(Transaction<'static, Sqlite>),
    /// READ COMMITTED, whatever the server's default is.
    Postgres(Transaction<'static, Postgres>),
}

/// The connection inside a [`Tx`], for the macro.
#[doc(hidden)]
pub enum TxRef<'a> {
    /// SQLite's connection.
    Sqlite(&'a mut SqliteConnection),
    /// PostgreSQL's connection.
    Postgres(&'a mut PgConnection),
}

impl Tx {
    /// Commits.
    ///
    /// # Errors
    /// When the database is lost at this moment nobody knows whether the commit took place:
    /// `STORE_UNAVAILABLE`, and a retry with the same `request_id` finds out.
    pub async fn commit(self) -> Result<(), Fault> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// Rolls back and waits for it; dropping the transaction does the same in the background.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE` when the database is lost; nothing was written then either.
    pub async fn rollback(self) -> Result<(), Fault> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await?,
            Self::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }

    /// The connection that runs the transaction.
    #[doc(hidden)]
    pub fn connection(&mut self) -> TxRef<'_> {
        match self {
            Self::Sqlite(tx) => TxRef::Sqlite(&mut *tx),
            Self::Postgres(tx) => TxRef::Postgres(&mut *tx),
        }
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tx")
    }
}

/// The number of rows that a statement changed: what `execute` gives differs between the
/// databases, this does not.
///
/// ```ignore
/// use millgate_platform::Affected as _;
/// let changed: u64 = on_write!(db, |c| sqlx::query(SQL).bind(id).execute(c).await.affected())?;
/// ```
pub trait Affected {
    /// How many rows were inserted, updated or deleted.
    ///
    /// # Errors
    /// The statement's own.
    fn affected(self) -> Result<u64, sqlx::Error>;
}

impl Affected for Result<sqlx::sqlite::SqliteQueryResult, sqlx::Error> {
    fn affected(self) -> Result<u64, sqlx::Error> {
        self.map(|done| done.rows_affected())
    }
}

impl Affected for Result<sqlx::postgres::PgQueryResult, sqlx::Error> {
    fn affected(self) -> Result<u64, sqlx::Error> {
        self.map(|done| done.rows_affected())
    }
}

/// Runs a body that only reads: on SQLite's pool of readers or on PostgreSQL's pool.
///
/// The body names the pool, e.g. `|c| sqlx::query(SQL).fetch_one(c).await`, and gives a
/// `Result<_, sqlx::Error>`. It is compiled once for each database.
#[macro_export]
macro_rules! on {
    ($db:expr, |$c:ident| $body:expr) => {
        match $db.reader() {
            $crate::database::PoolRef::Sqlite($c) => $body,
            $crate::database::PoolRef::Postgres($c) => $body,
        }
    };
}

/// Runs a body with one statement that writes: on SQLite's writer or on PostgreSQL's pool.
///
/// Both arms must give the same type: end a plain `execute` with
/// [`.affected()`](crate::Affected::affected).
#[macro_export]
macro_rules! on_write {
    ($db:expr, |$c:ident| $body:expr) => {
        match $db.writer() {
            $crate::database::PoolRef::Sqlite($c) => $body,
            $crate::database::PoolRef::Postgres($c) => $body,
        }
    };
}

/// Runs a body inside a transaction ([`Tx`] or `&mut Tx`). The body gets `&mut` to the
/// connection; where it uses it twice, it says `&mut *c`. End a plain `execute` with
/// [`.affected()`](crate::Affected::affected), so that both arms give the same type.
#[macro_export]
macro_rules! on_tx {
    ($tx:expr, |$c:ident| $body:expr) => {
        match $tx.connection() {
            $crate::database::TxRef::Sqlite($c) => $body,
            $crate::database::TxRef::Postgres($c) => $body,
        }
    };
}
