//! Access tokens that were revoked one by one. Whether one is, [`super::standing`] reads together with the rest.

use millgate_platform::{Affected as _, Database, Fault, Tx, on_tx, on_write};

use crate::domain::Micros;

const REVOKE: &str = "\
    INSERT INTO revoked_tokens (jti, expire_time) VALUES ($1, $2) ON CONFLICT (jti) DO NOTHING";

/// Ends the access token of this `jti`, which would expire at `expire_time`; says whether it had not been ended before.
pub(crate) async fn revoke(tx: &mut Tx, jti: &str, expire_time: Micros) -> Result<bool, Fault> {
    let revoked = on_tx!(tx, |c| sqlx::query(REVOKE)
        .bind(jti)
        .bind(expire_time)
        .execute(c)
        .await
        .affected())?;
    Ok(revoked == 1)
}

/// How many rows one statement deletes: it must not hold SQLite's one writer for long.
const BATCH: i64 = 500;
const PURGE: &str = "\
    DELETE FROM revoked_tokens WHERE jti IN (
        SELECT jti FROM revoked_tokens WHERE expire_time < $1 ORDER BY expire_time LIMIT $2
    )";

/// Deletes some of the tokens that expired before `before`; says how many. Zero means that there are no more.
pub(crate) async fn purge(db: &Database, before: Micros) -> Result<u64, Fault> {
    Ok(on_write!(db, |c| sqlx::query(PURGE)
        .bind(before)
        .bind(BATCH)
        .execute(c)
        .await
        .affected())?)
}
