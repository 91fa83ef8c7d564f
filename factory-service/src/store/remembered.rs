//! The answers that are remembered for retries, where they hold personal data that must go.

use millgate_platform::database::Tx;
use millgate_platform::{Fault, on_tx};

/// By the primary key, some at a time: a day's answers may be many.
const WITH_A_CUSTOMER: &str = "SELECT caller, request_id, method, response FROM idempotency_keys \
     WHERE (caller, request_id) > ($1, $2) AND response IS NOT NULL AND method IN ('CreateCustomer', \
     'UndeleteCustomer', 'OpenTicket', 'AssignMechanic', 'StartTicket', 'AddPart', 'CloseTicket', 'CancelTicket', \
     'PlaceOrder', 'confirm', 'startProduction', 'ship', 'complete', 'cancel') ORDER BY caller, request_id LIMIT $3";
const BATCH: i64 = 500;
const REPLACE: &str =
    "UPDATE idempotency_keys SET response = $3 WHERE caller = $1 AND request_id = $2";

/// Replaces every remembered answer for which `replaced` gives another. The row stays: a retry must not do the work
/// anew. Reads the answers of the last 24 hours that can be about a customer, which an erasure may take its time for.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn replace(
    tx: &mut Tx,
    replaced: impl Fn(&str, &[u8]) -> Option<Vec<u8>>,
) -> Result<(), Fault> {
    let mut after = (String::new(), String::new());
    loop {
        let rows: Vec<(String, String, String, Vec<u8>)> =
            on_tx!(tx, |c| sqlx::query_as(WITH_A_CUSTOMER)
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
