//! The SQL: each statement once, for both databases. A statement stands whole above the function that runs it, and a
//! constraint that speaks is named beside it.

pub(crate) mod access_tokens;
pub(crate) mod audit;
pub(crate) mod imports;
pub(crate) mod login_challenges;
pub(crate) mod password_resets;
pub(crate) mod refresh_tokens;
pub(crate) mod revoked_tokens;
pub(crate) mod second_factors;
pub(crate) mod secrets_check;
pub(crate) mod service_account_secrets;
pub(crate) mod service_accounts;
pub(crate) mod session_list;
pub(crate) mod sessions;
pub(crate) mod standing;
pub(crate) mod throttle;
pub(crate) mod trust;
pub(crate) mod user_list;
pub(crate) mod users;

#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod second_factor_tests;
#[cfg(test)]
mod tests;

use millgate_platform::{Fault, Migrations, Tx};

/// The schema.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("migrations/sqlite"),
    postgres: sqlx::migrate!("migrations/postgres"),
};

/// A statement that reads rows and holds them until the end of the transaction.
///
/// The one place where the databases differ: on PostgreSQL it ends in FOR UPDATE, which SQLite neither knows nor needs,
/// because a transaction holds its whole database from the beginning. (An UPDATE that changes nothing would lock on
/// both, but PostgreSQL checks the foreign keys of a row that is updated twice in one transaction, which takes the
/// referenced row too, and in the wrong order: a refresh and the deletion of its account would deadlock.)
struct Hold {
    sqlite: &'static str,
    postgres: &'static str,
}

impl Hold {
    const fn sql(&self, tx: &Tx) -> &'static str {
        match tx {
            Tx::Sqlite(_) => self.sqlite,
            Tx::Postgres(_) => self.postgres,
        }
    }
}

/// A [`Hold`] of the statement made of these pieces.
macro_rules! hold {
    ($($piece:expr),+) => {
        $crate::store::Hold { sqlite: concat!($($piece),+), postgres: concat!($($piece,)+ " FOR UPDATE") }
    };
}
use hold;

/// A row that no statement of ours can have written.
fn unreadable(what: &str) -> Fault {
    Fault::internal(format!("the database holds {what} that is not one"))
}
