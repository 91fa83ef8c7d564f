//! Where a resource that was made is found: the `Location` of a 201.
//!
//! Looked up once, at start: a GET with one variable, answered with the resource's own type, whose variable is a field
//! that the resource has too (`GET /v1/products/{id}` and `Product.id`).

use crate::api::{Api, Binding};
use crate::template::Template;
use http::{Method as HttpMethod, StatusCode};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use std::collections::HashMap;

/// How the path of a resource is made from an answer.
#[derive(Debug)]
pub struct Location {
    /// The field of the answer that holds the resource, where the answer is not the resource itself.
    inside: Option<FieldDescriptor>,
    key: FieldDescriptor,
    template: Template,
}

/// For each method that answers 201, by its full name, where its resource is found.
pub fn locations(api: &Api) -> HashMap<String, Location> {
    let creating = api
        .bindings()
        .filter(|binding| binding.primary && binding.method.success == StatusCode::CREATED);
    creating
        .filter_map(|binding| {
            let location = locate(api, &binding.method.output)?;
            Some((binding.method.name.clone(), location))
        })
        .collect()
}

fn locate(api: &Api, answer: &MessageDescriptor) -> Option<Location> {
    if let Some((key, template)) = getter(api, answer) {
        return Some(Location {
            inside: None,
            key,
            template,
        });
    }
    answer.fields().find_map(|field| {
        let Kind::Message(resource) = field.kind() else {
            return None;
        };
        if field.is_list() || field.is_map() {
            return None;
        }
        let (key, template) = getter(api, &resource)?;
        Some(Location {
            inside: Some(field),
            key,
            template,
        })
    })
}

/// The GET that answers with this resource, and the field that it is found by.
fn getter(api: &Api, resource: &MessageDescriptor) -> Option<(FieldDescriptor, Template)> {
    let serves = |binding: &&std::sync::Arc<Binding>| {
        binding.verb == Some(HttpMethod::GET)
            && binding.method.output == *resource
            && !binding.method.gives_stream
            && binding.response_body.is_none()
    };
    api.bindings().filter(serves).find_map(|binding| {
        let [variable] = binding.path_fields.as_slice() else {
            return None;
        };
        let [variable] = variable.as_slice() else {
            return None;
        };
        let key = resource.get_field_by_name(variable.name())?;
        let same = key.kind() == variable.kind() && !key.is_list();
        let template = Template::parse(&binding.text).ok()?;
        same.then_some((key, template))
    })
}

impl Location {
    /// The path of the resource in this answer; `None` where it holds none.
    pub fn of(&self, answer: &DynamicMessage) -> Option<String> {
        let inner;
        let resource = match &self.inside {
            None => answer,
            Some(field) if answer.has_field(field) => {
                inner = answer.get_field(field);
                inner.as_message()?
            }
            Some(_) => return None,
        };
        if !resource.has_field(&self.key) {
            return None;
        }
        let key = match resource.get_field(&self.key).as_ref() {
            Value::String(text) => text.clone(),
            Value::I32(number) => number.to_string(),
            Value::I64(number) => number.to_string(),
            Value::U32(number) => number.to_string(),
            Value::U64(number) => number.to_string(),
            _ => return None,
        };
        self.template.expand(&[&key])
    }
}
