//! A protobuf message to JSON: proto names, 64-bit integers as strings, enums by name, default values written, messages
//! that are not set left out.

use prost_reflect::{DynamicMessage, FieldDescriptor, SerializeOptions};

/// Writes a message. It fails only for what has no JSON, such as an Any of an unknown type.
pub fn encode(message: &DynamicMessage) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = Vec::with_capacity(512);
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut json), &options())?;
    Ok(json)
}

/// Writes one field of a message: what `response_body` names.
pub fn encode_field(
    message: &DynamicMessage,
    field: &FieldDescriptor,
) -> Result<Vec<u8>, serde_json::Error> {
    let object = message.serialize_with_options(serde_json::value::Serializer, &options())?;
    serde_json::to_vec(&object.get(field.name()))
}

fn options() -> SerializeOptions {
    SerializeOptions::new()
        .use_proto_field_name(true)
        .stringify_64_bit_integers(true)
        .use_enum_numbers(false)
        .skip_default_fields(false)
}
