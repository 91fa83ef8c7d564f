//! Lists of accounts, a page at a time.

use millgate_platform::{Cursor, Database, Fault, Page, on};

use super::users::{Row, columns};
use crate::domain::{Role, User, UserState};

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
}

/// The statement for one order; `$1` and `$2` are the name and the id where the page before ended.
macro_rules! page_by {
    ($beyond:literal, $order_by:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            ", coalesce(username_canonical, '') AS sort_name FROM users
             WHERE ",
            $beyond,
            " AND ($3 IS NULL OR created_by = $3)
               AND ($4 IS NULL OR role = $4)
               AND ($5 IS NULL OR state = $5)
               AND ($6 IS NULL OR external_id = $6)
             ORDER BY ",
            $order_by,
            " LIMIT $7"
        )
    };
}

impl Order {
    const fn is_by_name(self) -> bool {
        matches!(self, Self::Username | Self::UsernameDescending)
    }

    /// The statement. Sorted by id alone, the name is bound all the same and is always empty.
    const fn sql(self) -> &'static str {
        match self {
            Self::Id => page_by!("$1 = '' AND id > $2", "id"),
            Self::IdDescending => page_by!("$1 = '' AND id < $2", "id DESC"),
            Self::Username => page_by!(
                "(coalesce(username_canonical, ''), id) > ($1, $2)",
                "coalesce(username_canonical, ''), id"
            ),
            Self::UsernameDescending => page_by!(
                "(coalesce(username_canonical, ''), id) < ($1, $2)",
                "coalesce(username_canonical, '') DESC, id DESC"
            ),
        }
    }

    /// The place before the first row: ids are positive, and no name begins with the last character there is.
    const fn beginning(self) -> (&'static str, i64) {
        match self {
            Self::Id | Self::Username => ("", 0),
            Self::IdDescending => ("", i64::MAX),
            Self::UsernameDescending => ("\u{10ffff}", i64::MAX),
        }
    }
}

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
    let rows: Vec<Listed> = on!(db, |c| sqlx::query_as(order.sql())
        .bind(name)
        .bind(id)
        .bind(filter.created_by)
        .bind(filter.role.map(Role::as_str))
        .bind(filter.state.map(UserState::as_str))
        .bind(filter.external_id)
        .bind(page.limit())
        .fetch_all(c)
        .await)?;
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
