//! Lists of accounts, a page at a time.

use millgate_platform::{Cursor, Database, Fault, Page, on};
use sqlx::QueryBuilder;

use super::users::{Row, columns};
use crate::domain::{Email, Role, User, UserState, Username};

/// What a list is sorted by; the id breaks ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// By id.
    Id,
    /// By id, the newest first.
    IdDescending,
    /// By the canonical user name; accounts without one first.
    Username,
    /// The other way round.
    UsernameDescending,
}

/// Which accounts are wanted.
#[derive(Debug, Default)]
pub(crate) struct Filter<'a> {
    /// Only those that this client made.
    pub(crate) created_by: Option<&'a str>,
    /// Only those with this role.
    pub(crate) role: Option<Role>,
    /// Only those in this state.
    pub(crate) state: Option<UserState>,
    /// Only those with this external id.
    pub(crate) external_id: Option<&'a str>,
    /// Only the one with this user name.
    pub(crate) username: Option<&'a Username>,
    /// Only the one with this address.
    pub(crate) email: Option<&'a Email>,
}

impl Order {
    const fn is_by_name(self) -> bool {
        matches!(self, Self::Username | Self::UsernameDescending)
    }

    const fn is_descending(self) -> bool {
        matches!(self, Self::IdDescending | Self::UsernameDescending)
    }

    /// How a row that comes after another compares with it.
    const fn beyond(self) -> &'static str {
        if self.is_descending() { " < " } else { " > " }
    }

    /// The same, when it may also be equal.
    const fn not_before(self) -> &'static str {
        if self.is_descending() { " <= " } else { " >= " }
    }

    const fn order_by(self) -> &'static str {
        match self {
            Self::Id => " ORDER BY id",
            Self::IdDescending => " ORDER BY id DESC",
            Self::Username => " ORDER BY coalesce(username_canonical, ''), id",
            Self::UsernameDescending => " ORDER BY coalesce(username_canonical, '') DESC, id DESC",
        }
    }

    /// The place before the first row: ids are positive, and no name begins with the last character there is.
    const fn beginning(self) -> (&'static str, i64) {
        if self.is_descending() {
            ("\u{10ffff}", i64::MAX)
        } else {
            ("", 0)
        }
    }
}

/// What a list by name is sorted by, as the index `users_by_username` has it.
const NAME: &str = "coalesce(username_canonical, '')";
const SELECT: &str = concat!(
    "SELECT ",
    columns!(),
    ", coalesce(username_canonical, '') AS sort_name FROM users WHERE "
);

#[derive(sqlx::FromRow)]
struct Listed {
    #[sqlx(flatten)]
    row: Row,
    sort_name: String,
}

/// One page of accounts, and the token of the next one; empty on the last.
pub(crate) async fn page(
    db: &Database,
    filter: &Filter<'_>,
    order: Order,
    page: &Page,
) -> Result<(Vec<User>, String), Fault> {
    let (name, id) = match &page.after {
        Some(cursor) => (cursor.sort_text().unwrap_or_default(), cursor.id),
        None => order.beginning(),
    };
    // Put together from what was asked for: a filter that may be absent (`$1 IS NULL OR ..`) would keep SQLite from
    // using an index for one that is there.
    let rows: Vec<Listed> = on!(db, |c| {
        let mut query = QueryBuilder::new(SELECT);
        if order.is_by_name() {
            // Says nothing new, but it is what SQLite finds the place in the index by.
            query.push(NAME).push(order.not_before()).push_bind(name);
            query
                .push(" AND (coalesce(username_canonical, ''), id)")
                .push(order.beyond());
            query
                .push("(")
                .push_bind(name)
                .push(", ")
                .push_bind(id)
                .push(")");
        } else {
            query.push("id").push(order.beyond()).push_bind(id);
        }
        if let Some(client) = filter.created_by {
            query.push(" AND created_by = ").push_bind(client);
        }
        if let Some(role) = filter.role {
            query.push(" AND role = ").push_bind(role.as_str());
        }
        if let Some(state) = filter.state {
            query.push(" AND state = ").push_bind(state.as_str());
        }
        if let Some(external_id) = filter.external_id {
            query.push(" AND external_id = ").push_bind(external_id);
        }
        if let Some(username) = filter.username {
            query
                .push(" AND username_canonical = ")
                .push_bind(username.canonical());
        }
        if let Some(email) = filter.email {
            query
                .push(" AND email_canonical = ")
                .push_bind(email.canonical());
        }
        query
            .push(order.order_by())
            .push(" LIMIT ")
            .push_bind(page.limit());
        query.build_query_as().fetch_all(c).await
    })?;
    let listed = rows
        .into_iter()
        .map(|listed| Ok((User::try_from(listed.row)?, listed.sort_name)))
        .collect::<Result<Vec<_>, Fault>>()?;
    let (listed, next) = page.finish(listed, |(user, name)| {
        if order.is_by_name() {
            Cursor::text(name.clone(), user.id)
        } else {
            Cursor::id(user.id)
        }
    });
    Ok((listed.into_iter().map(|(user, _)| user).collect(), next))
}
