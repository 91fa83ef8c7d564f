//! A JSON body to a protobuf message: strict, all bad fields told together, each by its path.

use super::reader::{Kind as Json, Malformed, Reader};
use super::scalar::{self, Expected};
use super::{any, struct_value, wellknown};
use crate::problem::{Faults, Problem, reason, shortened};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use std::collections::HashMap;
use tonic::Code;

/// How many values one body may hold: a message of 4 MiB in memory is a multiple of its text.
const MOST_VALUES: usize = 100_000;

/// What a body said.
#[derive(Debug, Default, PartialEq)]
pub struct Decoded {
    /// The value; `None` for `null`.
    pub value: Option<Value>,
    /// The paths that the body named, under their proto names: those of a field mask that means "what I sent". A
    /// message of ours is entered, one of google's (Money, Timestamp) stands as a whole, and so do lists and maps.
    pub members: Vec<String>,
}

/// What a body is to be read as.
#[derive(Debug, Clone, Copy)]
pub enum Target<'d> {
    /// The whole request.
    Message(&'d MessageDescriptor),
    /// One field of it.
    Field(&'d FieldDescriptor),
}

/// Reads a body.
///
/// JSON_MALFORMED with the place, or else all of UNKNOWN_FIELD, DUPLICATE_FIELD and FIELD_INVALID that there are.
pub fn decode(body: &[u8], target: Target<'_>) -> Result<Decoded, Problem> {
    let mut decoder = Decoder {
        reader: Reader::new(body).map_err(Stop::from)?,
        faults: Faults::default(),
        path: Vec::new(),
        members: Vec::new(),
        base: match target {
            Target::Message(_) => 0,
            Target::Field(_) => 1,
        },
        recording: true,
        values: 0,
    };
    let value = match target {
        Target::Message(message) => decoder.message(message)?.map(Value::Message),
        Target::Field(field) => {
            decoder.path.push(Step::Field(field.clone()));
            decoder.field(field)?
        }
    };
    decoder.reader.end().map_err(Stop::from)?;
    decoder.faults.finish()?;
    Ok(Decoded {
        value,
        members: decoder.members,
    })
}

/// What ends the reading at once.
#[derive(Debug)]
pub(super) enum Stop {
    Malformed(Malformed),
    TooMany,
}

impl From<Malformed> for Stop {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<Stop> for Problem {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Malformed(malformed) => {
                let mut problem = Problem::new(
                    Code::InvalidArgument,
                    reason::JSON_MALFORMED,
                    format!("the body is not JSON: {malformed}"),
                );
                let metadata = &mut problem.metadata;
                metadata.insert("line".to_owned(), malformed.line.to_string());
                metadata.insert("column".to_owned(), malformed.column.to_string());
                problem
            }
            Stop::TooMany => Problem::new(
                Code::ResourceExhausted,
                reason::MESSAGE_TOO_LARGE,
                format!("the body holds more than {MOST_VALUES} values"),
            ),
        }
    }
}

enum Step {
    Field(FieldDescriptor),
    Index(usize),
    Key(String),
}

pub(super) struct Decoder<'a> {
    pub(super) reader: Reader<'a>,
    faults: Faults,
    path: Vec<Step>,
    members: Vec<String>,
    /// Where in the path the body begins: a mask is relative to the resource.
    base: usize,
    recording: bool,
    values: usize,
}

