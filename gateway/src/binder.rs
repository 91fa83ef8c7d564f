//! A request: its path, query, body and headers put together into the message that the method takes.

use crate::api::{Binding, Body};
use crate::json::{self, Target};
use crate::mask;
use crate::preconditions::Preconditions;
use crate::problem::{Faults, Problem, reason};
use crate::query;
use crate::raw;
use http::Method as HttpMethod;
use prost_reflect::{DynamicMessage, FieldDescriptor, Value};

/// The parts of a request that make its message.
#[derive(Debug)]
pub struct Parts<'r> {
    /// How it was sent.
    pub method: &'r HttpMethod,
    /// The values of the template's variables.
    pub path_values: &'r [String],
    /// What stands after the `?`, still encoded.
    pub query: &'r str,
    /// The body; empty where there is none.
    pub body: &'r [u8],
    /// What it says that it is: looked at where it is taken as it is.
    pub media_type: &'r str,
    /// What the headers ask for.
    pub preconditions: &'r Preconditions,
}

/// Makes the message. All faults of the first part that has any are told together.
pub fn bind(binding: &Binding, parts: &Parts<'_>) -> Result<DynamicMessage, Problem> {
    let input = &binding.method.input;
    let mut request = DynamicMessage::new(input.clone());
    let target = match &binding.body {
        Body::None => None,
        Body::Whole => Some(Target::Message(input)),
        Body::Field(field) => Some(Target::Field(field)),
    };
    let mut members = Vec::new();
    if raw::is_taken(binding) {
        take(&mut request, binding, parts);
    } else if let Some(target) = target.filter(|_| !parts.body.is_empty()) {
        let decoded = json::decode(parts.body, target)?;
        members = decoded.members;
        match (target, decoded.value) {
            (Target::Message(_), Some(Value::Message(message))) => request = message,
            (Target::Field(field), Some(value)) => request.set_field(field, value),
            // `null` is no value: as if nothing was sent.
            _ => {}
        }
    }
    query::bind(&mut request, binding, parts.query)?;
    bind_path(&mut request, binding, parts.path_values)?;
    parts
        .preconditions
        .apply(&mut request, binding, parts.method)?;
    mask::fill(&mut request, binding, parts.method, &members);
    Ok(request)
}

/// Takes the body as it is: the whole request, or a field of it.
fn take(request: &mut DynamicMessage, binding: &Binding, parts: &Parts<'_>) {
    let whole = |descriptor| raw::message(descriptor, parts.media_type, parts.body);
    match &binding.body {
        Body::None => {}
        Body::Whole => *request = whole(&binding.method.input),
        Body::Field(field) => {
            if let Some(descriptor) = field.kind().as_message() {
                request.set_field(field, Value::Message(whole(descriptor)));
            }
        }
    }
}

/// Sets what the path tells. A body that tells something else is refused: the request contradicts itself.
pub(crate) fn bind_path(
    request: &mut DynamicMessage,
    binding: &Binding,
    values: &[String],
) -> Result<(), Problem> {
    let mut faults = Faults::default();
    for (path, text) in binding.path_fields.iter().zip(values) {
        let name = || {
            let names: Vec<&str> = path.iter().map(FieldDescriptor::name).collect();
            names.join(".")
        };
        let Some((field, outer)) = path.split_last() else {
            continue;
        };
        let value = match json::from_text(&field.kind(), text) {
            Ok(value) => value,
            Err(expected) => {
                faults.add(reason::FIELD_INVALID, name(), expected);
                continue;
            }
        };
        if let Some(other) = query::rival(request, path) {
            let description = format!("cannot be given beside {other}");
            faults.add(reason::FIELD_INVALID, name(), description);
            continue;
        }
        let Some(message) = query::enter(request, outer) else {
            continue;
        };
        if message.has_field(field) && *message.get_field(field) != value {
            faults.add(
                reason::FIELD_INVALID,
                name(),
                "is told differently by the path and by the body",
            );
        }
        message.set_field(field, value);
    }
    faults.finish()
}
