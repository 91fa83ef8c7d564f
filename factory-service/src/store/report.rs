//! The sums of the reports: one statement each.
//!
//! Amounts and quantities are summed in two halves, because a sum of many large ones may not fit 64 bits, which both
//! databases refuse in the middle of the statement. What sorts is a floating-point sum: exact up to 2^53, and then of
//! sums that hardly differ.

use millgate_platform::{Database, Fault, Reason, on};
use sqlx::AssertSqlSafe;

use crate::domain::money::{Currency, Money};
use crate::domain::period::{Day, Period};

/// Where a number is cut in two.
const HALF: i64 = 1_000_000;

/// The two halves of a sum.
macro_rules! halves {
    ($column:literal, $name:literal) => {
        concat!(
            "CAST(coalesce(sum(",
            $column,
            " / 1000000), 0) AS BIGINT) AS ",
            $name,
            "_high, ",
            "CAST(coalesce(sum(",
            $column,
            " % 1000000), 0) AS BIGINT) AS ",
            $name,
            "_low"
        )
    };
}

fn whole(high: i64, low: i64) -> Result<i64, Fault> {
    high.checked_mul(HALF)
        .and_then(|high| high.checked_add(low))
        .ok_or_else(too_much)
}

fn too_much() -> Fault {
    Fault::new(
        Reason::AmountOutOfRange,
        "a sum is larger than an amount can be; ask for a shorter period",
    )
}

fn money(high: i64, low: i64, currency: Currency) -> Result<Money, Fault> {
    Money::of_minor(whole(high, low)?, currency).map_err(|_| too_much())
}

/// What a product sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sold {
    /// The product.
    pub product_id: i64,
    /// Its SKU of today.
    pub sku: String,
    /// Its name of today.
    pub name: String,
    /// Pieces.
    pub quantity: i64,
    /// Orders.
    pub order_count: i64,
    /// What they brought, where a currency was asked for.
    pub revenue: Option<Money>,
}

#[derive(sqlx::FromRow)]
struct SoldRow {
    product_id: i64,
    sku: String,
    name: String,
    quantity_high: i64,
    quantity_low: i64,
    revenue_high: i64,
    revenue_low: i64,
    order_count: i64,
}

// A product stands once in an order: its lines are its orders.
pub(super) const TOP_PRODUCTS: &str = concat!(
    "SELECT p.id AS product_id, p.sku, p.name, s.quantity_high, s.quantity_low, s.revenue_high, s.revenue_low, \
     s.order_count FROM (SELECT l.product_id, ",
    halves!("l.quantity", "quantity"),
    ", ",
    halves!("l.line_total_minor", "revenue"),
    ", count(*) AS order_count, \
     sum(CAST(CASE WHEN $3 = '' THEN l.quantity ELSE l.line_total_minor END AS DOUBLE PRECISION)) AS rank \
     FROM orders o JOIN order_lines l ON l.order_id = o.id \
     WHERE o.create_time >= $1 AND o.create_time < $2 AND o.state <> 'CANCELLED' AND ($3 = '' OR o.currency = $3) \
     GROUP BY l.product_id ORDER BY rank DESC, l.product_id LIMIT $4) s \
     JOIN products p ON p.id = s.product_id ORDER BY s.rank DESC, p.id"
);

/// The products that sold most in the period: by pieces, or by revenue in the currency.
///
/// # Errors
/// AMOUNT_OUT_OF_RANGE for a sum that is larger than an amount can be.
pub(crate) async fn top_products(
    db: &Database,
    period: &Period,
    currency: Option<Currency>,
    limit: i64,
) -> Result<Vec<Sold>, Fault> {
    let code = currency.map_or("", Currency::code);
    let rows: Vec<SoldRow> = on!(db, |c| sqlx::query_as(TOP_PRODUCTS)
        .bind(period.from)
        .bind(period.before)
        .bind(code)
        .bind(limit)
        .fetch_all(c)
        .await)?;
    let sold = rows.into_iter().map(|row| {
        let revenue = currency.map(|currency| money(row.revenue_high, row.revenue_low, currency));
        Ok(Sold {
            product_id: row.product_id,
            sku: row.sku,
            name: row.name,
            quantity: whole(row.quantity_high, row.quantity_low)?,
            order_count: row.order_count,
            revenue: revenue.transpose()?,
        })
    });
    sold.collect()
}

