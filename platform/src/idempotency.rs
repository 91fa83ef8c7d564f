//! The same `request_id` with the same body gives the first answer again (AIP-155).
//!
//! The claim is made inside the transaction that does the work, so the work, its answer and
//! the memory of both are one commit. Of several calls with one id at once, one does the work
//! and the others wait for it at the row: at PostgreSQL's unique index, or at SQLite's one
//! writer.
//!
//! ```ignore
//! let mut tx = db.begin().await?;
//! let mut once = idempotency.claim(&mut tx, &caller.key(), "CreateProduct", &request_id, &body).await?;
//! if let Some(answer) = once.replay() {
//!     return Ok(answer);
//! }
//! let product = store::insert(&mut tx, ...).await?;
//! once.record(&mut tx, &product).await?;
//! tx.commit().await?;
//! ```

use millgate_guard::SharedClock;
use prost::Message;
use ring::hmac;
use uuid::Uuid;

use crate::fields::{FieldFault, Fields};
use crate::{
    context::hex,
    database::{Affected as _, Database, Tx},
    fault::{Fault, Reason},
    on, on_tx, on_write,
};

/// What a service puts into a migration of `migrations/sqlite`.
pub const SQLITE_DDL: &str = include_str!("idempotency.sqlite.sql");
/// What a service puts into a migration of `migrations/postgres`.
pub const POSTGRES_DDL: &str = include_str!("idempotency.postgres.sql");

/// How long an answer is kept: 24 hours, in microseconds.
pub const KEPT_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// Takes a row for this id. A row that is past its time, or that an earlier try of the very
/// same request left without an answer, is taken over.
const CLAIM: &str = "\
    INSERT INTO idempotency_keys (caller, request_id, method, body_hash, response, create_time)
    VALUES ($1, $2, $3, $4, NULL, $5)
    ON CONFLICT (caller, request_id) DO UPDATE
    SET method = excluded.method, body_hash = excluded.body_hash, response = NULL,
        create_time = excluded.create_time
    WHERE idempotency_keys.create_time <= $6
       OR (idempotency_keys.response IS NULL
           AND idempotency_keys.method = excluded.method
           AND idempotency_keys.body_hash = excluded.body_hash)";
const FIND: &str = "\
    SELECT method, body_hash, response FROM idempotency_keys
    WHERE caller = $1 AND request_id = $2";
const RECALL: &str = "\
    SELECT method, body_hash, response FROM idempotency_keys
    WHERE caller = $1 AND request_id = $2 AND create_time > $3 AND response IS NOT NULL";
const RECORD: &str = "\
    UPDATE idempotency_keys SET response = $3 WHERE caller = $1 AND request_id = $2";
const PURGE: &str = "\
    DELETE FROM idempotency_keys WHERE (caller, request_id) IN
    (SELECT caller, request_id FROM idempotency_keys WHERE create_time <= $1 LIMIT $2)";
/// Rows of one deletion: no statement holds SQLite's only writer, or a lock on a day's rows, for
/// long.
const PURGE_BATCH: i64 = 1000;

/// Who sends a request with a `request_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimBy<'a> {
    /// A caller with a token, by [`Caller::key`](millgate_guard::Caller::key).
    Caller(&'a str),
    /// Anybody: a public create. It is keyed by method, id and body together, so that nobody
    /// can spoil or read another's request by guessing its id.
    Anyone,
}

impl<'a> From<&'a str> for ClaimBy<'a> {
    fn from(key: &'a str) -> Self {
        Self::Caller(key)
    }
}

impl<'a> From<&'a String> for ClaimBy<'a> {
    fn from(key: &'a String) -> Self {
        Self::Caller(key)
    }
}

/// The memory of a service's requests.
#[derive(Clone)]
pub struct Idempotency {
    key: hmac::Key,
    clock: SharedClock,
}

