//! The auth service: accounts, passwords, sessions, and the tokens that prove them.
//!
//! The way of a call: `service/` reads the request and writes the reply, `actions/` does the work in one transaction,
//! `domain/` holds the rules, `store/` the SQL. Before all of them stand the guard and [`standing`].

mod actions;
mod app;
mod audit;
mod config;
mod domain;
mod hashing;
pub mod import;
mod mail;
mod origin;
mod provision;
pub mod qr;
mod recovery;
mod running;
mod service;
mod standing;
mod start;
mod store;
mod sweep;
mod tokens;
mod trust;
mod wire;

pub use audit::verify::{Finding, FindingKind, Progress, Verification};
pub use config::{AdminPassword, Config, DatabaseUrl, FactorySecret, Registration};
pub use mail::{MailArgs, SmtpUrl};
pub use millgate_platform::Ambient;
pub use recovery::Recovery;
pub use start::{Prepared, prepare};
pub use store::MIGRATIONS;

/// What the fuzz targets reach that nobody else may.
#[cfg(feature = "fuzzing")]
pub mod fuzzing {
    /// Whether this text is a password's hash that an import takes.
    pub fn password_hash(text: &str) -> bool {
        crate::hashing::imported(text).is_ok()
    }
}
