//! Scalars and enums: the values of fields that hold no message.

use super::reader::number_length;
use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use prost_reflect::{Kind, MapKey, Value};

/// What a field wants that a text is not.
pub(super) type Expected = &'static str;

const INT32: Expected = "must be an integer from -2147483648 to 2147483647";
const INT64: Expected = "must be an integer from -9223372036854775808 to 9223372036854775807";
const UINT32: Expected = "must be an integer from 0 to 4294967295";
const UINT64: Expected = "must be an integer from 0 to 18446744073709551615";
const FLOAT: Expected = "must be a number";
const BOOL: Expected = "must be true or false";
const ENUM: Expected = "must be one of the names of its enum";
const BYTES: Expected = "must be base64";
const MESSAGE: Expected = "must be an object";

/// What a field of this kind wants, for a message to people.
pub(super) fn expected(kind: &Kind) -> Expected {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => INT32,
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => INT64,
        Kind::Uint32 | Kind::Fixed32 => UINT32,
        Kind::Uint64 | Kind::Fixed64 => UINT64,
        Kind::Double | Kind::Float => FLOAT,
        Kind::Bool => BOOL,
        Kind::String => "must be a string",
        Kind::Bytes => BYTES,
        Kind::Enum(_) => ENUM,
        Kind::Message(_) => MESSAGE,
    }
}

/// The value of a path variable or a query parameter: everything is text there.
pub fn from_text(kind: &Kind, text: &str) -> Result<Value, Expected> {
    match kind {
        Kind::Bool => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(BOOL),
        },
        Kind::Enum(descriptor) if descriptor.get_value_by_name(text).is_none() => {
            from_number(kind, text)
        }
        _ => from_string(kind, text),
    }
}

/// The value of a JSON string: 64-bit integers, floats, enums by name, and bytes are told so too.
pub(super) fn from_string(kind: &Kind, text: &str) -> Result<Value, Expected> {
    match kind {
        Kind::String => Ok(Value::String(text.to_owned())),
        Kind::Bytes => bytes(text).map(|bytes| Value::Bytes(bytes.into())),
        Kind::Enum(descriptor) => descriptor
            .get_value_by_name(text)
            .map(|value| Value::EnumNumber(value.number()))
            .ok_or(ENUM),
        Kind::Float => match text {
            "NaN" => Ok(Value::F32(f32::NAN)),
            "Infinity" => Ok(Value::F32(f32::INFINITY)),
            "-Infinity" => Ok(Value::F32(f32::NEG_INFINITY)),
            _ => number_in_string(kind, text),
        },
        Kind::Double => match text {
            "NaN" => Ok(Value::F64(f64::NAN)),
            "Infinity" => Ok(Value::F64(f64::INFINITY)),
            "-Infinity" => Ok(Value::F64(f64::NEG_INFINITY)),
            _ => number_in_string(kind, text),
        },
        Kind::Bool | Kind::Message(_) => Err(expected(kind)),
        _ => number_in_string(kind, text),
    }
}

fn number_in_string(kind: &Kind, text: &str) -> Result<Value, Expected> {
    if text.is_empty() || number_length(text) != text.len() {
        return Err(expected(kind));
    }
    from_number(kind, text)
}

/// The value of a JSON number, given as it is written: exact, however large.
pub(super) fn from_number(kind: &Kind, text: &str) -> Result<Value, Expected> {
    let wanted = expected(kind);
    match kind {
        // A float is read as one: rounded once, and by its own range.
        Kind::Float => {
            let value: f32 = text.parse().map_err(|_| FLOAT)?;
            finite(value.is_finite()).map(|()| Value::F32(value))
        }
        Kind::Double => {
            let value: f64 = text.parse().map_err(|_| FLOAT)?;
            finite(value.is_finite()).map(|()| Value::F64(value))
        }
        Kind::Bool | Kind::String | Kind::Bytes | Kind::Message(_) => Err(wanted),
        _ => {
            let value = integer(text).ok_or(wanted)?;
            match kind {
                Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => value.try_into().map(Value::I32),
                Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => value.try_into().map(Value::I64),
                Kind::Uint32 | Kind::Fixed32 => value.try_into().map(Value::U32),
                Kind::Uint64 | Kind::Fixed64 => value.try_into().map(Value::U64),
                // proto3 enums are open: a number without a name passes.
                _ => value.try_into().map(Value::EnumNumber),
            }
            .map_err(|_| wanted)
        }
    }
}

/// The key of a map: always a JSON string.
pub(super) fn map_key(kind: &Kind, text: &str) -> Result<MapKey, Expected> {
    from_text(kind, text)?
        .into_map_key()
        .ok_or("is not a key of this map")
}

fn finite(is_finite: bool) -> Result<(), Expected> {
    is_finite.then_some(()).ok_or("is out of range")
}

