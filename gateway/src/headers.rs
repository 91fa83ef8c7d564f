//! What of a request's headers reaches a service: a short list, each entry checked or made here. Everything else stays
//! behind, cookies and whatever could pose as an identity first of all.

use crate::problem::Problem;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use millgate_platform::client_address::{FORWARDED_FOR, FORWARDED_USER_AGENT, PROXY_SECRET};
use millgate_platform::context::{REQUEST_ID, TRACEPARENT};
use millgate_platform::{ClientInfo, Entropy, RequestContext};
use secrecy::{ExposeSecret as _, SecretString};
use std::time::Duration;
use tonic::metadata::MetadataMap;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
// Read when this is compiled: as texts they would be read for every call.
const ID: HeaderName = HeaderName::from_static(REQUEST_ID);
const TRACE: HeaderName = HeaderName::from_static(TRACEPARENT);
const ADDRESS: HeaderName = HeaderName::from_static(FORWARDED_FOR);
const USER_AGENT: HeaderName = HeaderName::from_static(FORWARDED_USER_AGENT);
const PROOF: HeaderName = HeaderName::from_static(PROXY_SECRET);

/// What goes along with one call to a service.
#[derive(Debug)]
pub struct Forwarded<'r> {
    /// The headers as they were sent; only `authorization` is taken from them as it is.
    pub sent: &'r HeaderMap,
    /// The request's id and trace.
    pub context: &'r RequestContext,
    /// Who sent the request, as far as it can be believed.
    pub client: &'r ClientInfo,
    /// How long the call may take.
    pub timeout: Duration,
    /// What proves to a service that the client's address can be believed.
    pub proxy_secret: Option<&'r SecretString>,
}

impl Forwarded<'_> {
    /// The metadata of the call.
    pub fn metadata(&self, entropy: &dyn Entropy) -> MetadataMap {
        let mut headers = HeaderMap::with_capacity(8);
        // All of them: a second entry is refused where tokens are looked at, not hidden here.
        for value in self.sent.get_all(AUTHORIZATION) {
            let mut value = value.clone();
            value.set_sensitive(true);
            headers.append(AUTHORIZATION, value);
        }
        let mut put = |name: HeaderName, text: &str, secret: bool| {
            if let Ok(mut value) = HeaderValue::from_str(text) {
                value.set_sensitive(secret);
                headers.insert(name, value);
            }
        };
        put(ID, &self.context.request_id, false);
        put(TRACE, &self.context.traceparent(entropy), false);
        put(ADDRESS, &self.client.address.to_string(), false);
        put(USER_AGENT, &self.client.user_agent, false);
        if let Some(secret) = self.proxy_secret {
            put(PROOF, secret.expose_secret(), true);
        }
        headers.insert(GRPC_TIMEOUT, timeout_text(self.timeout));
        MetadataMap::from_headers(headers)
    }
}

/// How long the call may take: what the client asked for by `grpc-timeout`, at most `longest`.
pub fn timeout(headers: &HeaderMap, longest: Duration) -> Result<Duration, Problem> {
    let asked = asked_timeout(headers)?;
    Ok(asked.map_or(longest, |asked| asked.min(longest)))
}

/// What the client asked for by `grpc-timeout`, if it did.
pub fn asked_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let mut values = headers.get_all(GRPC_TIMEOUT).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let asked = value
        .to_str()
        .ok()
        .and_then(parse_timeout)
        .filter(|_| values.next().is_none());
    asked.map(Some).ok_or_else(|| {
        Problem::field(
            "grpc-timeout",
            "must be one to eight digits and one of H, M, S, m, u, n",
        )
    })
}

/// Whether there is an `authorization` entry of the scheme Bearer with something after it.
pub fn has_token(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).iter().any(|value| {
        let value = value.as_bytes();
        value.split_at_checked(6).is_some_and(|(scheme, rest)| {
            scheme.eq_ignore_ascii_case(b"bearer")
                && rest.first() == Some(&b' ')
                && !rest.trim_ascii().is_empty()
        })
    })
}

