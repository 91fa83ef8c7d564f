//! What was revoked, as the auth service tells it.

use std::sync::Arc;

use millgate_guard::{LiveRevocations, SharedRing, TokenSource, TrustFeed};
use millgate_platform::{
    Probe, SharedClock, SharedEntropy, StartError, channel::stream_channel, config::ClientTls,
};
use tokio::task::JoinSet;

use crate::config::Config;

/// The revocations that this service refuses by; none where it does not follow the feed. They are kept up to date for
/// as long as `background` runs.
///
/// # Errors
/// Names the setting that is wrong.
pub(crate) fn follow(
    config: &Config,
    tls: Option<&ClientTls>,
    tokens: TokenSource,
    ring: SharedRing,
    (clock, entropy): (SharedClock, SharedEntropy),
    background: &mut JoinSet<()>,
) -> Result<Option<Arc<LiveRevocations>>, StartError> {
    if !config.trust_feed {
        if config.max_staleness.is_some() || config.await_trust_feed {
            let message = "is off, and FACTORY_MAX_STALENESS or FACTORY_AWAIT_TRUST_FEED needs it";
            return Err(StartError::new("FACTORY_TRUST_FEED", message));
        }
        return Ok(None);
    }
    let known = LiveRevocations::new(clock);
    let known = Arc::new(match config.max_staleness {
        Some(limit) => known.with_max_staleness(limit),
        None => known,
    });
    // A stream for as long as the service runs: unary calls must not stand behind it.
    let channel = stream_channel("AUTH_ENDPOINT", &config.auth_endpoint, tls)?;
    let feed = TrustFeed::new(known.clone(), ring, tokens, entropy);
    background.spawn(feed.run(channel));
    Ok(Some(known))
}

/// The service knows what was revoked before it began.
pub(crate) fn probe(known: &Arc<LiveRevocations>) -> Probe {
    let known = known.clone();
    Probe::new("trust feed", move || {
        let complete = known.stats().complete;
        async move {
            match complete {
                true => Ok(()),
                false => Err("no snapshot has arrived yet".to_owned()),
            }
        }
    })
}
