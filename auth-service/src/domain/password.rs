//! What a password must be.

use std::sync::LazyLock;

use millgate_platform::{FieldFault, Reason};
use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;

/// The fewest code points of a new password: as pinned in DESIGN.md, and NIST SP 800-63B-3 section 5.1.1.2. Revision 4
/// (section 3.1.1.2) asks for 15 where there is no second factor.
pub(crate) const SHORTEST: usize = 8;
/// The most code points of any password: hashing is not for novels.
pub(crate) const LONGEST: usize = 256;

/// What is left of a password when the account's names are taken out must have as many code points: half of the
/// shortest password, and one.
const FEWEST_OTHERS: usize = 5;
/// What this service is called: also a context-specific word.
const SERVICE: &str = "millgate";

/// Passwords that everybody guesses first: lower case, sorted by bytes. See `data/README.md`.
static COMMON: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    include_str!("../../data/common-passwords.txt")
        .lines()
        .collect()
});

/// A password as somebody typed it, to be compared with a stored hash.
///
/// It is held to nothing but the upper limit: whether an account's password is short or common is not for a
/// stranger to learn from an answer that came without a hash being computed.
#[derive(Clone)]
pub(crate) struct Password {
    typed: SecretString,
    normal: SecretString,
}

impl Password {
    /// Takes a password of at most 256 code points.
    ///
    /// # Errors
    /// PASSWORD_TOO_LONG, or FIELD_INVALID for an empty one.
    pub(crate) fn parse(text: &str) -> Result<Self, FieldFault> {
        if text.is_empty() {
            return Err("is needed".into());
        }
        let too_long = || FieldFault::new(Reason::PasswordTooLong, "at most 256 characters");
        // No character has more bytes before it is composed. The iterator below is lazy, but not about marks: it collects
        // and sorts all that follow one character, and those may be megabytes.
        if text.len() > LONGEST * 16 {
            return Err(too_long());
        }
        let normal: String = text.nfc().take(LONGEST + 1).collect();
        if normal.chars().count() > LONGEST {
            return Err(too_long());
        }
        Ok(Self {
            typed: text.into(),
            normal: normal.into(),
        })
    }

    /// In NFC: what our own hashes are made of, so that two keyboards type one password.
    pub(crate) fn normal(&self) -> &[u8] {
        self.normal.expose_secret().as_bytes()
    }

    /// As it was typed: what the hashes of other systems were made of.
    pub(crate) fn typed(&self) -> &[u8] {
        self.typed.expose_secret().as_bytes()
    }
}

/// A password that an account may get.
#[derive(Clone)]
pub(crate) struct NewPassword(Password);

impl NewPassword {
    /// Takes a password of 8 to 256 code points (in NFC) that is not one of the common ones, whatever its case.
    /// No rules about kinds of characters (NIST SP 800-63B section 3.1.1.2).
    ///
    /// # Errors
    /// PASSWORD_TOO_SHORT, PASSWORD_TOO_LONG, PASSWORD_BLOCKLISTED, or FIELD_INVALID for an empty one.
    pub(crate) fn parse(text: &str) -> Result<Self, FieldFault> {
        let password = Password::parse(text)?;
        let normal = password.normal.expose_secret();
        if normal.chars().count() < SHORTEST {
            return Err(FieldFault::new(
                Reason::PasswordTooShort,
                "at least 8 characters",
            ));
        }
        if is_common(normal) {
            return Err(FieldFault::new(
                Reason::PasswordBlocklisted,
                "this password is among the first that are guessed",
            ));
        }
        Ok(Self(password))
    }

    /// Lets through a password that is not made of the account's names (a user name, an address) or of our own: not
    /// one that is a name with less than five other characters around it (NIST SP 800-63B section 3.1.1.2,
    /// context-specific words).
    ///
    /// # Errors
    /// PASSWORD_BLOCKLISTED.
    pub(crate) fn avoid<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), FieldFault> {
        let folded = |text: &str| text.nfkc().collect::<String>().to_lowercase();
        let password = folded(self.0.normal.expose_secret());
        let made_of = |word: &str| {
            word.chars().count() >= 3
                && password.contains(word)
                && password.replace(word, "").chars().count() < FEWEST_OTHERS
        };
        let is_bad = names.into_iter().chain([SERVICE]).any(|name| {
            let name = folded(name);
            let local = name.split_once('@').map_or("", |(local, _)| local);
            made_of(&name) || made_of(local)
        });
        if is_bad {
            return Err(FieldFault::new(
                Reason::PasswordBlocklisted,
                "this password is made of the account's own names",
            ));
        }
        Ok(())
    }

    /// The password, to be hashed.
    pub(crate) fn password(&self) -> &Password {
        &self.0
    }
}

