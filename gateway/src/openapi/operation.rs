//! One operation: a route to a method, as the document tells it.

use super::comments::{Comments, summary};
use super::example;
use super::parameters;
use super::path::Path;
use super::responses;
use super::schema::{Behavior, Schemas, Side, behaves};
use crate::api::{ACCESS_RULE, Binding, Body, option, text};
use crate::csv::Shape;
use crate::raw;
use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, MethodDescriptor};
use serde_json::{Value, json};

/// Tells the operation. `id` is its own among all of the document.
pub(super) fn operation(
    binding: &Binding,
    id: &str,
    path: &Path<'_>,
    names: &[String],
    comments: &Comments,
    schemas: &mut Schemas<'_>,
) -> Value {
    let method = &binding.method;
    let descriptor = &method.descriptor;
    let comment = comments.at(descriptor.parent_file().name(), descriptor.path());
    let access = Access::of(descriptor, method.token_required, method.ruled);
    let mut parameters = parameters::of_path(path, names, schemas);
    parameters.extend(parameters::of_query(binding, schemas));
    parameters.extend(parameters::of_headers(binding));

    let mut operation = json!({
        "operationId": id,
        "tags": [descriptor.parent_service().name()],
        "summary": summary(comment),
        "description": format!("{comment}\n\n{}", access.text()).trim(),
        "security": access.security(),
        "x-grpc-method": method.name,
        "responses": responses::of(binding, schemas),
    });
    access.mark(&mut operation);
    if !parameters.is_empty() {
        operation["parameters"] = Value::from(parameters);
    }
    if let Some(body) = body(binding, schemas) {
        operation["requestBody"] = body;
    }
    if !binding.primary {
        let sentence = "\n\nAnother route to the same method.";
        let description = operation["description"].as_str().unwrap_or_default();
        operation["description"] = json!(format!("{description}{sentence}"));
    }
    operation
}

fn body(binding: &Binding, schemas: &mut Schemas<'_>) -> Option<Value> {
    if raw::is_taken(binding) {
        let content = json!({"*/*": {"schema": {"type": "string", "format": "binary"}}});
        return Some(json!({"required": true, "content": content}));
    }
    let (schema, example, required) = match &binding.body {
        Body::None => return None,
        Body::Whole => {
            let input = &binding.method.input;
            let bound: Vec<&str> = binding
                .path_fields
                .iter()
                .filter(|path| path.len() == 1)
                .filter_map(|path| path.first().map(FieldDescriptor::name))
                .collect();
            let schema = if bound.is_empty() {
                schemas.message(input, Side::Request)
            } else {
                schemas.object(input, Side::Request, &bound)
            };
            // A message of which nothing must be said may be left out with its body.
            let must_say = |field: &FieldDescriptor| {
                behaves(field, Behavior::Required) && !bound.contains(&field.name())
            };
            let required = input.fields().any(|field| must_say(&field));
            (
                schema,
                example::message(input, Side::Request, &bound),
                required,
            )
        }
        Body::Field(field) => {
            let side = if changes(&binding.method.input) {
                Side::Change
            } else {
                Side::Request
            };
            let required = behaves(field, Behavior::Required);
            match field.kind().as_message() {
                Some(message) if !field.is_list() && !field.is_map() => {
                    let bound: Vec<&str> = binding
                        .path_fields
                        .iter()
                        .filter(|path| path.len() == 2 && path[0] == *field)
                        .map(|path| path[1].name())
                        .collect();
                    (
                        schemas.message(message, side),
                        example::message(message, side, &bound),
                        required,
                    )
                }
                _ => (
                    schemas.field(field, Side::Request),
                    example::value(field, Side::Request, 0).unwrap_or_default(),
                    required,
                ),
            }
        }
    };
    if binding.method.takes_stream {
        let description = "A message a line or a row, each sent on as it comes.";
        let mut content = json!({"application/x-ndjson": {"schema": schema}});
        if let Some(shape) = Shape::of(binding) {
            let filled = shape.filled(&binding.method.input);
            content["text/csv"] = json!({"schema": {"type": "string", "description": format!(
                "A header row with names of fields of {} (an inner one by dots, as `a.b`), then a row each. \
                An empty cell says nothing.", filled.name(),
            )}});
        }
        return Some(json!({"required": true, "description": description, "content": content}));
    }
    let content = json!({"application/json": {"schema": schema, "example": example}});
    Some(json!({"required": required, "content": content}))
}

/// Whether a request changes a resource by a mask: then its fields may be left out.
fn changes(input: &MessageDescriptor) -> bool {
    input.get_field_by_name("update_mask").is_some_and(|field| {
        field
            .kind()
            .as_message()
            .is_some_and(|kind| kind.full_name() == "google.protobuf.FieldMask")
    })
}

/// Who may call, as the access rule says.
struct Access {
    token_required: bool,
    ruled: bool,
    roles: Vec<String>,
    scope: String,
    fresh_within: i32,
    only: Option<&'static str>,
}

impl Access {
    fn of(descriptor: &MethodDescriptor, token_required: bool, ruled: bool) -> Self {
        let rule = option(descriptor, ACCESS_RULE);
        let rule = rule.as_ref();
        let roles = rule
            .and_then(|rule| rule.get_field_by_name("role_required"))
            .and_then(|roles| {
                let roles = roles.as_list()?.iter();
                Some(
                    roles
                        .filter_map(|role| role.as_str().map(str::to_owned))
                        .collect(),
                )
            });
        let number = |rule: &DynamicMessage, name: &str| {
            let value = rule.get_field_by_name(name)?;
            value.as_i32().or_else(|| value.as_enum_number())
        };
        let principal = rule.and_then(|rule| number(rule, "principal"));
        Self {
            token_required,
            ruled,
            roles: roles.unwrap_or_default(),
            scope: rule.map(|rule| text(rule, "scope")).unwrap_or_default(),
            fresh_within: rule
                .and_then(|rule| number(rule, "fresh_within"))
                .unwrap_or_default(),
            only: match principal {
                Some(1) => Some("people"),
                Some(2) => Some("services"),
                _ => None,
            },
        }
    }

    fn security(&self) -> Value {
        match (self.token_required, self.ruled) {
            (true, _) => json!([{"bearer": []}]),
            (false, true) => json!([]),
            (false, false) => json!([{}, {"bearer": []}]),
        }
    }

    fn text(&self) -> String {
        if !self.ruled {
            return match self.token_required {
                true => "**Access:** with a token; the service decides.".to_owned(),
                false => "**Access:** the service decides.".to_owned(),
            };
        }
        if !self.token_required {
            return "**Access:** public.".to_owned();
        }
        let mut text = match self.roles.as_slice() {
            [] => "**Access:** any good token".to_owned(),
            roles => format!("**Access:** the roles {}", quoted(roles)),
        };
        if let Some(only) = self.only {
            text += &format!(", {only} only");
        }
        match self.scope.as_str() {
            "" => text += "; no scoped token and no service token.",
            scope => {
                text += &format!("; a scoped token and a service token need the scope `{scope}`.")
            }
        }
        if self.fresh_within > 0 {
            text += &format!(" At most {} seconds after the login.", self.fresh_within);
        }
        text
    }

    fn mark(&self, operation: &mut Value) {
        if !self.roles.is_empty() {
            operation["x-roles"] = json!(self.roles);
        }
        if !self.scope.is_empty() {
            operation["x-scope"] = json!(self.scope);
        }
        if self.fresh_within > 0 {
            operation["x-fresh-within"] = json!(self.fresh_within);
        }
    }
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
