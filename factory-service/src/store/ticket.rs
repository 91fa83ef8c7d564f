//! The rows of service tickets.

use millgate_platform::database::Tx;
use millgate_platform::page::Page;
use millgate_platform::{Database, Fault, on, on_tx};
use sqlx::AssertSqlSafe;

use super::listing::{Arg, Listing, fetch_listing};
use super::{FOR_CHANGE, bad_row, on_postgres};
use crate::domain::access::Sight;
use crate::domain::paging::OrderBy;
use crate::domain::ticket::{Ticket, TicketState};

macro_rules! columns {
    () => {
        "id, customer_id, state, description, revision, create_time, update_time"
    };
}

const INSERT: &str = concat!(
    "INSERT INTO service_tickets (customer_id, state, description, revision, create_time, update_time) \
     VALUES ($1, 'OPEN', $2, 1, $3, $3) RETURNING ",
    columns!()
);
/// What is another's reads as not there: one statement, one cost.
const GET: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM service_tickets WHERE id = $1 AND ($2 IS NULL OR EXISTS \
     (SELECT 1 FROM customers c WHERE c.id = service_tickets.customer_id AND c.user_id = $2))"
);
const MOVE: &str =
    "UPDATE service_tickets SET state = $2, revision = $3, update_time = $4 WHERE id = $1";

const ERASE: &str = "UPDATE service_tickets SET description = '', revision = revision + 1, update_time = $2 \
     WHERE customer_id = $1 AND description <> ''";

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    customer_id: i64,
    state: String,
    description: String,
    revision: i64,
    create_time: i64,
    update_time: i64,
}

impl TryFrom<Row> for Ticket {
    type Error = Fault;

    fn try_from(row: Row) -> Result<Self, Fault> {
        let state =
            TicketState::parse(&row.state).ok_or_else(|| bad_row("ticket", row.id, "its state"))?;
        Ok(Self {
            id: row.id,
            customer_id: row.customer_id,
            state,
            description: row.description,
            revision: row.revision,
            create_time: row.create_time,
            update_time: row.update_time,
        })
    }
}

/// Inserts an open ticket.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn insert(
    tx: &mut Tx,
    customer_id: i64,
    description: &str,
    now: i64,
) -> Result<Ticket, Fault> {
    let row: Row = on_tx!(tx, |c| sqlx::query_as(INSERT)
        .bind(customer_id)
        .bind(description)
        .bind(now)
        .fetch_one(c)
        .await)?;
    row.try_into()
}

/// One ticket, if the caller may see it.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn get(db: &Database, id: i64, sight: Sight) -> Result<Option<Ticket>, Fault> {
    let row: Option<Row> = on!(db, |c| sqlx::query_as(GET)
        .bind(id)
        .bind(sight.owner())
        .fetch_optional(c)
        .await)?;
    row.map(Ticket::try_from).transpose()
}

/// What a list of tickets is restricted to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Only in this state.
    pub(crate) state: Option<TicketState>,
    /// Only of this customer.
    pub(crate) customer_id: Option<i64>,
}

/// A page of tickets, and one more where another page follows.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn list(
    db: &Database,
    filter: &Filter,
    by: OrderBy,
    page: &Page,
) -> Result<Vec<Ticket>, Fault> {
    let (sql, args) = Listing::new(concat!("SELECT ", columns!(), " FROM service_tickets"))
        .and_if(
            "state = ?",
            filter
                .state
                .map(|state| Arg::Text(state.as_str().to_owned())),
        )
        .and_if("customer_id = ?", filter.customer_id.map(Arg::Int))
        .page(by, "id", page);
    let rows: Vec<Row> = fetch_listing!(db, Row, sql, args)?;
    rows.into_iter().map(Ticket::try_from).collect()
}

/// One ticket that the caller may see, which nobody else moves until the transaction ends.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn lock(tx: &mut Tx, id: i64, sight: Sight) -> Result<Option<Ticket>, Fault> {
    let sql = format!("{GET}{}", on_postgres(tx, FOR_CHANGE));
    let row: Option<Row> = on_tx!(tx, |c| sqlx::query_as(AssertSqlSafe(sql))
        .bind(id)
        .bind(sight.owner())
        .fetch_optional(c)
        .await)?;
    row.map(Ticket::try_from).transpose()
}

/// Writes where a ticket, locked in this transaction, stands now.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn save_move(tx: &mut Tx, ticket: &Ticket) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(MOVE)
        .bind(ticket.id)
        .bind(ticket.state.as_str())
        .bind(ticket.revision)
        .bind(ticket.update_time)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// Removes what the customer's tickets say of them as a person.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn erase(tx: &mut Tx, customer_id: i64, now: i64) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(ERASE)
        .bind(customer_id)
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}
