//! The cryptography behind `jsonwebtoken`: HMAC-SHA256 from `ring`, and nothing else.
//!
//! `jsonwebtoken` takes its primitives from a provider of the process. Ours knows one algorithm;
//! whatever else is asked of it is refused, not guessed.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, new_error};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::hmac;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        expect_hs256(*algorithm, key.family())?;
        Ok(Box::new(Hs256(hmac::Key::new(
            hmac::HMAC_SHA256,
            encoding_secret(key),
        ))))
    },
    verifier_factory: |algorithm, key| {
        expect_hs256(*algorithm, key.family())?;
        Ok(Box::new(Hs256(hmac::Key::new(
            hmac::HMAC_SHA256,
            decoding_secret(key)?,
        ))))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Installs the provider for the process, once. A provider that the program installed before wins:
/// [`works`] then says whether it can do what the guard needs.
pub(crate) fn install() {
    let _already_installed = PROVIDER.install_default();
}

/// Verifies the known answer of RFC 4231 test case 2 through `jsonwebtoken`, as a token would be.
pub(crate) fn works() -> bool {
    let key = DecodingKey::from_secret(b"Jefe");
    let message = b"what do ya want for nothing?";
    let verify = |signature| {
        jsonwebtoken::crypto::verify(signature, message, &key, Algorithm::HS256).unwrap_or(false)
    };
    verify("W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM")
        && !verify("W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEA")
}

/// The secret inside a symmetric key.
pub(crate) fn decoding_secret(key: &DecodingKey) -> Result<&[u8], Error> {
    match (key.family(), key.kind()) {
        (AlgorithmFamily::Hmac, DecodingKeyKind::SecretOrDer(secret)) => Ok(secret),
        _ => Err(new_error(ErrorKind::InvalidKeyFormat)),
    }
}

fn encoding_secret(key: &EncodingKey) -> &[u8] {
    key.as_bytes()
}

fn expect_hs256(algorithm: Algorithm, family: AlgorithmFamily) -> Result<(), Error> {
    if algorithm == Algorithm::HS256 && family == AlgorithmFamily::Hmac {
        Ok(())
    } else {
        Err(new_error(ErrorKind::UnsupportedAlgorithm))
    }
}

struct Hs256(hmac::Key);

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        // Compares the whole tag in constant time.
        hmac::verify(&self.0, message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}
