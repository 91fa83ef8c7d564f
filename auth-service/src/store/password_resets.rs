//! Tokens by which passwords are set anew.

use millgate_platform::{Affected as _, Database, Fault, Tx, on, on_tx, on_write};
use sqlx::FromRow;

use crate::domain::{HOUR, MAILS_PER_HOUR, Micros, RESET_LIFE, ResetToken, micros};

// $3: the end of the token's life; $4: now; $5: when the last hour began; $6: the most mails in it.
const ISSUE: &str = "\
    INSERT INTO password_resets (user_id, token_hash, generation, revision, expire_time, window_time, mails)
    SELECT id, $2, generation, revision, $3, $4, 1 FROM users WHERE id = $1 AND state = 'active'
    ON CONFLICT (user_id) DO UPDATE SET
        token_hash = excluded.token_hash,
        generation = excluded.generation,
        revision = excluded.revision,
        expire_time = excluded.expire_time,
        window_time = CASE WHEN password_resets.window_time <= $5 THEN $4 ELSE password_resets.window_time END,
        mails = CASE WHEN password_resets.window_time <= $5 THEN 1 ELSE password_resets.mails + 1 END
    WHERE password_resets.window_time <= $5 OR password_resets.mails < $6";

/// Notes a new token of an account, which ends the one before; says whether a mail may be sent. Not when the account is
/// gone or closed, or had its mails of this hour: then nothing changes.
pub(crate) async fn issue(
    db: &Database,
    user_id: i64,
    token: &ResetToken,
    now: Micros,
) -> Result<bool, Fault> {
    let issued = on_write!(db, |c| sqlx::query(ISSUE)
        .bind(user_id)
        .bind(token.stored())
        .bind(now.saturating_add(micros(RESET_LIFE)))
        .bind(now)
        .bind(now.saturating_sub(micros(HOUR)))
        .bind(MAILS_PER_HOUR)
        .execute(c)
        .await
        .affected())?;
    Ok(issued == 1)
}

const GIVE_BACK: &str =
    "UPDATE password_resets SET mails = mails - 1 WHERE user_id = $1 AND mails > 0";

/// Does not count a mail that was not sent. Its token stays: the mail may have arrived all the same.
pub(crate) async fn give_back(db: &Database, user_id: i64) -> Result<(), Fault> {
    on_write!(db, |c| sqlx::query(GIVE_BACK)
        .bind(user_id)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// Whose password a token sets.
#[derive(Debug, FromRow)]
pub(crate) struct Holder {
    /// The account.
    pub(crate) user_id: i64,
    /// Its generation when the token was asked for, and still.
    pub(crate) generation: i64,
    /// Its user name.
    pub(crate) username: Option<String>,
    /// Its address.
    pub(crate) email: Option<String>,
}

const FIND: &str = "\
    SELECT r.user_id, r.generation, u.username, u.email
    FROM password_resets r JOIN users u
      ON u.id = r.user_id AND u.generation = r.generation AND u.revision = r.revision AND u.state = 'active'
    WHERE r.token_hash = $1 AND r.expire_time > $2";

/// Whose password a token sets, if it is good.
pub(crate) async fn find(
    db: &Database,
    token: &ResetToken,
    now: Micros,
) -> Result<Option<Holder>, Fault> {
    Ok(on!(db, |c| sqlx::query_as(FIND)
        .bind(token.stored())
        .bind(now)
        .fetch_optional(c)
        .await)?)
}

const USE_UP: &str = "\
    UPDATE password_resets SET token_hash = NULL
    WHERE user_id = $1 AND token_hash = $2 AND expire_time > $3
      AND revision = (SELECT revision FROM users WHERE id = $1)";

/// Uses a token up, in a transaction that holds its account; says whether it was still good.
pub(crate) async fn use_up(
    tx: &mut Tx,
    user_id: i64,
    token: &ResetToken,
    now: Micros,
) -> Result<bool, Fault> {
    let used = on_tx!(tx, |c| sqlx::query(USE_UP)
        .bind(user_id)
        .bind(token.stored())
        .bind(now)
        .execute(c)
        .await
        .affected())?;
    Ok(used == 1)
}

const PURGE: &str = "DELETE FROM password_resets WHERE window_time <= $1 AND expire_time <= $2";

/// Forgets the accounts that have not asked for an hour.
pub(crate) async fn purge(db: &Database, now: Micros) -> Result<u64, Fault> {
    Ok(on_write!(db, |c| sqlx::query(PURGE)
        .bind(now.saturating_sub(micros(HOUR)))
        .bind(now)
        .execute(c)
        .await
        .affected())?)
}
