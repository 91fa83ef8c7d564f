//! How often one address may ask. What one principal may do is the services' to say: they know who it is.

use crate::config::LimitArgs;
use crate::problem::{Problem, reason};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use millgate_platform::ClientInfo;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use tonic::Code;

/// After this many requests, the addresses that have not asked for long enough are forgotten.
const SWEEP_EVERY: u64 = 4096;

/// What every address has left.
pub struct Rate {
    limiter: Option<DefaultKeyedRateLimiter<IpAddr>>,
    counted: AtomicU64,
}

impl Rate {
    /// By the settings.
    pub fn new(limits: &LimitArgs) -> Self {
        let limiter = NonZeroU32::new(limits.requests_per_second).map(|rate| {
            let burst = NonZeroU32::new(limits.requests_burst).unwrap_or(rate);
            RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst))
        });
        Self {
            limiter,
            counted: AtomicU64::new(1),
        }
    }

    /// RATE_LIMITED, with the time to wait, where the client's address has nothing left.
    pub(crate) fn admit(&self, client: &ClientInfo) -> Result<(), Problem> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        let count = self.counted.fetch_add(1, Ordering::Relaxed);
        if count.is_multiple_of(SWEEP_EVERY) {
            limiter.retain_recent();
        }
        limiter
            .check_key(&client.throttle_key())
            .map_err(|refused| {
                let message = "too many requests from this address";
                Problem {
                    retry: Some(refused.wait_time_from(DefaultClock::default().now())),
                    ..Problem::new(Code::ResourceExhausted, reason::RATE_LIMITED, message)
                }
            })
    }
}

impl std::fmt::Debug for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rate")
    }
}
