//! What is kept of a product's past: its prices, and every movement of its stock.

use millgate_platform::database::Tx;
use millgate_platform::page::Page;
use millgate_platform::{Database, Fault, on_tx};

use super::bad_row;
use super::listing::{Arg, Listing, fetch_listing};
use super::product::money;
use crate::domain::access::Actor;
use crate::domain::ledger::{Movement, MovementKind, Price};
use crate::domain::money::Money;
use crate::domain::paging::OrderBy;

const INSERT_PRICE: &str = "INSERT INTO product_prices (product_id, unit_price_minor, currency, actor, create_time) \
     VALUES ($1, $2, $3, $4, $5)";

/// The newest first.
const NEWEST: OrderBy = OrderBy {
    column: "id",
    descending: true,
};

#[derive(sqlx::FromRow)]
struct PriceRow {
    id: i64,
    unit_price_minor: i64,
    currency: String,
    actor: String,
    create_time: i64,
}

#[derive(sqlx::FromRow)]
struct MovementRow {
    id: i64,
    delta: i64,
    reserved_delta: i64,
    kind: String,
    reason: String,
    order_id: Option<i64>,
    run_id: Option<i64>,
    actor: String,
    create_time: i64,
}

/// Notes the price that a product has from now on.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn note_price(
    tx: &mut Tx,
    product_id: i64,
    price: Money,
    actor: &Actor,
    now: i64,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(INSERT_PRICE)
        .bind(product_id)
        .bind(price.minor())
        .bind(price.currency().code())
        .bind(&actor.key)
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// A page of a product's prices, and one more where another page follows.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn prices(
    db: &Database,
    product_id: i64,
    page: &Page,
) -> Result<Vec<Price>, Fault> {
    let (sql, args) = Listing::new(
        "SELECT id, unit_price_minor, currency, actor, create_time FROM product_prices",
    )
    .and("product_id = ?", [Arg::Int(product_id)])
    .page(NEWEST, "id", page);
    let rows: Vec<PriceRow> = fetch_listing!(db, PriceRow, sql, args)?;
    let price = |row: PriceRow| {
        Ok(Price {
            id: row.id,
            unit_price: money(row.unit_price_minor, &row.currency)
                .ok_or_else(|| bad_row("price", row.id, "its amount"))?,
            actor: row.actor,
            time: row.create_time,
        })
    };
    rows.into_iter().map(price).collect()
}

/// A page of the movements of a product's stock, and one more where another page follows.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn movements(
    db: &Database,
    product_id: i64,
    page: &Page,
) -> Result<Vec<Movement>, Fault> {
    let (sql, args) = Listing::new(
        "SELECT id, delta, reserved_delta, kind, reason, order_id, run_id, actor, create_time FROM stock_movements",
    )
    .and("product_id = ?", [Arg::Int(product_id)])
    .page(NEWEST, "id", page);
    let rows: Vec<MovementRow> = fetch_listing!(db, MovementRow, sql, args)?;
    let movement = |row: MovementRow| {
        Ok(Movement {
            id: row.id,
            kind: MovementKind::parse(&row.kind)
                .ok_or_else(|| bad_row("stock movement", row.id, "its kind"))?,
            delta: row.delta,
            reserved_delta: row.reserved_delta,
            reason: row.reason,
            order_id: row.order_id,
            run_id: row.run_id,
            actor: row.actor,
            time: row.create_time,
        })
    };
    rows.into_iter().map(movement).collect()
}
