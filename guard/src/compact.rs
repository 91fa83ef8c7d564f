//! The compact form of a JWS (RFC 7515 section 7.1), taken apart strictly.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::json::{self, Flaw};

/// A longer token than this is refused unread.
pub(crate) const LONGEST_TOKEN: usize = 4096;

/// A token's three parts, still encoded.
#[derive(Debug)]
pub(crate) struct Compact<'a> {
    /// The encoded header.
    pub(crate) header: &'a str,
    /// The encoded payload.
    pub(crate) payload: &'a str,
    /// The encoded signature.
    pub(crate) signature: &'a str,
    /// What was signed: header, dot, payload.
    pub(crate) signed: &'a str,
}

/// A token's header: exactly these three members.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) algorithm: String,
    pub(crate) kid: String,
    pub(crate) typ: String,
}

impl<'a> Compact<'a> {
    /// Takes a token apart without decoding it.
    pub(crate) fn split(token: &'a str) -> Result<Self, Flaw> {
        if token.len() > LONGEST_TOKEN {
            return Err("the token is longer than 4 KiB");
        }
        let (signed, signature) = token
            .rsplit_once('.')
            .ok_or("the token has no three parts")?;
        let (header, payload) = signed
            .split_once('.')
            .ok_or("the token has no three parts")?;
        if payload.contains('.') {
            return Err("the token has more than three parts");
        }
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err("a part of the token is empty");
        }
        Ok(Self {
            header,
            payload,
            signature,
            signed,
        })
    }

    /// Reads the header.
    pub(crate) fn header(&self) -> Result<Header, Flaw> {
        let text = decode(self.header)?;
        let (mut algorithm, mut kid, mut typ) = (None, None, None);
        json::read_object(&text, |value, name| {
            let member = match name {
                "alg" => &mut algorithm,
                "kid" => &mut kid,
                "typ" => &mut typ,
                // `jwk`, `jku`, `x5u`, `crit` and their like are ways to choose one's own key.
                _ => return Err("the header has another member than alg, kid and typ"),
            };
            *member = Some(value.string()?.into_owned());
            Ok(())
        })?;
        Ok(Header {
            algorithm: algorithm.ok_or("the header has no alg")?,
            kid: kid.ok_or("the header has no kid")?,
            typ: typ.ok_or("the header has no typ")?,
        })
    }

    /// The payload, decoded.
    pub(crate) fn payload(&self) -> Result<Vec<u8>, Flaw> {
        decode(self.payload)
    }
}

/// base64url without padding, in its one spelling: no stray bits at the end, no other alphabet.
fn decode(part: &str) -> Result<Vec<u8>, Flaw> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| "a part of the token is not canonical base64url")
}
