//! What the platform promises about both databases, run on both.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod constraints;
mod idempotency;
mod lost;
mod paging;
mod start;
mod transactions;

use millgate_platform::Migrations;

/// The schema of these tests. Touch this file when a migration is added: the macro does not
/// see new files by itself.
static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("tests/migrations/sqlite"),
    postgres: sqlx::migrate!("tests/migrations/postgres"),
};
