//! The cryptography behind `jsonwebtoken`: HMAC-SHA256 and Ed25519 from `ring`, and nothing else.
//!
//! `jsonwebtoken` takes its primitives from a provider of the process. Ours knows two algorithms;
//! whatever else is asked of it is refused, not guessed.

use std::sync::OnceLock;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeSliceError, Engine as _};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, new_error};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use ring::hmac;
use ring::signature::{ED25519, UnparsedPublicKey};

static PROVIDER: CryptoProvider = CryptoProvider {
    // Ed25519 signs with a kept key pair (keys/signer.rs): a provider would parse it each time.
    signer_factory: |algorithm, key| match (algorithm, key.family()) {
        (Algorithm::HS256, AlgorithmFamily::Hmac) => Ok(Box::new(Hs256::new(key.as_bytes()))),
        _ => Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    },
    verifier_factory: |algorithm, key| match (algorithm, key.family()) {
        (Algorithm::HS256, AlgorithmFamily::Hmac) => Ok(Box::new(Hs256::new(material(key)?))),
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => Ok(Box::new(EdDsa::new(material(key)?))),
        _ => Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Installs the provider for the process, once, and says whether it is the process's. A provider that
/// the program installed before wins: [`works`] then says whether it can do what the guard needs.
pub(crate) fn install() -> bool {
    static OURS: OnceLock<bool> = OnceLock::new();
    *OURS.get_or_init(|| PROVIDER.install_default().is_ok())
}

/// A key that verifies, made ready once. `jsonwebtoken` makes its verifier anew for every signature,
/// which for an HMAC costs two more blocks of hashing than a token has to cost.
pub(crate) struct VerifyingKey {
    decoding: DecodingKey,
    algorithm: Algorithm,
    ready: Option<Ready>,
}

/// What our own provider makes of a key.
enum Ready {
    Hs256(Hs256),
    EdDsa(EdDsa),
}

/// Why a signature was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotVerified {
    /// It is not base64url without padding, in its one spelling.
    Encoding,
    /// It is another one.
    Wrong,
}

/// The longest signature, of Ed25519, has 64 bytes; the decoder asks for room for two more.
const ROOM: usize = 66;

impl VerifyingKey {
    /// Of the secret, or the public key, of this algorithm.
    pub(crate) fn new(decoding: DecodingKey, algorithm: Algorithm) -> Self {
        let ready = match (install(), algorithm, material(&decoding)) {
            (true, Algorithm::HS256, Ok(secret)) => Some(Ready::Hs256(Hs256::new(secret))),
            (true, Algorithm::EdDSA, Ok(public)) => Some(Ready::EdDsa(EdDsa::new(public))),
            // A provider of the program's own has its say about every signature.
            _ => None,
        };
        Self {
            decoding,
            algorithm,
            ready,
        }
    }

    /// What no second key may share: the secret, or the public key.
    pub(crate) fn material(&self) -> &[u8] {
        material(&self.decoding).unwrap_or_default()
    }

    /// Whether this is the signature, encoded as in a token, of these bytes.
    pub(crate) fn verify(&self, signature: &str, signed: &[u8]) -> Result<(), NotVerified> {
        let Some(ready) = &self.ready else {
            let (key, algorithm) = (&self.decoding, self.algorithm);
            return match jsonwebtoken::crypto::verify(signature, signed, key, algorithm) {
                Ok(true) => Ok(()),
                Ok(false) => Err(NotVerified::Wrong),
                Err(_) => Err(NotVerified::Encoding),
            };
        };
        let mut decoded = [0; ROOM];
        let decoded = match URL_SAFE_NO_PAD.decode_slice(signature, &mut decoded) {
            Ok(length) => &decoded[..length],
            Err(DecodeSliceError::OutputSliceTooSmall) => return Err(NotVerified::Wrong),
            Err(DecodeSliceError::DecodeError(_)) => return Err(NotVerified::Encoding),
        };
        let good = match ready {
            Ready::Hs256(key) => key.is_good(signed, decoded),
            Ready::EdDsa(key) => key.is_good(signed, decoded),
        };
        good.then_some(()).ok_or(NotVerified::Wrong)
    }
}

/// Verifies known answers through `jsonwebtoken`, as a token would be: RFC 4231 test case 2 and
/// RFC 8032 section 7.1 test 2.
pub(crate) fn works() -> bool {
    let verify = |signature, message: &[u8], key: &DecodingKey, algorithm| {
        jsonwebtoken::crypto::verify(signature, message, key, algorithm).unwrap_or(false)
    };
    let key = DecodingKey::from_secret(b"Jefe");
    let message = b"what do ya want for nothing?";
    let hs256 = |signature| verify(signature, message, &key, Algorithm::HS256);
    let key = DecodingKey::from_ed_der(&RFC_8032_PUBLIC);
    let eddsa = |message| verify(RFC_8032_SIGNATURE, message, &key, Algorithm::EdDSA);
    hs256("W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM")
        && !hs256("W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEA")
        && eddsa(&[0x72])
        && !eddsa(&[0x73])
}

/// RFC 8032 section 7.1, test 2: the public key.
const RFC_8032_PUBLIC: [u8; 32] = [
    0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e, 0xbc,
    0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c,
];
/// The same test's signature of the one byte 0x72.
const RFC_8032_SIGNATURE: &str =
    "kqAJqfDUyrhyDoILX2QlQKKye1QWUD-Ps3YiI-vbadoIWsHkPhWZbkWPNhPQ8R2MOHsurrQwKu6wDSkWErsMAA";

/// The secret of an HMAC key, the public key of an Ed25519 one.
fn material(key: &DecodingKey) -> Result<&[u8], Error> {
    match (key.family(), key.kind()) {
        (AlgorithmFamily::Hmac | AlgorithmFamily::Ed, DecodingKeyKind::SecretOrDer(bytes)) => {
            Ok(bytes)
        }
        _ => Err(new_error(ErrorKind::InvalidKeyFormat)),
    }
}

struct Hs256(hmac::Key);

impl Hs256 {
    fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Compares the whole tag in constant time.
    fn is_good(&self, message: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.0, message, signature).is_ok()
    }
}

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
        let good = self.is_good(message, signature);
        good.then_some(()).ok_or_else(signature::Error::new)
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

