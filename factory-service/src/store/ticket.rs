//! The rows of service tickets.

use millgate_platform::database::Tx;
use millgate_platform::page::Page;
use millgate_platform::{Database, Fault, on, on_tx};
use sqlx::AssertSqlSafe;

use super::listing::{Arg, Listing, fetch_listing};
use super::{FOR_CHANGE, bad_row, on_postgres, ticket_part};
use crate::domain::access::TicketSight;
use crate::domain::paging::OrderBy;
use crate::domain::ticket::{Part, Priority, Ticket, TicketFields, TicketState};

macro_rules! columns {
    () => {
        "id, customer_id, state, description, priority, product_id, order_id, employee_id, labour_minutes, resolution, \
         start_time, finish_time, revision, create_time, update_time"
    };
}

const INSERT: &str = concat!(
    "INSERT INTO service_tickets (customer_id, state, description, priority, product_id, order_id, labour_minutes, \
     resolution, revision, create_time, update_time) VALUES ($1, 'OPEN', $2, $3, $4, $5, 0, '', 1, $6, $6) RETURNING ",
    columns!()
);
/// What is another's reads as not there: one statement, one cost.
macro_rules! visible {
    () => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM service_tickets WHERE id = $1 AND ($2 IS NULL OR EXISTS \
             (SELECT 1 FROM customers c WHERE c.id = service_tickets.customer_id AND c.user_id = $2)) \
             AND ($3 IS NULL OR EXISTS (SELECT 1 FROM employees e \
             WHERE e.id = service_tickets.employee_id AND e.user_id = $3 AND e.delete_time IS NULL))"
        )
    };
}
const VISIBLE: &str = visible!();
const GET: &str = concat!(
    "WITH ticket AS (",
    visible!(),
    ") SELECT ticket.*, part.id AS part_id, part.product_id AS part_product_id, part.sku, part.name, \
     part.unit_price_minor, part.currency, part.quantity, part.create_time AS part_create_time \
     FROM ticket LEFT JOIN ticket_parts part ON part.ticket_id = ticket.id ORDER BY part.id"
);
const MOVE: &str = "UPDATE service_tickets SET state = $2, employee_id = $3, labour_minutes = $4, resolution = $5, \
     start_time = $6, finish_time = $7, revision = $8, update_time = $9 WHERE id = $1";
const ORDER_OF: &str = "SELECT id FROM orders WHERE id = $1 AND customer_id = $2";
const ON_ORDER: &str = "SELECT count(*) FROM order_lines WHERE order_id = $1 AND product_id = $2";

const ERASE: &str = "UPDATE service_tickets SET description = '', resolution = '', revision = revision + 1, \
     update_time = $2 WHERE customer_id = $1 AND (description <> '' OR resolution <> '')";

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    customer_id: i64,
    state: String,
    description: String,
    priority: String,
    product_id: Option<i64>,
    order_id: Option<i64>,
    employee_id: Option<i64>,
    labour_minutes: i64,
    resolution: String,
    start_time: Option<i64>,
    finish_time: Option<i64>,
    revision: i64,
    create_time: i64,
    update_time: i64,
}

/// A ticket with one of its parts, or with none where it has none.
#[derive(sqlx::FromRow)]
struct RowWithPart {
    #[sqlx(flatten)]
    ticket: Row,
    #[sqlx(flatten)]
    part: ticket_part::Joined,
}

impl TryFrom<Row> for Ticket {
    type Error = Fault;

