//! The rows of changes.

use millgate_platform::database::Tx;
use millgate_platform::page::Page;
use millgate_platform::{Database, Fault, on, on_tx};

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
const SELECT_OWNED: &str = concat!(
    "SELECT ",
    columns!(),
    ", (SELECT user_id FROM customers WHERE customers.id = changes.customer_id) AS owner FROM changes"
);
const HEAD: &str = "SELECT coalesce(max(seq), 0) FROM changes";
/// The newest number, and whether there is anything without one.
const EXTENT: &str = "SELECT (SELECT coalesce(max(seq), 0) FROM changes), \
     EXISTS (SELECT 1 FROM changes WHERE seq IS NULL)";
/// One publisher at a time. The statement behind it begins when the lock is had, and so sees what the publisher before
/// has committed (READ COMMITTED).
const LOCK: &str = "SELECT pg_advisory_xact_lock(7165938451)";
/// Tells how many got their number and which is the newest now, and wakes the other replicas. The writers do not: notifying
/// makes commits wait for each other, and the one publisher waits for nobody. `newest` is that of before the UPDATE, as all
/// of a statement sees.
const PUBLISH: &str = "WITH newest AS (SELECT coalesce(max(seq), 0) AS seq FROM changes), \
     published AS (UPDATE changes SET seq = newest.seq + ready.number \
     FROM newest, (SELECT id, row_number() OVER (ORDER BY id) AS number FROM \
     (SELECT id FROM changes WHERE seq IS NULL ORDER BY id LIMIT $1) AS oldest) AS ready WHERE changes.id = ready.id \
     RETURNING 1) \
     SELECT (SELECT count(*) FROM published), newest.seq + (SELECT count(*) FROM published), \
     CAST(pg_notify('millgate_factory_changes', '') AS TEXT) FROM newest";
/// Rows that get their number in one transaction.
const PUBLISH_BATCH: i64 = 1000;

/// Rows that an erasure changes in one statement.
const ERASE_BATCH: i64 = 2000;

/// The channel of [`PUBLISH`].
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

#[derive(sqlx::FromRow)]
struct OwnedRow {
    #[sqlx(flatten)]
    row: Row,
    owner: Option<i64>,
}

/// A change, and the user whose profile it belongs to.
#[derive(Debug)]
pub(crate) struct Owned {
    /// The change.
    pub change: Change,
    /// The user.
    pub owner: Option<i64>,
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

/// Gives the changes that were committed without a number their number, and tells the newest number. SQLite's have theirs
/// already.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn publish(db: &Database) -> Result<i64, Fault> {
    if matches!(db, Database::Sqlite(_)) {
        return head(db).await;
    }
    let extent = on!(db, |c| sqlx::query_as(EXTENT).fetch_one(c).await)?;
    let (mut newest, mut is_waiting): (i64, bool) = extent;
    while is_waiting {
        let mut tx = db.begin().await?;
        on_tx!(tx, |c| sqlx::query(LOCK).execute(c).await.map(drop))?;
        let (published, last): (i64, i64) = on_tx!(tx, |c| sqlx::query_as(PUBLISH)
            .bind(PUBLISH_BATCH)
            .fetch_one(c)
            .await)?;
        tx.commit().await?;
        newest = last;
        is_waiting = published == PUBLISH_BATCH;
    }
    Ok(newest)
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
    /// Whether it lets this change through: what the statements ask the database.
    pub(crate) fn admits(&self, of: &Owned) -> bool {
        fn fits<T: PartialEq>(wanted: Option<T>, is: T) -> bool {
            wanted.is_none_or(|wanted| wanted == is)
        }
        let change = &of.change;
        fits(self.kind.map(Kind::as_str), change.kind.as_str())
            && fits(self.resource_id, change.resource_id)
            && fits(self.actor.as_deref(), change.author.actor.key.as_str())
            && fits(self.verb.as_deref(), change.verb.as_str())
            && (self.owner.is_none() || self.owner == of.owner)
    }

