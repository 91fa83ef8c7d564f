//! How long an answer waits for its reader.
//!
//! hyper asks an answer for more only when the reader has made room for the piece before. So a stream whose reader makes
//! none is not asked, and nothing in it can end it: not its token's end, not a revocation. Its task is ended from outside,
//! which resets the stream and leaves the other calls of the connection alone.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    net::IpAddr,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep_until};

tokio::task_local! {
    /// The reader of the answer that this task sends.
    static READER: Reader;
}

/// Since when the reader is waited for; none while they wait for us.
#[derive(Debug, Default)]
struct Reader(Cell<Option<Instant>>);

impl Reader {
    /// When they have been waited for as long as they may be.
    fn over_at(&self, limit: Duration) -> Option<Instant> {
        self.0.get().and_then(|since| since.checked_add(limit))
    }
}

/// Notes that a piece of an answer was handed over: from now on its reader is waited for.
pub(super) fn given() {
    // Fails where no limit is set.
    let _unlimited = READER.try_with(|reader| reader.0.set(Some(Instant::now())));
}

/// Notes that there is room for a piece that does not exist yet: a quiet stream waits for nobody.
pub(super) fn awaited() {
    let _unlimited = READER.try_with(|reader| reader.0.set(None));
}

/// Runs the calls of a connection, each in a task of its own.
#[derive(Debug, Clone)]
pub(super) struct Patient {
    /// How long a reader may take nothing; none: for ever.
    pub limit: Option<Duration>,
    /// Who reads.
    pub peer: IpAddr,
}

impl<F> Executor<F> for Patient
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        let peer = self.peer;
        match self.limit {
            None => drop(tokio::spawn(call)),
            Some(limit) => drop(tokio::spawn(READER.scope(Reader::default(), async move {
                if !is_taken(call, limit).await {
                    tracing::warn!(%peer, "a stream whose reader takes nothing was reset");
                }
            }))),
        }
    }
}

/// Runs a call to its end; false when it was given up because of its reader.
async fn is_taken(call: impl Future<Output = ()>, limit: Duration) -> bool {
    let mut call = pin!(call);
    let mut timer = None;
    poll_fn(|context| {
        if call.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        match READER.with(|reader| reader.over_at(limit)) {
            None => Poll::Pending,
            Some(over) => come(&mut timer, over, context).map(|()| false),
        }
    })
    .await
}

/// Waits until then with a timer that is moved only when it has rung: the time is put off with every piece.
fn come(timer: &mut Option<Pin<Box<Sleep>>>, then: Instant, context: &mut Context<'_>) -> Poll<()> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(then)));
    loop {
        ready!(timer.as_mut().poll(context));
        if timer.deadline() >= then {
            return Poll::Ready(());
        }
        timer.as_mut().reset(then);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_call_is_given_up_when_its_last_piece_was_not_taken_in_time() {
        let start = Instant::now();
        let call = async {
            for _ in 0..5 {
                given();
                sleep(SECOND * 9 / 10).await;
            }
            given();
            std::future::pending().await
        };
        assert!(!taken(call, SECOND).await);
        assert_eq!(start.elapsed().as_millis(), 5 * 900 + 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_waits_for_no_reader_may_take_as_long_as_it_likes() {
        let quiet = async {
            sleep(100 * SECOND).await;
            given();
            awaited();
            sleep(100 * SECOND).await;
        };
        assert!(taken(quiet, SECOND).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_beyond_time_is_none() {
        let read = async {
            given();
            sleep(100 * SECOND).await;
        };
        assert!(taken(read, Duration::MAX).await);
    }

    async fn taken(call: impl Future<Output = ()>, limit: Duration) -> bool {
        READER.scope(Reader::default(), is_taken(call, limit)).await
    }
}
