//! Refresh tokens.
//!
//! Whoever trades one first locks its session's row ([`hold_session`]), and so does everybody who ends a session: on
//! both databases the trades of one family, its logout and its revocation come one after the other.

use millgate_platform::{Fault, Tx, on_tx};
use sqlx::FromRow;

use super::sessions::{self, columns};
use super::{Hold, hold};
use crate::domain::{Micros, RefreshToken, Session};

const INSERT: &str =
    "INSERT INTO refresh_tokens (token_hash, session_id, create_time) VALUES ($1, $2, $3)";

/// Adds an unused token to a session.
pub(crate) async fn insert(
    tx: &mut Tx,
    token: &RefreshToken,
    session: &str,
    now: Micros,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(INSERT)
        .bind(token.stored())
        .bind(session)
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

const HOLD_SESSION: Hold = hold!(
    "SELECT ",
    columns!(),
    " FROM sessions WHERE id = (SELECT session_id FROM refresh_tokens WHERE token_hash = $1)"
);

/// The session that a token belongs to, held until the end of the transaction. None for an unknown token.
pub(crate) async fn hold_session(
    tx: &mut Tx,
    token: &RefreshToken,
) -> Result<Option<Session>, Fault> {
    let sql = HOLD_SESSION.sql(tx);
    let row: Option<sessions::Row> = on_tx!(tx, |c| sqlx::query_as(sql)
        .bind(token.stored())
        .fetch_optional(c)
        .await)?;
    Ok(row.map(Session::from))
}

/// What has become of a token.
#[derive(FromRow)]
pub(crate) struct Use {
    /// When it was used, where it was.
    pub(crate) used_time: Option<Micros>,
    /// Whether its child exists and has not been used.
    pub(crate) child_is_unused: bool,
}

const LOOK_UP: &str = "\
    SELECT used_time, EXISTS (SELECT 1 FROM refresh_tokens WHERE token_hash = $2 AND used_time IS NULL) \
     AS child_is_unused
    FROM refresh_tokens WHERE token_hash = $1";

/// What has become of a token whose session the transaction holds. None when it has been deleted meanwhile.
pub(crate) async fn look_up(
    tx: &mut Tx,
    token: &RefreshToken,
    child: &RefreshToken,
) -> Result<Option<Use>, Fault> {
    Ok(on_tx!(tx, |c| sqlx::query_as(LOOK_UP)
        .bind(token.stored())
        .bind(child.stored())
        .fetch_optional(c)
        .await)?)
}

const USE_UP: &str =
    "UPDATE refresh_tokens SET used_time = $2 WHERE token_hash = $1 AND used_time IS NULL";

/// Uses a token up.
///
/// # Errors
/// INTERNAL when it was used already: the session was not held.
pub(crate) async fn use_up(tx: &mut Tx, token: &RefreshToken, now: Micros) -> Result<(), Fault> {
    let used = on_tx!(tx, |c| sqlx::query(USE_UP)
        .bind(token.stored())
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    if used == 1 {
        Ok(())
    } else {
        Err(Fault::internal("a refresh token was used twice at once"))
    }
}

const DELETE_ALL: &str = "DELETE FROM refresh_tokens WHERE session_id = $1";

/// Deletes all tokens of a session: they are unknown from now on.
pub(crate) async fn delete_all(tx: &mut Tx, session: &str) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(DELETE_ALL)
        .bind(session)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}
