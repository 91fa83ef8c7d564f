//! Service accounts: how an internal service says who it is.

use std::time::Duration;

use millgate_guard::Scopes;
use millgate_platform::{Fault, Reason};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::Micros;
use super::machine_secret::{MachineSecret, SecretKind};
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

/// A service account's secret: one that we made ([`MachineSecret`]), or one that the configuration names.
#[derive(Clone)]
pub(crate) struct ClientSecret(SecretString);

impl ClientSecret {
    /// Takes a secret that an account may get from the configuration: at least 32 characters.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.chars().count() < SHORTEST_SECRET {
            return Err("at least 32 characters, random ones");
        }
        let secret = Self::presented(text)?;
        if secret.is_broken() {
            return Err("begins with mgs_, but its checksum is wrong: it was not copied whole");
        }
        Ok(secret)
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

    /// Whether it begins like a secret that we made and is not one: no account has it.
    pub(crate) fn is_broken(&self) -> bool {
        let text = self.0.expose_secret();
        text.starts_with(SecretKind::ServiceAccount.prefix())
            && MachineSecret::parse(SecretKind::ServiceAccount, text).is_none()
    }

    /// What is stored of it: an HMAC-SHA256 under a key that only the auth service has.
    ///
    /// No slow hash: the secret is random and long, so guessing is hopeless at any speed, and services ask for
    /// tokens all day. Keyed all the same, because an operator may configure a long secret that is not random: a stolen
    /// database alone then still gives nothing to guess against.
    pub(crate) fn stored(&self, key: &hmac::Key) -> Vec<u8> {
        hmac::sign(key, self.0.expose_secret().as_bytes())
            .as_ref()
            .to_vec()
    }
}

impl From<&MachineSecret> for ClientSecret {
    fn from(secret: &MachineSecret) -> Self {
        Self(secret.text().into())
    }
}

/// How long the secret before goes on working after a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overlap(Duration);

impl Overlap {
    /// A week: an old secret that nobody has replaced by then has been forgotten.
    const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    /// Reads an overlap; absent is the default, a day.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(sent: Option<Duration>) -> Result<Self, &'static str> {
        match sent {
            None => Ok(Self::default()),
            Some(sent) if sent <= Self::LONGEST => Ok(Self(sent)),
            Some(_) => Err("0s to 604800s (7 days)"),
        }
    }

    /// When the secret before ends, after a rotation at `now`; none when it ends at once.
    pub(crate) fn end(self, now: Micros) -> Option<Micros> {
        (!self.0.is_zero()).then(|| now.saturating_add(micros(self.0)))
    }
}

impl Default for Overlap {
    fn default() -> Self {
        Self(Duration::from_secs(24 * 60 * 60))
    }
}

/// A secret that works, as it is stored.
#[derive(Clone)]
pub(crate) struct LiveSecret {
    /// Its row.
    pub(crate) id: i64,
    /// See [`ClientSecret::stored`].
    pub(crate) hash: Vec<u8>,
    /// When the account got it.
    pub(crate) create_time: Micros,
    /// When it ends; none for the current one.
    pub(crate) expire_time: Option<Micros>,
    /// When it was last used, to the minute.
    pub(crate) last_used_time: Option<Micros>,
}

impl LiveSecret {
    /// Whether the last use is to be written down anew: a service that asks for a token with every breath does not
    /// make us write as often.
    pub(crate) fn use_is_news(&self, now: Micros) -> bool {
        self.last_used_time
            .is_none_or(|last| now.saturating_sub(last) >= micros(USE_PRECISION))
    }
}

/// A service account to be made.
#[derive(Debug)]
pub(crate) struct NewServiceAccount {
    /// Who it is.
    pub(crate) client_id: ClientId,
    /// What it is for.
    pub(crate) description: String,
    /// What it may ask for.
    pub(crate) scopes: Scopes,
}

impl NewServiceAccount {
    /// The most characters of a description.
    pub(crate) const LONGEST_DESCRIPTION: usize = 200;
}

/// What an update changes.
#[derive(Debug, Default)]
pub(crate) struct ServiceAccountChange {
    /// The description.
    pub(crate) description: Option<String>,
    /// The scopes.
    pub(crate) scopes: Option<Scopes>,
}

impl ServiceAccountChange {
    /// Whether nothing would change.
    pub(crate) fn is_empty(&self) -> bool {
        self.description.is_none() && self.scopes.is_none()
    }
}

/// A service account as it is stored.
#[derive(Clone)]
pub(crate) struct ServiceAccount {
    /// Who it is.
    pub(crate) client_id: String,
    /// What it is for.
    pub(crate) description: String,
    /// What it may ask for.
    pub(crate) scopes: Scopes,
    /// Whether it is out of use.
    pub(crate) disabled: bool,
    /// Counts the changes that a reader can see: the etag.
    pub(crate) revision: i64,
    /// When it was made.
    pub(crate) create_time: Micros,
    /// When it was last changed.
    pub(crate) update_time: Micros,
    /// When it last got a token, to the minute.
    pub(crate) last_used_time: Option<Micros>,
    /// The secrets that work, the oldest first: two at most. Empty in a list.
    pub(crate) secrets: Vec<LiveSecret>,
}

