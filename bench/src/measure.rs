//! Subjects measured in turns: A B A B, so that what disturbs the machine for a while disturbs them alike.

use std::time::Duration;

use crate::load::{Load, Slice};

/// How a measurement is taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// How often every subject has its turn.
    pub(crate) rounds: u32,
    /// How long a turn is.
    pub(crate) turn: Duration,
    /// How many calls are under way at once.
    pub(crate) concurrency: usize,
}

impl Plan {
    /// A turn before the first round, not counted: it fills pools and caches.
    pub(crate) fn warm_up(&self) -> Duration {
        self.turn / 2
    }
}

/// What is measured: a name, and the work of one call.
pub(crate) struct Subject {
    /// As the table names it.
    pub(crate) name: String,
    /// The work.
    pub(crate) load: Load,
}

impl Subject {
    /// A subject.
    pub(crate) fn new(name: impl Into<String>, load: Load) -> Self {
        Self {
            name: name.into(),
            load,
        }
    }
}

/// What one turn came to.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// OK answers a second.
    rate: f64,
    p50: Duration,
    p99: Duration,
}

/// What all turns of a subject came to.
#[derive(Debug)]
pub(crate) struct Measured {
    /// As the table names it.
    pub(crate) name: String,
    /// OK answers of all rounds, the warm-up left out.
    pub(crate) ok: u64,
    /// Errors, those of the warm-up included: none is expected anywhere.
    pub(crate) failed: u64,
    /// What the first error said.
    pub(crate) first_failure: Option<String>,
    /// What the process computed for the OK answers; `None` as soon as one round does not tell.
    cpu: Option<Duration>,
    rounds: Vec<Round>,
}

impl Measured {
    /// Nothing yet.
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            ok: 0,
            failed: 0,
            first_failure: None,
            cpu: Some(Duration::ZERO),
            rounds: Vec::new(),
        }
    }

    /// Notes the errors of a turn that does not count.
    pub(crate) fn take_failures(&mut self, slice: &mut Slice) {
        self.failed += slice.failed;
        if self.first_failure.is_none() {
            self.first_failure = slice.first_failure.take();
        }
    }

    /// Notes a turn.
    pub(crate) fn take_round(&mut self, mut slice: Slice) {
        self.take_failures(&mut slice);
        self.ok += slice.ok;
        self.cpu = self.cpu.zip(slice.cpu).map(|(sum, more)| sum + more);
        slice.latencies.sort_unstable();
        self.rounds.push(Round {
            rate: per_second(slice.ok, slice.elapsed),
            p50: percentile(&slice.latencies, 50),
            p99: percentile(&slice.latencies, 99),
        });
    }

    /// OK answers a second: the median over the rounds.
    pub(crate) fn rate(&self) -> f64 {
        median(self.rounds.iter().map(|round| round.rate))
    }

    /// What this process computed for one OK answer, client and server together; a database server is not in it.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        let whole = self.cpu.filter(|_| self.ok > 0)?;
        Some(Duration::from_secs_f64(1.0 / per_second(self.ok, whole)))
    }

    /// The time that half of the calls stayed below: the median over the rounds.
    pub(crate) fn p50(&self) -> Duration {
        Duration::from_secs_f64(median(
            self.rounds.iter().map(|round| round.p50.as_secs_f64()),
        ))
    }

    /// The time that 99 of 100 calls stayed below: the median over the rounds.
    pub(crate) fn p99(&self) -> Duration {
        Duration::from_secs_f64(median(
            self.rounds.iter().map(|round| round.p99.as_secs_f64()),
        ))
    }
}

/// How the rates of two subjects compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio {
    /// The median over the rounds, each compared within itself.
    pub(crate) median: f64,
    /// That of the lowest round.
    pub(crate) lowest: f64,
    /// That of the highest round.
    pub(crate) highest: f64,
}

impl Ratio {
    /// The rate of `over` by the rate of `under`, round by round.
    pub(crate) fn of_rates(over: &Measured, under: &Measured) -> Self {
        let pairs = over.rounds.iter().zip(&under.rounds);
        Self::of(pairs.map(|(over, under)| over.rate / under.rate).collect())
    }

    /// The p99 of `over` by that of `under`, round by round.
    pub(crate) fn of_p99s(over: &Measured, under: &Measured) -> Self {
        let pairs = over.rounds.iter().zip(&under.rounds);
        let ratio =
            |(over, under): (&Round, &Round)| over.p99.as_secs_f64() / under.p99.as_secs_f64();
        Self::of(pairs.map(ratio).collect())
    }

    fn of(ratios: Vec<f64>) -> Self {
        Self {
            median: median(ratios.iter().copied()),
            lowest: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            highest: ratios.iter().copied().fold(0.0, f64::max),
        }
    }
}

