//! The limits that a field's comment states, as JSON Schema keywords.
//!
//! Two phrases are understood, `1 to 64 characters` and `At most 2000 characters`; what is said in other words stays
//! text. A list that says `1 to 1000` limits its items, and a number itself.

/// The least and the most, where they are stated.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) least: Option<u32>,
    pub(super) most: Option<u32>,
}

/// How long a text may be.
pub(super) fn of_text(comment: &str) -> Limits {
    let words = words(comment);
    let Some(at) = words.iter().position(|word| word == "characters") else {
        return Limits::default();
    };
    before(&words[..at])
}

/// How many items a list may have.
pub(super) fn of_list(comment: &str) -> Limits {
    let words = words(comment);
    let range = words
        .windows(3)
        .position(|words| words[1] == "to" && number(&words[2]).is_some());
    match range {
        // The limit of an item, not of the list.
        Some(at) if words.get(at + 3).is_some_and(|word| word == "characters") => Limits::default(),
        Some(at) => before(&words[..at + 3]),
        None => Limits::default(),
    }
}

/// How small and how large a number may be: the only range that its comment names.
pub(super) fn of_number(comment: &str) -> Limits {
    let words = words(comment);
    let mut ranges = words.windows(3).filter_map(|words| {
        let (least, most) = (number(&words[0])?, number(&words[2])?);
        (words[1] == "to").then_some(Limits {
            least: Some(least),
            most: Some(most),
        })
    });
    match (ranges.next(), ranges.next()) {
        (Some(range), None) => range,
        _ => Limits::default(),
    }
}

fn before(words: &[String]) -> Limits {
    match words {
        [.., least, to, most] if to == "to" && number(least).is_some() => Limits {
            least: number(least),
            most: number(most),
        },
        [.., at, most, limit] if at == "at" && most == "most" => Limits {
            least: None,
            most: number(limit),
        },
        _ => Limits::default(),
    }
}

fn words(comment: &str) -> Vec<String> {
    let clean = |word: &str| {
        word.trim_matches(|c: char| !c.is_alphanumeric())
            .to_ascii_lowercase()
    };
    comment.split_whitespace().map(clean).collect()
}

fn number(word: &str) -> Option<u32> {
    word.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_found_where_they_are_stated() {
        let cases = [
            ("The name: 1 to 200 characters.", Some(1), Some(200)),
            ("At most 2000 characters.", None, Some(2000)),
            (
                "Why: 1 to 200 characters, for the ledger.",
                Some(1),
                Some(200),
            ),
            ("Letters and other characters.", None, None),
            ("characters", None, None),
            ("The pieces: 1 to 5.", None, None),
            ("", None, None),
        ];
        for (comment, least, most) in cases {
            assert_eq!(of_text(comment), Limits { least, most }, "{comment}");
        }
        let items = Limits {
            least: Some(1),
            most: Some(1000),
        };
        assert_eq!(of_list("Their ids: 1 to 1000."), items);
        assert_eq!(of_list("Each 1 to 10 characters."), Limits::default());
        assert_eq!(of_list("Their ids."), Limits::default());
        let pieces = Limits {
            least: Some(1),
            most: Some(1_000_000),
        };
        assert_eq!(of_number("How many pieces: 1 to 1,000,000."), pieces);
        for comment in ["How many.", "1 to 2, or 4 to 5.", "From Monday to Friday."] {
            assert_eq!(of_number(comment), Limits::default(), "{comment}");
        }
    }
}
