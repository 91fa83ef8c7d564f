//! The audit log: what waits to be sealed, the chain, its head, its checkpoints.

use millgate_platform::{Affected as _, Cursor, Database, Fault, Page, Tx, on, on_tx};
use sqlx::{FromRow, QueryBuilder};

use crate::domain::Micros;
use crate::domain::audit::{Checkpoint, Head, Mac, Record, Sealed};

/// The columns of a [`Row`] without its number and its code.
macro_rules! columns {
    () => {
        "time, event, outcome, cause, actor, subject, client_id, session, address, request_id, occurrences"
    };
}

/// A row of either table.
#[derive(FromRow)]
struct Row {
    number: i64,
    time: Micros,
    event: String,
    outcome: String,
    cause: String,
    actor: String,
    subject: Option<i64>,
    client_id: String,
    session: String,
    address: String,
    request_id: String,
    occurrences: i64,
    mac: Vec<u8>,
}

impl Row {
    fn into_parts(self) -> (i64, Record, Vec<u8>) {
        let record = Record {
            time: self.time,
            event: self.event,
            outcome: self.outcome,
            cause: self.cause,
            actor: self.actor,
            subject: self.subject,
            client_id: self.client_id,
            session: self.session,
            address: self.address,
            request_id: self.request_id,
            occurrences: self.occurrences,
        };
        (self.number, record, self.mac)
    }
}

/// A code of another length than ours matches nothing.
fn mac(bytes: &[u8]) -> Mac {
    bytes.try_into().unwrap_or_default()
}

const ADD: &str = concat!(
    "INSERT INTO audit_pending (",
    columns!(),
    ", mac) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
);

/// Writes an event to be sealed, in the transaction that it tells of.
pub(crate) async fn add(tx: &mut Tx, record: &Record, mac: &Mac) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(ADD)
        .bind(record.time)
        .bind(&record.event)
        .bind(&record.outcome)
        .bind(&record.cause)
        .bind(&record.actor)
        .bind(record.subject)
        .bind(&record.client_id)
        .bind(&record.session)
        .bind(&record.address)
        .bind(&record.request_id)
        .bind(record.occurrences)
        .bind(mac.as_slice())
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

const WAITING: &str = "SELECT count(*) FROM audit_pending";

/// How many events wait to be sealed.
pub(crate) async fn waiting(db: &Database) -> Result<i64, Fault> {
    Ok(on!(db, |c| sqlx::query_scalar(WAITING).fetch_one(c).await)?)
}

const BEGIN: &str =
    "INSERT INTO audit_head (id, seq, mac) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING";

/// Puts the head of an empty chain where there is none yet.
pub(crate) async fn begin(tx: &mut Tx, head: &Head) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(BEGIN)
        .bind(head.seq)
        .bind(head.mac.as_slice())
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

const HEAD: &str = "SELECT seq, mac FROM audit_head WHERE id = 1";
/// Who does not get it leaves the sealing to who has it: SQLite has one writer, so there is nobody else there.
const HOLD_HEAD: &str = "SELECT seq, mac FROM audit_head WHERE id = 1 FOR UPDATE SKIP LOCKED";

/// Holds the chain's head until the end of the transaction. None when another replica has it.
pub(crate) async fn hold_head(tx: &mut Tx) -> Result<Option<Head>, Fault> {
    let sql = match tx {
        Tx::Sqlite(_) => HEAD,
        Tx::Postgres(_) => HOLD_HEAD,
    };
    let row: Option<(i64, Vec<u8>)> = on_tx!(tx, |c| sqlx::query_as(sql).fetch_optional(c).await)?;
    Ok(row.map(|(seq, bytes)| Head {
        seq,
        mac: mac(&bytes),
    }))
}

/// Where the chain ends.
pub(crate) async fn head(db: &Database) -> Result<Option<Head>, Fault> {
    let row: Option<(i64, Vec<u8>)> = on!(db, |c| sqlx::query_as(HEAD).fetch_optional(c).await)?;
    Ok(row.map(|(seq, bytes)| Head {
        seq,
        mac: mac(&bytes),
    }))
}

const PENDING: &str = concat!(
    "SELECT id AS number, ",
    columns!(),
    ", mac FROM audit_pending ORDER BY id LIMIT $1"
);

