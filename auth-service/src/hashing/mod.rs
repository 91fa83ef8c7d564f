//! Password hashes: made with argon2id, checked in that and in the older formats that accounts may come with.

mod argon;
mod legacy;
mod pool;
mod workers;

pub(crate) use argon::Cost;
pub(crate) use legacy::{Format, HashFault};
pub(crate) use pool::HashingPool;

use crate::domain::Password;
use workers::Memory;

/// What comparing a password with a stored hash gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verification {
    /// Whether it is the password.
    pub(crate) matches: bool,
    /// Whether the stored hash is of another format or cost than new ones are.
    pub(crate) outdated: bool,
}

/// Compares a password with a stored hash of any known format.
///
/// A hash that is malformed, of an unknown format, or asks for more work than its format's ceiling matches nothing
/// and is not obeyed; a hash of ours is computed instead, so that its account does not stand out by a fast answer.
/// An older format takes the time that its hash says, until the next login: who can time logins well sees that the
/// account has not been used since it moved here.
fn verify(password: &Password, stored: &str, cost: Cost, memory: &mut Memory) -> Verification {
    if let Some(hash) = argon::Stored::parse(stored) {
        if hash.matches(password.normal(), cost, memory) {
            return Verification {
                matches: true,
                outdated: !hash.costs(cost),
            };
        }
        // An argon2id hash that was made elsewhere is of what was typed there. Most people type NFC, and then it is
        // the same.
        return Verification {
            matches: password.typed() != password.normal()
                && hash.matches(password.typed(), cost, memory),
            outdated: true,
        };
    }
    if let Ok(hash) = legacy::Stored::parse(stored) {
        return Verification {
            matches: hash.matches(password),
            outdated: true,
        };
    }
    tracing::error!("a stored password hash has an unknown format or asks for too much work");
    let _same_time = argon::hash(password.normal(), &[0; 16], cost, memory);
    Verification {
        matches: false,
        outdated: true,
    }
}

/// What a hash of somebody else's database is, if it can be checked here.
///
/// # Errors
/// When it is of no known format, is malformed, or asks for more work than the ceilings allow.
pub(crate) fn imported(stored: &str) -> Result<Format, HashFault> {
    match argon::Stored::parse(stored) {
        // Of the same make as ours, but held to what somebody else's may ask for.
        Some(hash) if !hash.is_modest() => Err(HashFault::TooCostly),
        Some(_) => Ok(Format::Argon2id),
        None => legacy::Stored::parse(stored).map(|hash| hash.format),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Format, password, hash: made by the real libraries, see `tests/data/README.md`.
    const REAL: &str = include_str!("../../tests/data/password-hashes.tsv");

    fn real() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        REAL.lines().map(|line| {
            let row: Vec<_> = line.split('\t').collect();
            let [format, password, hash] = *row else {
                panic!("{line}")
            };
            (format, password, hash)
        })
    }

    fn password(text: &str) -> Password {
        Password::parse(text).expect("a password")
    }

    #[test]
    fn the_hashes_of_the_real_libraries_let_their_password_in_and_ask_to_be_replaced() {
        for (format, text, stored) in real() {
            assert_eq!(imported(stored).expect(stored).name(), format, "{stored}");
            let good = verify(
                &password(text),
                stored,
                Cost::default(),
                &mut Memory::default(),
            );
            let expected = Verification {
                matches: true,
                outdated: true,
            };
            assert_eq!(good, expected, "{text} {stored}");
            let wrong = verify(
                &password("correct horse batterz"),
                stored,
                Cost::default(),
                &mut Memory::default(),
            );
            assert!(!wrong.matches, "{stored}");
        }
    }

    #[test]
    fn every_format_has_hashes_of_the_real_libraries_but_djangos_plain_bcrypt() {
        let seen: std::collections::BTreeSet<_> = real().map(|(format, ..)| format).collect();
        assert_eq!(seen.len(), 16);
        let (_, text, bcrypt) = real()
            .find(|(format, ..)| *format == "bcrypt")
            .expect("one");
        let wrapped = format!("bcrypt${bcrypt}");
        assert_eq!(imported(&wrapped), Ok(Format::DjangoBcrypt));
        assert!(
            verify(
                &password(text),
                &wrapped,
                Cost::default(),
                &mut Memory::default()
            )
            .matches
        );
    }

    #[test]
    fn of_a_bcrypt_password_72_bytes_count() {
        let (_, text, stored) = real()
            .find(|(format, text, _)| *format == "bcrypt" && text.len() > 72)
            .expect("one");
        let check = |text: &str| {
            verify(
                &password(text),
                stored,
                Cost::default(),
                &mut Memory::default(),
            )
            .matches
        };
        assert!(check(text) && check(&text[..72]) && check(&format!("{}?", &text[..72])));
        assert!(!check(&text[..71]));
    }

    #[test]
    fn what_is_no_hash_lets_nobody_in() {
        for stored in [
            "",
            "$",
            "plain",
            "pbkdf2:md5:1$a$b",
            "$argon2id$",
            "$2b$12$abc",
        ] {
            assert_eq!(imported(stored), Err(HashFault::Unknown), "{stored}");
            let result = verify(
                &password("plain"),
                stored,
                Cost::default(),
                &mut Memory::default(),
            );
            let expected = Verification {
                matches: false,
                outdated: true,
            };
            assert_eq!(result, expected, "{stored}");
        }
    }

    #[test]
    fn somebody_elses_argon2id_may_ask_for_less_than_our_own() {
        let with = |params: &str| {
            format!(
                "$argon2id$v=19${params}$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
            )
        };
        assert_eq!(imported(&with("m=102400,t=2,p=8")), Ok(Format::Argon2id));
        for greedy in [
            "m=4194304,t=1,p=1",
            "m=262144,t=2,p=1",
            "m=131072,t=5,p=1",
            "m=1024,t=1000000,p=1",
            "m=65536,t=2,p=17",
        ] {
            assert_eq!(
                imported(&with(greedy)),
                Err(HashFault::TooCostly),
                "{greedy}"
            );
        }
        let wrapped = "argon2$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert_eq!(imported(wrapped), Err(HashFault::TooCostly));
    }

    proptest! {
        #[test]
        fn any_text_is_a_hash_or_refused(text in any::<String>()) {
            let _ = imported(&text);
        }

        #[test]
        fn a_real_hash_with_something_put_into_it_is_read_or_refused(
            row in 0_usize..80,
            at in 0_usize..200,
            put in "[0-9a-zA-Z$:,=./]{1,12}",
        ) {
            let (.., stored) = real().nth(row).expect("a row");
            let at = stored.floor_char_boundary(at.min(stored.len()));
            let changed = format!("{}{put}{}", &stored[..at], &stored[at..]);
            if let Ok(format) = imported(&changed) {
                prop_assert!(!format.name().is_empty());
            }
        }
    }
}
