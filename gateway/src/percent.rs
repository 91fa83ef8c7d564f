//! Percent-decoding (RFC 3986 section 2.1), as google/api/http.proto wants it of paths and as forms have it in queries.

use std::borrow::Cow;

/// A `%` without two hexadecimal digits after it, or octets that are not UTF-8 once decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not percent-encoded UTF-8")]
pub struct NotDecodable;

/// What an encoded slash becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slash {
    /// `%2F` becomes `/`: in one segment it cannot be mistaken for a separator.
    Decoded,
    /// `%2F` stays as it was sent: in a value of several segments it would be taken for a separator.
    Kept,
}

/// Decodes a piece of a path.
pub fn path(raw: &str, slash: Slash) -> Result<Cow<'_, str>, NotDecodable> {
    decode(raw, |octet| octet == b'/' && slash == Slash::Kept, false)
}

/// Decodes a name or a value of a query (`application/x-www-form-urlencoded`: `+` is a space).
pub fn query(raw: &str) -> Result<Cow<'_, str>, NotDecodable> {
    decode(raw, |_| false, true)
}

/// Encodes a value for one segment of a path: all but `[-_.~0-9a-zA-Z]`, and `/` too unless it is to be kept.
pub fn encode(value: &str, slash: Slash) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(value.len());
    for octet in value.bytes() {
        let plain = octet.is_ascii_alphanumeric() || b"-_.~".contains(&octet);
        if plain || (octet == b'/' && slash == Slash::Kept) {
            encoded.push(char::from(octet));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{octet:02X}");
        }
    }
    encoded
}

fn decode(
    raw: &str,
    keep: impl Fn(u8) -> bool,
    plus_is_space: bool,
) -> Result<Cow<'_, str>, NotDecodable> {
    if !raw
        .bytes()
        .any(|octet| octet == b'%' || (plus_is_space && octet == b'+'))
    {
        return Ok(Cow::Borrowed(raw));
    }
    let bytes = raw.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&octet) = bytes.get(at) {
        if octet == b'%' {
            let digits = bytes.get(at + 1..at + 3).ok_or(NotDecodable)?;
            let value = hexadecimal(digits[0])? << 4 | hexadecimal(digits[1])?;
            if keep(value) {
                decoded.extend_from_slice(&bytes[at..at + 3]);
            } else {
                decoded.push(value);
            }
            at += 3;
        } else {
            decoded.push(if plus_is_space && octet == b'+' {
                b' '
            } else {
                octet
            });
            at += 1;
        }
    }
    String::from_utf8(decoded)
        .map(Cow::Owned)
        .map_err(|_| NotDecodable)
}

fn hexadecimal(digit: u8) -> Result<u8, NotDecodable> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(NotDecodable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_is_decoded_as_http_proto_says() {
        let cases = [
            ("plain", Slash::Decoded, Ok("plain")),
            ("a%2Fb", Slash::Decoded, Ok("a/b")),
            ("a%2fb", Slash::Decoded, Ok("a/b")),
            ("a%2Fb%20c", Slash::Kept, Ok("a%2Fb c")),
            ("a%2fb", Slash::Kept, Ok("a%2fb")),
            ("%25zz", Slash::Decoded, Ok("%zz")),
            ("%252F", Slash::Decoded, Ok("%2F")),
            ("caf%C3%A9", Slash::Decoded, Ok("café")),
            ("a+b", Slash::Decoded, Ok("a+b")),
            ("%", Slash::Decoded, Err(NotDecodable)),
            ("%2", Slash::Decoded, Err(NotDecodable)),
            ("%zz", Slash::Decoded, Err(NotDecodable)),
            ("%+1", Slash::Decoded, Err(NotDecodable)),
            ("%C3", Slash::Decoded, Err(NotDecodable)),
            ("%ED%A0%80", Slash::Decoded, Err(NotDecodable)),
        ];
        for (raw, slash, expected) in cases {
            assert_eq!(
                path(raw, slash).as_deref(),
                expected.as_ref().copied(),
                "{raw}"
            );
        }
    }

    #[test]
    fn a_query_has_plus_for_a_space() {
        assert_eq!(query("a+b%2Bc").as_deref(), Ok("a b+c"));
        assert_eq!(query("a%zz"), Err(NotDecodable));
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(value in ".*") {
            let encoded = encode(&value, Slash::Decoded);
            prop_assert!(encoded.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.~%".contains(&octet)));
            prop_assert_eq!(path(&encoded, Slash::Decoded).unwrap(), value.as_str());
            prop_assert_eq!(query(&encoded).unwrap(), value.as_str());
        }

        #[test]
        fn any_text_is_decoded_or_refused(raw in ".*") {
            let _ = path(&raw, Slash::Kept);
            let _ = query(&raw);
        }
    }
}
