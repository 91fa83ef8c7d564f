//! The parameters of an operation: what stands in the path, in the query and in headers.

use super::example;
use super::path::Path;
use super::schema::{Behavior, Schemas, Side, behaves, is_told};
use crate::api::{Binding, Body};
use crate::csv::Shape;
use crate::json::is_told_as_text;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Value, json};

/// How far messages in a query are followed into each other: a message may hold itself.
const DEEPEST: usize = 3;

/// The path's, by the names that they have in the document.
pub(super) fn of_path(path: &Path<'_>, names: &[String], schemas: &mut Schemas<'_>) -> Vec<Value> {
    let parameters = path.parameters.iter().zip(names);
    parameters
        .map(|(parameter, name)| {
            let (mut schema, example) = match parameter.field.filter(|_| parameter.whole) {
                Some(field) => (
                    schemas.field(field, Side::Request),
                    example::value(field, Side::Request, 0).unwrap_or_default(),
                ),
                None => (json!({"type": "string", "minLength": 1}), json!("a")),
            };
            let mut description = take_description(&mut schema);
            if parameter.rest {
                description += " May hold slashes.";
            }
            json!({
                "name": name,
                "in": "path",
                "required": true,
                "description": description.trim(),
                "schema": schema,
                "example": example,
            })
        })
        .collect()
}

/// The query's: every field that neither the path nor the body tells.
pub(super) fn of_query(binding: &Binding, schemas: &mut Schemas<'_>) -> Vec<Value> {
    let mut found = Vec::new();
    let first = binding
        .method
        .takes_stream
        .then(|| Shape::of(binding)?.first);
    if let Some(first) = first.flatten() {
        // With CSV, what comes before the rows stands in the query; a line of JSON says it itself.
        if let Some(message) = first.kind().as_message() {
            collect(binding, message, &mut Vec::new(), schemas, &mut found);
        }
        for parameter in &mut found {
            let description = parameter["description"].as_str().unwrap_or_default();
            parameter["description"] = json!(format!("{description} With `text/csv` only."));
            parameter["required"] = json!(false);
        }
    } else if binding.body != Body::Whole {
        collect(
            binding,
            &binding.method.input,
            &mut Vec::new(),
            schemas,
            &mut found,
        );
    }
    found
}

fn collect(
    binding: &Binding,
    message: &MessageDescriptor,
    outer: &mut Vec<FieldDescriptor>,
    schemas: &mut Schemas<'_>,
    found: &mut Vec<Value>,
) {
    for field in message.fields() {
        let is_body = outer.is_empty() && binding.body == Body::Field(field.clone());
        if is_body || field.is_map() || !is_told(&field, Side::Request) {
            continue;
        }
        outer.push(field.clone());
        if !binding.path_fields.contains(outer) {
            match field.kind() {
                Kind::Message(inner) if !is_told_as_text(&inner) => {
                    if !field.is_list() && outer.len() < DEEPEST {
                        collect(binding, &inner, outer, schemas, found);
                    }
                }
                Kind::Message(_) if field.is_list() => {}
                _ => found.push(query_parameter(outer, &field, schemas)),
            }
        }
        outer.pop();
    }
}

fn query_parameter(
    path: &[FieldDescriptor],
    field: &FieldDescriptor,
    schemas: &mut Schemas<'_>,
) -> Value {
    let names: Vec<&str> = path.iter().map(FieldDescriptor::name).collect();
    let mut schema = schemas.field(field, Side::Request);
    let description = take_description(&mut schema);
    let required = path.iter().all(|field| behaves(field, Behavior::Required));
    let mut parameter = json!({
        "name": names.join("."),
        "in": "query",
        "required": required,
        "description": description,
        "schema": schema,
    });
    if required && let Some(example) = example::value(field, Side::Request, 0) {
        parameter["example"] = example;
    }
    parameter
}

/// The headers that become fields of the request.
pub(super) fn of_headers(binding: &Binding) -> Vec<Value> {
    let mut found = Vec::new();
    if takes_if_match(binding) {
        found.push(json!({"$ref": "#/components/parameters/IfMatch"}));
    }
    if binding
        .method
        .input
        .get_field_by_name("request_id")
        .is_some()
    {
        found.push(json!({"$ref": "#/components/parameters/IdempotencyKey"}));
    }
    if takes_if_none_match(binding) {
        found.push(json!({"$ref": "#/components/parameters/IfNoneMatch"}));
    }
    if binding.method.gives_stream && binding.method.sequence.resumes() {
        found.push(json!({"$ref": "#/components/parameters/LastEventId"}));
    }
    found
}

/// Whether what is read has a revision, so that who has it is told so.
pub(super) fn takes_if_none_match(binding: &Binding) -> bool {
    let has_etag = binding.method.output.get_field_by_name("etag").is_some();
    has_etag && !binding.method.gives_stream && binding.verb == Some(http::Method::GET)
}

/// Whether `If-Match` reaches a field `etag`, of the request or of the resource in its body.
pub(super) fn takes_if_match(binding: &Binding) -> bool {
    let has_etag = |message: &MessageDescriptor| message.get_field_by_name("etag").is_some();
    let in_body = match &binding.body {
        Body::Field(field) => field.kind().as_message().is_some_and(has_etag),
        Body::None | Body::Whole => false,
    };
    let creates = binding.method.success == http::StatusCode::CREATED;
    !creates && (has_etag(&binding.method.input) || in_body)
}

/// Of a parameter, not of its schema: there viewers show it.
fn take_description(schema: &mut Value) -> String {
    let description = schema
        .as_object_mut()
        .and_then(|schema| schema.remove("description"));
    description
        .and_then(|text| text.as_str().map(str::to_owned))
        .unwrap_or_default()
}
