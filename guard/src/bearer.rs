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

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataValue;

    use super::*;

    fn read(entries: &[&[u8]]) -> Result<String, Refusal> {
        let mut headers = http::HeaderMap::new();
        for entry in entries {
            headers.append(
                "authorization",
                http::HeaderValue::from_bytes(entry).unwrap(),
            );
        }
        bearer_token(&MetadataMap::from_headers(headers)).map(str::to_owned)
    }

    #[test]
    fn one_bearer_entry_is_taken_in_any_case_of_the_scheme() {
        for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
            let entry = format!("{scheme} a.b.c");
            assert_eq!(read(&[entry.as_bytes()]).as_deref(), Ok("a.b.c"));
        }
    }

    #[test]
    fn no_entry_another_scheme_and_an_empty_credential_are_missing() {
        assert_eq!(read(&[]), Err(Refusal::TokenMissing));
        for entry in [
            &b""[..],
            b"Bearer",
            b"Bearer ",
            b"Bearer    ",
            b"Basic dTpw",
            b"a.b.c",
            b"Bearera.b.c",
            b"Bearer\ta.b.c",
            b"Bear",
            b" Bearer a.b.c",
            b"Token a.b.c",
            b"DPoP a.b.c",
            b"\xff\xfe",
        ] {
            assert_eq!(read(&[entry]), Err(Refusal::TokenMissing), "{entry:?}");
        }
    }

    #[test]
    fn two_entries_are_refused_whatever_they_are() {
        for other in [&b"Bearer a.b.c"[..], b"Basic dTpw", b""] {
            assert_eq!(read(&[b"Bearer a.b.c", other]), Err(Refusal::TokenInvalid));
            assert_eq!(read(&[other, b"Bearer a.b.c"]), Err(Refusal::TokenInvalid));
        }
    }

    #[test]
    fn a_second_space_and_foreign_bytes_are_invalid() {
        assert_eq!(read(&[b"Bearer  a.b.c"]), Err(Refusal::TokenInvalid));
        assert_eq!(read(&[b"Bearer a.b.\xff"]), Err(Refusal::TokenInvalid));
    }

    #[test]
    fn a_binary_entry_is_no_credential() {
        let mut metadata = MetadataMap::new();
        metadata.insert_bin(
            "authorization-bin",
            MetadataValue::from_bytes(b"Bearer a.b.c"),
        );
        assert_eq!(bearer_token(&metadata), Err(Refusal::TokenMissing));
    }
}
