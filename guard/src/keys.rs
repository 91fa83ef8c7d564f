//! The key ring: a JWK Set (RFC 7517) of HMAC keys, checked when it is read.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::ambient::{Clock, Entropy};
use crate::claims::Claims;
use crate::crypto;

/// A key of HS256 has at least this many bytes: RFC 7518 section 3.2.
const SHORTEST_KEY: usize = 32;
/// A longer key than this is a mistake, such as a whole file pasted in.
const LONGEST_KEY: usize = 1024;
/// Thirty-two random bytes hold about thirty different values; fewer than this is a pattern.
const FEWEST_DIFFERENT_BYTES: usize = 10;
const LONGEST_KID: usize = 64;
const MOST_KEYS: usize = 64;

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
    /// Not `"kty":"oct"` with `"alg":"HS256"`.
    #[error("the key \"{0}\" is not of kty \"oct\" with alg \"HS256\", the only kind known")]
    UnknownAlgorithm(String),
    /// `use` is there and is not `sig`.
    #[error("the key \"{0}\" is not for signatures (use must be \"sig\")")]
    NotForSignatures(String),
    /// `k` is missing or not base64url without padding.
    #[error("the secret of key \"{0}\" is not base64url without padding")]
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
    /// The process installed another `jsonwebtoken` provider that cannot do HS256.
    #[error("the jsonwebtoken provider of this process cannot verify HS256")]
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

/// What a key is there for, besides verifying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    /// Signs.
    Active,
    /// Will sign once every verifier knows it.
    Announced,
    /// Has signed; stays until the last token of its making has expired.
    Retiring,
}

/// The keys that tokens are verified with, of which one signs.
pub struct KeyRing {
    keys: Vec<RingKey>,
    active: usize,
}

/// One key with the one algorithm that it is used with.
pub(crate) struct RingKey {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) decoding: DecodingKey,
    /// The header that our signer writes for this key, encoded: a token that begins with it
    /// needs no parsing of its header.
    pub(crate) header: String,
    status: KeyStatus,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    status: Option<String>,
    k: Option<SecretString>,
}

impl KeyRing {
    /// Reads a JWK Set. Members that are not known are ignored, as RFC 7517 asks.
    ///
    /// # Errors
    /// When any key is weak, unknown in kind or named twice, or not exactly one is active: a ring
    /// is good as a whole or not taken.
    pub fn from_jwks(json: &str) -> Result<Self, KeyRingError> {
        crypto::install();
        if !crypto::works() {
            return Err(KeyRingError::Provider);
        }
        let set: JwkSet = serde_json::from_str(json).map_err(|error| KeyRingError::NotAJwkSet {
            line: error.line(),
            column: error.column(),
        })?;
        if set.keys.is_empty() {
            return Err(KeyRingError::Empty);
        }
        if set.keys.len() > MOST_KEYS {
            return Err(KeyRingError::TooManyKeys);
        }
        let alone = set.keys.len() == 1;
        let mut keys: Vec<RingKey> = Vec::with_capacity(set.keys.len());
        for (index, jwk) in set.keys.into_iter().enumerate() {
            let key = RingKey::read(jwk, index, alone)?;
            for earlier in &keys {
                if earlier.kid == key.kid {
                    return Err(KeyRingError::DuplicateKid(key.kid));
                }
                if earlier.secret() == key.secret() {
                    return Err(KeyRingError::DuplicateSecret(earlier.kid.clone(), key.kid));
                }
            }
            keys.push(key);
        }
        let active: Vec<usize> = (0..keys.len())
            .filter(|index| keys[*index].status == KeyStatus::Active)
            .collect();
        match active[..] {
            [active] => Ok(Self { keys, active }),
            _ => Err(KeyRingError::NotOneActive(active.len())),
        }
    }

