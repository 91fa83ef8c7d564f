//! CSV (RFC 4180) as the messages of a stream: a header row that names fields, then a message a row.
//!
//! What a row fills follows from the descriptors. Where the streamed message is a choice (one oneof) of two messages, as
//! in `oneof part { Options options = 1; Item item = 2; }`, the first is sent once, before all rows, with what the query
//! says, and every row fills the second. Where the binding's body is a field, the rows fill that. Else a row is the whole
//! message. The query and the headers tell something of the first message only, the path of all. A number field `line` of the row that no column fills is told the line that the row begins in.

use crate::api::{Binding, Body};
use crate::binder;
use crate::json::is_told_as_text;
use crate::preconditions::Preconditions;
use crate::problem::{Faults, Problem, reason, shortened};
use crate::query;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};
use http::Method;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use std::collections::HashSet;
use tonic::Code;

/// More than any table for people has.
const MOST_COLUMNS: usize = 1000;
/// The field that is told where its row stands.
const LINE: &str = "line";

/// What of a streamed message comes first, and what every row fills.
#[derive(Debug, PartialEq)]
pub(crate) struct Shape {
    /// The member that is sent once, before the rows.
    pub(crate) first: Option<FieldDescriptor>,
    /// The member that a row fills; `None` for the message itself.
    pub(crate) row: Option<FieldDescriptor>,
}

impl Shape {
    /// `None` where a row can fill nothing.
    pub(crate) fn of(binding: &Binding) -> Option<Self> {
        let input = &binding.method.input;
        match &binding.body {
            Body::None => None,
            Body::Field(row) if !is_plain(row) => None,
            Body::Field(row) => {
                let choice: Vec<FieldDescriptor> = row
                    .containing_oneof()
                    .map(|oneof| oneof.fields().collect())
                    .unwrap_or_default();
                let first = match choice.as_slice() {
                    [first, second] if second == row && is_plain(first) => Some(first),
                    _ => None,
                };
                Some(Self {
                    first: first.cloned(),
                    row: Some(row.clone()),
                })
            }
            Body::Whole => {
                let fields: Vec<FieldDescriptor> = input.fields().collect();
                let (first, row) = match fields.as_slice() {
                    [first, row] if is_choice(first, row) => (Some(first), Some(row)),
                    _ => (None, None),
                };
                Some(Self {
                    first: first.cloned(),
                    row: row.cloned(),
                })
            }
        }
    }

    /// The message that a row fills.
    pub(crate) fn filled(&self, input: &MessageDescriptor) -> MessageDescriptor {
        let kind = self.row.as_ref().map(FieldDescriptor::kind);
        kind.and_then(|kind| kind.as_message().cloned())
            .unwrap_or_else(|| input.clone())
    }
}

fn is_choice(first: &FieldDescriptor, row: &FieldDescriptor) -> bool {
    let oneof = first.containing_oneof();
    oneof.is_some() && oneof == row.containing_oneof() && is_plain(first) && is_plain(row)
}

/// Whether a field holds one message with fields of its own.
fn is_plain(field: &FieldDescriptor) -> bool {
    let message = field.kind().as_message().cloned();
    !field.is_list() && message.is_some_and(|message| !is_told_as_text(&message))
}

/// What a request says besides its rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'r> {
    pub(crate) binding: &'r Binding,
    pub(crate) method: &'r Method,
    pub(crate) path_values: &'r [String],
    pub(crate) query: &'r str,
    pub(crate) preconditions: &'r Preconditions,
}

/// A table whose header row has been read.
pub(crate) struct Table {
    row: Option<FieldDescriptor>,
    /// What the path tells: every row's message begins as this.
    base: DynamicMessage,
    /// What the query and the headers tell, too: the first row's begins as this.
    begin: Option<DynamicMessage>,
    columns: Vec<Vec<FieldDescriptor>>,
    names: Vec<String>,
    line: Option<FieldDescriptor>,
    reader: Reader,
}

