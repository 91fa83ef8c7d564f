//! The audit log: what waits to be sealed, the chain, its head, its checkpoints.

use millgate_platform::{Affected as _, Database, Fault, Tx, on, on_tx};
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
