//! The secrets of service accounts. Whoever changes them holds the account ([`super::service_accounts::lock`]).

use millgate_platform::{Affected as _, Database, Fault, Tx, on, on_tx, on_write};
use sqlx::FromRow;

use crate::domain::{LiveSecret, Micros};

#[derive(FromRow)]
struct Row {
    id: i64,
    secret_hash: Vec<u8>,
    create_time: Micros,
    expire_time: Option<Micros>,
    last_used_time: Option<Micros>,
}

impl From<Row> for LiveSecret {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            hash: row.secret_hash,
            create_time: row.create_time,
            expire_time: row.expire_time,
            last_used_time: row.last_used_time,
        }
    }
}

const LIVE: &str = "\
    SELECT id, secret_hash, create_time, expire_time, last_used_time FROM service_account_secrets
    WHERE client_id = $1 AND (expire_time IS NULL OR expire_time > $2) ORDER BY id";

/// The secrets that work at `now`, the oldest first.
pub(super) async fn live(
    db: &Database,
    client_id: &str,
    now: Micros,
) -> Result<Vec<LiveSecret>, Fault> {
    let rows: Vec<Row> = on!(db, |c| sqlx::query_as(LIVE)
        .bind(client_id)
        .bind(now)
        .fetch_all(c)
        .await)?;
    Ok(rows.into_iter().map(LiveSecret::from).collect())
}

/// The same, as a transaction sees them.
pub(super) async fn live_in_tx(
    tx: &mut Tx,
    client_id: &str,
    now: Micros,
) -> Result<Vec<LiveSecret>, Fault> {
    let rows: Vec<Row> = on_tx!(tx, |c| sqlx::query_as(LIVE)
        .bind(client_id)
        .bind(now)
        .fetch_all(c)
        .await)?;
    Ok(rows.into_iter().map(LiveSecret::from).collect())
}

const END_OLDER: &str = "\
    DELETE FROM service_account_secrets WHERE client_id = $1 AND (expire_time IS NOT NULL OR $2)";
const LET_CURRENT_END: &str =
    "UPDATE service_account_secrets SET expire_time = $2 WHERE client_id = $1";
const INSERT: &str = "\
    INSERT INTO service_account_secrets (client_id, secret_hash, create_time) VALUES ($1, $2, $3)";

/// Gives the account another current secret. The one of until now works until `end`, or ends at once; all older ones
/// end: at most two work.
pub(crate) async fn replace(
    tx: &mut Tx,
    client_id: &str,
    hash: &[u8],
    end: Option<Micros>,
    now: Micros,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(END_OLDER)
        .bind(client_id)
        .bind(end.is_none())
        .execute(c)
        .await
        .affected())?;
    on_tx!(tx, |c| sqlx::query(LET_CURRENT_END)
        .bind(client_id)
        .bind(end)
        .execute(c)
        .await
        .affected())?;
    on_tx!(tx, |c| sqlx::query(INSERT)
        .bind(client_id)
        .bind(hash)
        .bind(now)
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

const DELETE_ALL: &str = "DELETE FROM service_account_secrets WHERE client_id = $1";

/// Ends all secrets of an account.
pub(super) async fn delete_all(tx: &mut Tx, client_id: &str) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(DELETE_ALL)
        .bind(client_id)
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

const MARK_USED: &str = "UPDATE service_account_secrets SET last_used_time = $2 WHERE id = $1";
const MARK_ACCOUNT_USED: &str =
    "UPDATE service_accounts SET last_used_time = $2 WHERE client_id = $1";

/// Marks that an account got a token for this secret.
pub(crate) async fn mark_used(
    db: &Database,
    client_id: &str,
    secret: i64,
    now: Micros,
) -> Result<(), Fault> {
    on_write!(db, |c| sqlx::query(MARK_USED)
        .bind(secret)
        .bind(now)
        .execute(c)
        .await
        .affected())?;
    on_write!(db, |c| sqlx::query(MARK_ACCOUNT_USED)
        .bind(client_id)
        .bind(now)
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

const PURGE: &str = "DELETE FROM service_account_secrets WHERE expire_time <= $1";

/// Deletes the secrets that have ended by `now`. They are few: an account has one such at most.
pub(crate) async fn purge(db: &Database, now: Micros) -> Result<(), Fault> {
    on_write!(db, |c| sqlx::query(PURGE)
        .bind(now)
        .execute(c)
        .await
        .affected())?;
    Ok(())
}
