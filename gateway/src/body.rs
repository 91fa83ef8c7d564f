//! The body of a request: read within a size and a time, never buffered past either.

use crate::accept::Accepted;
use crate::problem::{Problem, reason, shortened};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use http_body::Body;
use http_body_util::BodyExt as _;
use std::pin::Pin;
use std::time::Duration;
use tonic::Code;

/// Reads a body whole. MESSAGE_TOO_LARGE past `most` bytes, BODY_TIMEOUT past `longest`. Before more memory is taken,
/// `take` is asked for so many bytes of it.
pub async fn read<B>(
    mut body: Pin<&mut B>,
    most: usize,
    longest: Duration,
    mut take: impl FnMut(usize) -> Result<(), Problem>,
) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes>,
{
    let too_large = || {
        Problem::new(
            Code::ResourceExhausted,
            reason::MESSAGE_TOO_LARGE,
            format!("the body has more than {most} bytes"),
        )
    };
    let told = body.size_hint().lower();
    if usize::try_from(told).map_or(true, |told| told > most) {
        return Err(too_large());
    }
    let collected = async {
        let mut whole = BytesMut::new();
        let mut taken = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| {
                Problem::new(
                    Code::InvalidArgument,
                    reason::JSON_MALFORMED,
                    "the body was cut off",
                )
            })?;
            if let Ok(data) = frame.into_data() {
                if whole.len() + data.len() > most {
                    return Err(too_large());
                }
                let size = whole.len() + data.len();
                if size > taken {
                    // As a buffer grows: to twice its size.
                    let grown = size.next_power_of_two().min(most);
                    take(grown - taken)?;
                    taken = grown;
                }
                whole.extend_from_slice(&data);
            }
        }
        Ok(whole.freeze())
    };
    tokio::time::timeout(longest, collected)
        .await
        .unwrap_or_else(|_| {
            let message = "the body did not arrive in time";
            Err(Problem::new(
                Code::DeadlineExceeded,
                reason::BODY_TIMEOUT,
                message,
            ))
        })
}

/// Reads what is left of a body that nobody wants, within bounds, and keeps nothing of it: a connection that is closed
/// with unread octets in it takes the answer along (RFC 9112 section 9.6).
pub async fn discard<B>(mut body: Pin<&mut B>, most: usize)
where
    B: Body<Data = Bytes>,
{
    const LONGEST: Duration = Duration::from_secs(1);
    let discarded = async {
        let mut left = most.saturating_mul(2);
        while let Some(Ok(frame)) = body.frame().await {
            let size = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(size) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // A client that goes on slowly has to do without.
    let _ = tokio::time::timeout(LONGEST, discarded).await;
}

/// CONTENT_TYPE unless the body is compressed by nothing but gzip.
pub fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let encodings: Vec<&[u8]> = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let known = |name: &[u8]| {
        [&b"identity"[..], b"gzip"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
    };
    if encodings.len() > 1 || !encodings.iter().all(|name| known(name)) {
        let message = "the body may be compressed by gzip, and by nothing else";
        return Err(Problem::new(
            Code::InvalidArgument,
            reason::CONTENT_TYPE,
            message,
        ));
    }
    Ok(())
}

/// CONTENT_TYPE unless the body says that it is `application/json` in UTF-8.
pub fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |message: String| {
        Err(Problem::new(
            Code::InvalidArgument,
            reason::CONTENT_TYPE,
            message,
        ))
    };
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let Some(value) = values.next() else {
        return refused("the body must be application/json, and says nothing".to_owned());
    };
    let text = value.to_str().unwrap_or_default();
    let mut parts = text.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        !name.trim().eq_ignore_ascii_case("charset")
            || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    if is_json && is_utf8 && values.next().is_none() {
        return Ok(());
    }
    refused(format!(
        "the body must be application/json in UTF-8, not {:?}",
        shortened(text)
    ))
}

/// Whether the body is compressed.
pub fn is_gzip(headers: &HeaderMap) -> bool {
    let encoding = headers.get(CONTENT_ENCODING);
    encoding.is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"gzip"))
}

/// NOT_ACCEPTABLE when the client asks for something, and for no JSON.
pub fn check_accept(headers: &HeaderMap) -> Result<(), Problem> {
    if Accepted::of(headers).weight("application/json") > 0.0 {
        return Ok(());
    }
    Err(Problem::new(
        Code::InvalidArgument,
        reason::NOT_ACCEPTABLE,
        "the answers are application/json, which the request does not accept",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;
    use http_body_util::{Full, StreamBody};
    use std::pin::pin;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_body_is_json_and_says_so() {
        let cases: [(&[&str], bool); 11] = [
            (&["application/json"], true),
            (&["Application/JSON; charset=UTF-8"], true),
            (&["application/json;charset=\"utf-8\""], true),
            (&["application/json; charset=latin1"], false),
            (&["application/jsonp"], false),
            (&["application/x-www-form-urlencoded"], false),
            (&["text/plain"], false),
            (&["text/plain; application/json"], false),
            (&["application/json", "text/plain"], false),
            (&[""], false),
            (&[], false),
        ];
        for (values, good) in cases {
            assert_eq!(
                check_content_type(&headers(CONTENT_TYPE, values)).is_ok(),
                good,
                "{values:?}"
            );
        }
        let mut compressed = headers(CONTENT_TYPE, &["application/json"]);
        compressed.insert(CONTENT_ENCODING, "br".parse().unwrap());
        assert!(check_encoding(&compressed).is_err());
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let second = Duration::from_secs(1);
        let any = |_| Ok(());
        let body = |size: usize| Full::new(Bytes::from(vec![b' '; size]));
        assert_eq!(read(pin!(body(8)), 8, second, any).await.unwrap().len(), 8);
        assert_eq!(
            read(pin!(body(9)), 8, second, any)
                .await
                .unwrap_err()
                .reason,
            "MESSAGE_TOO_LARGE"
        );
        // A body that does not tell its size is cut where it passes the limit, and not read on.
        let endless = futures::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from_static(b"1234")))
        });
        assert_eq!(
            read(pin!(StreamBody::new(endless)), 8, second, any)
                .await
                .unwrap_err()
                .reason,
            "MESSAGE_TOO_LARGE"
        );
        let stalled = futures::stream::pending::<Result<http_body::Frame<Bytes>, std::io::Error>>();
        let found = read(
            pin!(StreamBody::new(stalled)),
            8,
            Duration::from_millis(10),
            any,
        )
        .await;
        assert_eq!(found.unwrap_err().reason, "BODY_TIMEOUT");

        // Memory is asked for before it is taken, and as it is needed.
        let mut asked = Vec::new();
        let pieces = [1000, 1000, 100].map(|size| {
            Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(vec![b' '; size])))
        });
        let pieces = StreamBody::new(futures::stream::iter(pieces));
        let take = |bytes| {
            asked.push(bytes);
            match asked.len() {
                3 => Err(Problem::field("memory", "is not there")),
                _ => Ok(()),
            }
        };
        let refused = read(pin!(pieces), 10_000, second, take).await.unwrap_err();
        assert_eq!(refused.violations[0].field, "memory");
        assert_eq!(asked, [1024, 1024, 2048]);
    }
}