/// The first events that wait, each with its number and its code. One that commits late has a low number and comes
/// with the next: the order of the chain is its own.
pub(crate) async fn pending(tx: &mut Tx, limit: i64) -> Result<Vec<(i64, Record, Vec<u8>)>, Fault> {
    let rows: Vec<Row> = on_tx!(tx, |c| sqlx::query_as(PENDING)
        .bind(limit)
        .fetch_all(c)
        .await)?;
    Ok(rows.into_iter().map(Row::into_parts).collect())
}

const APPEND: &str = concat!("INSERT INTO audit_log (seq, ", columns!(), ", mac) ");
const SET_HEAD: &str = "UPDATE audit_head SET seq = $1, mac = $2 WHERE id = 1";

/// Appends rows to the chain, whose head the transaction holds, and takes the events `pending` away.
pub(crate) async fn append(tx: &mut Tx, rows: &[Sealed], pending: &[i64]) -> Result<(), Fault> {
    let Some(last) = rows.last() else {
        return Ok(());
    };
    on_tx!(tx, |c| {
        let mut insert = QueryBuilder::new(APPEND);
        insert.push_values(rows, |mut row, Sealed { seq, record, mac }| {
            row.push_bind(*seq)
                .push_bind(record.time)
                .push_bind(&record.event)
                .push_bind(&record.outcome)
                .push_bind(&record.cause)
                .push_bind(&record.actor)
                .push_bind(record.subject)
                .push_bind(&record.client_id)
                .push_bind(&record.session)
                .push_bind(&record.address)
                .push_bind(&record.request_id)
                .push_bind(record.occurrences)
                .push_bind(mac.as_slice());
        });
        insert.build().execute(&mut *c).await?;
        let mut delete = QueryBuilder::new("DELETE FROM audit_pending WHERE id IN (");
        let mut ids = delete.separated(", ");
        for id in pending {
            ids.push_bind(*id);
        }
        delete.push(")");
        delete.build().execute(&mut *c).await?;
        sqlx::query(SET_HEAD)
            .bind(last.seq)
            .bind(last.mac.as_slice())
            .execute(&mut *c)
            .await
            .affected()
    })?;
    Ok(())
}

const ADD_CHECKPOINT: &str = "\
    INSERT INTO audit_checkpoints (seq, time, mac, signature) VALUES ($1, $2, $3, $4) ON CONFLICT (seq) DO NOTHING";

/// Keeps a checkpoint.
pub(crate) async fn add_checkpoint(tx: &mut Tx, checkpoint: &Checkpoint) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(ADD_CHECKPOINT)
        .bind(checkpoint.head.seq)
        .bind(checkpoint.time)
        .bind(checkpoint.head.mac.as_slice())
        .bind(checkpoint.signature.as_slice())
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

type CheckpointRow = (i64, Micros, Vec<u8>, Vec<u8>);

fn checkpoint((seq, time, bytes, signature): CheckpointRow) -> Checkpoint {
    Checkpoint {
        head: Head {
            seq,
            mac: mac(&bytes),
        },
        time,
        signature: mac(&signature),
    }
}

const LAST_CHECKPOINT: &str =
    "SELECT seq, time, mac, signature FROM audit_checkpoints ORDER BY seq DESC LIMIT 1";

/// The newest checkpoint of the database.
pub(crate) async fn last_checkpoint(db: &Database) -> Result<Option<Checkpoint>, Fault> {
    let row: Option<CheckpointRow> = on!(db, |c| sqlx::query_as(LAST_CHECKPOINT)
        .fetch_optional(c)
        .await)?;
    Ok(row.map(checkpoint))
}

const CHAIN: &str = concat!(
    "SELECT seq AS number, ",
    columns!(),
    ", mac FROM audit_log WHERE seq > $1 ORDER BY seq LIMIT $2"
);

/// The rows of the chain behind `after`.
pub(crate) async fn rows(db: &Database, after: i64, limit: i64) -> Result<Vec<Sealed>, Fault> {
    let rows: Vec<Row> = on!(db, |c| sqlx::query_as(CHAIN)
        .bind(after)
        .bind(limit)
        .fetch_all(c)
        .await)?;
    Ok(rows.into_iter().map(sealed).collect())
}

const BEFORE_THE_FIRST: &str = "SELECT seq FROM audit_log WHERE seq < 1 ORDER BY seq LIMIT 1";

