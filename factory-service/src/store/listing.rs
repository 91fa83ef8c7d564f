//! The statement of a list, put together from fixed pieces: conditions that apply, the place where the page before
//! ended, the order, the limit. What a caller sent is only ever bound, never part of the text.

use millgate_platform::page::{Page, SortValue};

use crate::domain::paging::OrderBy;
use crate::domain::text::Prefix;

/// A value to bind.
#[derive(Debug, Clone)]
pub(crate) enum Arg {
    Int(i64),
    Text(String),
}

/// The statement so far, and what to bind to it.
#[derive(Debug)]
pub(crate) struct Listing {
    sql: String,
    args: Vec<Arg>,
    has_condition: bool,
}

impl Listing {
    /// Begins with `SELECT ... FROM ...`.
    pub(crate) fn new(select: &'static str) -> Self {
        Self {
            sql: select.to_owned(),
            args: Vec::new(),
            has_condition: false,
        }
    }

    /// Adds a condition; each `?` in it stands for the next of `args`.
    pub(crate) fn and(
        mut self,
        condition: &'static str,
        args: impl IntoIterator<Item = Arg>,
    ) -> Self {
        self.sql.push_str(if self.has_condition {
            " AND ("
        } else {
            " WHERE ("
        });
        self.has_condition = true;
        let mut args = args.into_iter();
        for piece in condition.split_inclusive('?') {
            match (piece.strip_suffix('?'), args.next()) {
                (Some(text), Some(arg)) => {
                    self.sql.push_str(text);
                    self.bind(arg);
                }
                _ => self.sql.push_str(piece),
            }
        }
        self.sql.push(')');
        self
    }

    /// As [`Listing::and`], where there is something to compare with.
    pub(crate) fn and_if(self, condition: &'static str, arg: Option<Arg>) -> Self {
        match arg {
            Some(arg) => self.and(condition, [arg]),
            None => self,
        }
    }

