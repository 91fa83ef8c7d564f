//! What a request was refused or failed for, before it is told over HTTP.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::Code;

/// The domain of the reasons that the gateway gives itself.
pub const DOMAIN: &str = "millgate";

/// An answer that is no success: a gRPC code, a reason to branch on, and what helps to do better.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The gRPC code.
    pub code: Code,
    /// `ErrorInfo.reason`.
    pub reason: Cow<'static, str>,
    /// `ErrorInfo.domain`.
    pub domain: Cow<'static, str>,
    /// For people.
    pub message: Cow<'static, str>,
    /// `ErrorInfo.metadata`.
    pub metadata: Box<BTreeMap<String, String>>,
    /// `BadRequest.field_violations`.
    pub violations: Box<[Violation]>,
    /// `RetryInfo.retry_delay`.
    pub retry: Option<Duration>,
}

/// One field that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field's path in the request, or the name of a header.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

impl Problem {
    /// A problem of the gateway's own.
    pub fn new(code: Code, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            reason: Cow::Borrowed(reason),
            domain: Cow::Borrowed(DOMAIN),
            message: message.into(),
            metadata: Box::default(),
            violations: Box::default(),
            retry: None,
        }
    }

    /// FIELD_INVALID for one field or header.
    pub fn field(field: impl Into<String>, description: impl Into<String>) -> Self {
        let mut faults = Faults::default();
        faults.add(reason::FIELD_INVALID, field, description);
        faults.into_problem()
    }
}

/// The reasons that the gateway gives itself; those of the services pass through.
pub mod reason {
    /// 401: the method needs a token and none was sent.
    pub const TOKEN_MISSING: &str = "TOKEN_MISSING";
    /// 404: no route has this path.
    pub const ROUTE_NOT_FOUND: &str = "ROUTE_NOT_FOUND";
    /// 405: the path is known, but not with this method.
    pub const METHOD_NOT_ALLOWED: &str = "METHOD_NOT_ALLOWED";
    /// 501: the method streams both ways at once, which is not served over HTTP.
    pub const STREAM_NOT_SERVED: &str = "STREAM_NOT_SERVED";
    /// 400: not JSON.
    pub const JSON_MALFORMED: &str = "JSON_MALFORMED";
    /// 400: a body that is cut off, or no CSV.
    pub const MESSAGE_MALFORMED: &str = "MESSAGE_MALFORMED";
    /// 400: a field of the body or a query parameter that the method does not have.
    pub const UNKNOWN_FIELD: &str = "UNKNOWN_FIELD";
    /// 400: a field or query parameter given twice.
    pub const DUPLICATE_FIELD: &str = "DUPLICATE_FIELD";
    /// 400: a value that the field cannot hold.
    pub const FIELD_INVALID: &str = "FIELD_INVALID";
    /// 415: a body that is not `application/json`, or not of the kinds that a stream is taken from.
    pub const CONTENT_TYPE: &str = "CONTENT_TYPE";
    /// 406: the client accepts no `application/json`.
    pub const NOT_ACCEPTABLE: &str = "NOT_ACCEPTABLE";
    /// 408: the body did not arrive in time.
    pub const BODY_TIMEOUT: &str = "BODY_TIMEOUT";
    /// 413: the body is larger than a message may be, or the answer is.
    pub const MESSAGE_TOO_LARGE: &str = "MESSAGE_TOO_LARGE";
    /// 429: too many requests from one address.
    pub const RATE_LIMITED: &str = "RATE_LIMITED";
    /// 429: too many open streams, of one address or of all.
    pub const STREAM_LIMIT: &str = "STREAM_LIMIT";
    /// 429: large bodies hold all the memory that they may have.
    pub const OVERLOADED: &str = "OVERLOADED";
    /// 412, 409: not the revision that the client holds.
    pub const ETAG_MISMATCH: &str = "ETAG_MISMATCH";
    /// 503: the service behind the route cannot be reached, or went away before it answered.
    pub const UPSTREAM_UNAVAILABLE: &str = "UPSTREAM_UNAVAILABLE";
    /// 504: the call's time was up.
    pub const DEADLINE: &str = "DEADLINE";
    /// 500: a fault of the gateway or of the service behind it.
    pub const INTERNAL: &str = "INTERNAL";
}

/// How many faults one answer tells: enough for any form, and no echo of a hostile megabyte.
const MOST_TOLD: usize = 50;

/// Faults of a message, collected so that they are all told together.
#[derive(Debug, Default)]
pub struct Faults {
    reason: Option<&'static str>,
    violations: Vec<Violation>,
}

impl Faults {
    /// Notes a fault of one field.
    pub fn add(
        &mut self,
        reason: &'static str,
        field: impl Into<String>,
        description: impl Into<String>,
    ) {
        match self.reason {
            None => self.reason = Some(reason),
            Some(same) if same == reason => {}
            Some(_) => self.reason = Some(reason::FIELD_INVALID),
        }
        if self.violations.len() < MOST_TOLD {
            self.violations.push(Violation {
                field: field.into(),
                description: description.into(),
            });
        }
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.reason.is_none()
    }

    /// `Err` with all that was noted, if anything was.
    pub fn finish(self) -> Result<(), Problem> {
        if self.is_empty() {
            return Ok(());
        }
        Err(self.into_problem())
    }

    /// The reason is the one that all faults share, and FIELD_INVALID for several.
    fn into_problem(self) -> Problem {
        let reason = self.reason.unwrap_or(reason::FIELD_INVALID);
        let message = match self.violations.as_slice() {
            [one] => format!("{}: {}", one.field, one.description),
            several => format!("{} fields are not acceptable", several.len()),
        };
        Problem {
            violations: self.violations.into(),
            ..Problem::new(Code::InvalidArgument, reason, message)
        }
    }
}

/// A name that a client sent, short enough to be told back.
pub fn shortened(name: &str) -> Cow<'_, str> {
    const MOST: usize = 64;
    match name.char_indices().nth(MOST) {
        Some((end, _)) => Cow::Owned(format!("{}...", &name[..end])),
        None => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_one_kind_keep_their_reason_and_mixed_ones_are_field_invalid() {
        let mut faults = Faults::default();
        faults.add(reason::UNKNOWN_FIELD, "a", "there is no such field");
        faults.add(reason::UNKNOWN_FIELD, "b", "there is no such field");
        assert_eq!(faults.finish().unwrap_err().reason, "UNKNOWN_FIELD");

        let mut faults = Faults::default();
        faults.add(reason::UNKNOWN_FIELD, "a", "there is no such field");
        faults.add(reason::DUPLICATE_FIELD, "b", "is given twice");
        let problem = faults.finish().unwrap_err();
        assert_eq!(problem.reason, "FIELD_INVALID");
        assert_eq!(problem.violations.len(), 2);
        assert!(Faults::default().finish().is_ok());
    }

    #[test]
    fn a_hostile_body_is_not_told_back_whole() {
        let mut faults = Faults::default();
        for index in 0..1000 {
            faults.add(
                reason::UNKNOWN_FIELD,
                index.to_string(),
                "there is no such field",
            );
        }
        assert_eq!(faults.finish().unwrap_err().violations.len(), MOST_TOLD);
        assert_eq!(shortened(&"é".repeat(1000)).chars().count(), 67);
    }
}
