//! An email address to log in with.

use unicode_normalization::UnicodeNormalization;

use super::letters::is_letter_or_digit;

/// The most bytes of an address (RFC 5321 section 4.5.3.1.3, less the angle brackets).
pub(crate) const LONGEST: usize = 254;

/// An email address, read conservatively: `local@domain` with one `@`.
///
/// The local part is a dot-atom (RFC 5322 section 3.2.3) of at most 64 bytes, with letters and digits of any
/// script (RFC 6531); no quoted strings, comments or address literals. The domain has two labels or more, each of
/// 1 to 63 letters, digits and inner hyphens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Email {
    display: String,
    canonical: String,
}

impl Email {
    /// Reads an address.
    ///
    /// It is kept as it was written, in NFC. The canonical form, by which addresses are told apart, is NFC, lower
    /// case, in both parts: RFC 5321 would allow a server to tell `Ada@` from `ada@`, but none does, and people
    /// type either.
    ///
    /// # Errors
    /// What is wrong with it, for the caller.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > LONGEST {
            return Err("at most 254 bytes");
        }
        let display: String = text.nfc().collect();
        let canonical: String = display.to_lowercase().nfc().collect();
        if display.len() > LONGEST || canonical.len() > LONGEST {
            return Err("at most 254 bytes");
        }
        let Some((local, domain)) = display.split_once('@') else {
            return Err("an email address has an '@'");
        };
        if !is_local_part(local) {
            return Err("the part before the '@' is not one of an email address");
        }
        if !is_domain(domain) {
            return Err("the part after the '@' is not a domain");
        }
        Ok(Self { display, canonical })
    }

    /// The address as it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.display
    }

    /// The form by which addresses are told apart.
    pub(crate) fn canonical(&self) -> &str {
        &self.canonical
    }
}

fn is_local_part(local: &str) -> bool {
    let atext = |c: char| is_letter_or_digit(c) || "!#$%&'*+-/=?^_`{|}~".contains(c);
    local.len() <= 64
        && local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.chars().all(atext))
}

fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| is_letter_or_digit(c) || c == '-')
    };
    domain.contains('.') && domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_addresses_pass_and_case_makes_no_second_one() {
        for good in [
            "john@example.com",
            "a.b+tag@mail.example.co.uk",
            "o'neil@example.ie",
            "jörg@müller.de",
        ] {
            assert_eq!(Email::parse(good).expect(good).as_str(), good);
        }
        assert_eq!(
            Email::parse("Ada@Example.COM").expect("good").canonical(),
            "ada@example.com"
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "@",
            "a@",
            "@b.c",
            "a@b",
            "a@@b.c",
            "a@b@c.d",
            "a b@c.d",
            "a@b c.d",
            ".a@b.c",
            "a.@b.c",
            "a..b@c.d",
            "a@-b.c",
            "a@b-.c",
            "a@.b.c",
            "a@b.c.",
            "\"a\"@b.c",
            "a@[127.0.0.1]",
            "a\n@b.c",
            "a@b.c\r\nBcc: x@y.z",
            "a,b@c.d",
            "<a@b.c>",
            "a\0@b.c",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_longest_address_has_254_bytes() {
        let domain = format!("{}.{}.{}", "d".repeat(63), "d".repeat(63), "d".repeat(61));
        let of = |local: usize| Email::parse(&format!("{}@{domain}", "l".repeat(local)));
        assert!(of(64).is_ok(), "64 + 1 + 189 = 254");
        assert!(of(65).is_err());
        assert!(Email::parse(&"a".repeat(1_000_000)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in any::<String>()) {
            let _ = Email::parse(&text);
        }

        #[test]
        fn the_canonical_form_is_its_own_canonical_form(text in "[\\p{L}\\p{Nd}+_-]{1,12}@[\\p{L}]{1,9}[.][\\p{L}]{2,5}") {
            if let Ok(email) = Email::parse(&text)
                && let Ok(again) = Email::parse(email.canonical())
            {
                prop_assert_eq!(again.canonical(), email.canonical());
            }
        }

        #[test]
        fn an_address_has_one_at_and_no_control_characters(text in "[ -~\\n\\r\\t]{0,40}@[ -~\\n]{0,40}") {
            if let Ok(email) = Email::parse(&text) {
                prop_assert_eq!(email.as_str().matches('@').count(), 1);
                prop_assert!(!email.as_str().chars().any(|c| c.is_control() || c.is_whitespace()));
            }
        }
    }
}
