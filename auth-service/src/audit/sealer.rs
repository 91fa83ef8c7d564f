//! Moves events into the chain, one replica at a time, and vouches for where the chain is.

use std::sync::Arc;
use std::time::Duration;

use millgate_platform::Fault;
use prometheus_client::metrics::counter::Counter;

use super::{Audit, REFUSED};
use crate::app::App;
use crate::domain::audit::{Checkpoint, Head, Record, Sealed};
use crate::domain::{Micros, micros};
use crate::store;

/// How long an event waits at most, when all is well.
const INTERVAL: Duration = Duration::from_millis(500);
/// Events sealed in one transaction: 200 rows of 13 values are well below what a statement may bind (32,766 in SQLite),
/// and they hold SQLite's one writer for a few milliseconds.
const BATCH: i64 = 200;
/// Events written in one transaction from memory.
const WRITTEN_AT_ONCE: usize = 500;
/// Rows after which a checkpoint is made, and the time after which one is if there are new rows.
const CHECKPOINT_ROWS: i64 = 1_000;
const CHECKPOINT_AFTER: Duration = Duration::from_secs(60);
/// A graceful end does not wait longer for a database that is gone.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Seals now and then, until it is dropped. [`finish`] does the rest at a graceful end.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let own = app.clone();
        // In a task of its own, which goes on when this one is dropped: a commit that nobody waited for to the end may have
        // been made all the same, and its events would be written a second time.
        let pass = tokio::spawn(async move { told(&own.audit, pass(&own, false).await) });
        if let Err(error) = pass.await {
            tracing::error!(%error, "a pass over the audit events broke off");
        }
    }
}

/// Writes what is in memory, seals it, and makes a last checkpoint.
pub(crate) async fn finish(app: &Arc<App>) {
    match tokio::time::timeout(LAST_WORDS, pass(app, true)).await {
        Ok(done) => told(&app.audit, done),
        Err(_) => tracing::error!(
            "the end did not wait for the last audit events; those that were written are sealed at the next start"
        ),
    }
}

fn told(audit: &Audit, done: Result<(), Fault>) {
    if let Err(fault) = done {
        audit.failures.inc();
        tracing::error!(%fault, "audit events could not be written or sealed; the next pass tries again");
    }
}

async fn pass(app: &Arc<App>, ended: bool) -> Result<(), Fault> {
    let _alone = app.audit.pass.lock().await;
    write(app, ended).await?;
    while seal(app).await? == BATCH {}
    app.audit.pending.set(store::audit::waiting(&app.db).await?);
    vouch(app, ended).await
}

/// Writes the events that waited in memory.
async fn write(app: &App, ended: bool) -> Result<(), Fault> {
    let mut in_hand = InHand {
        records: app.audit.summary().take(app.now(), ended),
        audit: &app.audit,
    };
    while !in_hand.records.is_empty() {
        let some = in_hand.records.len().min(WRITTEN_AT_ONCE);
        write_some(app, &in_hand.records[..some]).await?;
        in_hand.records.drain(..some);
    }
    Ok(())
}

/// Events that are being written. Those that are not, because the database is away, go back to wait: an event is rather
/// told twice, where a commit was made and its answer was lost, than never.
struct InHand<'a> {
    records: Vec<Record>,
    audit: &'a Audit,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.audit
            .summary()
            .give_back(std::mem::take(&mut self.records));
    }
}

async fn write_some(app: &App, records: &[Record]) -> Result<(), Fault> {
    let mut tx = app.db.begin().await?;
    for record in records {
        store::audit::add(&mut tx, record, &app.audit.chain.stamp(record)).await?;
    }
    tx.commit().await
}

/// Seals some of the events that wait; says how many.
async fn seal(app: &App) -> Result<i64, Fault> {
    // A look without the writer's lock, which SQLite has only one of.
    if store::audit::waiting(&app.db).await? == 0 {
        return Ok(0);
    }
    let chain = &app.audit.chain;
    let mut tx = app.db.begin().await?;
    store::audit::begin(&mut tx, &chain.beginning()).await?;
    let Some(mut head) = store::audit::hold_head(&mut tx).await? else {
        return Ok(0);
    };
    app.audit.seen().doubt_head(head.seq, &app.audit.failures);
    let (mut rows, mut ids) = (Vec::new(), Vec::new());
    for (id, record, mac) in store::audit::pending(&mut tx, BATCH).await? {
        let record = if chain.is_stamped(&record, &mac) {
            record
        } else {
            foreign(app.now())
        };
        let sealed = chain.seal(head, record);
        head = Head {
            seq: sealed.seq,
            mac: sealed.mac,
        };
        rows.push(sealed);
        ids.push(id);
    }
    store::audit::append(&mut tx, &rows, &ids).await?;
    tx.commit().await?;
    app.audit.seen().sealed = head.seq;
    rows.iter().for_each(tell);
    Ok(i64::try_from(rows.len()).unwrap_or(BATCH))
}

/// What is sealed in the place of a row that none of us wrote: somebody has his hands in the database.
fn foreign(time: Micros) -> Record {
    Record {
        time,
        event: "audit".to_owned(),
        outcome: REFUSED.to_owned(),
        cause: "not_ours".to_owned(),
        actor: String::new(),
        subject: None,
        client_id: String::new(),
        session: String::new(),
        address: String::new(),
        request_id: String::new(),
        occurrences: 1,
    }
}

