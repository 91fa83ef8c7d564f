//! The rows of production runs.

use millgate_platform::database::Tx;
use millgate_platform::page::Page;
use millgate_platform::{Database, Fault, on, on_tx};
use sqlx::AssertSqlSafe;

use super::listing::{Arg, Listing, fetch_listing};
use super::{FOR_CHANGE, bad_row, on_postgres};
use crate::domain::paging::OrderBy;
use crate::domain::production::{Outcome, Plan, Run, RunState};

macro_rules! columns {
    () => {
        "id, product_id, employee_id, planned_quantity, produced_quantity, scrap_quantity, state, start_time, \
         finish_time, revision, create_time, update_time"
    };
}

const INSERT: &str = concat!(
    "INSERT INTO production_runs (product_id, employee_id, planned_quantity, produced_quantity, scrap_quantity, state, \
     start_time, revision, create_time, update_time) VALUES ($1, $2, $3, 0, 0, 'RUNNING', $4, 1, $5, $5) RETURNING ",
    columns!()
);
const GET: &str = concat!("SELECT ", columns!(), " FROM production_runs WHERE id = $1");
const MOVE: &str = "UPDATE production_runs SET state = $2, produced_quantity = $3, scrap_quantity = $4, \
     finish_time = $5, revision = $6, update_time = $7 WHERE id = $1";

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    product_id: i64,
    employee_id: Option<i64>,
    planned_quantity: i64,
    produced_quantity: i64,
    scrap_quantity: i64,
    state: String,
    start_time: i64,
    finish_time: Option<i64>,
    revision: i64,
    create_time: i64,
    update_time: i64,
}

impl TryFrom<Row> for Run {
    type Error = Fault;

    fn try_from(row: Row) -> Result<Self, Fault> {
        let state = RunState::parse(&row.state)
            .ok_or_else(|| bad_row("production run", row.id, "its state"))?;
        Ok(Self {
            id: row.id,
            product_id: row.product_id,
            employee_id: row.employee_id,
            planned: row.planned_quantity,
            outcome: Outcome {
                produced: row.produced_quantity,
                scrap: row.scrap_quantity,
            },
            state,
            start_time: row.start_time,
            finish_time: row.finish_time,
            revision: row.revision,
            create_time: row.create_time,
            update_time: row.update_time,
        })
    }
}

/// Inserts a run that is running.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn insert(
    tx: &mut Tx,
    plan: &Plan,
    start_time: i64,
    now: i64,
) -> Result<Run, Fault> {
    let row: Row = on_tx!(tx, |c| sqlx::query_as(INSERT)
        .bind(plan.product_id)
        .bind(plan.employee_id)
        .bind(plan.planned)
        .bind(start_time)
        .bind(now)
        .fetch_one(c)
        .await)?;
    row.try_into()
}

/// One run.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn get(db: &Database, id: i64) -> Result<Option<Run>, Fault> {
    let row: Option<Row> = on!(db, |c| sqlx::query_as(GET).bind(id).fetch_optional(c).await)?;
    row.map(Run::try_from).transpose()
}

/// What a list of runs is restricted to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Only in this state.
    pub state: Option<RunState>,
    /// Only of this product.
    pub product_id: Option<i64>,
    /// Only by this employee.
    pub employee_id: Option<i64>,
    /// Only those started at this moment or later.
    pub started_after: Option<i64>,
    /// Only those started before this moment.
    pub started_before: Option<i64>,
}

/// A page of runs, the newest first, and one more where another page follows.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn list(db: &Database, filter: &Filter, page: &Page) -> Result<Vec<Run>, Fault> {
    let newest_first = OrderBy {
        column: "id",
        descending: true,
    };
    let state = filter
        .state
        .map(|state| Arg::Text(state.as_str().to_owned()));
    let (sql, args) = Listing::new(concat!("SELECT ", columns!(), " FROM production_runs"))
        .and_if("state = ?", state)
        .and_if("product_id = ?", filter.product_id.map(Arg::Int))
        .and_if("employee_id = ?", filter.employee_id.map(Arg::Int))
        .and_if("start_time >= ?", filter.started_after.map(Arg::Int))
        .and_if("start_time < ?", filter.started_before.map(Arg::Int))
        .page(newest_first, "id", page);
    let rows: Vec<Row> = fetch_listing!(db, Row, sql, args)?;
    rows.into_iter().map(Run::try_from).collect()
}

/// One run, which nobody else moves until the transaction ends.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn lock(tx: &mut Tx, id: i64) -> Result<Option<Run>, Fault> {
    let sql = format!("{GET}{}", on_postgres(tx, FOR_CHANGE));
    let row: Option<Row> = on_tx!(tx, |c| sqlx::query_as(AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(c)
        .await)?;
    row.map(Run::try_from).transpose()
}

/// Writes where a run, locked in this transaction, stands now.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn save_move(tx: &mut Tx, run: &Run) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(MOVE)
        .bind(run.id)
        .bind(run.state.as_str())
        .bind(run.outcome.produced)
        .bind(run.outcome.scrap)
        .bind(run.finish_time)
        .bind(run.revision)
        .bind(run.update_time)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}
