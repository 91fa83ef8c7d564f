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

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn the_known_answer_of_rfc_4231_is_verified() {
        install();
        assert!(works());
    }

    #[test]
    fn the_example_of_rfc_7515_is_verified() {
        // Appendix A.1.
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        install();
        let key = EncodingKey::from_secret(&URL_SAFE_NO_PAD.decode(key).unwrap());
        let decoding = DecodingKey::from_secret(key.as_bytes());
        let verify = |signature| {
            jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &decoding, Algorithm::HS256)
        };
        assert_eq!(verify(signature), Ok(true));
        assert_eq!(verify(&signature.replace('d', "e")), Ok(false));
        assert_eq!(
            jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).as_deref(),
            Ok(signature)
        );
    }

    #[test]
    fn other_algorithms_and_shorter_signatures_are_refused() {
        install();
        let key = DecodingKey::from_secret(&[7; 32]);
        for algorithm in [
            Algorithm::HS384,
            Algorithm::HS512,
            Algorithm::RS256,
            Algorithm::EdDSA,
        ] {
            assert!(jsonwebtoken::crypto::verify("AAAA", b"x", &key, algorithm).is_err());
        }
        // A truncated tag (RFC 2104 section 5) is no HS256 signature.
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), b"x");
        for length in 0..32 {
            let verifier = Hs256(hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]));
            assert!(
                verifier
                    .verify(b"x", &tag.as_ref()[..length].to_vec())
                    .is_err()
            );
        }
    }
}