fn is_common(normal: &str) -> bool {
    let lower = normal.to_lowercase();
    let trimmed = lower.trim();
    [trimmed, lower.as_str()]
        .iter()
        .any(|text| COMMON.binary_search(text).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> Reason {
        NewPassword::parse(text).err().expect(text).reason
    }

    #[test]
    fn the_list_is_sorted_lower_case_and_has_nothing_too_short_to_matter() {
        assert!(COMMON.len() > 8_000);
        assert!(COMMON.is_sorted());
        assert!(
            COMMON
                .iter()
                .all(|entry| entry.chars().count() >= SHORTEST && entry.to_lowercase() == **entry)
        );
    }

    #[test]
    fn length_is_counted_in_code_points_of_the_composed_form() {
        assert_eq!(refused("ööööööö"), Reason::PasswordTooShort);
        assert!(NewPassword::parse("ööööööö1").is_ok());
        assert_eq!(refused(&"o\u{308}".repeat(7)), Reason::PasswordTooShort);
        assert!(NewPassword::parse(&"o\u{308}".repeat(256)).is_ok());
        // Marks that no composition swallows, many more than would be sorted in good time.
        let marks = format!("a{}", "\u{301}\u{316}".repeat(1_000_000));
        let begun = std::time::Instant::now();
        assert!(NewPassword::parse(&marks).is_err());
        assert!(Password::parse(&marks).is_err());
        assert!(begun.elapsed().as_millis() < 100, "refused before NFC");
        assert_eq!(refused(&"ö".repeat(257)), Reason::PasswordTooLong);
        assert_eq!(refused(&"x".repeat(4_000_000)), Reason::PasswordTooLong);
    }

    #[test]
    fn common_passwords_are_refused_in_any_case() {
        for common in [
            "password123",
            "PassWord123",
            " password123 ",
            "qwertyuiop",
            "iloveyou1",
        ] {
            assert_eq!(refused(common), Reason::PasswordBlocklisted, "{common}");
        }
        assert!(
            NewPassword::parse("securepassword123").is_ok(),
            "the seeds' documentation uses it"
        );
    }

    #[test]
    fn a_password_made_of_the_accounts_names_is_refused() {
        let check = |text: &str| {
            let names = ["Ada.Lovelace", "Countess@Example.com", "joe"];
            NewPassword::parse(text).expect(text).avoid(names)
        };
        for bad in [
            "ada.lovelace",
            "ADA.LOVELACE",
            "Ada.Lovelace1815",
            "!!ada.lovelace!!",
            "ada.lovelaceada.lovelace",
            "\u{ff21}da.Lovelace",
            "countess1234",
            "countess@example.com",
            "Countess@Example.com1",
            "joejoejoe",
            "joe12joe34",
            "Millgate1",
            "millgate2026",
        ] {
            let fault = check(bad).expect_err(bad);
            assert_eq!(fault.reason, Reason::PasswordBlocklisted, "{bad}");
        }
        for good in [
            "ada.lovelace12345",
            "correct horse battery joe",
            "example.com-9",
            "joe-was-here",
            "lovelace.ada",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        let any = NewPassword::parse("anything goes").expect("good");
        assert!(any.avoid(["", "a", "an"]).is_ok());
    }

    #[test]
    fn an_empty_one_is_missing_rather_than_short() {
        assert_eq!(refused(""), Reason::FieldInvalid);
        assert!(Password::parse("").is_err());
    }

    #[test]
    fn a_login_is_held_to_nothing_but_the_upper_limit() {
        assert!(Password::parse("a").is_ok());
        assert!(Password::parse("password123").is_ok());
        assert!(Password::parse(&"x".repeat(257)).is_err());
    }

    #[test]
    fn two_keyboards_type_one_password_but_old_hashes_get_what_was_typed() {
        let composed = Password::parse("pässword").expect("good");
        let decomposed = Password::parse("pa\u{308}ssword").expect("good");
        assert_eq!(composed.normal(), decomposed.normal());
        assert_ne!(composed.typed(), decomposed.typed());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in any::<String>()) {
            if let Ok(new) = NewPassword::parse(&text) {
                let length = std::str::from_utf8(new.password().normal()).expect("UTF-8").chars().count();
                prop_assert!((SHORTEST..=LONGEST).contains(&length));
                prop_assert!(Password::parse(&text).is_ok(), "what may be set may be typed");
            }
        }
    }
}
