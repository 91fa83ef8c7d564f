//! Moves what a demo made back in time, in the database itself: the API stamps everything with its own clock, and no
//! caller may say another time. What belongs to the demo is known by its marks, and nothing else is touched. The log of
//! changes keeps the times at which things were really done, and a row for each customer whose orders were moved.

use std::collections::HashSet;

use millgate_contract::factory::v1 as pb;
use millgate_platform::database::Tx;
use millgate_platform::{
    Affected as _, Database, DatabaseOptions, Fault, SharedClock, StartError, on, on_tx,
};
use secrecy::SecretString;
use sqlx::AssertSqlSafe;

use crate::domain::access::Actor;
use crate::domain::change::{Author, Kind, Subject};
use crate::store;
use crate::store::change::{self, Shown};
use crate::store::listing::rows;

/// Who did it, in the log of changes: whoever can use the database.
const ACTOR: &str = "local";
const VERB: &str = "backdate";
/// Orders of one transaction: it holds no lock for long, and no statement has more values than SQLite takes (32,766).
const BATCH: i64 = 500;
/// From one step of a ticket, or of a run, to the next, in microseconds.
const A_DAY: i64 = 24 * 60 * 60 * 1_000_000;

const ORDERS: &str = "SELECT o.id, o.customer_id, o.notes FROM orders o JOIN customers c ON c.id = o.customer_id \
     WHERE o.id > $1 AND c.email_canonical LIKE $2 ORDER BY o.id LIMIT $3";

const MADE: &str = "SELECT create_time FROM products WHERE sku = $1";

/// `moved` is (order_id, state, time): a row for each state that an order was in.
const STATES: &str = "UPDATE order_states SET create_time = moved.time FROM moved \
     WHERE order_states.order_id = moved.order_id AND order_states.state = moved.state";
const MOVEMENTS: &str = "UPDATE stock_movements SET create_time = moved.time FROM moved \
     WHERE stock_movements.order_id = moved.order_id AND moved.state = CASE stock_movements.kind \
     WHEN 'RESERVED' THEN 'PLACED' WHEN 'RELEASED' THEN 'CANCELLED' ELSE stock_movements.kind END";
const PLACED: &str = "UPDATE orders SET create_time = moved.time FROM moved \
     WHERE orders.id = moved.order_id AND moved.state = 'PLACED'";
const LAST: &str = "UPDATE orders SET update_time = moved.time FROM moved \
     WHERE orders.id = moved.order_id AND orders.state = moved.state";
/// `moved` is (order_id, opened, latest); $1 is what the demo's tickets end with.
const TICKETS: &str = "UPDATE service_tickets SET create_time = moved.opened, \
     start_time = CASE WHEN start_time IS NULL THEN NULL ELSE moved.started END, \
     finish_time = CASE WHEN finish_time IS NULL THEN NULL ELSE moved.finished END, \
     update_time = CASE WHEN finish_time IS NOT NULL THEN moved.finished WHEN start_time IS NOT NULL THEN moved.started \
     ELSE moved.opened END \
     FROM moved WHERE service_tickets.order_id = moved.order_id AND service_tickets.description LIKE $1";
const PARTS: &str = "UPDATE ticket_parts SET create_time = t.start_time FROM moved, service_tickets t \
     WHERE t.order_id = moved.order_id AND t.description LIKE $1 AND ticket_parts.ticket_id = t.id \
     AND t.start_time IS NOT NULL";
const PART_MOVEMENTS: &str = "UPDATE stock_movements SET create_time = p.create_time \
     FROM moved, service_tickets t, ticket_parts p \
     WHERE t.order_id = moved.order_id AND t.description LIKE $1 AND p.ticket_id = t.id \
     AND stock_movements.part_id = p.id";

