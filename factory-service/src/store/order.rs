//! The rows of orders.

use millgate_platform::database::Tx;
use millgate_platform::page::Page;
use millgate_platform::{Database, Fault, on, on_tx};
use sqlx::AssertSqlSafe;

use super::listing::{Arg, Listing, fetch_listing};
use super::product::money;
use super::{FOR_CHANGE, bad_row, on_postgres};
use crate::domain::access::{Actor, Sight};
use crate::domain::money::Currency;
use crate::domain::order::{Order, OrderHead, OrderState, PastState};
use crate::domain::paging::OrderBy;
use crate::domain::placement::{Line, Totals};
use crate::domain::rate::BasisPoints;

macro_rules! columns {
    () => {
        "id, customer_id, state, subtotal_minor, orders.tax_minor, total_minor, currency, shipping_address, notes, \
         cancel_reason, line_count, revision, create_time, update_time"
    };
}

/// The columns of a line, beside those of its order.
macro_rules! line_columns {
    () => {
        "l.order_id, l.product_id, l.sku, l.name, l.unit_price_minor, l.quantity, l.discount_bp, l.discount_minor, \
         l.line_total_minor, l.tax_bp, l.tax_minor AS line_tax_minor"
    };
}

/// What is another's reads as not there: one statement, one cost.
const GET: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM orders WHERE id = $1 AND ($2 IS NULL OR EXISTS \
     (SELECT 1 FROM customers c WHERE c.id = orders.customer_id AND c.user_id = $2))"
);
/// The lines of an order that is locked.
const LINES: &str = concat!(
    "SELECT ",
    line_columns!(),
    " FROM order_lines l WHERE l.order_id = $1 ORDER BY l.position"
);
const MOVE: &str = "UPDATE orders SET state = $2, cancel_reason = $3, revision = $4, update_time = $5 WHERE id = $1";
const INSERT_STATE: &str = "INSERT INTO order_states (order_id, state, actor, session, create_time) VALUES ($1, $2, $3, $4, $5)";

/// Every order has a first state: none at all is an order that the caller may not see.
const STATES: &str = "SELECT s.state, s.actor, s.create_time FROM order_states s WHERE s.order_id = $1 \
     AND ($2 IS NULL OR EXISTS (SELECT 1 FROM orders o JOIN customers c ON c.id = o.customer_id \
     WHERE o.id = s.order_id AND c.user_id = $2)) ORDER BY s.id";
const ERASE: &str = "UPDATE orders SET cancel_reason = '', notes = '', shipping_address = '', \
     revision = revision + 1, update_time = $2 \
     WHERE customer_id = $1 AND (cancel_reason <> '' OR notes <> '' OR shipping_address <> '')";

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    customer_id: i64,
    state: String,
    subtotal_minor: i64,
    tax_minor: i64,
    total_minor: i64,
    currency: String,
    shipping_address: String,
    notes: String,
    cancel_reason: String,
    revision: i64,
    create_time: i64,
    update_time: i64,
}

impl TryFrom<Row> for OrderHead {
    type Error = Fault;

    fn try_from(row: Row) -> Result<Self, Fault> {
        let bad = |what: &str| bad_row("order", row.id, what);
        Ok(Self {
            id: row.id,
            customer_id: row.customer_id,
            state: OrderState::parse(&row.state).ok_or_else(|| bad("its state"))?,
            totals: Totals {
                subtotal: money(row.subtotal_minor, &row.currency)
                    .ok_or_else(|| bad("its subtotal"))?,
                tax: money(row.tax_minor, &row.currency).ok_or_else(|| bad("its tax"))?,
                total: money(row.total_minor, &row.currency).ok_or_else(|| bad("its total"))?,
            },
            shipping_address: row.shipping_address,
            notes: row.notes,
            cancel_reason: row.cancel_reason,
            revision: row.revision,
            create_time: row.create_time,
            update_time: row.update_time,
        })
    }
}

#[derive(sqlx::FromRow)]
struct LineRow {
    order_id: i64,
    product_id: i64,
    sku: String,
    name: String,
    unit_price_minor: i64,
    quantity: i64,
    discount_bp: i64,
    discount_minor: i64,
    line_total_minor: i64,
    tax_bp: i64,
    line_tax_minor: i64,
}

