//! Streams of changes: from a sequence number on, each once and in order, and then what is new.

use std::sync::Arc;

use millgate_platform::{Database, Fault, FieldFault};
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::changes::{Feed, Head, Seat};
use crate::domain::change::Change;
use crate::store::change::{self as store, Filter};

/// Changes that are read at once: what one stream holds of them, however slow its reader is.
pub(super) const BATCH: i64 = 20;
/// How far one statement looks for changes that match: a stream of a rare kind never has the database scan more.
const WINDOW: i64 = 10_000;

/// What is watched.
pub(super) struct Watch {
    /// Which changes.
    pub(super) filter: Filter,
    /// The first number that is wanted.
    pub(super) from: i64,
}

/// The first number that a request wants; 0 is from the beginning.
pub(super) fn from(sequence: i64) -> Result<i64, FieldFault> {
    match sequence {
        ..0 => Err("must not be negative".into()),
        0 => Ok(1),
        from => Ok(from),
    }
}

/// The stream. It ends when the reader goes; with its token and with the server it is ended by others, who drop it.
pub(super) async fn stream<M: Send + 'static>(
    db: &Database,
    feed: &Arc<Feed>,
    caller: &str,
    watch: Watch,
    message: impl Fn(&Change) -> Result<M, Fault> + Send + Sync + 'static,
) -> Result<impl Stream<Item = Result<M, Status>> + Send + 'static, Fault> {
    let newest = store::head(db).await?;
    // A customer is not told of the newest number: what they learn of how much happens here they learn by the numbers of
    // their own changes, which count everybody's.
    if watch.filter.owner.is_none() && watch.from > newest.saturating_add(1) {
        // Whoever has seen more than there is has seen another history: a backup was restored.
        return Err(Fault::field(
            "from_sequence",
            format!("must be at most {}, the one after the newest", newest + 1),
        ));
    }
    let seat = feed.seat(caller)?;
    // From now on what is new is kept for this stream.
    let head = feed.head();
    // Of what is read, one message waits here for the connection to take it.
    let (sender, receiver) = mpsc::channel(1);
    let follower = Follower {
        db: db.clone(),
        watch,
        _seat: seat,
    };
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = follower.follow(head, &sender, message) => ended,
            () = sender.closed() => return,
        };
        if let Err(status) = ended {
            // Nobody may be there to hear it.
            let _ = sender.send(Err(status)).await;
        }
    });
    Ok(ReceiverStream::new(receiver))
}

struct Follower {
    db: Database,
    watch: Watch,
    _seat: Seat,
}

