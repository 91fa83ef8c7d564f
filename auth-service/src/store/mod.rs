//! The SQL: each statement once, for both databases. A statement stands whole above the function that runs it, and a
//! constraint that speaks is named beside it.

pub(crate) mod refresh_tokens;
pub(crate) mod secrets_check;
pub(crate) mod service_accounts;
pub(crate) mod sessions;
pub(crate) mod standing;
pub(crate) mod user_list;
pub(crate) mod users;

use millgate_platform::{Fault, Migrations};

/// The schema.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("migrations/sqlite"),
    postgres: sqlx::migrate!("migrations/postgres"),
};

/// A row that no statement of ours can have written.
fn unreadable(what: &str) -> Fault {
    Fault::internal(format!("the database holds {what} that is not one"))
}