impl Idempotency {
    /// With a key of its own (`secrets.derive("idempotency")`): the table then says nothing
    /// about the bodies to somebody who reads it.
    pub fn new(key: &[u8; 32], clock: SharedClock) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            clock,
        }
    }

    /// Claims `request_id` for this request, inside the transaction that does its work.
    ///
    /// `method` tells the methods of a service apart. `body` is the parsed request; two bodies
    /// are the same when their canonical encodings are. An empty id switches this off.
    ///
    /// # Errors
    /// `FIELD_INVALID` when the id is not a UUID, `REQUEST_ID_REUSED` when it stands for
    /// another request of this caller.
    pub async fn claim<'a, M: Message + Default>(
        &self,
        tx: &mut Tx,
        by: impl Into<ClaimBy<'a>>,
        method: &str,
        request_id: &str,
        body: &impl Message,
    ) -> Result<Claim<M>, Fault> {
        if request_id.is_empty() {
            return Ok(Claim::Off);
        }
        let mut fields = Fields::new();
        let request_id = fields.parse("request_id", parse_request_id(request_id));
        let (request_id,) = fields.all((request_id,))?;
        let hash = self.hash(method, body);
        let caller = key_of(by.into(), &hash);
        let now = self.clock.now_micros();
        let taken = on_tx!(tx, |c| sqlx::query(CLAIM)
            .bind(&caller)
            .bind(&request_id)
            .bind(method)
            .bind(&hash)
            .bind(now)
            .bind(now.saturating_sub(KEPT_MICROS))
            .execute(c)
            .await
            .affected())?;
        if taken == 1 {
            return Ok(Claim::Fresh(Once { caller, request_id }));
        }
        let (known_method, known_hash, response): (String, Vec<u8>, Option<Vec<u8>>) =
            on_tx!(tx, |c| sqlx::query_as(FIND)
                .bind(&caller)
                .bind(&request_id)
                .fetch_one(c)
                .await)?;
        is_same(&known_method, method, &known_hash, &hash)?;
        let response =
            response.ok_or_else(|| Fault::internal("an idempotency row lost its answer"))?;
        read(&response).map(Claim::Replay)
    }

    /// The answer to this request, if it was given before: for work that costs much before its
    /// transaction begins (a password's hash). None promises nothing: the claim decides.
    ///
    /// # Errors
    /// As [`Idempotency::claim`].
    pub async fn recall<'a, M: Message + Default>(
        &self,
        db: &Database,
        by: impl Into<ClaimBy<'a>>,
        method: &str,
        request_id: &str,
        body: &impl Message,
    ) -> Result<Option<M>, Fault> {
        if request_id.is_empty() {
            return Ok(None);
        }
        let mut fields = Fields::new();
        let request_id = fields.parse("request_id", parse_request_id(request_id));
        let (request_id,) = fields.all((request_id,))?;
        let hash = self.hash(method, body);
        let caller = key_of(by.into(), &hash);
        let oldest = self.clock.now_micros().saturating_sub(KEPT_MICROS);
        let known: Option<(String, Vec<u8>, Vec<u8>)> = on!(db, |c| sqlx::query_as(RECALL)
            .bind(&caller)
            .bind(&request_id)
            .bind(oldest)
            .fetch_optional(c)
            .await)?;
        let Some((known_method, known_hash, response)) = known else {
            return Ok(None);
        };
        is_same(&known_method, method, &known_hash, &hash)?;
        read(&response).map(Some)
    }

    /// Deletes the answers that are past their time, some at a time; gives how many. Run it now
    /// and then.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE` when the database is gone.
    pub async fn purge(&self, db: &Database) -> Result<u64, Fault> {
        let before = self.clock.now_micros().saturating_sub(KEPT_MICROS);
        let mut purged = 0;
        loop {
            let batch = on_write!(db, |c| sqlx::query(PURGE)
                .bind(before)
                .bind(PURGE_BATCH)
                .execute(c)
                .await
                .affected())?;
            purged += batch;
            if batch < PURGE_BATCH.unsigned_abs() {
                return Ok(purged);
            }
        }
    }

    fn hash(&self, method: &str, body: &impl Message) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&(method.len() as u64).to_be_bytes());
        context.update(method.as_bytes());
        context.update(&body.encode_to_vec());
        context.sign().as_ref().to_vec()
    }
}

