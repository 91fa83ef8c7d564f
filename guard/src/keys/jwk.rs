//! One key of a JWK Set (RFC 7517, RFC 8037), read strictly and written again.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use super::signer::{Key, Signer};
use super::{KeyAlgorithm, KeyRingError, KeyStatus, LONGEST_KEY, LONGEST_KID, SHORTEST_KEY};
use crate::ambient::Entropy;
use crate::crypto::VerifyingKey;

/// Thirty-two random bytes hold about thirty different values; fewer than this is a pattern.
const FEWEST_DIFFERENT_BYTES: usize = 10;
/// RFC 8032 section 5.1.5: private and public key of Ed25519 have 32 bytes each.
const ED25519_LENGTH: usize = 32;
/// The points of order eight (the other small orders are weak by [`is_weak`], too few different
/// bytes): under them anybody can make signatures. "Taming the many EdDSAs", table 6.
const SMALL_ORDER: [[u8; 15]; 2] = [
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
    ],
];

/// The members that the guard knows. Others are ignored, as RFC 7517 section 4 asks.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Jwk {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kty: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) crv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) alg: Option<String>,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<String>,
    /// Since when the key has its status, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub(super) k: Option<SecretString>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub(super) d: Option<SecretString>,
}

/// A ring is written to its own file, and only there do secrets belong.
fn exposed<S: Serializer>(secret: &Option<SecretString>, to: S) -> Result<S::Ok, S::Error> {
    secret
        .as_ref()
        .map(ExposeSecret::expose_secret)
        .serialize(to)
}

/// One key with the one algorithm that it is used with.
pub(crate) struct RingKey {
    pub(crate) kid: Arc<str>,
    pub(crate) verifying: VerifyingKey,
    /// The header that our signer writes for this key, encoded: a token that begins with it
    /// needs no parsing of its header.
    pub(crate) header: String,
    pub(super) kind: KeyAlgorithm,
    pub(super) status: KeyStatus,
    pub(super) since: Option<i64>,
    /// Absent where only the public half is known.
    pub(super) signer: Option<Signer>,
    pub(super) jwk: Jwk,
}

impl Jwk {
    /// A new key of this name.
    pub(super) fn generate(
        kid: String,
        algorithm: KeyAlgorithm,
        status: KeyStatus,
        since: i64,
        entropy: &dyn Entropy,
    ) -> Self {
        let mut secret = Zeroizing::new([0; SHORTEST_KEY]);
        entropy.fill(secret.as_mut_slice());
        let encoded = SecretString::from(URL_SAFE_NO_PAD.encode(secret.as_slice()));
        let mut jwk = Self {
            kty: None,
            crv: None,
            kid: Some(kid),
            alg: Some(algorithm.as_str().to_owned()),
            usage: Some("sig".to_owned()),
            status: Some(status.as_str().to_owned()),
            since: Some(since),
            x: None,
            k: None,
            d: None,
        };
        match algorithm {
            KeyAlgorithm::Hs256 => {
                jwk.kty = Some("oct".to_owned());
                jwk.k = Some(encoded);
            }
            KeyAlgorithm::EdDsa => {
                jwk.kty = Some("OKP".to_owned());
                jwk.crv = Some("Ed25519".to_owned());
                // Thirty-two bytes are a seed by definition (RFC 8032 section 5.1.5).
                jwk.x = Ed25519KeyPair::from_seed_unchecked(secret.as_slice())
                    .ok()
                    .map(|pair| URL_SAFE_NO_PAD.encode(pair.public_key()));
                jwk.d = Some(encoded);
            }
        }
        jwk
    }
}

