//! Calls to other services: the channel, and what a call takes along.

use std::time::Duration;

use http::Uri;
use millgate_guard::SharedEntropy;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;
use tonic::{
    Request, Status,
    metadata::{AsciiMetadataValue, MetadataMap},
    service::Interceptor,
    transport::{Channel, Endpoint},
};

use crate::{
    client_address::{FORWARDED_FOR, FORWARDED_USER_AGENT, PROXY_SECRET},
    config::{ClientTls, StartError},
    context::{REQUEST_ID, RequestContext, TRACEPARENT},
    fault::{Fault, Reason},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest that a call may take when nobody said otherwise; as the servers' own.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// What a stream whose reader is slow may have waiting here, where many share a connection.
/// Less would be used up by one message, and a server that does not set TCP_NODELAY then waits 40 ms for each.
const STREAM_WINDOW: u32 = 256 * 1024;
/// What a call on behalf of another one leaves of its time for the answer's way back.
const MARGIN: Duration = Duration::from_millis(50);

/// A channel for unary calls. It connects at the first call, and again by itself when the
/// connection is lost. `setting` is the name of the setting that holds the endpoint
/// (`http://host:port` or `https://host:port`).
///
/// Streams get a channel of their own ([`stream_channel`]): a hundred open ones on one
/// connection would stall every unary call behind them.
///
/// # Errors
/// When the endpoint is no such URL, or TLS is wanted and not configured.
pub fn channel(
    setting: &str,
    endpoint: &str,
    tls: Option<&ClientTls>,
) -> Result<Channel, StartError> {
    Ok(configured(setting, endpoint, tls)?
        .timeout(CALL_TIMEOUT)
        .connect_lazy())
}

/// A channel for streams: as [`channel`], without a time limit on the call.
///
/// # Errors
/// As [`channel`].
pub fn stream_channel(
    setting: &str,
    endpoint: &str,
    tls: Option<&ClientTls>,
) -> Result<Channel, StartError> {
    Ok(configured(setting, endpoint, tls)?.connect_lazy())
}

/// As [`stream_channel`], for up to `most` streams at once whose readers may be slow, or read nothing at all. What they
/// leave unread counts towards the connection's window too, which has room for all of them: nobody waits for another.
///
/// # Errors
/// As [`channel`].
pub fn crowded_stream_channel(
    setting: &str,
    endpoint: &str,
    tls: Option<&ClientTls>,
    most: u32,
) -> Result<Channel, StartError> {
    Ok(configured(setting, endpoint, tls)?
        .initial_stream_window_size(STREAM_WINDOW)
        // One window more, of which nothing is ever left unread.
        .initial_connection_window_size(STREAM_WINDOW.saturating_mul(most.saturating_add(1)))
        .connect_lazy())
}

fn configured(
    setting: &str,
    endpoint: &str,
    tls: Option<&ClientTls>,
) -> Result<Endpoint, StartError> {
    const EXPECTED: &str = "must be http://host:port or https://host:port";
    let wrong = |message: &str| StartError::new(setting, message);
    let uri: Uri = endpoint.parse().map_err(|_| wrong(EXPECTED))?;
    let bare = uri.path() == "/" && uri.query().is_none() && uri.authority().is_some();
    let secure = match uri.scheme_str() {
        Some("http") if bare => false,
        Some("https") if bare => true,
        _ => return Err(wrong(EXPECTED)),
    };
    let mut endpoint = Endpoint::from(uri)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    if secure {
        let tls = tls.ok_or_else(|| wrong("is https, but MILLGATE_CLIENT_TLS_CA is not set"))?;
        endpoint = endpoint
            .tls_config(tls.config.clone())
            .map_err(|error| wrong(&format!("TLS cannot be set up: {error}")))?;
    }
    Ok(endpoint)
}

/// An interceptor for clients that passes on what accompanies the request being served: its
/// id, its trace, what is left of its time, and the client's address for a service that
/// believes us.
#[derive(Clone)]
pub struct Propagation {
    entropy: SharedEntropy,
    proxy_secret: Option<SecretString>,
}

impl Propagation {
    /// Passes on id, trace and deadline, and the address to services that know us by our
    /// network or our certificate.
    pub fn new(entropy: SharedEntropy) -> Self {
        Self {
            entropy,
            proxy_secret: None,
        }
    }

    /// Proves with this secret that the address can be believed.
    #[must_use]
    pub fn with_proxy_secret(mut self, secret: SecretString) -> Self {
        self.proxy_secret = Some(secret);
        self
    }
}

impl std::fmt::Debug for Propagation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Propagation")
    }
}

impl Interceptor for Propagation {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let Some(context) = RequestContext::current() else {
            return Ok(request);
        };
        if let Some(deadline) = context.deadline {
            let left = deadline
                .saturating_duration_since(Instant::now())
                .saturating_sub(MARGIN);
            if left.is_zero() {
                return Err(Fault::new(Reason::Deadline, "the call's time is up").into());
            }
            if !request.metadata().contains_key("grpc-timeout") {
                request.set_timeout(left);
            }
        }
        let metadata = request.metadata_mut();
        put(metadata, REQUEST_ID, &context.request_id);
        put(
            metadata,
            TRACEPARENT,
            &context.traceparent(self.entropy.as_ref()),
        );
        if let Some(client) = &context.client {
            put(metadata, FORWARDED_FOR, &client.address.to_string());
            put(metadata, FORWARDED_USER_AGENT, &client.user_agent);
            if let Some(secret) = &self.proxy_secret {
                put(metadata, PROXY_SECRET, secret.expose_secret());
            }
        }
        Ok(request)
    }
}

/// A value that no header can hold (a user agent in Cyrillic) is left out.
fn put(metadata: &mut MetadataMap, name: &'static str, value: &str) {
    if let Ok(mut value) = AsciiMetadataValue::try_from(value) {
        value.set_sensitive(name == PROXY_SECRET);
        metadata.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_endpoint_is_a_url_of_host_and_port() {
        assert!(channel("AUTH_ENDPOINT", "http://127.0.0.1:50051", None).is_ok());
        for bad in [
            "",
            "127.0.0.1:1",
            "ftp://a:1",
            "http://a:1/path",
            "http://a:1?q",
            "https://a:1",
        ] {
            let error = channel("AUTH_ENDPOINT", bad, None).expect_err(bad);
            assert_eq!(error.setting(), "AUTH_ENDPOINT");
        }
    }
}
