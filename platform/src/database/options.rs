//! The settings of a database that every service shares.

use std::time::Duration;

use crate::config::{duration_text, positive_duration};

/// How a service uses its database. The URL itself belongs to the service.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseOptions {
    /// Connections at most: PostgreSQL's pool, or SQLite's readers (it has one writer).
    #[arg(
        id = "database_connections",
        long = "database-connections",
        env = "MILLGATE_DATABASE_CONNECTIONS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub connections: u32,

    /// How long a call waits for a connection before it answers STORE_UNAVAILABLE. Keep it
    /// below the request deadline.
    #[arg(
        id = "database_acquire_timeout",
        long = "database-acquire-timeout",
        env = "MILLGATE_DATABASE_ACQUIRE_TIMEOUT",
        default_value = "3s",
        value_parser = positive_duration
    )]
    pub acquire_timeout: Duration,

    /// How long one statement may run before the database stops it. Migrations are exempt.
    #[arg(
        id = "database_statement_timeout",
        long = "database-statement-timeout",
        env = "MILLGATE_DATABASE_STATEMENT_TIMEOUT",
        default_value = "10s",
        value_parser = positive_duration
    )]
    pub statement_timeout: Duration,

    /// How long a start waits for another replica that runs the migrations.
    #[arg(
        id = "database_migration_timeout",
        long = "database-migration-timeout",
        env = "MILLGATE_DATABASE_MIGRATION_TIMEOUT",
        default_value = "5m",
        value_parser = positive_duration
    )]
    pub migration_timeout: Duration,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self {
            connections: 10,
            acquire_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(10),
            migration_timeout: Duration::from_secs(300),
        }
    }
}

impl DatabaseOptions {
    /// One line for the log of a start.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} connections, acquire within {}",
            self.connections,
            duration_text(self.acquire_timeout)
        )
    }
}
