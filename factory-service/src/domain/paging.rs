//! The order of a list.

use millgate_platform::FieldFault;

/// The column that a list is sorted by, and which way. The id is always the tie-breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrderBy {
    /// One of the columns that the list offers.
    pub column: &'static str,
    /// The largest first.
    pub descending: bool,
}

impl OrderBy {
    /// Parses `order_by`: empty (the first column offered), a column, or a column and ` desc`.
    ///
    /// # Errors
    /// Anything else; the text names what is offered.
    pub(crate) fn parse(text: &str, offered: &[&'static str]) -> Result<Self, FieldFault> {
        let (column, descending) = match text.trim().split_once(' ') {
            None => (text.trim(), false),
            Some((column, "desc")) => (column, true),
            Some(_) => ("?", false),
        };
        let found = match column {
            "" => offered.first(),
            _ => offered.iter().find(|name| **name == column),
        };
        match found {
            Some(column) => Ok(Self { column, descending }),
            None => Err(format!(
                "must be one of {}, with ` desc` for the other way round",
                offered.join(", ")
            )
            .into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_offered_columns_sort_a_list() {
        let offered = ["id", "sku"];
        let by = |column, descending| Ok(OrderBy { column, descending });
        assert_eq!(OrderBy::parse("", &offered), by("id", false));
        assert_eq!(OrderBy::parse("sku", &offered), by("sku", false));
        assert_eq!(OrderBy::parse("id desc", &offered), by("id", true));
        for bad in [
            "name",
            "id asc",
            "id  desc",
            "id,sku",
            "id desc;drop table x",
            "desc",
            "ID",
            " desc",
        ] {
            assert!(OrderBy::parse(bad, &offered).is_err(), "{bad}");
        }
    }
}
