//! How numbers and bytes are written in these hashes.

use base64::Engine;
use base64::alphabet::{Alphabet, STANDARD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// A decimal number without a sign or a leading zero: one number has one spelling.
pub(super) fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'));
    plain.then(|| text.parse().ok())?
}

/// Lower or upper case hex.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

/// passlib's base64: `.` for `+`, no padding.
pub(super) fn adapted_base64(text: &str) -> Option<Vec<u8>> {
    let alphabet =
        Alphabet::new("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./").ok()?;
    decode(&alphabet, DecodePaddingMode::RequireNone, text)
}

/// Base64 as Django writes it: the standard alphabet with padding.
pub(super) fn padded_base64(text: &str) -> Option<Vec<u8>> {
    decode(&STANDARD, DecodePaddingMode::RequireCanonical, text)
}

fn decode(alphabet: &Alphabet, padding: DecodePaddingMode, text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(padding)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, config).decode(text).ok()
}
