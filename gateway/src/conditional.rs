//! `If-None-Match` (RFC 9110 section 13.1.2): who has the answer already is told so, with 304.
//!
//! Of a resource, whose tag is its field `etag`, and of the texts that the gateway serves itself. The service has been
//! asked all the same: who may not see the resource is refused, and what is told is the revision of now.

use crate::reply::AnswerBody;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH};
use http::request::Parts as Head;
use http::{Method, Response, StatusCode};

/// Turns an answer that the client has into a 304.
pub(crate) fn apply(head: &Head, response: &mut Response<AnswerBody>) {
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    if !is_read || response.status() != StatusCode::OK {
        return;
    }
    let etag = response
        .headers()
        .get(ETAG)
        .and_then(|etag| etag.to_str().ok());
    if !etag.is_some_and(|etag| is_held(&head.headers, etag)) {
        return;
    }
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.body_mut() = AnswerBody::default();
    // What describes the body that is not sent (RFC 9110 section 15.4.5).
    for name in [CONTENT_TYPE, CONTENT_ENCODING] {
        response.headers_mut().remove(name);
    }
}

/// Whether one of the tags that were sent is this one, by the weak comparison.
fn is_held(sent: &HeaderMap, etag: &str) -> bool {
    let opaque = |tag: &str| {
        tag.strip_prefix("W/")
            .unwrap_or(tag)
            .trim_matches('"')
            .to_owned()
    };
    let etag = opaque(etag);
    sent.get_all(IF_NONE_MATCH).iter().any(|value| {
        let text = value.to_str().unwrap_or_default().trim();
        // Every second piece between quotes is a tag: a comma may stand inside.
        text == "*" || text.split('"').skip(1).step_by(2).any(|tag| tag == etag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly_and_in_lists() {
        let cases: [(&[&str], bool); 10] = [
            (&["\"7\""], true),
            (&["W/\"7\""], true),
            (&["*"], true),
            (&["\"6\", \"7\""], true),
            (&["\"6\"", "\"7\""], true),
            (&["\"6\""], false),
            (&["7"], false),
            (&["\"a,7\""], false),
            (&["\"6\" 7 \"8\""], false),
            (&[""], false),
        ];
        for (values, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_NONE_MATCH, value.parse().unwrap());
            }
            assert_eq!(is_held(&headers, "\"7\""), expected, "{values:?}");
            assert_eq!(is_held(&headers, "W/\"7\""), expected, "{values:?}");
        }
    }
}
