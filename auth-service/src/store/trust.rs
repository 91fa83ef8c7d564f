//! What the guards of all services must learn: the events that the triggers of the schema write, and who has learnt.

use millgate_platform::{Affected as _, Database, Fault, Tx, on, on_tx, on_write};
use sqlx::FromRow;

use super::{Hold, hold};
use crate::domain::Micros;
use crate::domain::trust::{Connected, Event, Kind};

/// The table whose insertions wake the feed.
pub(crate) const EVENTS: &str = "trust_events";
/// How many rows one statement moves: it must not hold SQLite's one writer for long.
const BATCH: i64 = 1000;

#[derive(FromRow)]
struct Row {
    sequence: i64,
    kind: String,
    name: String,
    value: i64,
    expire_time: Micros,
}

impl TryFrom<Row> for Event {
    type Error = Fault;

    fn try_from(row: Row) -> Result<Self, Fault> {
        Ok(Self {
            sequence: row.sequence,
            kind: Kind::parse(&row.kind).ok_or_else(|| super::unreadable("a kind of event"))?,
            name: row.name,
            value: row.value,
            expire_time: row.expire_time,
        })
    }
}

/// Which feed this is, and how far it has come.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Feed {
    /// No other database has it.
    pub(crate) name: String,
    /// The last number given.
    pub(crate) sequence: i64,
}

const FEED: &str = "SELECT name, sequence FROM trust_feed";

/// Which feed this is, and how far it has come.
pub(crate) async fn feed(db: &Database) -> Result<Feed, Fault> {
    Ok(on!(db, |c| sqlx::query_as(FEED).fetch_one(c).await)?)
}

const LOCK: Hold = hold!("SELECT name, sequence FROM trust_feed");

/// The same, held until the end of the transaction: those who give numbers or change the key ring take turns.
pub(crate) async fn lock(tx: &mut Tx) -> Result<Feed, Fault> {
    let sql = LOCK.sql(tx);
    Ok(on_tx!(tx, |c| sqlx::query_as(sql).fetch_one(c).await)?)
}

const ALLOW_LIFE: &str = "UPDATE trust_feed SET token_life = $1 WHERE token_life < $1 OR NOT EXISTS (SELECT 1 FROM sessions)";

