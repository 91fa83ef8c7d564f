//! The rows of customers.

use millgate_platform::database::Tx;
use millgate_platform::page::Page;
use millgate_platform::{Database, Fault, on, on_tx};
use sqlx::AssertSqlSafe;

use super::listing::{Arg, Listing, fetch_listing};
use super::{FOR_CHANGE, FOR_END, FOR_REFERENCE, on_postgres};
use crate::domain::access::{Owner, Sight};
use crate::domain::contact::{Email, Phone};
use crate::domain::customer::{Customer, CustomerFields, Open};
use crate::domain::name::Name;
use crate::domain::paging::OrderBy;
use crate::domain::text::Prefix;

macro_rules! columns {
    () => {
        "id, first_name, last_name, email, phone, shipping_address, notes, user_id, revision, create_time, \
         update_time, delete_time, erase_time"
    };
}

const INSERT: &str = concat!(
    "INSERT INTO customers (first_name, last_name, name_canonical, last_name_canonical, email, email_canonical, phone, \
     phone_canonical, shipping_address, notes, user_id, revision, create_time, update_time) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, $12) RETURNING ",
    columns!()
);
/// What is another's reads as not there: one statement, one cost. A deleted profile has no user any more.
const GET: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM customers WHERE id = $1 AND ($2 IS NULL OR user_id = $2)"
);
const BY_USER: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM customers WHERE user_id = $1 AND delete_time IS NULL"
);
const ID_OF: &str =
    "SELECT id FROM customers WHERE (id = $1 OR user_id = $2) AND delete_time IS NULL";
const SAVE: &str = "UPDATE customers SET first_name = $2, last_name = $3, name_canonical = $4, email = $5, \
     email_canonical = $6, phone = $7, phone_canonical = $8, shipping_address = $9, notes = $10, user_id = $11, \
     revision = $12, update_time = $13, delete_time = $14, erase_time = $15, last_name_canonical = $16 WHERE id = $1";
const OPEN: &str = "SELECT \
     (SELECT count(*) FROM orders WHERE customer_id = $1 AND state NOT IN ('COMPLETED', 'CANCELLED')), \
     (SELECT count(*) FROM service_tickets WHERE customer_id = $1 AND state NOT IN ('CLOSED', 'CANCELLED'))";

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    first_name: String,
    last_name: String,
    email: String,
    phone: String,
    shipping_address: String,
    notes: String,
    user_id: Option<i64>,
    revision: i64,
    create_time: i64,
    update_time: i64,
    delete_time: Option<i64>,
    erase_time: Option<i64>,
}

impl From<Row> for Customer {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            fields: CustomerFields {
                name: Name::stored(row.first_name, row.last_name),
                email: Email::stored(row.email),
                phone: Phone::stored(row.phone),
                shipping_address: row.shipping_address,
                notes: row.notes,
            },
            user_id: row.user_id,
            revision: row.revision,
            create_time: row.create_time,
            update_time: row.update_time,
            delete_time: row.delete_time,
            erase_time: row.erase_time,
        }
    }
}

/// What a transaction is going to do with the profile that it locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Change it.
    Change,
    /// End it: nobody may place an order for it meanwhile.
    End,
}

/// Inserts a profile. Its email is taken apart from it ([`super::email::take`]).
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn insert(
    tx: &mut Tx,
    fields: &CustomerFields,
    user_id: Option<i64>,
    now: i64,
) -> Result<Customer, Fault> {
    let row: Row = on_tx!(tx, |c| sqlx::query_as(INSERT)
        .bind(fields.name.first())
        .bind(fields.name.last())
        .bind(fields.name.canonical())
        .bind(fields.name.last_canonical())
        .bind(fields.email.as_str())
        .bind(fields.email.canonical())
        .bind(fields.phone.as_str())
        .bind(fields.phone.canonical())
        .bind(&fields.shipping_address)
        .bind(&fields.notes)
        .bind(user_id)
        .bind(now)
        .fetch_one(c)
        .await)?;
    Ok(row.into())
}

/// One profile, if the caller may see it.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn get(db: &Database, id: i64, sight: Sight) -> Result<Option<Customer>, Fault> {
    let row: Option<Row> = on!(db, |c| sqlx::query_as(GET)
        .bind(id)
        .bind(sight.owner())
        .fetch_optional(c)
        .await)?;
    Ok(row.map(Customer::from))
}

/// The profile of a login.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn by_user(db: &Database, user_id: i64) -> Result<Option<Customer>, Fault> {
    let row: Option<Row> = on!(db, |c| sqlx::query_as(BY_USER)
        .bind(user_id)
        .fetch_optional(c)
        .await)?;
    Ok(row.map(Customer::from))
}

