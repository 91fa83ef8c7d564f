//! A protobuf message to JSON: proto names, 64-bit integers as strings, enums by name, default values written, messages
//! that are not set left out.

use super::reader::{Malformed, Reader};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, ReflectMessage as _,
    SerializeOptions, Value,
};
use serde::Serialize;

/// Writes a message. It fails only for what has no JSON, such as an Any of an unknown type.
pub fn encode(message: &DynamicMessage) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = Vec::with_capacity(512);
    write_message(&mut json, message)?;
    Ok(json)
}

/// prost-reflect writes all that this does, at more cost. It is left what has a JSON of its own (Timestamp, Struct, Any and
/// the like) and what may have extensions.
fn write_message(json: &mut Vec<u8>, message: &DynamicMessage) -> Result<(), serde_json::Error> {
    let descriptor = message.descriptor();
    if descriptor.full_name().starts_with("google.protobuf.")
        || descriptor.extension_ranges().next().is_some()
    {
        return message.serialize_with_options(&mut serde_json::Serializer::new(json), &options());
    }
    json.push(b'{');
    let mut first = true;
    for field in descriptor.fields() {
        if field.supports_presence() && !message.has_field(&field) {
            continue;
        }
        comma(json, &mut first);
        // A proto name has nothing to escape.
        json.push(b'"');
        json.extend_from_slice(field.name().as_bytes());
        json.extend_from_slice(b"\":");
        write_value(json, &message.get_field(&field), &field.kind())?;
    }
    json.push(b'}');
    Ok(())
}

fn write_value(json: &mut Vec<u8>, value: &Value, kind: &Kind) -> Result<(), serde_json::Error> {
    match value {
        Value::Bool(value) => serde_json::to_writer(json, value),
        Value::I32(value) => serde_json::to_writer(json, value),
        Value::U32(value) => serde_json::to_writer(json, value),
        Value::I64(value) => quoted(json, value),
        Value::U64(value) => quoted(json, value),
        Value::F32(value) if value.is_finite() => serde_json::to_writer(json, value),
        Value::F64(value) if value.is_finite() => serde_json::to_writer(json, value),
        Value::F32(value) => serde_json::to_writer(json, not_finite(f64::from(*value))),
        Value::F64(value) => serde_json::to_writer(json, not_finite(*value)),
        Value::String(value) => serde_json::to_writer(json, value),
        Value::Bytes(value) => serde_json::to_writer(json, &STANDARD.encode(value)),
        Value::EnumNumber(number) => write_enum(json, *number, kind.as_enum()),
        Value::Message(message) => write_message(json, message),
        Value::List(values) => {
            json.push(b'[');
            let mut first = true;
            for value in values {
                comma(json, &mut first);
                write_value(json, value, kind)?;
            }
            json.push(b']');
            Ok(())
        }
        Value::Map(entries) => {
            let of_values = kind
                .as_message()
                .map(|entry| entry.map_entry_value_field().kind());
            let of_values = of_values.as_ref().unwrap_or(kind);
            json.push(b'{');
            let mut first = true;
            for (key, value) in entries {
                comma(json, &mut first);
                write_key(json, key)?;
                json.push(b':');
                write_value(json, value, of_values)?;
            }
            json.push(b'}');
            Ok(())
        }
    }
}

fn write_enum(
    json: &mut Vec<u8>,
    number: i32,
    descriptor: Option<&EnumDescriptor>,
) -> Result<(), serde_json::Error> {
    if descriptor.is_some_and(|known| known.full_name() == "google.protobuf.NullValue") {
        return serde_json::to_writer(json, &());
    }
    match descriptor.and_then(|known| known.get_value(number)) {
        Some(value) => serde_json::to_writer(json, value.name()),
        None => serde_json::to_writer(json, &number),
    }
}

fn write_key(json: &mut Vec<u8>, key: &MapKey) -> Result<(), serde_json::Error> {
    match key {
        MapKey::Bool(key) => quoted(json, key),
        MapKey::I32(key) => quoted(json, key),
        MapKey::I64(key) => quoted(json, key),
        MapKey::U32(key) => quoted(json, key),
        MapKey::U64(key) => quoted(json, key),
        MapKey::String(key) => serde_json::to_writer(json, key),
    }
}

fn quoted(json: &mut Vec<u8>, value: &impl Serialize) -> Result<(), serde_json::Error> {
    json.push(b'"');
    serde_json::to_writer(&mut *json, value)?;
    json.push(b'"');
    Ok(())
}

fn not_finite(value: f64) -> &'static str {
    match value {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

fn comma(json: &mut Vec<u8>, first: &mut bool) {
    if !std::mem::take(first) {
        json.push(b',');
    }
}

/// Writes one field of a message: what `response_body` names, `null` where it is not set.
pub fn encode_field(
    message: &DynamicMessage,
    field: &FieldDescriptor,
) -> Result<Vec<u8>, serde_json::Error> {
    let whole = encode(message)?;
    let found = part(&whole, field.name()).map_err(serde::de::Error::custom)?;
    Ok(found.unwrap_or(b"null").to_vec())
}

/// The text of a member, as it stands in the text of the whole.
fn part<'a>(whole: &'a [u8], name: &str) -> Result<Option<&'a [u8]>, Malformed> {
    let mut reader = Reader::new(whole)?;
    reader.enter()?;
    let mut first = true;
    while let Some(found) = reader.member(first)? {
        first = false;
        let value = reader.skip()?;
        if found == name {
            return Ok(Some(value.as_bytes()));
        }
    }
    Ok(None)
}

fn options() -> SerializeOptions {
    SerializeOptions::new()
        .use_proto_field_name(true)
        .stringify_64_bit_integers(true)
        .use_enum_numbers(false)
        .skip_default_fields(false)
}
