//! PBKDF2 (RFC 8018), as Werkzeug, passlib and Django write it.

use std::num::NonZeroU32;

use ring::pbkdf2;

use super::text::{adapted_base64, hex, number, padded_base64};
use super::{Format, HashFault};

/// The most rounds that are computed. Werkzeug's and Django's default is 1,000,000 and Django's grows by a fifth with
/// each release; OWASP's Password Storage Cheat Sheet asks for 1,300,000 of SHA-1. Four million take about a second.
const MOST_ROUNDS: u32 = 4_000_000;
/// The longest salt, in bytes: the libraries' own have 12 to 22 characters.
const LONGEST_SALT: usize = 256;

/// A stored hash.
pub(super) struct Stored {
    algorithm: pbkdf2::Algorithm,
    rounds: NonZeroU32,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored")
            .field("rounds", &self.rounds)
            .finish_non_exhaustive()
    }
}

impl Stored {
    /// Whether this is the hash of `password`.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        pbkdf2::verify(
            self.algorithm,
            self.rounds,
            &self.salt,
            password,
            &self.output,
        )
        .is_ok()
    }
}

/// The pieces of a hash before they are looked at.
struct Pieces<'a> {
    format: Format,
    rounds: &'a str,
    salt: Option<Vec<u8>>,
    output: Option<Vec<u8>>,
}

/// Reads `pbkdf2:sha256:1000000$salt$hex` (Werkzeug), `$pbkdf2-sha256$29000$salt$hash` (passlib) or
/// `pbkdf2_sha256$1000000$salt$base64` (Django).
///
/// # Errors
/// As [`super::Stored::parse`].
pub(super) fn parse(text: &str) -> Result<(Format, Stored), HashFault> {
    let Pieces {
        format,
        rounds,
        salt,
        output,
    } = pieces(text).ok_or(HashFault::Unknown)?;
    let (algorithm, length) = match format {
        Format::WerkzeugPbkdf2Sha1 | Format::PasslibPbkdf2Sha1 | Format::DjangoPbkdf2Sha1 => {
            (pbkdf2::PBKDF2_HMAC_SHA1, 20)
        }
        Format::WerkzeugPbkdf2Sha512 | Format::PasslibPbkdf2Sha512 => {
            (pbkdf2::PBKDF2_HMAC_SHA512, 64)
        }
        _ => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
    };
    let salt = salt
        .filter(|salt| (1..=LONGEST_SALT).contains(&salt.len()))
        .ok_or(HashFault::Unknown)?;
    // A hash cut short would be easier to hit.
    let output = output
        .filter(|output| output.len() == length)
        .ok_or(HashFault::Unknown)?;
    let rounds: u64 = number(rounds).ok_or(HashFault::Unknown)?;
    let rounds = u32::try_from(rounds)
        .ok()
        .filter(|rounds| *rounds <= MOST_ROUNDS)
        .ok_or(HashFault::TooCostly)?;
    let stored = Stored {
        algorithm,
        rounds: NonZeroU32::new(rounds).ok_or(HashFault::Unknown)?,
        salt,
        output,
    };
    Ok((format, stored))
}

fn pieces(text: &str) -> Option<Pieces<'_>> {
    let parts: Vec<&str> = text.splitn(6, '$').collect();
    Some(match *parts {
        // Werkzeug and Django use the salt as the text that it is.
        [method, salt, output] => {
            let (format, rounds) = werkzeug(method)?;
            Pieces {
                format,
                rounds,
                salt: Some(salt.as_bytes().to_vec()),
                output: hex(output),
            }
        }
        [method, rounds, salt, output] => Pieces {
            format: match method {
                "pbkdf2_sha1" => Format::DjangoPbkdf2Sha1,
                "pbkdf2_sha256" => Format::DjangoPbkdf2Sha256,
                _ => return None,
            },
            rounds,
            salt: Some(salt.as_bytes().to_vec()),
            output: padded_base64(output),
        },
        ["", method, rounds, salt, output] => Pieces {
            format: match method {
                "pbkdf2" => Format::PasslibPbkdf2Sha1,
                "pbkdf2-sha256" => Format::PasslibPbkdf2Sha256,
                "pbkdf2-sha512" => Format::PasslibPbkdf2Sha512,
                _ => return None,
            },
            rounds,
            salt: adapted_base64(salt),
            output: adapted_base64(output),
        },
        _ => return None,
    })
}

fn werkzeug(method: &str) -> Option<(Format, &str)> {
    let (digest, rounds) = method.strip_prefix("pbkdf2:")?.split_once(':')?;
    let format = match digest {
        "sha1" => Format::WerkzeugPbkdf2Sha1,
        "sha256" => Format::WerkzeugPbkdf2Sha256,
        "sha512" => Format::WerkzeugPbkdf2Sha512,
        _ => return None,
    };
    Some((format, rounds))
}
