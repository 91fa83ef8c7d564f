//! The one error of a service, and the one table from its reason to a gRPC code.
//!
//! A `Fault` knows nothing of the transport: store and domain code make one, the
//! handler passes it on with `?`, and it becomes a [`tonic::Status`] with
//! `google.rpc.ErrorInfo` (domain `millgate`) at the very end. What the caller reads
//! (`message`) and what the operator reads (`source`) are kept apart.

use std::{error::Error as StdError, fmt, time::Duration};

use millgate_guard::Details;
use tonic::{Code, Status};

pub use crate::reason::Reason;

/// One bad field of a request, for `google.rpc.BadRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// The path of the field as the proto names it, e.g. `lines[2].quantity`.
    pub field: String,
    /// Why, as a name; mostly [`Reason::FieldInvalid`].
    pub reason: Reason,
    /// What is wrong with it, in words for the caller.
    pub description: String,
}

/// Bad fields that an answer names at most: its details travel in a header, and clients take
/// 8 to 16 KiB of those.
const MOST_FIELDS: usize = 16;
/// Bytes of one text in an answer at most, for the same reason.
const LONGEST_TEXT: usize = 200;

/// Why a request could not be done.
///
/// Small on purpose (one pointer), so that `Result<T, Fault>` costs nothing to pass on.
pub struct Fault(Box<Inner>);

struct Inner {
    reason: Reason,
    message: String,
    fields: Vec<FieldViolation>,
    metadata: Vec<(String, String)>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Fault {
    /// A fault with this reason. `message` is for the caller to read: no secrets, no
    /// internals. The message of [`Reason::Internal`] never leaves the process.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            reason,
            message: message.into(),
            fields: Vec::new(),
            metadata: Vec::new(),
            retry_after: None,
            source: None,
        }))
    }

    /// One bad field: [`Reason::FieldInvalid`] with a `BadRequest` that names it.
    pub fn field(field: impl Into<String>, description: impl Into<String>) -> Self {
        let violation = FieldViolation {
            field: field.into(),
            reason: Reason::FieldInvalid,
            description: description.into(),
        };
        Self::fields(Reason::FieldInvalid, vec![violation])
    }

    /// Several bad fields under one reason. The message tells the first few of them, for whoever sees
    /// no more than it.
    pub fn fields(reason: Reason, violations: Vec<FieldViolation>) -> Self {
        const TOLD: usize = 5;
        let told =
            |violation: &FieldViolation| format!("{}: {}", violation.field, violation.description);
        let told: Vec<_> = violations.iter().take(TOLD).map(told).collect();
        let mut message = told.join("; ");
        match violations.len() {
            0 => message.push_str("the request is invalid"),
            all if all > TOLD => message.push_str(&format!(" (and {} more)", all - TOLD)),
            _ => {}
        }
        let mut fault = Self::new(reason, message);
        fault.0.fields = violations;
        fault
    }

    /// The object is not there, or the caller may not know that it is. `reason` is one of
    /// the `*NotFound` reasons; `what` names the object, e.g. `product 7`.
    pub fn not_found(reason: Reason, what: impl fmt::Display) -> Self {
        Self::new(reason, format!("{what} was not found"))
    }

    /// A defect of ours. `message` and the source are logged; the caller sees neither.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Reason::Internal, message)
    }

    /// Tells the caller when to try again (`google.rpc.RetryInfo`).
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Adds one entry to `ErrorInfo.metadata`. Public: no secrets.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl fmt::Display) -> Self {
        self.0.metadata.push((key.into(), value.to_string()));
        self
    }

    /// Keeps the cause for the log. It is never sent.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The reason, as it will stand in `ErrorInfo.reason`.
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// The text for the caller.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The bad fields, in the order in which they were found.
    pub fn violations(&self) -> &[FieldViolation] {
        &self.0.fields
    }

    /// When to try again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("reason", &self.0.reason)
            .field("message", &self.0.message)
            .field("fields", &self.0.fields)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.reason.as_str(), self.0.message)
    }
}

