//! Which web pages may call (the Fetch standard, section 3.2). Off by default; an origin is let in by its exact name,
//! and never with credentials: a page sends its token itself.

use crate::reply::AnswerBody;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderMap, ORIGIN, VARY,
};
use http::request::Parts as Head;
use http::{HeaderValue, Method, Response, StatusCode};

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const REQUEST_HEADERS: &str = "authorization, content-encoding, content-type, grpc-timeout, idempotency-key, if-match, if-none-match, last-event-id, traceparent, x-request-id";
const ANSWER_HEADERS: &str = "allow, etag, location, retry-after, www-authenticate, x-request-id";

/// The origins that may call.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    origins: Vec<HeaderValue>,
}

impl Cors {
    /// From the origins' names, each `scheme://host[:port]`.
    ///
    /// # Errors
    /// The first that is none: `*`, one with a path, or `null`.
    pub fn new(origins: &[String]) -> Result<Self, String> {
        let origins = origins.iter().map(|origin| {
            let uri: Option<http::Uri> = origin.parse().ok();
            let is_origin = uri.is_some_and(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https"))
                    && uri
                        .authority()
                        .is_some_and(|authority| !authority.as_str().contains('@'))
                    && uri.path() == "/"
                    && uri.query().is_none()
                    && !origin.ends_with('/')
            });
            let value = HeaderValue::from_str(origin).ok().filter(|_| is_origin);
            value.ok_or_else(|| origin.clone())
        });
        Ok(Self {
            origins: origins.collect::<Result<_, _>>()?,
        })
    }

    fn allowed<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        headers
            .get(ORIGIN)
            .filter(|origin| self.origins.contains(origin))
    }

    /// The answer to a browser that asks before it calls; `None` for any other request.
    pub fn preflight(&self, head: &Head) -> Option<Response<AnswerBody>> {
        if head.method != Method::OPTIONS
            || !head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
            || self.origins.is_empty()
        {
            return None;
        }
        let mut response = Response::new(AnswerBody::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        if self.allowed(&head.headers).is_some() {
            let headers = response.headers_mut();
            headers.insert(
                ACCESS_CONTROL_ALLOW_METHODS,
                HeaderValue::from_static(METHODS),
            );
            headers.insert(
                ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static(REQUEST_HEADERS),
            );
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
        Some(response)
    }

    /// Marks an answer as readable for the page that asked, if it may.
    pub fn mark(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        answer.append(VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = self.allowed(request) {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            answer.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(ANSWER_HEADERS),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for good in ["https://app.example.com", "http://localhost:3000"] {
            assert!(Cors::new(&[good.to_owned()]).is_ok(), "{good}");
        }
        for bad in [
            "*",
            "null",
            "app.example.com",
            "https://a/",
            "https://a/b",
            "https://u@a",
            "ftp://a",
            "",
        ] {
            assert_eq!(Cors::new(&[bad.to_owned()]).unwrap_err(), bad);
        }
    }

    #[test]
    fn only_the_exact_origin_is_marked() {
        let cors = Cors::new(&["https://app.example.com".to_owned()]).unwrap();
        for (origin, marked) in [
            ("https://app.example.com", true),
            ("https://app.example.com.evil.com", false),
            ("http://app.example.com", false),
            ("https://app.example.com:8443", false),
            ("null", false),
        ] {
            let mut request = HeaderMap::new();
            request.insert(ORIGIN, origin.parse().unwrap());
            let mut answer = HeaderMap::new();
            cors.mark(&request, &mut answer);
            assert_eq!(
                answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN),
                marked,
                "{origin}"
            );
            assert_eq!(answer[VARY], "Origin");
        }
        let mut answer = HeaderMap::new();
        Cors::default().mark(&HeaderMap::new(), &mut answer);
        assert!(answer.is_empty());
    }
}
