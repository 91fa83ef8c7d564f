//! The answers that are remembered for retries, where they hold personal data that must go.

use millgate_platform::database::Tx;
use millgate_platform::{Fault, on_tx};

const WITH_A_CUSTOMER: &str = "SELECT caller, request_id, response FROM idempotency_keys \
     WHERE method IN ('CreateCustomer', 'UndeleteCustomer') AND response IS NOT NULL";
const REPLACE: &str =
    "UPDATE idempotency_keys SET response = $3 WHERE caller = $1 AND request_id = $2";

/// Replaces every remembered answer that `is_theirs` by `answer`. The row stays: a retry must not make the customer
/// anew. Reads the customers' answers of the last 24 hours, which an erasure may take its time for.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn replace(
    tx: &mut Tx,
    is_theirs: impl Fn(&[u8]) -> bool,
    answer: &[u8],
) -> Result<(), Fault> {
    let rows: Vec<(String, String, Vec<u8>)> =
        on_tx!(tx, |c| sqlx::query_as(WITH_A_CUSTOMER).fetch_all(c).await)?;
    for (caller, request_id, response) in rows {
        if is_theirs(&response) {
            on_tx!(tx, |c| sqlx::query(REPLACE)
                .bind(caller)
                .bind(request_id)
                .bind(answer)
                .execute(c)
                .await
                .map(drop))?;
        }
    }
    Ok(())
}
