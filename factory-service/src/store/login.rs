//! The logins that are to end at the auth service.

use millgate_platform::database::Tx;
use millgate_platform::{Database, Fault, on, on_tx, on_write};

const ADD: &str = "INSERT INTO login_removals (user_id, attempts, check_time, create_time) VALUES ($1, 0, $2, $3) \
     ON CONFLICT (user_id) DO NOTHING";
const DUE: &str = "SELECT user_id, attempts FROM login_removals WHERE check_time <= $1 ORDER BY check_time LIMIT $2";
const TAKE: &str = "UPDATE login_removals SET check_time = $3, attempts = attempts + 1 \
     WHERE user_id = $1 AND check_time <= $2";
const REMOVED: &str = "DELETE FROM login_removals WHERE user_id = $1";

/// Notes that a login is to end, in the transaction that ends its profile. `check_time` is when the reconciler sees to
/// it, if nobody did before.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn add(tx: &mut Tx, user_id: i64, check_time: i64, now: i64) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(ADD)
        .bind(user_id)
        .bind(check_time)
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// The logins that are to be seen to: the user, and how often it was tried.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn due(db: &Database, now: i64, most: i64) -> Result<Vec<(i64, i64)>, Fault> {
    Ok(on!(db, |c| sqlx::query_as(DUE)
        .bind(now)
        .bind(most)
        .fetch_all(c)
        .await)?)
}

/// Takes one that is due and puts its next try off; `false` when another replica did.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn take(db: &Database, user_id: i64, now: i64, next: i64) -> Result<bool, Fault> {
    Ok(on_write!(db, |c| sqlx::query(TAKE)
        .bind(user_id)
        .bind(now)
        .bind(next)
        .execute(c)
        .await
        .map(|done| done.rows_affected() == 1))?)
}

/// Notes that the auth service has removed it.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn removed(db: &Database, user_id: i64) -> Result<(), Fault> {
    on_write!(db, |c| sqlx::query(REMOVED)
        .bind(user_id)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}