/// Measures the subjects in turns, in the order given.
pub(crate) async fn interleaved(subjects: Vec<Subject>, plan: &Plan) -> Vec<Measured> {
    let (loads, mut measured): (Vec<Load>, Vec<Measured>) = subjects
        .into_iter()
        .map(|subject| (subject.load, Measured::new(subject.name)))
        .unzip();
    for (load, measured) in loads.iter().zip(&mut measured) {
        let mut warm_up = load.run(plan.concurrency, plan.warm_up()).await;
        measured.take_failures(&mut warm_up);
    }
    for _ in 0..plan.rounds {
        for (load, measured) in loads.iter().zip(&mut measured) {
            measured.take_round(load.run(plan.concurrency, plan.turn).await);
        }
    }
    measured
}

/// A count by the time that it took.
#[expect(
    clippy::cast_precision_loss,
    reason = "a count of calls is far below 2^52"
)]
fn per_second(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

/// The smallest of the sorted values that at least `percent` of 100 do not exceed (nearest rank); zero where there is
/// none.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

/// The middle value, or the mean of the two in the middle; NaN where there is none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted[..] {
        [] => f64::NAN,
        _ if sorted.len() % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Measured {
        /// One with these counts, for the tests of what is printed.
        pub(crate) fn told(ok: u64, failed: u64) -> Self {
            let mut measured = Self::new("told".to_owned());
            measured.take_round(slice(ok, failed, &[1]));
            measured
        }
    }

    fn slice(ok: u64, failed: u64, millis: &[u64]) -> Slice {
        Slice {
            ok,
            failed,
            first_failure: (failed > 0).then(|| format!("failure {failed}")),
            elapsed: Duration::from_secs(2),
            cpu: Some(Duration::from_secs(1)),
            latencies: millis.iter().copied().map(Duration::from_millis).collect(),
        }
    }

    fn measured(rates: &[u64]) -> Measured {
        let mut measured = Measured::new(String::new());
        for rate in rates {
            measured.take_round(slice(rate * 2, 0, &[1]));
        }
        measured
    }

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50), Duration::from_millis(100));
        assert_eq!(percentile(&sorted, 99), Duration::from_millis(198));
        assert_eq!(percentile(&sorted[..1], 50), Duration::from_millis(1));
        assert_eq!(percentile(&sorted[..2], 99), Duration::from_millis(2));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }

    #[test]
    fn a_median_does_not_care_about_order_or_outliers() {
        assert!((median([9.0, 1.0, 1000.0].into_iter()) - 9.0).abs() < f64::EPSILON);
        assert!((median([4.0, 1.0, 3.0, 2.0].into_iter()) - 2.5).abs() < f64::EPSILON);
        assert!(median(std::iter::empty()).is_nan());
    }

    #[test]
    fn only_ok_answers_count_for_the_rate() {
        let mut measured = Measured::new(String::new());
        measured.take_round(slice(100, 900, &[3, 1, 2]));
        assert!((measured.rate() - 50.0).abs() < f64::EPSILON);
        assert_eq!((measured.ok, measured.failed), (100, 900));
        assert_eq!(measured.p50(), Duration::from_millis(2));
    }

    #[test]
    fn computed_time_is_told_for_one_answer_or_not_at_all() {
        let mut measured = measured(&[50]);
        assert_eq!(measured.cpu(), Some(Duration::from_millis(10)));
        measured.take_round(Slice {
            cpu: None,
            ..slice(1, 0, &[1])
        });
        assert_eq!(measured.cpu(), None);
    }

    #[test]
    fn the_first_error_is_kept_also_from_the_warm_up() {
        let mut measured = Measured::new(String::new());
        measured.take_failures(&mut slice(5, 1, &[]));
        measured.take_round(slice(100, 2, &[1]));
        assert_eq!((measured.ok, measured.failed), (100, 3));
        assert_eq!(measured.first_failure.as_deref(), Some("failure 1"));
    }

    #[test]
    fn rates_are_compared_within_their_round() {
        // The machine got four times as slow in the second round, for both.
        let (a, b) = (measured(&[100, 25, 90]), measured(&[200, 50, 100]));
        let ratio = Ratio::of_rates(&a, &b);
        assert!((ratio.median - 0.5).abs() < f64::EPSILON);
        assert!((ratio.lowest - 0.5).abs() < f64::EPSILON);
        assert!((ratio.highest - 0.9).abs() < f64::EPSILON);
    }

    #[tokio::test]
    async fn every_subject_has_its_turn_in_every_round() {
        let turns = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let subject = |name: &'static str| {
            let turns = turns.clone();
            let load = Load::calls(move |_| {
                let turns = turns.clone();
                async move {
                    let mut turns = turns.lock().expect("not poisoned");
                    if !turns.ends_with(name) {
                        turns.push_str(name);
                    }
                    Ok(())
                }
            });
            Subject::new(name, load)
        };
        let plan = Plan {
            rounds: 3,
            turn: Duration::from_millis(2),
            concurrency: 2,
        };
        let measured = interleaved(vec![subject("A"), subject("B")], &plan).await;
        assert_eq!(turns.lock().expect("not poisoned").as_str(), "ABABABAB");
        assert!(measured.iter().all(|measured| measured.ok > 0));
    }
}
