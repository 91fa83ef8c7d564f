//! A protobuf message to JSON: proto names, 64-bit integers as strings, enums by name, default values written, messages
//! that are not set left out.

use super::reader::{Malformed, Reader};
use prost_reflect::{DynamicMessage, FieldDescriptor, SerializeOptions};

/// Writes a message. It fails only for what has no JSON, such as an Any of an unknown type.
pub fn encode(message: &DynamicMessage) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = Vec::with_capacity(512);
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut json), &options())?;
    Ok(json)
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
