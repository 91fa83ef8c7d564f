//! Codes of an authenticator app: time-based one-time passwords (RFC 6238), in the form that every app supports, SHA-1,
//! six digits, thirty seconds. SHA-1 is no weakness here: HMAC does not rest on its collision resistance (RFC 4226
//! appendix B.2).

use std::time::Duration;

use millgate_platform::{Entropy, Fault};
use secrecy::SecretString;
use totp_rs::{Algorithm, Builder};
use zeroize::Zeroizing;

use super::time::{Micros, micros, seconds};

/// Length of a secret: 160 bits, as RFC 4226 section 4 recommends (R6).
const LENGTH: usize = 20;
/// Digits of a code.
const DIGITS: u8 = 6;
/// Seconds that a code is shown for (RFC 6238 section 5.2).
const STEP: u64 = 30;
/// Steps that the app's clock may be behind or ahead (RFC 6238 section 5.2 allows one for the delay; DESIGN pins it).
const DRIFT: u16 = 1;
/// How long a secret can be confirmed.
const CONFIRMABLE: Duration = Duration::from_secs(10 * 60);

/// The moment from which a secret that was made at `begin_time` cannot be confirmed any more.
pub(crate) fn confirmable_until(begin_time: Micros) -> Micros {
    begin_time.saturating_add(micros(CONFIRMABLE))
}

/// The latest beginning that cannot be confirmed any more at `now`.
pub(crate) fn forgotten_before(now: Micros) -> Micros {
    now.saturating_sub(micros(CONFIRMABLE))
}

/// What an authenticator app and we share. No `Debug`.
pub(crate) struct TotpSecret(Zeroizing<[u8; LENGTH]>);

impl TotpSecret {
    /// A new secret.
    pub(crate) fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        entropy.fill(&mut bytes[..]);
        Self(bytes)
    }

    /// A secret that was stored. None when the length is not that of one.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The bytes, to be encrypted.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0[..]
    }

    /// The secret as people type it.
    pub(crate) fn base32(&self) -> SecretString {
        totp_rs::Secret::from(*self.0).to_base32().into()
    }

    /// The secret as apps read it, with the names that they show: of the installation and of the account.
    ///
    /// # Errors
    /// INTERNAL for a name that cannot stand in such a URI: the callers pass none.
    pub(crate) fn uri(&self, issuer: &str, account: &str) -> Result<SecretString, Fault> {
        let unfit =
            |error| Fault::internal("a name does not fit an otpauth URI").with_source(error);
        let totp = self
            .builder()
            .with_issuer(Some(issuer))
            .with_account_name(account)
            .build()
            .map_err(unfit)?;
        totp.to_url().map(SecretString::from).map_err(unfit)
    }

    /// The time step whose code this is, if it is one of now, of the step before, or of the next.
    pub(crate) fn matching_step(&self, code: &TotpCode, now: Micros) -> Option<i64> {
        let now = u64::try_from(seconds(now)).ok()?;
        // The library compares in constant time. Which of the three steps it was is no secret.
        let step = self.builder().build_noncompliant().check(&code.0, now)?;
        i64::try_from(step).ok()
    }

    fn builder(&self) -> Builder {
        Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(DIGITS)
            .with_step_duration(STEP)
            .with_skew(DRIFT)
            .with_secret(*self.0)
    }
}

/// Six digits that somebody sent. No `Debug`: until it is used or too old, it is a secret.
pub(crate) struct TotpCode(Zeroizing<String>);

impl TotpCode {
    /// Takes a text without spaces and hyphens. None when it is not a code.
    pub(super) fn from_digits(text: &str) -> Option<Self> {
        let good = text.len() == usize::from(DIGITS) && text.bytes().all(|b| b.is_ascii_digit());
        good.then(|| Self(Zeroizing::new(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    const SECOND: Micros = 1_000_000;

    /// The key of RFC 6238 appendix B.
    fn rfc() -> TotpSecret {
        TotpSecret::from_bytes(b"12345678901234567890").expect("20 bytes")
    }

    fn code(text: &str) -> TotpCode {
        TotpCode::from_digits(text).expect("a code")
    }

    #[test]
    fn the_vectors_of_rfc_6238_are_accepted_at_their_step() {
        // Appendix B, the SHA-1 rows; the last six of the eight digits (RFC 4226 section 5.3 takes the rest modulo 10^6).
        for (at, text) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = rfc().matching_step(&code(text), at * SECOND);
            assert_eq!(step, Some(at / 30), "{at}");
        }
    }

    #[test]
    fn a_code_is_good_for_one_step_around_its_own() {
        // "005924" is the code of the step that begins at 1234567890.
        let begins = 1_234_567_890;
        for (away, good) in [
            (-31, false),
            (-30, true),
            (-1, true),
            (0, true),
            (29, true),
            (30, true),
            (59, true),
            (60, false),
            (61, false),
            (3600, false),
        ] {
            let step = rfc().matching_step(&code("005924"), (begins + away) * SECOND);
            assert_eq!(step, good.then_some(begins / 30), "{away}");
        }
    }

    #[test]
    fn a_clock_at_or_before_the_epoch_breaks_nothing() {
        // RFC 4226 appendix D: the code of counter 0.
        assert_eq!(rfc().matching_step(&code("755224"), 0), Some(0));
        assert_eq!(rfc().matching_step(&code("755224"), -SECOND), None);
    }

    #[test]
    fn an_app_reads_the_same_secret_out_of_the_uri() {
        let uri = rfc().uri("Mill & Gate", "ada@example.com").expect("a URI");
        let uri = uri.expose_secret();
        assert!(
            uri.starts_with("otpauth://totp/Mill%20%26%20Gate:ada%40example.com?"),
            "{uri}"
        );
        let read = totp_rs::Totp::from_url(uri).expect("an app reads it");
        assert_eq!(read.secret().as_bytes(), rfc().bytes());
        assert_eq!(read.generate(59).to_string(), "287082");
        assert_eq!(
            rfc().base32().expose_secret(),
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
        );
    }
}
