//! One turn of a subject: its call made again and again until the time is up, and counted.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::cpu::cpu_time;

/// What one call came to; an error is told in a text.
pub(crate) type Outcome = Result<(), String>;

/// How many computations are timed together: reading the clock costs about as much as a tenth of one.
const BATCH: u32 = 64;

type Call = Arc<dyn Fn(u64) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// The work of a subject. The number that it gets is another one at each call of a turn.
pub(crate) enum Load {
    /// Something to wait for, done by as many tasks at once as the plan says.
    Calls(Call),
    /// Something to compute, on one thread.
    Computations(Arc<dyn Fn(u64) -> Outcome + Send + Sync>),
}

/// What one turn came to.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    /// OK answers.
    pub(crate) ok: u64,
    /// Errors.
    pub(crate) failed: u64,
    /// What the first error said.
    pub(crate) first_failure: Option<String>,
    /// From the first call's start to the last one's end.
    pub(crate) elapsed: Duration,
    /// What the whole process computed meanwhile, where the system tells.
    pub(crate) cpu: Option<Duration>,
    /// Of every OK answer; of computations, the mean of every batch.
    pub(crate) latencies: Vec<Duration>,
}

impl Load {
    /// Something to wait for.
    pub(crate) fn calls<F, Fut>(call: F) -> Self
    where
        F: Fn(u64) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        Self::Calls(Arc::new(move |number| call(number).boxed()))
    }

    /// Something to compute.
    pub(crate) fn computations(compute: impl Fn(u64) -> Outcome + Send + Sync + 'static) -> Self {
        Self::Computations(Arc::new(compute))
    }

    /// Both kinds of calls for each of its own, one after the other: what a call must cost that does the work of both.
    pub(crate) fn in_a_row(first: &Self, second: &Self) -> Option<Self> {
        let (Self::Calls(first), Self::Calls(second)) = (first, second) else {
            return None;
        };
        let (first, second) = (first.clone(), second.clone());
        Some(Self::calls(move |number| {
            let (first, second) = (first(number), second.clone());
            async move {
                first.await?;
                second(number).await
            }
        }))
    }

    /// The same calls, one at a time whatever the plan says.
    pub(crate) fn one_at_a_time(&self) -> Option<Self> {
        let Self::Calls(call) = self else {
            return None;
        };
        let (call, turn) = (call.clone(), Arc::new(Mutex::new(())));
        Some(Self::calls(move |number| {
            let (call, turn) = (call.clone(), turn.clone());
            async move {
                let _mine = turn.lock().await;
                call(number).await
            }
        }))
    }

    /// One turn.
    pub(crate) async fn run(&self, concurrency: usize, time: Duration) -> Slice {
        let computed_before = cpu_time();
        let started = Instant::now();
        let until = started + time;
        let mut workers = JoinSet::new();
        match self {
            Self::Calls(call) => {
                for worker in 0..concurrency {
                    let call = call.clone();
                    let numbers = (worker as u64..).step_by(concurrency);
                    workers.spawn(async move { call_until(&*call, numbers, until).await });
                }
            }
            Self::Computations(compute) => {
                let compute = compute.clone();
                workers.spawn_blocking(move || compute_until(&*compute, until));
            }
        }
        let mut turn = Slice::default();
        while let Some(ended) = workers.join_next().await {
            turn.add(ended.unwrap_or_else(|error| Slice::failure(error.to_string())));
        }
        turn.elapsed = started.elapsed();
        let computed = cpu_time().zip(computed_before);
        turn.cpu = computed.map(|(after, before)| after.saturating_sub(before));
        turn
    }
}