/// The integer that a JSON number is, exactly: `1.0` and `1e2` are integers too, `1.5` is none.
fn integer(text: &str) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => (true, mantissa),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = String::with_capacity(40);
    digits.push_str(whole.trim_start_matches('0'));
    digits.push_str(fraction);
    let mut scale = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    while scale < 0 && digits.ends_with('0') {
        digits.pop();
        scale += 1;
    }
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return (whole.chars().all(|c| c.is_ascii_digit()) && !whole.is_empty()).then_some(0);
    }
    // 20 digits hold every 64-bit integer.
    if scale < 0 || significant.len() > 20 || scale > 20 {
        return None;
    }
    let value = significant
        .parse::<i128>()
        .ok()?
        .checked_mul(10_i128.pow(scale.unsigned_abs()))?;
    Some(if negative { -value } else { value })
}

/// base64, standard or URL-safe, padded or not (the proto3 JSON mapping accepts all four).
fn bytes(text: &str) -> Result<Vec<u8>, Expected> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(false);
    let alphabet = if text.contains(['-', '_']) {
        &base64::alphabet::URL_SAFE
    } else {
        &base64::alphabet::STANDARD
    };
    let engine: GeneralPurpose = general_purpose::GeneralPurpose::new(alphabet, LENIENT);
    engine.decode(text).map_err(|_| BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact() {
        let cases = [
            (
                Kind::Int64,
                "9223372036854775807",
                Some(Value::I64(i64::MAX)),
            ),
            (
                Kind::Int64,
                "-9223372036854775808",
                Some(Value::I64(i64::MIN)),
            ),
            (Kind::Int64, "9223372036854775808", None),
            (
                Kind::Int64,
                "9007199254740993",
                Some(Value::I64(9_007_199_254_740_993)),
            ),
            (Kind::Int64, "1e2", Some(Value::I64(100))),
            (Kind::Int64, "1.50e1", Some(Value::I64(15))),
            (Kind::Int64, "0e99999", Some(Value::I64(0))),
            (Kind::Int64, "1e99999999999", None),
            (Kind::Int64, "-0", Some(Value::I64(0))),
            (Kind::Int64, "1.5", None),
            (Kind::Int64, "1e-1", None),
            (
                Kind::Uint64,
                "18446744073709551615",
                Some(Value::U64(u64::MAX)),
            ),
            (Kind::Uint64, "-1", None),
            (Kind::Uint64, "18446744073709551616", None),
            (Kind::Int32, "2147483648", None),
            (Kind::Uint32, "4294967295", Some(Value::U32(u32::MAX))),
            (Kind::Double, "1e400", None),
            (Kind::Double, "1.5", Some(Value::F64(1.5))),
            (
                Kind::Double,
                "1.7976931348623157e308",
                Some(Value::F64(f64::MAX)),
            ),
            (Kind::Float, "3.5e38", None),
            // As it is written, it is a little more than the largest float, and nearest to it.
            (Kind::Float, "3.4028235e38", Some(Value::F32(f32::MAX))),
            (Kind::Float, "-3.4028235e38", Some(Value::F32(f32::MIN))),
            (Kind::Float, "1e-60", Some(Value::F32(0.0))),
            (Kind::String, "1", None),
            (Kind::Bool, "1", None),
        ];
        for (kind, text, expected) in cases {
            assert_eq!(from_number(&kind, text).ok(), expected, "{kind:?} {text}");
        }
    }

    #[test]
    fn texts_become_values() {
        let cases = [
            (Kind::Int64, "7", Some(Value::I64(7))),
            (Kind::Int64, "", None),
            (Kind::Int64, "+7", None),
            (Kind::Int64, " 7", None),
            (Kind::Int64, "7x", None),
            (Kind::Int64, "07", None),
            (Kind::Int64, "0x7", None),
            (Kind::Int64, "NaN", None),
            (Kind::Int64, "٧", None),
            (Kind::Double, "NaN", Some(Value::F64(f64::NAN))),
            (Kind::Double, "inf", None),
            (
                Kind::Double,
                "-Infinity",
                Some(Value::F64(f64::NEG_INFINITY)),
            ),
            (Kind::Bool, "true", Some(Value::Bool(true))),
            (Kind::Bool, "1", None),
            (Kind::Bool, "True", None),
            (Kind::Bool, "", None),
            (Kind::String, "", Some(Value::String(String::new()))),
            (
                Kind::Bytes,
                "_-8=",
                Some(Value::Bytes(vec![0xff, 0xef].into())),
            ),
            (
                Kind::Bytes,
                "/+8",
                Some(Value::Bytes(vec![0xff, 0xef].into())),
            ),
            (Kind::Bytes, "a", None),
            (Kind::Bytes, "_+8=", None),
        ];
        for (kind, text, expected) in cases {
            let found = from_text(&kind, text).ok();
            match (&found, &expected) {
                (Some(Value::F64(a)), Some(Value::F64(b))) if a.is_nan() && b.is_nan() => {}
                _ => assert_eq!(found, expected, "{kind:?} {text:?}"),
            }
        }
    }
}