/// Tells the log target. Here and not at the call: what is told here has been committed, once, and in bounded number.
fn tell(row: &Sealed) {
    let Sealed { seq, record, .. } = row;
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    tracing::info!(
        target: "millgate.audit",
        seq,
        time = record.time,
        event = record.event,
        outcome = record.outcome,
        cause = given(&record.cause),
        actor = given(&record.actor),
        subject = record.subject,
        client_id = given(&record.client_id),
        session = given(&record.session),
        address = given(&record.address),
        request_id = given(&record.request_id),
        occurrences = record.occurrences,
        "{}", record.event
    );
}

/// What this replica remembers of the chain: whoever owns the database does not own this.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The last row that it sealed.
    sealed: i64,
    /// The last checkpoint that it made or took for good.
    vouched: Option<Checkpoint>,
    /// The forged checkpoint that it has told of: it stays where it is, and every pass meets it again.
    told: Option<i64>,
}

impl Seen {
    /// Complains of a head that was set back; once, because the chain goes on from there.
    fn doubt_head(&mut self, seq: i64, failures: &Counter) {
        if seq < self.sealed {
            failures.inc();
            tracing::error!(
                head = seq,
                sealed = self.sealed,
                "the audit log was set back: it ends before a row that was sealed here"
            );
            self.sealed = seq;
        }
    }
}

/// The newest checkpoint to go on from. One that is none of ours stands for nothing: with a number far away it would
/// otherwise end all checkpoints, and in the file it would be a lie as well.
fn ours(audit: &Audit, last: Option<Checkpoint>) -> Option<Checkpoint> {
    let mut seen = audit.seen();
    if let Some(forged) = last.filter(|last| !audit.chain.is_signed(last)) {
        audit.failures.inc();
        if seen.told.replace(forged.head.seq) != Some(forged.head.seq) {
            tracing::error!(
                seq = forged.head.seq,
                "the newest checkpoint in the database is not signed by this service"
            );
        }
    } else {
        seen.vouched = last;
    }
    seen.vouched
}

/// Makes a checkpoint when it is time, and sees that the newest of the database is in this replica's file.
async fn vouch(app: &Arc<App>, ended: bool) -> Result<(), Fault> {
    let last = store::audit::last_checkpoint(&app.db).await?;
    let last = ours(&app.audit, last);
    let (seq, time) = last.map_or((0, Micros::MIN), |last| (last.head.seq, last.time));
    let now = app.now();
    let mut newest = last;
    let waited = ended || now.saturating_sub(time) >= micros(CHECKPOINT_AFTER) || now < time;
    let head = store::audit::head(&app.db).await?;
    let due = head.filter(|head| head.seq > seq && (waited || head.seq - seq >= CHECKPOINT_ROWS));
    if let Some(head) = due {
        let checkpoint = app.audit.chain.checkpoint(head, now);
        let mut tx = app.db.begin().await?;
        store::audit::add_checkpoint(&mut tx, &checkpoint).await?;
        tx.commit().await?;
        app.audit.seen().vouched = Some(checkpoint);
        newest = Some(checkpoint);
    }
    if let Some(newest) = newest {
        let app = app.clone();
        let kept = tokio::task::spawn_blocking(move || app.audit.file.keep(&newest)).await;
        kept.map_err(|error| Fault::internal(error.to_string()))?
            .map_err(|error| {
                Fault::internal(format!("{}: {error}", super::checkpoints::SETTING))
            })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::tests::record;
    use millgate_platform::ServiceSecrets;

    fn opened(folder: &tempfile::TempDir) -> Audit {
        let secrets = ServiceSecrets::from_master(&[7; 32]);
        Audit::open(&secrets, &folder.path().join("checkpoints")).expect("opened")
    }

    #[test]
    fn a_forged_checkpoint_far_away_stands_for_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let audit = opened(&folder);
        let head = Head {
            seq: 3,
            mac: [1; 32],
        };
        let good = audit.chain.checkpoint(head, 9);
        let forged = Checkpoint {
            head: Head {
                seq: 9_000_000_000_000_000_000,
                ..head
            },
            ..good
        };
        assert_eq!(ours(&audit, Some(forged)), None);
        assert_eq!(ours(&audit, Some(good)), Some(good));
        assert_eq!(audit.failures.get(), 1);
        for _ in 0..2 {
            assert_eq!(ours(&audit, Some(forged)), Some(good), "the last good one");
        }
        assert_eq!(audit.failures.get(), 3);
    }

    #[test]
    fn a_head_that_was_set_back_is_told_of_once() {
        let failures = Counter::default();
        let mut seen = Seen {
            sealed: 5,
            ..Seen::default()
        };
        for head in [5, 9] {
            seen.doubt_head(head, &failures);
        }
        assert_eq!(failures.get(), 0);
        for _ in 0..2 {
            seen.doubt_head(4, &failures);
        }
        assert_eq!((failures.get(), seen.sealed), (1, 4));
    }

    #[test]
    fn an_end_in_the_middle_of_writing_keeps_what_is_not_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let audit = opened(&folder);
        let mut in_hand = InHand {
            records: vec![record(1), record(2)],
            audit: &audit,
        };
        in_hand.records.drain(..1);
        drop(in_hand);
        assert_eq!(audit.summary().take(9, true), [record(2)]);
    }
}