/// `moved` is (sku, started, finished). A run began when the demo said; it was written down then, and took a day. Of a
/// product of the demo, only the runs that began at a moment of the demo are the demo's.
const RUNS: &str = "UPDATE production_runs SET create_time = start_time, \
     finish_time = CASE WHEN finish_time IS NULL THEN NULL ELSE moved.finished END, \
     update_time = CASE WHEN finish_time IS NULL THEN start_time ELSE moved.finished END \
     FROM moved, products p WHERE p.sku = moved.sku AND production_runs.product_id = p.id \
     AND production_runs.start_time = moved.started";
const RUN_MOVEMENTS: &str = "UPDATE stock_movements SET create_time = r.finish_time \
     FROM moved, products p, production_runs r WHERE p.sku = moved.sku AND r.product_id = p.id \
     AND r.start_time = moved.started AND stock_movements.run_id = r.id AND r.finish_time IS NOT NULL";

/// How what belongs to a demo is known.
#[derive(Debug, Clone)]
pub struct DemoMarks {
    /// Behind the `@` of its customers' email addresses.
    pub domain: String,
    /// What its SKUs, and the numbers in its texts, begin with.
    pub prefix: String,
}

/// An order of the demo.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DemoOrder {
    /// Its id.
    pub id: i64,
    /// Whose it is.
    pub customer_id: i64,
    /// What it says of itself.
    pub notes: String,
}

/// An order with its moments. Times are microseconds since the epoch.
#[derive(Debug, Clone)]
pub struct Backdated {
    /// The order, as [`DemoHistory::orders`] gave it.
    pub order: DemoOrder,
    /// When it came to which state.
    pub moments: Vec<(pb::OrderState, i64)>,
    /// When its ticket was opened, where it has one.
    pub ticket: Option<i64>,
}

/// What a demo made, in its database.
pub struct DemoHistory {
    db: Database,
    clock: SharedClock,
    marks: DemoMarks,
    /// The latest that anything is moved to.
    latest: i64,
    /// The customers of whom the log of changes has a row.
    told: HashSet<i64>,
}

