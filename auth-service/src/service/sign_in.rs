//! Reading the requests of people who are about to prove who they are.

use millgate_contract::auth::v1 as pb;
use millgate_guard::Scopes;
use millgate_platform::{Fault, Fields};

use crate::actions::login::LoginName;
use crate::actions::revoke_token::Ending;
use crate::actions::step_up::Given;
use crate::domain::{
    ClientId, ClientSecret, Code, DeviceLabel, Email, MachineSecret, Names, NewPassword, Password,
    RefreshKeys, RefreshToken, ResetToken, SecretKind, Username,
};
use crate::wire::{self, ACCESS_TOKEN_TYPE};

/// The names and the password of a new account.
pub(super) fn registration(message: &pb::RegisterRequest) -> Result<(Names, NewPassword), Fault> {
    let mut fields = Fields::of_request(&message.request_id);
    let names = names(&mut fields, "", &message.username, &message.email);
    let password = new_password(&mut fields, &message.password, names.as_ref());
    fields.all((names, password))
}

/// The password of a new account, which must not be made of its names.
pub(super) fn new_password(
    fields: &mut Fields,
    text: &str,
    names: Option<&Names>,
) -> Option<NewPassword> {
    let password = fields.parse("password", NewPassword::parse(text))?;
    if let Some(names) = names {
        fields.parse("password", password.avoid(names.texts()))?;
    }
    Some(password)
}

/// The names of a new account; `prefix` is where they stand in the message.
pub(super) fn names(
    fields: &mut Fields,
    prefix: &str,
    username: &str,
    email: &str,
) -> Option<Names> {
    let name = fields.parse(
        &format!("{prefix}username"),
        wire::optional(username, Username::parse_new),
    );
    let address = fields.parse(
        &format!("{prefix}email"),
        wire::optional(email, Email::parse),
    );
    let (name, address) = (name?, address?);
    fields.parse(&format!("{prefix}username"), Names::new(name, address))
}

/// The name, the password, the code and the device of a login.
pub(super) type Login = (LoginName, Password, Option<Code>, DeviceLabel);

/// Who logs in, and with what.
///
/// A name that no account can have is no fault of the request: it is answered like any name that is unknown.
pub(super) fn login(message: &pb::LoginRequest) -> Result<Login, Fault> {
    let mut fields = Fields::new();
    let name = login_name(&mut fields, &message.username, &message.email);
    let password = fields.parse("password", Password::parse(&message.password));
    let device = fields.parse("device_label", DeviceLabel::parse(&message.device_label));
    let code = fields.parse("totp_code", wire::optional(&message.totp_code, Code::parse));
    fields.all((name, password, code, device))
}

/// The code of a login's second step. Its token is looked at apart: one that is none is answered like an old one.
pub(super) fn second_step(message: &pb::CompleteLoginRequest) -> Result<Code, Fault> {
    let mut fields = Fields::new();
    fields.check("mfa_token", !message.mfa_token.is_empty(), "is needed");
    let code = fields.parse("code", Code::parse(&message.code));
    fields.all((code,)).map(|(code,)| code)
}

/// The longest name that is looked at, in bytes: what no account can be called is kept as it was typed, and waits.
const LONGEST_NAME: usize = 1024;

fn login_name(fields: &mut Fields, username: &str, email: &str) -> Option<LoginName> {
    let mut fits = true;
    for (field, text) in [("username", username), ("email", email)] {
        let good = text.len() <= LONGEST_NAME;
        fields.check(field, good, "at most 1024 bytes");
        fits &= good;
    }
    if !fits {
        return None;
    }
    fields.parse("username", one_name(username, email))
}

fn one_name(username: &str, email: &str) -> Result<LoginName, &'static str> {
    match (username, email) {
        ("", "") => Err("a user name or an email address is needed"),
        (name, "") => Ok(Username::parse(name).map_or_else(
            |_| LoginName::Impossible(name.to_owned()),
            LoginName::Username,
        )),
        ("", email) => Ok(Email::parse(email).map_or_else(
            |_| LoginName::Impossible(email.to_owned()),
            LoginName::Email,
        )),
        _ => Err("a user name or an email address, not both"),
    }
}

