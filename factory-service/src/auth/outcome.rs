//! What an error of the auth service means, and what of it the caller is told.

use millgate_guard::{DOMAIN, Details};
use millgate_platform::{Fault, Reason};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Why a call with our own token gave nothing.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It was never sent: nothing has happened.
    NotSent,
    /// Auth said no: nothing has happened.
    Plainly(Status),
    /// Nobody knows what has happened: no answer, or one that says nothing of it.
    Unclear,
}

impl Refused {
    pub(super) fn not_sent(_: Status) -> Self {
        Self::NotSent
    }

    /// Sorts an answer. Only what auth itself says with its own reason, of a kind that it gives before it writes, is a
    /// plain no.
    pub(super) fn of(status: Status) -> Self {
        let plain = matches!(
            status.code(),
            Code::InvalidArgument
                | Code::AlreadyExists
                | Code::NotFound
                | Code::FailedPrecondition
                | Code::ResourceExhausted
                | Code::PermissionDenied
                | Code::Unauthenticated
        );
        if plain && is_auths_own(&status) {
            return Self::Plainly(status);
        }
        tracing::warn!(code = ?status.code(), message = status.message(), "the auth service gave no clear answer");
        Self::Unclear
    }

    /// Whether auth refuses because of the role that the user of the request has.
    pub(super) fn is_of_the_users_role(&self) -> bool {
        match self {
            Self::Plainly(status) => reason_of(status).as_deref() == Some("ROLE_DENIED"),
            Self::NotSent | Self::Unclear => false,
        }
    }

    /// What the caller is told: auth's own words where they are about what the caller sent, else that auth cannot be
    /// reached. A refusal of our own account is nothing that the caller could mend.
    pub(crate) fn status(self) -> Status {
        match self {
            Self::NotSent | Self::Unclear => unavailable(),
            Self::Plainly(status)
                if matches!(
                    status.code(),
                    Code::PermissionDenied | Code::Unauthenticated
                ) =>
            {
                tracing::error!(code = ?status.code(), message = status.message(),
                    "the auth service refuses the factory's service account");
                unavailable()
            }
            Self::Plainly(status) => told(status),
        }
    }
}

/// Auth cannot be reached, or does not do its work.
pub(crate) fn unavailable() -> Status {
    Fault::new(
        Reason::AuthUnavailable,
        "the auth service cannot be reached, try again",
    )
    .into()
}

/// An error of auth for the caller: code, reason, fields, metadata and retry delay as they are, and nothing else of the
/// answer. `user.email` there is `email` here. What is not auth's own word is AUTH_UNAVAILABLE.
pub(crate) fn told(status: Status) -> Status {
    let own = is_auths_own(&status);
    if !own || matches!(status.code(), Code::Internal | Code::Unknown | Code::Ok) {
        tracing::warn!(code = ?status.code(), message = status.message(), "the auth service failed");
        return unavailable();
    }
    let details = status.get_error_details();
    let Some(info) = details.error_info() else {
        return unavailable();
    };
    let mut told = Details::none();
    for (key, value) in &info.metadata {
        told = told.metadata(key, value);
    }
    for violation in details
        .bad_request()
        .map(|bad| bad.field_violations.as_slice())
        .unwrap_or_default()
    {
        let field = violation
            .field
            .strip_prefix("user.")
            .unwrap_or(&violation.field);
        told = told.field(field, &violation.reason, &violation.description);
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        told = told.retry_after(delay);
    }
    millgate_guard::status(status.code(), &info.reason, status.message(), told)
}

fn is_auths_own(status: &Status) -> bool {
    reason_of(status).is_some()
}

/// The reason that auth itself gives.
fn reason_of(status: &Status) -> Option<String> {
    let details = status.get_error_details();
    let own = details.error_info().filter(|info| info.domain == DOMAIN);
    own.map(|info| info.reason.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn reason(status: &Status) -> String {
        status
            .get_error_details()
            .error_info()
            .map(|info| info.reason.clone())
            .unwrap_or_default()
    }

    #[test]
    fn what_auth_says_of_the_email_reads_as_ours() {
        let details = Details::none().field("user.email", "EMAIL_TAKEN", "is taken");
        let refused = Refused::of(millgate_guard::status(
            Code::AlreadyExists,
            "EMAIL_TAKEN",
            "taken",
            details,
        ));
        assert!(matches!(refused, Refused::Plainly(_)));
        let status = refused.status();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::AlreadyExists, "EMAIL_TAKEN")
        );
        let details = status.get_error_details();
        assert_eq!(
            details.bad_request().expect("fields").field_violations[0].field,
            "email"
        );
    }

    #[test]
    fn a_throttled_login_keeps_its_delay() {
        let details = Details::none().retry_after(Duration::from_secs(7));
        let status = told(millgate_guard::status(
            Code::ResourceExhausted,
            "ACCOUNT_THROTTLED",
            "slow",
            details,
        ));
        let delay = status
            .get_error_details()
            .retry_info()
            .and_then(|retry| retry.retry_delay);
        assert_eq!(delay, Some(Duration::from_secs(7)));
    }

    #[test]
    fn silence_is_never_taken_for_a_no() {
        for status in [
            Status::unavailable("connection refused"),
            Status::deadline_exceeded("late"),
            Status::cancelled("timeout"),
            Status::unknown("?"),
            // Something between that speaks for auth, such as a proxy.
            Status::already_exists("says who"),
            millgate_guard::status(Code::Internal, "INTERNAL", "oops", Details::none()),
            millgate_guard::status(
                Code::Unavailable,
                "STORE_UNAVAILABLE",
                "db",
                Details::none(),
            ),
        ] {
            let refused = Refused::of(status);
            assert!(matches!(refused, Refused::Unclear), "{refused:?}");
            assert_eq!(reason(&refused.status()), "AUTH_UNAVAILABLE");
        }
    }

    #[test]
    fn only_auths_own_word_on_the_role_is_about_the_user() {
        let denied =
            |reason| millgate_guard::status(Code::PermissionDenied, reason, "no", Details::none());
        assert!(Refused::of(denied("ROLE_DENIED")).is_of_the_users_role());
        assert!(!Refused::of(denied("SCOPE_DENIED")).is_of_the_users_role());
        let proxys = Status::permission_denied("ROLE_DENIED");
        assert!(!Refused::of(proxys).is_of_the_users_role());
    }

    #[test]
    fn a_refusal_of_our_own_account_is_not_told_to_the_customer() {
        let status = millgate_guard::status(
            Code::PermissionDenied,
            "SCOPE_DENIED",
            "no",
            Details::none(),
        );
        assert_eq!(reason(&Refused::of(status).status()), "AUTH_UNAVAILABLE");
    }
}