/// Calls until the time is up, but once at least: a machine that is busy with others may begin when it is over.
async fn call_until(
    call: &(dyn Fn(u64) -> BoxFuture<'static, Outcome> + Send + Sync),
    numbers: impl Iterator<Item = u64>,
    until: Instant,
) -> Slice {
    let mut slice = Slice::default();
    for number in numbers {
        let begun = Instant::now();
        let outcome = call(number).await;
        let ended = Instant::now();
        slice.note(outcome, 1, ended - begun);
        if ended >= until {
            break;
        }
    }
    slice
}

fn compute_until(compute: &(dyn Fn(u64) -> Outcome + Send + Sync), until: Instant) -> Slice {
    let mut slice = Slice::default();
    let mut number = 0;
    loop {
        let begun = Instant::now();
        let mut outcome = Ok(());
        for _ in 0..BATCH {
            outcome = outcome.and(compute(number));
            number += 1;
        }
        let ended = Instant::now();
        slice.note(outcome, BATCH, (ended - begun) / BATCH);
        if ended >= until {
            return slice;
        }
    }
}

impl Slice {
    fn failure(text: String) -> Self {
        let mut slice = Self::default();
        slice.note(Err(text), 1, Duration::ZERO);
        slice
    }

    /// Notes `count` calls with one outcome. A batch with an error in it counts as failed as a whole.
    pub(crate) fn note(&mut self, outcome: Outcome, count: u32, latency: Duration) {
        match outcome {
            Ok(()) => {
                self.ok += u64::from(count);
                self.latencies.push(latency);
            }
            Err(text) => {
                self.failed += u64::from(count);
                self.first_failure.get_or_insert(text);
            }
        }
    }

    /// Adds what another worker did meanwhile.
    pub(crate) fn add(&mut self, other: Self) {
        self.ok += other.ok;
        self.failed += other.failed;
        self.latencies.extend(other.latencies);
        if self.first_failure.is_none() {
            self.first_failure = other.first_failure;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const MOMENT: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn no_two_calls_of_a_turn_get_one_number() {
        let seen = Arc::new(Mutex::new(HashSet::new()));
        let load = {
            let seen = seen.clone();
            Load::calls(move |number| {
                let new = seen.lock().expect("not poisoned").insert(number);
                async move { new.then_some(()).ok_or_else(|| "twice".to_owned()) }
            })
        };
        let turn = load.run(3, MOMENT).await;
        assert_eq!(turn.first_failure, None);
        assert_eq!(turn.ok, seen.lock().expect("not poisoned").len() as u64);
    }

    #[tokio::test]
    async fn two_in_a_row_are_one_answer_and_an_error_of_either_is_one() {
        let good = Load::calls(|_| async { Ok(()) });
        let bad = Load::calls(|_| async { Err("bad".to_owned()) });
        for (first, second, fails) in [
            (&good, &good, false),
            (&good, &bad, true),
            (&bad, &good, true),
        ] {
            let both = Load::in_a_row(first, second).expect("calls");
            let turn = both.run(1, MOMENT).await;
            assert_eq!((turn.ok == 0, turn.failed > 0), (fails, fails));
        }
        assert!(Load::in_a_row(&good, &Load::computations(|_| Ok(()))).is_none());
    }

    #[tokio::test]
    async fn calls_that_go_one_at_a_time_never_meet() {
        let under_way = Arc::new(AtomicU32::new(0));
        let calls = Load::calls(move |_| {
            let under_way = under_way.clone();
            async move {
                let others = under_way.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                under_way.fetch_sub(1, Ordering::SeqCst);
                (others == 0).then_some(()).ok_or_else(|| "met".to_owned())
            }
        });
        assert!(calls.run(4, MOMENT).await.failed > 0);
        let one = calls.one_at_a_time().expect("calls");
        assert_eq!(one.run(4, MOMENT).await.failed, 0);
    }

    #[tokio::test]
    async fn an_error_is_counted_and_is_no_latency() {
        let load = Load::calls(|number| async move {
            if number % 2 == 0 {
                Ok(())
            } else {
                Err("odd".to_owned())
            }
        });
        let turn = load.run(2, MOMENT).await;
        assert!(turn.failed > 0);
        assert_eq!(turn.latencies.len() as u64, turn.ok);
        assert_eq!(turn.first_failure.as_deref(), Some("odd"));
    }

    #[tokio::test]
    async fn a_call_that_panics_fails_the_turn_and_not_the_program() {
        let load = Load::calls(|_| async { panic!("as ordered") });
        assert_eq!(load.run(1, MOMENT).await.failed, 1);
    }

    #[tokio::test]
    async fn a_batch_with_an_error_in_it_is_no_success() {
        let load = Load::computations(|number| {
            (number % u64::from(BATCH) != 7)
                .then_some(())
                .ok_or_else(|| "seven".to_owned())
        });
        let turn = load.run(1, MOMENT).await;
        assert_eq!((turn.ok, turn.latencies.len()), (0, 0));
        assert!(turn.failed >= u64::from(BATCH));
    }
}
