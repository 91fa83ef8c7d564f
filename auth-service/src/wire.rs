//! Between the contract's messages and the domain's types.

mod access_token;
mod introspection;
mod service_account;
pub(crate) mod trust;

use millgate_contract::auth::v1 as pb;
use millgate_guard::Scopes;
use millgate_platform::{Etag, FieldFault};
use prost_types::Timestamp;

use crate::actions::Issued;
use crate::domain::{Email, ExternalId, Micros, Names, Role, User, UserState, Username};
use secrecy::{ExposeSecret, SecretString};

pub(crate) use access_token::{ACCESS_TOKEN_TYPE, access_token, time};
pub(crate) use introspection::introspection;
pub(crate) use service_account::{disabled, duration, service_account};

/// Takes the `request_id` out of a request: what remains is compared when the id comes again.
pub(crate) fn without_id<T>(mut request: T, id: impl Fn(&mut T) -> &mut String) -> (String, T) {
    let request_id = std::mem::take(id(&mut request));
    (request_id, request)
}

/// An account as it goes out.
pub(crate) fn user(user: &User) -> pb::User {
    pb::User {
        id: user.id,
        username: user.username.clone().unwrap_or_default(),
        email: user.email.clone().unwrap_or_default(),
        role: role_out(user.role).into(),
        state: match user.state {
            UserState::Active => pb::UserState::Active,
            UserState::Disabled => pb::UserState::Disabled,
        }
        .into(),
        external_id: user.external_id.clone().unwrap_or_default(),
        etag: Etag::of(user.revision),
        create_time: Some(timestamp(user.create_time)),
        update_time: Some(timestamp(user.update_time)),
        last_login_time: user.last_login_time.map(timestamp),
    }
}

/// What names the person of an account as it goes out. The memory of request ids does without it, so that a deleted
/// account leaves no name behind there; a retry brings it again, or the account still has it.
#[derive(Debug, Clone)]
pub(crate) struct Naming {
    username: String,
    email: String,
    external_id: String,
}

impl Naming {
    /// Takes it out of an answer.
    pub(crate) fn take(user: &mut pb::User) -> Self {
        Self {
            username: std::mem::take(&mut user.username),
            email: std::mem::take(&mut user.email),
            external_id: std::mem::take(&mut user.external_id),
        }
    }

    /// What a request for a new account names.
    pub(crate) fn of(names: &Names, external_id: Option<&ExternalId>) -> Self {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Self {
            username: text(names.username().map(Username::as_str)),
            email: text(names.email().map(Email::as_str)),
            external_id: text(external_id.map(ExternalId::as_str)),
        }
    }

    /// Puts it into an answer.
    pub(crate) fn put(self, user: &mut pb::User) {
        (user.username, user.email, user.external_id) =
            (self.username, self.email, self.external_id);
    }
}

/// Tokens as they go out.
pub(crate) fn tokens(issued: &Issued, message: &str) -> pb::TokenResponse {
    let access = issued.access.text.expose_secret();
    pb::TokenResponse {
        status: "success".to_owned(),
        message: message.to_owned(),
        token: access.to_owned(),
        access_token: access.to_owned(),
        refresh_token: issued.refresh.expose_secret().to_owned(),
        token_type: TOKEN_TYPE.to_owned(),
        expires_in: issued.access.expires_in,
        session_id: issued.session.clone(),
        ..pb::TokenResponse::default()
    }
}

/// The answer to a login whose code is missing.
pub(crate) fn code_wanted(token: &SecretString) -> pb::TokenResponse {
    pb::TokenResponse {
        status: "mfa_required".to_owned(),
        message: "A code of the second factor is needed.".to_owned(),
        mfa_required: true,
        mfa_token: token.expose_secret().to_owned(),
        ..pb::TokenResponse::default()
    }
}

/// How every token is sent (RFC 6750).
pub(crate) const TOKEN_TYPE: &str = "Bearer";

/// A role that has to be given.
pub(crate) fn role(number: i32) -> Result<Role, FieldFault> {
    optional_role(number)?.ok_or_else(|| "is needed".into())
}

/// A role that may be left out.
pub(crate) fn optional_role(number: i32) -> Result<Option<Role>, FieldFault> {
    match pb::Role::try_from(number) {
        Ok(pb::Role::Unspecified) => Ok(None),
        Ok(pb::Role::Admin) => Ok(Some(Role::Admin)),
        Ok(pb::Role::User) => Ok(Some(Role::User)),
        Ok(pb::Role::Mechanic) => Ok(Some(Role::Mechanic)),
        Ok(pb::Role::Customer) => Ok(Some(Role::Customer)),
        Err(_) => Err("is not a role".into()),
    }
}

/// A state that may be left out.
pub(crate) fn optional_state(number: i32) -> Result<Option<UserState>, FieldFault> {
    match pb::UserState::try_from(number) {
        Ok(pb::UserState::Unspecified) => Ok(None),
        Ok(pb::UserState::Active) => Ok(Some(UserState::Active)),
        Ok(pb::UserState::Disabled) => Ok(Some(UserState::Disabled)),
        Err(_) => Err("is not a state of an account".into()),
    }
}

/// An id that has to be given.
pub(crate) fn id(number: i64) -> Result<i64, FieldFault> {
    if number > 0 {
        Ok(number)
    } else {
        Err("must be a positive number".into())
    }
}

/// A name that may be left out: an empty text is none.
pub(crate) fn optional<T, E: Into<FieldFault>>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, FieldFault> {
    if text.is_empty() {
        Ok(None)
    } else {
        parse(text).map(Some).map_err(Into::into)
    }
}

/// Scopes separated by spaces, which may be left out.
pub(crate) fn scope(text: &str) -> Result<Option<Scopes>, FieldFault> {
    optional(text, |text| {
        Scopes::parse(text).map_err(|error| FieldFault::from(error.to_string()))
    })
}

/// Microseconds since the epoch as the contract says them.
pub(crate) fn timestamp(at: Micros) -> Timestamp {
    let nanos = at.rem_euclid(1_000_000) * 1_000;
    // Below a billion by the line above.
    Timestamp {
        seconds: at.div_euclid(1_000_000),
        nanos: i32::try_from(nanos).unwrap_or_default(),
    }
}

fn role_out(role: Role) -> pb::Role {
    match role {
        Role::Admin => pb::Role::Admin,
        Role::User => pb::Role::User,
        Role::Mechanic => pb::Role::Mechanic,
        Role::Customer => pb::Role::Customer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tests;

    #[test]
    fn every_role_survives_the_way_out_and_in() {
        for one in [Role::Admin, Role::User, Role::Mechanic, Role::Customer] {
            let sent = user(&tests::user(1, one, None));
            assert_eq!(role(sent.role), Ok(one));
        }
        assert!(role(0).is_err() && role(99).is_err() && role(-1).is_err());
        assert_eq!(optional_role(0), Ok(None));
        assert!(optional_state(7).is_err());
    }

    #[test]
    fn times_keep_their_microseconds_also_before_the_epoch() {
        assert_eq!(
            timestamp(1_500_000),
            Timestamp {
                seconds: 1,
                nanos: 500_000_000
            }
        );
        assert_eq!(
            timestamp(-1),
            Timestamp {
                seconds: -1,
                nanos: 999_999_000
            }
        );
    }
}
