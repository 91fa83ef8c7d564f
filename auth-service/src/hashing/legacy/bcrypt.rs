//! bcrypt, as everybody writes it, and Django's two ways to wrap it.
//!
//! What bcrypt does to a password, it does here too: of more than 72 bytes only the first 72 count. A password with a NUL
//! byte is looked at whole, where some libraries stop at the NUL: it then does not match, and its owner asks for a reset.
//! `$2x$`, whose hashes of letters beyond ASCII are wrong, is not read.

use std::str::FromStr;

use ring::digest::{SHA256, digest};

use super::HashFault;

/// The highest cost that is computed: each step doubles the work, and 14 is about a second. 12 is the libraries' default;
/// OWASP asks for 10 at least.
const MOST_COST: u32 = 14;
/// The lowest cost there is.
const LEAST_COST: u32 = 4;
/// `$2b$12$`, 22 characters of salt, 31 of hash.
const LENGTH: usize = 60;

/// What is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// The password.
    Plain,
    /// The SHA-256 of the password in lower-case hex: Django's way around the 72 bytes.
    Sha256Hex,
}

/// A stored hash.
pub(super) struct Stored {
    text: String,
    input: Input,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored")
            .field("input", &self.input)
            .finish_non_exhaustive()
    }
}

impl Stored {
    /// Reads a hash.
    ///
    /// # Errors
    /// As [`super::Stored::parse`].
    pub(super) fn parse(text: &str, input: Input) -> Result<Self, HashFault> {
        let known = ["$2a$", "$2b$", "$2y$"];
        let of_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/';
        let (head, tail) = text.split_at_checked(7).ok_or(HashFault::Unknown)?;
        let cost = known
            .iter()
            .find_map(|prefix| head.strip_prefix(prefix))
            .and_then(|rest| rest.strip_suffix('$'))
            .filter(|cost| cost.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|cost| cost.parse::<u32>().ok())
            .ok_or(HashFault::Unknown)?;
        if text.len() != LENGTH || !tail.bytes().all(of_alphabet) || cost < LEAST_COST {
            return Err(HashFault::Unknown);
        }
        if cost > MOST_COST {
            return Err(HashFault::TooCostly);
        }
        // Not every character may stand last: two bits of the salt and four of the hash have no meaning.
        bcrypt::HashParts::from_str(text).map_err(|_| HashFault::Unknown)?;
        Ok(Self {
            text: text.to_owned(),
            input,
        })
    }

    /// Whether this is the hash of `password`.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let hashed = match self.input {
            Input::Plain => bcrypt::verify(password, &self.text),
            Input::Sha256Hex => bcrypt::verify(hex(digest(&SHA256, password).as_ref()), &self.text),
        };
        hashed.unwrap_or(false)
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| {
            [
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]
        })
        .map(char::from)
        .collect()
}