/// A line beside its order.
#[derive(sqlx::FromRow)]
struct WholeRow {
    #[sqlx(flatten)]
    head: Row,
    #[sqlx(flatten)]
    line: LineRow,
    /// How many orders the list found, with those whose lines were left for the next page.
    found: i64,
}

/// One order, if the caller may see it.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn get(db: &Database, id: i64, sight: Sight) -> Result<Option<Order>, Fault> {
    let rows: Vec<WholeRow> = on!(db, |c| sqlx::query_as(AssertSqlSafe(whole(GET, false)))
        .bind(id)
        .bind(sight.owner())
        .fetch_all(c)
        .await)?;
    Ok(orders(rows)?.into_iter().next())
}

/// What a list of orders is restricted to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Only in this state.
    pub state: Option<OrderState>,
    /// Only of this customer.
    pub customer_id: Option<i64>,
    /// Only of the profile of this user, if it is not deleted.
    pub user_id: Option<i64>,
    /// Only with this product.
    pub product_id: Option<i64>,
    /// Only those placed then or later, microseconds since the epoch.
    pub placed_after: Option<i64>,
    /// Only those placed earlier, microseconds since the epoch.
    pub placed_before: Option<i64>,
}

/// A page of orders, and one more where another page follows; and whether orders were left out because their lines
/// would have been too many for one page.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn list(
    db: &Database,
    filter: &Filter,
    by: OrderBy,
    page: &Page,
) -> Result<(Vec<Order>, bool), Fault> {
    let (sql, args) = listing(filter, by, page);
    let rows: Vec<WholeRow> = fetch_listing!(db, WholeRow, sql, args)?;
    let found = rows.first().map_or(0, |row| row.found);
    let orders = orders(rows)?;
    let is_cut = i64::try_from(orders.len()).is_ok_and(|read| read < found);
    Ok((orders, is_cut))
}

/// The statement of a list. The orders with a product are found by their lines, which an index has in the order of the
/// orders (SQLite takes the tables of a CROSS JOIN in the order in which they stand); a customer has few.
pub(super) fn listing(filter: &Filter, by: OrderBy, page: &Page) -> (String, Vec<Arg>) {
    let product = filter.product_id.map(Arg::Int);
    let is_of_one = filter.customer_id.is_some() || filter.user_id.is_some();
    let (listing, key) = match product {
        Some(product) if !is_of_one => {
            let from = concat!(
                "SELECT ",
                columns!(),
                " FROM order_lines l CROSS JOIN orders"
            );
            let listing = Listing::new(from)
                .and("orders.id = l.order_id", [])
                .and("l.product_id = ?", [product]);
            (listing, "l.order_id")
        }
        product => {
            let listing = Listing::new(concat!("SELECT ", columns!(), " FROM orders"))
                .and_if("customer_id = ?", filter.customer_id.map(Arg::Int))
                .and_if(
                    "customer_id = (SELECT c.id FROM customers c WHERE c.user_id = ? AND c.delete_time IS NULL)",
                    filter.user_id.map(Arg::Int),
                )
                .and_if(
                    "EXISTS (SELECT 1 FROM order_lines l WHERE l.order_id = orders.id AND l.product_id = ?)",
                    product,
                );
            (listing, "id")
        }
    };
    let (heads, args) = listing
        .and_if(
            "state = ?",
            filter
                .state
                .map(|state| Arg::Text(state.as_str().to_owned())),
        )
        .and_if("create_time >= ?", filter.placed_after.map(Arg::Int))
        .and_if("create_time < ?", filter.placed_before.map(Arg::Int))
        .page_by_key(key, by.descending, page);
    (whole(&heads, by.descending), args)
}

/// The most lines that are read at once: ten of the largest orders.
const MOST_LINES: i64 = 5000;

/// The statement that reads orders together with their lines, from the one that finds them: the first order, and those
/// behind it until their lines are [`MOST_LINES`]. SQLite takes the tables of a CROSS JOIN in the order in which they
/// stand. The long texts come with the first line alone, not five hundred times.
fn whole(heads: &str, descending: bool) -> String {
    let way = if descending { " DESC" } else { "" };
    format!(
        "WITH heads AS ({heads}), counted AS (SELECT heads.*, SUM(line_count) OVER (ORDER BY id{way}) AS lines_so_far, \
         COUNT(*) OVER () AS found FROM heads) \
         SELECT id, customer_id, state, subtotal_minor, counted.tax_minor, total_minor, currency, \
         CASE WHEN l.position = 0 THEN shipping_address ELSE '' END AS shipping_address, \
         CASE WHEN l.position = 0 THEN notes ELSE '' END AS notes, \
         CASE WHEN l.position = 0 THEN cancel_reason ELSE '' END AS cancel_reason, \
         revision, create_time, update_time, found, {} FROM counted CROSS JOIN order_lines l \
         WHERE l.order_id = id AND (lines_so_far <= {MOST_LINES} OR lines_so_far = line_count) \
         ORDER BY id{way}, l.position",
        line_columns!()
    )
}