/// A row before the first one, which the sealer never makes.
pub(crate) async fn before_the_first(db: &Database) -> Result<Option<i64>, Fault> {
    Ok(on!(db, |c| sqlx::query_scalar(BEFORE_THE_FIRST)
        .fetch_optional(c)
        .await)?)
}

fn sealed(row: Row) -> Sealed {
    let (seq, record, bytes) = row.into_parts();
    Sealed {
        seq,
        record,
        mac: mac(&bytes),
    }
}

const CHECKPOINTS: &str = "\
    SELECT seq, time, mac, signature FROM audit_checkpoints WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3";
/// A log that is whole has at most one for each of the 1,000 rows that are looked at together.
const MANY: i64 = 2_000;

/// The checkpoints of the database behind `after`, up to `to`.
pub(crate) async fn checkpoints(
    db: &Database,
    after: i64,
    to: i64,
) -> Result<Vec<Checkpoint>, Fault> {
    let rows: Vec<CheckpointRow> = on!(db, |c| sqlx::query_as(CHECKPOINTS)
        .bind(after)
        .bind(to)
        .bind(MANY)
        .fetch_all(c)
        .await)?;
    Ok(rows.into_iter().map(checkpoint).collect())
}

/// Which events are wanted; what is empty or none narrows nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Not before this time.
    pub(crate) from: Option<Micros>,
    /// Before this time.
    pub(crate) to: Option<Micros>,
    /// This event.
    pub(crate) event: String,
    /// This outcome.
    pub(crate) outcome: Option<&'static str>,
    /// About this account.
    pub(crate) subject: Option<i64>,
    /// By this caller.
    pub(crate) actor: String,
    /// About this session.
    pub(crate) session: String,
    /// From this address.
    pub(crate) address: String,
    /// About this service account.
    pub(crate) client_id: String,
}

/// Which end of the log a list begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The oldest first.
    Oldest,
    /// The newest first.
    Newest,
}

const SELECT: &str = concat!(
    "SELECT seq AS number, ",
    columns!(),
    ", mac FROM audit_log WHERE seq > 0 AND seq"
);

/// Events of the log beyond a number, in this order.
pub(crate) async fn matching(
    db: &Database,
    filter: &Filter,
    order: Order,
    beyond: i64,
    limit: i64,
) -> Result<Vec<Sealed>, Fault> {
    let (compares, sorted) = match order {
        Order::Oldest => (" > ", " ORDER BY seq LIMIT "),
        Order::Newest => (" < ", " ORDER BY seq DESC LIMIT "),
    };
    // Put together from what was asked for: see `user_list`.
    let rows: Vec<Row> = on!(db, |c| {
        let mut query = QueryBuilder::new(SELECT);
        query.push(compares).push_bind(beyond);
        if let Some(from) = filter.from {
            query.push(" AND time >= ").push_bind(from);
        }
        if let Some(to) = filter.to {
            query.push(" AND time < ").push_bind(to);
        }
        if let Some(outcome) = filter.outcome {
            query.push(" AND outcome = ").push_bind(outcome);
        }
        if let Some(subject) = filter.subject {
            query.push(" AND subject = ").push_bind(subject);
        }
        for (column, text) in [
            (" AND event = ", &filter.event),
            (" AND actor = ", &filter.actor),
            (" AND session = ", &filter.session),
            (" AND address = ", &filter.address),
            // The first term is the index's: without it, it is not used.
            (" AND client_id <> '' AND client_id = ", &filter.client_id),
        ] {
            if !text.is_empty() {
                query.push(column).push_bind(text.as_str());
            }
        }
        query.push(sorted).push_bind(limit);
        query.build_query_as().fetch_all(c).await
    })?;
    Ok(rows.into_iter().map(sealed).collect())
}

/// One page of events, and the token of the next one; empty on the last.
pub(crate) async fn page(
    db: &Database,
    filter: &Filter,
    order: Order,
    page: &Page,
) -> Result<(Vec<Sealed>, String), Fault> {
    let beginning = match order {
        Order::Oldest => 0,
        Order::Newest => i64::MAX,
    };
    let beyond = page.after.as_ref().map_or(beginning, |cursor| cursor.id);
    let rows = matching(db, filter, order, beyond, page.limit()).await?;
    Ok(page.finish(rows, |row| Cursor::id(row.seq)))
}
