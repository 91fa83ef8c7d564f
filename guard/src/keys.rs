//! The key ring: a JWK Set (RFC 7517) of HMAC and Ed25519 keys, checked when it is read.

mod change;
mod error;
mod jwk;
mod signer;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;

pub use error::KeyRingError;
pub(crate) use jwk::RingKey;
pub use signer::Signer;

use crate::crypto;
use jwk::Jwk;

/// A key of HS256 has at least this many bytes: RFC 7518 section 3.2.
const SHORTEST_KEY: usize = 32;
/// A longer key than this is a mistake, such as a whole file pasted in.
const LONGEST_KEY: usize = 1024;
const LONGEST_KID: usize = 64;
const MOST_KEYS: usize = 64;

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

impl KeyStatus {
    /// As it stands in the ring.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Announced => "announced",
            Self::Retiring => "retiring",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Announced, Self::Retiring]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// The one algorithm that a key is used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// HMAC-SHA256: one secret signs and verifies.
    Hs256,
    /// Ed25519: the private half signs, the public half verifies.
    EdDsa,
}

impl KeyAlgorithm {
    /// The name in `alg` (RFC 7518 section 3.1, RFC 8037 section 3.1).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Hs256, Self::EdDsa]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
    }
}

/// What is to be known about a key without its material.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// Its name.
    pub kid: String,
    /// What it is used with.
    pub algorithm: KeyAlgorithm,
    /// What it is there for.
    pub status: KeyStatus,
    /// Since when, in seconds since the Unix epoch, where the ring says so.
    pub since: Option<i64>,
}

/// The keys that tokens are verified with, of which one signs.
pub struct KeyRing {
    keys: Vec<RingKey>,
    active: usize,
    /// No other ring of this process has it: what was found good under another ring is looked at
    /// anew.
    id: u64,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

impl KeyRing {
    /// Reads a JWK Set. Members that are not known are ignored, as RFC 7517 asks.
    ///
    /// # Errors
    /// When any key is weak, unknown in kind or named twice, or not exactly one is active: a ring
    /// is good as a whole or not taken.
    pub fn from_jwks(json: &str) -> Result<Self, KeyRingError> {
        let set: JwkSet = serde_json::from_str(json).map_err(|error| KeyRingError::NotAJwkSet {
            line: error.line(),
            column: error.column(),
        })?;
        Self::from_keys(set.keys)
    }

    fn from_keys(jwks: Vec<Jwk>) -> Result<Self, KeyRingError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        crypto::install();
        if !crypto::works() {
            return Err(KeyRingError::Provider);
        }
        if jwks.is_empty() {
            return Err(KeyRingError::Empty);
        }
        if jwks.len() > MOST_KEYS {
            return Err(KeyRingError::TooManyKeys);
        }
        let alone = jwks.len() == 1;
        let mut keys: Vec<RingKey> = Vec::with_capacity(jwks.len());
        for (index, jwk) in jwks.into_iter().enumerate() {
            let key = RingKey::read(jwk, index, alone)?;
            for earlier in &keys {
                if earlier.kid == key.kid {
                    return Err(KeyRingError::DuplicateKid(key.kid.to_string()));
                }
                if earlier.material() == key.material() {
                    let (one, other) = (earlier.kid.to_string(), key.kid.to_string());
                    return Err(KeyRingError::DuplicateSecret(one, other));
                }
            }
            keys.push(key);
        }
        let active: Vec<usize> = (0..keys.len())
            .filter(|index| keys[*index].status == KeyStatus::Active)
            .collect();
        match active[..] {
            [active] => Ok(Self {
                keys,
                active,
                id: NEXT.fetch_add(1, Ordering::Relaxed),
            }),
            _ => Err(KeyRingError::NotOneActive(active.len())),
        }
    }

    /// The names of all keys.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| &*key.kid)
    }

    /// What is to be known about each key.
    pub fn infos(&self) -> impl Iterator<Item = KeyInfo> {
        self.keys.iter().map(|key| KeyInfo {
            kid: key.kid.to_string(),
            algorithm: key.kind,
            status: key.status,
            since: key.since,
        })
    }

    /// The status of the key of this name.
    #[must_use]
    pub fn status(&self, kid: &str) -> Option<KeyStatus> {
        self.key(kid).map(|key| key.status)
    }

    /// The name of the key that signs.
    #[must_use]
    pub fn active_kid(&self) -> &str {
        &self.keys[self.active].kid
    }

    /// What signs with the active key; nothing, where only its public half is known.
    #[must_use]
    pub fn signer(&self) -> Option<&Signer> {
        self.keys[self.active].signer.as_ref()
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn key(&self, kid: &str) -> Option<&RingKey> {
        self.keys.iter().find(|key| &*key.kid == kid)
    }

    pub(crate) fn key_by_header(&self, header: &str) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.header == header)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("kids", &self.kids().collect::<Vec<_>>())
            .field("active", &self.active_kid())
            .finish()
    }
}

impl RingKey {
    /// The algorithm's name in a token's header.
    pub(crate) fn algorithm_name(&self) -> &'static str {
        self.kind.as_str()
    }

    /// The one algorithm that the key is used with.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn kind(&self) -> KeyAlgorithm {
        self.kind
    }

    /// What no second key may share.
    fn material(&self) -> &[u8] {
        self.verifying.material()
    }
}

#[cfg(test)]
mod tests;
