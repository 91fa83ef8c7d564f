//! Why a command came to nothing.

use std::fmt;

use millgate_platform::{Fault, StartError};
use tonic::Status;
use tonic_types::StatusExt as _;

/// What is told on standard error, and the exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command was put wrongly: 2, as clap says it.
    Usage(String),
    /// It was understood and refused, or could not be done: 1.
    Refused(String),
}

impl Failure {
    /// What scripts go by.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Refused(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Refused(message) => f.write_str(message),
        }
    }
}

impl From<Status> for Failure {
    /// The server's reason, its message, and every field that it names.
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let reason = details
            .error_info()
            .map_or_else(|| status.code().to_string(), |info| info.reason.clone());
        let mut message = format!("{reason}: {}", status.message());
        for violation in details
            .bad_request()
            .map(|bad| bad.field_violations.as_slice())
            .unwrap_or_default()
        {
            message.push_str(&format!(
                "\n  {}: {}",
                violation.field, violation.description
            ));
        }
        if let Some(retry) = details.retry_info().and_then(|info| info.retry_delay) {
            message.push_str(&format!("\n  try again in {} s", retry.as_secs().max(1)));
        }
        Self::Refused(message)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::from(Status::from(fault))
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Refused(error.to_string())
    }
}
