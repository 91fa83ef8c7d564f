//! Personal access tokens: what a person gives to a script.

use std::time::Duration;

use millgate_guard::Scopes;
use millgate_platform::{Fault, Reason};
use ring::hmac;

use super::machine_secret::MachineSecret;
use super::time::micros;
use super::{Micros, User, UserState};

/// How exactly the last use is known.
const USE_PRECISION: Duration = Duration::from_secs(60);

/// What is stored of a token: an HMAC-SHA256 under a key that only the auth service has. No slow hash: it is 256 random
/// bits, which nobody guesses at any speed.
pub(crate) fn stored_access_token(token: &MachineSecret, key: &hmac::Key) -> Vec<u8> {
    hmac::sign(key, token.text().as_bytes()).as_ref().to_vec()
}

/// A token to be made.
#[derive(Debug)]
pub(crate) struct NewAccessToken {
    /// What it is for.
    pub(crate) name: String,
    /// What it may be used for.
    pub(crate) scopes: Scopes,
    /// When it ends by itself.
    pub(crate) expire_time: Micros,
}

impl NewAccessToken {
    /// The most characters of a name.
    pub(crate) const LONGEST_NAME: usize = 100;
    /// A year, leap years included: a token that nobody has looked at for so long is a forgotten one.
    const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 60 * 60);

    /// Takes the end of a token that is made at `now`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn end(expire_time: Micros, now: Micros) -> Result<Micros, &'static str> {
        if expire_time <= now {
            return Err("must be in the future");
        }
        if expire_time.saturating_sub(now) > micros(Self::LONGEST_LIFE) {
            return Err("at most 366 days from now");
        }
        Ok(expire_time)
    }
}

/// Whether a token can be exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccessTokenState {
    /// It can.
    Active,
    /// Its time is over.
    Expired,
    /// It was revoked, or a change of its account ended it.
    Revoked,
}

/// A token as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct AccessToken {
    /// Never used again.
    pub(crate) id: i64,
    /// The session id in the access tokens that it is exchanged for.
    pub(crate) sid: String,
    /// Whose it is.
    pub(crate) user_id: i64,
    /// What it is for.
    pub(crate) name: String,
    /// What it may be used for.
    pub(crate) scopes: Scopes,
    /// The generation of the account when it was made.
    pub(crate) generation: i64,
    /// The generation of the account now.
    pub(crate) user_generation: i64,
    /// When it was made.
    pub(crate) create_time: Micros,
    /// When it ends by itself.
    pub(crate) expire_time: Micros,
    /// When it was last exchanged, to the minute.
    pub(crate) last_used_time: Option<Micros>,
    /// When it was revoked.
    pub(crate) revoke_time: Option<Micros>,
}

impl AccessToken {
    /// How many tokens that can be exchanged a person may have.
    pub(crate) const MOST_LIVE: i64 = 50;

    /// Whether it can be exchanged at `now`.
    pub(crate) fn state(&self, now: Micros) -> AccessTokenState {
        if self.revoke_time.is_some() || self.generation != self.user_generation {
            AccessTokenState::Revoked
        } else if self.expire_time <= now {
            AccessTokenState::Expired
        } else {
            AccessTokenState::Active
        }
    }

    /// The scopes that an exchange gives: what was asked for, or all where nothing was.
    ///
    /// # Errors
    /// TOKEN_EXPIRED, TOKEN_REVOKED; SCOPE_DENIED when more was asked for than the token has.
    pub(crate) fn exchange(
        &self,
        user: &User,
        asked: Option<Scopes>,
        now: Micros,
    ) -> Result<Scopes, Fault> {
        match self.state(now) {
            AccessTokenState::Expired => Err(Fault::new(
                Reason::TokenExpired,
                "the personal access token has expired",
            )),
            // The account may have been read later than the token, and have moved on in between.
            AccessTokenState::Active
                if user.state == UserState::Active && user.generation == self.generation =>
            {
                self.grant(asked)
            }
            AccessTokenState::Active | AccessTokenState::Revoked => Err(Fault::new(
                Reason::TokenRevoked,
                "the personal access token was revoked",
            )),
        }
    }

    fn grant(&self, asked: Option<Scopes>) -> Result<Scopes, Fault> {
        match asked {
            None => Ok(self.scopes.clone()),
            Some(asked) if asked.is_subset(&self.scopes) => Ok(asked),
            Some(_) => Err(Fault::new(
                Reason::ScopeDenied,
                "the personal access token does not have all of these scopes",
            )),
        }
    }

    /// Whether the last use is to be written down anew.
    pub(crate) fn use_is_news(&self, now: Micros) -> bool {
        self.last_used_time
            .is_none_or(|last| now.saturating_sub(last) >= micros(USE_PRECISION))
    }
}

/// The answer for a token that is not there, and for one that the caller may not see.
pub(crate) fn access_token_not_found(id: i64) -> Fault {
    let what = format_args!("personal access token {id}");
    Fault::not_found(Reason::AccessTokenNotFound, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Role;
    use crate::domain::tests::user;

    fn token() -> AccessToken {
        AccessToken {
            id: 1,
            sid: "s".into(),
            user_id: 7,
            name: "backup".into(),
            scopes: Scopes::parse("orders.read users.read").expect("scopes"),
            generation: 1,
            user_generation: 1,
            create_time: 0,
            expire_time: 100,
            last_used_time: None,
            revoke_time: None,
        }
    }

    #[test]
    fn a_token_ends_within_a_leap_year_and_not_in_the_past() {
        let year = 366 * 24 * 60 * 60 * 1_000_000;
        assert!(NewAccessToken::end(5 + year, 5).is_ok());
        assert!(NewAccessToken::end(6 + year, 5).is_err());
        assert!(NewAccessToken::end(6, 5).is_ok());
        for past in [5, 0, -1, i64::MIN] {
            assert!(NewAccessToken::end(past, 5).is_err());
        }
        assert!(NewAccessToken::end(i64::MAX, i64::MIN).is_err());
    }

    #[test]
    fn only_a_token_that_lives_is_exchanged_and_for_no_more_than_it_has() {
        let person = user(7, Role::User, None);
        let all = token().exchange(&person, None, 99).expect("exchanged");
        assert_eq!(all.to_string(), "orders.read users.read");
        let part = Scopes::parse("users.read").ok();
        let part = token().exchange(&person, part, 99).expect("exchanged");
        assert_eq!(part.to_string(), "users.read");
        let disabled = User {
            state: UserState::Disabled,
            ..person.clone()
        };
        let moved_on = User {
            generation: 2,
            ..person.clone()
        };
        let revoked = AccessToken {
            revoke_time: Some(1),
            ..token()
        };
        let outlived = AccessToken {
            user_generation: 2,
            ..token()
        };
        for (token, person, asked, now, expected) in [
            (token(), &person, None, 100, Reason::TokenExpired),
            (token(), &disabled, None, 1, Reason::TokenRevoked),
            (token(), &moved_on, None, 1, Reason::TokenRevoked),
            (revoked, &person, None, 1, Reason::TokenRevoked),
            (outlived, &person, None, 1, Reason::TokenRevoked),
            (
                token(),
                &person,
                Some("users.write"),
                1,
                Reason::ScopeDenied,
            ),
            (
                token(),
                &person,
                Some("users.read users.write"),
                1,
                Reason::ScopeDenied,
            ),
        ] {
            let asked = asked.map(|asked| Scopes::parse(asked).expect("scopes"));
            let refused = token.exchange(person, asked, now).expect_err("refused");
            assert_eq!(refused.reason(), expected);
        }
    }
}
