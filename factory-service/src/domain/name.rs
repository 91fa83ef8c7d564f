//! The name of a person, which clients write whole or in two parts.

use millgate_platform::{FieldFault, Fields};

use super::text;

/// The longest part, in characters.
pub(crate) const MAX_PART: usize = 100;

/// A name in two parts. The first is never empty; the last may be (some people have one name).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    first: String,
    last: String,
}

/// What a request says about the name: `None` is a field that it does not write.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NameFields<'a> {
    /// The path of the message that holds the fields, with a dot behind it; empty for the request itself.
    pub(crate) within: &'a str,
    /// `name`
    pub whole: Option<&'a str>,
    /// `first_name`
    pub first: Option<&'a str>,
    /// `last_name`
    pub last: Option<&'a str>,
}

impl<'a> NameFields<'a> {
    /// The fields of a new resource, where an empty one counts as not said.
    pub(crate) fn of_new(within: &'a str, whole: &'a str, first: &'a str, last: &'a str) -> Self {
        let said = |text: &'a str| (!text.trim().is_empty()).then_some(text);
        Self {
            within,
            whole: said(whole),
            first: said(first),
            last: said(last),
        }
    }
}

impl Name {
    /// The first name.
    pub(crate) fn first(&self) -> &str {
        &self.first
    }

    /// The last name; empty where there is none.
    pub(crate) fn last(&self) -> &str {
        &self.last
    }

    /// Both parts with a space between.
    pub(crate) fn whole(&self) -> String {
        if self.last.is_empty() {
            self.first.clone()
        } else {
            format!("{} {}", self.first, self.last)
        }
    }

    /// As it is compared and sorted.
    pub(crate) fn canonical(&self) -> String {
        text::canonical(&self.whole())
    }

    /// The last name as it is looked for; empty where there is none.
    pub(crate) fn last_canonical(&self) -> String {
        text::canonical(&self.last)
    }

    /// The name as the database holds it.
    pub(crate) fn stored(first: String, last: String) -> Self {
        Self { first, last }
    }

    /// The name that the fields make, on top of the `current` one where there is one.
    ///
    /// `name` alone is parted at its first space. Both forms at once must say the same. Every bad field is noted in
    /// `fields`; then there is no name.
    pub(crate) fn resolve(
        said: NameFields<'_>,
        current: Option<&Self>,
        fields: &mut Fields,
    ) -> Option<Self> {
        let path = |field: &str| format!("{}{field}", said.within);
        let whole = match said.whole {
            Some(text) => Some(fields.parse(&path("name"), Self::part(text))?),
            None => None,
        };
        let parsed_first = |first| text::line(first, 1, MAX_PART);
        let first = said
            .first
            .map(|first| fields.parse(&path("first_name"), parsed_first(first)));
        let parsed_last = |last| text::line(last, 0, MAX_PART);
        let last = said
            .last
            .map(|last| fields.parse(&path("last_name"), parsed_last(last)));
        let kept = whole.as_ref().or(current);
        let first = match first {
            Some(parsed) => parsed?,
            None => match kept {
                Some(name) => name.first.clone(),
                None => {
                    fields.refuse(
                        &path("name"),
                        "a name is needed: `name`, or `first_name` and `last_name`",
                    );
                    return None;
                }
            },
        };
        let last = match last {
            Some(parsed) => parsed?,
            None => kept.map(|name| name.last.clone()).unwrap_or_default(),
        };
        let name = Self { first, last };
        if whole.is_some_and(|whole| whole.whole() != name.whole()) {
            fields.refuse(
                &path("name"),
                "must say the same as `first_name` and `last_name`, or be left out",
            );
            return None;
        }
        Some(name)
    }

    fn part(whole: &str) -> Result<Self, FieldFault> {
        let whole = text::line(whole, 1, 2 * MAX_PART + 1)?;
        let (first, last) = whole.split_once(' ').unwrap_or((&whole, ""));
        Ok(Self {
            first: text::line(first, 1, MAX_PART)?,
            last: text::line(last, 0, MAX_PART)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resolve(said: NameFields<'_>, current: Option<&Name>) -> Option<Name> {
        let mut fields = Fields::new();
        let name = Name::resolve(said, current, &mut fields);
        assert_eq!(name.is_some(), fields.finish().is_ok());
        name
    }

    fn new(whole: &str, first: &str, last: &str) -> Option<Name> {
        resolve(NameFields::of_new("", whole, first, last), None)
    }

    fn name(first: &str, last: &str) -> Name {
        Name::stored(first.into(), last.into())
    }

    #[test]
    fn a_whole_name_is_parted_at_its_first_space() {
        assert_eq!(new("John Doe", "", ""), Some(name("John", "Doe")));
        assert_eq!(
            new("Ana Maria de Souza", "", ""),
            Some(name("Ana", "Maria de Souza"))
        );
        assert_eq!(new(" Plato ", "", ""), Some(name("Plato", "")));
    }

    #[test]
    fn both_forms_must_say_the_same() {
        assert_eq!(new("John Doe", "John", "Doe"), Some(name("John", "Doe")));
        assert_eq!(
            new("Ana Maria de Souza", "Ana Maria", "de Souza"),
            Some(name("Ana Maria", "de Souza"))
        );
        assert_eq!(new("John Doe", "Jane", "Doe"), None);
        assert_eq!(new("John Doe", "John", ""), Some(name("John", "Doe")));
    }

    #[test]
    fn no_name_and_a_last_name_alone_are_refused() {
        assert_eq!(new("", "", ""), None);
        assert_eq!(new("  ", "", ""), None);
        assert_eq!(new("", "", "Doe"), None);
        assert_eq!(new("", "John", ""), Some(name("John", "")));
    }

    #[test]
    fn a_part_that_is_not_said_stays() {
        let said = NameFields {
            first: Some("Johnny"),
            ..NameFields::default()
        };
        assert_eq!(
            resolve(said, Some(&name("John", "Doe"))),
            Some(name("Johnny", "Doe"))
        );
        let said = NameFields {
            last: Some(""),
            ..NameFields::default()
        };
        assert_eq!(
            resolve(said, Some(&name("John", "Doe"))),
            Some(name("John", ""))
        );
        let said = NameFields {
            whole: Some("Jo"),
            ..NameFields::default()
        };
        assert_eq!(
            resolve(said, Some(&name("John", "Doe"))),
            Some(name("Jo", ""))
        );
        let said = NameFields {
            first: Some(""),
            ..NameFields::default()
        };
        assert_eq!(resolve(said, Some(&name("John", "Doe"))), None);
    }

    proptest! {
        #[test]
        fn a_parted_name_joins_to_itself(whole in "[a-zA-Z]{1,9}( [a-zA-Z]{1,9}){0,3}") {
            prop_assert_eq!(new(&whole, "", "").expect("a name").whole(), whole);
        }

        #[test]
        fn no_text_panics(whole: String, first: String, last: String) {
            if let Some(name) = new(&whole, &first, &last) {
                prop_assert!(!name.first().is_empty());
                prop_assert!(name.first().chars().count() <= MAX_PART);
            }
        }
    }
}
