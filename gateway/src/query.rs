//! Query parameters: the fields of a request that neither the path nor the body tells.

use crate::api::{Binding, Body};
use crate::json;
use crate::percent;
use crate::problem::{Faults, Problem, reason, shortened};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use std::collections::HashSet;

/// How deep a parameter's path may lead: a message may hold itself.
const MOST_DEPTH: usize = 16;

/// Sets what the query tells. All bad parameters are told together.
pub fn bind(request: &mut DynamicMessage, binding: &Binding, query: &str) -> Result<(), Problem> {
    let input = binding.method.input.clone();
    bind_by(request, query, |name| resolve(&input, binding, name))
}

/// The same for a message that nothing but the query tells.
pub(crate) fn bind_message(message: &mut DynamicMessage, query: &str) -> Result<(), Problem> {
    let descriptor = prost_reflect::ReflectMessage::descriptor(message);
    bind_by(message, query, |name| lead(&descriptor, name))
}

fn bind_by(
    request: &mut DynamicMessage,
    query: &str,
    resolve: impl Fn(&str) -> Result<Vec<FieldDescriptor>, Fault>,
) -> Result<(), Problem> {
    let mut faults = Faults::default();
    let mut given: HashSet<String> = HashSet::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Ok(name), Ok(value)) = (percent::query(name), percent::query(value)) else {
            faults.add(
                reason::FIELD_INVALID,
                shortened(name),
                "is not percent-encoded UTF-8",
            );
            continue;
        };
        let told = match resolve(&name) {
            Ok(path) => parameter(request, &path, &value, &mut given),
            Err(fault) => Err(fault),
        };
        if let Err((reason, description)) = told {
            faults.add(reason, shortened(&name), description);
        }
    }
    faults.finish()
}

/// The reason, and what it says of the parameter.
pub(crate) type Fault = (&'static str, String);

/// The fields that a parameter's name leads through, if a parameter may tell them.
fn resolve(
    input: &MessageDescriptor,
    binding: &Binding,
    name: &str,
) -> Result<Vec<FieldDescriptor>, Fault> {
    if binding.body == Body::Whole {
        return Err((
            reason::UNKNOWN_FIELD,
            "belongs into the body: this method takes no parameters".to_owned(),
        ));
    }
    let path = lead(input, name)?;
    if binding.path_fields.contains(&path) {
        return Err((reason::DUPLICATE_FIELD, "is told by the path".to_owned()));
    }
    if let (Body::Field(body), Some(first)) = (&binding.body, path.first())
        && body == first
    {
        return Err((reason::UNKNOWN_FIELD, "belongs into the body".to_owned()));
    }
    Ok(path)
}

/// The fields that a name leads through, by dots. The last one is told by a text.
pub(crate) fn lead(message: &MessageDescriptor, name: &str) -> Result<Vec<FieldDescriptor>, Fault> {
    let unknown = || {
        (
            reason::UNKNOWN_FIELD,
            "there is no such parameter".to_owned(),
        )
    };
    let mut message = Some(message.clone());
    let mut path: Vec<FieldDescriptor> = Vec::new();
    for part in name.splitn(MOST_DEPTH + 1, '.') {
        let descriptor = message.as_ref().ok_or_else(unknown)?;
        let field = descriptor
            .get_field_by_name(part)
            .or_else(|| descriptor.get_field_by_json_name(part))
            .ok_or_else(unknown)?;
        message = match field.kind() {
            Kind::Message(_) if field.is_map() => {
                return Err((
                    reason::FIELD_INVALID,
                    "cannot be told by a parameter".to_owned(),
                ));
            }
            Kind::Message(inner) if !field.is_list() && !json::is_told_as_text(&inner) => {
                Some(inner)
            }
            _ => None,
        };
        path.push(field);
    }
    if message.is_some() {
        return Err((
            reason::FIELD_INVALID,
            "is a message: name one of its fields".to_owned(),
        ));
    }
    Ok(path)
}

fn parameter(
    request: &mut DynamicMessage,
    path: &[FieldDescriptor],
    text: &str,
    given: &mut HashSet<String>,
) -> Result<(), Fault> {
    let Some(field) = path.last() else {
        return Ok(());
    };
    let full_path: Vec<&str> = path.iter().map(FieldDescriptor::name).collect();
    if !field.is_list() && !given.insert(full_path.join(".")) {
        return Err((reason::DUPLICATE_FIELD, "is given twice".to_owned()));
    }
    set(request, path, text)
}

/// Sets the field that a path leads to, from a text; a list gets one more item.
pub(crate) fn set(
    request: &mut DynamicMessage,
    path: &[FieldDescriptor],
    text: &str,
) -> Result<(), Fault> {
    const NOT_SO: &str = "cannot be told by a parameter";
    let refused = |description: &str| (reason::FIELD_INVALID, description.to_owned());
    let Some((field, outer)) = path.split_last() else {
        return Ok(());
    };
    let value = match field.kind() {
        Kind::Message(_) if field.is_list() => Err(NOT_SO),
        Kind::Message(message) => json::well_known_from_text(&message, text).map(Value::Message),
        kind => json::from_text(&kind, text),
    };
    let value = value.map_err(refused)?;
    if let Some(other) = rival(request, path) {
        return Err(refused(&format!("cannot be given beside {other}")));
    }
    let message = enter(request, outer).ok_or_else(|| refused(NOT_SO))?;
    if !field.is_list() {
        message.set_field(field, value);
    } else if let Some(list) = message.get_field_mut(field).as_list_mut() {
        list.push(value);
    }
    Ok(())
}

/// Another member of a oneof that the path enters, which is set already: setting this one would undo it.
pub(crate) fn rival(message: &DynamicMessage, path: &[FieldDescriptor]) -> Option<String> {
    let (field, inner) = path.split_first()?;
    let other = field.containing_oneof().and_then(|oneof| {
        oneof
            .fields()
            .find(|other| other != field && message.has_field(other))
    });
    if let Some(other) = other {
        return Some(other.name().to_owned());
    }
    match message.get_field(field).as_ref() {
        Value::Message(message) => rival(message, inner),
        _ => None,
    }
}

/// The message that the fields lead to, made where it is not there yet; `None` if one of them holds no message.
pub fn enter<'m>(
    mut message: &'m mut DynamicMessage,
    path: &[FieldDescriptor],
) -> Option<&'m mut DynamicMessage> {
    for field in path {
        message = message.get_field_mut(field).as_message_mut()?;
    }
    Some(message)
}
