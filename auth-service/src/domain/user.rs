//! An account.

use super::{Email, ExternalId, Micros, Role, Username};

/// Whether an account can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UserState {
    /// In use.
    Active,
    /// Cannot log in, and its tokens are refused.
    Disabled,
}

impl UserState {
    /// The state in the database.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    /// The state of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Active, Self::Disabled]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}

/// What a person logs in with: a user name, an email address, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    username: Option<Username>,
    email: Option<Email>,
}

impl Names {
    /// Takes the names of a new account.
    ///
    /// # Errors
    /// What is wrong when there is neither.
    pub(crate) fn new(
        username: Option<Username>,
        email: Option<Email>,
    ) -> Result<Self, &'static str> {
        if username.is_none() && email.is_none() {
            return Err("a user name or an email address is needed");
        }
        Ok(Self { username, email })
    }

    /// All of them, as they were written.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let username = self.username.as_ref().map(Username::as_str);
        let email = self.email.as_ref().map(Email::as_str);
        username.into_iter().chain(email)
    }

    /// The user name, where there is one.
    pub(crate) fn username(&self) -> Option<&Username> {
        self.username.as_ref()
    }

    /// The email address, where there is one.
    pub(crate) fn email(&self) -> Option<&Email> {
        self.email.as_ref()
    }
}

/// An account to be made.
pub(crate) struct NewUser {
    /// What it logs in with.
    pub(crate) names: Names,
    /// The hash of its password.
    pub(crate) password_hash: String,
    /// What it may do.
    pub(crate) role: Role,
    /// The id that the creating client knows it by.
    pub(crate) external_id: Option<ExternalId>,
    /// The `client_id` of the service account that makes it; none where a person does.
    pub(crate) created_by: Option<String>,
}

/// An account that another system kept.
pub(crate) struct MovedUser {
    /// As a new one, with the hash that the other system made.
    pub(crate) new: NewUser,
    /// Whether it can be used.
    pub(crate) state: UserState,
    /// When it was made there; none where that is not said.
    pub(crate) create_time: Option<Micros>,
}

/// Which names an update changes, and to what: the inner `None` takes the name away.
#[derive(Debug, Default)]
pub(crate) struct NameChange {
    /// The user name.
    pub(crate) username: Option<Option<Username>>,
    /// The email address.
    pub(crate) email: Option<Option<Email>>,
}

impl NameChange {
    /// Whether a name of `user` would be another one, or written in another way.
    pub(crate) fn touches(&self, user: &User) -> bool {
        let username = self
            .username
            .as_ref()
            .is_some_and(|new| new.as_ref().map(Username::as_str) != user.username.as_deref());
        username || self.touches_email(user)
    }

    /// The same of the email address.
    pub(crate) fn touches_email(&self, user: &User) -> bool {
        self.email
            .as_ref()
            .is_some_and(|new| new.as_ref().map(Email::as_str) != user.email.as_deref())
    }

    /// Whether `user` would be left without a name to log in with.
    pub(crate) fn leaves_nameless(&self, user: &User) -> bool {
        let stays = |change: Option<bool>, has: bool| change.unwrap_or(has);
        !stays(
            self.username.as_ref().map(Option::is_some),
            user.username.is_some(),
        ) && !stays(
            self.email.as_ref().map(Option::is_some),
            user.email.is_some(),
        )
    }
}

/// An account as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct User {
    /// Never used again after a deletion.
    pub(crate) id: i64,
    /// As it was written.
    pub(crate) username: Option<String>,
    /// As it was written.
    pub(crate) email: Option<String>,
    /// What it may do.
    pub(crate) role: Role,
    /// Whether it can be used.
    pub(crate) state: UserState,
    /// Counts what ends all tokens issued before: a password change, a role change, a disabling.
    pub(crate) generation: i64,
    /// The id that the creating client knows it by.
    pub(crate) external_id: Option<String>,
    /// The service account that made it; none where a person did.
    pub(crate) created_by: Option<String>,
    /// Counts the changes that a reader can see: the etag.
    pub(crate) revision: i64,
    /// When it was made.
    pub(crate) create_time: Micros,
    /// When it was last changed.
    pub(crate) update_time: Micros,
    /// When somebody last logged in with it.
    pub(crate) last_login_time: Option<Micros>,
}

impl User {
    /// Whether it counts for the rule that one administrator must remain.
    pub(crate) fn is_active_admin(&self) -> bool {
        self.role == Role::Admin && self.state == UserState::Active
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An account for tests of the rules.
    pub(crate) fn user(id: i64, role: Role, created_by: Option<&str>) -> User {
        User {
            id,
            username: Some(format!("user-{id}")),
            email: None,
            role,
            state: UserState::Active,
            generation: 1,
            external_id: None,
            created_by: created_by.map(str::to_owned),
            revision: 1,
            create_time: 0,
            update_time: 0,
            last_login_time: None,
        }
    }

    #[test]
    fn an_account_needs_a_name() {
        assert!(Names::new(None, None).is_err());
        assert!(Names::new(Username::parse("ada").ok(), None).is_ok());
        assert!(Names::new(None, Email::parse("a@b.c").ok()).is_ok());
    }

    #[test]
    fn the_last_name_cannot_be_taken_away() {
        let user = user(1, Role::Customer, None);
        let gone = NameChange {
            username: Some(None),
            email: None,
        };
        assert!(gone.leaves_nameless(&user));
        let swapped = NameChange {
            username: Some(None),
            email: Some(Email::parse("a@b.c").ok()),
        };
        assert!(!swapped.leaves_nameless(&user));
        assert!(!NameChange::default().leaves_nameless(&user));
        assert!(
            !NameChange {
                username: None,
                email: Some(None)
            }
            .leaves_nameless(&user)
        );
    }
}
