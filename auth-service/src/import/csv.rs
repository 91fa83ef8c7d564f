//! CSV: the first row names the columns, in any order; quoted fields may hold line breaks.

use std::io::{BufReader, Chain, Read};

use csv::{ByteRecord, ReaderBuilder, Terminator};

use super::row::{COLUMNS, RoleNames, Texts};
use super::{BadRow, ImportFault, LONGEST, Parsed};

pub(super) struct Rows<R: Read> {
    reader: csv::Reader<Bounded<Chain<BufReader<R>, &'static [u8]>>>,
    columns: Vec<&'static str>,
    roles: RoleNames,
    record: ByteRecord,
    /// The line of the last row.
    line: i64,
    over: bool,
}

impl<R: Read> Rows<R> {
    pub(super) fn new(source: BufReader<R>, roles: RoleNames) -> Result<Self, ImportFault> {
        // Every row ends in a line feed, so that lines can be counted from the ends of rows: the parser's own count
        // leaves out the line feed of the row before where that ended in CR LF, and empty lines.
        let mut reader = ReaderBuilder::new()
            .flexible(true)
            .terminator(Terminator::Any(b'\n'))
            .from_reader(Bounded::new(source.chain(&b"\n"[..])));
        let header = reader
            .byte_headers()
            .map_err(|error| fault(error, 1))?
            .clone();
        let columns = columns(texts(&header))?;
        Ok(Self {
            reader,
            columns,
            roles,
            record: ByteRecord::new(),
            line: 0,
            over: false,
        })
    }

    pub(super) fn next(&mut self) -> Option<Result<Parsed, ImportFault>> {
        while !self.over {
            self.reader.get_mut().row_begins();
            match self.reader.read_byte_record(&mut self.record) {
                Ok(false) => self.over = true,
                Ok(true) if self.record.len() == 1 && bare(&self.record[0]).is_empty() => {}
                Ok(true) => {
                    self.line = self.first_line();
                    return Some(Ok(self.row()));
                }
                Err(error) => {
                    // There is no telling where the next row would begin.
                    self.over = true;
                    return Some(Err(fault(error, self.line + 1)));
                }
            }
        }
        None
    }

    /// Where the row that was just read begins.
    fn first_line(&self) -> i64 {
        let breaks = self.record.as_slice().iter().filter(|byte| **byte == b'\n');
        let inside = i64::try_from(breaks.count()).unwrap_or(i64::MAX);
        let next = i64::try_from(self.reader.position().line()).unwrap_or(i64::MAX);
        next.saturating_sub(1)
            .saturating_sub(inside)
            .max(self.line + 1)
    }

    fn row(&self) -> Parsed {
        let bad = |description: &str| BadRow::new(self.line, "row", description);
        let fields = texts(&self.record).ok_or_else(|| bad("is not UTF-8"))?;
        if fields.len() != self.columns.len() {
            let (has, expected) = (fields.len(), self.columns.len());
            let wrong = format!("has {has} fields where the header has {expected}");
            return Err(bad(&wrong));
        }
        let mut row = Texts::default();
        for (column, text) in self.columns.iter().zip(fields) {
            if let Some(slot) = row.slot(column) {
                *slot = text;
            }
        }
        row.user(self.line, &self.roles)
    }
}

/// The fields, less the carriage return at the end of the row.
fn texts(record: &ByteRecord) -> Option<Vec<&str>> {
    let last = record.len().checked_sub(1);
    let mut fields = Vec::with_capacity(record.len());
    for (at, field) in record.iter().enumerate() {
        let field = if Some(at) == last { bare(field) } else { field };
        fields.push(std::str::from_utf8(field).ok()?);
    }
    Some(fields)
}

fn bare(field: &[u8]) -> &[u8] {
    field.strip_suffix(b"\r").unwrap_or(field)
}

fn columns(header: Option<Vec<&str>>) -> Result<Vec<&'static str>, ImportFault> {
    let header = header.ok_or_else(|| ImportFault::Header("is not UTF-8".to_owned()))?;
    let mut columns = Vec::with_capacity(header.len());
    for name in header {
        let known = COLUMNS.iter().find(|column| **column == name.trim());
        let Some(column) = known else {
            let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            let known = COLUMNS.join(", ");
            let wrong = format!("there is no column `{name}`; there are {known}");
            return Err(ImportFault::Header(wrong));
        };
        if columns.contains(column) {
            return Err(ImportFault::Header(format!("`{column}` comes twice")));
        }
        columns.push(*column);
    }
    if !columns.contains(&"password_hash") {
        return Err(ImportFault::Header("`password_hash` is missing".to_owned()));
    }
    Ok(columns)
}

fn fault(error: csv::Error, line: i64) -> ImportFault {
    match error.into_kind() {
        csv::ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            ImportFault::TooLong(line)
        }
        csv::ErrorKind::Io(error) => ImportFault::Io(error),
        other => ImportFault::Io(std::io::Error::other(format!("{other:?}"))),
    }
}

/// Lets a row have no more than so many bytes: the parser itself would read an unclosed quote to the end of the file
/// into the memory.
struct Bounded<R> {
    inner: R,
    left: usize,
}

/// The most bytes of a row, and what the parser reads ahead.
const ROW: usize = 16 * LONGEST;

impl<R> Bounded<R> {
    fn new(inner: R) -> Self {
        Self { inner, left: ROW }
    }

    fn row_begins(&mut self) {
        self.left = ROW;
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        let most = buffer.len().min(self.left);
        let read = self.inner.read(&mut buffer[..most])?;
        self.left -= read;
        Ok(read)
    }
}