impl Table {
    /// Reads the header row. The message that comes before all rows is given, too, where there is one.
    pub(crate) fn new(
        frame: Frame<'_>,
        header: &[u8],
    ) -> Result<(Self, Option<DynamicMessage>), Problem> {
        let binding = frame.binding;
        let input = &binding.method.input;
        let shape = Shape::of(binding).ok_or_else(|| malformed("rows fill nothing here"))?;
        let mut base = DynamicMessage::new(input.clone());
        let (mut first, mut begin) = (None, None);
        match &shape.first {
            Some(field) => {
                let mut message = DynamicMessage::new(input.clone());
                if let Some(inner) = message.get_field_mut(field).as_message_mut() {
                    query::bind_message(inner, frame.query)?;
                }
                binder::bind_path(&mut message, binding, frame.path_values)?;
                frame
                    .preconditions
                    .apply(&mut message, binding, frame.method)?;
                first = Some(message);
            }
            None => {
                let mut message = DynamicMessage::new(input.clone());
                query::bind(&mut message, binding, frame.query)?;
                binder::bind_path(&mut message, binding, frame.path_values)?;
                frame
                    .preconditions
                    .apply(&mut message, binding, frame.method)?;
                begin = Some(message);
                binder::bind_path(&mut base, binding, frame.path_values)?;
            }
        }
        let mut reader = ReaderBuilder::new()
            .terminator(Terminator::Any(b'\n'))
            .build();
        // What spreadsheets write before everything else.
        let header = header.strip_prefix(b"\xef\xbb\xbf").unwrap_or(header);
        let names = cells(&mut reader, header)?;
        let filled = shape.filled(input);
        let columns = columns(&filled, &names)?;
        let line = filled.get_field_by_name(LINE).filter(|field| {
            let is_told = columns
                .iter()
                .any(|path| path.as_slice() == [field.clone()]);
            let is_number = matches!(field.kind(), Kind::Int64 | Kind::Uint64);
            is_number && !is_told && !field.is_list()
        });
        let table = Self {
            row: shape.row,
            base,
            begin,
            columns,
            names,
            line,
            reader,
        };
        Ok((table, first))
    }

    /// The message of one row. All of its bad cells are told together.
    pub(crate) fn message(&mut self, number: u64, row: &[u8]) -> Result<DynamicMessage, Problem> {
        let cells = cells(&mut self.reader, row)?;
        if cells.len() != self.columns.len() {
            let (found, wanted) = (cells.len(), self.columns.len());
            return Err(malformed(format!(
                "there are {found} cells, and the header has {wanted}"
            )));
        }
        let mut message = self.begin.take().unwrap_or_else(|| self.base.clone());
        let filled = match &self.row {
            None => Some(&mut message),
            Some(field) => message.get_field_mut(field).as_message_mut(),
        };
        let Some(filled) = filled else {
            return Err(malformed("rows fill nothing here"));
        };
        let mut faults = Faults::default();
        if let Some(field) = &self.line {
            let value = match field.kind() {
                Kind::Uint64 => Value::U64(number),
                _ => Value::I64(i64::try_from(number).unwrap_or(i64::MAX)),
            };
            filled.set_field(field, value);
        }
        for ((path, name), cell) in self.columns.iter().zip(&self.names).zip(&cells) {
            // An empty cell says nothing, as if the column was not there.
            if cell.is_empty() {
                continue;
            }
            if let Err((reason, description)) = query::set(filled, path, cell) {
                faults.add(reason, shortened(name), description);
            }
        }
        faults.finish()?;
        Ok(message)
    }
}

/// The fields that the names of a header row lead to. All bad names are told together.
fn columns(
    filled: &MessageDescriptor,
    names: &[String],
) -> Result<Vec<Vec<FieldDescriptor>>, Problem> {
    if names.len() > MOST_COLUMNS {
        return Err(malformed(format!(
            "there are more than {MOST_COLUMNS} columns"
        )));
    }
    let mut faults = Faults::default();
    let mut columns: Vec<Vec<FieldDescriptor>> = Vec::with_capacity(names.len());
    let mut seen = HashSet::new();
    for name in names {
        match query::lead(filled, name.trim()) {
            Ok(path) => {
                let is_list = path.last().is_some_and(FieldDescriptor::is_list);
                let full: Vec<&str> = path.iter().map(FieldDescriptor::name).collect();
                if !seen.insert(full.join(".")) && !is_list {
                    faults.add(reason::DUPLICATE_FIELD, shortened(name), "is given twice");
                }
                columns.push(path);
            }
            Err((reason::UNKNOWN_FIELD, _)) => {
                let what = "is a column, and no field has this name";
                faults.add(reason::UNKNOWN_FIELD, shortened(name), what);
            }
            Err((reason, description)) => faults.add(reason, shortened(name), description),
        }
    }
    faults.finish()?;
    Ok(columns)
}

/// The cells of one row, without its line end.
fn cells(reader: &mut Reader, row: &[u8]) -> Result<Vec<String>, Problem> {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    let row = row.strip_suffix(b"\r").unwrap_or(row);
    let whole = [row, b"\n"].concat();
    let most = row.iter().filter(|byte| **byte == b',').count() + 1;
    let mut text = vec![0; whole.len()];
    let mut ends = vec![0; most];
    reader.reset();
    let (result, read, _, number) = reader.read_record(&whole, &mut text, &mut ends);
    if result != ReadRecordResult::Record || read != whole.len() {
        return Err(malformed("the quotes do not fit"));
    }
    let mut start = 0;
    let cells = ends.iter().take(number).map(|end| {
        let cell = text.get(start..*end).unwrap_or_default();
        start = *end;
        let cell = std::str::from_utf8(cell).map_err(|_| malformed("a cell is not UTF-8"));
        cell.map(str::to_owned)
    });
    cells.collect()
}

fn malformed(message: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Code::InvalidArgument, reason::MESSAGE_MALFORMED, message)
}
