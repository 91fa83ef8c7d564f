//! A message's place in its stream, as the descriptors tell it: the field `sequence` of the answer, or of the one message
//! that the answer wraps; and in the request `after_sequence`, or `from_sequence`, which is the first one wanted.

use crate::json;
use crate::problem::Problem;
use http::HeaderMap;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

const SEQUENCE: &str = "sequence";
const AFTER: &str = "after_sequence";
const FROM: &str = "from_sequence";

/// Where the place of a message is told, and where the place to begin at is asked for.
#[derive(Debug, Default)]
pub struct Sequence {
    /// The fields that lead to it; empty where there is none.
    told: Vec<FieldDescriptor>,
    asked: Option<Asked>,
}

#[derive(Debug)]
enum Asked {
    After(FieldDescriptor),
    From(FieldDescriptor),
}

impl Sequence {
    /// Looks for the fields.
    pub(crate) fn of(request: &MessageDescriptor, answer: &MessageDescriptor) -> Self {
        let after = number(request, AFTER).map(Asked::After);
        Self {
            told: told(answer),
            asked: after.or_else(|| number(request, FROM).map(Asked::From)),
        }
    }

    /// Whether a request can say where to go on.
    pub fn resumes(&self) -> bool {
        self.asked.is_some()
    }

    /// Writes `Last-Event-ID` into the request, where it has a field for it. It says more than the query: a browser that
    /// comes again sends the address of before.
    pub(crate) fn resume(
        &self,
        request: &mut DynamicMessage,
        headers: &HeaderMap,
    ) -> Result<(), Problem> {
        let (Some(sent), Some(asked)) = (headers.get("last-event-id"), &self.asked) else {
            return Ok(());
        };
        let refused = |expected: &str| Problem::field("Last-Event-ID", expected);
        let text = sent.to_str().unwrap_or_default();
        let (field, skipped) = match asked {
            Asked::After(field) => (field, 0),
            Asked::From(field) => (field, 1),
        };
        let value = json::from_text(&field.kind(), text).map_err(refused)?;
        let next = match value {
            Value::I64(number) => number.checked_add(skipped).map(Value::I64),
            Value::U64(number) => number.checked_add_signed(skipped).map(Value::U64),
            other => Some(other),
        };
        request.set_field(field, next.ok_or_else(|| refused("is out of range"))?);
        Ok(())
    }

    /// The place of a message; `None` for one without.
    pub(crate) fn of_message(&self, message: &DynamicMessage) -> Option<String> {
        let (last, outer) = self.told.split_last()?;
        let text = |message: &DynamicMessage| match message.get_field(last).as_ref() {
            Value::I64(number) => Some(number.to_string()),
            Value::U64(number) => Some(number.to_string()),
            _ => None,
        };
        match outer {
            [] => text(message),
            [field, ..] if message.has_field(field) => text(message.get_field(field).as_message()?),
            _ => None,
        }
    }
}

fn told(answer: &MessageDescriptor) -> Vec<FieldDescriptor> {
    if let Some(field) = number(answer, SEQUENCE) {
        return vec![field];
    }
    let mut wrapped = answer.fields().filter_map(|field| {
        let inner = field.kind().as_message().cloned()?;
        let sequence = number(&inner, SEQUENCE).filter(|_| !field.is_list() && !field.is_map())?;
        Some(vec![field, sequence])
    });
    // Of several it could not be said which one counts.
    let found = wrapped.next();
    found
        .filter(|_| wrapped.next().is_none())
        .unwrap_or_default()
}

fn number(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    let field = message.get_field_by_name(name)?;
    let is_number = matches!(field.kind(), Kind::Int64 | Kind::Uint64) && !field.is_list();
    is_number.then_some(field)
}
