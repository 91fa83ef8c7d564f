//! The feed of changes: numbers what was committed, and wakes who watches.
//!
//! Nobody who watches holds a connection or rows: they wait for the newest number, and read what is new from the
//! database, some at a time. So a slow reader costs one batch of memory, whatever happens meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millgate_platform::{Database, Fault, Reason};
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::{Notify, watch};

use crate::store::change as store;

/// How often the database is asked for what nobody told: the changes of another process on one SQLite file, or of a
/// replica that died between a commit and its publication.
const POLL: Duration = Duration::from_secs(1);
/// How long what was committed is gathered before it is published: a transaction for each would only slow the others.
const GATHER: Duration = Duration::from_millis(5);
/// How long a listener that lost its connection waits for the next try.
const RECONNECT: Duration = Duration::from_secs(1);
/// The most streams that one caller watches at once.
const STREAMS_OF_A_CALLER: usize = 10;

/// What is known of the newest change, and who watches.
#[derive(Debug)]
pub(crate) struct Feed {
    db: Database,
    committed: Notify,
    head: watch::Sender<i64>,
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
            head: watch::Sender::new(0),
            streams: Mutex::new(HashMap::new()),
        }
    }

    /// Something was committed here.
    pub(crate) fn committed(&self) {
        self.committed.notify_one();
    }

    /// The newest number that this process has heard of, as it grows.
    pub(crate) fn head(&self) -> watch::Receiver<i64> {
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
        while store::publish(&self.db).await? {}
        let head = store::head(&self.db).await?;
        self.head.send_if_modified(|known| {
            let is_new = head > *known;
            *known = head.max(*known);
            is_new
        });
        Ok(())
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
        let refreshed = feed.refresh().await;
        if let Err(fault) = &refreshed
            && !is_failing
        {
            tracing::warn!(%fault, "the feed of changes stands still");
        }
        is_failing = refreshed.is_err();
        tokio::select! {
            () = feed.committed.notified(), if !is_failing => tokio::time::sleep(GATHER).await,
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
