//! Streams of changes: from a sequence number on, each once and in order, and then what is new.

use millgate_guard::Caller;
use millgate_platform::{Fault, FieldFault};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Shared;
use crate::changes::Seat;
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
    factory: &Shared,
    caller: &Caller,
    watch: Watch,
    message: impl Fn(&Change) -> Result<M, Fault> + Send + Sync + 'static,
) -> Result<impl Stream<Item = Result<M, Status>> + Send + 'static, Fault> {
    let newest = store::head(&factory.db).await?;
    // A customer is not told how much happens here.
    if watch.filter.owner.is_none() && watch.from > newest.saturating_add(1) {
        // Whoever has seen more than there is has seen another history: a backup was restored.
        return Err(Fault::field(
            "from_sequence",
            format!("must be at most {}, the one after the newest", newest + 1),
        ));
    }
    let seat = factory.feed.seat(&caller.key())?;
    // Of what is read, one message waits here for the connection to take it.
    let (sender, receiver) = mpsc::channel(1);
    let follower = Follower {
        factory: factory.clone(),
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
    factory: Shared,
    watch: Watch,
    _seat: Seat,
}

impl Follower {
    async fn follow<M>(
        &self,
        sender: &mpsc::Sender<Result<M, Status>>,
        message: impl Fn(&Change) -> Result<M, Fault>,
    ) -> Result<(), Status> {
        let mut head = self.factory.feed.head();
        let mut seen = self.watch.from - 1;
        loop {
            let newest = *head.borrow_and_update();
            while seen < newest {
                let upto = newest.min(seen.saturating_add(WINDOW));
                let filter = &self.watch.filter;
                let changes = store::between(&self.factory.db, filter, (seen, upto), BATCH).await?;
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
