//! Service accounts: how an internal service says who it is.

use std::time::Duration;

use millgate_guard::Scopes;
use millgate_platform::{Fault, Reason};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::Micros;
use super::time::micros;

/// The fewest characters of a secret.
const SHORTEST_SECRET: usize = 32;
/// The most bytes of a secret or of what is presented as one.
const LONGEST_SECRET: usize = 1024;

/// How exactly the last use is known.
const USE_PRECISION: Duration = Duration::from_secs(60);

/// The id of a service account: 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`, beginning with a letter, so that it never
/// reads as a person's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientId(String);

impl ClientId {
    /// Reads a client id.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let allowed =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        let good = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(allowed);
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err("1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter")
        }
    }

    /// The id.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A service account's secret.
#[derive(Clone)]
pub(crate) struct ClientSecret(SecretString);

impl ClientSecret {
    /// Takes a secret that an account may get: at least 32 characters.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.chars().count() < SHORTEST_SECRET {
            return Err("at least 32 characters, random ones");
        }
        if text.len() > LONGEST_SECRET {
            return Err("at most 1024 bytes");
        }
        Ok(Self(text.into()))
    }

    /// Takes what somebody presents: it is good or it is not.
    ///
    /// # Errors
    /// What is wrong when no account can have it.
    pub(crate) fn presented(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is needed");
        }
        if text.len() > LONGEST_SECRET {
            return Err("at most 1024 bytes");
        }
        Ok(Self(text.into()))
    }

    /// What is stored of it: an HMAC-SHA256 under a key that only the auth service has.
    ///
    /// No slow hash: the secret is random and long, so guessing is hopeless at any speed, and services ask for
    /// tokens all day. Keyed all the same, because an operator may choose a long secret that is not random: a stolen
    /// database alone then still gives nothing to guess against.
    pub(crate) fn stored(&self, key: &hmac::Key) -> Vec<u8> {
        hmac::sign(key, self.0.expose_secret().as_bytes())
            .as_ref()
            .to_vec()
    }
}

/// A service account as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct ServiceAccount {
    /// Who it is.
    pub(crate) client_id: String,
    /// See [`ClientSecret::stored`].
    pub(crate) secret_hash: Vec<u8>,
    /// What it may ask for.
    pub(crate) scopes: Scopes,
    /// Whether it is out of use.
    pub(crate) disabled: bool,
    /// When it last got a token, to the minute.
    pub(crate) last_used_time: Option<Micros>,
}

impl ServiceAccount {
    /// Whether `presented` is the account's secret and the account is in use. Without an account it does the same
    /// work for the same answer.
    pub(crate) fn proves(
        account: Option<&Self>,
        presented: &ClientSecret,
        key: &hmac::Key,
    ) -> bool {
        let nobody = [0; 32];
        let stored = account.map_or(nobody.as_slice(), |account| account.secret_hash.as_slice());
        let same = bool::from(presented.stored(key).as_slice().ct_eq(stored));
        same & account.is_some_and(|account| !account.disabled)
    }

    /// Whether the last use is to be written down anew: a service that asks for a token with every breath does not
    /// make us write as often.
    pub(crate) fn use_is_news(&self, now: Micros) -> bool {
        self.last_used_time
            .is_none_or(|last| now.saturating_sub(last) >= micros(USE_PRECISION))
    }

    /// The scopes to grant: what was asked for, or all where nothing was.
    ///
    /// # Errors
    /// SCOPE_DENIED when more was asked for than the account has.
    pub(crate) fn grant(&self, asked: Option<Scopes>) -> Result<Scopes, Fault> {
        match asked {
            None => Ok(self.scopes.clone()),
            Some(asked) if asked.is_subset(&self.scopes) => Ok(asked),
            Some(_) => Err(Fault::new(
                Reason::ScopeDenied,
                "the service account does not have all of these scopes",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[7; 32])
    }

    fn account(secret: &str) -> ServiceAccount {
        ServiceAccount {
            client_id: "shop".into(),
            secret_hash: ClientSecret::parse(secret).expect("long").stored(&key()),
            scopes: Scopes::parse("users.read users.write").expect("scopes"),
            disabled: false,
            last_used_time: None,
        }
    }

    #[test]
    fn a_client_id_never_reads_as_a_person() {
        assert!(ClientId::parse("factory-service").is_ok());
        for bad in [
            "",
            "7",
            "7up",
            "-a",
            "Factory",
            "a b",
            "a@b",
            &"a".repeat(65),
        ] {
            assert!(ClientId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_short_secret_is_refused_for_an_account() {
        assert!(ClientSecret::parse(&"x".repeat(31)).is_err());
        assert!(ClientSecret::parse(&"x".repeat(32)).is_ok());
        assert!(ClientSecret::parse(&"x".repeat(1025)).is_err());
        assert!(ClientSecret::presented("short").is_ok());
    }

    #[test]
    fn only_the_secret_of_an_account_in_use_proves_it() {
        let secret = "0123456789abcdef0123456789abcdef";
        let good = ClientSecret::presented(secret).expect("good");
        let wrong = ClientSecret::presented("0123456789abcdef0123456789abcdeg").expect("good");
        assert!(ServiceAccount::proves(
            Some(&account(secret)),
            &good,
            &key()
        ));
        assert!(!ServiceAccount::proves(
            Some(&account(secret)),
            &wrong,
            &key()
        ));
        assert!(!ServiceAccount::proves(None, &good, &key()));
        let disabled = ServiceAccount {
            disabled: true,
            ..account(secret)
        };
        assert!(!ServiceAccount::proves(Some(&disabled), &good, &key()));
    }

    #[test]
    fn the_last_use_is_news_once_a_minute() {
        let mut account = account(&"x".repeat(32));
        assert!(account.use_is_news(0));
        account.last_used_time = Some(0);
        assert!(!account.use_is_news(59_999_999));
        assert!(account.use_is_news(60_000_000));
    }

    #[test]
    fn no_more_is_granted_than_the_account_has() {
        let account = account(&"x".repeat(32));
        let asked = |text| account.grant(Some(Scopes::parse(text).expect(text)));
        assert_eq!(
            asked("users.read").expect("a part").to_string(),
            "users.read"
        );
        assert_eq!(
            account.grant(None).expect("all").to_string(),
            "users.read users.write"
        );
        for more in ["users.read users.delete", "tokens.validate"] {
            assert_eq!(asked(more).expect_err(more).reason(), Reason::ScopeDenied);
        }
    }
}
