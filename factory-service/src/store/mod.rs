//! The factory's SQL: every statement once, for both databases.

use millgate_platform::{
    Database, Fault, Migrations, StartError, database::DatabaseOptions, database::Tx,
};
use secrecy::SecretString;

pub(crate) mod change;
pub(crate) mod customer;
pub(crate) mod email;
pub(crate) mod employee;
pub(crate) mod ledger;
pub(crate) mod listing;
pub(crate) mod login;
pub(crate) mod order;
pub(crate) mod placing;
pub(crate) mod product;
pub(crate) mod product_import;
pub(crate) mod production;
pub(crate) mod registration;
pub(crate) mod remembered;
pub(crate) mod report;
pub(crate) mod sound;
pub(crate) mod stock;
pub(crate) mod ticket;
pub(crate) mod ticket_part;

/// The schema, step by step.
pub(crate) static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("migrations/sqlite"),
    postgres: sqlx::migrate!("migrations/postgres"),
};

/// Opens the factory's database and brings its schema up to date.
///
/// # Errors
/// Names the setting that is wrong.
pub(crate) async fn open(
    url: &SecretString,
    options: &DatabaseOptions,
) -> Result<Database, StartError> {
    Database::open(url, &MIGRATIONS, options).await
}

/// Opens the factory's database as it is: for commands beside a service.
///
/// # Errors
/// Names the setting that is wrong; also where there is no database, or its schema is another version's.
pub(crate) async fn open_existing(
    url: &SecretString,
    options: &DatabaseOptions,
) -> Result<Database, StartError> {
    Database::open_existing(url, &MIGRATIONS, options).await
}

/// Where PostgreSQL must be told to lock the rows that it reads. SQLite has no such clause and needs none: a
/// transaction there is the only one that writes.
fn on_postgres<'a>(tx: &Tx, clause: &'a str) -> &'a str {
    match tx {
        Tx::Sqlite(_) => "",
        Tx::Postgres(_) => clause,
    }
}

/// Locks rows against every change but lets foreign keys refer to them.
const FOR_CHANGE: &str = " FOR NO KEY UPDATE";
/// Keeps rows from being deleted or locked with [`FOR_END`]; many may hold it at once.
const FOR_REFERENCE: &str = " FOR KEY SHARE";
/// Locks rows also against those who only want to refer to them.
const FOR_END: &str = " FOR UPDATE";

/// A row that says what no statement of ours writes.
fn bad_row(table: &str, id: impl std::fmt::Display, what: &str) -> Fault {
    Fault::internal(format!("{table} {id}: {what}"))
}

#[cfg(test)]
mod plans;
#[cfg(test)]
mod tests;