    /// Adds a search for a prefix in any of `columns`, each with its own range.
    pub(crate) fn and_prefix(mut self, columns: &[(&'static str, &Prefix)]) -> Self {
        if columns.is_empty() {
            return self;
        }
        self.sql.push_str(if self.has_condition {
            " AND ("
        } else {
            " WHERE ("
        });
        self.has_condition = true;
        for (i, (column, prefix)) in columns.iter().enumerate() {
            self.sql.push_str(if i == 0 { "(" } else { " OR (" });
            self.sql.push_str(column);
            self.sql.push_str(" >= ");
            self.bind(Arg::Text(prefix.from.clone()));
            self.sql.push_str(" AND ");
            self.sql.push_str(column);
            self.sql.push_str(" < ");
            self.bind(Arg::Text(prefix.to.clone()));
            self.sql.push(')');
        }
        self.sql.push(')');
        self
    }

    /// Ends the statement: behind the page before, in order, one row more than the page holds. `column` is the
    /// database's name for what `by` sorts by; the id is the tie-breaker.
    pub(crate) fn page(
        mut self,
        by: OrderBy,
        column: &'static str,
        page: &Page,
    ) -> (String, Vec<Arg>) {
        let (than, way) = if by.descending {
            ("<", " DESC")
        } else {
            (">", "")
        };
        if let Some(cursor) = &page.after {
            self.sql.push_str(if self.has_condition {
                " AND "
            } else {
                " WHERE "
            });
            let sort = cursor.sort.as_ref().map(|sort| match sort {
                SortValue::Int(value) => Arg::Int(*value),
                SortValue::Text(value) => Arg::Text(value.clone()),
            });
            match sort {
                Some(sort) => {
                    self.sql.push_str(&format!("({column}, id) {than} ("));
                    self.bind(sort);
                    self.sql.push_str(", ");
                    self.bind(Arg::Int(cursor.id));
                    self.sql.push(')');
                }
                None => {
                    self.sql.push_str(&format!("id {than} "));
                    self.bind(Arg::Int(cursor.id));
                }
            }
        }
        if column != "id" {
            self.sql
                .push_str(&format!(" ORDER BY {column}{way}, id{way} LIMIT "));
        } else {
            self.sql.push_str(&format!(" ORDER BY id{way} LIMIT "));
        }
        self.bind(Arg::Int(page.limit()));
        (self.sql, self.args)
    }

    /// Ends the statement of a list whose key is not called id: behind the page before, one row more than the page holds.
    pub(crate) fn page_by_key(
        mut self,
        key: &'static str,
        descending: bool,
        page: &Page,
    ) -> (String, Vec<Arg>) {
        let (than, way) = if descending {
            ("<", " DESC")
        } else {
            (">", "")
        };
        if let Some(cursor) = &page.after {
            self.sql.push_str(if self.has_condition {
                " AND "
            } else {
                " WHERE "
            });
            self.sql.push_str(&format!("{key} {than} "));
            self.bind(Arg::Int(cursor.id));
        }
        self.sql.push_str(&format!(" ORDER BY {key}{way} LIMIT "));
        self.bind(Arg::Int(page.limit()));
        (self.sql, self.args)
    }

    /// Ends the statement with the first rows by a key.
    pub(crate) fn first(mut self, key: &'static str, most: i64) -> (String, Vec<Arg>) {
        self.sql.push_str(&format!(" ORDER BY {key} LIMIT "));
        self.bind(Arg::Int(most));
        (self.sql, self.args)
    }

    fn bind(&mut self, arg: Arg) {
        self.args.push(arg);
        self.sql.push_str(&format!("${}", self.args.len()));
    }
}

/// Runs a listing on the readers and gives its rows.
macro_rules! fetch_listing {
    ($db:expr, $row:ty, $sql:expr, $args:expr) => {
        millgate_platform::on!($db, |c| {
            let mut query = sqlx::query_as::<_, $row>(sqlx::AssertSqlSafe($sql));
            for arg in $args {
                query = match arg {
                    $crate::store::listing::Arg::Int(value) => query.bind(value),
                    $crate::store::listing::Arg::Text(value) => query.bind(value),
                };
            }
            query.fetch_all(c).await
        })
    };
}
pub(crate) use fetch_listing;

/// `$first, $first+1, ...`: the placeholders of a list of this many values.
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    let names: Vec<String> = (first..first + count).map(|n| format!("${n}")).collect();
    names.join(", ")
}

/// `($first, ...), (...)`: the placeholders of this many rows of values.
pub(crate) fn rows(first: usize, count: usize, columns: usize) -> String {
    let rows: Vec<String> = (0..count)
        .map(|row| format!("({})", placeholders(first + row * columns, columns)))
        .collect();
    rows.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use millgate_platform::page::{Cursor, PageKey, PageRequest};

    const BY_ID: OrderBy = OrderBy {
        column: "id",
        descending: false,
    };

    fn page(after: Option<Cursor>) -> Page {
        let mut page = PageRequest::parse(2, "", b"", &PageKey::new(&[1; 32])).expect("a page");
        page.after = after;
        page
    }

    #[test]
    fn every_value_is_bound_in_the_order_of_its_placeholder() {
        let prefix = Prefix::of("x".into());
        let (sql, args) = Listing::new("SELECT * FROM t")
            .and("a = ? OR b = ?", [Arg::Int(1), Arg::Text("two".into())])
            .and_if("c = ?", None)
            .and_prefix(&[("d", &prefix)])
            .page(BY_ID, "id", &page(Some(Cursor::id(9))));
        assert_eq!(
            sql,
            "SELECT * FROM t WHERE (a = $1 OR b = $2) AND ((d >= $3 AND d < $4)) AND id > $5 ORDER BY id LIMIT $6"
        );
        assert_eq!(args.len(), 6);
    }

    #[test]
    fn the_id_breaks_ties_in_the_same_direction() {
        let by = OrderBy {
            column: "sku",
            descending: true,
        };
        let (sql, _) = Listing::new("SELECT * FROM t").page(
            by,
            "sku_canonical",
            &page(Some(Cursor::text("a", 3))),
        );
        assert_eq!(
            sql,
            "SELECT * FROM t WHERE (sku_canonical, id) < ($1, $2) ORDER BY sku_canonical DESC, id DESC LIMIT $3"
        );
    }

    #[test]
    fn rows_of_placeholders_count_on() {
        assert_eq!(rows(3, 2, 2), "($3, $4), ($5, $6)");
    }
}
