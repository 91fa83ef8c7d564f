//! The trust feed: tells the guards of all services what is revoked, and keeps the key ring.
//!
//! What ends a right writes an event in its own transaction (the triggers of migration 0060). [`feed`] gives the
//! committed ones their numbers and tells them to the [`connection`]s; [`keeper`] rotates keys.

pub(crate) mod connection;
pub(crate) mod feed;
pub(crate) mod keeper;
mod seats;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millgate_guard::LiveRevocations;
use millgate_platform::{SharedClock, SharedEntropy};
use tokio::sync::broadcast;

use crate::domain::trust::Event;
use keeper::Keeper;
use seats::Seats;

/// Events that a slow connection may be behind before it is closed, and comes back to catch up.
const BEHIND: usize = 4096;
/// A guard that was not seen for this long has left: two and a half times [`connection::HEARTBEAT`].
const LEFT_AFTER: Duration = Duration::from_millis(12_500);
/// For this long a guard that is away is expected back: the longest pause between its attempts is 30 s, and a network
/// or an auth service may be away for minutes. After it, it is taken for stopped.
const EXPECTED_FOR: Duration = Duration::from_secs(10 * 60);

/// What the feed and its connections share.
pub(crate) struct Trust {
    /// What this service itself refuses.
    pub(crate) known: Arc<LiveRevocations>,
    /// The key ring and its file.
    pub(crate) keeper: Keeper,
    /// Which of the auth service's replicas this is.
    pub(crate) replica: String,
    events: broadcast::Sender<Arc<Event>>,
    seats: Arc<Seats>,
    /// Whether events are told at present. A guard must not hear that all is well from a replica that learns nothing.
    telling: AtomicBool,
}

impl Trust {
    /// A feed that has told nothing yet.
    pub(crate) fn new(keeper: Keeper, clock: SharedClock, entropy: &SharedEntropy) -> Self {
        Self {
            known: Arc::new(LiveRevocations::new(clock)),
            keeper,
            replica: entropy.uuid_v4().to_string(),
            events: broadcast::Sender::new(BEHIND),
            seats: Arc::default(),
            telling: AtomicBool::new(true),
        }
    }

    /// Says whether events are told from now on.
    fn tells(&self, telling: bool) {
        self.telling.store(telling, Ordering::Relaxed);
    }

    fn is_telling(&self) -> bool {
        self.telling.load(Ordering::Relaxed)
    }

    /// Takes an event for this service, and tells it to who is connected.
    fn tell(&self, event: Event) {
        if let Some(revocation) = event.revocation() {
            self.known.add(&revocation);
        }
        // Nobody may be connected.
        let _connections = self.events.send(Arc::new(event));
    }
}