impl RingKey {
    pub(super) fn read(mut jwk: Jwk, index: usize, alone: bool) -> Result<Self, KeyRingError> {
        let kid = match &jwk.kid {
            Some(kid) if is_kid(kid) => kid.clone(),
            _ => return Err(KeyRingError::BadKid { index }),
        };
        let (kty, crv, alg) = (&jwk.kty, &jwk.crv, &jwk.alg);
        let kind = match (kty.as_deref(), crv.as_deref(), alg.as_deref()) {
            (Some("oct"), None, Some("HS256")) => KeyAlgorithm::Hs256,
            (Some("OKP"), Some("Ed25519"), Some("EdDSA")) => KeyAlgorithm::EdDsa,
            _ => return Err(KeyRingError::UnknownAlgorithm(kid)),
        };
        if jwk.usage.as_ref().is_some_and(|usage| usage != "sig") {
            return Err(KeyRingError::NotForSignatures(kid));
        }
        let status = match jwk.status.as_deref() {
            Some(text) => KeyStatus::parse(text),
            None => alone.then_some(KeyStatus::Active),
        }
        .ok_or_else(|| KeyRingError::BadStatus(kid.clone()))?;
        jwk.status = Some(status.as_str().to_owned());
        let header = URL_SAFE_NO_PAD.encode(format!(
            r#"{{"alg":"{}","kid":"{kid}","typ":"at+jwt"}}"#,
            kind.as_str()
        ));
        let (verifying, key) = match kind {
            KeyAlgorithm::Hs256 => hmac_key(&jwk, &kid)?,
            KeyAlgorithm::EdDsa => ed25519_key(&jwk, &kid)?,
        };
        Ok(Self {
            signer: key.map(|key| Signer::new(&kid, &header, key)),
            since: jwk.since,
            kid: kid.into(),
            verifying,
            header,
            kind,
            status,
            jwk,
        })
    }
}

fn hmac_key(jwk: &Jwk, kid: &str) -> Result<(VerifyingKey, Option<Key>), KeyRingError> {
    let secret = decoded(jwk.k.as_ref().map(ExposeSecret::expose_secret), kid)?;
    if secret.len() > LONGEST_KEY {
        return Err(KeyRingError::TooLong(kid.to_owned()));
    }
    if secret.len() < SHORTEST_KEY || is_weak(&secret) {
        return Err(KeyRingError::Weak(kid.to_owned()));
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let verifying = VerifyingKey::new(DecodingKey::from_secret(&secret), Algorithm::HS256);
    Ok((verifying, Some(Key::Hmac(key))))
}

fn ed25519_key(jwk: &Jwk, kid: &str) -> Result<(VerifyingKey, Option<Key>), KeyRingError> {
    let public = decoded(jwk.x.as_deref(), kid)?;
    if public.len() != ED25519_LENGTH {
        return Err(KeyRingError::BadEncoding(kid.to_owned()));
    }
    if is_weak(&public) || SMALL_ORDER.iter().any(|point| public.starts_with(point)) {
        return Err(KeyRingError::Weak(kid.to_owned()));
    }
    let key = match jwk.d.as_ref() {
        None => None,
        Some(private) => {
            let seed = decoded(Some(private.expose_secret()), kid)?;
            if seed.len() == ED25519_LENGTH && is_weak(&seed) {
                return Err(KeyRingError::Weak(kid.to_owned()));
            }
            let pair = Ed25519KeyPair::from_seed_and_public_key(&seed, &public)
                .map_err(|_| KeyRingError::NotAPair(kid.to_owned()))?;
            Some(Key::Ed25519(Arc::new(pair)))
        }
    };
    let verifying = VerifyingKey::new(DecodingKey::from_ed_der(&public), Algorithm::EdDSA);
    Ok((verifying, key))
}

fn decoded(text: Option<&str>, kid: &str) -> Result<Zeroizing<Vec<u8>>, KeyRingError> {
    text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .map(Zeroizing::new)
        .ok_or_else(|| KeyRingError::BadEncoding(kid.to_owned()))
}

/// Names that need no escaping, neither in JSON nor in a log.
pub(super) fn is_kid(kid: &str) -> bool {
    (1..=LONGEST_KID).contains(&kid.len())
        && kid
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Too few different bytes to be random.
fn is_weak(secret: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in secret {
        seen[usize::from(*byte)] = true;
    }
    seen.iter().filter(|seen| **seen).count() < FEWEST_DIFFERENT_BYTES
}
