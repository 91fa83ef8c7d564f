//! Scopes: what a token may be used for (RFC 6749 section 3.3).

use std::fmt;

/// A set of scope-tokens, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(Vec<String>);

/// Why a text is not a set of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopesError {
    /// No scope at all: an absent scope and an empty one are different things.
    #[error("a scope must not be empty")]
    Empty,
    /// A character outside of RFC 6749's scope-token, or more than one space between two.
    #[error("a scope is made of printable ASCII without space, quote and backslash")]
    Character,
}

impl Scopes {
    /// Reads scope-tokens separated by single spaces, in any order.
    ///
    /// # Errors
    /// When there is none, or one holds a character that RFC 6749 does not allow.
    pub fn parse(text: &str) -> Result<Self, ScopesError> {
        if text.is_empty() {
            return Err(ScopesError::Empty);
        }
        text.split(' ')
            .map(|token| match is_scope_token(token) {
                true => Ok(token.to_owned()),
                false => Err(ScopesError::Character),
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Self::sorted)
    }

    /// Whether this very scope is in the set. There are no wildcards and no hierarchy.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.0
            .binary_search_by(|held| held.as_str().cmp(scope))
            .is_ok()
    }

    /// The scopes, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether every scope here is also in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|scope| other.contains(scope))
    }

    /// What is in both, or nothing where they share none.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let shared: Vec<String> = self
            .iter()
            .filter(|scope| other.contains(scope))
            .map(str::to_owned)
            .collect();
        (!shared.is_empty()).then_some(Self(shared))
    }

    fn sorted(mut scopes: Vec<String>) -> Self {
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }
}

impl std::str::FromStr for Scopes {
    type Err = ScopesError;

    fn from_str(text: &str) -> Result<Self, ScopesError> {
        Self::parse(text)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// RFC 6749 section 3.3: `1*( %x21 / %x23-5B / %x5D-7E )`.
pub(crate) fn is_scope_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> Scopes {
        Scopes::parse(text).unwrap()
    }

    #[test]
    fn scopes_are_a_sorted_set() {
        assert_eq!(scopes("b a b").to_string(), "a b");
        assert_eq!(scopes("b a"), scopes("a b"));
    }

    #[test]
    fn an_empty_scope_is_not_an_absent_one() {
        assert_eq!(Scopes::parse(""), Err(ScopesError::Empty));
    }

    #[test]
    fn stray_spaces_and_quotes_are_refused() {
        for text in [
            " ", " a", "a ", "a  b", "a\tb", "a\"", "a\\b", "ä", "a\u{7f}", "a\0",
        ] {
            assert_eq!(Scopes::parse(text), Err(ScopesError::Character), "{text:?}");
        }
    }

    #[test]
    fn a_scope_contains_only_itself() {
        let held = scopes("products.read products.write");
        assert!(held.contains("products.write"));
        assert!(!held.contains("products"));
        assert!(!held.contains("products.writer"));
        assert!(!held.contains("*"));
        assert!(!held.contains(""));
    }

    #[test]
    fn intersections_keep_what_both_have() {
        let shared = scopes("a b c").intersection(&scopes("b c d"));
        assert_eq!(shared, Some(scopes("b c")));
        assert_eq!(scopes("a").intersection(&scopes("b")), None);
        assert!(scopes("a").is_subset(&scopes("a b")));
        assert!(!scopes("a c").is_subset(&scopes("a b")));
    }
}
