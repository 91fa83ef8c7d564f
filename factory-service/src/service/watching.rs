//! Streams of changes: from a sequence number on, each once and in order, and then what is new.

use std::sync::Arc;

use millgate_platform::{Database, Fault, FieldFault};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::changes::{Feed, Seat};
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
    // Of what is read, one message waits here for the connection to take it.
    let (sender, receiver) = mpsc::channel(1);
    let follower = Follower {
        db: db.clone(),
        feed: feed.clone(),
        watch,
        _seat: seat,
    };
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = follower.follow(&sender, message) => ended,
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
    feed: Arc<Feed>,
    watch: Watch,
    _seat: Seat,
}

impl Follower {
    async fn follow<M>(
        &self,
        sender: &mpsc::Sender<Result<M, Status>>,
        message: impl Fn(&Change) -> Result<M, Fault>,
    ) -> Result<(), Status> {
        let mut head = self.feed.head();
        let mut seen = self.watch.from - 1;
        loop {
            let newest = *head.borrow_and_update();
            while seen < newest {
                let upto = newest.min(seen.saturating_add(WINDOW));
                let filter = &self.watch.filter;
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
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use millgate_platform::testing::both_databases;
    use tokio_stream::StreamExt as _;

    use super::*;
    use crate::domain::access::Actor;
    use crate::domain::change::{Author, Kind, Subject};
    use crate::store::MIGRATIONS;

    const CHANGES: i64 = 200;

    async fn fill(db: &Database) {
        let author = Author {
            actor: Actor {
                key: "user:1".into(),
                session: String::new(),
            },
            act: String::new(),
            request_id: String::new(),
        };
        let mut tx = db.begin().await.expect("begun");
        for id in 1..=CHANGES {
            let subject = Subject {
                kind: Kind::Product,
                id,
                customer_id: None,
            };
            store::insert(
                &mut tx,
                &author,
                subject,
                "create",
                &store::Shown::default(),
                0,
            )
            .await
            .expect("inserted");
        }
        tx.commit().await.expect("committed");
    }

    #[tokio::test]
    async fn a_slow_reader_has_the_server_hold_two_messages_and_no_more() {
        both_databases(&MIGRATIONS, |db| async move {
            fill(&db).await;
            let feed = Arc::new(Feed::new(db.clone()));
            let running = tokio::spawn(crate::changes::run(feed.clone()));
            while *feed.head().borrow() < CHANGES {
                tokio::task::yield_now().await;
            }
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
}
