//! Times as they are stored: microseconds since the Unix epoch.

use std::time::Duration;

/// Microseconds since the Unix epoch, UTC.
pub(crate) type Micros = i64;

/// A length of time in microseconds. Lengths here are days, not ages of the universe; a longer one saturates.
pub(crate) fn micros(length: Duration) -> Micros {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

/// Whole seconds since the epoch, rounded down: the NumericDate of RFC 7519 section 2.
pub(crate) const fn seconds(at: Micros) -> i64 {
    at.div_euclid(1_000_000)
}
