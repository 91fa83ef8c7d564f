//! The messages of google.protobuf that JSON tells as one text or value instead of an object.

use super::scalar::{self, Expected};
use prost_reflect::{DynamicMessage, MessageDescriptor, Value};

const TIMESTAMP: Expected = "must be a time as RFC 3339 has it, such as 2026-01-31T12:30:00Z";
const DURATION: Expected = "must be seconds followed by `s`, such as 1.5s";

/// Whether JSON tells this message as a text, a number or a boolean: Timestamp, Duration, FieldMask and the wrappers.
pub fn is_told_as_text(message: &MessageDescriptor) -> bool {
    matches!(
        message.full_name(),
        "google.protobuf.Timestamp" | "google.protobuf.Duration" | "google.protobuf.FieldMask"
    ) || is_wrapper(message)
}

/// Whether this is one of `google.protobuf.Int64Value` and its like.
pub(super) fn is_wrapper(message: &MessageDescriptor) -> bool {
    matches!(
        message.full_name(),
        "google.protobuf.DoubleValue"
            | "google.protobuf.FloatValue"
            | "google.protobuf.Int64Value"
            | "google.protobuf.UInt64Value"
            | "google.protobuf.Int32Value"
            | "google.protobuf.UInt32Value"
            | "google.protobuf.BoolValue"
            | "google.protobuf.StringValue"
            | "google.protobuf.BytesValue"
    )
}

/// The message that a text tells, in a query as in a JSON string.
pub fn from_text(message: &MessageDescriptor, text: &str) -> Result<DynamicMessage, Expected> {
    let mut value = DynamicMessage::new(message.clone());
    match message.full_name() {
        "google.protobuf.Timestamp" => {
            let (seconds, nanos) = timestamp(text).ok_or(TIMESTAMP)?;
            seconds_and_nanos(&mut value, seconds, nanos);
        }
        "google.protobuf.Duration" => {
            let (seconds, nanos) = duration(text).ok_or(DURATION)?;
            seconds_and_nanos(&mut value, seconds, nanos);
        }
        "google.protobuf.FieldMask" => {
            let paths = text
                .split(',')
                .filter(|path| !path.is_empty())
                .map(|path| mask_path(path).map(Value::String))
                .collect::<Option<Vec<_>>>()
                .ok_or("must be names of fields, separated by commas")?;
            value.set_field_by_name("paths", Value::List(paths));
        }
        _ => {
            let field = message
                .get_field_by_name("value")
                .ok_or("must be an object")?;
            value.set_field(&field, scalar::from_text(&field.kind(), text)?);
        }
    }
    Ok(value)
}

fn seconds_and_nanos(message: &mut DynamicMessage, seconds: i64, nanos: i32) {
    message.set_field_by_name("seconds", Value::I64(seconds));
    message.set_field_by_name("nanos", Value::I32(nanos));
}

/// One path of a mask, in lowerCamelCase as the JSON mapping has it or in snake_case as protos have it.
fn mask_path(path: &str) -> Option<String> {
    let mut snake = String::with_capacity(path.len() + 4);
    for character in path.chars() {
        match character {
            'A'..='Z' => {
                snake.push('_');
                snake.push(character.to_ascii_lowercase());
            }
            'a'..='z' | '0'..='9' | '_' | '.' | '*' => snake.push(character),
            _ => return None,
        }
    }
    Some(snake)
}

