//! The answers that are remembered for retries, and whose personal data they hold.

use millgate_platform::database::Tx;
use millgate_platform::idempotency::Once;
use millgate_platform::{Fault, on_tx};

const RECORD: &str = "UPDATE idempotency_keys SET response = $3, customer_id = $4 WHERE caller = $1 AND request_id = $2";
/// By the primary key, some at a time. 0 is anybody's: see the migration.
pub(super) const OF_CUSTOMER: &str = "SELECT caller, request_id, method, response FROM idempotency_keys \
     WHERE customer_id IN ($1, 0) AND (caller, request_id) > ($2, $3) AND response IS NOT NULL \
     AND method IN ('CreateCustomer', 'UndeleteCustomer', 'OpenTicket', 'AssignMechanic', 'StartTicket', 'AddPart', \
     'CloseTicket', 'CancelTicket', 'PlaceOrder', 'confirm', 'startProduction', 'ship', 'complete', 'cancel') \
     ORDER BY caller, request_id LIMIT $4";
const BATCH: i64 = 500;
const REPLACE: &str =
    "UPDATE idempotency_keys SET response = $3 WHERE caller = $1 AND request_id = $2";

/// Remembers an answer, and whose personal data it may hold, in the transaction of the work.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn record(
    tx: &mut Tx,
    once: &Once,
    answer: &[u8],
    customer_id: Option<i64>,
) -> Result<(), Fault> {
    let (caller, request_id) = once.key();
    on_tx!(tx, |c| sqlx::query(RECORD)
        .bind(caller)
        .bind(request_id)
        .bind(answer)
        .bind(customer_id)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// Replaces every remembered answer about this customer for which `replaced` gives another. The row stays: a retry must
/// not do the work anew.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn replace(
    tx: &mut Tx,
    customer_id: i64,
    replaced: impl Fn(&str, &[u8]) -> Option<Vec<u8>>,
) -> Result<(), Fault> {
    let mut after = (String::new(), String::new());
    loop {
        let rows: Vec<(String, String, String, Vec<u8>)> =
            on_tx!(tx, |c| sqlx::query_as(OF_CUSTOMER)
                .bind(customer_id)
                .bind(&after.0)
                .bind(&after.1)
                .bind(BATCH)
                .fetch_all(c)
                .await)?;
        let Some((caller, request_id, ..)) = rows.last() else {
            return Ok(());
        };
        after = (caller.clone(), request_id.clone());
        for (caller, request_id, method, response) in rows {
            if let Some(answer) = replaced(&method, &response) {
                on_tx!(tx, |c| sqlx::query(REPLACE)
                    .bind(caller)
                    .bind(request_id)
                    .bind(answer)
                    .execute(c)
                    .await
                    .map(drop))?;
            }
        }
    }
}