    fn try_from(row: Row) -> Result<Self, Fault> {
        let bad = |what: &str| bad_row("ticket", row.id, what);
        Ok(Self {
            id: row.id,
            customer_id: row.customer_id,
            state: TicketState::parse(&row.state).ok_or_else(|| bad("its state"))?,
            fields: TicketFields {
                priority: Priority::parse(&row.priority).ok_or_else(|| bad("its priority"))?,
                description: row.description,
                product_id: row.product_id,
                order_id: row.order_id,
            },
            employee_id: row.employee_id,
            labour_minutes: i32::try_from(row.labour_minutes).map_err(|_| bad("its labour"))?,
            resolution: row.resolution,
            start_time: row.start_time,
            finish_time: row.finish_time,
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
    fields: &TicketFields,
    now: i64,
) -> Result<Ticket, Fault> {
    let row: Row = on_tx!(tx, |c| sqlx::query_as(INSERT)
        .bind(customer_id)
        .bind(&fields.description)
        .bind(fields.priority.as_str())
        .bind(fields.product_id)
        .bind(fields.order_id)
        .bind(now)
        .fetch_one(c)
        .await)?;
    row.try_into()
}

/// Whether the customer has this order.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn is_order_of(
    tx: &mut Tx,
    order_id: i64,
    customer_id: i64,
) -> Result<bool, Fault> {
    let found: Option<i64> = on_tx!(tx, |c| sqlx::query_scalar(ORDER_OF)
        .bind(order_id)
        .bind(customer_id)
        .fetch_optional(c)
        .await)?;
    Ok(found.is_some())
}

/// Whether the product is on a line of the order.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn is_on_order(
    tx: &mut Tx,
    product_id: i64,
    order_id: i64,
) -> Result<bool, Fault> {
    let lines: i64 = on_tx!(tx, |c| sqlx::query_scalar(ON_ORDER)
        .bind(order_id)
        .bind(product_id)
        .fetch_one(c)
        .await)?;
    Ok(lines > 0)
}

/// One ticket with its parts, in the order in which it took them, if the caller may see it.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn get(
    db: &Database,
    id: i64,
    sight: TicketSight,
) -> Result<Option<(Ticket, Vec<Part>)>, Fault> {
    let (customer, mechanic) = sight.keys();
    let rows: Vec<RowWithPart> = on!(db, |c| sqlx::query_as(GET)
        .bind(id)
        .bind(customer)
        .bind(mechanic)
        .fetch_all(c)
        .await)?;
    let mut found = None;
    let mut parts = Vec::new();
    for row in rows {
        parts.extend(row.part.part()?);
        found = Some(row.ticket);
    }
    let ticket = found.map(Ticket::try_from).transpose()?;
    Ok(ticket.map(|ticket| (ticket, parts)))
}

/// What a list of tickets is restricted to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Only in this state.
    pub state: Option<TicketState>,
    /// Only of this customer.
    pub customer_id: Option<i64>,
    /// Only of the profile of this user, if it is not deleted.
    pub user_id: Option<i64>,
    /// Only those assigned to this employee.
    pub employee_id: Option<i64>,
    /// Only of this priority.
    pub priority: Option<Priority>,
    /// Only those assigned to the employee with this login.
    pub login: Option<i64>,
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
    let (sql, args) = listing(filter, by, page);
    let rows: Vec<Row> = fetch_listing!(db, Row, sql, args)?;
    rows.into_iter().map(Ticket::try_from).collect()
}

/// The statement of a list.
pub(super) fn listing(filter: &Filter, by: OrderBy, page: &Page) -> (String, Vec<Arg>) {
    let text = |name: &'static str| Arg::Text(name.to_owned());
    Listing::new(concat!("SELECT ", columns!(), " FROM service_tickets"))
        .and_if("state = ?", filter.state.map(|state| text(state.as_str())))
        .and_if("customer_id = ?", filter.customer_id.map(Arg::Int))
        .and_if(
            "customer_id = (SELECT c.id FROM customers c WHERE c.user_id = ? AND c.delete_time IS NULL)",
            filter.user_id.map(Arg::Int),
        )
        .and_if("employee_id = ?", filter.employee_id.map(Arg::Int))
        .and_if("priority = ?", filter.priority.map(|one| text(one.as_str())))
        .and_if(
            "employee_id = (SELECT e.id FROM employees e WHERE e.user_id = ? AND e.delete_time IS NULL)",
            filter.login.map(Arg::Int),
        )
        .page(by, "id", page)
}

/// One ticket that the caller may see, which nobody else moves until the transaction ends.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn lock(
    tx: &mut Tx,
    id: i64,
    sight: TicketSight,
) -> Result<Option<Ticket>, Fault> {
    let (customer, mechanic) = sight.keys();
    let sql = format!("{VISIBLE}{}", on_postgres(tx, FOR_CHANGE));
    let row: Option<Row> = on_tx!(tx, |c| sqlx::query_as(AssertSqlSafe(sql))
        .bind(id)
        .bind(customer)
        .bind(mechanic)
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
        .bind(ticket.employee_id)
        .bind(i64::from(ticket.labour_minutes))
        .bind(&ticket.resolution)
        .bind(ticket.start_time)
        .bind(ticket.finish_time)
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
