//! The rows of registrations: what was begun in two services, and how far it came.

use millgate_platform::database::{Tx, violated};
use millgate_platform::{Database, Fault, on, on_tx, on_write};
use sqlx::AssertSqlSafe;

use super::{FOR_CHANGE, bad_row, on_postgres};
use crate::domain::contact::{Email, Phone};
use crate::domain::customer::CustomerFields;
use crate::domain::name::Name;
use crate::domain::registration::RegistrationState;

macro_rules! columns {
    () => {
        "id, state, first_name, last_name, email, phone, shipping_address, response, attempts, held_until"
    };
}

const INSERT: &str = "INSERT INTO customer_registrations \
     (id, state, request_id, body_hash, first_name, last_name, email, phone, shipping_address, attempts, held_until, \
     check_time, create_time, update_time) \
     VALUES ($1, 'PENDING', $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, $11, $11)";
const LOCK: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM customer_registrations WHERE id = $1"
);
const FIND: &str = "SELECT id FROM customer_registrations WHERE request_id = $1 AND body_hash = $2";
/// The unsettled registration that holds an address, if it is of the very same request.
const FIND_LEFT: &str = "SELECT r.id FROM customer_registrations r JOIN customer_emails e ON e.registration_id = r.id \
     WHERE e.email_canonical = $1 AND r.body_hash = $2 AND r.state = 'PENDING'";
const HOLD: &str = "UPDATE customer_registrations SET held_until = $2, check_time = $3, update_time = $4, attempts = attempts + 1 \
     WHERE id = $1 AND state = 'PENDING' AND held_until <= $5";
const LET_GO: &str =
    "UPDATE customer_registrations SET held_until = $2 WHERE id = $1 AND state = 'PENDING'";
const DONE: &str = "UPDATE customer_registrations SET state = 'DONE', customer_id = $2, response = $3, \
     first_name = '', last_name = '', email = '', phone = '', shipping_address = '', check_time = NULL, \
     update_time = $4 WHERE id = $1";
const UNDONE: &str = "UPDATE customer_registrations SET state = 'UNDONE', request_id = NULL, \
     first_name = '', last_name = '', email = '', phone = '', shipping_address = '', attempts = 0, check_time = $2, \
     update_time = $3 WHERE id = $1";
const DUE: &str =
    "SELECT id FROM customer_registrations WHERE check_time <= $1 ORDER BY check_time LIMIT $2";
/// A late look at what was undone counts when it was answered (`LOOK_AGAIN`), not when it was tried: there are only a
/// few of them, and auth may be silent for long.
const TAKE: &str = "UPDATE customer_registrations SET check_time = $3, \
     attempts = attempts + CASE WHEN state = 'PENDING' THEN 1 ELSE 0 END WHERE id = $1 AND check_time <= $2";
const LOOK_AGAIN: &str =
    "UPDATE customer_registrations SET check_time = $2, attempts = attempts + 1 WHERE id = $1";
const REMOVE: &str = "DELETE FROM customer_registrations WHERE id = $1";
const FORGET: &str = "DELETE FROM customer_registrations WHERE customer_id = $1";
const PURGE: &str = "DELETE FROM customer_registrations WHERE id IN (SELECT id FROM customer_registrations \
     WHERE state <> 'PENDING' AND check_time IS NULL AND update_time <= $1 LIMIT $2)";
/// Rows of one deletion: no statement holds SQLite's only writer for long.
const PURGE_BATCH: i64 = 1000;

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    state: String,
    first_name: String,
    last_name: String,
    email: String,
    phone: String,
    shipping_address: String,
    response: Option<Vec<u8>>,
    attempts: i64,
    held_until: i64,
}

/// A registration.
#[derive(Debug)]
pub(crate) struct Registration {
    /// How far it came.
    pub state: RegistrationState,
    /// The profile to make; empty once it is settled.
    pub fields: CustomerFields,
    /// The answer that was given, encoded.
    pub response: Option<Vec<u8>>,
    /// How often a later call or the reconciler has taken it up in this state.
    pub attempts: i64,
    /// Until when a call drives it, microseconds since the epoch.
    pub held_until: i64,
}

impl TryFrom<Row> for Registration {
    type Error = Fault;

    fn try_from(row: Row) -> Result<Self, Fault> {
        let state = RegistrationState::parse(&row.state)
            .ok_or_else(|| bad_row("registration", &row.id, "its state"))?;
        Ok(Self {
            state,
            fields: CustomerFields {
                name: Name::stored(row.first_name, row.last_name),
                email: Email::stored(row.email),
                phone: Phone::stored(row.phone),
                shipping_address: row.shipping_address,
                notes: String::new(),
            },
            response: row.response,
            attempts: row.attempts,
            held_until: row.held_until,
        })
    }
}

/// What a new registration is made of.
#[derive(Debug)]
pub(crate) struct NewRegistration<'a> {
    /// Its id, a UUID.
    pub id: &'a str,
    /// The caller's, in its one spelling.
    pub request_id: Option<&'a str>,
    /// The keyed hash of the request.
    pub body_hash: &'a [u8],
    /// The profile to make.
    pub fields: &'a CustomerFields,
}

