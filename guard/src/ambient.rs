//! Clocks and randomness, passed in and never reached for, so that a test can hold both.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom, SystemRandom};

/// What time it is.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since the Unix epoch, UTC.
    fn now_micros(&self) -> i64;

    /// Whole seconds since the Unix epoch, rounded down: the NumericDate of RFC 7519 section 2.
    fn now_seconds(&self) -> i64 {
        self.now_micros().div_euclid(1_000_000)
    }
}

impl fmt::Debug for dyn Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// A clock that several parts of a program hold.
pub type SharedClock = Arc<dyn Clock>;

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that implements Clock over the system's time"
    )]
    fn now_micros(&self) -> i64 {
        // A clock set before 1970 reads as the epoch: every token is then "not yet valid".
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
    }
}

/// Where randomness comes from.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes` with randomness fit for keys.
    fn fill(&self, bytes: &mut [u8]);

    /// A random UUID (RFC 9562 version 4).
    fn uuid_v4(&self) -> uuid::Uuid {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}

/// A source of randomness that several parts of a program hold.
pub type SharedEntropy = Arc<dyn Entropy>;

/// The randomness of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that implements Entropy over the system's randomness"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        if SystemRandom::new().fill(bytes).is_err() {
            // Without randomness every key and token would be guessable. No caller can cause
            // this, and there is nothing to go on with.
            tracing::error!("the operating system gives no randomness; stopping");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_is_later_than_when_this_was_written() {
        assert!(SystemClock.now_micros() > 1_760_000_000_000_000);
        assert_eq!(
            SystemClock.now_seconds(),
            SystemClock.now_micros() / 1_000_000
        );
    }

    #[test]
    fn uuids_are_of_version_four_and_differ() {
        let one = SystemEntropy.uuid_v4();
        assert_eq!(one.get_version_num(), 4);
        assert_ne!(one, SystemEntropy.uuid_v4());
    }
}
