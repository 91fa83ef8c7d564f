//! What a refused caller is told. The only place where a status gets its `ErrorInfo`.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// The domain of every `google.rpc.ErrorInfo` of this system.
pub const DOMAIN: &str = "millgate";

/// What a status carries besides code, reason and message.
#[derive(Clone, Debug, Default)]
pub struct Details {
    violations: Vec<FieldViolation>,
    retry_after: Option<Duration>,
    metadata: HashMap<String, String>,
}

impl Details {
    /// Nothing more.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// A bad field, by its path in the message, for `google.rpc.BadRequest`.
    #[must_use]
    pub fn field(
        mut self,
        field: impl Into<String>,
        reason: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        self.violations.push(FieldViolation {
            field: field.into(),
            description: description.into(),
            reason: reason.into(),
            localized_message: None,
        });
        self
    }

    /// When to try again, for `google.rpc.RetryInfo`.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// An entry of `ErrorInfo.metadata`.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }
}

/// A status with its `google.rpc.ErrorInfo` (domain [`DOMAIN`], `reason` one of the names that clients
/// branch on) and further details.
#[must_use]
pub fn status(code: Code, reason: &str, message: impl Into<String>, details: Details) -> Status {
    let mut error = ErrorDetails::new();
    error.set_error_info(reason, DOMAIN, details.metadata);
    if !details.violations.is_empty() {
        error.set_bad_request(details.violations);
    }
    if details.retry_after.is_some() {
        error.set_retry_info(details.retry_after);
    }
    Status::with_error_details(code, message, error)
}

/// What the guard itself refuses with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// No token was sent.
    TokenMissing,
    /// Malformed, forged, or for somebody else: the wire does not say which.
    TokenInvalid,
    /// A good token whose time is over.
    TokenExpired,
    /// A good token whose time is still to come.
    TokenNotYetValid,
    /// A good token that was taken back.
    TokenRevoked,
    /// Well signed, but no access token.
    TokenWrongType,
    /// The person must prove anew who they are.
    FreshTokenRequired,
    /// The session behind the token has ended.
    SessionEnded,
    /// The person's role may not call this method.
    RoleDenied,
    /// The token's scope does not contain the method's.
    ScopeDenied,
    /// A service called what is for people, or the other way round.
    PrincipalKindDenied,
    /// The method has no access rule, or the guard did not run: nobody may call.
    PolicyMissing,
    /// Nobody serves this method.
    MethodUnknown,
    /// The request is not a call: its verb, or a query in its path.
    MessageMalformed,
    /// The request's content type is not gRPC with protobuf.
    ContentType,
    /// What is known about revocations is too old to go by.
    RevocationUnavailable,
    /// No token could be had from the auth service for the call to another service.
    AuthUnavailable,
}