/// The orders of rows that come order by order, line by line.
fn orders(rows: Vec<WholeRow>) -> Result<Vec<Order>, Fault> {
    let mut orders: Vec<Order> = Vec::new();
    for row in rows {
        match orders.last_mut() {
            Some(order) if order.head.id == row.head.id => {
                let currency = order.head.totals.total.currency();
                order.lines.push(line(row.line, currency)?);
            }
            _ => {
                let head = OrderHead::try_from(row.head)?;
                let first = line(row.line, head.totals.total.currency())?;
                orders.push(Order {
                    head,
                    lines: vec![first],
                });
            }
        }
    }
    Ok(orders)
}

/// The lines of an order that is locked in this transaction. A statement of its own: one that locks a row and reads
/// others beside it would, after it waited, show the others as they were before.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn with_its_lines(tx: &mut Tx, head: OrderHead) -> Result<Order, Fault> {
    let rows: Vec<LineRow> = on_tx!(tx, |c| sqlx::query_as(LINES)
        .bind(head.id)
        .fetch_all(c)
        .await)?;
    let currency = head.totals.total.currency();
    let lines = rows.into_iter().map(|row| line(row, currency));
    let lines = lines.collect::<Result<_, _>>()?;
    Ok(Order { head, lines })
}

fn line(row: LineRow, currency: Currency) -> Result<Line, Fault> {
    let money = |minor| {
        crate::domain::money::Money::of_minor(minor, currency)
            .map_err(|_| bad_row("a line of order", row.order_id, "its amount"))
    };
    Ok(Line {
        product_id: row.product_id,
        unit_price: money(row.unit_price_minor)?,
        discount_rate: BasisPoints::stored(row.discount_bp),
        discount: money(row.discount_minor)?,
        line_total: money(row.line_total_minor)?,
        tax_rate: BasisPoints::stored(row.tax_bp),
        tax: money(row.line_tax_minor)?,
        quantity: row.quantity,
        sku: row.sku,
        name: row.name,
    })
}

/// One order that the caller may see, which nobody else moves until the transaction ends.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn lock(tx: &mut Tx, id: i64, sight: Sight) -> Result<Option<OrderHead>, Fault> {
    let sql = format!("{GET}{}", on_postgres(tx, FOR_CHANGE));
    let row: Option<Row> = on_tx!(tx, |c| sqlx::query_as(AssertSqlSafe(sql))
        .bind(id)
        .bind(sight.owner())
        .fetch_optional(c)
        .await)?;
    row.map(OrderHead::try_from).transpose()
}

/// Writes where an order, locked in this transaction, stands now, and who moved it there.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn save_move(tx: &mut Tx, order: &OrderHead, actor: &Actor) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(MOVE)
        .bind(order.id)
        .bind(order.state.as_str())
        .bind(&order.cancel_reason)
        .bind(order.revision)
        .bind(order.update_time)
        .execute(c)
        .await
        .map(drop))?;
    on_tx!(tx, |c| sqlx::query(INSERT_STATE)
        .bind(order.id)
        .bind(order.state.as_str())
        .bind(&actor.key)
        .bind(&actor.session)
        .bind(order.update_time)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// Removes what the customer's orders say of them as a person.
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

/// The states that an order was in, the first one first. There are few: the machine has no circle.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn states(db: &Database, id: i64, sight: Sight) -> Result<Vec<PastState>, Fault> {
    let rows: Vec<(String, String, i64)> = on!(db, |c| sqlx::query_as(STATES)
        .bind(id)
        .bind(sight.owner())
        .fetch_all(c)
        .await)?;
    let past = |(state, actor, time): (String, String, i64)| {
        let state = OrderState::parse(&state).ok_or_else(|| bad_row("order", id, "a state"))?;
        Ok(PastState { state, actor, time })
    };
    rows.into_iter().map(past).collect()
}
