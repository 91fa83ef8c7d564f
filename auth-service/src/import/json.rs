//! JSON lines: an object a line, its members the columns. Empty lines are passed over.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use serde::Deserializer as _;
use serde::de::{Error as _, MapAccess, Visitor};

use super::row::{COLUMNS, RoleNames, Texts};
use super::{BadRow, ImportFault, LONGEST, Parsed};

pub(super) struct Rows<R: Read> {
    source: BufReader<R>,
    roles: RoleNames,
    line: i64,
    buffer: Vec<u8>,
    over: bool,
}

impl<R: Read> Rows<R> {
    pub(super) fn new(source: BufReader<R>, roles: RoleNames) -> Self {
        Self {
            source,
            roles,
            line: 0,
            buffer: Vec::new(),
            over: false,
        }
    }

    pub(super) fn next(&mut self) -> Option<Result<Parsed, ImportFault>> {
        while !self.over {
            self.buffer.clear();
            self.line += 1;
            // One more than a line may have, so that too much shows.
            let most = LONGEST as u64 + 2;
            let mut line = self.source.by_ref().take(most);
            match line.read_until(b'\n', &mut self.buffer) {
                Ok(0) => self.over = true,
                Ok(read) if read > LONGEST + 1 => {
                    self.over = true;
                    return Some(Err(ImportFault::TooLong(self.line)));
                }
                Ok(_) if self.buffer.trim_ascii().is_empty() => {}
                Ok(_) => return Some(Ok(self.row())),
                Err(error) => {
                    self.over = true;
                    return Some(Err(error.into()));
                }
            }
        }
        None
    }

    fn row(&self) -> Parsed {
        let bad = |description: &str| BadRow::new(self.line, "row", description);
        let text = std::str::from_utf8(&self.buffer).map_err(|_| bad("is not UTF-8"))?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let members = reader
            .deserialize_map(Members)
            .and_then(|members| reader.end().map(|()| members))
            // serde_json's own words repeat what stands there.
            .map_err(|error| match error.classify() {
                serde_json::error::Category::Data => {
                    let told = error.to_string();
                    let told = told.split(" at line ").next().unwrap_or_default();
                    let ours = told.starts_with(OURS);
                    bad(if ours {
                        told
                    } else {
                        "must be an object of texts"
                    })
                }
                _ => bad("is not JSON"),
            })?;
        let mut texts = Texts::default();
        for (name, text) in &members {
            if let Some(slot) = texts.slot(name) {
                *slot = text;
            }
        }
        texts.user(self.line, &self.roles)
    }
}

/// How a description of ours begins.
const OURS: &str = "the members are ";

/// An object whose members are texts (a number is taken as it is written, `null` as not said), each at most once.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<(String, String)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if !COLUMNS.contains(&name.as_str()) || members.iter().any(|(known, _)| *known == name)
            {
                let known = COLUMNS.join(", ");
                return Err(A::Error::custom(format_args!(
                    "{OURS}{known}, each at most once"
                )));
            }
            let text = match map.next_value::<serde_json::Value>()? {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => text,
                serde_json::Value::Number(number) if name == "external_id" => number.to_string(),
                _ => return Err(A::Error::custom("not a text")),
            };
            members.push((name, text));
        }
        Ok(members)
    }
}