/// What a customer's orders come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Worth {
    /// The customer.
    pub customer_id: i64,
    /// First and last name of today.
    pub name: (String, String),
    /// Orders.
    pub order_count: i64,
    /// What they come to.
    pub value: Money,
}

#[derive(sqlx::FromRow)]
struct WorthRow {
    customer_id: i64,
    first_name: String,
    last_name: String,
    order_count: i64,
    value_high: i64,
    value_low: i64,
}

pub(super) const LIFETIME_VALUE: &str = concat!(
    "SELECT c.id AS customer_id, c.first_name, c.last_name, s.order_count, s.value_high, s.value_low FROM \
     (SELECT o.customer_id, count(*) AS order_count, ",
    halves!("o.total_minor", "value"),
    ", sum(CAST(o.total_minor AS DOUBLE PRECISION)) AS rank FROM orders o \
     WHERE o.create_time >= $1 AND o.create_time < $2 AND o.state <> 'CANCELLED' AND o.currency = $3 \
     GROUP BY o.customer_id \
     HAVING sum(CAST(o.total_minor AS DOUBLE PRECISION)) >= CAST($4 AS DOUBLE PRECISION) \
     ORDER BY rank DESC, o.customer_id LIMIT $5) s \
     JOIN customers c ON c.id = s.customer_id ORDER BY s.rank DESC, c.id"
);

/// The customers whose orders in the period come to at least the threshold, in its currency.
///
/// # Errors
/// AMOUNT_OUT_OF_RANGE for a sum that is larger than an amount can be.
pub(crate) async fn lifetime_value(
    db: &Database,
    period: &Period,
    threshold: Money,
    limit: i64,
) -> Result<Vec<Worth>, Fault> {
    let currency = threshold.currency();
    let rows: Vec<WorthRow> = on!(db, |c| sqlx::query_as(LIFETIME_VALUE)
        .bind(period.from)
        .bind(period.before)
        .bind(currency.code())
        .bind(threshold.minor())
        .bind(limit)
        .fetch_all(c)
        .await)?;
    let worth = rows.into_iter().map(|row| {
        Ok(Worth {
            customer_id: row.customer_id,
            name: (row.first_name, row.last_name),
            order_count: row.order_count,
            value: money(row.value_high, row.value_low, currency)?,
        })
    });
    worth.collect()
}

/// What an employee has done.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Performance {
    /// The employee.
    pub employee_id: i64,
    /// The name.
    pub name: String,
    /// Completed runs.
    pub run_count: i64,
    /// Good pieces of them.
    pub produced: i64,
    /// Spoilt pieces of them.
    pub scrap: i64,
    /// Closed tickets.
    pub ticket_count: i64,
    /// Minutes of labour of them.
    pub labour_minutes: i64,
}

// A run makes at most 10^9 pieces: no sum of them that a factory lives to see is out of range.
pub(super) const PERFORMANCE: &str = "\
    SELECT e.id AS employee_id, e.name, r.run_count, r.produced, r.scrap, t.ticket_count, t.labour_minutes \
    FROM employees e \
    JOIN (SELECT e1.id, count(p.id) AS run_count, CAST(coalesce(sum(p.produced_quantity), 0) AS BIGINT) AS produced, \
        CAST(coalesce(sum(p.scrap_quantity), 0) AS BIGINT) AS scrap \
        FROM employees e1 LEFT JOIN production_runs p ON p.employee_id = e1.id AND p.state = 'COMPLETED' \
        AND p.finish_time >= $1 AND p.finish_time < $2 WHERE e1.id > $3 GROUP BY e1.id ORDER BY e1.id LIMIT $4) r \
    ON r.id = e.id \
    JOIN (SELECT e2.id, count(s.id) AS ticket_count, \
        CAST(coalesce(sum(s.labour_minutes), 0) AS BIGINT) AS labour_minutes \
        FROM employees e2 LEFT JOIN service_tickets s ON s.employee_id = e2.id AND s.state = 'CLOSED' \
        AND s.finish_time >= $1 AND s.finish_time < $2 WHERE e2.id > $3 GROUP BY e2.id ORDER BY e2.id LIMIT $4) t \
    ON t.id = e.id \
    ORDER BY e.id";

