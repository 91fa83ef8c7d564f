//! Logins that wait for a code.

use millgate_platform::{Affected as _, Database, Fault, Tx, on, on_tx, on_write};
use sqlx::FromRow;

use crate::domain::{CODES_PER_CHALLENGE, ChallengeToken, Micros};

/// A login whose password was good.
#[derive(FromRow)]
pub(crate) struct Challenge {
    /// Whose.
    pub(crate) user_id: i64,
    /// The generation of the account when its password was checked.
    pub(crate) generation: i64,
    /// How many passwords had been tried at the account then, this one included.
    pub(crate) account_attempts: i64,
    /// What they called the device.
    pub(crate) device_label: String,
}

const INSERT: &str = "\
    INSERT INTO login_challenges \
     (token_hash, user_id, generation, account_attempts, codes_tried, device_label, expire_time)
    VALUES ($1, $2, $3, $4, 0, $5, $6)";

/// Keeps a login until its code comes.
pub(crate) async fn insert(
    tx: &mut Tx,
    token: &ChallengeToken,
    challenge: &Challenge,
    expire_time: Micros,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(INSERT)
        .bind(token.stored())
        .bind(challenge.user_id)
        .bind(challenge.generation)
        .bind(challenge.account_attempts)
        .bind(&challenge.device_label)
        .bind(expire_time)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

const FIND: &str = "\
    SELECT c.user_id, c.generation, c.account_attempts, c.device_label
    FROM login_challenges c
    JOIN users u ON u.id = c.user_id AND u.generation = c.generation AND u.state = 'active'
    WHERE c.token_hash = $1 AND c.expire_time > $2 AND c.codes_tried < $3";

/// The login of this token, while a code can still be tried and the account is as it was.
pub(crate) async fn find(
    db: &Database,
    token: &ChallengeToken,
    now: Micros,
) -> Result<Option<Challenge>, Fault> {
    Ok(on!(db, |c| sqlx::query_as(FIND)
        .bind(token.stored())
        .bind(now)
        .bind(CODES_PER_CHALLENGE)
        .fetch_optional(c)
        .await)?)
}

const TRY_CODE: &str = "\
    UPDATE login_challenges SET codes_tried = codes_tried + 1
    WHERE token_hash = $1 AND expire_time > $2 AND codes_tried < $3 AND generation = $4";

/// Counts a code that is about to be tried. False when none can be any more: at this generation of the account, which
/// the transaction holds, the token is worth nothing.
pub(crate) async fn try_code(
    tx: &mut Tx,
    token: &ChallengeToken,
    generation: i64,
    now: Micros,
) -> Result<bool, Fault> {
    let counted = on_tx!(tx, |c| sqlx::query(TRY_CODE)
        .bind(token.stored())
        .bind(now)
        .bind(CODES_PER_CHALLENGE)
        .bind(generation)
        .execute(c)
        .await
        .affected())?;
    Ok(counted == 1)
}

const DELETE: &str = "DELETE FROM login_challenges WHERE token_hash = $1";

/// Forgets a login: it is complete.
pub(crate) async fn delete(tx: &mut Tx, token: &ChallengeToken) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(DELETE)
        .bind(token.stored())
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// How many rows one statement deletes: it must not hold SQLite's one writer for long.
const BATCH: i64 = 500;
const PURGE: &str = "\
    DELETE FROM login_challenges WHERE token_hash IN
    (SELECT token_hash FROM login_challenges WHERE expire_time <= $1 ORDER BY expire_time LIMIT $2)";

/// Deletes some of the logins whose time is over; says how many. Zero means that there are no more.
pub(crate) async fn purge(db: &Database, now: Micros) -> Result<u64, Fault> {
    Ok(on_write!(db, |c| sqlx::query(PURGE)
        .bind(now)
        .bind(BATCH)
        .execute(c)
        .await
        .affected())?)
}
