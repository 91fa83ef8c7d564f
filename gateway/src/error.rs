//! The one table from a problem to its HTTP answer: status, headers, body.

use crate::problem::{DOMAIN, Problem, Violation, reason};
use crate::reply::AnswerBody;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// What the request was, as far as the answer to a problem depends on it.
#[derive(Debug, Default, Clone)]
pub struct Circumstances<'a> {
    /// Whether it carried `If-Match`.
    pub if_match: bool,
    /// Whether it carried a token and the method looks at it.
    pub token_sent: bool,
    /// The scope that the method's access rule names.
    pub scope: &'a str,
    /// The methods that the path knows.
    pub allowed: &'a [String],
}

/// The body, in the order in which people read it.
#[derive(Serialize)]
struct Body<'a> {
    error: Told<'a>,
}

#[derive(Serialize)]
struct Told<'a> {
    code: u16,
    status: &'static str,
    message: &'a str,
    details: Vec<Value>,
}

impl Problem {
    /// The problem that a service answered with, or that the call to it met.
    pub fn from_status(status: &Status) -> Self {
        // Only a status that was made on this side has a source: the call did not reach its end.
        if let Some(source) = std::error::Error::source(status) {
            tracing::warn!(code = ?status.code(), error = %chain(source), "a call to a service failed");
            return match status.code() {
                Code::Cancelled | Code::DeadlineExceeded => deadline(),
                _ => Self {
                    retry: Some(Duration::from_secs(1)),
                    ..Self::new(
                        Code::Unavailable,
                        reason::UPSTREAM_UNAVAILABLE,
                        "the service behind this route cannot be reached, or went away before it answered",
                    )
                },
            };
        }
        let details = status.get_error_details();
        let info = details.error_info();
        match (status.code(), info) {
            // A client of tonic's tells its own timeout so.
            (Code::Cancelled | Code::DeadlineExceeded, None) => return deadline(),
            (Code::Unknown | Code::Internal | Code::DataLoss | Code::Ok, None) => {
                tracing::error!(code = ?status.code(), message = status.message(), "a service failed");
                return internal();
            }
            _ => {}
        }
        let violations = details.bad_request().map(|bad| {
            bad.field_violations
                .iter()
                .map(|violation| Violation {
                    field: violation.field.clone(),
                    description: violation.description.clone(),
                })
                .collect()
        });
        Self {
            code: status.code(),
            reason: match info {
                Some(info) => Cow::Owned(info.reason.clone()),
                None => Cow::Borrowed(name_of(status.code())),
            },
            domain: match info {
                Some(info) => Cow::Owned(info.domain.clone()),
                None => Cow::Borrowed(DOMAIN),
            },
            message: Cow::Owned(status.message().to_owned()),
            metadata: info
                .map(|info| Box::new(info.metadata.clone().into_iter().collect()))
                .unwrap_or_default(),
            violations: violations.unwrap_or_default(),
            retry: details.retry_info().and_then(|info| info.retry_delay),
        }
    }

