//! google.protobuf.Any: a message that names its type in the text.

use super::decode::{Decoder, Stop};
use super::reader::Kind as Json;
use super::wellknown;
use crate::problem::reason;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, Value};

const TYPE: &str = "@type";
const VALUE: &str = "value";

/// Reads one; `None` where it is none.
pub(super) fn read(
    decoder: &mut Decoder<'_>,
    descriptor: &MessageDescriptor,
) -> Result<Option<DynamicMessage>, Stop> {
    const EXPECTED: &str = "must be an object with its type's name in `@type`, such as type.googleapis.com/package.Message";
    if decoder.reader.peek()? != Json::Object {
        return decoder.unexpected(EXPECTED);
    }
    let Some(url) = type_url(decoder)?.filter(|url| url.contains('/')) else {
        decoder.reader.skip()?;
        return Ok(decoder.take(Err(EXPECTED)));
    };
    let name = url.rsplit('/').next().unwrap_or_default();
    let Some(inner) = descriptor.parent_pool().get_message_by_name(name) else {
        decoder.reader.skip()?;
        return Ok(decoder.take(Err("has a type in `@type` that is not known here")));
    };
    let message = match has_json_of_its_own(&inner) {
        true => in_value(decoder, &inner)?,
        false => decoder.object(&inner, Some(TYPE))?,
    };
    Ok(message.map(|message| {
        let mut any = DynamicMessage::new(descriptor.clone());
        any.set_field_by_name("type_url", Value::String(url));
        any.set_field_by_name(VALUE, Value::Bytes(message.encode_to_vec().into()));
        any
    }))
}

/// A message that stands in the member `value`, the only one besides `@type`.
fn in_value(
    decoder: &mut Decoder<'_>,
    descriptor: &MessageDescriptor,
) -> Result<Option<DynamicMessage>, Stop> {
    let mut found = None;
    let mut is_there = false;
    decoder.reader.enter()?;
    let mut first = true;
    while let Some(name) = decoder.reader.member(first)? {
        first = false;
        if name == TYPE {
            decoder.reader.skip()?;
            continue;
        }
        let is_known = name == VALUE;
        let twice = is_known && std::mem::replace(&mut is_there, true);
        let value = decoder.at_key(&name, |decoder| match (is_known, twice) {
            (true, false) => decoder.message(descriptor),
            (true, true) => decoder.refuse(reason::DUPLICATE_FIELD, "is given twice"),
            (false, _) => decoder.refuse(reason::UNKNOWN_FIELD, "there is no such field"),
        })?;
        found = value.or(found);
    }
    if !is_there {
        return Ok(decoder.take(Err("must have a member `value` beside `@type`")));
    }
    Ok(found)
}

/// What `@type` says, wherever in the object it stands; `None` where it is not one text.
fn type_url(decoder: &Decoder<'_>) -> Result<Option<String>, Stop> {
    let mut ahead = decoder.reader.clone();
    let mut found = None;
    let mut first = true;
    ahead.enter()?;
    while let Some(name) = ahead.member(first)? {
        first = false;
        if name == TYPE && found.is_none() && ahead.peek()? == Json::String {
            found = Some(ahead.string()?.into_owned());
        } else if name == TYPE {
            return Ok(None);
        } else {
            ahead.skip()?;
        }
    }
    Ok(found)
}

/// Whether the JSON of a message is no object of its fields; then it stands in a member `value` of the Any.
fn has_json_of_its_own(message: &MessageDescriptor) -> bool {
    let others = ["Any", "Struct", "Value", "ListValue"];
    let name = message.full_name().strip_prefix("google.protobuf.");
    wellknown::is_told_as_text(message) || name.is_some_and(|name| others.contains(&name))
}