/// A service account's credentials, and the scopes it asks for. An id that no account can have is none.
pub(super) type ServiceLogin = (Option<ClientId>, ClientSecret, Option<Scopes>);

/// The credentials of a service account.
pub(super) fn service_token(message: &pb::IssueServiceTokenRequest) -> Result<ServiceLogin, Fault> {
    let mut fields = Fields::new();
    fields.check("client_id", !message.client_id.is_empty(), "is needed");
    let secret = fields.parse(
        "client_secret",
        ClientSecret::presented(&message.client_secret),
    );
    let asked = fields.parse("scope", wire::scope(&message.scope));
    let (secret, asked) = fields.all((secret, asked))?;
    Ok((ClientId::parse(&message.client_id).ok(), secret, asked))
}

/// What a person proves with that they still are who they are.
pub(super) fn step_up(message: &pb::ReauthenticateRequest) -> Result<Given, Fault> {
    let mut fields = Fields::new();
    let password = fields.parse(
        "current_password",
        Password::parse(&message.current_password),
    );
    let code = fields.parse("totp_code", wire::optional(&message.totp_code, Code::parse));
    let (password, code) = fields.all((password, code))?;
    Ok(Given { password, code })
}

/// The old and the new password of a change.
pub(super) fn password_change(
    message: &pb::ChangePasswordRequest,
) -> Result<(Password, NewPassword), Fault> {
    let mut fields = Fields::new();
    let current = fields.parse(
        "current_password",
        Password::parse(&message.current_password),
    );
    let new = fields.parse("new_password", NewPassword::parse(&message.new_password));
    fields.all((current, new))
}

/// The scopes that an exchange asks for, if the rest of it is as it must be. `audience` is that of every token.
pub(super) fn exchange(
    message: &pb::ExchangeTokenRequest,
    audience: &str,
) -> Result<Option<Scopes>, Fault> {
    let mut fields = Fields::new();
    fields.check(
        "subject_token",
        !message.subject_token.is_empty(),
        "is needed",
    );
    let kind = message.subject_token_type.as_str();
    let known = kind.is_empty() || kind == ACCESS_TOKEN_TYPE;
    fields.check(
        "subject_token_type",
        known,
        format!("must be {ACCESS_TOKEN_TYPE}"),
    );
    let ours = message.audience.is_empty() || message.audience == audience;
    fields.check("audience", ours, format!("must be {audience}"));
    let asked = fields.parse("scope", wire::scope(&message.scope));
    fields.all((asked,)).map(|(asked,)| asked)
}

/// What a RevokeToken wants ended: the token's form says what it is.
pub(super) fn ending<'a>(
    message: &'a pb::RevokeTokenRequest,
    keys: &RefreshKeys,
) -> Result<Ending<'a>, Fault> {
    let token = message.token.as_str();
    if token.is_empty() {
        return Err(Fault::field("token", "is needed"));
    }
    let personal = MachineSecret::parse(SecretKind::AccessToken, token);
    Ok(match (personal, RefreshToken::parse(token, keys)) {
        (Some(token), _) => Ending::PersonalAccessToken(token),
        (None, Some(token)) => Ending::Refresh(token),
        (None, None) => Ending::Access(token),
    })
}

/// The name of an account whose password is to be set anew.
pub(super) fn reset_request(message: &pb::RequestPasswordResetRequest) -> Result<LoginName, Fault> {
    let mut fields = Fields::new();
    let name = login_name(&mut fields, &message.username, &message.email);
    fields.all((name,)).map(|(name,)| name)
}

/// The token of a reset, none where it is not one, and the new password.
pub(super) fn reset(
    message: &pb::ResetPasswordRequest,
) -> Result<(Option<ResetToken>, NewPassword), Fault> {
    let mut fields = Fields::new();
    fields.check("token", !message.token.is_empty(), "is needed");
    let new = fields.parse("new_password", NewPassword::parse(&message.new_password));
    let (new,) = fields.all((new,))?;
    Ok((ResetToken::parse(&message.token), new))
}
