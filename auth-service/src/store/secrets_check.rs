//! Which secrets file the database is used with.

use millgate_platform::{Database, Fault, on, on_write};
use subtle::ConstantTimeEq;

const KEEP: &str =
    "INSERT INTO secrets_check (id, fingerprint) VALUES (1, $1) ON CONFLICT (id) DO NOTHING";
const BOUND: &str = "SELECT count(*) FROM secrets_check";

/// Whether the database was used with some secrets before.
pub(crate) async fn is_bound(db: &Database) -> Result<bool, Fault> {
    let rows: i64 = on!(db, |c| sqlx::query_scalar(BOUND).fetch_one(c).await)?;
    Ok(rows > 0)
}

const KEPT: &str = "SELECT fingerprint FROM secrets_check WHERE id = 1";

/// Whether these are the secrets that the database was first used with; the first are kept.
pub(crate) async fn fits(db: &Database, fingerprint: &[u8]) -> Result<bool, Fault> {
    on_write!(db, |c| sqlx::query(KEEP)
        .bind(fingerprint)
        .execute(c)
        .await
        .map(drop))?;
    let kept: Vec<u8> = on!(db, |c| sqlx::query_scalar(KEPT).fetch_one(c).await)?;
    Ok(kept.ct_eq(fingerprint).into())
}
