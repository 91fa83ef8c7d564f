//! What another service of ours answered, as a fault of this one.
//!
//! What concerns the caller (a taken username, bad fields) goes on to the caller as it is.
//! What concerns this service's own standing there, or the way to it, is "unavailable".

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::fault::{Fault, FieldViolation, Reason};

/// The fault behind a status that another service gave. `unavailable` is the reason for a
/// service that cannot be reached, e.g. [`Reason::AuthUnavailable`].
pub fn fault(status: Status, unavailable: Reason) -> Fault {
    let info = status
        .get_details_error_info()
        .filter(|info| info.domain == millgate_guard::DOMAIN);
    let reason = info.as_ref().and_then(|info| Reason::parse(&info.reason));
    match reason {
        Some(reason) if concerns_the_caller(reason) => passed_on(&status, reason),
        Some(Reason::Deadline) => Fault::new(Reason::Deadline, "another service took too long"),
        Some(Reason::RateLimited | Reason::Overloaded) => {
            let fault = Fault::new(Reason::Overloaded, "another service is busy, try again");
            match status
                .get_details_retry_info()
                .and_then(|info| info.retry_delay)
            {
                Some(delay) => fault.with_retry_after(delay),
                None => fault,
            }
        }
        Some(Reason::Internal | Reason::MessageMalformed | Reason::MethodUnknown) => {
            Fault::internal("another service could not do what it was asked").with_source(status)
        }
        // Its store is down, or it does not take this service's own token.
        Some(_) => {
            Fault::new(unavailable, "another service cannot be used, try again").with_source(status)
        }
        None if status.code() == Code::DeadlineExceeded || timed_out(&status) => {
            Fault::new(Reason::Deadline, "another service took too long")
        }
        None => Fault::new(unavailable, "another service cannot be reached, try again")
            .with_source(status),
    }
}

/// tonic's client says CANCELLED when its own timer runs out.
fn timed_out(status: &Status) -> bool {
    status.code() == Code::Cancelled && status.message().contains("Timeout expired")
}

/// Whether a reason is about what the caller asked for, and not about who relayed it.
fn concerns_the_caller(reason: Reason) -> bool {
    match reason.code() {
        Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => true,
        Code::InvalidArgument => !matches!(reason, Reason::MessageMalformed | Reason::ContentType),
        Code::Unauthenticated => matches!(
            reason,
            Reason::CredentialsInvalid
                | Reason::RefreshInvalid
                | Reason::RefreshReused
                | Reason::MfaChallengeInvalid
        ),
        Code::ResourceExhausted => {
            matches!(reason, Reason::AccountThrottled | Reason::MfaThrottled)
        }
        _ => false,
    }
}

fn passed_on(status: &Status, reason: Reason) -> Fault {
    let violations: Vec<_> = status
        .get_details_bad_request()
        .map(|bad| bad.field_violations)
        .unwrap_or_default()
        .into_iter()
        .map(|violation| FieldViolation {
            field: violation.field,
            reason: Reason::parse(&violation.reason).unwrap_or(Reason::FieldInvalid),
            description: violation.description,
        })
        .collect();
    let fault = if violations.is_empty() {
        Fault::new(reason, status.message())
    } else {
        Fault::fields(reason, violations)
    };
    match status
        .get_details_retry_info()
        .and_then(|info| info.retry_delay)
    {
        Some(delay) => fault.with_retry_after(delay),
        None => fault,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn through(sent: Fault) -> Fault {
        fault(Status::from(sent), Reason::AuthUnavailable)
    }

    #[test]
    fn what_concerns_the_caller_arrives_whole() {
        let taken = through(Fault::new(Reason::UsernameTaken, "ada is taken"));
        assert_eq!(
            (taken.reason(), taken.message()),
            (Reason::UsernameTaken, "ada is taken")
        );
        let bad = through(Fault::field("email", "is no address"));
        assert_eq!(bad.violations()[0].field, "email");
        let wait = Duration::from_secs(2);
        let slow = Fault::new(Reason::AccountThrottled, "slowly").with_retry_after(wait);
        assert_eq!(through(slow).retry_after(), Some(wait));
    }

    #[test]
    fn the_relays_own_trouble_is_not_the_callers() {
        for ours in [
            Reason::TokenInvalid,
            Reason::TokenMissing,
            Reason::ScopeDenied,
            Reason::PolicyMissing,
            Reason::StoreUnavailable,
            Reason::ShuttingDown,
        ] {
            assert_eq!(
                through(Fault::new(ours, "x")).reason(),
                Reason::AuthUnavailable
            );
        }
        assert_eq!(through(Fault::internal("x")).reason(), Reason::Internal);
        assert_eq!(
            through(Fault::new(Reason::RateLimited, "x")).reason(),
            Reason::Overloaded
        );
    }

    #[test]
    fn a_status_of_the_transport_is_unavailable_or_late() {
        let of = |status| fault(status, Reason::AuthUnavailable).reason();
        assert_eq!(
            of(Status::unavailable("tcp connect error")),
            Reason::AuthUnavailable
        );
        assert_eq!(
            of(Status::unknown("h2 protocol error")),
            Reason::AuthUnavailable
        );
        assert_eq!(of(Status::cancelled("Timeout expired")), Reason::Deadline);
    }
}
