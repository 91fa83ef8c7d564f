//! Waking whoever waits for rows of a table that were just inserted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::sqlite::{SqliteConnection, SqliteOperation};
use tokio::sync::Notify;

use super::Database;
use crate::fault::Fault;

/// A table, and the bell of who waits for it.
type Waiting = (&'static str, Arc<Notify>);

/// Who waits for which table of a SQLite database. One process has the file, so it knows of every
/// insertion.
#[derive(Clone, Default)]
pub(crate) struct Inserts(Arc<Mutex<Vec<Waiting>>>);

impl Inserts {
    /// Learns of what this connection inserts.
    pub(super) async fn watch(self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        connection.lock_handle().await?.set_update_hook(move |row| {
            if row.operation == SqliteOperation::Insert {
                self.tell(row.table);
            }
        });
        Ok(())
    }

    fn wait_for(&self, table: &'static str) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        self.lock().push((table, notify.clone()));
        notify
    }

    /// Nobody waits when only this list holds the bell.
    fn tell(&self, table: &str) {
        let mut waiting = self.lock();
        waiting.retain(|(_, notify)| Arc::strong_count(notify) > 1);
        for (_, notify) in waiting.iter().filter(|(name, _)| *name == table) {
            notify.notify_one();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes when rows are inserted into one table, by this process or, on PostgreSQL, by any.
///
/// On SQLite it wakes while the transaction still runs: whoever then begins one of their own waits
/// for its end, as it is the only writer. On PostgreSQL the table needs a trigger that notifies a
/// channel of the table's name, which tells at the commit.
pub struct Wake {
    bell: Bell,
}

enum Bell {
    Sqlite(Arc<Notify>),
    Postgres(Box<PgListener>),
}

impl Database {
    /// Waits for insertions into this table. On PostgreSQL this takes a connection beside the
    /// pool's.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE`.
    pub async fn wake(&self, table: &'static str) -> Result<Wake, Fault> {
        let bell = match self {
            Self::Sqlite(sqlite) => Bell::Sqlite(sqlite.inserts.wait_for(table)),
            Self::Postgres(pool) => {
                // A connection of its own: one that listens serves no call, and the pool may be of
                // one.
                let own = PgPoolOptions::new()
                    .max_connections(1)
                    .connect_lazy_with(pool.connect_options().as_ref().clone());
                let mut listener = PgListener::connect_with(&own).await?;
                listener.listen(table).await?;
                Bell::Postgres(Box::new(listener))
            }
        };
        Ok(Wake { bell })
    }
}

impl Wake {
    /// Waits for an insertion, or until `longest` is over: what was told while nobody listened is
    /// found by looking.
    pub async fn wait(&mut self, longest: Duration) {
        let rung = async {
            match &mut self.bell {
                Bell::Sqlite(notify) => notify.notified().await,
                // It connects again by itself; while it cannot, looking must do.
                Bell::Postgres(listener) => {
                    if let Err(error) = listener.recv().await {
                        tracing::warn!(%error, "the database tells nothing at present");
                        std::future::pending::<()>().await;
                    }
                }
            }
        };
        let _looked_anyway = tokio::time::timeout(longest, rung).await;
    }
}

impl std::fmt::Debug for Wake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wake").finish_non_exhaustive()
    }
}