    fn listing(&self, select: &'static str) -> Listing {
        // One person's changes are fewer than those of a kind: where both are asked for, no index is taken for the kind.
        let kind = match (&self.actor, self.resource_id) {
            (Some(_), None) => "kind || '' = ?",
            _ => "kind = ?",
        };
        Listing::new(select)
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
    let listing = filter.listing(SELECT).and("seq IS NOT NULL", []);
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
pub(super) fn window(filter: &Filter, between: (i64, i64), most: i64) -> (String, Vec<Arg>) {
    within(filter.listing(SELECT), between, most)
}

/// As [`between`], all of them and whose each is.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn all_between(
    db: &Database,
    between: (i64, i64),
    most: i64,
) -> Result<Vec<Owned>, Fault> {
    let (sql, args) = within(Listing::new(SELECT_OWNED), between, most);
    let rows: Vec<OwnedRow> = fetch_listing!(db, OwnedRow, sql, args)?;
    let owned = |OwnedRow { row, owner }| Owned {
        change: row.into(),
        owner,
    };
    Ok(rows.into_iter().map(owned).collect())
}

fn within(listing: Listing, (after, upto): (i64, i64), most: i64) -> (String, Vec<Arg>) {
    listing
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
    let published: i64 = on_tx!(tx, |c| sqlx::query_scalar(HEAD).fetch_one(c).await)?;
    // Nobody else changes what is published, and it may be much.
    erase_where(tx, "seq <= $4", customer_id, published).await?;
    if matches!(tx, Tx::Postgres(_)) {
        // The publisher changes the rest, in another order: one of the two would wait for the other in a circle.
        on_tx!(tx, |c| sqlx::query(LOCK).execute(c).await.map(drop))?;
        erase_where(tx, "(seq IS NULL OR seq > $4)", customer_id, published).await?;
    }
    Ok(())
}

/// Does it to the rows of a condition on `seq` and `$4`, some at a time: no statement is longer than a statement may be.
async fn erase_where(
    tx: &mut Tx,
    condition: &str,
    customer_id: i64,
    published: i64,
) -> Result<(), Fault> {
    for kind in Kind::ALL {
        let Some(erased) = erased(tx, kind) else {
            continue;
        };
        let sql = format!(
            "UPDATE changes SET {erased} WHERE id IN (SELECT id FROM changes WHERE customer_id = $1 AND kind = $2 \
             AND id > $3 AND {condition} ORDER BY id LIMIT $5) RETURNING id"
        );
        let mut last = Some(0);
        while let Some(after) = last {
            let sql = sqlx::AssertSqlSafe(sql.as_str());
            let ids: Vec<i64> = on_tx!(tx, |c| sqlx::query_scalar(sql)
                .bind(customer_id)
                .bind(kind.as_str())
                .bind(after)
                .bind(published)
                .bind(ERASE_BATCH)
                .fetch_all(c)
                .await)?;
            last = ids.into_iter().max();
        }
    }
    Ok(())
}

/// What an erasure sets in the changes of a kind; none where nothing is personal. The databases edit JSON by functions of
/// their own.
fn erased(tx: &Tx, kind: Kind) -> Option<String> {
    let names = kind.personal();
    let without = |column: &str| match tx {
        Tx::Sqlite(_) => {
            let paths: String = names.iter().map(|name| format!(", '$.{name}'")).collect();
            format!("{column} = json_remove({column}{paths})")
        }
        Tx::Postgres(_) => {
            let names: String = names.iter().map(|name| format!(" - '{name}'")).collect();
            format!("{column} = ({column}::jsonb{names})::text")
        }
    };
    match kind {
        Kind::Customer => Some("before_json = NULL, after_json = NULL".to_owned()),
        _ if names.is_empty() => None,
        _ => Some(format!(
            "{}, {}",
            without("before_json"),
            without("after_json")
        )),
    }
}
