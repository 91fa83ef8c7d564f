//! Etags: the revision of a resource as an opaque text (AIP-154).

use std::fmt;

use crate::fault::{Fault, Reason};

/// The etag of one revision of a resource.
///
/// It is a revision and never a hash of the content, so that a change and its undoing are
/// two different etags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Etag(i64);

impl Etag {
    /// The etag of this revision, as it goes out in the resource's `etag` field.
    pub fn of(revision: i64) -> String {
        Self(revision).to_string()
    }

    /// Checks the etag that a request sent against the stored revision.
    ///
    /// An empty text means that the caller does not care. The quotes of an HTTP entity tag
    /// (RFC 9110 section 8.8.3) are accepted around it.
    ///
    /// # Errors
    /// [`Reason::EtagMismatch`] for every other text that is not exactly this revision.
    pub fn check(sent: &str, revision: i64) -> Result<(), Fault> {
        let bare = sent
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(sent);
        if sent.is_empty() || bare == Self::of(revision) {
            return Ok(());
        }
        Err(Fault::new(
            Reason::EtagMismatch,
            "the resource has changed since it was read",
        ))
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_revision_and_no_etag_pass() {
        for sent in ["", "7", "\"7\""] {
            assert!(Etag::check(sent, 7).is_ok(), "{sent:?}");
        }
    }

    #[test]
    fn everything_else_is_a_mismatch() {
        for sent in [
            "6", "8", "07", "+7", " 7", "7 ", "W/\"7\"", "\"\"", "\"", "x", "٧",
        ] {
            let fault = Etag::check(sent, 7).expect_err(sent);
            assert_eq!(fault.reason(), Reason::EtagMismatch, "{sent:?}");
        }
    }
}
