//! The sessions of a person, a page at a time.

use millgate_platform::{Cursor, Database, Fault, Page, on};
use sqlx::{FromRow, QueryBuilder};

use super::sessions::{self, columns};
use crate::domain::{ListedSession, Micros, SessionLimits, micros};

/// What a list is sorted by; the id breaks ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The oldest first.
    Created,
    /// The newest first.
    CreatedDescending,
}

#[derive(FromRow)]
struct Row {
    #[sqlx(flatten)]
    session: sessions::Row,
    device_label: String,
    address: String,
    user_agent: String,
    end_reason: Option<String>,
}

impl From<Row> for ListedSession {
    fn from(row: Row) -> Self {
        Self {
            session: row.session.into(),
            device_label: row.device_label,
            address: row.address,
            user_agent: row.user_agent,
            end_reason: row.end_reason,
        }
    }
}

/// Which sessions are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filter {
    /// Whose.
    pub(crate) user_id: i64,
    /// Only those that live at this time; all where it is none.
    pub(crate) live_at: Option<Micros>,
}

const SELECT: &str = concat!(
    "SELECT ",
    columns!(),
    ", device_label, address, user_agent, end_reason FROM sessions WHERE user_id = "
);

/// One page of sessions, and the token of the next one; empty on the last.
pub(crate) async fn page(
    db: &Database,
    filter: Filter,
    limits: SessionLimits,
    order: Order,
    page: &Page,
) -> Result<(Vec<ListedSession>, String), Fault> {
    let (beyond, order_by) = match order {
        Order::Created => (" > ", " ORDER BY create_time, id LIMIT "),
        Order::CreatedDescending => (" < ", " ORDER BY create_time DESC, id DESC LIMIT "),
    };
    // The tie-breaker of a cursor is a number. Here the time is the number, and the id, a text, breaks the tie.
    let after = page
        .after
        .as_ref()
        .map(|cursor| (cursor.id, cursor.sort_text().unwrap_or_default()));
    let rows: Vec<Row> = on!(db, |c| {
        let mut query = QueryBuilder::new(SELECT);
        query.push_bind(filter.user_id);
        if let Some(now) = filter.live_at {
            query
                .push(" AND ended_time IS NULL AND create_time > ")
                .push_bind(now.saturating_sub(micros(limits.absolute)))
                .push(" AND last_used_time > ")
                .push_bind(now.saturating_sub(micros(limits.idle)));
        }
        if let Some((create_time, id)) = after {
            query.push(" AND (create_time, id)").push(beyond);
            query.push("(").push_bind(create_time);
            query.push(", ").push_bind(id).push(")");
        }
        query.push(order_by).push_bind(page.limit());
        query.build_query_as().fetch_all(c).await
    })?;
    let listed = rows.into_iter().map(ListedSession::from).collect();
    Ok(page.finish(listed, |listed: &ListedSession| {
        Cursor::text(listed.session.id.clone(), listed.session.create_time)
    }))
}
