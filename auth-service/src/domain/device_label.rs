//! What a person will recognise a session by.

/// The most characters of a label.
const LONGEST: usize = 100;

/// A device's label, such as "Anna's phone": at most 100 characters, none of them a control character.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeviceLabel(String);

impl DeviceLabel {
    /// Reads a label; an empty one is fine.
    ///
    /// # Errors
    /// What is wrong with it, for the caller.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.chars().count() > LONGEST {
            return Err("at most 100 characters");
        }
        if text.chars().any(char::is_control) {
            return Err("no control characters");
        }
        Ok(Self(text.to_owned()))
    }

    /// The label.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_short_and_printable() {
        assert!(DeviceLabel::parse("").is_ok());
        assert!(DeviceLabel::parse(&"é".repeat(100)).is_ok());
        assert!(DeviceLabel::parse(&"é".repeat(101)).is_err());
        assert!(DeviceLabel::parse("a\nb").is_err());
    }
}
