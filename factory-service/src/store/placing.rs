//! Placing an order: what is offered, read under locks, and the rows of the order.
//!
//! On PostgreSQL an order of any number of lines takes five round trips: BEGIN, one statement that locks, one that
//! writes, one for the log of changes, COMMIT (and two more with a `request_id`). `bench --only k` counts them.

use millgate_platform::database::{Tx, violated};
use millgate_platform::{Fault, Reason, on_tx};
use sqlx::AssertSqlSafe;

use super::listing::{placeholders, rows};
use super::product::money;
use super::{FOR_CHANGE, FOR_REFERENCE, bad_row, on_postgres, stock};
use crate::domain::access::{Actor, Owner};
use crate::domain::order::{OrderHead, OrderState};
use crate::domain::placement::{Line, Offer, Placement, WantedLines};
use crate::domain::rate::BasisPoints;

const CUSTOMER: &str = "SELECT id, shipping_address FROM customers WHERE (id = $1 OR user_id = $2) AND delete_time IS NULL";

/// The new rows' columns, as the name of the values that they come from.
const LINE: &str = "line (position, product_id, sku, name, unit_price_minor, quantity, discount_bp, discount_minor, \
     line_total_minor, tax_bp, tax_minor)";
const LINE_COLUMNS: usize = 11;
const RESERVE: &str = "UPDATE products SET reserved = products.reserved + line.quantity \
     FROM line WHERE products.id = line.product_id";
const INSERT_ORDER: &str = "INSERT INTO orders \
     (customer_id, state, subtotal_minor, tax_minor, total_minor, currency, shipping_address, notes, cancel_reason, \
     line_count, revision, create_time, update_time) \
     VALUES ($1, 'PLACED', $2, $3, $4, $5, $6, $7, '', $8, 1, $9, $9) RETURNING id";
const INSERT_LINES: &str = "INSERT INTO order_lines \
     (order_id, position, product_id, sku, name, unit_price_minor, quantity, discount_bp, discount_minor, \
     line_total_minor, tax_bp, tax_minor) \
     SELECT placed.id, line.position, line.product_id, line.sku, line.name, line.unit_price_minor, line.quantity, \
     line.discount_bp, line.discount_minor, line.line_total_minor, line.tax_bp, line.tax_minor FROM placed, line";
const INSERT_STATE: &str = "INSERT INTO order_states (order_id, state, actor, session, create_time) VALUES ($1, 'PLACED', $2, $3, $4)";

#[derive(sqlx::FromRow)]
struct OfferRow {
    customer_id: Option<i64>,
    customer_address: Option<String>,
    id: i64,
    sku: String,
    name: String,
    unit_price_minor: i64,
    currency: String,
    tax_bp: i64,
    available: i64,
    state: String,
}

/// For whom an order is placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Buyer {
    /// The customer.
    pub customer_id: i64,
    /// Where their things are sent.
    pub shipping_address: String,
}

/// The customer, and those of the wanted products that are not deleted, by ascending id.
///
/// The products stay locked until the transaction ends, in the order of their ids, so that two orders can never wait
/// for each other; the customer cannot be deleted meanwhile.
///
/// # Errors
/// CUSTOMER_NOT_FOUND.
pub(crate) async fn offers(
    tx: &mut Tx,
    owner: Owner,
    wanted: &WantedLines,
) -> Result<(Buyer, Vec<Offer>), Fault> {
    let wanted = wanted.as_slice();
    let (customer_id, user_id) = owner.keys();
    let sql = format!(
        "WITH customer AS ({CUSTOMER}{}) SELECT (SELECT id FROM customer) AS customer_id, \
         (SELECT shipping_address FROM customer) AS customer_address, id, sku, name, \
         unit_price_minor, currency, tax_bp, on_hand - reserved AS available, state FROM products \
         WHERE id IN ({}) AND delete_time IS NULL ORDER BY id{}",
        on_postgres(tx, FOR_REFERENCE),
        placeholders(3, wanted.len()),
        on_postgres(tx, FOR_CHANGE),
    );
    let rows: Vec<OfferRow> = on_tx!(tx, |c| {
        let mut query = sqlx::query_as(AssertSqlSafe(sql))
            .bind(customer_id)
            .bind(user_id);
        for line in wanted {
            query = query.bind(line.product_id);
        }
        query.fetch_all(c).await
    })?;
    let customer = match rows.first() {
        Some(row) => row.customer_id.zip(row.customer_address.clone()),
        // Nothing was found, so nothing was said of the customer either.
        None => on_tx!(tx, |c| sqlx::query_as(CUSTOMER)
            .bind(customer_id)
            .bind(user_id)
            .fetch_optional(c)
            .await)?,
    };
    let (customer_id, shipping_address) = customer.ok_or_else(|| owner.not_found())?;
    let offers = rows.into_iter().map(offer).collect::<Result<_, _>>()?;
    let buyer = Buyer {
        customer_id,
        shipping_address,
    };
    Ok((buyer, offers))
}

fn offer(row: OfferRow) -> Result<Offer, Fault> {
    let unit_price = money(row.unit_price_minor, &row.currency)
        .ok_or_else(|| bad_row("product", row.id, "its price"))?;
    Ok(Offer {
        product_id: row.id,
        unit_price,
        sku: row.sku,
        name: row.name,
        tax_rate: BasisPoints::stored(row.tax_bp),
        available: row.available,
        active: row.state == "ACTIVE",
    })
}