    /// A JWK Set with one new key of 256 random bits, named after the time.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy, clock: &dyn Clock) -> SecretString {
        let mut secret = Zeroizing::new([0; SHORTEST_KEY]);
        let mut suffix = [0; 4];
        entropy.fill(secret.as_mut_slice());
        entropy.fill(&mut suffix);
        let kid = format!("{}-{:08x}", clock.now_seconds(), u32::from_be_bytes(suffix));
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_slice()));
        SecretString::from(format!(
            concat!(
                r#"{{"keys":[{{"kty":"oct","kid":"{}","alg":"HS256","use":"sig","#,
                r#""status":"active","k":"{}"}}]}}"#,
                "\n"
            ),
            kid,
            encoded.as_str()
        ))
    }

    /// The names of all keys.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.kid.as_str())
    }

    /// The status of the key of this name.
    #[must_use]
    pub fn status(&self, kid: &str) -> Option<KeyStatus> {
        self.key(kid).map(|key| key.status)
    }

    /// What signs with the active key.
    #[must_use]
    pub fn signer(&self) -> Signer {
        Signer::of(&self.keys[self.active])
    }

    pub(crate) fn key(&self, kid: &str) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    pub(crate) fn key_by_header(&self, header: &str) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.header == header)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("kids", &self.kids().collect::<Vec<_>>())
            .field("active", &self.keys[self.active].kid)
            .finish()
    }
}

impl RingKey {
    fn read(jwk: Jwk, index: usize, alone: bool) -> Result<Self, KeyRingError> {
        let kid = jwk
            .kid
            .filter(|kid| is_kid(kid))
            .ok_or(KeyRingError::BadKid { index })?;
        if jwk.kty.as_deref() != Some("oct") || jwk.alg.as_deref() != Some("HS256") {
            return Err(KeyRingError::UnknownAlgorithm(kid));
        }
        if jwk.usage.is_some_and(|usage| usage != "sig") {
            return Err(KeyRingError::NotForSignatures(kid));
        }
        let status = match jwk.status.as_deref() {
            Some("active") => KeyStatus::Active,
            Some("announced") => KeyStatus::Announced,
            Some("retiring") => KeyStatus::Retiring,
            None if alone => KeyStatus::Active,
            _ => return Err(KeyRingError::BadStatus(kid)),
        };
        let secret = match jwk.k.map(|k| URL_SAFE_NO_PAD.decode(k.expose_secret())) {
            Some(Ok(secret)) => Zeroizing::new(secret),
            _ => return Err(KeyRingError::BadEncoding(kid)),
        };
        if secret.len() > LONGEST_KEY {
            return Err(KeyRingError::TooLong(kid));
        }
        if is_weak(&secret) {
            return Err(KeyRingError::Weak(kid));
        }
        let header = format!(r#"{{"alg":"HS256","kid":"{kid}","typ":"at+jwt"}}"#);
        Ok(Self {
            algorithm: Algorithm::HS256,
            decoding: DecodingKey::from_secret(&secret),
            header: URL_SAFE_NO_PAD.encode(header),
            kid,
            status,
        })
    }

    fn secret(&self) -> &[u8] {
        crypto::decoding_secret(&self.decoding).unwrap_or_default()
    }
}

/// Signs tokens with one key. It neither reads clocks nor checks claims: what may be signed is
/// its owner's decision.
#[derive(Clone)]
pub struct Signer {
    kid: String,
    header: String,
    key: hmac::Key,
}

impl Signer {
    fn of(key: &RingKey) -> Self {
        Self {
            kid: key.kid.clone(),
            header: key.header.clone(),
            key: hmac::Key::new(hmac::HMAC_SHA256, key.secret()),
        }
    }

    /// The name of the key.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// A token with these claims: a JWS in compact form (RFC 7515 section 7.1).
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> String {
        self.sign_parts(&self.header, claims.to_json().as_bytes())
    }

    /// A token with this encoded header and this payload.
    pub(crate) fn sign_parts(&self, header: &str, payload: &[u8]) -> String {
        let mut token = String::with_capacity(header.len() + payload.len() * 4 / 3 + 48);
        token.push_str(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let tag = hmac::sign(&self.key, token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(tag, &mut token);
        token
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// The bytes of a generated ring, for writing them down.
pub(crate) fn generated_bytes(entropy: &dyn Entropy, clock: &dyn Clock) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(
        KeyRing::generate(entropy, clock)
            .expose_secret()
            .as_bytes()
            .to_vec(),
    )
}

/// Names that need no escaping, neither in JSON nor in a log.
fn is_kid(kid: &str) -> bool {
    (1..=LONGEST_KID).contains(&kid.len())
        && kid
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Too short, or too few different bytes to be random.
fn is_weak(secret: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in secret {
        seen[usize::from(*byte)] = true;
    }
    let different = seen.iter().filter(|seen| **seen).count();
    secret.len() < SHORTEST_KEY || different < FEWEST_DIFFERENT_BYTES
}

#[cfg(test)]
mod tests;
