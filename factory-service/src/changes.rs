//! The feed of changes: numbers what was committed, and wakes who watches.
//!
//! Nobody who watches holds a connection or rows: they wait for the newest number. Those who have seen everything before
//! it share the changes that came with it, which are read once for all of them; who is behind reads from the database,
//! some at a time. So a slow reader costs one batch of memory, whatever happens meanwhile, and a thousand quick ones cost
//! the database no more than one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millgate_platform::{Database, Fault, Reason};
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::store::change::{self as store, Owned};

/// How often the database is asked for what nobody told: the changes of another process on one SQLite file, or of a
/// replica that died between a commit and its publication.
const POLL: Duration = Duration::from_secs(1);
/// How long what was committed is gathered before it is published.
const GATHER: Duration = Duration::from_millis(5);
/// The least time from one publication to the next: where much happens, a transaction for every few changes would slow the
/// writers.
const APART: Duration = Duration::from_millis(25);
/// How long a listener that lost its connection waits for the next try.
const RECONNECT: Duration = Duration::from_secs(1);
/// The most streams that one caller watches at once.
const STREAMS_OF_A_CALLER: usize = 10;
/// The most changes that are shared at once: more than a usual publication has.
const MOST_FRESH: i64 = 128;
/// The most bytes that they show.
const MOST_FRESH_BYTES: usize = 1024 * 1024;

/// How far the changes have come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    /// The newest number that this process has heard of.
    pub newest: i64,
    /// What came with it; none where nobody watched, or where it is much. It is gone with the next change, so that what is
    /// erased from the log is gone from here too: an erasure is a change.
    pub fresh: Option<Arc<Fresh>>,
}

/// All changes between two numbers.
#[derive(Debug)]
pub(crate) struct Fresh {
    /// The number before the first of them.
    pub after: i64,
    /// In their order.
    pub changes: Vec<Owned>,
}

/// What is known of the newest change, and who watches.
#[derive(Debug)]
pub(crate) struct Feed {
    db: Database,
    committed: Notify,
    head: watch::Sender<Head>,
    streams: Mutex<HashMap<String, usize>>,
}

/// The right to one more stream; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    feed: Arc<Feed>,
    caller: String,
}

impl Feed {
    /// A feed of the changes of this database.
    pub(crate) fn new(db: Database) -> Self {
        Self {
            db,
            committed: Notify::new(),
            head: watch::Sender::default(),
            streams: Mutex::new(HashMap::new()),
        }
    }

    /// Something was committed here.
    pub(crate) fn committed(&self) {
        self.committed.notify_one();
    }

    /// How far the changes have come, as they go on.
    pub(crate) fn head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// A seat for one more stream of this caller.
    ///
    /// # Errors
    /// STREAM_LIMIT.
    pub(crate) fn seat(self: &Arc<Self>, caller: &str) -> Result<Seat, Fault> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let open = streams.entry(caller.to_owned()).or_default();
        if *open >= STREAMS_OF_A_CALLER {
            return Err(Fault::new(
                Reason::StreamLimit,
                format!("a caller watches at most {STREAMS_OF_A_CALLER} streams at once"),
            ));
        }
        *open += 1;
        Ok(Seat {
            feed: self.clone(),
            caller: caller.to_owned(),
        })
    }

    /// Publishes what is committed and tells how far that is.
    async fn refresh(&self) -> Result<(), Fault> {
        let newest = store::publish(&self.db).await?;
        let known = self.head.borrow().newest;
        if newest > known {
            let fresh = self.fresh(known, newest).await?;
            self.head.send_replace(Head { newest, fresh });
        }
        Ok(())
    }

    /// What is new, for those who have seen all that is known.
    async fn fresh(&self, after: i64, newest: i64) -> Result<Option<Arc<Fresh>>, Fault> {
        if self.head.receiver_count() == 0 || newest.saturating_sub(after) > MOST_FRESH {
            return Ok(None);
        }
        let changes = store::all_between(&self.db, (after, newest), MOST_FRESH).await?;
        let weight: usize = changes.iter().map(|new| new.change.weight()).sum();
        let fresh = Fresh { after, changes };
        Ok((weight <= MOST_FRESH_BYTES).then(|| Arc::new(fresh)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut streams = self
            .feed
            .streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = streams.get_mut(&self.caller) {
            *open -= 1;
            if *open == 0 {
                streams.remove(&self.caller);
            }
        }
    }
}

/// Runs until it is dropped.
pub(crate) async fn run(feed: Arc<Feed>) {
    tokio::select! {
        () = refresh(&feed) => {}
        () = listen(&feed) => {}
    }
}

async fn refresh(feed: &Feed) {
    let mut is_failing = false;
    loop {
        let next = Instant::now() + APART;
        let refreshed = feed.refresh().await;
        if let Err(fault) = &refreshed
            && !is_failing
        {
            tracing::warn!(%fault, "the feed of changes stands still");
        }
        is_failing = refreshed.is_err();
        tokio::select! {
            () = feed.committed.notified(), if !is_failing => {
                tokio::time::sleep_until(next.max(Instant::now() + GATHER)).await;
            }
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Hears of what other replicas have published. The poll behind it makes up for whatever is lost.
async fn listen(feed: &Feed) {
    let Database::Postgres(pool) = &feed.db else {
        return std::future::pending().await;
    };
    // A connection of its own: one that listens serves no request, and the pool may be of one.
    let own = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(pool.connect_options().as_ref().clone());
    loop {
        if let Ok(mut listener) = PgListener::connect_with(&own).await
            && listener.listen(store::CHANNEL).await.is_ok()
        {
            while listener.recv().await.is_ok() {
                feed.committed();
            }
        }
        tokio::time::sleep(RECONNECT).await;
    }
}