/// Under which name a caller's requests are remembered.
fn key_of(by: ClaimBy<'_>, hash: &[u8]) -> String {
    match by {
        ClaimBy::Caller(key) => format!("caller:{key}"),
        ClaimBy::Anyone => format!("anyone:{}", hex(hash)),
    }
}

/// Refuses an id that stands for another request.
fn is_same(known_method: &str, method: &str, known_hash: &[u8], hash: &[u8]) -> Result<(), Fault> {
    let same_body: bool = subtle::ConstantTimeEq::ct_eq(known_hash, hash).into();
    if known_method == method && same_body {
        return Ok(());
    }
    Err(Fault::new(
        Reason::RequestIdReused,
        "this request_id was used for another request",
    ))
}

fn read<M: Message + Default>(response: &[u8]) -> Result<M, Fault> {
    M::decode(response)
        .map_err(|error| Fault::internal("a stored answer is unreadable").with_source(error))
}

impl std::fmt::Debug for Idempotency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Idempotency")
    }
}

/// What a claim found.
#[derive(Debug)]
#[must_use = "a claim says whether the work is still to be done"]
pub enum Claim<M> {
    /// The first of its kind: do the work, then [`Once::record`] its answer.
    Fresh(Once),
    /// Done before: this was the answer.
    Replay(M),
    /// The caller sent no id: do the work.
    Off,
}

impl<M: Message> Claim<M> {
    /// The earlier answer, if there was one.
    pub fn replay(&mut self) -> Option<M>
    where
        M: Default,
    {
        match self {
            Self::Replay(answer) => Some(std::mem::take(answer)),
            Self::Fresh(_) | Self::Off => None,
        }
    }

    /// Records the answer, in the transaction of the work. Nothing to do without an id. A
    /// create that shows a secret once records its answer without the secret.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE` when the database is gone.
    pub async fn record(self, tx: &mut Tx, response: &M) -> Result<(), Fault> {
        match self {
            Self::Fresh(once) => once.record(tx, response).await,
            Self::Replay(_) | Self::Off => Ok(()),
        }
    }
}

/// The right, and the duty, to record the answer.
#[derive(Debug)]
#[must_use = "record the answer before the commit"]
pub struct Once {
    caller: String,
    request_id: String,
}

impl Once {
    /// The key of the row that waits for the answer: `caller` and `request_id`. For a service that
    /// keeps more beside the answer, and writes both with one statement of its own.
    pub fn key(&self) -> (&str, &str) {
        (&self.caller, &self.request_id)
    }

    /// Records the answer, in the transaction of the work.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE` when the database is gone.
    pub async fn record(self, tx: &mut Tx, response: &impl Message) -> Result<(), Fault> {
        let response = response.encode_to_vec();
        on_tx!(tx, |c| sqlx::query(RECORD)
            .bind(&self.caller)
            .bind(&self.request_id)
            .bind(&response)
            .execute(c)
            .await
            .affected())?;
        Ok(())
    }
}

/// A `request_id` in its one spelling (lower case, hyphens).
///
/// # Errors
/// `FIELD_INVALID` when it is not a UUID with hyphens, or the nil one.
pub fn parse_request_id(text: &str) -> Result<String, FieldFault> {
    match Uuid::try_parse(text) {
        Ok(id) if text.len() == 36 && !id.is_nil() => Ok(id.hyphenated().to_string()),
        _ => Err(FieldFault::from("must be a UUID, e.g. of version 4")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = "9F0E4C1A-2B3C-4D5E-8F90-A1B2C3D4E5F6";
        assert_eq!(parse_request_id(id).expect("a UUID"), id.to_lowercase());
        for bad in [
            "x",
            "9f0e4c1a2b3c4d5e8f90a1b2c3d4e5f6",
            "{9f0e4c1a-2b3c-4d5e-8f90-a1b2c3d4e5f6}",
            "00000000-0000-0000-0000-000000000000",
            " 9f0e4c1a-2b3c-4d5e-8f90-a1b2c3d4e5f6",
        ] {
            assert!(parse_request_id(bad).is_err(), "{bad}");
        }
    }
}
