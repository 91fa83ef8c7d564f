//! What is wrong with a request before anybody asks what it wants.

use crate::problem::Problem;
use http::Version;
use http::header::HOST;
use http::request::Parts as Head;

/// Refuses an HTTP/1.1 request without exactly one host (RFC 9112 section 3.2): the proxy before this server may have
/// taken another one. Lengths that contradict each other are refused by the parser, which also closes the connection
/// after a request that told both a length and a transfer coding (section 6.3).
pub fn check(head: &Head) -> Result<(), Problem> {
    if head.version == Version::HTTP_11 && head.headers.get_all(HOST).iter().count() != 1 {
        return Err(Problem::field("Host", "must be sent once"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_one_host() {
        for (hosts, good) in [(&["a"][..], true), (&[], false), (&["a", "a"], false)] {
            let request = http::Request::get("/");
            let request = hosts
                .iter()
                .fold(request, |request, host| request.header(HOST, *host));
            let (head, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(check(&head).is_ok(), good, "{hosts:?}");
        }
    }
}
