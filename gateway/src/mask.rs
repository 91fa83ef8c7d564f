//! A PATCH or PUT without a mask: the fields that the body names are the ones to change (AIP-134).

use crate::api::{Binding, Body};
use http::Method as HttpMethod;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};

const UPDATE_MASK: &str = "update_mask";
/// The revision says which state is to be changed; it is not itself changed.
const ETAG: &str = "etag";

/// Sets `update_mask` from the body's members, where the method takes one and the client sent none. What the path binds
/// and the `etag` say which resource is meant, and are left out.
pub fn fill(
    request: &mut DynamicMessage,
    binding: &Binding,
    method: &HttpMethod,
    members: &[String],
) {
    let Body::Field(body) = &binding.body else {
        return;
    };
    let Some(mask) = binding
        .method
        .input
        .get_field_by_name(UPDATE_MASK)
        .filter(is_mask)
    else {
        return;
    };
    if !matches!(*method, HttpMethod::PATCH | HttpMethod::PUT) || request.has_field(&mask) {
        return;
    }
    let bound: Vec<String> = binding
        .path_fields
        .iter()
        .filter(|path| path.first() == Some(body))
        .map(|path| {
            let inner: Vec<&str> = path.iter().skip(1).map(FieldDescriptor::name).collect();
            inner.join(".")
        })
        .collect();
    let paths: Vec<Value> = members
        .iter()
        .filter(|member| member.as_str() != ETAG && !bound.contains(member))
        .map(|member| Value::String(member.clone()))
        .collect();
    if paths.is_empty() {
        return;
    }
    if let Some(message) = request.get_field_mut(&mask).as_message_mut() {
        message.set_field_by_name("paths", Value::List(paths));
    }
}

fn is_mask(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(message) if message.full_name() == "google.protobuf.FieldMask")
        && !field.is_list()
}
