//! Messages and enums as JSON Schema: what the JSON mapping makes of them, per direction.

use super::comments::Comments;
use super::limits;
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};

/// What a message is described for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// It is answered with.
    Answer,
    /// It is sent: without the fields that are the service's to write.
    Request,
    /// It is sent to change a resource: every field may be left out.
    Change,
}

/// The behaviours of a field (google/api/field_behavior.proto).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behavior {
    Required = 2,
    OutputOnly = 3,
    InputOnly = 4,
    Immutable = 5,
}

/// The schemas that a document refers to, made as they are asked for.
#[derive(Debug)]
pub(super) struct Schemas<'a> {
    comments: &'a Comments,
    /// How many messages and enums have a name that leaves the package out.
    short_names: HashMap<String, usize>,
    made: BTreeMap<String, Value>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(pool: &prost_reflect::DescriptorPool, comments: &'a Comments) -> Self {
        let mut short_names = HashMap::new();
        let messages = pool.all_messages();
        let messages = messages.map(|message| short(message.full_name(), message.package_name()));
        let enums = pool.all_enums();
        let enums = enums.map(|kind| short(kind.full_name(), kind.package_name()));
        for name in messages.chain(enums) {
            *short_names.entry(name).or_default() += 1;
        }
        Self {
            comments,
            short_names,
            made: BTreeMap::new(),
        }
    }

    /// All that were asked for, by their name.
    pub(super) fn finish(self) -> BTreeMap<String, Value> {
        self.made
    }

    /// A message, by reference where it has a schema of its own.
    pub(super) fn message(&mut self, message: &MessageDescriptor, side: Side) -> Value {
        if let Some(schema) = well_known(message.full_name(), side) {
            return schema;
        }
        let suffix = match side {
            Side::Answer => "",
            Side::Request => ".Input",
            Side::Change => ".Change",
        };
        let name = self.name(message.full_name(), message.package_name()) + suffix;
        if !self.made.contains_key(&name) {
            // Noted before it is made: a message may hold its own kind.
            self.made.insert(name.clone(), Value::Null);
            let schema = self.object(message, side, &[]);
            self.made.insert(name.clone(), schema);
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    /// The fields of a message, but for those that the path binds.
    pub(super) fn object(
        &mut self,
        message: &MessageDescriptor,
        side: Side,
        bound: &[&str],
    ) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in message.fields() {
            if bound.contains(&field.name()) || !is_told(&field, side) {
                continue;
            }
            let always = match side {
                Side::Answer => !field.supports_presence(),
                Side::Request => behaves(&field, Behavior::Required),
                Side::Change => false,
            };
            if always {
                required.push(Value::from(field.name()));
            }
            let schema = self.field(&field, side);
            let schema = match side == Side::Answer || always {
                true => schema,
                // As if nothing was said.
                false => nullable(schema),
            };
            properties.insert(field.name().to_owned(), schema);
        }
        let mut schema = json!({"type": "object", "properties": properties});
        let mut description = self.comment(message.parent_file().name(), message.path());
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            let names: Vec<String> = oneof
                .fields()
                .map(|field| format!("`{}`", field.name()))
                .collect();
            description = format!("{description} At most one of {}.", names.join(", "));
        }
        if side != Side::Answer {
            schema["additionalProperties"] = json!(false);
        }
        if !required.is_empty() {
            schema["required"] = Value::from(required);
        }
        described(schema, description.trim())
    }

    /// One field, with its comment and its limits.
    pub(super) fn field(&mut self, field: &FieldDescriptor, side: Side) -> Value {
        let comment = self.comment(field.parent_file().name(), field.path());
        let kind = field.kind();
        let mut schema = if field.is_map() {
            match kind
                .as_message()
                .map(MessageDescriptor::map_entry_value_field)
            {
                Some(value) => {
                    json!({"type": "object", "additionalProperties": self.one(&value, side)})
                }
                None => json!({"type": "object"}),
            }
        } else if field.is_list() {
            let mut schema = json!({"type": "array", "items": self.one(field, side)});
            if side != Side::Answer {
                let limits = limits::of_list(&comment);
                put(
                    &mut schema,
                    "minItems",
                    limits.least.filter(|_| behaves(field, Behavior::Required)),
                );
                put(&mut schema, "maxItems", limits.most);
            }
            schema
        } else {
            let mut schema = self.one(field, side);
            if side != Side::Answer && is_integer(&kind) {
                let limits = limits::of_number(&comment);
                // 0 says the same as leaving it out.
                let least = limits.least.filter(|_| behaves(field, Behavior::Required));
                put(&mut schema, "minimum", least);
                put(&mut schema, "maximum", limits.most);
            }
            if side != Side::Answer && kind == Kind::String {
                let limits = limits::of_text(&comment);
                // What is not required may be empty, which says the same as leaving it out.
                put(
                    &mut schema,
                    "minLength",
                    limits.least.filter(|_| behaves(field, Behavior::Required)),
                );
                put(&mut schema, "maxLength", limits.most);
                // Where it may be left out it may be empty, which is no UUID.
                if comment.starts_with("A UUID") && behaves(field, Behavior::Required) {
                    schema["format"] = json!("uuid");
                }
            }
            schema
        };
        if side == Side::Answer && behaves(field, Behavior::OutputOnly) {
            schema["readOnly"] = json!(true);
        }
        if side != Side::Answer && behaves(field, Behavior::InputOnly) {
            schema["writeOnly"] = json!(true);
        }
        if is_secret(field) {
            schema["format"] = json!("password");
        }
        described(schema, &comment)
    }

    /// One value of a field.
    fn one(&mut self, field: &FieldDescriptor, side: Side) -> Value {
        match field.kind() {
            Kind::Bool => json!({"type": "boolean"}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                json!({"type": "integer", "format": "int32"})
            }
            Kind::Uint32 | Kind::Fixed32 => {
                json!({"type": "integer", "minimum": 0, "maximum": u32::MAX})
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => long("int64", "^-?[0-9]+$", side),
            Kind::Uint64 | Kind::Fixed64 => long("uint64", "^[0-9]+$", side),
            Kind::Float => number("float"),
            Kind::Double => number("double"),
            Kind::String => json!({"type": "string"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Enum(kind) => {
                let named = self.enumeration(&kind);
                let is_null = kind.full_name() == "google.protobuf.NullValue";
                match side == Side::Answer || is_null {
                    true => named,
                    false => json!({"anyOf": [named, {"type": "integer", "format": "int32"}]}),
                }
            }
            // Inside of what is changed a message is replaced whole.
            Kind::Message(message) => match side {
                Side::Answer => self.message(&message, Side::Answer),
                Side::Request | Side::Change => self.message(&message, Side::Request),
            },
        }
    }

    fn enumeration(&mut self, kind: &EnumDescriptor) -> Value {
        if kind.full_name() == "google.protobuf.NullValue" {
            return json!({"type": "null"});
        }
        let name = self.name(kind.full_name(), kind.package_name());
        if !self.made.contains_key(&name) {
            let file = kind.parent_file();
            let mut description = self.comment(file.name(), kind.path());
            let mut names = Vec::new();
            for value in kind.values() {
                let comment = self.comments.at(file.name(), value.path());
                description += &format!("\n- `{}`: {comment}", value.name());
                names.push(value.name().to_owned());
            }
            let schema = json!({"type": "string", "enum": names});
            self.made
                .insert(name.clone(), described(schema, description.trim()));
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    /// Without its package, where no other message or enum is called the same.
    fn name(&self, full: &str, package: &str) -> String {
        let short = short(full, package);
        match self.short_names.get(&short) {
            Some(1) => short,
            _ => full.to_owned(),
        }
    }

    fn comment(&self, file: &str, path: &[i32]) -> String {
        self.comments.at(file, path).to_owned()
    }
}

/// Whether a field is there in this direction.
pub(super) fn is_told(field: &FieldDescriptor, side: Side) -> bool {
    match side {
        Side::Answer => true,
        Side::Request => !behaves(field, Behavior::OutputOnly),
        Side::Change => {
            !behaves(field, Behavior::OutputOnly) && !behaves(field, Behavior::Immutable)
        }
    }
}

/// Whether a field is annotated with this behaviour.
pub(super) fn behaves(field: &FieldDescriptor, behavior: Behavior) -> bool {
    let pool = field.parent_file().parent_pool().clone();
    let Some(extension) = pool.get_extension_by_name("google.api.field_behavior") else {
        return false;
    };
    let options = field.options();
    let behaviors = options.get_extension(&extension);
    let behaviors = behaviors.as_list().unwrap_or_default();
    behaviors
        .iter()
        .any(|found| found.as_enum_number() == Some(behavior as i32))
}

fn is_integer(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Int32
            | Kind::Sint32
            | Kind::Sfixed32
            | Kind::Int64
            | Kind::Sint64
            | Kind::Sfixed64
            | Kind::Uint32
            | Kind::Fixed32
            | Kind::Uint64
            | Kind::Fixed64
    )
}

/// Whether a field must not reach a log.
pub(super) fn is_secret(field: &FieldDescriptor) -> bool {
    let option = field
        .options()
        .get_field_by_name("debug_redact")
        .and_then(|value| value.as_bool());
    option == Some(true)
}

fn short(full: &str, package: &str) -> String {
    let prefix = full
        .strip_prefix(package)
        .and_then(|rest| rest.strip_prefix('.'));
    prefix.unwrap_or(full).to_owned()
}

fn described(mut schema: Value, comment: &str) -> Value {
    if !comment.is_empty() {
        schema["description"] = json!(comment);
    }
    schema
}

fn put(schema: &mut Value, keyword: &str, value: Option<u32>) {
    if let Some(value) = value {
        schema[keyword] = json!(value);
    }
}

/// The same, or `null`.
fn nullable(mut schema: Value) -> Value {
    if let Some(kinds) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        kinds.push(json!({"type": "null"}));
    } else if let Some(reference) = schema.get("$ref").cloned() {
        schema["anyOf"] = json!([{"$ref": reference}, {"type": "null"}]);
        schema.as_object_mut().map(|schema| schema.remove("$ref"));
    } else if let Some(kind) = schema.get_mut("type") {
        let mut kinds = match kind.take() {
            Value::Array(kinds) => kinds,
            one => vec![one],
        };
        if !kinds.contains(&json!("null")) {
            kinds.push(json!("null"));
        }
        *kind = Value::from(kinds);
    }
    schema
}

/// 64 bits go out as text, which no client rounds; numbers come in too.
fn long(format: &str, pattern: &str, side: Side) -> Value {
    let kind = match side {
        Side::Answer => json!("string"),
        Side::Request | Side::Change => json!(["string", "integer"]),
    };
    json!({"type": kind, "format": format, "pattern": pattern})
}

fn number(format: &str) -> Value {
    json!({"anyOf": [
        {"type": "number", "format": format},
        {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]},
    ]})
}

/// The types with a JSON of their own (google.protobuf.*).
fn well_known(name: &str, side: Side) -> Option<Value> {
    let or_null = |mut schema: Value| {
        let mut kinds = match schema["type"].take() {
            Value::Array(kinds) => kinds,
            kind => vec![kind],
        };
        kinds.push(json!("null"));
        schema["type"] = Value::from(kinds);
        schema
    };
    Some(match name.strip_prefix("google.protobuf.")? {
        "Timestamp" => json!({"type": "string", "format": "date-time"}),
        "Duration" => json!({"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]{1,9})?s$"}),
        "FieldMask" => json!({"type": "string"}),
        "Struct" => json!({"type": "object"}),
        "Value" => json!({}),
        "ListValue" => json!({"type": "array", "items": {}}),
        "Any" => {
            json!({"type": "object", "properties": {"@type": {"type": "string"}}, "required": ["@type"]})
        }
        "Empty" => json!({"type": "object"}),
        "BoolValue" => or_null(json!({"type": "boolean"})),
        "StringValue" => or_null(json!({"type": "string"})),
        "BytesValue" => or_null(json!({"type": "string", "contentEncoding": "base64"})),
        "Int32Value" => or_null(json!({"type": "integer", "format": "int32"})),
        "UInt32Value" => or_null(json!({"type": "integer", "minimum": 0})),
        "Int64Value" => or_null(long("int64", "^-?[0-9]+$", side)),
        "UInt64Value" => or_null(long("uint64", "^[0-9]+$", side)),
        "FloatValue" | "DoubleValue" => or_null(json!({"type": ["number", "string"]})),
        _ => return None,
    })
}
