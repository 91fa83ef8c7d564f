//! From a logout at the auth service to the refusal at another one.

use std::time::{Duration, Instant};

use millgate_contract::auth::v1 as pb;

use crate::Problem;
use crate::house::House;

/// Longer than this, and something is broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures, and prints.
pub(crate) async fn measure(kind: &str, house: &House, count: usize) -> Result<(), Problem> {
    house.person("revoked").await?;
    let (mut answered, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let tokens = house.login("revoked").await?;
        if !house.elsewhere.takes(&tokens.access_token) {
            return Err("a good token was refused".into());
        }
        let request = pb::LogoutRequest {
            refresh_token: tokens.refresh_token,
        };
        let begun = Instant::now();
        house.auth.clone().logout(request).await?;
        let done = begun.elapsed();
        while house.elsewhere.takes(&tokens.access_token) {
            if begun.elapsed() > PATIENCE {
                return Err("a revoked token was taken".into());
            }
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        refused.push(begun.elapsed().saturating_sub(done));
        answered.push(done);
    }
    println!(
        "{kind}: {count} logouts: answered p50 {:?} p99 {:?}; refused elsewhere after the answer p50 {:?} p99 {:?}",
        percentile(&mut answered, 50),
        percentile(&mut answered, 99),
        percentile(&mut refused, 50),
        percentile(&mut refused, 99),
    );
    Ok(())
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(at).copied().unwrap_or_default()
}