impl Decoder<'_> {
    /// Counts a value, so that their number stays bounded.
    pub(super) fn count(&mut self) -> Result<(), Stop> {
        self.values += 1;
        if self.values > MOST_VALUES {
            return Err(Stop::TooMany);
        }
        Ok(())
    }

    pub(super) fn message(
        &mut self,
        descriptor: &MessageDescriptor,
    ) -> Result<Option<DynamicMessage>, Stop> {
        if wellknown::is_told_as_text(descriptor) {
            return self.told_as_text(descriptor);
        }
        match descriptor.full_name() {
            "google.protobuf.Struct" | "google.protobuf.ListValue" | "google.protobuf.Value" => {
                struct_value::read(self, descriptor)
            }
            "google.protobuf.Any" => any::read(self, descriptor),
            _ => self.object(descriptor, None),
        }
    }

    /// A message by its fields. One member may say something else, and is passed over.
    pub(super) fn object(
        &mut self,
        descriptor: &MessageDescriptor,
        besides: Option<&str>,
    ) -> Result<Option<DynamicMessage>, Stop> {
        if self.reader.peek()? != Json::Object {
            return self.unexpected("must be an object");
        }
        let mut message = DynamicMessage::new(descriptor.clone());
        let mut seen: Vec<u32> = Vec::new();
        self.reader.enter()?;
        let mut first = true;
        while let Some(name) = self.reader.member(first)? {
            first = false;
            if besides == Some(&*name) {
                self.reader.skip()?;
                continue;
            }
            let field = descriptor
                .get_field_by_name(&name)
                .or_else(|| descriptor.get_field_by_json_name(&name));
            let Some(field) = field else {
                self.at_key(&name, |decoder| {
                    decoder.refuse::<()>(reason::UNKNOWN_FIELD, "there is no such field")
                })?;
                continue;
            };
            self.path.push(Step::Field(field.clone()));
            if seen.contains(&field.number()) {
                self.refuse::<()>(reason::DUPLICATE_FIELD, "is given twice")?;
            } else {
                seen.push(field.number());
                self.set(&mut message, &field)?;
            }
            self.path.pop();
        }
        Ok(Some(message))
    }

    fn set(&mut self, message: &mut DynamicMessage, field: &FieldDescriptor) -> Result<(), Stop> {
        let told_before = self.members.len();
        if let Some(value) = self.field(field)? {
            let other = field.containing_oneof().and_then(|oneof| {
                oneof
                    .fields()
                    .find(|other| other != field && message.has_field(other))
            });
            if let Some(other) = other {
                let description = format!("cannot be given beside {}", other.name());
                self.fault(reason::FIELD_INVALID, &description);
            }
            message.set_field(field, value);
        }
        if self.recording && self.members.len() == told_before {
            let path = self.place(self.base);
            self.members.push(path);
        }
        Ok(())
    }

    /// The value of a field; `None` where it stays unset.
    fn field(&mut self, field: &FieldDescriptor) -> Result<Option<Value>, Stop> {
        let kind = field.kind();
        if self.reader.peek()? == Json::Null && !holds_null(&kind) {
            self.reader.literal("null")?;
            return Ok(None);
        }
        // A message of google's is a value like a number or a text: its parts are no paths of a mask.
        let whole = field.is_list()
            || field.is_map()
            || kind
                .as_message()
                .is_some_and(|message| message.full_name().starts_with("google."));
        let recording = self.recording;
        self.recording &= !whole;
        let value = if field.is_map() {
            self.map(field)
        } else if field.is_list() {
            self.list(&kind)
        } else {
            self.single(&kind)
        };
        self.recording = recording;
        value
    }

    fn list(&mut self, kind: &Kind) -> Result<Option<Value>, Stop> {
        if self.reader.peek()? != Json::Array {
            return self.unexpected("must be an array");
        }
        let mut values = Vec::new();
        let mut index = 0;
        self.reader.enter()?;
        while self.reader.element(index == 0)? {
            self.path.push(Step::Index(index));
            values.extend(self.single(kind)?);
            self.path.pop();
            index += 1;
        }
        Ok(Some(Value::List(values)))
    }

    fn map(&mut self, field: &FieldDescriptor) -> Result<Option<Value>, Stop> {
        let entry = field.kind();
        let Some(entry) = entry.as_message() else {
            return self.unexpected("is no map");
        };
        if self.reader.peek()? != Json::Object {
            return self.unexpected("must be an object");
        }
        let (key_kind, value_kind) = (
            entry.map_entry_key_field().kind(),
            entry.map_entry_value_field().kind(),
        );
        let mut entries = HashMap::new();
        self.reader.enter()?;
        let mut first = true;
        while let Some(name) = self.reader.member(first)? {
            first = false;
            let key = scalar::map_key(&key_kind, &name);
            let value = self.at_key(&name, |decoder| match &key {
                Ok(key) if entries.contains_key(key) => {
                    decoder.refuse(reason::DUPLICATE_FIELD, "is given twice")
                }
                Ok(_) => decoder.single(&value_kind),
                Err(expected) => {
                    decoder.refuse(reason::FIELD_INVALID, &format!("the key {expected}"))
                }
            })?;
            if let (Ok(key), Some(value)) = (key, value) {
                entries.insert(key, value);
            }
        }
        Ok(Some(Value::Map(entries)))
    }

    /// A value that is neither list nor map; `None` where it was not as it must be.
    fn single(&mut self, kind: &Kind) -> Result<Option<Value>, Stop> {
        self.count()?;
        if let Kind::Message(message) = kind {
            return Ok(self.message(message)?.map(Value::Message));
        }
        let value = match (self.reader.peek()?, kind) {
            (Json::String, _) => scalar::from_string(kind, &self.reader.string()?),
            (Json::Number, _) => scalar::from_number(kind, self.reader.number()?),
            (Json::True, Kind::Bool) => {
                self.reader.literal("true")?;
                Ok(Value::Bool(true))
            }
            (Json::False, Kind::Bool) => {
                self.reader.literal("false")?;
                Ok(Value::Bool(false))
            }
            (Json::Null, _) if holds_null(kind) => {
                self.reader.literal("null")?;
                Ok(Value::EnumNumber(0))
            }
            _ => return self.unexpected(scalar::expected(kind)),
        };
        Ok(self.take(value))
    }

    fn told_as_text(
        &mut self,
        descriptor: &MessageDescriptor,
    ) -> Result<Option<DynamicMessage>, Stop> {
        if wellknown::is_wrapper(descriptor)
            && let Some(field) = descriptor.get_field_by_name("value")
        {
            return Ok(self.single(&field.kind())?.map(|value| {
                let mut wrapper = DynamicMessage::new(descriptor.clone());
                wrapper.set_field(&field, value);
                wrapper
            }));
        }
        if self.reader.peek()? != Json::String {
            return self.unexpected("must be a string");
        }
        let text = self.reader.string()?;
        let value = wellknown::from_text(descriptor, &text);
        Ok(self.take(value))
    }

    /// Reads a member's value, which is told by the member's name.
    pub(super) fn at_key<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        self.path.push(Step::Key(shortened(name).into_owned()));
        let value = read(self);
        self.path.pop();
        value
    }

    /// Notes a fault of the value that comes, and passes over it.
    pub(super) fn refuse<T>(
        &mut self,
        reason: &'static str,
        description: &str,
    ) -> Result<Option<T>, Stop> {
        self.fault(reason, description);
        self.reader.skip()?;
        Ok(None)
    }

    pub(super) fn take<T>(&mut self, value: Result<T, Expected>) -> Option<T> {
        value
            .map_err(|expected| self.fault(reason::FIELD_INVALID, expected))
            .ok()
    }

    /// Notes that the value is not what was expected, and passes over it.
    pub(super) fn unexpected<T>(&mut self, expected: Expected) -> Result<Option<T>, Stop> {
        let found = self.reader.peek()?.name();
        self.reader.skip()?;
        let description = format!("{expected}, not {found}");
        self.fault(reason::FIELD_INVALID, &description);
        Ok(None)
    }

    fn fault(&mut self, reason: &'static str, description: &str) {
        let place = self.place(0);
        self.faults.add(reason, place, description);
    }

    /// Where the decoder stands, from this step of the path on: `order.lines[2].quantity`, or `body` at the top.
    fn place(&self, from: usize) -> String {
        let mut place = String::new();
        for step in self.path.iter().skip(from) {
            if !place.is_empty() && !matches!(step, Step::Index(_)) {
                place.push('.');
            }
            match step {
                Step::Index(index) => place += &format!("[{index}]"),
                Step::Field(field) => place += field.name(),
                Step::Key(key) => place += key,
            }
        }
        if place.is_empty() {
            place.push_str("body");
        }
        place
    }
}

/// Whether `null` is a value of this kind, and not the absence of one.
fn holds_null(kind: &Kind) -> bool {
    match kind {
        Kind::Enum(descriptor) => descriptor.full_name() == "google.protobuf.NullValue",
        Kind::Message(message) => message.full_name() == "google.protobuf.Value",
        _ => false,
    }
}
