//! The rules: what a name is, what a password must be, who may do what to whom. No transport and no database.

mod access_token;
pub(crate) mod audit;
mod delegation;
mod device_label;
mod email;
mod external_id;
mod factor_keys;
mod known_scopes;
mod letters;
mod login_challenge;
mod machine_secret;
mod password;
mod refresh;
mod reset;
mod rights;
mod role;
mod second_factor;
mod service_account;
mod session;
pub(crate) mod throttle;
mod time;
pub(crate) mod totp;
pub(crate) mod trust;
mod user;
mod username;
mod words;

pub(crate) use access_token::{
    AccessToken, AccessTokenState, NewAccessToken, access_token_not_found, stored_access_token,
};
pub(crate) use delegation::{DELEGATED_LIFE, Delegation, denied as delegation_denied};
pub(crate) use device_label::DeviceLabel;
pub(crate) use email::Email;
pub(crate) use external_id::ExternalId;
pub(crate) use factor_keys::{FactorKeys, FactorPlace};
pub(crate) use known_scopes::KnownScopes;
pub(crate) use login_challenge::{CHALLENGE_LIFE, CODES_PER_CHALLENGE, ChallengeToken};
pub(crate) use machine_secret::{MachineSecret, SecretKind};
pub(crate) use password::{NewPassword, Password};
pub(crate) use refresh::{Family, LONG_AGO, Place, Presented, RefreshKeys, RefreshToken, Verdict};
pub(crate) use reset::{HOUR, MAILS_PER_HOUR, RESET_LIFE, ResetToken};
pub(crate) use rights::{Viewer, not_found};
pub(crate) use role::Role;
pub(crate) use second_factor::{BOTH_METHODS, CODE_METHOD, Code, RECOVERY_CODES, RecoveryCode};
pub(crate) use service_account::{
    ClientId, ClientSecret, LiveSecret, NewServiceAccount, Overlap, ServiceAccount,
    ServiceAccountChange, service_account_not_found,
};
pub(crate) use session::{EndReason, ListedSession, Session, SessionLimits};
pub(crate) use time::{Micros, micros, seconds};
pub(crate) use totp::{TotpCode, TotpSecret};
pub(crate) use user::{MovedUser, NameChange, Names, NewUser, User, UserState};
pub(crate) use username::Username;
pub(crate) use words::words;

#[cfg(test)]
pub(crate) use user::tests;
