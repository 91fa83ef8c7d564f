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
    /// From the origins' names, each `scheme://host[:port]` as a browser sends it.
    ///
    /// # Errors
    /// Says what is wrong with the first that no browser would send, and what it would send instead.
    pub fn new(origins: &[String]) -> Result<Self, String> {
        let origins = origins.iter().map(|origin| {
            let no_origin =
                || format!("{origin:?} is no origin: https://host or https://host:port");
            let sent = sent(origin).ok_or_else(no_origin)?;
            if sent != *origin {
                return Err(format!(
                    "{origin:?} is never sent by a browser: it says {sent:?}"
                ));
            }
            HeaderValue::from_str(origin).map_err(|_| no_origin())
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

/// An origin as a browser says it (the URL standard): in lower case, without the port that goes without saying.
fn sent(origin: &str) -> Option<String> {
    let uri: http::Uri = origin.parse().ok()?;
    let scheme = uri.scheme_str()?;
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = uri.authority()?;
    let is_bare = uri.path() == "/" && uri.query().is_none() && !origin.ends_with('/');
    if !is_bare || authority.as_str().contains('@') || authority.host().is_empty() {
        return None;
    }
    let host = authority.host().to_ascii_lowercase();
    Some(match authority.port_u16().filter(|port| *port != usual) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
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
            let refused = Cors::new(&[bad.to_owned()]).unwrap_err();
            assert!(
                refused.starts_with(&format!("{bad:?} is no origin")),
                "{refused}"
            );
        }
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_refused_with_the_one_that_it_does() {
        for (origin, sent) in [
            ("HTTPS://App.Example.com", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("http://localhost:80", "http://localhost"),
            (
                "https://app.example.com:08443",
                "https://app.example.com:8443",
            ),
            ("https://app.example.com:", "https://app.example.com"),
        ] {
            let refused = Cors::new(&[origin.to_owned()]).unwrap_err();
            let says = format!("{origin:?} is never sent by a browser: it says {sent:?}");
            assert_eq!(refused, says);
            assert!(Cors::new(&[sent.to_owned()]).is_ok(), "{sent}");
        }
        for other in [
            "http://localhost:443",
            "https://app.example.com:80",
            "https://[::1]:8443",
        ] {
            assert!(Cors::new(&[other.to_owned()]).is_ok(), "{other}");
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