/// RFC 3339, `T` and `Z` in either case, any offset, at most nine digits of a fraction, years 1 to 9999.
fn timestamp(text: &str) -> Option<(i64, i32)> {
    let bytes = text.as_bytes();
    if !text.is_ascii() || bytes.len() < 20 {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits
            .bytes()
            .all(|digit| digit.is_ascii_digit())
            .then(|| digits.parse().ok())
            .flatten()
    };
    let punctuation = [
        (4, b"--"),
        (7, b"--"),
        (10, b"Tt"),
        (13, b"::"),
        (16, b"::"),
    ];
    if punctuation
        .iter()
        .any(|(at, either)| !either.contains(&bytes[*at]))
    {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1 || day < 1 || day > days || hour > 23 || minute > 59 || second > 59 {
        return None;
    }

    let mut rest = &text[19..];
    let mut nanos = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction.find(|c: char| !c.is_ascii_digit())?;
        nanos = fraction_of_second(&fraction[..end])?;
        rest = &fraction[end..];
    }
    let offset = match rest {
        "Z" | "z" => 0,
        _ if rest.len() == 6 && rest.as_bytes()[3] == b':' => {
            let at = text.len() - 6;
            let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            match rest.as_bytes()[0] {
                b'+' => hours * 3600 + minutes * 60,
                b'-' => -(hours * 3600 + minutes * 60),
                _ => return None,
            }
        }
        _ => return None,
    };
    let seconds =
        days_since_epoch(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    (-62_135_596_800..=253_402_300_799)
        .contains(&seconds)
        .then_some((seconds, nanos))
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar: the year is counted from March, so that a leap day ends it.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    365 * year + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + day - 1 - 719_468
}

fn fraction_of_second(digits: &str) -> Option<i32> {
    if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|digit| digit.is_ascii_digit())
    {
        return None;
    }
    format!("{digits:0<9}").parse().ok()
}

/// Seconds with at most nine digits of a fraction, within 315576000000 (about 10000 years).
fn duration(text: &str) -> Option<(i64, i32)> {
    let text = text.strip_suffix('s')?;
    let (negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let (seconds, fraction) = match text.split_once('.') {
        Some((seconds, fraction)) => (seconds, fraction_of_second(fraction)?),
        None => (text, 0),
    };
    if seconds.is_empty() || !seconds.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = seconds.parse().ok()?;
    if seconds > 315_576_000_000 {
        return None;
    }
    Some(if negative {
        (-seconds, -fraction)
    } else {
        (seconds, fraction)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_by_rfc_3339() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some((0, 0))),
            ("1969-12-31T23:59:59.5Z", Some((-1, 500_000_000))),
            ("2000-02-29T12:00:00Z", Some((951_825_600, 0))),
            ("2026-11-20T10:00:00+01:00", Some((1_795_165_200, 0))),
            ("2026-11-20t09:00:00.000000001z", Some((1_795_165_200, 1))),
            ("0001-01-01T00:00:00Z", Some((-62_135_596_800, 0))),
            (
                "9999-12-31T23:59:59.999999999Z",
                Some((253_402_300_799, 999_999_999)),
            ),
            ("9999-12-31T23:59:59-01:00", None),
            ("0000-01-01T00:00:00Z", None),
            ("1900-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-01-32T00:00:00Z", None),
            ("2026-01-01T24:00:00Z", None),
            ("2026-01-01T00:00:60Z", None),
            ("2026-01-01 00:00:00Z", None),
            ("2026-01-01T00:00:00", None),
            ("2026-01-01T00:00:00.Z", None),
            ("2026-01-01T00:00:00.1234567890Z", None),
            ("2026-01-01T00:00:00+24:00", None),
            ("2026-01-01T00:00:00+0100", None),
            ("+026-01-01T00:00:00Z", None),
            ("2026-01-01", None),
            ("", None),
            ("２０２６-01-01T00:00:00Z", None),
        ];
        for (text, expected) in cases {
            assert_eq!(timestamp(text), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_read() {
        let cases = [
            ("1s", Some((1, 0))),
            ("-1.5s", Some((-1, -500_000_000))),
            ("0.000000001s", Some((0, 1))),
            ("315576000000s", Some((315_576_000_000, 0))),
            ("315576000001s", None),
            ("1", None),
            ("s", None),
            (".5s", None),
            ("1.s", None),
            ("--1s", None),
            ("+1s", None),
            ("1.0000000001s", None),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn masks_are_read_in_both_spellings() {
        let cases = [
            ("unitPrice", Some("unit_price")),
            ("unit_price", Some("unit_price")),
            ("a.bC.d", Some("a.b_c.d")),
            ("*", Some("*")),
            ("a b", None),
            ("a;b", None),
        ];
        for (text, expected) in cases {
            assert_eq!(mask_path(text).as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_refused(text in "[0-9TZ:.+-]*|.*") {
            let _ = timestamp(&text);
            let _ = duration(&text);
        }
    }
}
