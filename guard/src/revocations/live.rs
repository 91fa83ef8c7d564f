//! The revocations that a running service knows.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::Revocations;
use super::entry::{Revocation, Target};
use super::table::{Entry, Names, Table};
use crate::ambient::SharedClock;
use crate::claims::Claims;
use crate::refusal::Refusal;
use crate::verify::LONGEST_LEEWAY;

/// [`LONGEST_LEEWAY`], in seconds.
const LEEWAY_SECONDS: i64 = LONGEST_LEEWAY.as_secs().cast_signed();

/// Nothing was heard yet.
const NEVER: i64 = i64::MIN;

const TOKEN: u8 = 0;
const SESSION: u8 = 1;
const USER: u8 = 2;
const SERVICE: u8 = 3;

/// What is refused before it expires, in memory, fed by a [`crate::TrustFeed`] or by the one who
/// revokes. Asking takes no lock.
pub struct LiveRevocations {
    names: Names,
    /// Tokens and sessions.
    marks: Table<()>,
    /// The limits of people and of service accounts.
    limits: Table<i64>,
    keys: ArcSwap<Vec<String>>,
    clock: SharedClock,
    /// In microseconds; none: what is known counts however old it is.
    max_staleness: Option<i64>,
    /// When what is known was last up to date, in microseconds since the Unix epoch.
    heard_at: AtomicI64,
    progress: Mutex<Progress>,
    changes: watch::Sender<u64>,
    complete: watch::Sender<bool>,
}

/// How far a feed was followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Which feed it was: another database counts anew.
    pub(crate) feed: String,
    /// The last event that is known; zero before the first snapshot.
    pub(crate) sequence: i64,
}

/// Numbers for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many revocations are known.
    pub entries: usize,
    /// The last event of the feed that is known.
    pub sequence: i64,
    /// How long ago the feed last said that nothing is missing here: with a whole snapshot, the next
    /// event, or a heartbeat. None before the first time.
    pub staleness: Option<Duration>,
    /// Whether a first snapshot has arrived.
    pub complete: bool,
}