/// Until when a call drives a registration, and when the reconciler looks at it otherwise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Now.
    pub now: i64,
    /// Until then no other call takes it over.
    pub held_until: i64,
    /// Then the reconciler looks.
    pub check_time: i64,
}

/// Inserts a registration that is not settled; `false` when there is one with the same request id and body.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn insert(
    tx: &mut Tx,
    new: &NewRegistration<'_>,
    times: Times,
) -> Result<bool, Fault> {
    let fields = new.fields;
    let inserted = on_tx!(tx, |c| sqlx::query(INSERT)
        .bind(new.id)
        .bind(new.request_id)
        .bind(new.body_hash)
        .bind(fields.name.first())
        .bind(fields.name.last())
        .bind(fields.email.as_str())
        .bind(fields.phone.as_str())
        .bind(&fields.shipping_address)
        .bind(times.held_until)
        .bind(times.check_time)
        .bind(times.now)
        .execute(c)
        .await
        .map(drop));
    match inserted {
        Ok(()) => Ok(true),
        Err(error)
            if violated(&error).is_some_and(|broken| {
                broken.is_unique("customer_registrations.request_id_body_hash")
            }) =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// One registration, which nobody else settles until the transaction ends.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn lock(tx: &mut Tx, id: &str) -> Result<Option<Registration>, Fault> {
    let sql = format!("{LOCK}{}", on_postgres(tx, FOR_CHANGE));
    let row: Option<Row> = on_tx!(tx, |c| sqlx::query_as(AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(c)
        .await)?;
    row.map(Registration::try_from).transpose()
}

/// The registration of this request id and body.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn find(
    db: &Database,
    request_id: &str,
    body_hash: &[u8],
) -> Result<Option<String>, Fault> {
    Ok(on!(db, |c| sqlx::query_scalar(FIND)
        .bind(request_id)
        .bind(body_hash)
        .fetch_optional(c)
        .await)?)
}

/// The unsettled registration that holds this address, if it is of the very same request.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn find_left(
    db: &Database,
    email: &Email,
    body_hash: &[u8],
) -> Result<Option<String>, Fault> {
    Ok(on!(db, |c| sqlx::query_scalar(FIND_LEFT)
        .bind(email.canonical())
        .bind(body_hash)
        .fetch_optional(c)
        .await)?)
}

/// Takes an unsettled registration over, unless a call holds it past `free_since`; whether it did.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn hold(
    db: &Database,
    id: &str,
    times: Times,
    free_since: i64,
) -> Result<bool, Fault> {
    Ok(on_write!(db, |c| sqlx::query(HOLD)
        .bind(id)
        .bind(times.held_until)
        .bind(times.check_time)
        .bind(times.now)
        .bind(free_since)
        .execute(c)
        .await
        .map(|done| done.rows_affected() == 1))?)
}

/// Lets another call take an unsettled registration over from now on.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn let_go(db: &Database, id: &str, now: i64) -> Result<(), Fault> {
    on_write!(db, |c| sqlx::query(LET_GO)
        .bind(id)
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// Settles a locked registration: the profile is made. Its own copy of the personal data goes.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn done(
    tx: &mut Tx,
    id: &str,
    customer_id: i64,
    response: &[u8],
    now: i64,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(DONE)
        .bind(id)
        .bind(customer_id)
        .bind(response)
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// Settles a locked registration: there is no user, and no profile. At `check_time` the reconciler makes sure.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn undone(
    tx: &mut Tx,
    id: &str,
    check_time: Option<i64>,
    now: i64,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(UNDONE)
        .bind(id)
        .bind(check_time)
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// The registrations that are to be looked at, the oldest first.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn due(db: &Database, now: i64, most: i64) -> Result<Vec<String>, Fault> {
    Ok(on!(db, |c| sqlx::query_scalar(DUE)
        .bind(now)
        .bind(most)
        .fetch_all(c)
        .await)?)
}

/// Takes one that is due and puts its next look off; `false` when another replica did.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn take(db: &Database, id: &str, now: i64, next: i64) -> Result<bool, Fault> {
    Ok(on_write!(db, |c| sqlx::query(TAKE)
        .bind(id)
        .bind(now)
        .bind(next)
        .execute(c)
        .await
        .map(|done| done.rows_affected() == 1))?)
}

/// Notes that a look was answered, and when the reconciler looks again; `None` for never.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn look_again(
    tx: &mut Tx,
    id: &str,
    check_time: Option<i64>,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(LOOK_AGAIN)
        .bind(id)
        .bind(check_time)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// Removes a locked registration of which nobody else has taken notice. Its address is released before.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn remove(tx: &mut Tx, id: &str) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(REMOVE)
        .bind(id)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// Removes what is kept of a customer's registration: for the erasure.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn forget(tx: &mut Tx, customer_id: i64) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(FORGET)
        .bind(customer_id)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// Removes what was settled before.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn purge(db: &Database, before: i64) -> Result<u64, Fault> {
    let mut purged = 0;
    loop {
        let batch = on_write!(db, |c| sqlx::query(PURGE)
            .bind(before)
            .bind(PURGE_BATCH)
            .execute(c)
            .await
            .map(|done| done.rows_affected()))?;
        purged += batch;
        if batch < PURGE_BATCH.unsigned_abs() {
            return Ok(purged);
        }
    }
}
