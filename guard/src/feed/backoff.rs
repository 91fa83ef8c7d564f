//! How long to wait before the next try: full jitter, so that many clients that lost the same
//! server do not come back together ("Exponential Backoff And Jitter", AWS architecture blog).

use std::time::Duration;

use crate::ambient::Entropy;

/// The range of the first wait.
const FIRST: Duration = Duration::from_millis(200);
/// No range is longer.
const LONGEST: Duration = Duration::from_secs(30);

/// Waits that grow.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A random time below a range that doubles with each call.
    pub(super) fn next(&mut self, entropy: &dyn Entropy) -> Duration {
        let range = FIRST
            .saturating_mul(2_u32.saturating_pow(self.failures))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let mut bytes = [0; 4];
        entropy.fill(&mut bytes);
        let part = f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0);
        range.mul_f64(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededEntropy;

    #[test]
    fn waits_are_random_grow_and_stay_below_half_a_minute() {
        let entropy = SeededEntropy::new(5);
        let mut longest = [Duration::ZERO; 40];
        for _ in 0..200 {
            let mut backoff = Backoff::default();
            for held in &mut longest {
                *held = (*held).max(backoff.next(&entropy));
            }
        }
        assert!(longest[0] < FIRST && longest[0] > FIRST / 2);
        assert!(longest[3] < FIRST * 8 && longest[3] > FIRST * 4);
        assert!(longest[39] < LONGEST && longest[39] > LONGEST / 2);
        let mut one = Backoff { failures: u32::MAX };
        assert!(one.next(&entropy) < LONGEST);
    }
}
