//! Calls that are made again: where the service asks for patience, and where an answer was lost on the way. All of them
//! carry a request id or only read, so that making one again does nothing twice.

use std::time::Duration;

use tokio::sync::Mutex;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;

use super::super::Failure;
use super::super::connect::timed;

/// Where the service asks for patience without saying how much.
const A_WHILE: Duration = Duration::from_secs(1);
/// How long one call is made again for the limit's sake.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// How often one call is made again that failed on the way: for 15 s in all.
const FAILURES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Keeps the calls that were refused for their number in a queue: one waits and tries again, the others wait for it.
#[derive(Debug)]
pub(super) struct Patience {
    turnstile: Mutex<()>,
    first_wait: Duration,
    longest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            turnstile: Mutex::default(),
            first_wait: FIRST_WAIT,
            longest: LONGEST,
        }
    }
}

enum Again {
    /// The service has too many calls: then, and as often as it takes.
    After(Duration),
    /// It failed on the way.
    Failed,
    /// It would be refused again.
    Never,
}

impl Patience {
    /// The answer of a call.
    ///
    /// # Errors
    /// The refusal, or the last failure.
    pub(super) async fn call<M: Clone, T, F>(
        &self,
        message: &M,
        send: impl Fn(Request<M>) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let attempt = || async {
            let sent = send(timed(message.clone())).await;
            sent.map(Response::into_inner)
        };
        let mut failures = 0;
        let mut waited = Duration::ZERO;
        let mut turn = None;
        loop {
            let refused = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(refused) => refused,
            };
            let wait = match again(&refused) {
                Again::After(wait) if waited < self.longest => {
                    waited += wait;
                    if turn.is_none() {
                        turn = Some(self.turnstile.lock().await);
                    }
                    wait
                }
                Again::Failed if failures < FAILURES => {
                    failures += 1;
                    self.first_wait * 2_u32.pow(failures - 1)
                }
                _ => return Err(refused.into()),
            };
            tokio::time::sleep(wait).await;
        }
    }
}

fn again(refused: &Status) -> Again {
    let details = refused.get_error_details();
    let reason = details.error_info().map_or("", |info| info.reason.as_str());
    match (reason, refused.code()) {
        ("RATE_LIMITED" | "OVERLOADED", _) => {
            let said = details.retry_info().and_then(|info| info.retry_delay);
            Again::After(said.unwrap_or(A_WHILE))
        }
        // Cancelled is what the channel itself says when the time is up.
        (_, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled) => Again::Failed,
        _ => Again::Never,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use millgate_platform::{Fault, Reason};

    use super::*;

    const TICK: Duration = Duration::from_millis(1);

    /// Refuses so many calls, and answers then: with how many it took.
    async fn taken(refusals: u32, refusal: impl Fn() -> Status) -> Result<u32, Failure> {
        let calls = AtomicU32::new(0);
        let send = |_| {
            let call = 1 + calls.fetch_add(1, Ordering::SeqCst);
            let refused = (call <= refusals).then(&refusal);
            async move { refused.map_or(Ok(Response::new(call)), Err) }
        };
        let patience = Patience {
            turnstile: Mutex::default(),
            first_wait: TICK,
            longest: 20 * TICK,
        };
        patience.call(&(), send).await
    }

    #[tokio::test]
    async fn a_limit_is_waited_for_as_the_service_says_but_not_for_ever() {
        let limited = || {
            Fault::new(Reason::RateLimited, "x")
                .with_retry_after(TICK)
                .into()
        };
        let begun = tokio::time::Instant::now();
        assert_eq!(taken(20, limited).await.expect("answered"), 21);
        assert!(begun.elapsed() >= 20 * TICK);
        taken(21, limited).await.expect_err("not for ever");
    }

    #[tokio::test]
    async fn what_fails_on_the_way_is_tried_again_a_few_times() {
        let lost = || Status::unavailable("nobody answers");
        assert_eq!(taken(FAILURES, lost).await.expect("answered"), FAILURES + 1);
        taken(FAILURES + 1, lost).await.expect_err("it stays away");
    }

    #[tokio::test]
    async fn a_refusal_is_not_repeated() {
        assert!(taken(1, || Status::invalid_argument("no")).await.is_err());
    }
}