/// Says how long tokens live from now on. A shorter life than before does not count while there are sessions, whose
/// tokens may still live longer.
pub(crate) async fn allow_life(db: &Database, life: i64) -> Result<(), Fault> {
    on_write!(db, |c| sqlx::query(ALLOW_LIFE)
        .bind(life)
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

// In the order of their making, as far as there is one. Both databases compute the numbers before they write any.
const NUMBER: &str = "\
    UPDATE trust_events SET sequence = $1 + numbered.place
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM trust_events
          WHERE sequence IS NULL ORDER BY id LIMIT $2) AS numbered
    WHERE trust_events.id = numbered.id";
const ADVANCE: &str = "UPDATE trust_feed SET sequence = sequence + $1";

/// Gives numbers to some of the committed events that have none; says how many. Zero means that there are no more.
pub(crate) async fn number(db: &Database) -> Result<u64, Fault> {
    let mut tx = db.begin().await?;
    let feed = lock(&mut tx).await?;
    let numbered = on_tx!(tx, |c| sqlx::query(NUMBER)
        .bind(feed.sequence)
        .bind(BATCH)
        .execute(c)
        .await
        .affected())?;
    if numbered == 0 {
        return Ok(0);
    }
    on_tx!(tx, |c| sqlx::query(ADVANCE)
        .bind(i64::try_from(numbered).unwrap_or(BATCH))
        .execute(c)
        .await
        .affected())?;
    tx.commit().await?;
    Ok(numbered)
}

const AFTER: &str = "\
    SELECT sequence, kind, name, value, expire_time FROM trust_events
    WHERE sequence > $1 AND sequence <= $2 ORDER BY sequence LIMIT $3";

/// Some of the events after number `after`, up to number `last`, in their order.
pub(crate) async fn after(db: &Database, after: i64, last: i64) -> Result<Vec<Event>, Fault> {
    let rows: Vec<Row> = on!(db, |c| sqlx::query_as(AFTER)
        .bind(after)
        .bind(last)
        .bind(BATCH)
        .fetch_all(c)
        .await)?;
    rows.into_iter().map(Event::try_from).collect()
}

const INSERT: &str =
    "INSERT INTO trust_events (kind, name, value, expire_time) VALUES ($1, $2, $3, $4)";

/// Adds an event that no trigger writes.
pub(crate) async fn insert(
    tx: &mut Tx,
    kind: Kind,
    name: &str,
    value: i64,
    expire_time: Micros,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(INSERT)
        .bind(kind.as_str())
        .bind(name)
        .bind(value)
        .bind(expire_time)
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

const PURGE: &str = "\
    DELETE FROM trust_events WHERE id IN
    (SELECT id FROM trust_events WHERE expire_time <= $1 AND sequence IS NOT NULL ORDER BY expire_time LIMIT $2)";

/// Deletes some of the events whose tokens have all expired; says how many. Zero means that there are no more.
pub(crate) async fn purge(db: &Database, now: Micros) -> Result<u64, Fault> {
    Ok(on_write!(db, |c| sqlx::query(PURGE)
        .bind(now)
        .bind(BATCH)
        .execute(c)
        .await
        .affected())?)
}

const SEEN: &str = "\
    INSERT INTO trust_guards (connection, client_id, instance, key_ids, seen_time) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (connection) DO UPDATE SET key_ids = excluded.key_ids, seen_time = excluded.seen_time";

/// Marks that a guard is connected, and which keys it knows.
pub(crate) async fn seen(db: &Database, guard: &Connected) -> Result<(), Fault> {
    on_write!(db, |c| sqlx::query(SEEN)
        .bind(&guard.connection)
        .bind(&guard.client_id)
        .bind(&guard.instance)
        .bind(guard.key_ids.join(" "))
        .bind(guard.seen_time)
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

/// The same, together with the rest of a transaction.
pub(crate) async fn seen_in_tx(tx: &mut Tx, guard: &Connected) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(SEEN)
        .bind(&guard.connection)
        .bind(&guard.client_id)
        .bind(&guard.instance)
        .bind(guard.key_ids.join(" "))
        .bind(guard.seen_time)
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

const BACK: &str = "\
    DELETE FROM trust_guards WHERE client_id = $1 AND instance = $2 AND connection <> $3
    AND (left_time IS NOT NULL OR seen_time <= $4)";

/// Forgets the earlier connections of a guard that has come back: those that have ended, or were not heard after
/// `since`.
pub(crate) async fn back(db: &Database, guard: &Connected, since: Micros) -> Result<(), Fault> {
    on_write!(db, |c| sqlx::query(BACK)
        .bind(&guard.client_id)
        .bind(&guard.instance)
        .bind(&guard.connection)
        .bind(since)
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

const LEFT: &str =
    "UPDATE trust_guards SET left_time = $2 WHERE connection = $1 AND left_time IS NULL";

/// Marks that a guard's connection has ended.
pub(crate) async fn left(db: &Database, connection: &str, now: Micros) -> Result<(), Fault> {
    on_write!(db, |c| sqlx::query(LEFT)
        .bind(connection)
        .bind(now)
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

const STOPPED: &str = "DELETE FROM trust_guards WHERE connection = $1";

/// Forgets a replica of this service, which has stopped.
pub(crate) async fn stopped(db: &Database, connection: &str) -> Result<(), Fault> {
    on_write!(db, |c| sqlx::query(STOPPED)
        .bind(connection)
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

#[derive(FromRow)]
struct GuardRow {
    connection: String,
    client_id: String,
    instance: String,
    key_ids: String,
    seen_time: Micros,
    left_time: Option<Micros>,
}

impl From<GuardRow> for Connected {
    fn from(row: GuardRow) -> Self {
        Self {
            connection: row.connection,
            client_id: row.client_id,
            instance: row.instance,
            key_ids: row.key_ids.split(' ').map(str::to_owned).collect(),
            seen_time: row.seen_time,
            left: row.left_time.is_some(),
        }
    }
}

/// More connections than this are not looked at: ten times as many as a replica takes.
const MOST_GUARDS: i64 = 10_000;

const GUARDS: &str = "\
    SELECT connection, client_id, instance, key_ids, seen_time, left_time FROM trust_guards WHERE seen_time > $1
    ORDER BY client_id, instance, connection LIMIT $2";

/// The guards that were seen after `since`, at any replica, also those that have left.
pub(crate) async fn guards(db: &Database, since: Micros) -> Result<Vec<Connected>, Fault> {
    let rows: Vec<GuardRow> = on!(db, |c| sqlx::query_as(GUARDS)
        .bind(since)
        .bind(MOST_GUARDS)
        .fetch_all(c)
        .await)?;
    Ok(rows.into_iter().map(Connected::from).collect())
}

const OTHERS: &str = "\
    SELECT connection, client_id, instance, key_ids, seen_time, left_time FROM trust_guards
    WHERE client_id = $1 AND instance <> $2 AND seen_time > $3 AND left_time IS NULL";

/// The other processes of a service account that were seen after `since`.
pub(crate) async fn others(
    tx: &mut Tx,
    than: &Connected,
    since: Micros,
) -> Result<Vec<Connected>, Fault> {
    let rows: Vec<GuardRow> = on_tx!(tx, |c| sqlx::query_as(OTHERS)
        .bind(&than.client_id)
        .bind(&than.instance)
        .bind(since)
        .fetch_all(c)
        .await)?;
    Ok(rows.into_iter().map(Connected::from).collect())
}

const FORGET: &str = "DELETE FROM trust_guards WHERE seen_time <= $1";

/// Forgets the guards that were not seen for so long that nobody waits for them any more.
pub(crate) async fn forget(db: &Database, before: Micros) -> Result<(), Fault> {
    on_write!(db, |c| sqlx::query(FORGET)
        .bind(before)
        .execute(c)
        .await
        .affected())?;
    Ok(())
}
