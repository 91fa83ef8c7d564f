//! What people write for people: names of tokens, descriptions of accounts.

/// Reads words of at most `longest` characters, none of them a control character. Empty ones are fine.
///
/// # Errors
/// What is wrong with them, for the caller.
pub(crate) fn words(text: &str, longest: usize) -> Result<String, String> {
    if text.chars().count() > longest {
        return Err(format!("at most {longest} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err("no control characters".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_short_and_printable() {
        assert!(words("", 2).is_ok());
        assert!(words("éé", 2).is_ok());
        assert!(words("ééé", 2).is_err());
        for control in ["\n", "\0", "\u{7f}", "\u{9b}"] {
            assert!(words(control, 2).is_err(), "{control:?}");
        }
    }
}