impl DemoHistory {
    /// Opens the factory's database.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open(
        url: &SecretString,
        clock: SharedClock,
        marks: DemoMarks,
    ) -> Result<Self, StartError> {
        let db = store::open_existing(url, &DatabaseOptions::default()).await?;
        Ok(Self {
            db,
            latest: clock.now_micros(),
            clock,
            marks,
            told: HashSet::new(),
        })
    }

    /// When the demo was made, microseconds since the epoch: its first product was. `None` where there is no such demo.
    ///
    /// # Errors
    /// STORE_UNAVAILABLE.
    pub async fn made(&self) -> Result<Option<i64>, Fault> {
        Ok(on!(&self.db, |c| sqlx::query_scalar(MADE)
            .bind(format!("{}-0", self.marks.prefix))
            .fetch_optional(c)
            .await)?)
    }

    /// The next orders of the demo behind this id.
    ///
    /// # Errors
    /// STORE_UNAVAILABLE.
    pub async fn orders(&self, after: i64) -> Result<Vec<DemoOrder>, Fault> {
        Ok(on!(&self.db, |c| sqlx::query_as(ORDERS)
            .bind(after)
            .bind(format!("%@{}", self.marks.domain))
            .bind(BATCH)
            .fetch_all(c)
            .await)?)
    }

    /// Moves orders, their history, their ledger and their tickets, all or none.
    ///
    /// # Errors
    /// STORE_UNAVAILABLE.
    pub async fn backdate(&mut self, orders: &[Backdated]) -> Result<(), Fault> {
        if orders.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        for statement in [STATES, MOVEMENTS, PLACED, LAST] {
            move_states(&mut tx, statement, orders).await?;
        }
        let tickets: Vec<(i64, i64)> = orders
            .iter()
            .filter_map(|moved| moved.ticket.map(|opened| (moved.order.id, opened)))
            .collect();
        if !tickets.is_empty() {
            for statement in [TICKETS, PARTS, PART_MOVEMENTS] {
                self.move_tickets(&mut tx, statement, &tickets).await?;
            }
        }
        let customers: HashSet<i64> = orders.iter().map(|moved| moved.order.customer_id).collect();
        let new: Vec<i64> = customers.difference(&self.told).copied().collect();
        for customer in &new {
            self.tell(&mut tx, *customer).await?;
        }
        tx.commit().await?;
        self.told.extend(new);
        Ok(())
    }

    /// Moves runs to the times at which they were started, and what they produced with them, all or none: each is the
    /// number of its product in the demo, and when it was started, in microseconds since the epoch. How many there are.
    ///
    /// # Errors
    /// STORE_UNAVAILABLE.
    pub async fn backdate_runs(&self, runs: &[(u32, i64)]) -> Result<u64, Fault> {
        if runs.is_empty() {
            return Ok(0);
        }
        let mut tx = self.db.begin().await?;
        let moved = self.move_runs(&mut tx, RUNS, runs).await?;
        self.move_runs(&mut tx, RUN_MOVEMENTS, runs).await?;
        tx.commit().await?;
        Ok(moved)
    }

    /// Closes the database.
    pub async fn close(self) {
        self.db.close().await;
    }

    async fn move_runs(
        &self,
        tx: &mut Tx,
        statement: &str,
        runs: &[(u32, i64)],
    ) -> Result<u64, Fault> {
        let sql = format!(
            "WITH moved (sku, started, finished) AS (VALUES {}) {statement}",
            rows(1, runs.len(), 3)
        );
        Ok(on_tx!(tx, |c| {
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for (product, started) in runs {
                query = query
                    .bind(format!("{}-{product}", self.marks.prefix))
                    .bind(started)
                    .bind((started + A_DAY).min(self.latest));
            }
            query.execute(c).await.affected()
        })?)
    }

    async fn move_tickets(
        &self,
        tx: &mut Tx,
        statement: &str,
        tickets: &[(i64, i64)],
    ) -> Result<(), Fault> {
        let sql = format!(
            "WITH moved (order_id, opened, started, finished) AS (VALUES {}) {statement}",
            rows(2, tickets.len(), 4)
        );
        on_tx!(tx, |c| {
            let mut query =
                sqlx::query(AssertSqlSafe(sql)).bind(format!("%Demo {}-%", self.marks.prefix));
            for (order_id, opened) in tickets {
                let later = |days: i64| (opened + days * A_DAY).min(self.latest);
                query = query
                    .bind(order_id)
                    .bind(later(0))
                    .bind(later(1))
                    .bind(later(2));
            }
            query.execute(c).await.affected()
        })?;
        Ok(())
    }

    /// A row in the log of changes: what was moved is this customer's.
    async fn tell(&self, tx: &mut Tx, customer_id: i64) -> Result<(), Fault> {
        let author = Author {
            actor: Actor {
                key: ACTOR.to_owned(),
                session: String::new(),
            },
            act: String::new(),
            request_id: String::new(),
        };
        let subject = Subject {
            kind: Kind::Customer,
            id: customer_id,
            customer_id: Some(customer_id),
        };
        let now = self.clock.now_micros();
        change::insert(tx, &author, subject, VERB, &Shown::default(), now).await
    }
}

async fn move_states(tx: &mut Tx, statement: &str, orders: &[Backdated]) -> Result<(), Fault> {
    let moments = || {
        let of = |moved: &Backdated| {
            let id = moved.order.id;
            let row = move |(state, time): (pb::OrderState, i64)| (id, state_name(state), time);
            moved.moments.clone().into_iter().map(row)
        };
        orders.iter().flat_map(of)
    };
    let sql = format!(
        "WITH moved (order_id, state, time) AS (VALUES {}) {statement}",
        rows(1, moments().count(), 3)
    );
    on_tx!(tx, |c| {
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (order_id, state, time) in moments() {
            query = query.bind(order_id).bind(state).bind(time);
        }
        query.execute(c).await.affected()
    })?;
    Ok(())
}

/// As the database has it.
fn state_name(state: pb::OrderState) -> String {
    let name = state.as_str_name();
    name.strip_prefix("ORDER_STATE_").unwrap_or(name).to_owned()
}
