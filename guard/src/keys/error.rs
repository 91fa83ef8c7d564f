//! Why a key ring was refused.

use super::{LONGEST_KEY, LONGEST_KID, MOST_KEYS};

/// Why a key ring was refused. None of the texts holds key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// The text is not a JWK Set. The parser's own words are left out: they may quote a secret.
    #[error("the key ring is not a JWK Set (line {line}, column {column})")]
    NotAJwkSet {
        /// Where the parser stopped.
        line: usize,
        /// Where the parser stopped.
        column: usize,
    },
    /// `{"keys":[]}`.
    #[error("the key ring holds no key")]
    Empty,
    /// More than 64 keys.
    #[error("the key ring holds more than {MOST_KEYS} keys")]
    TooManyKeys,
    /// A `kid` is missing, too long, or not made of letters, digits, `-`, `_` and `.`.
    #[error(
        "key {index} of the ring needs a kid of 1 to {LONGEST_KID} letters, digits, '-', '_' or '.'"
    )]
    BadKid {
        /// The position in the set, from 0.
        index: usize,
    },
    /// Two keys have the same `kid`.
    #[error("the kid \"{0}\" stands twice in the key ring")]
    DuplicateKid(String),
    /// Two keys have the same secret: retiring one would not retire it.
    #[error("the keys \"{0}\" and \"{1}\" of the ring are the same secret")]
    DuplicateSecret(String, String),
    /// Neither `"kty":"oct"` with `"alg":"HS256"` nor `"kty":"OKP"`, `"crv":"Ed25519"` with `"alg":"EdDSA"`.
    #[error(
        "the key \"{0}\" is neither of kty \"oct\" with alg \"HS256\" nor of kty \"OKP\", crv \"Ed25519\" with alg \"EdDSA\""
    )]
    UnknownAlgorithm(String),
    /// `use` is there and is not `sig`.
    #[error("the key \"{0}\" is not for signatures (use must be \"sig\")")]
    NotForSignatures(String),
    /// `k`, `x` or `d` is missing, of a wrong length, or not base64url without padding.
    #[error("the material of key \"{0}\" is not base64url without padding")]
    BadEncoding(String),
    /// `k` is empty or shorter than 256 bits, or it repeats a few bytes.
    #[error("the key \"{0}\" is weak: 256 random bits at least (RFC 7518 section 3.2)")]
    Weak(String),
    /// `k` is longer than 1024 bytes.
    #[error("the secret of key \"{0}\" is longer than {LONGEST_KEY} bytes")]
    TooLong(String),
    /// `status` is not `active`, `announced` or `retiring`, or is absent beside other keys.
    #[error("the key \"{0}\" needs a status of \"active\", \"announced\" or \"retiring\"")]
    BadStatus(String),
    /// Not exactly one key signs.
    #[error("exactly one key of the ring must be active, and {0} are")]
    NotOneActive(usize),
    /// `d` and `x` of an Ed25519 key do not belong together.
    #[error("the private and the public half of key \"{0}\" are not one pair")]
    NotAPair(String),
    /// The active key has no private half, and whoever reads this ring must sign.
    #[error("the active key \"{0}\" has no private half (d), so nothing can be signed with it")]
    CannotSign(String),
    /// A change named a key that is not in the ring, or not in the state that the change begins in.
    #[error("the key \"{0}\" is not in the ring, or not in the state for that")]
    NoSuchKey(String),
    /// The process installed another `jsonwebtoken` provider that cannot do HS256 and EdDSA.
    #[error("the jsonwebtoken provider of this process cannot verify HS256 and EdDSA")]
    Provider,
    /// The file cannot be read or written.
    #[error("the key file {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Group or others may read the file.
    #[error("the key file {path} has mode {mode:04o}: others can read it; chmod 0600 it")]
    Permissions {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is larger than any key ring, or no regular file.
    #[error("the key file {0} is not a regular file of at most 64 KiB")]
    NotAKeyFile(String),
    /// [`KeyRing::create_file`] found a file there already and left it alone.
    #[error("the key file {0} is already there")]
    AlreadyExists(String),
}