impl Follower {
    async fn follow<M>(
        &self,
        mut head: watch::Receiver<Head>,
        sender: &mpsc::Sender<Result<M, Status>>,
        message: impl Fn(&Change) -> Result<M, Fault>,
    ) -> Result<(), Status> {
        let filter = &self.watch.filter;
        let mut seen = self.watch.from - 1;
        // What was shared before this stream began may have been erased since.
        let mut is_live = false;
        loop {
            let Head { newest, fresh } = head.borrow_and_update().clone();
            if let Some(fresh) = fresh.filter(|fresh| is_live && fresh.after == seen) {
                for new in fresh.changes.iter().filter(|new| filter.admits(new)) {
                    if sender.send(Ok(message(&new.change)?)).await.is_err() {
                        return Ok(());
                    }
                }
                seen = newest;
            }
            while seen < newest {
                let upto = newest.min(seen.saturating_add(WINDOW));
                let changes = store::between(&self.db, filter, (seen, upto), BATCH).await?;
                let is_full = i64::try_from(changes.len()) == Ok(BATCH);
                for change in changes {
                    if sender.send(Ok(message(&change)?)).await.is_err() {
                        return Ok(());
                    }
                    seen = change.seq;
                }
                if !is_full {
                    seen = upto;
                }
            }
            if head.changed().await.is_err() {
                return Ok(());
            }
            is_live = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::atomic::{AtomicI64, Ordering};

    use millgate_platform::on_tx;
    use millgate_platform::testing::both_databases;
    use tokio::task::JoinHandle;
    use tokio_stream::StreamExt as _;

    use super::*;
    use crate::domain::access::Actor;
    use crate::domain::change::{Author, Kind, Subject};
    use crate::store::MIGRATIONS;

    const CHANGES: i64 = 200;

    /// Changes with these resource ids: of products where they are even, of runs where they are odd.
    async fn fill(db: &Database, ids: impl Iterator<Item = i64>) {
        let author = Author {
            actor: Actor {
                key: "user:1".into(),
                session: String::new(),
            },
            act: String::new(),
            request_id: String::new(),
        };
        let shown = store::Shown {
            before: None,
            after: Some(r#"{"name":"told"}"#.to_owned()),
        };
        let mut tx = db.begin().await.expect("begun");
        for id in ids {
            let kind = if id % 2 == 0 {
                Kind::Product
            } else {
                Kind::Run
            };
            let subject = Subject {
                kind,
                id,
                customer_id: None,
            };
            store::insert(&mut tx, &author, subject, "create", &shown, 0)
                .await
                .expect("inserted");
        }
        tx.commit().await.expect("committed");
    }

    /// A feed that runs, and has heard of this many changes.
    async fn running(db: &Database, changes: i64) -> (Arc<Feed>, JoinHandle<()>) {
        let feed = Arc::new(Feed::new(db.clone()));
        let running = tokio::spawn(crate::changes::run(feed.clone()));
        heard(&feed, changes).await;
        (feed, running)
    }

    async fn heard(feed: &Feed, changes: i64) -> Head {
        let mut head = feed.head();
        let head = head.wait_for(|head| head.newest >= changes).await;
        head.expect("the feed is there").clone()
    }

    type Told = Pin<Box<dyn Stream<Item = Result<(i64, String), Status>> + Send>>;

    /// What is told by a stream of the changes from a number on: number and resource after.
    async fn told(db: &Database, feed: &Arc<Feed>, filter: Filter, from: i64) -> Told {
        let message = |change: &Change| Ok((change.seq, change.after.clone().unwrap_or_default()));
        let watch = Watch { filter, from };
        let stream = stream(db, feed, "user:1", watch, message).await;
        Box::pin(stream.expect("a stream"))
    }

    #[tokio::test]
    async fn a_slow_reader_has_the_server_hold_two_messages_and_no_more() {
        both_databases(&MIGRATIONS, |db| async move {
            fill(&db, 1..=CHANGES).await;
            let (feed, running) = running(&db, CHANGES).await;
            let made = Arc::new(AtomicI64::new(0));
            let counted = made.clone();
            let watch = Watch {
                filter: Filter::default(),
                from: 1,
            };
            let message = move |change: &Change| {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok(change.seq)
            };
            let stream = stream(&db, &feed, "user:1", watch, message).await;
            let mut stream = Box::pin(stream.expect("a stream"));
            for expected in 1..=CHANGES {
                let told = stream.next().await.expect("no end").expect("a change");
                assert_eq!(told, expected);
                // The reader takes its time: the stream has every chance to run ahead, and does not.
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                let ahead = made.load(Ordering::Relaxed) - told;
                assert!(ahead <= 2, "{ahead} messages wait for the reader");
            }
            // Who stops reading has no seat any more.
            drop(stream);
            let mut seats = Vec::new();
            while seats.len() < 10 {
                seats.extend(feed.seat("user:1"));
                tokio::task::yield_now().await;
            }
            running.abort();
        })
        .await;
    }

    #[tokio::test]
    async fn who_has_seen_everything_shares_what_is_new_and_misses_and_repeats_nothing() {
        both_databases(&MIGRATIONS, |db| async move {
            fill(&db, 1..=3).await;
            let (feed, running) = running(&db, 3).await;
            let runs = Filter {
                kind: Some(Kind::Run),
                ..Filter::default()
            };
            let mut all = told(&db, &feed, Filter::default(), 1).await;
            let mut some = told(&db, &feed, runs, 2).await;
            let mut slow = told(&db, &feed, Filter::default(), 1).await;
            let mut seqs = Vec::new();
            let mut of_runs: Vec<i64> = Vec::new();
            let mut was_shared = false;
            let mut newest = 3;
            // A few, and more than is shared.
            for more in [1, 2, 100, 1] {
                while seqs.last() != Some(&newest) {
                    seqs.push(all.next().await.expect("no end").expect("a change").0);
                }
                while of_runs.last().is_none_or(|last| last + 1 < newest) {
                    of_runs.push(some.next().await.expect("no end").expect("a change").0);
                }
                fill(&db, newest + 1..=newest + more).await;
                newest += more;
                feed.committed();
                let head = heard(&feed, newest).await;
                was_shared |= head.fresh.is_some_and(|fresh| fresh.after == newest - more);
            }
            while seqs.last() != Some(&newest) {
                seqs.push(all.next().await.expect("no end").expect("a change").0);
            }
            assert_eq!(seqs, (1..=newest).collect::<Vec<_>>());
            let odd = |n: &i64| n % 2 == 1;
            let expected: Vec<_> = (2..=newest).filter(odd).collect();
            while of_runs.len() < expected.len() {
                of_runs.push(some.next().await.expect("no end").expect("a change").0);
            }
            assert_eq!(of_runs, expected);
            for expected in 1..=newest {
                let told = slow.next().await.expect("no end").expect("a change").0;
                assert_eq!(told, expected, "read behind all others");
            }
            assert!(was_shared, "nothing was ever shared");
            running.abort();
        })
        .await;
    }

    #[tokio::test]
    async fn what_is_shared_tells_nobody_who_comes_later_what_was_erased_meanwhile() {
        both_databases(&MIGRATIONS, |db| async move {
            let (feed, running) = running(&db, 0).await;
            let mut before = told(&db, &feed, Filter::default(), 1).await;
            fill(&db, 1..=1).await;
            feed.committed();
            let first = before.next().await.expect("no end").expect("a change");
            assert_eq!(first, (1, r#"{"name":"told"}"#.to_owned()));
            assert!(heard(&feed, 1).await.fresh.is_some(), "it is shared");
            let mut tx = db.begin().await.expect("begun");
            let erased = on_tx!(tx, |c| sqlx::query("UPDATE changes SET after_json = NULL")
                .execute(c)
                .await
                .map(drop));
            erased.expect("erased");
            tx.commit().await.expect("committed");
            let mut after = told(&db, &feed, Filter::default(), 1).await;
            let told = after.next().await.expect("no end").expect("a change");
            assert_eq!(told, (1, String::new()));
            running.abort();
        })
        .await;
    }
}