impl LiveRevocations {
    /// Knows nothing yet, and goes on with what it knows however old that is.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self {
            names: Names::new(),
            marks: Table::new(),
            limits: Table::new(),
            keys: ArcSwap::default(),
            clock,
            max_staleness: None,
            heard_at: AtomicI64::new(NEVER),
            progress: Mutex::default(),
            changes: watch::Sender::new(0),
            complete: watch::Sender::new(false),
        }
    }

    /// Refuses everybody with REVOCATION_UNAVAILABLE while what is known has not been up to date for
    /// longer than this, and before the first snapshot. Parts of a snapshot do not count until the last
    /// one has come, nor does an event behind a gap.
    #[must_use]
    pub fn with_max_staleness(mut self, limit: Duration) -> Self {
        self.max_staleness = Some(micros(limit));
        self
    }

    /// Adds a revocation, and wakes the streams that it may end. Adding one twice, or an older one
    /// after a newer, changes nothing.
    pub fn add(&self, revocation: &Revocation) {
        let _turn = self.turn();
        self.take(revocation);
        self.tell();
    }

    /// Takes these in place of everything that is known.
    pub fn replace(&self, revocations: &[Revocation]) {
        let _turn = self.turn();
        self.replace_all(revocations);
        self.tell();
    }

    /// Says that what is known is up to date: somebody who would know has just been heard.
    pub fn heard(&self) {
        self.heard_at
            .store(self.clock.now_micros(), Ordering::Relaxed);
    }

    /// Says that everything is known that was revoked before: [`LiveRevocations::completed`] is
    /// over.
    pub fn complete(&self) {
        self.heard();
        self.complete.send_replace(true);
    }

    /// Waits until everything is known that was revoked before this service began.
    pub async fn completed(&self) {
        let mut complete = self.complete.subscribe();
        // Fails when the sender is gone, and that lives in here.
        let _complete = complete.wait_for(|complete| *complete).await;
    }

    /// Drops what is over, [`LONGEST_LEEWAY`] after everything that it refuses has expired. The feed
    /// does so now and then.
    pub fn sweep(&self) {
        let _turn = self.turn();
        let over = clamped(self.clock.now_seconds().saturating_sub(LEEWAY_SECONDS));
        self.marks.sweep(over);
        self.limits.sweep(over);
    }

    /// Numbers for the metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let heard_at = self.heard_at.load(Ordering::Relaxed);
        // In this order: what is said to be complete is counted as a whole.
        let complete = *self.complete.borrow();
        let progress = self.turn();
        Stats {
            entries: self.marks.len() + self.limits.len() + self.keys.load().len(),
            sequence: progress.sequence,
            staleness: (heard_at != NEVER).then(|| self.silence(heard_at)),
            complete,
        }
    }

    /// How far the feed was followed.
    pub(crate) fn progress(&self) -> Progress {
        self.turn().clone()
    }

    /// Takes a whole snapshot of a feed.
    pub(crate) fn begin(&self, progress: Progress, revocations: &[Revocation]) {
        let mut turn = self.turn();
        self.replace_all(revocations);
        *turn = progress;
        drop(turn);
        self.tell();
        self.complete();
    }

    /// Takes the next event of the feed that is followed. False when one before it is missing:
    /// then the revocation counts all the same, and the feed must be begun anew.
    pub(crate) fn follow(&self, sequence: i64, revocation: Option<&Revocation>) -> bool {
        let mut turn = self.turn();
        if let Some(revocation) = revocation {
            self.take(revocation);
        }
        let gapless = turn.sequence > 0 && sequence <= turn.sequence.saturating_add(1);
        if gapless {
            turn.sequence = turn.sequence.max(sequence);
        } else {
            turn.sequence = 0;
        }
        drop(turn);
        if revocation.is_some() {
            self.tell();
        }
        // One behind a gap says that something is not known.
        if gapless {
            self.heard();
        }
        gapless
    }

    fn replace_all(&self, revocations: &[Revocation]) {
        let (mut marks, mut limits, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for revocation in revocations {
            match self.entry(revocation) {
                Kept::Mark(entry) => marks.push(entry),
                Kept::Limit(entry) => limits.push(entry),
                Kept::Key(kid) => keys.push(kid.to_owned()),
            }
        }
        self.marks.replace(marks);
        self.limits.replace(limits);
        self.keys.store(Arc::new(keys));
    }

    fn take(&self, revocation: &Revocation) {
        match self.entry(revocation) {
            Kept::Mark(entry) => self.marks.add(entry),
            Kept::Limit(entry) => self.limits.add(entry),
            Kept::Key(kid) => {
                let mut keys = Vec::clone(&self.keys.load());
                if !keys.iter().any(|held| held == kid) {
                    keys.push(kid.to_owned());
                    self.keys.store(Arc::new(keys));
                }
            }
        }
    }

    fn entry<'a>(&self, revocation: &'a Revocation) -> Kept<'a> {
        let expires_at = clamped(revocation.expires_at);
        let mark = |kind, text| {
            Kept::Mark(Entry {
                name: self.names.of(kind, text),
                expires_at,
                value: (),
            })
        };
        let limit = |kind, text, value| {
            Kept::Limit(Entry {
                name: self.names.of(kind, text),
                expires_at,
                value,
            })
        };
        match &revocation.target {
            Target::Token(id) => mark(TOKEN, id),
            Target::Session(id) => mark(SESSION, id),
            Target::User {
                subject,
                generation,
            } => limit(USER, subject, *generation),
            Target::Service {
                client_id,
                issued_until,
            } => limit(SERVICE, client_id, *issued_until),
            Target::Key(kid) => Kept::Key(kid),
        }
    }

    /// Wakes the streams; each asks whether it is meant.
    fn tell(&self) {
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    fn is_marked(&self, kind: u8, text: &str) -> bool {
        self.marks.get(self.names.of(kind, text)).is_some()
    }

    fn limit(&self, kind: u8, text: &str) -> Option<i64> {
        self.limits.get(self.names.of(kind, text))
    }

    fn is_stale(&self) -> bool {
        self.max_staleness.is_some_and(|limit| {
            let heard_at = self.heard_at.load(Ordering::Relaxed);
            heard_at == NEVER || self.clock.now_micros().saturating_sub(heard_at) > limit
        })
    }

    fn silence(&self, heard_at: i64) -> Duration {
        let silent = self.clock.now_micros().saturating_sub(heard_at);
        Duration::from_micros(u64::try_from(silent).unwrap_or_default())
    }

    fn turn(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Kept<'a> {
    Mark(Entry<()>),
    Limit(Entry<i64>),
    Key(&'a str),
}

impl Revocations for LiveRevocations {
    fn refuses(&self, claims: &Claims) -> Option<Refusal> {
        if self.is_stale() {
            return Some(Refusal::RevocationUnavailable);
        }
        let (marks, limits) = (self.marks.len() > 0, self.limits.len() > 0);
        if marks && self.is_marked(TOKEN, &claims.token_id) {
            return Some(Refusal::TokenRevoked);
        }
        if limits {
            let until = |client: &str| {
                self.limit(SERVICE, client)
                    .is_some_and(|until| claims.issued_at <= until)
            };
            let over = match claims.generation {
                Some(generation) => self
                    .limit(USER, &claims.subject)
                    .is_some_and(|lowest| generation < lowest),
                None => until(&claims.subject),
            };
            if over || claims.actors.iter().any(|actor| until(actor)) {
                return Some(Refusal::TokenRevoked);
            }
        }
        let session = claims.session.as_deref().filter(|_| marks);
        session
            .is_some_and(|session| self.is_marked(SESSION, session))
            .then_some(Refusal::SessionEnded)
    }

    fn refuses_key(&self, kid: &str) -> Option<Refusal> {
        let keys = self.keys.load();
        keys.iter()
            .any(|held| held == kid)
            .then_some(Refusal::TokenRevoked)
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        Some(self.changes.subscribe())
    }
}

impl fmt::Debug for LiveRevocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveRevocations")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Seconds as a table keeps them; what is beyond stays as long as it can.
fn clamped(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
