//! The rows of changes.

use millgate_platform::database::Tx;
use millgate_platform::page::Page;
use millgate_platform::{Affected as _, Database, Fault, on, on_tx};

use super::listing::{Arg, Listing, fetch_listing};
use crate::domain::access::Actor;
use crate::domain::change::{Author, Change, Kind, Subject};
use crate::domain::paging::OrderBy;

macro_rules! insert {
    ($seq:literal) => {
        concat!(
            "INSERT INTO changes (seq, time, actor, session, act, request_id, kind, resource_id, customer_id, verb, \
             before_json, after_json) VALUES (",
            $seq,
            ", $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
        )
    };
}

/// The one writer knows the order of the commits.
const INSERT_SQLITE: &str = insert!("(SELECT coalesce(max(seq), 0) + 1 FROM changes)");
/// The number comes when the row is committed: see the migration.
const INSERT_POSTGRES: &str = insert!("NULL");

macro_rules! columns {
    () => {
        "seq, time, actor, session, act, request_id, kind, resource_id, verb, before_json, after_json"
    };
}
const SELECT: &str = concat!("SELECT ", columns!(), " FROM changes");
const HEAD: &str = "SELECT coalesce(max(seq), 0) FROM changes";
const UNPUBLISHED: &str = "SELECT EXISTS (SELECT 1 FROM changes WHERE seq IS NULL)";
/// One publisher at a time. The statement behind it begins when the lock is had, and so sees what the publisher before
/// has committed (READ COMMITTED).
const LOCK: &str = "SELECT pg_advisory_xact_lock(7165938451)";
const PUBLISH: &str = "UPDATE changes SET seq = ready.number + (SELECT coalesce(max(seq), 0) FROM changes) \
     FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM \
     (SELECT id FROM changes WHERE seq IS NULL ORDER BY id LIMIT $1) AS oldest) AS ready WHERE changes.id = ready.id";
/// Wakes the other replicas. The writers do not: notifying makes commits wait for each other, and the one publisher
/// waits for nobody.
const TELL: &str = "SELECT pg_notify('millgate_factory_changes', '')";
/// Rows that get their number in one transaction.
const PUBLISH_BATCH: i64 = 1000;

/// The channel of [`TELL`].
pub(crate) const CHANNEL: &str = "millgate_factory_changes";

#[derive(sqlx::FromRow)]
struct Row {
    seq: i64,
    time: i64,
    actor: String,
    session: String,
    act: String,
    request_id: String,
    kind: String,
    resource_id: i64,
    verb: String,
    before_json: Option<String>,
    after_json: Option<String>,
}

impl From<Row> for Change {
    fn from(row: Row) -> Self {
        Self {
            seq: row.seq,
            time: row.time,
            author: Author {
                actor: Actor {
                    key: row.actor,
                    session: row.session,
                },
                act: row.act,
                request_id: row.request_id,
            },
            kind: row.kind,
            resource_id: row.resource_id,
            verb: row.verb,
            before: row.before_json,
            after: row.after_json,
        }
    }
}

/// What a change shows: the resource before and after, as JSON.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// Before.
    pub before: Option<String>,
    /// After.
    pub after: Option<String>,
}

/// Writes a change into the log, in the transaction that makes it.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn insert(
    tx: &mut Tx,
    author: &Author,
    subject: Subject,
    verb: &str,
    shown: &Shown,
    now: i64,
) -> Result<(), Fault> {
    let sql = match tx {
        Tx::Sqlite(_) => INSERT_SQLITE,
        Tx::Postgres(_) => INSERT_POSTGRES,
    };
    on_tx!(tx, |c| sqlx::query(sql)
        .bind(now)
        .bind(&author.actor.key)
        .bind(&author.actor.session)
        .bind(&author.act)
        .bind(&author.request_id)
        .bind(subject.kind.as_str())
        .bind(subject.id)
        .bind(subject.customer_id)
        .bind(verb)
        .bind(&shown.before)
        .bind(&shown.after)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

/// The newest number.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn head(db: &Database) -> Result<i64, Fault> {
    Ok(on!(db, |c| sqlx::query_scalar(HEAD).fetch_one(c).await)?)
}

/// Gives the changes that were committed without a number their number; whether there may be more of them. SQLite's have
/// theirs already.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn publish(db: &Database) -> Result<bool, Fault> {
    if matches!(db, Database::Sqlite(_)) {
        return Ok(false);
    }
    let waiting: bool = on!(db, |c| sqlx::query_scalar(UNPUBLISHED).fetch_one(c).await)?;
    if !waiting {
        return Ok(false);
    }
    let mut tx = db.begin().await?;
    on_tx!(tx, |c| sqlx::query(LOCK).execute(c).await.map(drop))?;
    let published = on_tx!(tx, |c| sqlx::query(PUBLISH)
        .bind(PUBLISH_BATCH)
        .execute(c)
        .await
        .affected())?;
    on_tx!(tx, |c| sqlx::query(TELL).execute(c).await.map(drop))?;
    tx.commit().await?;
    Ok(published == PUBLISH_BATCH.unsigned_abs())
}

