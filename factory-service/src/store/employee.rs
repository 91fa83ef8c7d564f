//! The rows of employees.

use millgate_platform::database::{Tx, violated};
use millgate_platform::page::Page;
use millgate_platform::{Database, Fault, Reason, on, on_tx};
use sqlx::AssertSqlSafe;

use super::listing::{Arg, Listing, fetch_listing};
use super::{FOR_CHANGE, FOR_END, FOR_REFERENCE, on_postgres};
use crate::domain::employee::{Employee, EmployeeFields};
use crate::domain::paging::OrderBy;
use crate::domain::text::Prefix;

macro_rules! columns {
    () => {
        "id, name, position, user_id, revision, create_time, update_time, delete_time"
    };
}

const INSERT: &str = concat!(
    "INSERT INTO employees (name, name_canonical, position, user_id, revision, create_time, update_time) \
     VALUES ($1, $2, $3, $4, 1, $5, $5) RETURNING ",
    columns!()
);
const GET: &str = concat!("SELECT ", columns!(), " FROM employees WHERE id = $1");
const SAVE: &str = "UPDATE employees SET name = $2, name_canonical = $3, position = $4, user_id = $5, revision = $6, \
     update_time = $7, delete_time = $8 WHERE id = $1";
const AT_WORK: &str = "SELECT (SELECT count(*) FROM production_runs WHERE employee_id = $1 AND state = 'RUNNING') + \
     (SELECT count(*) FROM service_tickets WHERE employee_id = $1 AND state IN ('ASSIGNED', 'IN_PROGRESS'))";

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    name: String,
    position: String,
    user_id: Option<i64>,
    revision: i64,
    create_time: i64,
    update_time: i64,
    delete_time: Option<i64>,
}

impl From<Row> for Employee {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            fields: EmployeeFields {
                name: row.name,
                position: row.position,
                user_id: row.user_id,
            },
            revision: row.revision,
            create_time: row.create_time,
            update_time: row.update_time,
            delete_time: row.delete_time,
        }
    }
}

/// Inserts an employee.
///
/// # Errors
/// USER_ID_TAKEN.
pub(crate) async fn insert(
    tx: &mut Tx,
    fields: &EmployeeFields,
    now: i64,
) -> Result<Employee, Fault> {
    let row: Row = on_tx!(tx, |c| sqlx::query_as(INSERT)
        .bind(&fields.name)
        .bind(fields.name_canonical())
        .bind(&fields.position)
        .bind(fields.user_id)
        .bind(now)
        .fetch_one(c)
        .await)
    .map_err(refused)?;
    Ok(row.into())
}

/// One employee, deleted or not.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn get(db: &Database, id: i64) -> Result<Option<Employee>, Fault> {
    let row: Option<Row> = on!(db, |c| sqlx::query_as(GET).bind(id).fetch_optional(c).await)?;
    Ok(row.map(Employee::from))
}

/// What a list of employees is restricted to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// The name begins with this.
    pub query: Option<Prefix>,
    /// Only the one with this login.
    pub user_id: Option<i64>,
    /// The deleted ones too.
    pub show_deleted: bool,
}

/// A page of employees, and one more where another page follows.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn list(
    db: &Database,
    filter: &Filter,
    by: OrderBy,
    page: &Page,
) -> Result<Vec<Employee>, Fault> {
    let mut listing = Listing::new(concat!("SELECT ", columns!(), " FROM employees"));
    if !filter.show_deleted {
        listing = listing.and("delete_time IS NULL", []);
    }
    if let Some(prefix) = &filter.query {
        listing = listing.and_prefix(&[("name_canonical", prefix)]);
    }
    let column = if by.column == "name" {
        "name_canonical"
    } else {
        "id"
    };
    let (sql, args) = listing
        .and_if("user_id = ?", filter.user_id.map(Arg::Int))
        .page(by, column, page);
    let rows: Vec<Row> = fetch_listing!(db, Row, sql, args)?;
    Ok(rows.into_iter().map(Employee::from).collect())
}

/// One employee, deleted or not, whom nobody else changes until the transaction ends.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn lock(tx: &mut Tx, id: i64) -> Result<Option<Employee>, Fault> {
    locked(tx, id, FOR_CHANGE).await
}

/// As [`lock`], and no run or ticket can name them until the transaction ends either.
///
/// # Errors
/// REFERENCED while a run of theirs is running, or they have a ticket to work on.
pub(crate) async fn lock_to_delete(tx: &mut Tx, id: i64) -> Result<Option<Employee>, Fault> {
    let employee = locked(tx, id, FOR_END).await?;
    let at_work: i64 = on_tx!(tx, |c| sqlx::query_scalar(AT_WORK)
        .bind(id)
        .fetch_one(c)
        .await)?;
    if at_work > 0 {
        let message = format!("employee {id} is at work on {at_work} production runs or tickets");
        return Err(Fault::new(Reason::Referenced, message).with_metadata("at_work", at_work));
    }
    Ok(employee)
}

async fn locked(tx: &mut Tx, id: i64, lock: &str) -> Result<Option<Employee>, Fault> {
    let sql = format!("{GET}{}", on_postgres(tx, lock));
    let row: Option<Row> = on_tx!(tx, |c| sqlx::query_as(AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(c)
        .await)?;
    Ok(row.map(Employee::from))
}

/// One employee, not deleted, who stays so until the transaction ends.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn refer_to(tx: &mut Tx, id: i64) -> Result<Option<Employee>, Fault> {
    let employee = locked(tx, id, FOR_REFERENCE).await?;
    Ok(employee.filter(|employee| employee.delete_time.is_none()))
}

/// Writes an employee who was locked in this transaction.
///
/// # Errors
/// USER_ID_TAKEN.
pub(crate) async fn save(tx: &mut Tx, employee: &Employee) -> Result<(), Fault> {
    let fields = &employee.fields;
    on_tx!(tx, |c| sqlx::query(SAVE)
        .bind(employee.id)
        .bind(&fields.name)
        .bind(fields.name_canonical())
        .bind(&fields.position)
        .bind(fields.user_id)
        .bind(employee.revision)
        .bind(employee.update_time)
        .bind(employee.delete_time)
        .execute(c)
        .await
        .map(drop))
    .map_err(refused)
}

fn refused(error: sqlx::Error) -> Fault {
    match violated(&error) {
        Some(broken) if broken.is_unique("employees.user_id") => {
            Fault::new(Reason::UserIdTaken, "another employee has this login")
        }
        _ => error.into(),
    }
}