    /// The HTTP status.
    pub fn http_status(&self, circumstances: &Circumstances<'_>) -> StatusCode {
        match (self.code, self.reason.as_ref()) {
            (_, reason::METHOD_NOT_ALLOWED) => StatusCode::METHOD_NOT_ALLOWED,
            (_, reason::NOT_ACCEPTABLE) => StatusCode::NOT_ACCEPTABLE,
            (_, reason::BODY_TIMEOUT) => StatusCode::REQUEST_TIMEOUT,
            (_, reason::CONTENT_TYPE) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            (_, reason::MESSAGE_TOO_LARGE) => StatusCode::PAYLOAD_TOO_LARGE,
            (_, reason::ETAG_MISMATCH) if circumstances.if_match => StatusCode::PRECONDITION_FAILED,
            (Code::Unauthenticated, _) => StatusCode::UNAUTHORIZED,
            (Code::PermissionDenied, _) => StatusCode::FORBIDDEN,
            (Code::NotFound, _) => StatusCode::NOT_FOUND,
            (Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange, _) => {
                StatusCode::BAD_REQUEST
            }
            (Code::AlreadyExists | Code::Aborted, _) => StatusCode::CONFLICT,
            (Code::ResourceExhausted, _) => StatusCode::TOO_MANY_REQUESTS,
            (Code::Unavailable, _) => StatusCode::SERVICE_UNAVAILABLE,
            (Code::DeadlineExceeded | Code::Cancelled, _) => StatusCode::GATEWAY_TIMEOUT,
            (Code::Unimplemented, _) => StatusCode::NOT_IMPLEMENTED,
            (Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss, _) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// The body.
    pub(crate) fn to_json(&self, status: StatusCode) -> Vec<u8> {
        let body = Body {
            error: Told {
                code: status.as_u16(),
                status: name_of(self.code),
                message: &self.message,
                details: self.details(),
            },
        };
        // It has no map with keys of its own, the only thing that could fail here.
        serde_json::to_vec(&body).unwrap_or_default()
    }

    /// The whole answer.
    pub fn into_response(self, circumstances: &Circumstances<'_>) -> Response<AnswerBody> {
        let status = self.http_status(circumstances);
        let mut body = self.to_json(status);
        body.push(b'\n');
        let mut response = Response::new(AnswerBody::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(challenge) = self.challenge(status, circumstances) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(retry) = self.retry.filter(|_| !status.is_success()) {
            let seconds = retry.as_secs() + u64::from(retry.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED
            && let Ok(allow) = HeaderValue::from_str(&circumstances.allowed.join(", "))
        {
            headers.insert(ALLOW, allow);
        }
        response
    }

    /// `WWW-Authenticate` (RFC 6750 section 3).
    fn challenge(
        &self,
        status: StatusCode,
        circumstances: &Circumstances<'_>,
    ) -> Option<HeaderValue> {
        match (status, self.reason.as_ref()) {
            (StatusCode::UNAUTHORIZED, reason::TOKEN_MISSING) => {
                Some(HeaderValue::from_static("Bearer"))
            }
            (StatusCode::UNAUTHORIZED, _) if circumstances.token_sent => {
                Some(HeaderValue::from_static("Bearer error=\"invalid_token\""))
            }
            (StatusCode::UNAUTHORIZED, _) => Some(HeaderValue::from_static("Bearer")),
            (StatusCode::FORBIDDEN, "SCOPE_DENIED") => {
                let bare = "Bearer error=\"insufficient_scope\"";
                let text = match circumstances.scope {
                    "" => bare.to_owned(),
                    scope => format!("{bare}, scope=\"{scope}\""),
                };
                HeaderValue::from_str(&text).ok()
            }
            _ => None,
        }
    }

    /// ErrorInfo always; BadRequest and RetryInfo where there is something to tell. Nothing else that a service might
    /// attach (DebugInfo) goes out.
    fn details(&self) -> Vec<Value> {
        let mut details = vec![json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": self.reason,
            "domain": self.domain,
            "metadata": self.metadata,
        })];
        if !self.violations.is_empty() {
            let violations: Vec<Value> = self
                .violations
                .iter()
                .map(|violation| json!({"field": violation.field, "description": violation.description}))
                .collect();
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "field_violations": violations,
            }));
        }
        if let Some(retry) = self.retry {
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retry_delay": duration_text(retry),
            }));
        }
        details
    }
}

/// DEADLINE: the call's time was up.
pub fn deadline() -> Problem {
    Problem::new(
        Code::DeadlineExceeded,
        reason::DEADLINE,
        "the call took longer than it may",
    )
}

/// INTERNAL: nothing that the caller did, and nothing that they are told.
pub fn internal() -> Problem {
    Problem::new(
        Code::Internal,
        reason::INTERNAL,
        "something went wrong on our side",
    )
}

/// A duration as the JSON mapping writes it.
fn duration_text(duration: Duration) -> String {
    match duration.subsec_nanos() {
        0 => format!("{}s", duration.as_secs()),
        nanos if nanos % 1_000_000 == 0 => {
            format!("{}.{:03}s", duration.as_secs(), nanos / 1_000_000)
        }
        nanos => format!("{}.{nanos:09}s", duration.as_secs()),
    }
}

/// The name of a code, as google.rpc.Code has it.
pub fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}
