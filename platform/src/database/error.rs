//! What a database error means: a broken rule of the schema, a database that is gone, or a
//! defect of ours.

use std::borrow::Cow;

use sqlx::{
    error::{DatabaseError, ErrorKind},
    postgres::{PgDatabaseError, PgSeverity},
    sqlite::SqliteError,
};

use crate::fault::{Fault, Reason};

/// Which kind of constraint refused a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViolationKind {
    /// A unique or primary key.
    Unique,
    /// A CHECK.
    Check,
    /// A foreign key.
    ForeignKey,
}

/// A constraint that refused a statement, named the same on both databases.
///
/// | kind | `constraint` |
/// | --- | --- |
/// | unique | `table.column`, several columns joined by `_`: `users.username_canonical` |
/// | primary key | `table.pkey` |
/// | check | the constraint's own name |
/// | foreign key | empty: SQLite does not say which one |
///
/// For this to hold, the migrations of PostgreSQL give unique constraints and indexes the
/// names that PostgreSQL itself would give (`<table>_<column>[_<column>]_key`,
/// `<table>_pkey`, at most 63 bytes), CHECK constraints have one name in both folders, and
/// unique indexes are over columns, not expressions (a canonical column instead).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation<'a> {
    /// What kind of rule it is.
    pub kind: ViolationKind,
    /// Its name; see the table above.
    pub constraint: Cow<'a, str>,
}

impl Violation<'_> {
    /// Whether it is this unique constraint, e.g. `users.username_canonical`.
    pub fn is_unique(&self, constraint: &str) -> bool {
        self.kind == ViolationKind::Unique && self.constraint == constraint
    }

    /// Whether it is this CHECK constraint.
    pub fn is_check(&self, constraint: &str) -> bool {
        self.kind == ViolationKind::Check && self.constraint == constraint
    }

    /// Whether it is a foreign key.
    pub fn is_foreign_key(&self) -> bool {
        self.kind == ViolationKind::ForeignKey
    }
}

/// The constraint that this error reports, if it reports one.
pub fn violated(error: &sqlx::Error) -> Option<Violation<'_>> {
    let error = error.as_database_error()?;
    let kind = match error.kind() {
        ErrorKind::UniqueViolation => ViolationKind::Unique,
        ErrorKind::CheckViolation => ViolationKind::Check,
        ErrorKind::ForeignKeyViolation => ViolationKind::ForeignKey,
        _ => return None,
    };
    let constraint = match kind {
        ViolationKind::ForeignKey => Cow::Borrowed(""),
        ViolationKind::Check if is_sqlite(error) => Cow::Borrowed(after_colon(error.message())),
        ViolationKind::Check => Cow::Borrowed(error.constraint().unwrap_or_default()),
        ViolationKind::Unique if is_sqlite(error) => sqlite_unique(error),
        ViolationKind::Unique => postgres_unique(error),
    };
    Some(Violation { kind, constraint })
}

fn is_sqlite(error: &dyn DatabaseError) -> bool {
    error.try_downcast_ref::<SqliteError>().is_some()
}

/// `UNIQUE constraint failed: users.a, users.b` -> `users.a, users.b`
fn after_colon(message: &str) -> &str {
    message
        .rsplit_once("constraint failed: ")
        .map_or(message, |(_, name)| name)
}

const SQLITE_CONSTRAINT_PRIMARYKEY: &str = "1555";

fn sqlite_unique(error: &dyn DatabaseError) -> Cow<'_, str> {
    let is_primary = error
        .code()
        .is_some_and(|code| code == SQLITE_CONSTRAINT_PRIMARYKEY);
    name_sqlite_unique(after_colon(error.message()), is_primary)
}

fn name_sqlite_unique(columns: &str, is_primary: bool) -> Cow<'_, str> {
    let Some((table, _)) = columns.split_once('.') else {
        return Cow::Borrowed(columns);
    };
    if is_primary {
        return Cow::Owned(format!("{table}.pkey"));
    }
    if !columns.contains(", ") {
        return Cow::Borrowed(columns);
    }
    let bare: Vec<_> = columns
        .split(", ")
        .map(|column| column.split_once('.').map_or(column, |(_, name)| name))
        .collect();
    Cow::Owned(format!("{table}.{}", bare.join("_")))
}

fn postgres_unique(error: &dyn DatabaseError) -> Cow<'_, str> {
    name_postgres_unique(
        error.table().unwrap_or_default(),
        error.constraint().unwrap_or_default(),
    )
}

