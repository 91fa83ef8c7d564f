//! From the texts of a row to an account.

use std::collections::BTreeMap;

use millgate_contract::auth::v1 as pb;
use prost_types::Timestamp;

use super::BadRow;

/// The columns of a CSV file, and the members of a JSON object.
pub const COLUMNS: &[&str] = &[
    "username",
    "email",
    "role",
    "password_hash",
    "state",
    "external_id",
    "create_time",
];

/// What the roles of the other system are called here.
#[derive(Debug, Clone, Default)]
pub struct RoleNames(BTreeMap<String, pb::Role>);

/// Why a renaming of roles cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleNamesFault {
    /// Not `old=new`.
    #[error("must be OLD=NEW")]
    Shape,
    /// The new one is none of ours.
    #[error("the new role must be admin, user, mechanic or customer")]
    Unknown,
    /// The old one is given twice.
    #[error("the old role is given twice")]
    Twice,
}

impl RoleNames {
    /// From `old=new` pairs.
    ///
    /// # Errors
    /// For a pair that is none, a new role that is unknown, and an old one that comes twice.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = &'a str>) -> Result<Self, RoleNamesFault> {
        let mut names = BTreeMap::new();
        for pair in pairs {
            let (old, new) = pair.split_once('=').ok_or(RoleNamesFault::Shape)?;
            let new = role(new).ok_or(RoleNamesFault::Unknown)?;
            if names.insert(old.to_owned(), new).is_some() {
                return Err(RoleNamesFault::Twice);
            }
        }
        Ok(Self(names))
    }

    fn get(&self, name: &str) -> Option<pb::Role> {
        self.0.get(name).copied().or_else(|| role(name))
    }
}

fn role(name: &str) -> Option<pb::Role> {
    Some(match name {
        "admin" => pb::Role::Admin,
        "user" => pb::Role::User,
        "mechanic" => pb::Role::Mechanic,
        "customer" => pb::Role::Customer,
        _ => return None,
    })
}

/// A row as texts; an empty one is not said.
#[derive(Default)]
pub(super) struct Texts<'a> {
    pub(super) username: &'a str,
    pub(super) email: &'a str,
    pub(super) role: &'a str,
    pub(super) password_hash: &'a str,
    pub(super) state: &'a str,
    pub(super) external_id: &'a str,
    pub(super) create_time: &'a str,
}

impl<'a> Texts<'a> {
    /// Where the text of this column goes; none for a column that there is not.
    pub(super) fn slot(&mut self, column: &str) -> Option<&mut &'a str> {
        Some(match column {
            "username" => &mut self.username,
            "email" => &mut self.email,
            "role" => &mut self.role,
            "password_hash" => &mut self.password_hash,
            "state" => &mut self.state,
            "external_id" => &mut self.external_id,
            "create_time" => &mut self.create_time,
            _ => return None,
        })
    }

    /// The account. Names and hash are left to the service, which checks them for everybody.
    pub(super) fn user(&self, line: i64, roles: &RoleNames) -> super::Parsed {
        let role = match self.role {
            "" => pb::Role::Unspecified,
            name => roles.get(name).ok_or_else(|| {
                let known =
                    "must be admin, user, mechanic or customer, or be mapped to one of them";
                BadRow::new(line, "role", known)
            })?,
        };
        let state = match self.state {
            "" => pb::UserState::Unspecified,
            "active" => pb::UserState::Active,
            "disabled" => pb::UserState::Disabled,
            _ => return Err(BadRow::new(line, "state", "must be active or disabled")),
        };
        let create_time = match self.create_time {
            "" => None,
            text => {
                let bad = || BadRow::new(line, "create_time", "must be like 2026-11-20T13:00:00Z");
                Some(text.parse::<Timestamp>().map_err(|_| bad())?)
            }
        };
        Ok(pb::ImportedUser {
            line,
            username: self.username.to_owned(),
            email: self.email.to_owned(),
            role: role.into(),
            password_hash: self.password_hash.to_owned(),
            state: state.into(),
            external_id: self.external_id.to_owned(),
            create_time,
        })
    }
}
