//! The ledger of the stock: a row for every movement, and their sum is what is on hand.

use millgate_platform::database::Tx;
use millgate_platform::{Fault, on_tx};

use super::on_postgres;
use crate::domain::access::Actor;
use crate::domain::ledger::MovementKind;
use crate::domain::order::StockEffect;
use crate::domain::production::Run;

const INSERT: &str = "INSERT INTO stock_movements \
     (product_id, delta, kind, reason, order_id, actor, session, create_time) VALUES ($1, $2, $3, $4, NULL, $5, $6, $7)";

/// The products of an order, in the order in which everybody locks them: two orders can then never wait for each
/// other. SQLite's writer is alone anyway.
const LOCK_PRODUCTS: &str = "SELECT p.id FROM products p JOIN order_lines l ON l.product_id = p.id \
     WHERE l.order_id = $1 ORDER BY p.id";

const GIVE_BACK: &str = "UPDATE products SET reserved = products.reserved - l.quantity \
     FROM order_lines l WHERE l.order_id = $1 AND products.id = l.product_id";
const CONSUME: &str = "UPDATE products SET reserved = products.reserved - l.quantity, \
     on_hand = products.on_hand - l.quantity, revision = products.revision + 1, update_time = $2 \
     FROM order_lines l WHERE l.order_id = $1 AND products.id = l.product_id";
/// A row for each line of an order: what became of its pieces, in the store and among the reserved.
macro_rules! of_lines {
    ($kind:literal, $delta:literal, $reserved:literal) => {
        concat!(
            "INSERT INTO stock_movements \
             (product_id, delta, reserved_delta, kind, reason, order_id, actor, session, create_time) \
             SELECT l.product_id, ",
            $delta,
            ", ",
            $reserved,
            ", '",
            $kind,
            "', '', l.order_id, $2, $3, $4 FROM order_lines l WHERE l.order_id = $1 ORDER BY l.position"
        )
    };
}
const RESERVED: &str = of_lines!("RESERVED", "0", "l.quantity");
const RELEASED: &str = of_lines!("RELEASED", "0", "-l.quantity");
const SHIPPED: &str = of_lines!("SHIPPED", "-l.quantity", "-l.quantity");

/// Notes a movement in the ledger.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn note(
    tx: &mut Tx,
    product_id: i64,
    delta: i64,
    (kind, reason): (MovementKind, &str),
    actor: &Actor,
    now: i64,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(INSERT)
        .bind(product_id)
        .bind(delta)
        .bind(kind.as_str())
        .bind(reason)
        .bind(&actor.key)
        .bind(&actor.session)
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// Does to the stock of an order's lines what its move means.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn settle(
    tx: &mut Tx,
    order_id: i64,
    effect: StockEffect,
    actor: &Actor,
    now: i64,
) -> Result<(), Fault> {
    if effect == StockEffect::None {
        return Ok(());
    }
    lock_products(tx, order_id).await?;
    if effect == StockEffect::GiveBack {
        on_tx!(tx, |c| sqlx::query(GIVE_BACK)
            .bind(order_id)
            .execute(c)
            .await
            .map(drop))?;
        return note_lines(tx, RELEASED, order_id, actor, now).await;
    }
    on_tx!(tx, |c| sqlx::query(CONSUME)
        .bind(order_id)
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
    note_lines(tx, SHIPPED, order_id, actor, now).await
}

/// Notes in the ledger what a new order, which is written already, has reserved.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn note_reserved(
    tx: &mut Tx,
    order_id: i64,
    actor: &Actor,
    now: i64,
) -> Result<(), Fault> {
    note_lines(tx, RESERVED, order_id, actor, now).await
}

async fn note_lines(
    tx: &mut Tx,
    sql: &'static str,
    order_id: i64,
    actor: &Actor,
    now: i64,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(sql)
        .bind(order_id)
        .bind(&actor.key)
        .bind(&actor.session)
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

async fn lock_products(tx: &mut Tx, order_id: i64) -> Result<(), Fault> {
    let clause = on_postgres(tx, " FOR NO KEY UPDATE OF p");
    if clause.is_empty() {
        return Ok(());
    }
    let sql = format!("{LOCK_PRODUCTS}{clause}");
    on_tx!(tx, |c| sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(order_id)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

const PRODUCED: &str = "INSERT INTO stock_movements \
     (product_id, delta, kind, reason, run_id, actor, session, create_time) VALUES ($1, $2, 'PRODUCED', '', $3, $4, $5, $6)";

/// Notes in the ledger what a run has made.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn note_production(
    tx: &mut Tx,
    run: &Run,
    actor: &Actor,
    now: i64,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(PRODUCED)
        .bind(run.product_id)
        .bind(run.outcome.produced)
        .bind(run.id)
        .bind(&actor.key)
        .bind(&actor.session)
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

const PART: &str = "INSERT INTO stock_movements \
     (product_id, delta, kind, reason, part_id, actor, session, create_time) VALUES ($1, $2, 'PART', '', $3, $4, $5, $6)";

/// Notes in the ledger the pieces of a product that a ticket took.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn note_part(
    tx: &mut Tx,
    part_id: i64,
    (product_id, quantity): (i64, i64),
    actor: &Actor,
    now: i64,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(PART)
        .bind(product_id)
        .bind(-quantity)
        .bind(part_id)
        .bind(&actor.key)
        .bind(&actor.session)
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}
