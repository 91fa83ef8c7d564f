//! Personal access tokens.

use millgate_guard::Scopes;
use millgate_platform::{Affected as _, Cursor, Database, Fault, Page, Tx, on, on_tx, on_write};
use sqlx::{FromRow, QueryBuilder};

use super::unreadable;
use crate::domain::{AccessToken, Micros, NewAccessToken};

/// The columns of a [`Row`], of a token `t` and its account `u`.
macro_rules! columns {
    () => {
        "t.id, t.sid, t.user_id, t.name, t.scopes, t.generation, t.create_time, t.expire_time, t.last_used_time, \
         t.revoke_time, u.generation AS user_generation"
    };
}

#[derive(FromRow)]
struct Row {
    id: i64,
    sid: String,
    user_id: i64,
    name: String,
    scopes: String,
    generation: i64,
    create_time: Micros,
    expire_time: Micros,
    last_used_time: Option<Micros>,
    revoke_time: Option<Micros>,
    user_generation: i64,
}

impl TryFrom<Row> for AccessToken {
    type Error = Fault;

    fn try_from(row: Row) -> Result<Self, Fault> {
        Ok(Self {
            id: row.id,
            sid: row.sid,
            user_id: row.user_id,
            name: row.name,
            scopes: Scopes::parse(&row.scopes)
                .map_err(|error| unreadable("a scope").with_source(error))?,
            generation: row.generation,
            user_generation: row.user_generation,
            create_time: row.create_time,
            expire_time: row.expire_time,
            last_used_time: row.last_used_time,
            revoke_time: row.revoke_time,
        })
    }
}

fn one(row: Option<Row>) -> Result<Option<AccessToken>, Fault> {
    row.map(AccessToken::try_from).transpose()
}

const INSERT: &str = "\
    INSERT INTO access_tokens (sid, user_id, name, token_hash, scopes, generation, create_time, expire_time)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    RETURNING id";

/// Makes a token of an account that the transaction holds, at this generation of it.
pub(crate) async fn insert(
    tx: &mut Tx,
    user_id: i64,
    generation: i64,
    new: &NewAccessToken,
    sid: &str,
    hash: &[u8],
    now: Micros,
) -> Result<AccessToken, Fault> {
    let id = on_tx!(tx, |c| sqlx::query_scalar(INSERT)
        .bind(sid)
        .bind(user_id)
        .bind(&new.name)
        .bind(hash)
        .bind(new.scopes.to_string())
        .bind(generation)
        .bind(now)
        .bind(new.expire_time)
        .fetch_one(c)
        .await)?;
    Ok(AccessToken {
        id,
        sid: sid.to_owned(),
        user_id,
        name: new.name.clone(),
        scopes: new.scopes.clone(),
        generation,
        user_generation: generation,
        create_time: now,
        expire_time: new.expire_time,
        last_used_time: None,
        revoke_time: None,
    })
}

const COUNT_LIVE: &str = "\
    SELECT count(*) FROM access_tokens
    WHERE user_id = $1 AND generation = $2 AND revoke_time IS NULL AND expire_time > $3";

/// How many tokens of an account of this generation can be exchanged at `now`.
pub(crate) async fn count_live(
    tx: &mut Tx,
    user_id: i64,
    generation: i64,
    now: Micros,
) -> Result<i64, Fault> {
    Ok(on_tx!(tx, |c| sqlx::query_scalar(COUNT_LIVE)
        .bind(user_id)
        .bind(generation)
        .bind(now)
        .fetch_one(c)
        .await)?)
}

/// How many tokens that have ended an account keeps to look at: whoever makes and revokes them all day fills no table.
const MOST_ENDED: i64 = 50;
const FORGET_ENDED: &str = "\
    DELETE FROM access_tokens WHERE id IN (
        SELECT id FROM access_tokens
        WHERE user_id = $1 AND (generation <> $2 OR revoke_time IS NOT NULL OR expire_time <= $3)
        ORDER BY id DESC LIMIT 1000 OFFSET $4
    )";