struct EdDsa(UnparsedPublicKey<Vec<u8>>);

impl EdDsa {
    fn new(public: &[u8]) -> Self {
        Self(UnparsedPublicKey::new(&ED25519, public.to_vec()))
    }

    fn is_good(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify(message, signature).is_ok()
    }
}

impl Verifier<Vec<u8>> for EdDsa {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let good = self.is_good(message, signature);
        good.then_some(()).ok_or_else(signature::Error::new)
    }
}

impl JwtVerifier for EdDsa {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::EncodingKey;

    use super::*;

    #[test]
    fn the_known_answers_of_rfc_4231_and_rfc_8032_are_verified() {
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

    #[test]
    fn a_key_made_ready_takes_and_refuses_what_the_provider_does() {
        assert!(install());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), b"x");
        let tag = URL_SAFE_NO_PAD.encode(tag);
        let keys = [
            (DecodingKey::from_secret(&[7; 32]), Algorithm::HS256),
            (DecodingKey::from_ed_der(&RFC_8032_PUBLIC), Algorithm::EdDSA),
        ];
        for (decoding, algorithm) in keys {
            let ready = VerifyingKey::new(decoding.clone(), algorithm);
            assert!(ready.ready.is_some());
            let asking = VerifyingKey {
                decoding,
                algorithm,
                ready: None,
            };
            let mut taken = 0;
            for signature in [tag.as_str(), RFC_8032_SIGNATURE] {
                for message in [&b"x"[..], &[0x72]] {
                    for end in 0..=signature.len() {
                        let signature = &signature[..end];
                        let verified = ready.verify(signature, message);
                        assert_eq!(verified, asking.verify(signature, message), "{signature}");
                        taken += usize::from(verified.is_ok());
                    }
                    for odd in [
                        format!("{signature}="),
                        format!("{signature}AAAA"),
                        "+/".into(),
                    ] {
                        assert!(ready.verify(&odd, message).is_err());
                        assert!(asking.verify(&odd, message).is_err());
                    }
                }
            }
            assert_eq!(taken, 1, "{algorithm:?}");
        }
    }

    #[test]
    fn a_public_key_is_never_taken_for_a_secret() {
        install();
        // The old trick: an HMAC under the bytes of the public key, which everybody knows.
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &RFC_8032_PUBLIC), b"x");
        let signature = URL_SAFE_NO_PAD.encode(tag);
        let public = DecodingKey::from_ed_der(&RFC_8032_PUBLIC);
        for algorithm in [Algorithm::HS256, Algorithm::EdDSA] {
            let verified = jsonwebtoken::crypto::verify(&signature, b"x", &public, algorithm);
            assert!(!matches!(verified, Ok(true)), "{algorithm:?}");
        }
    }
}
