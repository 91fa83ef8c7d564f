//! The id that a creating client knows an account by.

/// The most characters of an external id.
const LONGEST: usize = 128;

/// A client's own id of an account (RFC 7643 section 3.1): 1 to 128 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExternalId(String);

impl ExternalId {
    /// Reads an external id; an empty text means that there is none.
    ///
    /// # Errors
    /// What is wrong with it, for the caller.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, &'static str> {
        if text.chars().count() > LONGEST {
            return Err("at most 128 characters");
        }
        if text.chars().any(char::is_control) {
            return Err("no control characters");
        }
        Ok((!text.is_empty()).then(|| Self(text.to_owned())))
    }

    /// The id as it was given: it is opaque, so nothing is normalised.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_external_id_is_opaque_but_short_and_printable() {
        assert_eq!(ExternalId::parse("").expect("none"), None);
        let id = ExternalId::parse("Customer 7/é")
            .expect("good")
            .expect("some");
        assert_eq!(id.as_str(), "Customer 7/é");
        assert!(ExternalId::parse(&"é".repeat(128)).is_ok());
        assert!(ExternalId::parse(&"x".repeat(129)).is_err());
        assert!(
            ExternalId::parse("a\0b").is_err(),
            "PostgreSQL could not even store it"
        );
    }
}