/// What employees behind `after` have done in the period, by id.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn performance(
    db: &Database,
    period: &Period,
    after: i64,
    limit: i64,
) -> Result<Vec<Performance>, Fault> {
    Ok(on!(db, |c| sqlx::query_as(PERFORMANCE)
        .bind(period.from)
        .bind(period.before)
        .bind(after)
        .bind(limit)
        .fetch_all(c)
        .await)?)
}

/// What came of a day's runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Made {
    /// Completed runs.
    pub run_count: i64,
    /// Planned pieces.
    pub planned: i64,
    /// Good pieces.
    pub produced: i64,
    /// Spoilt pieces.
    pub scrap: i64,
}

#[derive(sqlx::FromRow)]
struct MadeRow {
    day: i64,
    run_count: i64,
    planned: i64,
    produced: i64,
    scrap: i64,
}

/// What came of the runs that were completed on each of the days, which follow one another.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn efficiency(
    db: &Database,
    days: &[Day],
    product_id: Option<i64>,
) -> Result<Vec<Made>, Fault> {
    let (Some(first), Some(last)) = (days.first(), days.last()) else {
        return Ok(Vec::new());
    };
    let sql = efficiency_of(days.len());
    let rows: Vec<MadeRow> = on!(db, |c| {
        let mut query = sqlx::query_as(AssertSqlSafe(sql))
            .bind(first.from)
            .bind(last.before)
            .bind(product_id.unwrap_or_default());
        for day in &days[1..] {
            query = query.bind(day.from);
        }
        query.fetch_all(c).await
    })?;
    let mut made = vec![Made::default(); days.len()];
    for row in rows {
        let day = usize::try_from(row.day).ok();
        let slot = day.and_then(|day| made.get_mut(day));
        let slot = slot.ok_or_else(|| Fault::internal("a run fell out of its period"))?;
        *slot = Made {
            run_count: row.run_count,
            planned: row.planned,
            produced: row.produced,
            scrap: row.scrap,
        };
    }
    Ok(made)
}

/// The statement of [`efficiency`] over this many days, one or more. All days but the first bind when they begin, from $4.
pub(super) fn efficiency_of(days: usize) -> String {
    format!(
        "SELECT day, count(*) AS run_count, CAST(sum(planned_quantity) AS BIGINT) AS planned, \
         CAST(sum(produced_quantity) AS BIGINT) AS produced, CAST(sum(scrap_quantity) AS BIGINT) AS scrap \
         FROM (SELECT CAST({} AS BIGINT) AS day, p.planned_quantity, p.produced_quantity, p.scrap_quantity \
         FROM production_runs p WHERE p.state = 'COMPLETED' AND p.finish_time >= $1 AND p.finish_time < $2 \
         AND ($3 = 0 OR p.product_id = $3)) d GROUP BY day",
        day_of_run(0, days - 1)
    )
}

/// Which of the days `first` to `last` a run was finished on, as an expression. It halves the days at each question: a
/// year is nine of them for each run.
fn day_of_run(first: usize, last: usize) -> String {
    if first == last {
        return first.to_string();
    }
    let middle = first + (last - first).div_ceil(2);
    format!(
        "CASE WHEN p.finish_time < ${} THEN {} ELSE {} END",
        3 + middle,
        day_of_run(first, middle - 1),
        day_of_run(middle, last)
    )
}
