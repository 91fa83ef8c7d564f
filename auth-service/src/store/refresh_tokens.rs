//! Refresh tokens.
//!
//! Whoever trades one first locks its session's row ([`hold_session`]), and so does everybody who ends a session: on
//! both databases the trades of one family, its logout and its revocation come one after the other.

use millgate_platform::{Fault, Tx, on_tx};
use sqlx::FromRow;

use super::sessions::{self, columns};
use super::{Hold, hold};
use crate::domain::{Family, LONG_AGO, Micros, RefreshToken, Session};

const INSERT: &str = "INSERT INTO refresh_tokens (token_hash, session_id, create_time, number) VALUES ($1, $2, $3, $4)";

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
        .bind(token.place().map(|place| place.number))
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

const BEGIN_FAMILY: &str = "\
    UPDATE sessions SET refresh_floor = refresh_count + 1, refresh_count = refresh_count + 1 WHERE id = $1
    RETURNING refresh_count";
const FORGET_ALL: &str = "DELETE FROM refresh_tokens WHERE session_id = $1";

/// Forgets all tokens of a session, which the transaction holds: they are unknown from now on. Gives the number of the
/// next one, the first of a new family.
pub(crate) async fn begin_family(tx: &mut Tx, session: &str) -> Result<i64, Fault> {
    Ok(on_tx!(tx, |c| {
        sqlx::query(FORGET_ALL)
            .bind(session)
            .execute(&mut *c)
            .await?;
        sqlx::query_scalar(BEGIN_FAMILY)
            .bind(session)
            .fetch_one(c)
            .await
    })?)
}

/// A session that the transaction holds, and the numbers of its tokens.
pub(crate) struct Held {
    /// The session.
    pub(crate) session: Session,
    /// The numbers.
    pub(crate) family: Family,
}

#[derive(FromRow)]
struct HeldRow {
    #[sqlx(flatten)]
    session: sessions::Row,
    refresh_count: i64,
    refresh_floor: i64,
}

const HOLD_SESSION: Hold = hold!(
    "SELECT ",
    columns!(),
    ", refresh_count, refresh_floor FROM sessions WHERE id = $1"
);
/// For a token that does not say whose it is, and has no number: the random bits of one that has are not that token.
const HOLD_SESSION_OF: Hold = hold!(
    "SELECT ",
    columns!(),
    ", refresh_count, refresh_floor FROM sessions \
     WHERE id = (SELECT session_id FROM refresh_tokens WHERE token_hash = $1 AND number IS NULL)"
);

/// The session that a token says it belongs to, held until the end of the transaction. None where there is none.
pub(crate) async fn hold_session(tx: &mut Tx, token: &RefreshToken) -> Result<Option<Held>, Fault> {
    let row: Option<HeldRow> = if let Some(place) = token.place() {
        let sql = HOLD_SESSION.sql(tx);
        on_tx!(tx, |c| sqlx::query_as(sql)
            .bind(&place.session)
            .fetch_optional(c)
            .await)?
    } else {
        let sql = HOLD_SESSION_OF.sql(tx);
        on_tx!(tx, |c| sqlx::query_as(sql)
            .bind(token.stored())
            .fetch_optional(c)
            .await)?
    };
    Ok(row.map(|row| Held {
        session: row.session.into(),
        family: Family {
            floor: row.refresh_floor,
            count: row.refresh_count,
        },
    }))
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

/// What has become of a token whose session the transaction holds. None when it is unknown.
pub(crate) async fn look_up(
    tx: &mut Tx,
    held: &Held,
    token: &RefreshToken,
    child: &RefreshToken,
) -> Result<Option<Use>, Fault> {
    let found = on_tx!(tx, |c| sqlx::query_as(LOOK_UP)
        .bind(token.stored())
        .bind(child.stored())
        .fetch_optional(c)
        .await)?;
    Ok(found.or_else(|| {
        held.family.has_used(token).then_some(Use {
            used_time: Some(LONG_AGO),
            child_is_unused: false,
        })
    }))
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

const COUNT_UP: &str =
    "UPDATE sessions SET last_used_time = $2, refresh_count = refresh_count + 1 WHERE id = $1";
const FORGET: &str = "DELETE FROM refresh_tokens WHERE session_id = $1 AND number < $2";

/// Marks that a session, which the transaction holds, got another token: its idle time begins anew, and the rows of
/// tokens that were used long ago go.
pub(crate) async fn count_up(tx: &mut Tx, held: &Held, now: Micros) -> Result<(), Fault> {
    let family = Family {
        count: held.family.count + 1,
        ..held.family
    };
    on_tx!(tx, |c| {
        sqlx::query(COUNT_UP)
            .bind(&held.session.id)
            .bind(now)
            .execute(&mut *c)
            .await?;
        sqlx::query(FORGET)
            .bind(&held.session.id)
            .bind(family.forgotten_below())
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}