/// What a list of changes is restricted to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only of this resource.
    pub resource_id: Option<i64>,
    /// Only by this actor.
    pub actor: Option<String>,
    /// Only with this verb.
    pub verb: Option<String>,
    /// Only of what belongs to the profile of this user.
    pub owner: Option<i64>,
}

impl Filter {
    fn listing(&self) -> Listing {
        // One person's changes are fewer than those of a kind: where both are asked for, no index is taken for the kind.
        let kind = match (&self.actor, self.resource_id) {
            (Some(_), None) => "kind || '' = ?",
            _ => "kind = ?",
        };
        Listing::new(SELECT)
            .and_if(
                kind,
                self.kind.map(|kind| Arg::Text(kind.as_str().to_owned())),
            )
            .and_if("resource_id = ?", self.resource_id.map(Arg::Int))
            .and_if("actor = ?", self.actor.clone().map(Arg::Text))
            .and_if("verb = ?", self.verb.clone().map(Arg::Text))
            .and_if(
                "customer_id IN (SELECT id FROM customers WHERE user_id = ?)",
                self.owner.map(Arg::Int),
            )
    }
}

/// A page of changes, and one more where another page follows.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn list(
    db: &Database,
    filter: &Filter,
    by: OrderBy,
    page: &Page,
) -> Result<Vec<Change>, Fault> {
    let (sql, args) = listing(filter, by, page);
    let rows: Vec<Row> = fetch_listing!(db, Row, sql, args)?;
    Ok(rows.into_iter().map(Change::from).collect())
}

/// The statement of a list. What is not published yet has not happened for a reader.
pub(super) fn listing(filter: &Filter, by: OrderBy, page: &Page) -> (String, Vec<Arg>) {
    let listing = filter.listing().and("seq IS NOT NULL", []);
    listing.page_by_key("seq", by.descending, page)
}

/// The oldest changes behind `after` and up to `upto`, `most` at most.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn between(
    db: &Database,
    filter: &Filter,
    between: (i64, i64),
    most: i64,
) -> Result<Vec<Change>, Fault> {
    let (sql, args) = window(filter, between, most);
    let rows: Vec<Row> = fetch_listing!(db, Row, sql, args)?;
    Ok(rows.into_iter().map(Change::from).collect())
}

/// The statement of [`between`].
pub(super) fn window(filter: &Filter, (after, upto): (i64, i64), most: i64) -> (String, Vec<Arg>) {
    filter
        .listing()
        .and("seq > ?", [Arg::Int(after)])
        .and("seq <= ?", [Arg::Int(upto)])
        .first("seq", most)
}

/// Removes from the log what it says of a customer as a person. That something was done to which resource, by whom and
/// when, stays. Run it behind everything else of the erasure: what holds the person's rows has waited for it then.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn erase(tx: &mut Tx, customer_id: i64) -> Result<(), Fault> {
    if matches!(tx, Tx::Postgres(_)) {
        // The publisher changes the same rows, in another order: one of the two would wait for the other in a circle.
        on_tx!(tx, |c| sqlx::query(LOCK).execute(c).await.map(drop))?;
    }
    for kind in Kind::ALL {
        let sql = match (kind, &*tx) {
            (Kind::Customer, _) => "UPDATE changes SET before_json = NULL, after_json = NULL \
                 WHERE customer_id = $1 AND kind = $2"
                .to_owned(),
            // The databases edit JSON by functions of their own.
            (_, Tx::Sqlite(_)) if !kind.personal().is_empty() => {
                let paths: String = kind
                    .personal()
                    .iter()
                    .map(|name| format!(", '$.{name}'"))
                    .collect();
                format!(
                    "UPDATE changes SET before_json = json_remove(before_json{paths}), \
                     after_json = json_remove(after_json{paths}) WHERE customer_id = $1 AND kind = $2"
                )
            }
            (_, Tx::Postgres(_)) if !kind.personal().is_empty() => {
                let names: String = kind
                    .personal()
                    .iter()
                    .map(|name| format!(" - '{name}'"))
                    .collect();
                format!(
                    "UPDATE changes SET before_json = (before_json::jsonb{names})::text, \
                     after_json = (after_json::jsonb{names})::text WHERE customer_id = $1 AND kind = $2"
                )
            }
            _ => continue,
        };
        on_tx!(tx, |c| sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(customer_id)
            .bind(kind.as_str())
            .execute(c)
            .await
            .map(drop))?;
    }
    Ok(())
}
