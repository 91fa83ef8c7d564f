//! The name to log in with.

use unicode_normalization::UnicodeNormalization;

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
    /// It is kept as it was written, in NFC. The canonical form, by which names are told apart, is NFKC, lower
    /// case: `Ａda`, `ADA` and `ada` are one name. Letters are letters of any script.
    ///
    /// # Errors
    /// What is wrong with it, for the caller.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        // Normalising is linear, but there is no reason to do it to megabytes.
        if text.len() > LONGEST * 16 {
            return Err("at most 64 characters");
        }
        let display: String = text.nfc().collect();
        let compatible: String = text.nfkc().collect();
        let length = display.chars().count();
        if length < SHORTEST {
            return Err("at least 3 characters");
        }
        if length > LONGEST || compatible.chars().count() > LONGEST {
            return Err("at most 64 characters");
        }
        // What compatibility takes apart (`℀` is `a/c`) is looked at in pieces.
        if !display.chars().all(allowed) || !compatible.chars().all(allowed) {
            return Err("only letters, digits, '.', '_' and '-'");
        }
        Ok(Self {
            canonical: compatible.to_lowercase().nfkc().collect(),
            display,
        })
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

fn allowed(c: char) -> bool {
    is_letter_or_digit(c) || matches!(c, '.' | '_' | '-')
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