fn name_postgres_unique<'a>(table: &str, constraint: &'a str) -> Cow<'a, str> {
    let rest = constraint
        .strip_prefix(table)
        .and_then(|rest| rest.strip_prefix('_'));
    match rest {
        Some("pkey") => Cow::Owned(format!("{table}.pkey")),
        Some(rest) => {
            let columns = rest.strip_suffix("_key").unwrap_or(rest);
            Cow::Owned(format!("{table}.{columns}"))
        }
        None => Cow::Borrowed(constraint),
    }
}

impl From<sqlx::Error> for Fault {
    /// Everything that the store did not name itself: a database that is gone or too busy is
    /// `STORE_UNAVAILABLE` and worth a retry; the rest is a defect.
    fn from(error: sqlx::Error) -> Self {
        let reason = match &error {
            sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::WorkerCrashed => Reason::StoreUnavailable,
            sqlx::Error::Database(database) => database_reason(database.as_ref()),
            _ => Reason::Internal,
        };
        let message = match reason {
            Reason::StoreUnavailable => "the database cannot be reached, try again",
            Reason::Deadline => "the database took too long",
            Reason::MessageMalformed => "a text contains a character that cannot be stored",
            _ => "a statement failed",
        };
        Fault::new(reason, message).with_source(error)
    }
}

fn database_reason(error: &dyn DatabaseError) -> Reason {
    let code = error.code().unwrap_or_default();
    match error.try_downcast_ref::<PgDatabaseError>() {
        // The server ended the session over it; no statement of ours does that.
        Some(error) if matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic) => {
            Reason::StoreUnavailable
        }
        Some(_) => postgres_reason(&code),
        None => code.parse().map_or(Reason::Internal, sqlite_reason),
    }
}

/// SQLSTATE classes, PostgreSQL manual appendix A.
fn postgres_reason(code: &str) -> Reason {
    match code {
        // query_canceled: the statement timeout.
        "57014" => Reason::Deadline,
        // A text with U+0000 is good UTF-8 and good protobuf, but PostgreSQL cannot hold it.
        "22021" | "22P05" => Reason::MessageMalformed,
        // Serialization failure, deadlock, lock timeout: the same call may pass next time.
        "40001" | "40P01" | "55P03" => Reason::StoreUnavailable,
        // read_only_sql_transaction: a standby, until the failover is done.
        "25006" => Reason::StoreUnavailable,
        // Our own safety net ended the session.
        "25P03" => Reason::StoreUnavailable,
        // Connection, resources, operator intervention, system error; a name or a password
        // that the server refuses for the moment.
        _ if ["08", "53", "57", "58", "28", "3D"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            Reason::StoreUnavailable
        }
        _ => Reason::Internal,
    }
}

/// Primary result codes, <https://www.sqlite.org/rescode.html>. The low byte of an extended
/// code is its primary one.
fn sqlite_reason(code: i32) -> Reason {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const READONLY: i32 = 8;
    const INTERRUPT: i32 = 9;
    const IOERR: i32 = 10;
    const FULL: i32 = 13;
    const CANTOPEN: i32 = 14;
    const PROTOCOL: i32 = 15;
    match code & 0xff {
        BUSY | LOCKED | READONLY | INTERRUPT | IOERR | FULL | CANTOPEN | PROTOCOL => {
            Reason::StoreUnavailable
        }
        _ => Reason::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_name_a_unique_key_alike() {
        let sqlite = name_sqlite_unique("users.username_canonical", false);
        let postgres = name_postgres_unique("users", "users_username_canonical_key");
        assert_eq!(
            (&*sqlite, &*postgres),
            ("users.username_canonical", "users.username_canonical")
        );

        let sqlite = name_sqlite_unique("lines.order_id, lines.position", false);
        let postgres = name_postgres_unique("lines", "lines_order_id_position_key");
        assert_eq!(
            (&*sqlite, &*postgres),
            ("lines.order_id_position", "lines.order_id_position")
        );

        let sqlite = name_sqlite_unique("users.id", true);
        let postgres = name_postgres_unique("users", "users_pkey");
        assert_eq!((&*sqlite, &*postgres), ("users.pkey", "users.pkey"));
    }

    #[test]
    fn a_lost_or_busy_database_is_unavailable_and_a_wrong_statement_is_ours() {
        for code in ["57P01", "57P03", "08006", "53300", "40P01", "40001"] {
            assert_eq!(postgres_reason(code), Reason::StoreUnavailable, "{code}");
        }
        assert_eq!(postgres_reason("42601"), Reason::Internal);
        assert_eq!(sqlite_reason(5 | (2 << 8)), Reason::StoreUnavailable);
        assert_eq!(sqlite_reason(1), Reason::Internal);
        let lost = Fault::from(sqlx::Error::PoolTimedOut);
        assert_eq!(lost.reason(), Reason::StoreUnavailable);
    }
}
