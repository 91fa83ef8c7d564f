//! Accounts that move over from another system, and how far each import has come.

use millgate_platform::{Affected as _, Database, Fault, Tx, on, on_tx, on_write};
use sqlx::FromRow;

use super::{Hold, hold};
use crate::domain::{Email, ExternalId, Micros, MovedUser, Names, Username};

/// How far an import has come.
#[derive(Debug, FromRow)]
pub(crate) struct Progress {
    /// The encoded options that it was begun with.
    pub(crate) options: Vec<u8>,
    /// The last line that is written; 0 before the first.
    pub(crate) last_line: i64,
    /// The encoded report so far.
    pub(crate) report: Vec<u8>,
}

const BEGIN: &str = "\
    INSERT INTO user_imports (owner, import_id, options, last_line, report, update_time) VALUES ($1, $2, $3, 0, $4, $5)
    ON CONFLICT (owner, import_id) DO NOTHING";

/// Notes an import, unless it is noted already.
pub(crate) async fn begin(
    db: &Database,
    owner: &str,
    id: &str,
    new: &Progress,
    now: Micros,
) -> Result<(), Fault> {
    on_write!(db, |c| sqlx::query(BEGIN)
        .bind(owner)
        .bind(id)
        .bind(&new.options)
        .bind(&new.report)
        .bind(now)
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

const OF: Hold = hold!(
    "SELECT options, last_line, report FROM user_imports WHERE owner = $1 AND import_id = $2"
);

/// How far an import has come, held until the end of the transaction: of two streams of one import, one writes at a
/// time. None when it is not noted.
pub(crate) async fn hold(tx: &mut Tx, owner: &str, id: &str) -> Result<Option<Progress>, Fault> {
    let sql = OF.sql(tx);
    Ok(on_tx!(tx, |c| sqlx::query_as(sql)
        .bind(owner)
        .bind(id)
        .fetch_optional(c)
        .await)?)
}

const ADVANCE: &str = "\
    UPDATE user_imports SET last_line = $3, report = $4, update_time = $5 WHERE owner = $1 AND import_id = $2";

/// Notes how far an import, which the transaction holds, has come.
pub(crate) async fn advance(
    tx: &mut Tx,
    owner: &str,
    id: &str,
    to: (i64, &[u8]),
    now: Micros,
) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(ADVANCE)
        .bind(owner)
        .bind(id)
        .bind(to.0)
        .bind(to.1)
        .bind(now)
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

// No target: any name that is taken. An error would end the transaction, and the batch with it.
const INSERT: &str = "\
    INSERT INTO users (username, username_canonical, email, email_canonical, password_hash, role, state, generation, \
     external_id, revision, create_time, update_time)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, 1, $9, $10)
    ON CONFLICT DO NOTHING
    RETURNING id";

/// Takes over an account; gives its id, and none where a name is taken: that account is left alone.
pub(crate) async fn insert(
    tx: &mut Tx,
    moved: &MovedUser,
    now: Micros,
) -> Result<Option<i64>, Fault> {
    let (username, email) = (moved.new.names.username(), moved.new.names.email());
    Ok(on_tx!(tx, |c| sqlx::query_scalar(INSERT)
        .bind(username.map(Username::as_str))
        .bind(username.map(Username::canonical))
        .bind(email.map(Email::as_str))
        .bind(email.map(Email::canonical))
        .bind(&moved.new.password_hash)
        .bind(moved.new.role.as_str())
        .bind(moved.state.as_str())
        .bind(moved.new.external_id.as_ref().map(ExternalId::as_str))
        .bind(moved.create_time.unwrap_or(now))
        .bind(now)
        .fetch_optional(c)
        .await)?)
}

/// Which of an account's names are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub(crate) struct Taken {
    /// The user name.
    pub(crate) username: bool,
    /// The address.
    pub(crate) email: bool,
}

const TAKEN: &str = "\
    SELECT EXISTS (SELECT 1 FROM users WHERE username_canonical = $1) AS username,
           EXISTS (SELECT 1 FROM users WHERE email_canonical = $2) AS email";

/// Which of these names are taken, as a transaction sees it.
pub(crate) async fn taken_in(tx: &mut Tx, names: &Names) -> Result<Taken, Fault> {
    Ok(on_tx!(tx, |c| sqlx::query_as(TAKEN)
        .bind(names.username().map(Username::canonical))
        .bind(names.email().map(Email::canonical))
        .fetch_one(c)
        .await)?)
}

/// Which of these names are taken.
pub(crate) async fn taken(db: &Database, names: &Names) -> Result<Taken, Fault> {
    Ok(on!(db, |c| sqlx::query_as(TAKEN)
        .bind(names.username().map(Username::canonical))
        .bind(names.email().map(Email::canonical))
        .fetch_one(c)
        .await)?)
}

const PURGE: &str = "DELETE FROM user_imports WHERE update_time < $1";

/// Forgets the imports that nobody has gone on with since `before`.
pub(crate) async fn purge(db: &Database, before: Micros) -> Result<u64, Fault> {
    Ok(on_write!(db, |c| sqlx::query(PURGE)
        .bind(before)
        .execute(c)
        .await
        .affected())?)
}
