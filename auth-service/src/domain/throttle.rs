//! How often somebody may guess.
//!
//! Attempts at one account are counted since its last success, before they are checked, so that many at once count like
//! many in a row. Four are free. From the fifth on, each has to wait: 1 s after it, then twice as long as before, at
//! most 15 minutes. After 100 in a row the account is closed to guesses for a day, or until somebody unlocks it. A day
//! without an attempt forgets them all. NIST SP 800-63B-4 section 3.2.2 asks for at most 100 in a row and names growing
//! delays; with these numbers nobody gets many more than 100 guesses a day at an account, from however many addresses.
//! The account is never closed for good: whoever wants to keep somebody out would then only have to fail on purpose.
//! Sessions that have begun are not touched by any of this.
//!
//! Attempts from one address fill a bucket, and good ones flow out again at once: an address is often an office.

use std::net::IpAddr;
use std::time::Duration;

use ring::hmac;

/// The attempt after which the first delay begins (DESIGN: from the 5th failure).
pub(crate) const FIRST_DELAYED: i64 = 5;
/// The first delay; the next is twice as long.
pub(crate) const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The attempt from which the delay no longer grows: 2^9 s after the one before, and 2^10 s would be more than
/// [`LONGEST_DELAY`].
pub(crate) const LONGEST_FROM: i64 = FIRST_DELAYED + 10;
/// The longest delay below [`LOCK_AT`].
pub(crate) const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);
/// The attempt that closes the account (NIST SP 800-63B-4 section 3.2.2: no more than 100 in a row).
pub(crate) const LOCK_AT: i64 = 100;
/// For how long it is closed, and how long attempts are remembered.
pub(crate) const MEMORY: Duration = Duration::from_secs(24 * 60 * 60);

/// How much a bucket takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// How many at once.
    pub(crate) burst: i64,
    /// After how long one more.
    pub(crate) interval: Duration,
}

/// Failed attempts of an address.
pub(crate) const ADDRESS: Rate = Rate {
    burst: 30,
    interval: Duration::from_secs(10),
};
/// Changes that a person makes to their own account. Each is a row of the audit log, which keeps everything: with these
/// numbers one account adds some 3 MB a day at most.
pub(crate) const OWN_CHANGES: Rate = Rate {
    burst: 120,
    interval: Duration::from_secs(10),
};

/// How long after attempt number `attempts` the next one is let through. The statement in the store says the same, and
/// a test holds the two together.
#[cfg(test)]
pub(crate) fn delay(attempts: i64) -> super::Micros {
    let delay = if attempts < FIRST_DELAYED {
        Duration::ZERO
    } else if attempts >= LOCK_AT {
        MEMORY
    } else if attempts >= LONGEST_FROM {
        LONGEST_DELAY
    } else {
        FIRST_DELAY * 2_u32.pow(u32::try_from(attempts - FIRST_DELAYED).expect("a small number"))
    };
    super::micros(delay)
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter<'a> {
    /// Passwords tried at an account, by whichever of its names.
    Account(i64),
    /// Passwords tried at a name that no account has, in its canonical form where there is one. Counted like an
    /// account's, so that the answer does not tell the two apart.
    Unknown(&'a str),
    /// Passwords tried by somebody who holds a token of the account. Apart from [`Counter::Account`]: whoever guesses
    /// from outside does not keep the person from changing the password.
    Holder(i64),
    /// Codes of the second factor of an account.
    SecondFactor(i64),
}

impl Counter<'_> {
    /// All that are counted for an account.
    pub(crate) const fn of_account(id: i64) -> [Self; 3] {
        [Self::Account(id), Self::Holder(id), Self::SecondFactor(id)]
    }

    /// The key in the database. Nobody without `key` can tell what it stands for.
    pub(crate) fn stored(&self, key: &hmac::Key) -> Vec<u8> {
        let number;
        let (kind, what) = match self {
            Self::Account(id) => {
                number = id.to_be_bytes();
                ("account", number.as_slice())
            }
            Self::Unknown(name) => ("unknown", name.as_bytes()),
            Self::Holder(id) => {
                number = id.to_be_bytes();
                ("holder", number.as_slice())
            }
            Self::SecondFactor(id) => {
                number = id.to_be_bytes();
                ("second factor", number.as_slice())
            }
        };
        keyed(key, kind, what)
    }
}

/// What an address tries: each has a bucket of its own, so that a service with an old secret does not keep the people
/// behind the same address from logging in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trying {
    /// People's passwords and codes.
    People,
    /// The secrets of service accounts.
    Services,
}

/// The key of an address's bucket in the database.
pub(crate) fn stored_address(network: IpAddr, trying: Trying, key: &hmac::Key) -> Vec<u8> {
    let kind = match trying {
        Trying::People => "address",
        Trying::Services => "address of a service",
    };
    match network {
        IpAddr::V4(address) => keyed(key, kind, &address.octets()),
        IpAddr::V6(address) => keyed(key, kind, &address.octets()),
    }
}

/// The key of the bucket of a person's own changes.
pub(crate) fn stored_changes(user_id: i64, key: &hmac::Key) -> Vec<u8> {
    keyed(key, "own changes", &user_id.to_be_bytes())
}

/// No kind holds a zero byte, so no two pairs give the same text.
fn keyed(key: &hmac::Key, kind: &str, what: &[u8]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(key);
    context.update(kind.as_bytes());
    context.update(&[0]);
    context.update(what);
    context.sign().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Micros, micros};
    use std::collections::HashSet;

    const SECOND: Micros = 1_000_000;

    #[test]
    fn delays_begin_after_the_fifth_attempt_and_grow_to_a_quarter_of_an_hour() {
        let seconds: Vec<_> = (1..=17).map(|attempts| delay(attempts) / SECOND).collect();
        assert_eq!(
            seconds,
            [
                0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900
            ]
        );
        assert_eq!(delay(99) / SECOND, 900);
        assert_eq!(delay(100) / SECOND, 24 * 60 * 60);
    }

    #[test]
    fn a_day_of_guesses_is_about_a_hundred() {
        let (mut now, mut attempts) = (0, 0);
        while now < micros(MEMORY) {
            attempts += 1;
            now += delay(attempts);
        }
        assert!((90..=110).contains(&attempts), "{attempts}");
    }

    #[test]
    fn every_counter_has_a_key_of_its_own_that_tells_nothing() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
        let other = hmac::Key::new(hmac::HMAC_SHA256, &[2; 32]);
        let mut keys = HashSet::new();
        for id in [1, 2] {
            for counter in Counter::of_account(id) {
                assert!(keys.insert(counter.stored(&key)));
                assert!(keys.insert(counter.stored(&other)));
            }
            assert!(keys.insert(stored_changes(id, &key)));
        }
        // A name made of the bytes of an id is still a name.
        let bytes = 1_i64.to_be_bytes();
        let name = std::str::from_utf8(&bytes).expect("ASCII");
        assert!(keys.insert(Counter::Unknown(name).stored(&key)));
        for trying in [Trying::People, Trying::Services] {
            for network in ["10.0.0.1", "2001:db8::"] {
                let network = network.parse().expect("an address");
                assert!(keys.insert(stored_address(network, trying, &key)));
            }
        }
    }
}