/// What is placed, for whom, and what is said with it.
#[derive(Debug)]
pub(crate) struct NewOrder<'a> {
    /// For whom, and where it is sent.
    pub buyer: &'a Buyer,
    /// The priced lines.
    pub placement: &'a Placement,
    /// What is said with it.
    pub notes: &'a str,
}

/// Reserves the stock and writes the order with its lines and its first state, in the transaction that holds the
/// locks of [`offers`].
///
/// # Errors
/// OUT_OF_STOCK, should the database see a stock that the locks did not show.
pub(crate) async fn place(
    tx: &mut Tx,
    new: &NewOrder<'_>,
    actor: &Actor,
    now: i64,
) -> Result<OrderHead, Fault> {
    let id = match tx {
        Tx::Sqlite(_) => {
            let id = place_by_steps(tx, new, actor, now).await.map_err(refused)?;
            stock::note_reserved(tx, id, actor, now).await?;
            id
        }
        // SQLite knows no writing statement inside another; PostgreSQL does, and every statement there is a round trip.
        Tx::Postgres(_) => place_at_once(tx, new, actor, now).await.map_err(refused)?,
    };
    Ok(OrderHead {
        id,
        customer_id: new.buyer.customer_id,
        state: OrderState::Placed,
        totals: new.placement.totals,
        shipping_address: new.buyer.shipping_address.clone(),
        notes: new.notes.to_owned(),
        cancel_reason: String::new(),
        revision: 1,
        create_time: now,
        update_time: now,
    })
}

/// Binds the lines' values in the order of [`LINE`].
macro_rules! bind_lines {
    ($query:expr, $lines:expr) => {{
        let mut query = $query;
        for (position, line) in (0_i64..).zip($lines) {
            let line: &Line = line;
            query = query
                .bind(position)
                .bind(line.product_id)
                .bind(&line.sku)
                .bind(&line.name)
                .bind(line.unit_price.minor())
                .bind(line.quantity)
                .bind(line.discount_rate.get())
                .bind(line.discount.minor())
                .bind(line.line_total.minor())
                .bind(line.tax_rate.get())
                .bind(line.tax.minor());
        }
        query
    }};
}

/// Binds the order's values in the order of [`INSERT_ORDER`].
macro_rules! bind_order {
    ($query:expr, $new:expr, $now:expr) => {{
        let new: &NewOrder<'_> = $new;
        let totals = &new.placement.totals;
        $query
            .bind(new.buyer.customer_id)
            .bind(totals.subtotal.minor())
            .bind(totals.tax.minor())
            .bind(totals.total.minor())
            .bind(totals.total.currency().code())
            .bind(&new.buyer.shipping_address)
            .bind(new.notes)
            .bind(count(&new.placement.lines))
            .bind($now)
    }};
}

async fn place_at_once(
    tx: &mut Tx,
    new: &NewOrder<'_>,
    actor: &Actor,
    now: i64,
) -> Result<i64, sqlx::Error> {
    let lines = &new.placement.lines;
    let sql = format!(
        "WITH {LINE} AS (VALUES {}), placed AS ({INSERT_ORDER}), reserved AS ({RESERVE}), lines AS ({INSERT_LINES}), \
         moved AS (INSERT INTO order_states (order_id, state, actor, session, create_time) \
         SELECT id, 'PLACED', $10, $11, $9 FROM placed), noted AS (INSERT INTO stock_movements \
         (product_id, delta, reserved_delta, kind, reason, order_id, actor, session, create_time) \
         SELECT line.product_id, 0, line.quantity, 'RESERVED', '', placed.id, $10, $11, $9 FROM placed, line) \
         SELECT id FROM placed",
        rows(12, lines.len(), LINE_COLUMNS)
    );
    on_tx!(tx, |c| {
        let query = bind_order!(sqlx::query_scalar(AssertSqlSafe(sql)), new, now)
            .bind(&actor.key)
            .bind(&actor.session);
        bind_lines!(query, lines).fetch_one(c).await
    })
}

async fn place_by_steps(
    tx: &mut Tx,
    new: &NewOrder<'_>,
    actor: &Actor,
    now: i64,
) -> Result<i64, sqlx::Error> {
    let lines = &new.placement.lines;
    let reserve = format!(
        "WITH {LINE} AS (VALUES {}) {RESERVE}",
        rows(1, lines.len(), LINE_COLUMNS)
    );
    on_tx!(tx, |c| bind_lines!(
        sqlx::query(AssertSqlSafe(reserve)),
        lines
    )
    .execute(c)
    .await
    .map(drop))?;
    let id: i64 = on_tx!(tx, |c| bind_order!(
        sqlx::query_scalar(INSERT_ORDER),
        new,
        now
    )
    .fetch_one(c)
    .await)?;
    let insert = format!(
        "WITH placed (id) AS (VALUES ($1)), {LINE} AS (VALUES {}) {INSERT_LINES}",
        rows(2, lines.len(), LINE_COLUMNS)
    );
    on_tx!(tx, |c| bind_lines!(
        sqlx::query(AssertSqlSafe(insert)).bind(id),
        lines
    )
    .execute(c)
    .await
    .map(drop))?;
    on_tx!(tx, |c| sqlx::query(INSERT_STATE)
        .bind(id)
        .bind(&actor.key)
        .bind(&actor.session)
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
    Ok(id)
}

fn count(lines: &[Line]) -> i64 {
    i64::try_from(lines.len()).unwrap_or(i64::MAX)
}

fn refused(error: sqlx::Error) -> Fault {
    match violated(&error) {
        Some(broken) if broken.is_check("products_reserved_on_hand") => {
            Fault::new(Reason::OutOfStock, "less is available than is wanted")
        }
        _ => error.into(),
    }
}
