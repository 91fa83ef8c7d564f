//! The name to log in with.

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::letters::is_letter_or_digit;

/// The fewest characters (code points) of a user name.
pub(crate) const SHORTEST: usize = 3;
/// The most characters (code points) of a user name.
pub(crate) const LONGEST: usize = 64;

/// A user name: 3 to 64 letters, digits, `.`, `_` and `-`.
///
/// It cannot hold an `@`, so no user name ever reads as an email address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Username {
    display: String,
    canonical: String,
}

impl Username {
    /// Reads a user name.
    ///
    /// It is kept as it was written, in NFC. The canonical form, by which names are told apart, is that of PRECIS
    /// (RFC 8265 section 3.3, UsernameCaseMapped): narrow, lower case, NFC. `Ａda`, `ADA` and `ada` are one name. What
    /// PRECIS refuses is refused here: what cannot be seen, letters that are only another way to write others (`Ⅳ`,
    /// `ﬁ`), names that change their direction (RFC 5893). And more: of ASCII, only letters, digits and `._-`.
    ///
    /// Letters of two scripts that look alike are two letters (UTS #39 is not applied): `аda` with a Cyrillic `а` is
    /// another name than `ada`. Who decides by a name should look at the account's id as well.
    ///
    /// # Errors
    /// What is wrong with it, for the caller.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        // Normalising is linear, but there is no reason to do it to megabytes.
        if text.len() > LONGEST * 16 {
            return Err("at most 64 characters");
        }
        let display: String = text.nfc().collect();
        let length = display.chars().count();
        if length < SHORTEST {
            return Err("at least 3 characters");
        }
        if length > LONGEST {
            return Err("at most 64 characters");
        }
        if !is_made_of_letters(&display) {
            return Err(ALLOWED);
        }
        let canonical = UsernameCaseMapped::enforce(display.as_str())
            .map_err(|_| ALLOWED)?
            .into_owned();
        // Mapped to narrow and to lower case, it is looked at once more.
        if !is_made_of_letters(&canonical) || canonical.chars().count() > LONGEST {
            return Err(ALLOWED);
        }
        Ok(Self { display, canonical })
    }

    /// Reads a user name that an account is to get: not one that reads as an account's id to the operators' commands.
    /// Accounts that have one all the same log in with it.
    ///
    /// # Errors
    /// What is wrong with it, for the caller.
    pub(crate) fn parse_new(text: &str) -> Result<Self, &'static str> {
        let name = Self::parse(text)?;
        let number = name.canonical.strip_prefix('-').unwrap_or(&name.canonical);
        if number.chars().all(|c| c.is_ascii_digit()) {
            return Err("must not be only digits");
        }
        Ok(name)
    }

    /// The name as it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.display
    }

    /// The form by which names are told apart.
    pub(crate) fn canonical(&self) -> &str {
        &self.canonical
    }
}

const ALLOWED: &str =
    "only letters, digits, '.', '_' and '-', all of one direction, none a compatibility form";

/// Letters, digits, `._-`, and marks behind them.
fn is_made_of_letters(text: &str) -> bool {
    let allowed =
        |c: char| is_letter_or_digit(c) || matches!(c, '.' | '_' | '-') || is_combining_mark(c);
    text.chars().all(allowed) && !text.starts_with(is_combining_mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn case_width_and_composition_make_no_second_name() {
        let canonical = |text| Username::parse(text).expect(text).canonical().to_owned();
        assert_eq!(canonical("ADA.L"), "ada.l");
        assert_eq!(canonical("Ａda.L"), "ada.l");
        assert_eq!(canonical("Jo\u{308}rg"), canonical("JÖRG"));
        assert_eq!(canonical("STRAẞE"), canonical("straße"));
    }

    #[test]
    fn the_examples_of_rfc_8265_are_read_as_it_says() {
        // Section 3.5, repeated where they are shorter than a name may be here.
        let canonical = |text| Username::parse(text).map(|name| name.canonical().to_owned());
        for (legal, expected) in [
            ("fussball", "fussball"),
            ("fußball", "fußball"),
            ("πππ", "πππ"),
            ("ΣaΣ", "σaσ"),
            ("σσσ", "σσσ"),
            ("ςςς", "ςςς"),
        ] {
            assert_eq!(canonical(legal).as_deref(), Ok(expected), "{legal}");
        }
        // Legal there; here no user name reads as an address.
        assert!(canonical("juliet@example.com").is_err());
        for illegal in ["foo bar", "", "henry\u{2163}", "\u{265a}\u{265a}\u{265a}"] {
            assert!(canonical(illegal).is_err(), "{illegal:?}");
        }
    }

    #[test]
    fn names_of_many_scripts_pass_and_those_of_two_directions_do_not() {
        for good in [
            "हिन्दी",
            "ไทยคน",
            "مرحبا",
            "שלום",
            "李小龍",
            "ивáн",
            "ｱｲｳ",
            "Nguyễn",
            "مرحبا1",
        ] {
            assert!(Username::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "abcשלום",
            "שלוםabc",
            "1שלום",
            "\u{301}abc",
            "ﬁne",
            "ℂat",
            "x²y",
            "a\u{34f}bc",
            "ab\u{fe0f}c",
            "abـc",
        ] {
            assert!(Username::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_account_gets_a_number_for_a_name() {
        for number in ["123", "-42", "007", "１２３", &"9".repeat(64)] {
            assert!(Username::parse(number).is_ok(), "{number}");
            assert!(Username::parse_new(number).is_err(), "{number}");
        }
        for good in ["12a", "555-1234", "1.5", "ada"] {
            assert!(Username::parse_new(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn the_writing_is_kept() {
        assert_eq!(Username::parse("Ada-L").expect("good").as_str(), "Ada-L");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in [
            "",
            "ab",
            "a b",
            "a@b.c",
            "a\u{200b}bc",
            "admin\u{3164}",
            "admin\u{115f}",
            "abc\n",
            "a\0bc",
            "℀bc",
            "a/c",
            "ab\u{202e}c",
            "😀😀😀",
        ] {
            assert!(Username::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Username::parse(&"a".repeat(65)).is_err());
        assert!(Username::parse(&"a".repeat(1_000_000)).is_err());
        assert!(Username::parse(&"a".repeat(64)).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in any::<String>()) {
            let _ = Username::parse(&text);
        }

        #[test]
        fn the_canonical_form_is_its_own_canonical_form(text in "[\\p{L}\\p{Nd}._-]{3,20}") {
            if let Ok(name) = Username::parse(&text)
                && let Ok(again) = Username::parse(name.canonical())
            {
                prop_assert_eq!(again.canonical(), name.canonical());
            }
        }

        #[test]
        fn no_name_reads_as_an_email(text in any::<String>()) {
            if let Ok(name) = Username::parse(&text) {
                prop_assert!(!name.canonical().contains('@'));
                prop_assert!(super::super::Email::parse(name.as_str()).is_err());
            }
        }
    }
}
