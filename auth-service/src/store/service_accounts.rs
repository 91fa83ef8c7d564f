//! Service accounts.

use millgate_guard::Scopes;
use millgate_platform::{Database, Fault, Tx, on, on_tx, on_write};
use sqlx::FromRow;

use super::unreadable;
use crate::domain::{Micros, ServiceAccount};

#[derive(FromRow)]
struct Row {
    client_id: String,
    secret_hash: Vec<u8>,
    scopes: String,
    disabled: bool,
    last_used_time: Option<Micros>,
}

const BY_ID: &str = "SELECT client_id, secret_hash, scopes, disabled, last_used_time FROM service_accounts WHERE client_id = $1";

/// The service account of this id.
pub(crate) async fn by_id(db: &Database, client_id: &str) -> Result<Option<ServiceAccount>, Fault> {
    let row: Option<Row> = on!(db, |c| sqlx::query_as(BY_ID)
        .bind(client_id)
        .fetch_optional(c)
        .await)?;
    row.map(|row| {
        Ok(ServiceAccount {
            scopes: Scopes::parse(&row.scopes)
                .map_err(|error| unreadable("a scope").with_source(error))?,
            client_id: row.client_id,
            secret_hash: row.secret_hash,
            disabled: row.disabled,
            last_used_time: row.last_used_time,
        })
    })
    .transpose()
}

const INSERT: &str = "\
    INSERT INTO service_accounts (client_id, secret_hash, scopes, disabled, create_time)
    VALUES ($1, $2, $3, FALSE, $4)
    ON CONFLICT (client_id) DO NOTHING";

/// Makes a service account, unless there is one of this id; says whether it did.
pub(crate) async fn insert_if_absent(
    tx: &mut Tx,
    client_id: &str,
    secret_hash: &[u8],
    scopes: &Scopes,
    now: Micros,
) -> Result<bool, Fault> {
    let made = on_tx!(tx, |c| sqlx::query(INSERT)
        .bind(client_id)
        .bind(secret_hash)
        .bind(scopes.to_string())
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(made == 1)
}

const MARK_USED: &str = "UPDATE service_accounts SET last_used_time = $2 WHERE client_id = $1";

/// Marks that an account got a token.
pub(crate) async fn mark_used(db: &Database, client_id: &str, now: Micros) -> Result<(), Fault> {
    on_write!(db, |c| sqlx::query(MARK_USED)
        .bind(client_id)
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}
