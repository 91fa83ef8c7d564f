//! The counters of attempts. [`crate::domain`]'s `throttle` says what is counted and why.
//!
//! Each is one statement that counts and decides at once: of any number of attempts on any number of replicas, the row
//! lets through only as many as it should. Whoever changes both an address's bucket and a counter in one transaction
//! takes the bucket first.

use millgate_platform::{Affected as _, Database, Fault, Tx, on, on_tx, on_write};

use crate::domain::throttle::{
    ADDRESS, FIRST_DELAY, FIRST_DELAYED, LOCK_AT, LONGEST_DELAY, LONGEST_FROM, MEMORY, Rate,
};
use crate::domain::{Micros, micros};

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// It goes on; it is the n-th since the last success.
    Admitted(i64),
    /// It has to wait until then.
    Blocked(Micros),
}

// $2: now; $3: how long attempts are remembered; $4 to $8: the delays.
const COUNT: &str = "\
    INSERT INTO throttles (key_hash, failures, blocked_until, last_time) VALUES ($1, 1, 0, $2)
    ON CONFLICT (key_hash) DO UPDATE SET
        failures = CASE WHEN throttles.last_time <= $2 - $3 THEN 1 ELSE throttles.failures + 1 END,
        blocked_until = CASE
            WHEN throttles.last_time <= $2 - $3 OR throttles.failures + 1 < $4 THEN 0
            WHEN throttles.failures + 1 >= $8 THEN $2 + $3
            WHEN throttles.failures + 1 >= $6 THEN $2 + $7
            ELSE $2 + ($5 << CAST(throttles.failures + 1 - $4 AS INTEGER))
        END,
        last_time = $2
    WHERE throttles.blocked_until <= $2
    RETURNING failures";
const BLOCKED_UNTIL: &str = "SELECT blocked_until FROM throttles WHERE key_hash = $1";

/// Counts an attempt, unless it has to wait.
pub(crate) async fn count(tx: &mut Tx, key: &[u8], now: Micros) -> Result<Counted, Fault> {
    let admitted: Option<i64> = on_tx!(tx, |c| sqlx::query_scalar(COUNT)
        .bind(key)
        .bind(now)
        .bind(micros(MEMORY))
        .bind(FIRST_DELAYED)
        .bind(micros(FIRST_DELAY))
        .bind(LONGEST_FROM)
        .bind(micros(LONGEST_DELAY))
        .bind(LOCK_AT)
        .fetch_optional(c)
        .await)?;
    if let Some(attempts) = admitted {
        return Ok(Counted::Admitted(attempts));
    }
    // The statement above has locked the row, although it did not change it.
    let until: Option<Micros> = on_tx!(tx, |c| sqlx::query_scalar(BLOCKED_UNTIL)
        .bind(key)
        .fetch_optional(c)
        .await)?;
    Ok(Counted::Blocked(until.unwrap_or(now)))
}

const LOOK_AT: &str = "SELECT failures, blocked_until FROM throttles WHERE key_hash = $1";

/// How many attempts there were since the last success, and until when the next one has to wait; counts nothing.
pub(crate) async fn look_at(db: &Database, key: &[u8]) -> Result<Option<(i64, Micros)>, Fault> {
    Ok(on!(db, |c| sqlx::query_as(LOOK_AT)
        .bind(key)
        .fetch_optional(c)
        .await)?)
}

const CLEAR: &str = "DELETE FROM throttles WHERE key_hash = $1";

/// Forgets all attempts: one was good, or somebody unlocked the account.
pub(crate) async fn clear(tx: &mut Tx, key: &[u8]) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(CLEAR)
        .bind(key)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

// A bucket in time (the generic cell rate algorithm of ITU-T I.371): every attempt adds $3, and it must not hold more
// than $4 before.
const FILL: &str = "\
    INSERT INTO address_buckets (key_hash, drained_time) VALUES ($1, $2 + $3)
    ON CONFLICT (key_hash) DO UPDATE SET
        drained_time =
            CASE WHEN address_buckets.drained_time > $2 THEN address_buckets.drained_time ELSE $2 END + $3
    WHERE address_buckets.drained_time <= $2 + $4
    RETURNING drained_time";
const DRAINED_TIME: &str = "SELECT drained_time FROM address_buckets WHERE key_hash = $1";

/// Counts an attempt in a bucket that takes so many, unless it has to wait.
pub(crate) async fn fill(
    tx: &mut Tx,
    key: &[u8],
    rate: Rate,
    now: Micros,
) -> Result<Counted, Fault> {
    let interval = micros(rate.interval);
    let room = interval * (rate.burst - 1);
    let filled: Option<Micros> = on_tx!(tx, |c| sqlx::query_scalar(FILL)
        .bind(key)
        .bind(now)
        .bind(interval)
        .bind(room)
        .fetch_optional(c)
        .await)?;
    if filled.is_some() {
        return Ok(Counted::Admitted(1));
    }
    let drained: Option<Micros> = on_tx!(tx, |c| sqlx::query_scalar(DRAINED_TIME)
        .bind(key)
        .fetch_optional(c)
        .await)?;
    let drained = drained.unwrap_or(now);
    Ok(Counted::Blocked(drained.saturating_sub(room)))
}

const POUR_BACK: &str =
    "UPDATE address_buckets SET drained_time = drained_time - $2 WHERE key_hash = $1";

/// Takes back an attempt of an address: it was good.
pub(crate) async fn pour_back(tx: &mut Tx, key: &[u8]) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(POUR_BACK)
        .bind(key)
        .bind(micros(ADDRESS.interval))
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// How many rows one statement deletes: it must not hold SQLite's one writer for long.
const BATCH: i64 = 500;
const PURGE_COUNTERS: &str = "\
    DELETE FROM throttles WHERE last_time <= $1 AND key_hash IN \
     (SELECT key_hash FROM throttles WHERE last_time <= $1 ORDER BY last_time LIMIT $2)";
const PURGE_BUCKETS: &str = "\
    DELETE FROM address_buckets WHERE drained_time <= $1 AND key_hash IN \
     (SELECT key_hash FROM address_buckets WHERE drained_time <= $1 ORDER BY drained_time LIMIT $2)";

/// Deletes some of the rows that mean nothing any more; says how many. Zero means that there are no more.
pub(crate) async fn purge(db: &Database, now: Micros) -> Result<u64, Fault> {
    let before = now.saturating_sub(micros(MEMORY));
    let counters = on_write!(db, |c| sqlx::query(PURGE_COUNTERS)
        .bind(before)
        .bind(BATCH)
        .execute(c)
        .await
        .affected())?;
    let buckets = on_write!(db, |c| sqlx::query(PURGE_BUCKETS)
        .bind(now)
        .bind(BATCH)
        .execute(c)
        .await
        .affected())?;
    Ok(counters + buckets)
}
