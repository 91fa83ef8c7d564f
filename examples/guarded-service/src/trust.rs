//! The client side: a token of its own, and what was revoked.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use millgate_guard::{
    IssuedToken, LiveRevocations, SharedRing, SystemClock, SystemEntropy, TokenSource, TrustFeed,
};
use secrecy::SecretString;
use tonic::Status;
use tonic::transport::Channel;

use crate::board::Archive;

/// Follows the trust feed, if the environment says where it is.
pub(crate) fn follow(known: Arc<LiveRevocations>, ring: SharedRing) -> Result<(), Box<dyn Error>> {
    let Ok(endpoint) = env::var("AUTH_ENDPOINT") else {
        return Ok(());
    };
    let file = env::var("NOTES_TOKEN_FILE")?;
    // A service with a client of AuthService calls IssueServiceToken here; this one has its
    // tokens brought by somebody who does. The source asks again before one ends.
    let fetch = move || {
        let read = fs::read_to_string(&file);
        let issued = read.map(|token| IssuedToken {
            access_token: SecretString::from(token.trim()),
            expires_in: Duration::from_secs(60),
        });
        let issued = issued.map_err(|error| Status::unavailable(error.to_string()));
        Box::pin(std::future::ready(issued)) as _
    };
    let tokens = TokenSource::new(fetch, Arc::new(SystemClock));
    let feed = TrustFeed::new(known, ring, tokens, Arc::new(SystemEntropy));
    let channel = Channel::from_shared(endpoint)?.connect_lazy();
    tokio::spawn(feed.named("notes").run(channel));
    Ok(())
}

/// The archive, if the environment names one.
pub(crate) fn archive() -> Result<Option<Archive>, Box<dyn Error>> {
    let Ok(endpoint) = env::var("NOTES_ARCHIVE") else {
        return Ok(None);
    };
    let channel = Channel::from_shared(endpoint)?.connect_lazy();
    Ok(Some(Archive::new(channel)))
}

/// Says something to who started the service.
pub(crate) fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}
