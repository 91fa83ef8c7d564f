//! Security events: who did what, through which session, from where, and why it was refused. Never a secret, and never
//! a name that somebody typed: people type passwords there.
//!
//! What changed something is written in the transaction of the change ([`Event::done`], [`Event::refused_in`]), so there
//! is no change without its event and no event without its change. What changed nothing ([`Event::refused`],
//! [`Event::noted`]) waits in memory for less than a second, and a flood of it is summed up ([`summary`]). The
//! [`sealer`] moves all of them into the chain, and tells each to the log target `millgate.audit` then.

pub(crate) mod checkpoints;
mod lines;
pub(crate) mod sealer;
mod summary;
pub(crate) mod verify;
pub(crate) mod witness;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millgate_platform::{Fault, Metrics, ServiceSecrets, StartError, Tx};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Semaphore;

use crate::app::App;
use crate::domain::Micros;
use crate::domain::audit::{Chain, Record};
use crate::origin::Origin;
use crate::store;

use checkpoints::CheckpointFile;
use sealer::Seen;
use summary::Summary;

/// One event.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Event<'a> {
    /// What was done or tried, such as `login`.
    pub(crate) what: &'static str,
    /// Why it was refused or done; empty where there is nothing to say.
    pub(crate) cause: &'static str,
    /// Who did it: a caller's key, such as `user:7`; empty for somebody who has not proved who they are.
    pub(crate) actor: &'a str,
    /// Whose account it was, where that is known.
    pub(crate) subject: Option<i64>,
    /// The service account that it was about; only one that there is.
    pub(crate) client_id: &'a str,
    /// The session that it was about.
    pub(crate) session: &'a str,
}

/// The outcome of what was done.
pub(crate) const DONE: &str = "done";
/// The outcome of what was refused.
pub(crate) const REFUSED: &str = "refused";
/// Verifications at once.
const VERIFICATIONS: usize = 2;

impl Event<'_> {
    /// Writes that it was done, in the transaction of the change.
    ///
    /// # Errors
    /// STORE_UNAVAILABLE; the change must then not be committed either.
    pub(crate) async fn done(self, tx: &mut Tx, app: &App, origin: &Origin) -> Result<(), Fault> {
        self.write(DONE, tx, app, origin).await
    }

    /// Writes that it was done `times` over, in the transaction of the changes: one row for a batch of equal ones.
    ///
    /// # Errors
    /// STORE_UNAVAILABLE; the changes must then not be committed either.
    pub(crate) async fn done_times(
        self,
        times: i64,
        tx: &mut Tx,
        app: &App,
        origin: &Origin,
    ) -> Result<(), Fault> {
        let record = Record {
            occurrences: times,
            ..self.record(DONE, app.now(), origin)
        };
        store::audit::add(tx, &record, &app.audit.chain.stamp(&record)).await
    }

    /// Writes, in the transaction of a change, that what was asked for was refused: such as a refresh token that came
    /// twice, whose session is ended.
    ///
    /// # Errors
    /// STORE_UNAVAILABLE; the change must then not be committed either.
    pub(crate) async fn refused_in(
        self,
        tx: &mut Tx,
        app: &App,
        origin: &Origin,
    ) -> Result<(), Fault> {
        self.write(REFUSED, tx, app, origin).await
    }

    /// Tells that it was refused, and nothing was changed. Waits for nothing; a flood is summed up.
    pub(crate) fn refused(self, app: &App, origin: &Origin) {
        app.audit
            .summary()
            .add(self.record(REFUSED, app.now(), origin), origin.network);
    }

    /// Tells that it was done where nothing was changed, such as a service's token. As [`Event::refused`].
    pub(crate) fn noted(self, app: &App, origin: &Origin) {
        app.audit
            .summary()
            .add(self.record(DONE, app.now(), origin), origin.network);
    }

    async fn write(
        self,
        outcome: &'static str,
        tx: &mut Tx,
        app: &App,
        origin: &Origin,
    ) -> Result<(), Fault> {
        let record = self.record(outcome, app.now(), origin);
        store::audit::add(tx, &record, &app.audit.chain.stamp(&record)).await
    }

    fn record(self, outcome: &str, time: Micros, origin: &Origin) -> Record {
        Record {
            time,
            event: self.what.to_owned(),
            outcome: outcome.to_owned(),
            cause: self.cause.to_owned(),
            actor: self.actor.to_owned(),
            subject: self.subject,
            client_id: self.client_id.to_owned(),
            session: self.session.to_owned(),
            address: origin.address.clone(),
            request_id: origin.request_id.clone(),
            occurrences: 1,
        }
    }
}

/// What the service keeps for its audit log.
pub(crate) struct Audit {
    /// The keys of the chain.
    pub(crate) chain: Arc<Chain>,
    /// The checkpoints outside the database.
    pub(crate) file: CheckpointFile,
    /// Where they are.
    pub(crate) path: PathBuf,
    /// Lets a few verifications through at once: each reads the whole log.
    pub(crate) verifications: Arc<Semaphore>,
    summary: Mutex<Summary>,
    /// Held by a pass of the sealer.
    pass: tokio::sync::Mutex<()>,
    seen: Mutex<Seen>,
    pending: Gauge,
    failures: Counter,
}

impl Audit {
    /// Opens the file of the checkpoints.
    ///
    /// # Errors
    /// When it cannot be opened or made.
    pub(crate) fn open(secrets: &ServiceSecrets, checkpoints: &Path) -> Result<Self, StartError> {
        let chain = Arc::new(Chain::new(secrets));
        Ok(Self {
            file: CheckpointFile::open(checkpoints)?,
            path: checkpoints.to_owned(),
            verifications: Arc::new(Semaphore::new(VERIFICATIONS)),
            summary: Mutex::new(Summary::default()),
            pass: tokio::sync::Mutex::default(),
            seen: Mutex::new(Seen::default()),
            pending: Gauge::default(),
            failures: Counter::default(),
            chain,
        })
    }

    /// Shows how many events wait and how often sealing failed.
    pub(crate) fn register(&self, metrics: &Metrics) {
        metrics.register(|registry| {
            registry.register(
                "audit_pending",
                "Audit events that wait to be sealed",
                self.pending.clone(),
            );
            registry.register(
                "audit_failures",
                "Times that audit events could not be written, sealed or vouched for",
                self.failures.clone(),
            );
        });
    }

    fn summary(&self) -> MutexGuard<'_, Summary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