/// Deletes the tokens of an account of this generation that have ended, but for the newest of them.
pub(crate) async fn forget_ended(
    tx: &mut Tx,
    user_id: i64,
    generation: i64,
    now: Micros,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(FORGET_ENDED)
        .bind(user_id)
        .bind(generation)
        .bind(now)
        .bind(MOST_ENDED)
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

const BY_HASH: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM access_tokens t JOIN users u ON u.id = t.user_id WHERE t.token_hash = $1"
);

/// The token of this hash, ended or not.
pub(crate) async fn by_hash(db: &Database, hash: &[u8]) -> Result<Option<AccessToken>, Fault> {
    one(on!(db, |c| sqlx::query_as(BY_HASH)
        .bind(hash)
        .fetch_optional(c)
        .await)?)
}

const BY_ID: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM access_tokens t JOIN users u ON u.id = t.user_id WHERE t.id = $1"
);

/// The token of this id, as a transaction sees it.
pub(crate) async fn in_tx(tx: &mut Tx, id: i64) -> Result<Option<AccessToken>, Fault> {
    one(on_tx!(tx, |c| sqlx::query_as(BY_ID)
        .bind(id)
        .fetch_optional(c)
        .await)?)
}

const REVOKE: &str =
    "UPDATE access_tokens SET revoke_time = $2 WHERE id = $1 AND revoke_time IS NULL";

/// Ends a token, and with it the access tokens of its `sid`; says whether there was one to end.
pub(crate) async fn revoke(tx: &mut Tx, token: &AccessToken, now: Micros) -> Result<bool, Fault> {
    let revoked = on_tx!(tx, |c| sqlx::query(REVOKE)
        .bind(token.id)
        .bind(now)
        .execute(c)
        .await
        .affected())?;
    Ok(revoked == 1)
}

const MARK_USED: &str = "UPDATE access_tokens SET last_used_time = $2 WHERE id = $1";

/// Marks that a token was exchanged.
pub(crate) async fn mark_used(db: &Database, id: i64, now: Micros) -> Result<(), Fault> {
    on_write!(db, |c| sqlx::query(MARK_USED)
        .bind(id)
        .bind(now)
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM access_tokens t JOIN users u ON u.id = t.user_id WHERE t.user_id = "
);

/// One page of a person's tokens, by id or, if `newest_first`, the other way round, and the token of the next page; empty
/// on the last.
pub(crate) async fn page(
    db: &Database,
    user_id: i64,
    newest_first: bool,
    page: &Page,
) -> Result<(Vec<AccessToken>, String), Fault> {
    let (beyond, order) = if newest_first {
        (" AND t.id < ", " ORDER BY t.id DESC LIMIT ")
    } else {
        (" AND t.id > ", " ORDER BY t.id LIMIT ")
    };
    let rows: Vec<Row> = on!(db, |c| {
        let mut query = QueryBuilder::new(LIST);
        query.push_bind(user_id);
        if let Some(last) = &page.after {
            query.push(beyond).push_bind(last.id);
        }
        query.push(order).push_bind(page.limit());
        query.build_query_as().fetch_all(c).await
    })?;
    let tokens = rows
        .into_iter()
        .map(AccessToken::try_from)
        .collect::<Result<Vec<_>, Fault>>()?;
    Ok(page.finish(tokens, |token| Cursor::id(token.id)))
}

/// How many tokens one statement deletes: it must not hold SQLite's one writer for long.
const BATCH: i64 = 500;
const PURGE: &str = "\
    DELETE FROM access_tokens WHERE id IN (
        SELECT id FROM access_tokens WHERE expire_time < $1 ORDER BY expire_time LIMIT $2
    )";

/// Deletes some of the tokens whose time was over before `before`; says how many. Zero means that there are no more.
pub(crate) async fn purge(db: &Database, before: Micros) -> Result<u64, Fault> {
    Ok(on_write!(db, |c| sqlx::query(PURGE)
        .bind(before)
        .bind(BATCH)
        .execute(c)
        .await
        .affected())?)
}
