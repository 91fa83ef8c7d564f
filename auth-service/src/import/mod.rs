//! Reads a file of accounts, a row at a time: what `ImportUsers` takes, from CSV with a header or from JSON lines.
//!
//! The file is never held whole. What cannot be read is told with its line, and the rows after it go on.

mod csv;
mod json;
mod row;

use std::io::{BufRead, BufReader, Read};

use millgate_contract::auth::v1 as pb;

pub use row::{COLUMNS, RoleNames, RoleNamesFault};

/// The longest line of JSON, or field of CSV, that is read, in bytes: no account has a longer one, and a file that is
/// none of these formats must not fill the memory.
const LONGEST: usize = 64 * 1024;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// CSV (RFC 4180) whose first row names the columns.
    Csv,
    /// A JSON object a line.
    JsonLines,
}

impl Format {
    /// The format that a file's name says: `.csv`, `.jsonl` or `.ndjson`.
    pub fn of_name(name: &str) -> Option<Self> {
        let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
        match ending.as_str() {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            _ => None,
        }
    }
}

/// A row that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {field}: {description}")]
pub struct BadRow {
    /// Where it begins, from 1.
    pub line: i64,
    /// The column or member that is wrong; `row` where it is the whole.
    pub field: String,
    /// What is wrong with it. Never the value: it may be a secret.
    pub description: String,
}

impl BadRow {
    fn new(line: i64, field: &str, description: impl Into<String>) -> Self {
        // A member's name comes out of the file: not more of it than helps, and nothing that moves a cursor.
        let field = field.chars().filter(|c| !c.is_control()).take(64).collect();
        Self {
            line,
            field,
            description: description.into(),
        }
    }
}

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum ImportFault {
    /// The file itself.
    #[error("the file cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The header of a CSV file.
    #[error("the header: {0}")]
    Header(String),
    /// A line or a field that is too long to be of an account.
    #[error("line {0} has more than 65536 bytes in a piece: is this the right format?")]
    TooLong(i64),
}

/// What one row became.
pub type Parsed = Result<pb::ImportedUser, BadRow>;

/// The rows of a file.
pub struct Reader<R: Read> {
    inner: Inner<R>,
}

enum Inner<R: Read> {
    Csv(Box<csv::Rows<R>>),
    Json(json::Rows<R>),
}

impl<R: Read> Reader<R> {
    /// Begins to read. A byte order mark at the beginning is passed over.
    ///
    /// # Errors
    /// When the file or its header cannot be read.
    pub fn new(source: R, format: Format, roles: RoleNames) -> Result<Self, ImportFault> {
        const MARK: &[u8] = "\u{feff}".as_bytes();
        let mut source = BufReader::with_capacity(LONGEST, source);
        if source.fill_buf()?.starts_with(MARK) {
            source.consume(MARK.len());
        }
        let inner = match format {
            Format::Csv => Inner::Csv(Box::new(csv::Rows::new(source, roles)?)),
            Format::JsonLines => Inner::Json(json::Rows::new(source, roles)),
        };
        Ok(Self { inner })
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Parsed, ImportFault>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.inner {
            Inner::Csv(rows) => rows.next(),
            Inner::Json(rows) => rows.next(),
        }
    }
}

impl<R: Read> std::fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

#[cfg(test)]
mod tests;
