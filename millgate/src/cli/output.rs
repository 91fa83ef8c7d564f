//! Answers: tables for people, JSON for programs. The JSON is that of the HTTP API: the same names, 64-bit numbers as
//! texts, times as RFC 3339.

use std::sync::LazyLock;

use comfy_table::{ContentArrangement, Table, presets};
use millgate_contract::DESCRIPTORS;
use millgate_platform::StartError;
use prost::Message;
use prost_reflect::{DescriptorError, DescriptorPool, DynamicMessage, SerializeOptions};
use prost_types::Timestamp;
use serde_json::Value;

use super::Failure;
use crate::terminal::say;

/// How answers are told.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Output {
    /// Answers in JSON: one object, or one a line for a list.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Output {
    /// One object, or what a person wants to know of it.
    pub(crate) fn one<M: Message>(
        self,
        name: &str,
        message: &M,
        words: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json {
            say(&json(name, message)?.to_string())?;
        } else {
            say(&words())?;
        }
        Ok(())
    }

    /// One object that is no message, or what a person wants to know of it.
    pub(crate) fn value(
        self,
        value: &Value,
        words: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json {
            say(&value.to_string())?;
        } else {
            say(&words())?;
        }
        Ok(())
    }
}

/// A list: lines of JSON as they come, or a table at the end.
pub(crate) struct List {
    json: Option<&'static str>,
    table: Table,
    rows: usize,
}

impl List {
    /// Of messages of this name, with these columns.
    pub(crate) fn new(output: Output, name: &'static str, columns: &[&str]) -> Self {
        let mut table = Table::new();
        table
            .load_preset(presets::UTF8_HORIZONTAL_ONLY)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(columns);
        Self {
            json: output.json.then_some(name),
            table,
            rows: 0,
        }
    }

    /// One more.
    pub(crate) fn add<M: Message>(
        &mut self,
        message: &M,
        cells: impl FnOnce() -> Vec<String>,
    ) -> Result<(), Failure> {
        self.rows += 1;
        match self.json {
            Some(name) => say(&json(name, message)?.to_string())?,
            None => {
                // What people wrote must not move the cursor or colour the screen.
                let plain = |cell: String| cell.replace(|c: char| c.is_control(), "\u{fffd}");
                self.table.add_row(cells().into_iter().map(plain));
            }
        }
        Ok(())
    }

    /// The end.
    pub(crate) fn end(self, what: &str) -> Result<(), Failure> {
        if self.json.is_none() {
            if self.rows > 0 {
                say(&self.table.to_string())?;
            }
            say(&format!("{} {what}", self.rows))?;
        }
        Ok(())
    }
}

/// Read once: an export tells many messages.
static POOL: LazyLock<Result<DescriptorPool, DescriptorError>> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS));

/// A message of the contract as the HTTP API would tell it.
pub(crate) fn json<M: Message>(name: &str, message: &M) -> Result<Value, Failure> {
    let broken = |error: String| Failure::from(StartError::new("contract", error));
    let pool = POOL.as_ref().map_err(|error| broken(error.to_string()))?;
    let descriptor = pool
        .get_message_by_name(&format!("millgate.auth.v1.{name}"))
        .ok_or_else(|| broken(format!("there is no message {name}")))?;
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .map_err(|error| broken(error.to_string()))?;
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .skip_default_fields(false);
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| broken(error.to_string()))
}

/// A time for people: RFC 3339 to the second, in UTC.
pub(crate) fn time(at: Option<&Timestamp>) -> String {
    at.map_or_else(String::new, |at| {
        Timestamp {
            seconds: at.seconds,
            nanos: 0,
        }
        .to_string()
    })
}

/// An enum's name without its prefix, in small letters.
pub(crate) fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use millgate_contract::auth::v1 as pb;

    #[test]
    fn a_message_is_told_as_the_http_api_tells_it() {
        let user = pb::User {
            id: 7,
            username: "ada".into(),
            role: pb::Role::Admin.into(),
            create_time: Some(Timestamp {
                seconds: 0,
                nanos: 0,
            }),
            ..Default::default()
        };
        let told = json("User", &user).expect("told");
        assert_eq!(told["id"], "7");
        assert_eq!(told["role"], "ROLE_ADMIN");
        assert_eq!(told["create_time"], "1970-01-01T00:00:00Z");
        assert_eq!(told["external_id"], "", "default values are there");
    }

    #[test]
    fn what_somebody_wrote_does_not_reach_the_terminal_as_a_command() {
        let mut list = List::new(Output { json: false }, "User", &["name"]);
        list.add(&pb::User::default(), || vec!["a\u{1b}[2Jb".into()])
            .expect("added");
        assert!(!list.table.to_string().contains('\u{1b}'));
    }
}
