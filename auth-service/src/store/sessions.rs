//! Sessions.

use millgate_platform::{Database, Fault, Tx, on, on_tx, on_write};
use sqlx::FromRow;

use crate::domain::{EndReason, Micros, Session, SessionLimits, micros};

/// The columns of a [`Row`].
macro_rules! columns {
    () => {
        "id, user_id, auth_time, amr, create_time, last_used_time, ended_time"
    };
}
pub(super) use columns;

/// A session's row.
#[derive(FromRow)]
pub(super) struct Row {
    id: String,
    user_id: i64,
    auth_time: Micros,
    amr: String,
    create_time: Micros,
    last_used_time: Micros,
    ended_time: Option<Micros>,
}

impl From<Row> for Session {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            auth_time: row.auth_time,
            amr: row.amr,
            create_time: row.create_time,
            last_used_time: row.last_used_time,
            ended_time: row.ended_time,
        }
    }
}

/// Where a session comes from, to show to the person whose it is.
pub(crate) struct Origin<'a> {
    /// What they called the device.
    pub(crate) device_label: &'a str,
    /// The address that the login came from.
    pub(crate) address: &'a str,
    /// The program that it came from.
    pub(crate) user_agent: &'a str,
}

const INSERT: &str = "\
    INSERT INTO sessions
        (id, user_id, device_label, address, user_agent, auth_time, amr, create_time, last_used_time,
         refresh_count, refresh_floor)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, 1)";

/// Begins a session. The number of its first refresh token, which is to follow, is 1.
pub(crate) async fn insert(
    tx: &mut Tx,
    session: &Session,
    origin: &Origin<'_>,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(INSERT)
        .bind(&session.id)
        .bind(session.user_id)
        .bind(origin.device_label)
        .bind(origin.address)
        .bind(origin.user_agent)
        .bind(session.auth_time)
        .bind(&session.amr)
        .bind(session.create_time)
        .bind(session.last_used_time)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

const BY_ID: &str = concat!("SELECT ", columns!(), " FROM sessions WHERE id = $1");

/// The session of this id.
pub(crate) async fn by_id(db: &Database, id: &str) -> Result<Option<Session>, Fault> {
    let row: Option<Row> = on!(db, |c| sqlx::query_as(BY_ID)
        .bind(id)
        .fetch_optional(c)
        .await)?;
    Ok(row.map(Session::from))
}

const PROVE_AGAIN: &str = concat!(
    "UPDATE sessions SET auth_time = $3, last_used_time = $3 WHERE id = $1 AND user_id = $2 AND ended_time IS NULL \
     RETURNING ",
    columns!()
);

/// Marks that the person has proved again who they are. None when the session is not theirs or has been ended.
pub(crate) async fn prove_again(
    tx: &mut Tx,
    id: &str,
    user_id: i64,
    now: Micros,
) -> Result<Option<Session>, Fault> {
    let row: Option<Row> = on_tx!(tx, |c| sqlx::query_as(PROVE_AGAIN)
        .bind(id)
        .bind(user_id)
        .bind(now)
        .fetch_optional(c)
        .await)?;
    Ok(row.map(Session::from))
}

const PROVE_MORE: &str = concat!(
    "UPDATE sessions SET amr = $3, last_used_time = $4 WHERE id = $1 AND user_id = $2 AND ended_time IS NULL \
     RETURNING ",
    columns!()
);

/// Marks by which methods the person has proved who they are, in all; when they did is as before. None when the session
/// is not theirs or has been ended.
pub(crate) async fn prove_more(
    tx: &mut Tx,
    id: &str,
    user_id: i64,
    methods: &str,
    now: Micros,
) -> Result<Option<Session>, Fault> {
    let row: Option<Row> = on_tx!(tx, |c| sqlx::query_as(PROVE_MORE)
        .bind(id)
        .bind(user_id)
        .bind(methods)
        .bind(now)
        .fetch_optional(c)
        .await)?;
    Ok(row.map(Session::from))
}

const END: &str = "\
    UPDATE sessions SET ended_time = $3, end_reason = $4 WHERE id = $1 AND user_id = $2 AND ended_time IS NULL";

/// Ends a session of a person; says whether there was one to end.
pub(crate) async fn end(
    tx: &mut Tx,
    id: &str,
    user_id: i64,
    reason: EndReason,
    now: Micros,
) -> Result<bool, Fault> {
    let ended = on_tx!(tx, |c| sqlx::query(END)
        .bind(id)
        .bind(user_id)
        .bind(now)
        .bind(reason.as_str())
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(ended == 1)
}

/// Ends a session that the transaction holds.
pub(crate) async fn end_held(
    tx: &mut Tx,
    session: &Session,
    reason: EndReason,
    now: Micros,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(END)
        .bind(&session.id)
        .bind(session.user_id)
        .bind(now)
        .bind(reason.as_str())
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

const END_ALL: &str = "\
    UPDATE sessions SET ended_time = $3, end_reason = $4 WHERE user_id = $1 AND id <> $2 AND ended_time IS NULL";

/// Ends all sessions of a person but `except` (an empty text for none); says how many.
pub(crate) async fn end_all(
    tx: &mut Tx,
    user_id: i64,
    except: &str,
    reason: EndReason,
    now: Micros,
) -> Result<u64, Fault> {
    Ok(on_tx!(tx, |c| sqlx::query(END_ALL)
        .bind(user_id)
        .bind(except)
        .bind(now)
        .bind(reason.as_str())
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?)
}

/// SQLite takes an OFFSET only after a LIMIT.
const MORE_THAN_ANYBODY_HAS: i64 = 1_000_000;
const END_SURPLUS: &str = "\
    UPDATE sessions SET ended_time = $2, end_reason = $7 WHERE ended_time IS NULL AND id IN (
        SELECT id FROM sessions
        WHERE user_id = $1 AND id <> $8 AND ended_time IS NULL AND create_time > $3 AND last_used_time > $4
        ORDER BY last_used_time DESC, create_time DESC, id LIMIT $5 OFFSET $6)
    RETURNING id";

/// Ends the sessions of a person, whose account the transaction holds, that are more than they may have beside `new`:
/// those not used for the longest. Gives their ids.
pub(crate) async fn end_surplus(
    tx: &mut Tx,
    user_id: i64,
    new: &str,
    limits: SessionLimits,
    now: Micros,
) -> Result<Vec<String>, Fault> {
    Ok(on_tx!(tx, |c| sqlx::query_scalar(END_SURPLUS)
        .bind(user_id)
        .bind(now)
        .bind(now.saturating_sub(micros(limits.absolute)))
        .bind(now.saturating_sub(micros(limits.idle)))
        .bind(MORE_THAN_ANYBODY_HAS)
        .bind(i64::from(limits.per_user) - 1)
        .bind(EndReason::TooMany.as_str())
        .bind(new)
        .fetch_all(c)
        .await)?)
}

/// How many sessions one statement deletes: it must not hold SQLite's one writer for long.
const BATCH: i64 = 500;
const PURGE: &str = "\
    DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE create_time < $1 ORDER BY create_time LIMIT $2)";

/// Deletes some of the sessions that began before `before`, and their refresh tokens; says how many. Zero means that
/// there are no more.
pub(crate) async fn purge(db: &Database, before: Micros) -> Result<u64, Fault> {
    Ok(on_write!(db, |c| sqlx::query(PURGE)
        .bind(before)
        .bind(BATCH)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?)
}
