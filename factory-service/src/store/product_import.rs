//! How far imports of products are, and the products that their rows name.

use std::collections::HashMap;

use millgate_platform::database::Tx;
use millgate_platform::{Affected as _, Database, Fault, on_tx, on_write};

use super::{FOR_CHANGE, on_postgres};
use crate::domain::product::Product;

/// Begins an import, or takes a row over that is past its time.
const BEGIN: &str = "INSERT INTO product_imports (caller, request_id, done_rows, hash, report, is_done, create_time) \
     VALUES ($1, $2, 0, $3, $4, 0, $5) ON CONFLICT (caller, request_id) DO UPDATE \
     SET done_rows = 0, hash = excluded.hash, report = excluded.report, is_done = 0, create_time = excluded.create_time \
     WHERE product_imports.create_time <= $6";
const LOCK: &str = "SELECT done_rows, hash, report, is_done FROM product_imports WHERE caller = $1 AND request_id = $2";
const SAVE: &str = "UPDATE product_imports SET done_rows = $3, hash = $4, report = $5, is_done = $6 \
     WHERE caller = $1 AND request_id = $2";
const PURGE: &str = "DELETE FROM product_imports WHERE create_time <= $1";

/// As long an import can be taken up again, microseconds: as long as answers are kept.
const KEPT: i64 = millgate_platform::idempotency::KEPT_MICROS;

/// How far an import is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Rows that are written.
    pub rows: i64,
    /// The keyed hash over them.
    pub hash: Vec<u8>,
    /// The report so far, encoded.
    pub report: Vec<u8>,
    /// Whether that was all.
    pub is_done: bool,
}

/// How far this import is; nobody else goes on with it until the transaction ends.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn lock(
    tx: &mut Tx,
    caller: &str,
    request_id: &str,
    start: &[u8],
    now: i64,
) -> Result<Progress, Fault> {
    on_tx!(tx, |c| sqlx::query(BEGIN)
        .bind(caller)
        .bind(request_id)
        .bind(start)
        .bind(Vec::<u8>::new())
        .bind(now)
        .bind(now - KEPT)
        .execute(c)
        .await
        .map(drop))?;
    let sql = format!("{LOCK}{}", on_postgres(tx, FOR_CHANGE));
    let (rows, hash, report, is_done): (i64, Vec<u8>, Vec<u8>, i64) =
        on_tx!(tx, |c| sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(caller)
            .bind(request_id)
            .fetch_one(c)
            .await)?;
    Ok(Progress {
        rows,
        hash,
        report,
        is_done: is_done != 0,
    })
}

/// Writes how far an import, locked in this transaction, is now.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn save(
    tx: &mut Tx,
    caller: &str,
    request_id: &str,
    progress: &Progress,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(SAVE)
        .bind(caller)
        .bind(request_id)
        .bind(progress.rows)
        .bind(&progress.hash)
        .bind(&progress.report)
        .bind(i64::from(progress.is_done))
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// The products with these canonical SKUs, deleted ones too, by their SKU. Nobody else changes them until the
/// transaction ends; they are locked in the order of their ids.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn lock_by_sku(
    tx: &mut Tx,
    skus: &[String],
) -> Result<HashMap<String, Product>, Fault> {
    let found = super::product::lock_many(tx, skus).await?;
    Ok(found
        .into_iter()
        .map(|product| (product.fields.sku.canonical(), product))
        .collect())
}

/// Forgets the imports that were begun before.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn purge(db: &Database, now: i64) -> Result<u64, Fault> {
    Ok(on_write!(db, |c| sqlx::query(PURGE)
        .bind(now - KEPT)
        .execute(c)
        .await
        .affected())?)
}
