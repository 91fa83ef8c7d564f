//! google.protobuf.Struct, ListValue and Value: JSON as a message.

use super::decode::{Decoder, Stop};
use super::reader::Kind as Json;
use crate::problem::reason;
use prost_reflect::{DynamicMessage, Kind, MapKey, MessageDescriptor, Value};
use std::collections::HashMap;

/// Reads one of the three; `None` where the value is not of its kind.
pub(super) fn read(
    decoder: &mut Decoder<'_>,
    descriptor: &MessageDescriptor,
) -> Result<Option<DynamicMessage>, Stop> {
    match (descriptor.full_name(), decoder.reader.peek()?) {
        ("google.protobuf.Struct", Json::Object) => object(decoder, descriptor).map(Some),
        ("google.protobuf.ListValue", Json::Array) => array(decoder, descriptor).map(Some),
        ("google.protobuf.Value", _) => value(decoder, descriptor).map(Some),
        ("google.protobuf.Struct", _) => decoder.unexpected("must be an object"),
        _ => decoder.unexpected("must be an array"),
    }
}

fn value(
    decoder: &mut Decoder<'_>,
    descriptor: &MessageDescriptor,
) -> Result<DynamicMessage, Stop> {
    decoder.count()?;
    let (name, value) = match decoder.reader.peek()? {
        Json::Null => {
            decoder.reader.literal("null")?;
            ("null_value", Value::EnumNumber(0))
        }
        Json::True => {
            decoder.reader.literal("true")?;
            ("bool_value", Value::Bool(true))
        }
        Json::False => {
            decoder.reader.literal("false")?;
            ("bool_value", Value::Bool(false))
        }
        Json::Number => {
            let text = decoder.reader.number()?;
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            let number = number.ok_or_else(|| decoder.reader.fault("a number out of range"))?;
            ("number_value", Value::F64(number))
        }
        Json::String => {
            let text = decoder.reader.string()?.into_owned();
            ("string_value", Value::String(text))
        }
        Json::Object => {
            let inner = part(decoder, descriptor, "struct_value")?;
            ("struct_value", Value::Message(object(decoder, &inner)?))
        }
        Json::Array => {
            let inner = part(decoder, descriptor, "list_value")?;
            ("list_value", Value::Message(array(decoder, &inner)?))
        }
    };
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_name(name, value);
    Ok(message)
}

fn object(
    decoder: &mut Decoder<'_>,
    descriptor: &MessageDescriptor,
) -> Result<DynamicMessage, Stop> {
    let entry = part(decoder, descriptor, "fields")?;
    let value_type = part(decoder, &entry, "value")?;
    let mut fields = HashMap::new();
    decoder.reader.enter()?;
    let mut first = true;
    while let Some(name) = decoder.reader.member(first)? {
        first = false;
        let key = MapKey::String(name.clone().into_owned());
        let inner = decoder.at_key(&name, |decoder| {
            if fields.contains_key(&key) {
                return decoder.refuse(reason::DUPLICATE_FIELD, "is given twice");
            }
            value(decoder, &value_type).map(Some)
        })?;
        if let Some(inner) = inner {
            fields.insert(key, Value::Message(inner));
        }
    }
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_name("fields", Value::Map(fields));
    Ok(message)
}

fn array(
    decoder: &mut Decoder<'_>,
    descriptor: &MessageDescriptor,
) -> Result<DynamicMessage, Stop> {
    let value_type = part(decoder, descriptor, "values")?;
    let mut values = Vec::new();
    decoder.reader.enter()?;
    while decoder.reader.element(values.is_empty())? {
        values.push(Value::Message(value(decoder, &value_type)?));
    }
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_name("values", Value::List(values));
    Ok(message)
}

/// The message type of a field of the three. They are fixed, so that only a broken descriptor set lacks one.
fn part(
    decoder: &Decoder<'_>,
    descriptor: &MessageDescriptor,
    name: &str,
) -> Result<MessageDescriptor, Stop> {
    let field = descriptor.get_field_by_name(name);
    match field.map(|field| field.kind()) {
        Some(Kind::Message(message)) => Ok(message),
        _ => Err(decoder
            .reader
            .fault("a value that this service cannot take")
            .into()),
    }
}