/// `TimeoutValue TimeoutUnit` of the gRPC protocol over HTTP/2.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

/// In milliseconds: eight digits of them are more than a day.
fn timeout_text(timeout: Duration) -> HeaderValue {
    let millis = timeout.as_millis().clamp(1, 99_999_999);
    HeaderValue::from_str(&format!("{millis}m")).unwrap_or(HeaderValue::from_static("10S"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use millgate_platform::SystemEntropy;

    fn headers(entries: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in entries {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn nothing_but_the_list_passes() {
        let sent = headers(&[
            ("authorization", "Bearer a"),
            ("authorization", "Bearer b"),
            ("cookie", "session=1"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-user-agent", "liar"),
            ("x-millgate-proxy", "guess"),
            ("x-request-id", "mine"),
            (
                "traceparent",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ),
            ("tracestate", "a=b"),
            ("x-user-id", "1"),
            ("grpc-timeout", "1S"),
            ("content-length", "3"),
            ("connection", "close"),
            ("host", "elsewhere"),
            ("te", "trailers"),
        ]);
        let context = RequestContext::of(&sent, &SystemEntropy);
        let client = ClientInfo {
            address: "192.0.2.7".parse().unwrap(),
            user_agent: "browser".to_owned(),
        };
        let forwarded = Forwarded {
            sent: &sent,
            context: &context,
            client: &client,
            timeout: Duration::from_secs(2),
            proxy_secret: None,
        };
        let passed = forwarded.metadata(&SystemEntropy).into_headers();
        let mut names: Vec<&str> = passed.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let expected = [
            "authorization",
            "authorization",
            "grpc-timeout",
            "traceparent",
            "x-forwarded-for",
            "x-forwarded-user-agent",
            "x-request-id",
        ];
        assert_eq!(names, expected);
        assert_eq!(passed["x-forwarded-for"], "192.0.2.7");
        assert_eq!(passed["x-forwarded-user-agent"], "browser");
        assert_eq!(passed["x-request-id"], "mine");
        assert_eq!(passed["grpc-timeout"], "2000m");
        assert!(
            passed["traceparent"]
                .to_str()
                .unwrap()
                .starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-")
        );
    }

    #[test]
    fn a_deadline_is_capped_and_a_malformed_one_refused() {
        let longest = Duration::from_secs(10);
        let cases = [
            ("1S", Some(1000)),
            ("99999999H", Some(10_000)),
            ("250m", Some(250)),
            ("0m", Some(0)),
            ("", None),
            ("S", None),
            ("1", None),
            ("-1S", None),
            ("1.5S", None),
            ("123456789m", None),
            ("1s", None),
        ];
        for (text, millis) in cases {
            let found = timeout(&headers(&[("grpc-timeout", text)]), longest).ok();
            assert_eq!(found, millis.map(Duration::from_millis), "{text}");
        }
        assert_eq!(timeout(&HeaderMap::new(), longest), Ok(longest));
        assert!(
            timeout(
                &headers(&[("grpc-timeout", "1S"), ("grpc-timeout", "1S")]),
                longest
            )
            .is_err()
        );
    }

    #[test]
    fn a_token_is_a_bearer_entry_that_is_not_empty() {
        let cases = [
            ("Bearer x", true),
            ("bearer x", true),
            ("BEARER  x", true),
            ("Bearer", false),
            ("Bearer ", false),
            ("Bearer    ", false),
            ("Bearerx", false),
            ("Basic eDp5", false),
            ("", false),
        ];
        for (value, expected) in cases {
            assert_eq!(
                has_token(&headers(&[("authorization", value)])),
                expected,
                "{value:?}"
            );
        }
        assert!(!has_token(&HeaderMap::new()));
        assert!(!has_token(&headers(&[(
            "cookie",
            "authorization=Bearer x"
        )])));
    }
}
