//! How long a call may take: the server's own limit and the caller's `grpc-timeout`.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use super::kinds::Kind;
use crate::fault::{Fault, Reason};

/// Further than this no deadline is kept; a caller that wants more gets this.
const FURTHEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// When the call's time is up; `None` when it may take as long as it likes (a stream).
///
/// # Errors
/// `MESSAGE_MALFORMED` for a `grpc-timeout` that is none. tonic would take it for "no
/// deadline", which is the opposite of what its sender wanted.
pub(super) fn of_call(
    headers: &HeaderMap,
    kind: Kind,
    limit: Option<Duration>,
    now: Instant,
) -> Result<Option<Instant>, Fault> {
    let asked = match headers.get("grpc-timeout") {
        None => None,
        Some(value) => {
            let timeout = value.to_str().ok().and_then(parse).ok_or_else(|| {
                Fault::new(Reason::MessageMalformed, "grpc-timeout is not a timeout")
            })?;
            Some(timeout)
        }
    };
    let limit = limit.filter(|_| kind.is_unary());
    let timeout = match (asked, limit) {
        (Some(asked), Some(limit)) => Some(asked.min(limit)),
        (asked, limit) => asked.or(limit),
    };
    Ok(timeout.map(|timeout| now + timeout.min(FURTHEST)))
}

/// The answer to a call whose time is up.
pub(super) fn exceeded() -> Fault {
    Fault::new(Reason::Deadline, "the call took longer than it may")
}

/// At most eight digits and a unit (gRPC over HTTP/2, "Timeout").
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let good = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = good.then(|| digits.parse().ok())??;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_up_to_eight_digits_and_a_unit() {
        assert_eq!(parse("10S"), Some(Duration::from_secs(10)));
        assert_eq!(
            parse("99999999H"),
            Some(Duration::from_secs(99_999_999 * 3600))
        );
        assert_eq!(parse("0m"), Some(Duration::ZERO));
        for bad in [
            "",
            "S",
            "10",
            "10s",
            "-1S",
            "+1S",
            "1.5S",
            "123456789n",
            "1 S",
            "1Sm",
            "١S",
            "1é",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_shorter_of_both_limits_counts_and_a_stream_has_only_the_callers() {
        let now = Instant::now();
        let limit = Some(Duration::from_secs(10));
        let stream = Kind {
            client_streams: false,
            server_streams: true,
        };
        let mut headers = HeaderMap::new();
        let at = |headers: &HeaderMap, kind| {
            of_call(headers, kind, limit, now)
                .expect("good")
                .map(|at| at - now)
        };
        assert_eq!(at(&headers, Kind::UNARY), limit);
        assert_eq!(at(&headers, stream), None);
        headers.insert("grpc-timeout", "2S".parse().expect("a header"));
        assert_eq!(at(&headers, Kind::UNARY), Some(Duration::from_secs(2)));
        assert_eq!(at(&headers, stream), Some(Duration::from_secs(2)));
        headers.insert("grpc-timeout", "99999999H".parse().expect("a header"));
        assert_eq!(at(&headers, Kind::UNARY), limit);
        assert_eq!(at(&headers, stream), Some(FURTHEST));
        headers.insert("grpc-timeout", "soon".parse().expect("a header"));
        assert!(of_call(&headers, stream, limit, now).is_err());
    }
}
