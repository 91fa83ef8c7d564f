//! Personal access tokens between the contract and the domain.

use millgate_contract::auth::v1 as pb;
use millgate_platform::FieldFault;
use prost_types::Timestamp;

use super::timestamp;
use crate::domain::{AccessToken, AccessTokenState, Micros};

/// What RFC 8693 section 3 calls an access token.
pub(crate) const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A personal access token as it goes out; nothing here can make it again.
pub(crate) fn access_token(token: &AccessToken, now: Micros) -> pb::AccessToken {
    let state = match token.state(now) {
        AccessTokenState::Active => pb::AccessTokenState::Active,
        AccessTokenState::Expired => pb::AccessTokenState::Expired,
        AccessTokenState::Revoked => pb::AccessTokenState::Revoked,
    };
    pb::AccessToken {
        id: token.id,
        user_id: token.user_id,
        name: token.name.clone(),
        scopes: token.scopes.iter().map(str::to_owned).collect(),
        expire_time: Some(timestamp(token.expire_time)),
        state: state.into(),
        create_time: Some(timestamp(token.create_time)),
        last_used_time: token.last_used_time.map(timestamp),
        revoke_time: token.revoke_time.map(timestamp),
        session_id: token.sid.clone(),
        token: String::new(),
    }
}

/// A time that has to be given.
pub(crate) fn time(sent: Option<&Timestamp>) -> Result<Micros, FieldFault> {
    let sent = sent.ok_or("is needed")?;
    let within = (0..1_000_000_000).contains(&sent.nanos);
    let whole = sent.seconds.checked_mul(1_000_000).filter(|_| within);
    whole
        .and_then(|whole| whole.checked_add(i64::from(sent.nanos / 1_000)))
        .ok_or_else(|| "is not a time".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_to_the_microsecond_and_what_is_none_is_refused() {
        let read = |seconds, nanos| time(Some(&Timestamp { seconds, nanos }));
        assert_eq!(read(1, 500_000_999), Ok(1_500_000));
        assert_eq!(read(-1, 999_999_000), Ok(-1));
        assert!(time(None).is_err());
        for (seconds, nanos) in [(i64::MAX, 0), (i64::MIN, 0), (0, -1), (0, 1_000_000_000)] {
            assert!(read(seconds, nanos).is_err());
        }
    }
}