impl Refusal {
    /// The gRPC code.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            Self::TokenMissing
            | Self::TokenInvalid
            | Self::TokenExpired
            | Self::TokenNotYetValid
            | Self::TokenRevoked
            | Self::TokenWrongType
            | Self::FreshTokenRequired
            | Self::SessionEnded => Code::Unauthenticated,
            Self::RoleDenied
            | Self::ScopeDenied
            | Self::PrincipalKindDenied
            | Self::PolicyMissing => Code::PermissionDenied,
            Self::MethodUnknown => Code::Unimplemented,
            Self::MessageMalformed | Self::ContentType => Code::InvalidArgument,
            Self::RevocationUnavailable | Self::AuthUnavailable => Code::Unavailable,
        }
    }

    /// The reason in `ErrorInfo`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TokenMissing => "TOKEN_MISSING",
            Self::TokenInvalid => "TOKEN_INVALID",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::TokenNotYetValid => "TOKEN_NOT_YET_VALID",
            Self::TokenRevoked => "TOKEN_REVOKED",
            Self::TokenWrongType => "TOKEN_WRONG_TYPE",
            Self::FreshTokenRequired => "FRESH_TOKEN_REQUIRED",
            Self::SessionEnded => "SESSION_ENDED",
            Self::RoleDenied => "ROLE_DENIED",
            Self::ScopeDenied => "SCOPE_DENIED",
            Self::PrincipalKindDenied => "PRINCIPAL_KIND_DENIED",
            Self::PolicyMissing => "POLICY_MISSING",
            Self::MethodUnknown => "METHOD_UNKNOWN",
            Self::MessageMalformed => "MESSAGE_MALFORMED",
            Self::ContentType => "CONTENT_TYPE",
            Self::RevocationUnavailable => "REVOCATION_UNAVAILABLE",
            Self::AuthUnavailable => "AUTH_UNAVAILABLE",
        }
    }

    /// What a person reads.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::TokenMissing => "this method needs a token: send authorization: Bearer <token>",
            Self::TokenInvalid => "the token is not valid",
            Self::TokenExpired => "the token has expired",
            Self::TokenNotYetValid => "the token is not valid yet",
            Self::TokenRevoked => "the token was revoked",
            Self::TokenWrongType => "this is not an access token",
            Self::FreshTokenRequired => "prove again who you are, and call with the new token",
            Self::SessionEnded => "the session has ended",
            Self::RoleDenied => "your role may not call this method",
            Self::ScopeDenied => "the token's scope does not allow this method",
            Self::PrincipalKindDenied => "this method is not for this kind of principal",
            Self::PolicyMissing => "this method has no access rule, so nobody may call it",
            Self::MethodUnknown => "there is no such method here",
            Self::MessageMalformed => "a call is a POST to the method's path, without a query",
            Self::ContentType => "the content type must be application/grpc",
            Self::RevocationUnavailable => "revocations are not known at present; try again",
            Self::AuthUnavailable => "the auth service gives no token at present; try again",
        }
    }

    /// The status, with further details.
    #[must_use]
    pub fn with(self, details: Details) -> Status {
        status(self.code(), self.as_str(), self.message(), details)
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        refusal.with(Details::none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_names_its_reason_and_domain() {
        let status = Status::from(Refusal::TokenExpired);
        assert_eq!(status.code(), Code::Unauthenticated);
        let info = status.get_error_details().error_info().cloned().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("TOKEN_EXPIRED", "millgate")
        );
        assert!(info.metadata.is_empty());
    }

    #[test]
    fn details_travel_with_the_status() {
        let details = Details::none()
            .field("a.b", "FIELD_INVALID", "too long")
            .field("c", "FIELD_INVALID", "missing")
            .retry_after(Duration::from_millis(1500))
            .metadata("scope", "orders.read");
        let status = status(
            Code::InvalidArgument,
            "FIELD_INVALID",
            "two fields",
            details,
        );
        let details = status.get_error_details();
        let fields: Vec<&str> = details
            .bad_request()
            .unwrap()
            .field_violations
            .iter()
            .map(|violation| violation.field.as_str())
            .collect();
        assert_eq!(fields, ["a.b", "c"]);
        assert_eq!(
            details.retry_info().unwrap().retry_delay,
            Some(Duration::from_millis(1500))
        );
        assert_eq!(
            details.error_info().unwrap().metadata["scope"],
            "orders.read"
        );
    }

    #[test]
    fn no_refusal_is_internal_or_unknown() {
        for refusal in [
            Refusal::TokenMissing,
            Refusal::TokenInvalid,
            Refusal::TokenExpired,
            Refusal::TokenNotYetValid,
            Refusal::TokenRevoked,
            Refusal::TokenWrongType,
            Refusal::FreshTokenRequired,
            Refusal::SessionEnded,
            Refusal::RoleDenied,
            Refusal::ScopeDenied,
            Refusal::PrincipalKindDenied,
            Refusal::PolicyMissing,
            Refusal::MethodUnknown,
            Refusal::MessageMalformed,
            Refusal::ContentType,
            Refusal::RevocationUnavailable,
            Refusal::AuthUnavailable,
        ] {
            assert!(!matches!(
                refusal.code(),
                Code::Internal | Code::Unknown | Code::Ok
            ));
            assert!(!refusal.message().is_empty());
        }
    }
}
