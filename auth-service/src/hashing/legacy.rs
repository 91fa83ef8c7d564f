//! The hashes of the systems that accounts move over from: Werkzeug's `pbkdf2:` and `scrypt:`, passlib's
//! `$pbkdf2-...$`. They are checked and never made; the account gets a new hash at its next login.

use std::num::NonZeroU32;

use base64::Engine;
use base64::alphabet::Alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::pbkdf2;
use subtle::ConstantTimeEq;

/// The most PBKDF2 rounds that are computed: Werkzeug's default is 1,000,000.
const MOST_ROUNDS: u32 = 4_000_000;
/// The most memory that scrypt may ask for, in bytes: Werkzeug's default is 32 MiB.
const MOST_SCRYPT_MEMORY: u64 = 256 * 1024 * 1024;
/// The most of scrypt's parallelization parameter: each is one more run over the memory.
const MOST_SCRYPT_RUNS: u32 = 4;

/// A stored hash of an older format.
pub(super) struct Stored {
    method: Method,
    salt: Vec<u8>,
    output: Vec<u8>,
}

enum Method {
    Pbkdf2(pbkdf2::Algorithm, NonZeroU32),
    Scrypt(scrypt::Params),
}

impl Stored {
    /// Reads a hash of a format that is known and asks for no more work than its ceiling.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("$pbkdf2-") {
            passlib(rest)
        } else {
            werkzeug(text)
        }
    }

    /// Whether this is the hash of `password`.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        match &self.method {
            Method::Pbkdf2(algorithm, rounds) => {
                pbkdf2::verify(*algorithm, *rounds, &self.salt, password, &self.output).is_ok()
            }
            Method::Scrypt(params) => {
                let mut output = vec![0; self.output.len()];
                scrypt::scrypt(password, &self.salt, params, &mut output).is_ok()
                    && bool::from(output.as_slice().ct_eq(&self.output))
            }
        }
    }
}

/// `pbkdf2:sha256:1000000$salt$hex` or `scrypt:32768:8:1$salt$hex`: the salt is used as the text that it is.
fn werkzeug(text: &str) -> Option<Stored> {
    let mut parts = text.split('$');
    let (method, salt, output) = (parts.next()?, parts.next()?, hex(parts.next()?)?);
    if parts.next().is_some() || salt.is_empty() {
        return None;
    }
    let method = match *method.split(':').collect::<Vec<_>>() {
        ["pbkdf2", digest, rounds] => pbkdf2_method(digest, rounds, &output)?,
        ["scrypt", n, r, p] => scrypt_method(n, r, p, &output)?,
        _ => return None,
    };
    Some(Stored {
        method,
        salt: salt.as_bytes().to_vec(),
        output,
    })
}

/// `$pbkdf2-sha256$29000$salt$hash`, salt and hash in base64 with `.` for `+`.
fn passlib(rest: &str) -> Option<Stored> {
    let [digest, rounds, salt, output] = *rest.split('$').collect::<Vec<_>>() else {
        return None;
    };
    let output = adapted_base64(output)?;
    Some(Stored {
        method: pbkdf2_method(digest, rounds, &output)?,
        salt: adapted_base64(salt)?,
        output,
    })
}

fn pbkdf2_method(digest: &str, rounds: &str, output: &[u8]) -> Option<Method> {
    let (algorithm, length) = match digest {
        "sha1" => (pbkdf2::PBKDF2_HMAC_SHA1, 20),
        "sha256" => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
        "sha512" => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
        _ => return None,
    };
    let rounds = rounds
        .parse()
        .ok()
        .filter(|rounds| *rounds <= MOST_ROUNDS)?;
    // A hash cut short would be easier to hit.
    (output.len() == length).then_some(Method::Pbkdf2(algorithm, NonZeroU32::new(rounds)?))
}

fn scrypt_method(n: &str, r: &str, p: &str, output: &[u8]) -> Option<Method> {
    let (n, r, p): (u64, u32, u32) = (n.parse().ok()?, r.parse().ok()?, p.parse().ok()?);
    let memory = n.checked_mul(u64::from(r))?.checked_mul(128)?;
    if n < 2
        || !n.is_power_of_two()
        || memory > MOST_SCRYPT_MEMORY
        || p > MOST_SCRYPT_RUNS
        || output.len() != 64
    {
        return None;
    }
    let log_n = u8::try_from(n.trailing_zeros()).ok()?;
    Some(Method::Scrypt(scrypt::Params::new(log_n, r, p).ok()?))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

fn adapted_base64(text: &str) -> Option<Vec<u8>> {
    let alphabet =
        Alphabet::new("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./").ok()?;
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&alphabet, config).decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_that_asks_for_too_much_work_is_not_obeyed() {
        let sha256 = "0".repeat(64);
        let sha512 = "0".repeat(128);
        assert!(Stored::parse(&format!("pbkdf2:sha256:4000000$s${sha256}")).is_some());
        assert!(Stored::parse(&format!("scrypt:32768:8:1$s${sha512}")).is_some());
        for greedy in [
            format!("pbkdf2:sha256:4000001$s${sha256}"),
            format!("pbkdf2:sha256:99999999999$s${sha256}"),
            format!("scrypt:4194304:8:1$s${sha512}"),
            format!("scrypt:32768:4096:1$s${sha512}"),
            format!("scrypt:32768:8:5$s${sha512}"),
            format!("scrypt:18446744073709551615:4294967295:1$s${sha512}"),
        ] {
            assert!(Stored::parse(&greedy).is_none(), "{greedy}");
        }
    }

    #[test]
    fn a_malformed_or_shortened_hash_is_none() {
        let sha256 = "0".repeat(64);
        for bad in [
            format!("pbkdf2:sha256:0$s${sha256}"),
            format!("pbkdf2:sha256:1000$$${sha256}"),
            "pbkdf2:sha256:1000$s$".to_owned(),
            "pbkdf2:sha256:1000$s$00".to_owned(),
            format!("pbkdf2:sha256:1000$s${sha256}$x"),
            format!("pbkdf2:sha256:1000$s${}é", &sha256[..62]),
            "scrypt:32767:8:1$s$00".to_owned(),
            "scrypt:0:0:0$s$00".to_owned(),
            "$pbkdf2-sha256$1000$AAAA".to_owned(),
            "$pbkdf2-sha256$1000$AAAA$AAAA".to_owned(),
        ] {
            assert!(Stored::parse(&bad).is_none(), "{bad}");
        }
    }
}
