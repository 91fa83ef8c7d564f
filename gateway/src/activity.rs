//! How long a connection has been without a request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The requests of one connection.
#[derive(Debug)]
pub(crate) struct Activity {
    longest: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    running: usize,
    idle_since: Instant,
}

impl Activity {
    /// A connection that begins now, and may be idle this long.
    pub(crate) fn new(longest: Duration) -> Self {
        Self {
            longest,
            state: Mutex::new(State {
                running: 0,
                idle_since: Instant::now(),
            }),
        }
    }

    /// A request that runs until what is returned is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.with(|state| state.running += 1);
        Busy(Arc::clone(self))
    }

    /// Completes when the connection has been idle for too long.
    pub(crate) async fn idle(&self) {
        loop {
            let (running, idle_since) = self.with(|state| (state.running, state.idle_since));
            let now = Instant::now();
            let end = if running > 0 {
                now + self.longest
            } else {
                idle_since + self.longest
            };
            if end <= now {
                return;
            }
            sleep_until(end).await;
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A running request.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.with(|state| {
            state.running -= 1;
            state.idle_since = Instant::now();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_only_while_nothing_runs() {
        let second = Duration::from_secs(1);
        let activity = Arc::new(Activity::new(second));
        let busy = activity.begin();
        assert!(
            tokio::time::timeout(10 * second, activity.idle())
                .await
                .is_err()
        );
        drop(busy);
        let start = Instant::now();
        activity.idle().await;
        assert!(start.elapsed() >= second && start.elapsed() < 2 * second);
    }
}
