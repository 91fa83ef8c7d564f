//! (h) Whether the time of a refused login tells why it was refused: Welch's t between kinds of refusals.

use std::time::Instant;

use millgate_platform::{Affected as _, on_write};
use tonic::Code;

use super::world::{Auth, caller, login};
use crate::Problem;
use crate::client::{Client, told};
use crate::table::Report;

/// Below this the two are taken for the same: the threshold of leakage assessment (Goodwill, Jun, Jaffe and Rohatgi,
/// "A testing methodology for side-channel resistance validation", 2011).
const THRESHOLD: f64 = 4.5;
/// Of each kind this part, the slowest, is left out of the second figure: what a busy machine does to a few.
const TRIMMED: f64 = 0.05;
/// An address may fail so often at once: its bucket is emptied before.
const BUCKET: u32 = 12;
const WRONG: &str = "not the password";

/// Logins that are refused, and how long each took, in microseconds.
struct Arm {
    kind: &'static str,
    name: String,
    code: Code,
    micros: Vec<f64>,
}

/// Measures on one database: `count` logins of each kind, in turns.
pub(crate) async fn measure(auth: &Auth, count: u32, report: &mut Report) -> Result<(), Problem> {
    let arm = |kind, name: &str, code| Arm {
        kind,
        name: name.to_owned(),
        code,
        micros: Vec::new(),
    };
    let wrong = Code::Unauthenticated;
    let mut refused = vec![
        arm("unknown name", "nobody-here", wrong),
        arm("wrong password", auth.person(0), wrong),
        arm("wrong, another person", auth.person(1), wrong),
        arm("disabled", &auth.disabled_person().await?, wrong),
    ];
    race(&auth.admin, &mut refused, count, async || Ok(())).await?;
    report_pairs(auth, &refused, report);

    let late = Code::ResourceExhausted;
    let mut locked = vec![
        arm("throttled, unknown name", "nobody-there", late),
        arm("throttled, known", auth.person(2), late),
        arm("throttled, another person", auth.person(3), late),
    ];
    for arm in &locked {
        for _ in 0..5 {
            empty_buckets(auth).await?;
            let answer = caller(&auth.throttled, 0)
                .login(login(&arm.name, WRONG))
                .await;
            if answer.map(drop).map_err(|status| status.code()) != Err(wrong) {
                return Err("a guess was not refused as such".into());
            }
        }
    }
    // Until tomorrow, so that none gets through while we measure.
    on_write!(auth.pool, |c| sqlx::query(
        "UPDATE throttles SET blocked_until = blocked_until + 86400000000"
    )
    .execute(c)
    .await
    .affected())?;
    race(&auth.throttled, &mut locked, count, async || {
        empty_buckets(auth).await
    })
    .await?;
    report_pairs(auth, &locked, report);
    Ok(())
}

async fn empty_buckets(auth: &Auth) -> Result<(), Problem> {
    on_write!(auth.pool, |c| sqlx::query("DELETE FROM address_buckets")
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

/// One of each kind after the other, each round beginning with another one.
async fn race(
    client: &Client,
    arms: &mut [Arm],
    count: u32,
    prepare: impl AsyncFn() -> Result<(), Problem>,
) -> Result<(), Problem> {
    let warm_up = count / 20;
    for round in 0..warm_up + count {
        if round % (BUCKET / 2) == 0 {
            prepare().await?;
        }
        for turn in 0..arms.len() {
            let place = (turn + round as usize) % arms.len();
            let arm = &mut arms[place];
            let begun = Instant::now();
            let answer = caller(client, 0).login(login(&arm.name, WRONG)).await;
            let took = begun.elapsed();
            match answer {
                Err(status) if status.code() == arm.code => {}
                Err(status) => return Err(format!("{}: {}", arm.kind, told(&status)).into()),
                Ok(_) => return Err(format!("{} was let in", arm.kind).into()),
            }
            if round >= warm_up {
                arm.micros.push(took.as_secs_f64() * 1e6);
            }
        }
    }
    Ok(())
}

fn report_pairs(auth: &Auth, arms: &[Arm], report: &mut Report) {
    for (index, one) in arms.iter().enumerate() {
        for other in &arms[index + 1..] {
            let t = welch(&one.micros, &other.micros);
            let trimmed = welch(&fastest(&one.micros), &fastest(&other.micros));
            report.note(format!(
                "(h) {}: {} ({:.0} us) against {} ({:.0} us), {} each: t {t:.2}, without the slowest 5 % {trimmed:.2}: {}",
                auth.database,
                one.kind,
                mean(&one.micros),
                other.kind,
                mean(&other.micros),
                one.micros.len(),
                if t.abs() < THRESHOLD && trimmed.abs() < THRESHOLD { "the same" } else { "DIFFERENT" },
            ));
        }
    }
}

/// All but the slowest.
fn fastest(micros: &[f64]) -> Vec<f64> {
    let mut sorted = micros.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a count of thousands"
    )]
    let kept = (sorted.len() as f64 * (1.0 - TRIMMED)) as usize;
    sorted.truncate(kept);
    sorted
}

/// Welch's t: how far two means lie apart, in the error of their difference.
fn welch(one: &[f64], other: &[f64]) -> f64 {
    let error = |values: &[f64]| variance(values) / count(values);
    (mean(one) - mean(other)) / (error(one) + error(other)).sqrt()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / count(values)
}

/// Of the population that the sample is from.
fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    squares / (count(values) - 1.0)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a count of logins is far below 2^52"
)]
fn count(values: &[f64]) -> f64 {
    values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_is_as_in_the_textbook() {
        // Means 2 and 5, variances 1 and 1, three each: -3 / sqrt(2 / 3).
        let t = welch(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]);
        assert!((t + 3.674_234_6).abs() < 1e-6, "{t}");
        assert!(welch(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]).abs() < f64::EPSILON);
    }

    #[test]
    fn the_slowest_are_left_out() {
        let all: Vec<f64> = (0..100).map(f64::from).rev().collect();
        let kept = fastest(&all);
        assert_eq!(kept.len(), 95);
        assert!(kept.iter().all(|micros| *micros < 95.0));
    }
}