impl ServiceAccount {
    /// How many secrets work at a time.
    pub(crate) const MOST_SECRETS: usize = 2;

    /// The secret by which `presented` proves the account, if the account is in use. Without an account, and with one
    /// secret, it does the same work as with two.
    pub(crate) fn proven_by<'a>(
        account: Option<&'a Self>,
        presented: &ClientSecret,
        key: &hmac::Key,
    ) -> Option<&'a LiveSecret> {
        let nobody = [0; 32];
        let presented = presented.stored(key);
        let secrets = account.map_or(&[][..], |account| account.secrets.as_slice());
        let same: [bool; Self::MOST_SECRETS] = std::array::from_fn(|place| {
            let stored = secrets
                .get(place)
                .map_or(&nobody[..], |secret| &secret.hash);
            presented.ct_eq(stored).into()
        });
        let found = same.iter().position(|same| *same);
        account.filter(|account| !account.disabled)?;
        secrets.get(found?)
    }

    /// The scopes to grant: what was asked for, or all where nothing was.
    ///
    /// # Errors
    /// SCOPE_DENIED when more was asked for than the account has: `invalid_scope` of RFC 6749 section 5.2.
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

/// The answer for a service account that is not there.
pub(crate) fn service_account_not_found() -> Fault {
    Fault::not_found(Reason::ServiceAccountNotFound, "the service account")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[7; 32])
    }

    fn account(secrets: &[&str]) -> ServiceAccount {
        let live = |(id, secret): (usize, &&str)| LiveSecret {
            id: id as i64,
            hash: ClientSecret::parse(secret).expect("long").stored(&key()),
            create_time: 0,
            expire_time: None,
            last_used_time: None,
        };
        ServiceAccount {
            client_id: "shop".into(),
            description: String::new(),
            scopes: Scopes::parse("users.read users.write").expect("scopes"),
            disabled: false,
            revision: 1,
            create_time: 0,
            update_time: 0,
            last_used_time: None,
            secrets: secrets.iter().enumerate().map(live).collect(),
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
    fn a_short_or_broken_secret_is_refused_for_an_account() {
        assert!(ClientSecret::parse(&"x".repeat(31)).is_err());
        assert!(ClientSecret::parse(&"x".repeat(32)).is_ok());
        assert!(ClientSecret::parse(&"x".repeat(1025)).is_err());
        assert!(ClientSecret::presented("short").is_ok());
        let made = MachineSecret::generate(
            SecretKind::ServiceAccount,
            &millgate_guard::SeededEntropy::new(1),
        );
        assert!(ClientSecret::parse(made.text()).is_ok());
        assert!(ClientSecret::parse(&made.text()[..52]).is_err());
        assert!(
            ClientSecret::presented(&made.text()[..52])
                .expect("taken")
                .is_broken()
        );
    }

    #[test]
    fn only_a_secret_of_an_account_in_use_proves_it() {
        let (old, new) = (
            "0123456789abcdef0123456789abcdef",
            "fedcba9876543210fedcba9876543210",
        );
        let proves = |account: Option<&ServiceAccount>, secret: &str| {
            let presented = ClientSecret::presented(secret).expect("taken");
            ServiceAccount::proven_by(account, &presented, &key()).map(|secret| secret.id)
        };
        let both = account(&[old, new]);
        assert_eq!(proves(Some(&both), old), Some(0));
        assert_eq!(proves(Some(&both), new), Some(1));
        assert_eq!(proves(Some(&account(&[new])), old), None);
        assert_eq!(proves(Some(&account(&[])), old), None);
        assert_eq!(proves(None, old), None);
        let disabled = ServiceAccount {
            disabled: true,
            ..both
        };
        assert_eq!(proves(Some(&disabled), old), None);
    }

    #[test]
    fn the_last_use_is_news_once_a_minute() {
        let mut secret = account(&["0123456789abcdef0123456789abcdef"])
            .secrets
            .remove(0);
        assert!(secret.use_is_news(0));
        secret.last_used_time = Some(0);
        assert!(!secret.use_is_news(59_999_999));
        assert!(secret.use_is_news(60_000_000));
    }

    #[test]
    fn an_overlap_is_a_day_unless_said_and_a_week_at_most() {
        let day = 24 * 60 * 60;
        let of = |seconds| Overlap::parse(Some(Duration::from_secs(seconds)));
        assert_eq!(Overlap::parse(None), of(day));
        assert_eq!(of(0).expect("none").end(5), None);
        assert_eq!(of(7 * day).expect("a week").end(5), Some(604_800_000_005));
        assert!(of(7 * day + 1).is_err());
        assert!(Overlap::parse(Some(Duration::new(7 * day, 1))).is_err());
    }

    #[test]
    fn no_more_is_granted_than_the_account_has() {
        let account = account(&[]);
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