impl StdError for Fault {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<Fault> for Status {
    /// The end of the way: logged here once when it is the operator's business, and
    /// stripped of what is not the caller's.
    fn from(fault: Fault) -> Self {
        let Inner {
            reason,
            message,
            fields,
            metadata,
            retry_after,
            source,
        } = *fault.0;
        let code = reason.code();
        let cause = || source.as_deref().map(chain).unwrap_or_default();
        match code {
            Code::Internal => {
                tracing::error!(reason = reason.as_str(), %message, cause = cause(), "internal error");
            }
            Code::Unavailable => {
                tracing::warn!(reason = reason.as_str(), %message, cause = cause(), "unavailable");
            }
            _ => {}
        }
        let message = if code == Code::Internal {
            String::from("internal error")
        } else {
            message
        };
        let mut details = Details::none();
        for FieldViolation {
            field,
            reason,
            description,
        } in fields.into_iter().take(MOST_FIELDS)
        {
            details = details.field(short(&field), reason.as_str(), short(&description));
        }
        for (key, value) in metadata {
            details = details.metadata(key, short(&value));
        }
        if code == Code::Internal
            && let Some(context) = crate::context::RequestContext::current()
        {
            // What the caller can quote to the operator.
            details = details.metadata("request_id", context.request_id);
        }
        if let Some(delay) = retry_after {
            details = details.retry_after(delay);
        }
        millgate_guard::status(code, reason.as_str(), short(&message), details)
    }
}

fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_TEXT)]
}

/// An error and what caused it, on one line.
pub(crate) fn chain(error: &(dyn StdError + Send + Sync + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt as _;

    use super::*;

    #[test]
    fn the_message_tells_the_first_few_bad_fields_and_how_many_more() {
        let bad = |field: usize| FieldViolation {
            field: format!("f{field}"),
            reason: Reason::FieldInvalid,
            description: String::from("is bad"),
        };
        let message = |count: usize| {
            let fault = Fault::fields(Reason::FieldInvalid, (0..count).map(bad).collect());
            Status::from(fault).message().to_owned()
        };
        assert_eq!(message(2), "f0: is bad; f1: is bad");
        assert_eq!(message(0), "the request is invalid");
        assert!(message(5).ends_with("f4: is bad"));
        assert!(message(7).ends_with("f4: is bad (and 2 more)"));
    }

    #[test]
    fn the_caller_reads_reason_fields_metadata_and_when_to_retry() {
        let fault = Fault::field("email", "is no address")
            .with_metadata("limit", 3)
            .with_retry_after(Duration::from_secs(2));
        let status = Status::from(fault);
        assert_eq!(status.code(), Code::InvalidArgument);
        let info = status.get_details_error_info().expect("an ErrorInfo");
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("FIELD_INVALID", "millgate")
        );
        assert_eq!(info.metadata["limit"], "3");
        let bad = status.get_details_bad_request().expect("a BadRequest");
        assert_eq!(bad.field_violations[0].field, "email");
        assert_eq!(bad.field_violations[0].reason, "FIELD_INVALID");
        let retry = status.get_details_retry_info().expect("a RetryInfo");
        assert_eq!(retry.retry_delay, Some(Duration::from_secs(2)));
    }

    #[test]
    fn the_cause_is_for_the_log_alone() {
        let cause = std::io::Error::other("password=hunter2");
        for fault in [
            Fault::internal("hunter2").with_source(cause),
            Fault::new(Reason::StoreUnavailable, "try again").with_source("hunter2"),
        ] {
            let status = Status::from(fault);
            assert!(!format!("{status:?}").contains("hunter2"));
        }
    }

    #[test]
    fn an_answer_fits_into_a_header_however_much_was_wrong() {
        let violations = (0..1000)
            .map(|number| FieldViolation {
                field: format!("lines[{number}].{}", "ż".repeat(10_000)),
                reason: Reason::FieldInvalid,
                description: "ż".repeat(10_000),
            })
            .collect();
        let fault = Fault::fields(Reason::FieldInvalid, violations);
        let status = Status::from(fault.with_metadata("much", "x".repeat(10_000)));
        assert!(
            status.details().len() < 8 * 1024,
            "{}",
            status.details().len()
        );
        assert!(status.message().len() <= LONGEST_TEXT);
    }
}
