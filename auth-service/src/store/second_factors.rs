//! Second factors and their recovery codes. Whoever changes one holds its account.

use millgate_platform::{Affected as _, Database, Fault, Tx, on, on_tx, on_write};
use sqlx::FromRow;

use crate::domain::{FactorPlace, Micros};

/// A second factor, pending or in use.
#[derive(FromRow)]
pub(crate) struct Factor {
    user_id: i64,
    /// The secret, as it is stored.
    pub(crate) sealed_secret: Vec<u8>,
    /// When its secret was made.
    pub(crate) begin_time: Micros,
    /// Since when it is in use; none while it is pending.
    pub(crate) confirm_time: Option<Micros>,
}

impl Factor {
    /// Where the sealed secret belongs.
    pub(crate) fn place(&self) -> FactorPlace {
        FactorPlace {
            user_id: self.user_id,
            begin_time: self.begin_time,
        }
    }
}

const BY_USER: &str = "SELECT user_id, sealed_secret, begin_time, confirm_time FROM second_factors WHERE user_id = $1";

/// The factor of an account.
pub(crate) async fn by_user(db: &Database, user_id: i64) -> Result<Option<Factor>, Fault> {
    Ok(on!(db, |c| sqlx::query_as(BY_USER)
        .bind(user_id)
        .fetch_optional(c)
        .await)?)
}

/// The factor of an account, as a transaction sees it.
pub(crate) async fn in_tx(tx: &mut Tx, user_id: i64) -> Result<Option<Factor>, Fault> {
    Ok(on_tx!(tx, |c| sqlx::query_as(BY_USER)
        .bind(user_id)
        .fetch_optional(c)
        .await)?)
}

const BEGIN: &str = "\
    INSERT INTO second_factors (user_id, sealed_secret, begin_time, last_step) VALUES ($1, $2, $3, -1)
    ON CONFLICT (user_id) DO UPDATE SET sealed_secret = excluded.sealed_secret, begin_time = excluded.begin_time
    WHERE second_factors.confirm_time IS NULL";

/// Keeps a secret that is not confirmed yet, instead of one that was not either. False when the account has a factor in
/// use, which stays.
pub(crate) async fn begin(tx: &mut Tx, place: FactorPlace, sealed: &[u8]) -> Result<bool, Fault> {
    let kept = on_tx!(tx, |c| sqlx::query(BEGIN)
        .bind(place.user_id)
        .bind(sealed)
        .bind(place.begin_time)
        .execute(c)
        .await
        .affected())?;
    Ok(kept == 1)
}

const CONFIRM: &str = "\
    UPDATE second_factors SET confirm_time = $2, last_step = $3 WHERE user_id = $1 AND confirm_time IS NULL";

/// Turns a pending factor on, with the code of this step. False when there is none.
pub(crate) async fn confirm(
    tx: &mut Tx,
    user_id: i64,
    step: i64,
    now: Micros,
) -> Result<bool, Fault> {
    let confirmed = on_tx!(tx, |c| sqlx::query(CONFIRM)
        .bind(user_id)
        .bind(now)
        .bind(step)
        .execute(c)
        .await
        .affected())?;
    Ok(confirmed == 1)
}

const USE_STEP: &str = "\
    UPDATE second_factors SET last_step = $2 WHERE user_id = $1 AND confirm_time IS NOT NULL AND last_step < $2";

/// Uses up the code of this step, and all before it. False when that has been done.
pub(crate) async fn use_step(tx: &mut Tx, user_id: i64, step: i64) -> Result<bool, Fault> {
    let used = on_tx!(tx, |c| sqlx::query(USE_STEP)
        .bind(user_id)
        .bind(step)
        .execute(c)
        .await
        .affected())?;
    Ok(used == 1)
}

const REMOVE: &str = "DELETE FROM second_factors WHERE user_id = $1";

/// Takes a factor away, with its recovery codes.
pub(crate) async fn remove(tx: &mut Tx, user_id: i64) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(REMOVE)
        .bind(user_id)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// How many rows one statement deletes: it must not hold SQLite's one writer for long.
const BATCH: i64 = 500;
const PURGE_PENDING: &str = "\
    DELETE FROM second_factors WHERE confirm_time IS NULL AND user_id IN (
        SELECT user_id FROM second_factors WHERE confirm_time IS NULL AND begin_time <= $1 ORDER BY begin_time LIMIT $2)
    AND begin_time <= $1";

/// Deletes some of the factors that were begun at `before` or earlier and never confirmed; says how many.
pub(crate) async fn purge_pending(db: &Database, before: Micros) -> Result<u64, Fault> {
    Ok(on_write!(db, |c| sqlx::query(PURGE_PENDING)
        .bind(before)
        .bind(BATCH)
        .execute(c)
        .await
        .affected())?)
}

const FORGET_CODES: &str = "DELETE FROM recovery_codes WHERE user_id = $1";
const ADD_CODE: &str = "INSERT INTO recovery_codes (user_id, code_hash) VALUES ($1, $2)";

/// Gives a factor other recovery codes; those before are gone.
pub(crate) async fn replace_recovery_codes(
    tx: &mut Tx,
    user_id: i64,
    hashes: &[Vec<u8>],
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(FORGET_CODES)
        .bind(user_id)
        .execute(c)
        .await
        .map(drop))?;
    for hash in hashes {
        on_tx!(tx, |c| sqlx::query(ADD_CODE)
            .bind(user_id)
            .bind(hash)
            .execute(c)
            .await
            .map(drop))?;
    }
    Ok(())
}

const USE_CODE: &str = "DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2";

/// Uses up a recovery code. False when there is no such code.
pub(crate) async fn use_recovery_code(
    tx: &mut Tx,
    user_id: i64,
    hash: &[u8],
) -> Result<bool, Fault> {
    let used = on_tx!(tx, |c| sqlx::query(USE_CODE)
        .bind(user_id)
        .bind(hash)
        .execute(c)
        .await
        .affected())?;
    Ok(used == 1)
}

const CODES_LEFT: &str = "SELECT count(*) FROM recovery_codes WHERE user_id = $1";

/// How many recovery codes have not been used.
pub(crate) async fn recovery_codes_left(db: &Database, user_id: i64) -> Result<i64, Fault> {
    Ok(on!(db, |c| sqlx::query_scalar(CODES_LEFT)
        .bind(user_id)
        .fetch_one(c)
        .await)?)
}
