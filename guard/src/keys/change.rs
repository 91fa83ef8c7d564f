//! Changes of a ring: each gives another whole ring, checked like one that was read.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

use super::jwk::Jwk;
use super::{KeyAlgorithm, KeyRing, KeyRingError, KeyStatus};
use crate::ambient::{Clock, Entropy};

#[derive(Serialize)]
struct Written<'a> {
    keys: Vec<&'a Jwk>,
}

impl KeyRing {
    /// A JWK Set with one new key of 256 random bits, named after the time.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy, clock: &dyn Clock) -> SecretString {
        Self::generate_with(KeyAlgorithm::Hs256, entropy, clock)
    }

    /// The same, with a key for this algorithm.
    #[must_use]
    pub fn generate_with(
        algorithm: KeyAlgorithm,
        entropy: &dyn Entropy,
        clock: &dyn Clock,
    ) -> SecretString {
        write(&[new_key(algorithm, KeyStatus::Active, entropy, clock)])
    }

    /// The ring with a new key beside the others, which does not sign yet; and the key's name.
    ///
    /// # Errors
    /// When the ring is full.
    pub fn announce(
        &self,
        algorithm: KeyAlgorithm,
        entropy: &dyn Entropy,
        clock: &dyn Clock,
    ) -> Result<(Self, String), KeyRingError> {
        let mut keys = self.jwks();
        let key = new_key(algorithm, KeyStatus::Announced, entropy, clock);
        let kid = key.kid.clone().unwrap_or_default();
        keys.push(key);
        Ok((Self::from_keys(keys)?, kid))
    }

    /// The ring in which this announced key signs, and the one that did is retiring.
    ///
    /// # Errors
    /// When the key is not there, or not announced.
    pub fn activate(&self, kid: &str, clock: &dyn Clock) -> Result<Self, KeyRingError> {
        self.expect(kid, |status| status == KeyStatus::Announced)?;
        let now = clock.now_seconds();
        let mut keys = self.jwks();
        for key in &mut keys {
            let status = match (key.kid.as_deref() == Some(kid), key.status.as_deref()) {
                (true, _) => KeyStatus::Active,
                (false, Some("active")) => KeyStatus::Retiring,
                (false, _) => continue,
            };
            key.status = Some(status.as_str().to_owned());
            key.since = Some(now);
        }
        Self::from_keys(keys)
    }

    /// The ring without this key, which must not be the one that signs.
    ///
    /// # Errors
    /// When the key is not there, or signs.
    pub fn remove(&self, kid: &str) -> Result<Self, KeyRingError> {
        self.expect(kid, |status| status != KeyStatus::Active)?;
        let mut keys = self.jwks();
        keys.retain(|key| key.kid.as_deref() != Some(kid));
        Self::from_keys(keys)
    }

    /// The ring as a JWK Set, secrets included: the content of its file.
    #[must_use]
    pub fn to_jwks(&self) -> SecretString {
        write(&self.jwks())
    }

    /// The ring for those who only verify: without the private halves. The secrets of HMAC keys
    /// are in it, because what verifies with them can sign, too.
    #[must_use]
    pub fn verifying_jwks(&self) -> SecretString {
        let mut keys = self.jwks();
        for key in &mut keys {
            key.d = None;
        }
        write(&keys)
    }

    /// The public keys alone, for everybody: no HMAC key is in it, and so it may be empty.
    #[must_use]
    pub fn public_jwks(&self) -> String {
        let mut keys = self.jwks();
        keys.retain(|key| key.k.is_none());
        for key in &mut keys {
            (key.d, key.status, key.since) = (None, None, None);
        }
        write(&keys).expose_secret().to_owned()
    }

    fn jwks(&self) -> Vec<Jwk> {
        self.keys.iter().map(|key| key.jwk.clone()).collect()
    }

    fn expect(&self, kid: &str, state: impl Fn(KeyStatus) -> bool) -> Result<(), KeyRingError> {
        match self.status(kid) {
            Some(status) if state(status) => Ok(()),
            _ => Err(KeyRingError::NoSuchKey(kid.to_owned())),
        }
    }
}

fn new_key(
    algorithm: KeyAlgorithm,
    status: KeyStatus,
    entropy: &dyn Entropy,
    clock: &dyn Clock,
) -> Jwk {
    let now = clock.now_seconds();
    let mut suffix = [0; 4];
    entropy.fill(&mut suffix);
    let kid = format!("{now}-{:08x}", u32::from_be_bytes(suffix));
    Jwk::generate(kid, algorithm, status, now, entropy)
}

fn write(keys: &[Jwk]) -> SecretString {
    let set = Written {
        keys: keys.iter().collect(),
    };
    // Strings, and numbers without fractions: nothing in it can fail to be written.
    let text = Zeroizing::new(serde_json::to_string(&set).unwrap_or_default());
    SecretString::from(format!("{}\n", text.as_str()))
}
