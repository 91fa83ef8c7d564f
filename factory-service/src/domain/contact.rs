//! How a customer is reached: email address and telephone number.

use millgate_platform::FieldFault;

use super::text;

/// An email address. Where mail really arrives nobody knows without sending some; this keeps out what cannot be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Email(String);

impl Email {
    /// RFC 5321 section 4.5.3.1.3: 256 octets with the angle brackets around it.
    const LONGEST: usize = 254;
    /// RFC 5321 section 4.5.3.1.1.
    const LONGEST_LOCAL: usize = 64;

    /// Parses an address, by the rule of the auth service: what is a profile's address here can be a login there.
    ///
    /// The local part is a dot-atom (RFC 5322 section 3.2.3) with letters of any script (RFC 6531), the domain has two
    /// labels or more.
    ///
    /// # Errors
    /// When it cannot be one.
    pub(crate) fn parse(text: &str) -> Result<Self, FieldFault> {
        let text = text::line(text, 1, Self::LONGEST)?;
        let bad = || FieldFault::from("must be an email address");
        let (local, domain) = text.split_once('@').ok_or_else(bad)?;
        let in_atom = |c: char| text::is_letter_or_digit(c) || "!#$%&'*+-/=?^_`{|}~".contains(c);
        let is_atom = |atom: &str| !atom.is_empty() && atom.chars().all(in_atom);
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .chars()
                    .all(|c| text::is_letter_or_digit(c) || c == '-')
        };
        let is_good = text.len() <= Self::LONGEST
            && local.len() <= Self::LONGEST_LOCAL
            && local.split('.').all(is_atom)
            && domain.contains('.')
            && domain.split('.').all(is_label);
        if is_good { Ok(Self(text)) } else { Err(bad()) }
    }

    /// The address as the database holds it; empty where the customer is erased.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As it is compared.
    pub(crate) fn canonical(&self) -> String {
        text::canonical(&self.0)
    }
}

/// A telephone number as it was written, or none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Phone(String);

impl Phone {
    /// Parses a number: 3 to 32 digits, spaces and `+ - ( ) . /`, at least one of them a digit; empty is none.
    ///
    /// # Errors
    /// Says what it may consist of.
    pub(crate) fn parse(text: &str) -> Result<Self, FieldFault> {
        let text = text.trim();
        let good =
            |c: char| c.is_ascii_digit() || matches!(c, ' ' | '+' | '-' | '(' | ')' | '.' | '/');
        let has_digit = text.contains(|c: char| c.is_ascii_digit());
        if text.is_empty()
            || ((3..=32).contains(&text.len()) && text.chars().all(good) && has_digit)
        {
            return Ok(Self(text.to_owned()));
        }
        Err("must be 3 to 32 digits, spaces and `+ - ( ) . /`".into())
    }

    /// The number that `phone` and `phone_number` say together: `None` where neither says anything.
    ///
    /// # Errors
    /// As [`Phone::parse`], and when they differ.
    pub(crate) fn parse_either(
        phone: Option<&str>,
        phone_number: Option<&str>,
    ) -> Result<Option<Self>, FieldFault> {
        match (phone, phone_number) {
            (None, None) => Ok(None),
            (Some(one), None) | (None, Some(one)) => Self::parse(one).map(Some),
            (Some(one), Some(other)) if one.trim() == other.trim() => Self::parse(one).map(Some),
            (Some(_), Some(_)) => {
                Err("must be the same as `phone_number`, or one of them left out".into())
            }
        }
    }

    /// The number as the database holds it.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// As it was written; empty for none.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As it is compared: the digits, and the plus before them.
    pub(crate) fn canonical(&self) -> String {
        Self::digits(&self.0)
    }

    /// What of a text counts in the comparison of numbers.
    pub(crate) fn digits(text: &str) -> String {
        text.chars()
            .filter(|c| c.is_ascii_digit() || *c == '+')
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_has_a_name_a_host_and_no_tricks() {
        for good in [
            "john@example.com",
            "a+b@x.io",
            "O'Neil@sub.example.co",
            "ü@bücher.de",
        ] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "john",
            "@example.com",
            "john@",
            "a b@x.io",
            "a@x..io",
            "a@localhost",
            ".a@x.io",
            "a..b@x.io",
            "\u{3164}@x.io",
            "a@-x.io",
            "a@x.io\r\nBcc: b@y.io",
            "a@b@c.d",
            "a@x.io\0",
            "<a@x.io>",
            &format!("{}@x.io", "a".repeat(65)),
            &format!("a@{}.io", "x".repeat(250)),
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            Email::parse("John@Example.com").expect("good").canonical(),
            "john@example.com"
        );
    }

    #[test]
    fn a_phone_number_is_what_can_be_dialled() {
        for good in ["", "555-0123", "+49 (0)89 / 123.45", "112"] {
            assert!(Phone::parse(good).is_ok(), "{good}");
        }
        for bad in ["12", "---", "555-CALL", "١٢٣", &"1".repeat(33)] {
            assert!(Phone::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            Phone::parse("+49 89/12-3").expect("good").canonical(),
            "+4989123"
        );
    }

    #[test]
    fn phone_and_phone_number_are_one_thing() {
        let phone = |text: &str| Ok(Some(Phone(text.to_owned())));
        assert_eq!(Phone::parse_either(Some("123"), None), phone("123"));
        assert_eq!(Phone::parse_either(None, Some("123")), phone("123"));
        assert_eq!(Phone::parse_either(Some("123"), Some("123 ")), phone("123"));
        assert_eq!(Phone::parse_either(None, None), Ok(None));
        assert!(Phone::parse_either(Some("123"), Some("456")).is_err());
    }
}
