//! What a connection is doing, and when it has done nothing for too long: it waits for a request, for the rest of a
//! request's head, or for a client that does not read its answer.

use hyper::rt::Executor;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

/// One connection.
#[derive(Debug)]
pub(crate) struct Activity {
    /// How long a request's head may take, and how long a new connection may take to begin with one.
    head: Duration,
    /// How long there may be no request, or no more of an answer taken.
    idle: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The requests that are being answered.
    running: HashMap<u64, Running>,
    next: u64,
    /// When the last answer was out; `None` before the first request.
    idle_since: Option<Instant>,
    /// When the first octet of a head came.
    head_since: Option<Instant>,
    opened: Instant,
}

#[derive(Debug, Default)]
struct Running {
    /// Since when the client has not taken the last piece of the answer, if it is the client that is waited for.
    stalled_since: Option<Instant>,
    /// Ends this one alone, where others may run on the same connection.
    task: Option<AbortHandle>,
}

impl Activity {
    /// A connection that begins now.
    pub(crate) fn new(head: Duration, idle: Duration) -> Self {
        Self {
            head,
            idle,
            state: Mutex::new(State {
                running: HashMap::new(),
                next: 0,
                idle_since: None,
                head_since: None,
                opened: Instant::now(),
            }),
        }
    }

    /// A request that is being answered until what is returned is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        let number = self.with(|state| {
            state.head_since = None;
            state.next += 1;
            state.running.insert(state.next, Running::default());
            state.next
        });
        Busy {
            activity: Arc::clone(self),
            number,
        }
    }

    /// Octets have come. While nothing is being answered, they are of a head.
    fn received(&self) {
        self.with(|state| {
            if state.running.is_empty() {
                state.head_since.get_or_insert_with(Instant::now);
            }
        });
    }

    /// Completes when the client has been waited for too long. An answer that has a task of its own ends alone meanwhile.
    pub(crate) async fn over(&self) {
        loop {
            let now = Instant::now();
            let (stalled, end) = self.with(|state| {
                let stalled = state.stalled(self.idle, now);
                (stalled, state.end(self.head, self.idle))
            });
            for task in stalled {
                task.abort();
            }
            if end.is_some_and(|end| end <= now) {
                return;
            }
            // What begins meanwhile is over no sooner than this.
            let next = now + self.head.min(self.idle);
            sleep_until(end.map_or(next, |end| end.min(next))).await;
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// The tasks whose client has been waited for too long, which are forgotten.
    fn stalled(&mut self, idle: Duration, now: Instant) -> Vec<AbortHandle> {
        let is_over = |_: &u64, one: &mut Running| {
            one.task.is_some() && one.stalled_since.is_some_and(|since| since + idle <= now)
        };
        let stalled = self.running.extract_if(is_over);
        let stalled: Vec<_> = stalled.filter_map(|(_, one)| one.task).collect();
        if !stalled.is_empty() {
            self.idle_since = Some(now);
        }
        stalled
    }

    /// When the connection is over, as it stands; `None` while only the service is waited for.
    fn end(&self, head: Duration, idle: Duration) -> Option<Instant> {
        if !self.running.is_empty() {
            let stalled = self.running.values().filter_map(|one| one.stalled_since);
            return stalled.min().map(|since| since + idle);
        }
        Some(match (self.head_since, self.idle_since) {
            (Some(since), _) => since + head,
            (None, Some(since)) => since + idle,
            (None, None) => self.opened + head.min(idle),
        })
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Busy {
    activity: Arc<Activity>,
    number: u64,
}

impl Busy {
    /// A piece of the answer was handed to the connection: from now on the client is waited for.
    pub(crate) fn given(&self) {
        self.set(Some(Instant::now()));
    }

    /// The connection asks for more and there is none yet: it is not the client that is slow.
    pub(crate) fn awaited(&self) {
        self.set(None);
    }

    fn set(&self, since: Option<Instant>) {
        self.change(|running| running.stalled_since = since);
    }

    fn ends_with(&self, task: AbortHandle) {
        self.change(|running| running.task = Some(task));
    }

    fn change(&self, change: impl FnOnce(&mut Running)) {
        self.activity.with(|state| {
            // One that was cut is gone already.
            state.running.get_mut(&self.number).map(change);
        });
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let number = self.number;
        self.activity.with(|state| {
            state.running.remove(&number);
            state.idle_since = Some(Instant::now());
        });
    }
}

tokio::task_local! {
    /// The request that a task answers.
    static ANSWERED: Arc<Busy>;
}

/// Answers the requests of a connection over HTTP/2, each in a task of its own. hyper does not look at a body while the
/// client takes nothing of it, so that a body cannot end itself; with its task goes the stream, and that one alone.
#[derive(Debug, Clone)]
pub(crate) struct Tasks(pub(crate) Arc<Activity>);

impl Tasks {
    /// The request that the task of now answers.
    pub(crate) fn current() -> Arc<Busy> {
        ANSWERED.get()
    }
}

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, answering: F) {
        let busy = Arc::new(self.0.begin());
        let task = tokio::spawn(ANSWERED.scope(Arc::clone(&busy), answering));
        busy.ends_with(task.abort_handle());
    }
}

/// A connection whose activity is told of what it receives.
pub(crate) struct Noticed<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Noticed<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noticed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.received();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noticed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn activity() -> Arc<Activity> {
        Arc::new(Activity::new(SECOND, 6 * SECOND))
    }

    /// How long it takes from now until the connection is over, in whole seconds.
    async fn left(activity: &Activity) -> Option<u64> {
        let start = Instant::now();
        let over = tokio::time::timeout(100 * SECOND, activity.over()).await;
        over.ok().map(|()| start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_only_while_nothing_is_answered() {
        let activity = activity();
        let busy = activity.begin();
        assert_eq!(left(&activity).await, None);
        drop(busy);
        assert_eq!(left(&activity).await, Some(6));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_must_come_soon_and_its_next_one_may_wait() {
        assert_eq!(left(&activity()).await, Some(1), "nothing is ever sent");
        let activity = activity();
        activity.received();
        assert_eq!(left(&activity).await, Some(1), "a head that does not end");
        drop(activity.begin());
        tokio::time::advance(4 * SECOND).await;
        activity.received();
        activity.received();
        assert_eq!(left(&activity).await, Some(1), "nor does the next one");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_more_is_waited_for_as_long_as_an_idle_one() {
        let activity = activity();
        let (slow, other) = (activity.begin(), activity.begin());
        slow.given();
        tokio::time::advance(4 * SECOND).await;
        slow.given();
        other.given();
        other.awaited();
        assert_eq!(left(&activity).await, Some(6));
        slow.awaited();
        assert_eq!(left(&activity).await, None, "now the service is slow");
        drop((slow, other));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_a_task_of_its_own_is_cut_alone() {
        let activity = activity();
        let tasks = Tasks(Arc::clone(&activity));
        let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
        for is_read in [false, true] {
            let ended = ended.clone();
            tasks.execute(async move {
                let busy = Tasks::current();
                busy.given();
                for _ in 0..20 {
                    tokio::time::sleep(SECOND).await;
                    if is_read {
                        busy.given();
                    }
                }
                ended.send(is_read).unwrap();
            });
        }
        drop(ended);
        assert_eq!(
            left(&activity).await,
            Some(26),
            "idle when the other was out"
        );
        assert_eq!((ends.recv().await, ends.recv().await), (Some(true), None));
    }
}
