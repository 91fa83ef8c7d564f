//! What accompanies one request on its way: its id, its trace, its deadline.
//!
//! The server makes a [`RequestContext`] for every call and puts it into the request's
//! extensions. While the handler runs it is also the task's own, so that calls to other
//! services pass it on without the handler's help ([`crate::channel::Propagation`]).

use http::HeaderMap;
use millgate_guard::Entropy;
use tokio::time::Instant;

/// The header that carries the id of a request, in and out.
pub const REQUEST_ID: &str = "x-request-id";
/// The W3C trace context header.
pub const TRACEPARENT: &str = "traceparent";
/// Longest request id that is taken over from a caller.
const LONGEST_ID: usize = 64;

tokio::task_local! {
    static CURRENT: RequestContext;
}

/// What a request is called in the logs, and until when it may run.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The caller's `x-request-id` if it is a decent one, else a new UUID.
    pub request_id: String,
    /// The trace id of the caller's `traceparent` if it is valid, else a new one: 32 hex digits.
    pub trace_id: String,
    /// Whether the caller asked for this trace to be recorded.
    pub sampled: bool,
    /// When the call's time is up; `None` for a stream without a deadline.
    pub deadline: Option<Instant>,
    /// The address that the request came from, for the next service.
    pub client: Option<crate::client_address::ClientInfo>,
}

impl RequestContext {
    /// From the headers of a request.
    pub fn of(headers: &HeaderMap, entropy: &dyn Entropy) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let sent_id = text(REQUEST_ID).filter(|id| is_decent_id(id));
        let parent = text(TRACEPARENT).and_then(parse_traceparent);
        // Both at once: asking the operating system twice would cost as much again.
        let mut random = [[0; 16]; 2];
        if sent_id.is_none() || parent.is_none() {
            entropy.fill(random.as_flattened_mut());
        }
        let request_id = match sent_id {
            Some(id) => id.to_owned(),
            None => uuid::Builder::from_random_bytes(random[0])
                .into_uuid()
                .to_string(),
        };
        let (trace_id, sampled) = match parent {
            Some((trace_id, sampled)) => (trace_id.to_owned(), sampled),
            None => (hex(&random[1]), false),
        };
        Self {
            request_id,
            trace_id,
            sampled,
            deadline: None,
            client: None,
        }
    }

    /// The context of the call that this task is serving.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs `work` as part of this request: calls that it makes take the context along.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// The `traceparent` for a call that this request makes: the same trace, a new parent.
    pub fn traceparent(&self, entropy: &dyn Entropy) -> String {
        let flags = if self.sampled { "01" } else { "00" };
        let mut parent = [0; 8];
        entropy.fill(&mut parent);
        format!("00-{}-{}-{flags}", self.trace_id, hex(&parent))
    }
}

/// Letters, digits and `-_.`: nothing that could forge a log line.
pub fn is_decent_id(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Trace id and sampled flag of a `traceparent` (W3C Trace Context, section 3.2).
fn parse_traceparent(text: &str) -> Option<(&str, bool)> {
    let mut parts = text.split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let whole = version != "00" || parts.next().is_none();
    let good = whole
        && version != "ff"
        && is_hex(version, 2)
        && is_hex(trace, 32)
        && is_hex(parent, 16)
        && is_hex(flags, 2)
        && trace.bytes().any(|byte| byte != b'0')
        && parent.bytes().any(|byte| byte != b'0');
    let sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
    good.then_some((trace, sampled))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value & 15)]);
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(*byte));
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use millgate_guard::SystemEntropy;

    use super::*;

    fn context(name: &'static str, value: &str) -> RequestContext {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).expect("a header"));
        RequestContext::of(&headers, &SystemEntropy)
    }

    #[test]
    fn a_decent_request_id_is_taken_over_and_any_other_replaced() {
        assert_eq!(context(REQUEST_ID, "abc-1_2.3").request_id, "abc-1_2.3");
        for bad in ["", " ", "a b", "a\"b", "ä", "a\tb", &"a".repeat(65)] {
            let id = context(REQUEST_ID, bad).request_id;
            assert_eq!(id.len(), 36, "{bad:?} became {id}");
        }
    }

    #[test]
    fn the_trace_goes_on_under_a_new_parent() {
        let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let next = context(TRACEPARENT, sent).traceparent(&SystemEntropy);
        assert!(
            next.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"),
            "{next}"
        );
        assert!(next.ends_with("-01") && next != sent && next.len() == sent.len());
    }

    #[test]
    fn a_malformed_traceparent_starts_a_trace_of_its_own() {
        for bad in [
            "x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            let trace_id = context(TRACEPARENT, bad).trace_id;
            assert_ne!(trace_id, "4bf92f3577b34da6a3ce929d0e0e4736", "{bad}");
            assert!(is_hex(&trace_id, 32));
        }
    }
}
