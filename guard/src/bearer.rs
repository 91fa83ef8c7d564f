//! The credential of a request: one `authorization` entry of the Bearer scheme (RFC 6750).

use tonic::metadata::MetadataMap;

use crate::refusal::Refusal;
use crate::verify::TokenFault;

/// The bearer token in the metadata, not yet looked at.
///
/// # Errors
/// [`Refusal::TokenMissing`] without an entry, with another scheme or with an empty credential;
/// [`Refusal::TokenInvalid`] with more than one entry, or with what cannot be a token.
pub fn bearer_token(metadata: &MetadataMap) -> Result<&str, Refusal> {
    find(metadata).map_err(|missing| match missing {
        NoToken::Missing => Refusal::TokenMissing,
        NoToken::Fault(fault) => fault.reason(),
    })
}

/// Why there is no token to verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoToken {
    /// The caller did not try.
    Missing,
    /// The caller sent something that is no token.
    Fault(TokenFault),
}

pub(crate) fn find(metadata: &MetadataMap) -> Result<&str, NoToken> {
    let mut entries = metadata.get_all("authorization").iter();
    let entry = entries.next().ok_or(NoToken::Missing)?;
    if entries.next().is_some() {
        // Which of two counts is what an attacker would like to choose.
        return Err(malformed("there is more than one authorization entry"));
    }
    let bytes = entry.as_encoded_bytes();
    let credential = match bytes.split_at_checked(6) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer") => rest,
        _ => return Err(NoToken::Missing),
    };
    let token = match credential {
        [] => return Err(NoToken::Missing),
        [b' ', token @ ..] => token,
        // Another scheme, whose name only begins like ours.
        _ => return Err(NoToken::Missing),
    };
    if token.iter().all(|byte| *byte == b' ') {
        return Err(NoToken::Missing);
    }
    if token[0] == b' ' {
        return Err(malformed("more than one space follows the scheme"));
    }
    std::str::from_utf8(token).map_err(|_| malformed("the token is not ASCII"))
}

fn malformed(flaw: &'static str) -> NoToken {
    NoToken::Fault(TokenFault::Malformed(flaw))
}
