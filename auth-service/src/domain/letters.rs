//! What a name may be made of.

/// Letters that show nothing: the Hangul fillers, which Unicode counts among the letters. With one of them, two
/// different names would look the same.
const INVISIBLE: [char; 4] = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'];

/// A letter or digit of any script that can be seen.
pub(super) fn is_letter_or_digit(c: char) -> bool {
    c.is_alphanumeric() && !INVISIBLE.contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_digits_of_any_script_pass_and_what_cannot_be_seen_does_not() {
        assert!(
            ['a', 'Z', '7', 'é', 'ß', 'Ж', '字', '٣']
                .into_iter()
                .all(is_letter_or_digit)
        );
        assert!(
            INVISIBLE.iter().all(|c| c.is_alphanumeric()),
            "else they need no mention"
        );
        let others = [
            ' ', '\u{ad}', '\u{200b}', '\u{200d}', '\u{202e}', '\u{2060}', '\u{feff}', '\u{180e}',
        ];
        assert!(!INVISIBLE.into_iter().chain(others).any(is_letter_or_digit));
    }
}
