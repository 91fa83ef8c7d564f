//! Text that people typed: cut to size, in one Unicode form, and without what no database and no terminal should get.

use millgate_platform::FieldFault;
use unicode_normalization::UnicodeNormalization;

/// The longest prefix that can be searched for, in characters.
pub(crate) const MAX_QUERY: usize = 100;

/// Sorts behind every text that begins with the same prefix: the largest code point there is, and one that no text
/// may hold (a noncharacter).
const LAST: char = '\u{10FFFF}';

/// One line of text: NFC, without white space at its ends, `least..=most` characters, no control characters.
///
/// # Errors
/// Says which of these it is not. A NUL, which PostgreSQL cannot store, is a control character too.
pub(crate) fn line(text: &str, least: usize, most: usize) -> Result<String, FieldFault> {
    parse(text, least, most, |c| c.is_control())
}

/// As [`line`], with line breaks and tabs allowed.
///
/// # Errors
/// As [`line`].
pub(crate) fn paragraph(text: &str, least: usize, most: usize) -> Result<String, FieldFault> {
    parse(text, least, most, |c| {
        c.is_control() && !matches!(c, '\n' | '\r' | '\t')
    })
}

fn parse(
    text: &str,
    least: usize,
    most: usize,
    forbidden: impl Fn(char) -> bool,
) -> Result<String, FieldFault> {
    // Far above what NFC could still join together: a text of megabytes is not worth normalising.
    if text.len() > most.saturating_mul(16).saturating_add(64) {
        return Err(format!("must be at most {most} characters").into());
    }
    let text: String = text.trim().nfc().collect();
    if text.chars().any(|c| forbidden(c) || c == LAST) {
        return Err("must not contain control characters".into());
    }
    match text.chars().count() {
        0 if least > 0 => Err("must not be empty".into()),
        count if count < least => Err(format!("must be at least {least} characters").into()),
        count if count > most => Err(format!("must be at most {most} characters").into()),
        _ => Ok(text),
    }
}

/// A letter or digit of any script that can be seen: the Hangul fillers, which Unicode counts among the letters, show
/// nothing, and two different addresses would look the same.
pub(crate) fn is_letter_or_digit(c: char) -> bool {
    c.is_alphanumeric() && !matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
}

/// The form in which texts are compared without regard to case.
pub(crate) fn canonical(text: &str) -> String {
    text.to_lowercase().nfc().collect()
}

/// What begins with a text, as a range that an index can answer: `from <= x and x < to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// The first text of the range: the prefix itself.
    pub from: String,
    /// The first text behind it.
    pub to: String,
}

impl Prefix {
    /// The range of what begins with `text`, which must be in the canonical form of the column already.
    pub(crate) fn of(text: String) -> Self {
        let mut to = text.clone();
        to.push(LAST);
        Self { from: text, to }
    }

    /// The `query` of a list: without regard to case; `None` when there is nothing to search for.
    ///
    /// # Errors
    /// As [`line`] with at most [`MAX_QUERY`] characters.
    pub(crate) fn parse(query: &str) -> Result<Option<Self>, FieldFault> {
        let text = canonical(&line(query, 0, MAX_QUERY)?);
        Ok((!text.is_empty()).then(|| Self::of(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_at_the_ends_is_dropped_and_the_inside_kept() {
        assert_eq!(line("  a  b ", 1, 10).expect("fine"), "a  b");
    }

    #[test]
    fn a_nul_a_line_break_and_an_escape_are_refused_in_a_line() {
        for text in ["a\0b", "a\nb", "a\u{1b}[31m", "\u{10FFFF}"] {
            assert!(line(text, 0, 10).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_paragraph_has_line_breaks_but_no_nul() {
        assert_eq!(paragraph("a\nb\tc", 1, 10).expect("fine"), "a\nb\tc");
        assert!(paragraph("a\0b", 1, 10).is_err());
    }

    #[test]
    fn lengths_are_counted_in_characters_on_both_edges() {
        assert!(line(&"é".repeat(10), 1, 10).is_ok());
        assert!(line(&"é".repeat(11), 1, 10).is_err());
        assert!(line("", 1, 10).is_err());
        assert!(line("   ", 1, 10).is_err());
        assert!(line("", 0, 10).is_ok());
        assert!(line(&"a".repeat(10_000_000), 0, 10).is_err());
    }

    #[test]
    fn two_spellings_of_one_letter_are_one_text() {
        assert_eq!(line("e\u{301}", 1, 1), line("\u{e9}", 1, 1));
    }

    #[test]
    fn a_prefix_range_holds_what_begins_with_it_and_nothing_else() {
        let range = Prefix::parse(" Bol ").expect("fine").expect("some");
        let holds = |text: &str| range.from.as_str() <= text && text < range.to.as_str();
        assert!(
            ["bol", "bolt", "bolzen m8", "bol\u{ffff}"]
                .into_iter()
                .all(holds)
        );
        assert!(!["bo", "bom", "abol", "Bolt"].into_iter().any(holds));
    }

    #[test]
    fn an_empty_query_searches_for_nothing() {
        assert_eq!(Prefix::parse("  ").expect("fine"), None);
        assert!(Prefix::parse(&"a".repeat(101)).is_err());
    }
}