/// The id of a profile that is not deleted.
///
/// # Errors
/// CUSTOMER_NOT_FOUND.
pub(crate) async fn id_of(db: &Database, owner: Owner) -> Result<i64, Fault> {
    let (customer_id, user_id) = owner.keys();
    let id: Option<i64> = on!(db, |c| sqlx::query_scalar(ID_OF)
        .bind(customer_id)
        .bind(user_id)
        .fetch_optional(c)
        .await)?;
    id.ok_or_else(|| owner.not_found())
}

/// As [`id_of`], and it cannot be deleted until the transaction ends.
///
/// # Errors
/// CUSTOMER_NOT_FOUND.
pub(crate) async fn refer_to(tx: &mut Tx, owner: Owner) -> Result<i64, Fault> {
    let (customer_id, user_id) = owner.keys();
    let sql = format!("{ID_OF}{}", on_postgres(tx, FOR_REFERENCE));
    let id: Option<i64> = on_tx!(tx, |c| sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(customer_id)
        .bind(user_id)
        .fetch_optional(c)
        .await)?;
    id.ok_or_else(|| owner.not_found())
}

/// What a list of profiles is restricted to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// The name, the last name, the email or the telephone number begins with this.
    pub query: Option<Prefix>,
    /// The deleted ones too.
    pub show_deleted: bool,
}

/// A page of profiles, and one more where another page follows.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn list(
    db: &Database,
    filter: &Filter,
    by: OrderBy,
    page: &Page,
) -> Result<Vec<Customer>, Fault> {
    let (sql, args) = listing(filter, by, page);
    let rows: Vec<Row> = fetch_listing!(db, Row, sql, args)?;
    Ok(rows.into_iter().map(Customer::from).collect())
}

/// The statement of a list.
pub(super) fn listing(filter: &Filter, by: OrderBy, page: &Page) -> (String, Vec<Arg>) {
    let mut listing = Listing::new(concat!("SELECT ", columns!(), " FROM customers"));
    if !filter.show_deleted {
        listing = listing.and("delete_time IS NULL", []);
    }
    if let Some(prefix) = &filter.query {
        let digits = Prefix::of(Phone::digits(&prefix.from));
        let mut columns = vec![
            ("name_canonical", prefix),
            ("last_name_canonical", prefix),
            ("email_canonical", prefix),
        ];
        // Only what looks like a number is searched for among the numbers.
        if Phone::parse(&prefix.from).is_ok() || prefix.from == digits.from {
            columns.push(("phone_canonical", &digits));
        }
        listing = listing.and_prefix(&columns);
    }
    let column = if by.column == "name" {
        "name_canonical"
    } else {
        "id"
    };
    listing.page(by, column, page)
}

/// One profile that the caller may see, deleted or not, which nobody else changes until the transaction ends.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn lock(
    tx: &mut Tx,
    id: i64,
    sight: Sight,
    intent: Intent,
) -> Result<Option<Customer>, Fault> {
    let clause = match intent {
        Intent::Change => FOR_CHANGE,
        Intent::End => FOR_END,
    };
    let sql = format!("{GET}{}", on_postgres(tx, clause));
    let row: Option<Row> = on_tx!(tx, |c| sqlx::query_as(AssertSqlSafe(sql))
        .bind(id)
        .bind(sight.owner())
        .fetch_optional(c)
        .await)?;
    Ok(row.map(Customer::from))
}

/// How many orders and tickets the customer still waits for. Exact while the profile is locked with [`Intent::End`].
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn open(tx: &mut Tx, id: i64) -> Result<Open, Fault> {
    let (orders, tickets) = on_tx!(tx, |c| sqlx::query_as(OPEN).bind(id).fetch_one(c).await)?;
    Ok(Open { orders, tickets })
}

/// Writes a profile that was locked in this transaction.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn save(tx: &mut Tx, customer: &Customer) -> Result<(), Fault> {
    let fields = &customer.fields;
    on_tx!(tx, |c| sqlx::query(SAVE)
        .bind(customer.id)
        .bind(fields.name.first())
        .bind(fields.name.last())
        .bind(fields.name.canonical())
        .bind(fields.email.as_str())
        .bind(fields.email.canonical())
        .bind(fields.phone.as_str())
        .bind(fields.phone.canonical())
        .bind(&fields.shipping_address)
        .bind(&fields.notes)
        .bind(customer.user_id)
        .bind(customer.revision)
        .bind(customer.update_time)
        .bind(customer.delete_time)
        .bind(customer.erase_time)
        .bind(fields.name.last_canonical())
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}
