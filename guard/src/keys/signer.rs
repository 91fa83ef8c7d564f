//! What signs tokens.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::signature::Ed25519KeyPair;

use crate::claims::Claims;

/// Signs tokens with one key. It neither reads clocks nor checks claims: what may be signed is
/// its owner's decision.
#[derive(Clone)]
pub struct Signer {
    kid: String,
    header: String,
    key: Key,
}

#[derive(Clone)]
pub(super) enum Key {
    Hmac(hmac::Key),
    Ed25519(Arc<Ed25519KeyPair>),
}

impl Signer {
    pub(super) fn new(kid: &str, header: &str, key: Key) -> Self {
        Self {
            kid: kid.to_owned(),
            header: header.to_owned(),
            key,
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
        // Dots, and the longer of the two kinds of signature.
        let room = header.len() + payload.len() * 4 / 3 + 92;
        let mut token = String::with_capacity(room);
        token.push_str(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = match &self.key {
            Key::Hmac(key) => URL_SAFE_NO_PAD.encode(hmac::sign(key, token.as_bytes())),
            Key::Ed25519(pair) => URL_SAFE_NO_PAD.encode(pair.sign(token.as_bytes())),
        };
        token.push('.');
        token.push_str(&signature);
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
