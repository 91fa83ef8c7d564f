//! scrypt (RFC 7914), as Werkzeug and Django write it.

use subtle::ConstantTimeEq;

use super::text::{hex, number, padded_base64};
use super::{Format, HashFault};

/// The most memory that a hash may ask for, in bytes: OWASP's Password Storage Cheat Sheet goes up to N = 2^17 with
/// r = 8, which is this. Werkzeug's default is a quarter of it, Django's an eighth.
const MOST_MEMORY: u64 = 128 * 1024 * 1024;
/// The most memory times runs (the parallelization parameter p: here they come one after the other), in bytes.
const MOST_WORK: u64 = 2 * MOST_MEMORY;
/// The longest salt, in bytes: the libraries' own have 16 to 22 characters.
const LONGEST_SALT: usize = 256;
/// The length of the libraries' output. One cut short would be easier to hit.
const OUTPUT: usize = 64;

/// A stored hash.
pub(super) struct Stored {
    params: scrypt::Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored").finish_non_exhaustive()
    }
}

impl Stored {
    /// Whether this is the hash of `password`.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let mut output = vec![0; self.output.len()];
        scrypt::scrypt(password, &self.salt, &self.params, &mut output).is_ok()
            && bool::from(output.as_slice().ct_eq(&self.output))
    }
}

/// Reads `scrypt:32768:8:1$salt$hex` (Werkzeug) or `scrypt$16384$salt$8$5$base64` (Django); the salt is used as the text
/// that it is. None for what is no scrypt at all.
///
/// # Errors
/// As [`super::Stored::parse`].
pub(super) fn parse(text: &str) -> Option<Result<(Format, Stored), HashFault>> {
    if !text.starts_with("scrypt:") && !text.starts_with("scrypt$") {
        return None;
    }
    let parts: Vec<&str> = text.splitn(7, '$').collect();
    let (format, [n, r, p], salt, output) = match *parts {
        [method, salt, output] => {
            let numbers: Vec<&str> = method.splitn(5, ':').skip(1).collect();
            let [n, r, p] = *numbers else {
                return Some(Err(HashFault::Unknown));
            };
            (Format::WerkzeugScrypt, [n, r, p], salt, hex(output))
        }
        [_, n, salt, r, p, output] => {
            (Format::DjangoScrypt, [n, r, p], salt, padded_base64(output))
        }
        _ => return Some(Err(HashFault::Unknown)),
    };
    let stored = params(n, r, p).and_then(|params| {
        if !(1..=LONGEST_SALT).contains(&salt.len()) {
            return Err(HashFault::Unknown);
        }
        Ok(Stored {
            params,
            salt: salt.as_bytes().to_vec(),
            output: output
                .filter(|output| output.len() == OUTPUT)
                .ok_or(HashFault::Unknown)?,
        })
    });
    Some(stored.map(|stored| (format, stored)))
}

fn params(n: &str, r: &str, p: &str) -> Result<scrypt::Params, HashFault> {
    let read = |text: &str| number::<u128>(text).ok_or(HashFault::Unknown);
    let (n, r, p) = (read(n)?, read(r)?, read(p)?);
    if n < 2 || !n.is_power_of_two() || r == 0 || p == 0 {
        return Err(HashFault::Unknown);
    }
    let memory = n.saturating_mul(r).saturating_mul(128);
    if memory > u128::from(MOST_MEMORY) || memory.saturating_mul(p) > u128::from(MOST_WORK) {
        return Err(HashFault::TooCostly);
    }
    let too_costly = |_| HashFault::TooCostly;
    let log_n = u8::try_from(n.trailing_zeros()).map_err(too_costly)?;
    let r = u32::try_from(r).map_err(too_costly)?;
    let p = u32::try_from(p).map_err(too_costly)?;
    scrypt::Params::new(log_n, r, p).map_err(|_| HashFault::TooCostly)
}
