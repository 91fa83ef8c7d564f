//! Examples: a value that a field takes, so that a reader of the docs sees how it is written.

use super::schema::{Side, is_told};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

/// How far messages are followed into each other.
const DEEPEST: usize = 4;
/// What a reader fills in last, if ever: they belong to the headers.
const LEFT_OUT: [&str; 3] = ["etag", "request_id", "update_mask"];

/// A message with every field that is told in this direction, but for those that the path binds. Of a oneof, the first.
pub(super) fn message(message: &MessageDescriptor, side: Side, bound: &[&str]) -> Value {
    inside(message, side, bound, 0)
}

fn inside(message: &MessageDescriptor, side: Side, bound: &[&str], depth: usize) -> Value {
    if let Some(value) = by_type(message.full_name()) {
        return value;
    }
    let mut fields = Map::new();
    for field in message.fields() {
        let is_sent = side != Side::Answer;
        let name = field.name();
        let second_of_oneof = field
            .containing_oneof()
            .and_then(|oneof| oneof.fields().next())
            .is_some_and(|first| first != field);
        if bound.contains(&name)
            || (is_sent && LEFT_OUT.contains(&name))
            || second_of_oneof
            || !is_told(&field, side)
        {
            continue;
        }
        let is_person = name == "name" && message.get_field_by_name("last_name").is_some();
        if is_person {
            // What the parts of the name say, too.
            fields.insert(name.to_owned(), json!("Ada Lovelace"));
        } else if let Some(value) = value(&field, side, depth) {
            fields.insert(name.to_owned(), value);
        }
    }
    Value::Object(fields)
}

/// A value of a field; `None` where messages are too deep in each other.
pub(super) fn value(field: &FieldDescriptor, side: Side, depth: usize) -> Option<Value> {
    let inner = match side {
        Side::Answer => Side::Answer,
        Side::Request | Side::Change => Side::Request,
    };
    if field.is_map() {
        return Some(json!({}));
    }
    let value = match field.kind() {
        Kind::Message(_) if depth >= DEEPEST => return None,
        Kind::Message(message) => inside(&message, inner, &[], depth + 1),
        Kind::Bool => json!(true),
        Kind::Float | Kind::Double => json!(1.5),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => json!("7"),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Uint32 | Kind::Fixed32 => json!(7),
        Kind::String => json!(text(field.name())),
        Kind::Bytes => json!("aGVsbG8="),
        Kind::Enum(kind) if kind.full_name() == "google.protobuf.NullValue" => Value::Null,
        Kind::Enum(kind) => {
            let named = kind.values().find(|value| value.number() != 0);
            json!(named.unwrap_or_else(|| kind.default_value()).name())
        }
    };
    Some(if field.is_list() {
        json!([value])
    } else {
        value
    })
}

/// A text, by what such fields are usually called.
fn text(name: &str) -> String {
    let known = match name {
        "email" => "ada@example.com",
        "username" => "ada",
        "first_name" => "Ada",
        "last_name" => "Lovelace",
        "password" | "new_password" => "violet kettle 42 orbit",
        "phone" | "phone_number" => "+44 20 7946 0000",
        "request_id" => "5f3c1f6e-6f3b-4f6b-9c59-0f7a4f6d2b11",
        "etag" => "7",
        // A default that is right with every list.
        "page_token" | "order_by" => "",
        _ => return name.replace('_', " "),
    };
    known.to_owned()
}

/// The types with a JSON or a meaning of their own, in packages that everybody uses.
fn by_type(name: &str) -> Option<Value> {
    Some(match name {
        "google.protobuf.Timestamp" => json!("2026-01-31T09:30:00Z"),
        "google.protobuf.Duration" => json!("1.5s"),
        "google.protobuf.FieldMask" => json!(""),
        "google.protobuf.Struct" => json!({"key": "value"}),
        "google.protobuf.Value" => json!("value"),
        "google.protobuf.ListValue" => json!(["value"]),
        "google.protobuf.Any" => {
            json!({"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.5s"})
        }
        "google.protobuf.BoolValue" => json!(true),
        "google.protobuf.StringValue" => json!("text"),
        "google.protobuf.BytesValue" => json!("aGVsbG8="),
        "google.protobuf.Int64Value" | "google.protobuf.UInt64Value" => json!("7"),
        "google.protobuf.Int32Value" | "google.protobuf.UInt32Value" => json!(7),
        "google.protobuf.FloatValue" | "google.protobuf.DoubleValue" => json!(1.5),
        "google.type.Money" => json!({"currency_code": "EUR", "units": "19", "nanos": 990_000_000}),
        _ => return None,
    })
}
