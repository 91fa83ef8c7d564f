//! Settings: flags and environment variables, read once at start.
//!
//! Each group is a `clap::Args` struct that a service flattens into its own `Config`. A wrong
//! value is refused at start with the name of its setting; nothing is guessed.

mod keys;
mod limits;
mod secret;
mod tls;

use std::{error::Error as StdError, fmt, time::Duration};

#[doc(hidden)]
pub use secret::deps as secret_deps;

pub use keys::{KeyArgs, Permissions};
pub use limits::{LimitArgs, Limits, LoginLimit};
pub use secret::{read_secret, secret_from};
pub use tls::{ClientTls, ClientTlsArgs, ServerTls, TlsArgs};

/// Why a service could not start, and which setting to look at.
#[derive(Debug)]
pub struct StartError {
    setting: String,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl StartError {
    /// `setting` as the operator knows it: the environment variable or the flag. `message`
    /// must not hold a secret.
    pub fn new(setting: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            setting: setting.into(),
            message: message.into(),
            source: None,
        }
    }

    /// The same error under the name that the service gives the setting.
    #[must_use]
    pub fn named(mut self, setting: impl Into<String>) -> Self {
        self.setting = setting.into();
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The setting to look at.
    pub fn setting(&self) -> &str {
        &self.setting
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.message)?;
        if let Some(source) = self.source.as_deref() {
            write!(f, ": {}", crate::fault::chain(source))?;
        }
        Ok(())
    }
}

impl StdError for StartError {}

impl From<crate::Fault> for StartError {
    /// A store call that failed while the service was getting ready.
    fn from(fault: crate::Fault) -> Self {
        Self::new("start", "the service could not get ready").with_source(fault)
    }
}

/// Parses a duration: a whole number and a unit, `250ms`, `10s`, `5m`, `24h` or `7d`; `0` is
/// zero. Meant as a clap `value_parser`.
///
/// # Errors
/// A text that clap shows together with the setting's name.
pub fn duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a whole number and a unit, like 250ms, 10s, 5m, 24h or 7d";
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(EXPECTED)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| EXPECTED)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(EXPECTED.to_owned()),
    };
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or_else(|| EXPECTED.to_owned())
}

/// As [`duration`], and more than nothing.
///
/// # Errors
/// A text that clap shows together with the setting's name.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err(String::from("must be more than 0")),
        duration => Ok(duration),
    }
}

/// A duration as [`duration`] reads it.
pub(crate) fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1000) {
        format!("{}s", millis / 1000)
    } else {
        format!("{millis}ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, millis) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "10 s",
            "10S",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
        assert!(positive_duration("0s").is_err() && positive_duration("1ms").is_ok());
    }

    #[test]
    fn a_start_error_names_its_setting() {
        let error = StartError::new("database URL", "cannot connect").named("AUTH_DATABASE_URL");
        assert_eq!(error.to_string(), "AUTH_DATABASE_URL: cannot connect");
    }
}
