//! gzip, of answers that are worth it and of requests within a bound.
//!
//! An answer with a strong entity tag goes out as it is: the tag would have to be another one (RFC 9110 section 8.8.3),
//! and then could not be sent back as `If-Match`. So does one that holds a secret, whose length must not depend on what
//! else stands in it (the BREACH attack).

use crate::problem::{Problem, reason};
use crate::reply::AnswerBody;
use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, VARY};
use http::request::Parts as Head;
use http::{HeaderValue, Response};
use prost_reflect::{Kind, MessageDescriptor};
use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use tonic::Code;

/// Below this, the headers weigh more than what is saved.
const LEAST: usize = 1024;

/// Marks an answer that must not be compressed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Secret;

/// Compresses an answer, where the client takes it and it helps.
pub(crate) fn apply(head: &Head, response: &mut Response<AnswerBody>) {
    let Some(body) = response.body().whole().filter(|body| body.len() >= LEAST) else {
        return;
    };
    let headers = response.headers();
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let kind = text(CONTENT_TYPE);
    let is_text = kind.starts_with("application/json") || kind.starts_with("text/");
    let is_strong = text(ETAG).starts_with('"');
    let is_secret = response.extensions().get::<Secret>().is_some();
    if !is_text || is_strong || is_secret || headers.contains_key(CONTENT_ENCODING) {
        return;
    }
    let compressed = is_accepted(&head.headers).then(|| gzip(body));
    mark(response, compressed);
}

/// Sets the compressed body, if there is one; that it could have been another is said in any case.
pub(crate) fn mark(response: &mut Response<AnswerBody>, compressed: Option<Bytes>) {
    tell(response.headers_mut(), compressed.is_some());
    if let Some(compressed) = compressed {
        response.body_mut().replace(compressed);
    }
}

/// Says whether the body is compressed, and that it could have been otherwise.
pub(crate) fn tell(headers: &mut HeaderMap, compressed: bool) {
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    if compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

/// Whether the client takes gzip (RFC 9110 section 12.5.3).
pub(crate) fn is_accepted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter();
    let codings = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut any = false;
    for coding in codings {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
        let wanted = weight.parse::<f32>().is_ok_and(|weight| weight > 0.0);
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") => return wanted,
            "*" => any = wanted,
            _ => {}
        }
    }
    any
}

/// Compresses. Fast rather than small: it happens while others wait for the same core.
pub(crate) fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default().into()
}

/// Decompresses to at most so many bytes: MESSAGE_TOO_LARGE for more, JSON_MALFORMED for what is not one gzip member.
/// (RFC 1952 allows several, but a body of many empty ones would cost much work and never reach the limit.)
pub fn gunzip(bytes: &[u8], most: usize) -> Result<Bytes, Problem> {
    let mut whole = Vec::new();
    let mut limited = GzDecoder::new(bytes).take(most as u64 + 1);
    let unreadable = limited.read_to_end(&mut whole).is_err();
    let ends_early = whole.len() <= most && !limited.into_inner().into_inner().is_empty();
    if unreadable || ends_early {
        let message = "the body is not what its Content-Encoding says";
        return Err(Problem::new(
            Code::InvalidArgument,
            reason::JSON_MALFORMED,
            message,
        ));
    }
    if whole.len() > most {
        let message = format!("the body has more than {most} bytes");
        return Err(Problem::new(
            Code::ResourceExhausted,
            reason::MESSAGE_TOO_LARGE,
            message,
        ));
    }
    Ok(whole.into())
}

/// Whether a message, or one inside of it, has a field that is marked as secret (`debug_redact`).
pub(crate) fn holds_secret(message: &MessageDescriptor) -> bool {
    let mut open = vec![message.clone()];
    let mut seen: HashSet<String> = HashSet::new();
    while let Some(message) = open.pop() {
        if !seen.insert(message.full_name().to_owned()) {
            continue;
        }
        for field in message.fields() {
            let options = field.options();
            let option = options.get_field_by_name("debug_redact");
            if option.and_then(|value| value.as_bool()) == Some(true) {
                return true;
            }
            if let Kind::Message(inner) = field.kind() {
                open.push(inner);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        let cases = [
            ("gzip", true),
            ("GZIP", true),
            ("br, gzip;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("*, gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("br", false),
            ("identity", false),
            ("gzip;q=x", false),
            ("", false),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
            assert_eq!(is_accepted(&headers), expected, "{value}");
        }
        assert!(!is_accepted(&HeaderMap::new()));
    }

    #[test]
    fn what_is_compressed_is_the_same_again_and_a_bomb_stops_at_the_limit() {
        let text = "a".repeat(5000);
        let compressed = gzip(text.as_bytes());
        assert_eq!(gunzip(&compressed, 5000).unwrap(), text);
        let reason = |result: Result<Bytes, Problem>| result.unwrap_err().reason;
        assert_eq!(reason(gunzip(&compressed, 4999)), "MESSAGE_TOO_LARGE");
        assert_eq!(reason(gunzip(&compressed[..20], 5000)), "JSON_MALFORMED");
        assert_eq!(reason(gunzip(b"{}", 5000)), "JSON_MALFORMED");
        let twice = [&compressed[..], &compressed[..]].concat();
        assert_eq!(reason(gunzip(&twice, 50_000)), "JSON_MALFORMED");
    }
}
