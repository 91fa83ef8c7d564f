//! Accounts: one at a time. Lists stand in [`super::user_list`].

use millgate_platform::{Database, Fault, Reason, Tx, on, on_tx, violated};
use sqlx::FromRow;

use super::{Hold, hold, unreadable};
use crate::domain::{Email, Micros, NameChange, NewUser, Role, User, UserState, Username};

/// The columns of a [`Row`].
macro_rules! columns {
    () => {
        "id, username, email, role, state, generation, external_id, created_by, revision, create_time, update_time, \
         last_login_time"
    };
}
pub(super) use columns;

/// An account's row, the password's hash left out.
#[derive(FromRow)]
pub(super) struct Row {
    id: i64,
    username: Option<String>,
    email: Option<String>,
    role: String,
    state: String,
    generation: i64,
    external_id: Option<String>,
    created_by: Option<String>,
    revision: i64,
    create_time: Micros,
    update_time: Micros,
    last_login_time: Option<Micros>,
}

impl TryFrom<Row> for User {
    type Error = Fault;

    fn try_from(row: Row) -> Result<Self, Fault> {
        Ok(Self {
            id: row.id,
            username: row.username,
            email: row.email,
            role: Role::from_name(&row.role).ok_or_else(|| unreadable("a role"))?,
            state: UserState::from_name(&row.state)
                .ok_or_else(|| unreadable("an account's state"))?,
            generation: row.generation,
            external_id: row.external_id,
            created_by: row.created_by,
            revision: row.revision,
            create_time: row.create_time,
            update_time: row.update_time,
            last_login_time: row.last_login_time,
        })
    }
}

fn one(row: Option<Row>) -> Result<Option<User>, Fault> {
    row.map(User::try_from).transpose()
}

/// What a taken name or id means to the caller; everything else is passed on.
fn taken(error: sqlx::Error) -> Fault {
    match violated(&error) {
        Some(rule) if rule.is_unique("users.username_canonical") => {
            Fault::new(Reason::UsernameTaken, "this user name is taken")
        }
        Some(rule) if rule.is_unique("users.email_canonical") => {
            Fault::new(Reason::EmailTaken, "this email address is taken")
        }
        Some(rule) if rule.is_unique("users.created_by_external_id") => Fault::new(
            Reason::ExternalIdTaken,
            "this client has made an account with this external id before",
        ),
        _ => error.into(),
    }
}

const INSERT: &str = concat!(
    "INSERT INTO users (username, username_canonical, email, email_canonical, password_hash, role, state, generation, \
     external_id, created_by, revision, create_time, update_time)
     VALUES ($1, $2, $3, $4, $5, $6, 'active', 1, $7, $8, 1, $9, $9)
     RETURNING ",
    columns!()
);

/// Makes an account.
///
/// # Errors
/// USERNAME_TAKEN, EMAIL_TAKEN or EXTERNAL_ID_TAKEN; the transaction can then only be dropped.
pub(crate) async fn insert(tx: &mut Tx, new: &NewUser, now: Micros) -> Result<User, Fault> {
    let (username, email) = (new.names.username(), new.names.email());
    let row: Row = on_tx!(tx, |c| sqlx::query_as(INSERT)
        .bind(username.map(Username::as_str))
        .bind(username.map(Username::canonical))
        .bind(email.map(Email::as_str))
        .bind(email.map(Email::canonical))
        .bind(&new.password_hash)
        .bind(new.role.as_str())
        .bind(new.external_id.as_ref().map(|id| id.as_str()))
        .bind(&new.created_by)
        .bind(now)
        .fetch_one(c)
        .await)
    .map_err(taken)?;
    row.try_into()
}

const BY_ID: &str = concat!("SELECT ", columns!(), " FROM users WHERE id = $1");

/// The account of this id.
pub(crate) async fn by_id(db: &Database, id: i64) -> Result<Option<User>, Fault> {
    one(on!(db, |c| sqlx::query_as(BY_ID)
        .bind(id)
        .fetch_optional(c)
        .await)?)
}

/// The account of this id, as a transaction sees it.
pub(crate) async fn in_tx(tx: &mut Tx, id: i64) -> Result<Option<User>, Fault> {
    one(on_tx!(tx, |c| sqlx::query_as(BY_ID)
        .bind(id)
        .fetch_optional(c)
        .await)?)
}

const LOCK: Hold = hold!("SELECT ", columns!(), " FROM users WHERE id = $1");

/// The account of this id, held until the end of the transaction: what is read here is still so when it is written.
pub(crate) async fn lock(tx: &mut Tx, id: i64) -> Result<Option<User>, Fault> {
    let sql = LOCK.sql(tx);
    one(on_tx!(tx, |c| sqlx::query_as(sql)
        .bind(id)
        .fetch_optional(c)
        .await)?)
}

/// What a login is checked against.
#[derive(FromRow)]
pub(crate) struct Credentials {
    /// Whose they are.
    pub(crate) id: i64,
    /// The hash of the password.
    pub(crate) password_hash: String,
    /// The generation at which they were read.
    pub(crate) generation: i64,
    /// Whether a second factor is in use. Whoever turns one on or off raises the generation.
    pub(crate) has_second_factor: bool,
    state: String,
}

impl Credentials {
    /// Whether the account can log in at all.
    pub(crate) fn is_active(&self) -> bool {
        self.state == UserState::Active.as_str()
    }
}

/// The start of a `SELECT` of [`Credentials`].
macro_rules! credentials {
    () => {
        "SELECT id, password_hash, generation, state, EXISTS (SELECT 1 FROM second_factors \
         WHERE user_id = users.id AND confirm_time IS NOT NULL) AS has_second_factor FROM users "
    };
}

const CREDENTIALS_BY_USERNAME: &str = concat!(credentials!(), "WHERE username_canonical = $1");
const CREDENTIALS_BY_EMAIL: &str = concat!(credentials!(), "WHERE email_canonical = $1");
const CREDENTIALS_BY_ID: &str = concat!(credentials!(), "WHERE id = $1");

/// The credentials behind a user name.
pub(crate) async fn credentials_by_username(
    db: &Database,
    name: &Username,
) -> Result<Option<Credentials>, Fault> {
    Ok(on!(db, |c| sqlx::query_as(CREDENTIALS_BY_USERNAME)
        .bind(name.canonical())
        .fetch_optional(c)
        .await)?)
}

/// The credentials behind an email address.
pub(crate) async fn credentials_by_email(
    db: &Database,
    email: &Email,
) -> Result<Option<Credentials>, Fault> {
    Ok(on!(db, |c| sqlx::query_as(CREDENTIALS_BY_EMAIL)
        .bind(email.canonical())
        .fetch_optional(c)
        .await)?)
}

/// The credentials of an account.
pub(crate) async fn credentials_by_id(
    db: &Database,
    id: i64,
) -> Result<Option<Credentials>, Fault> {
    Ok(on!(db, |c| sqlx::query_as(CREDENTIALS_BY_ID)
        .bind(id)
        .fetch_optional(c)
        .await)?)
}

const LOG_IN: &str = concat!(
    "UPDATE users SET last_login_time = $3 WHERE id = $1 AND generation = $2 AND state = 'active' RETURNING ",
    columns!()
);

/// Marks a login and holds the account until the end of the transaction.
///
/// None when the account has been disabled, deleted or given another password or role since the credentials of
/// `generation` were checked: a login that races one of these must not leave a session behind.
pub(crate) async fn log_in(
    tx: &mut Tx,
    id: i64,
    generation: i64,
    now: Micros,
) -> Result<Option<User>, Fault> {
    one(on_tx!(tx, |c| sqlx::query_as(LOG_IN)
        .bind(id)
        .bind(generation)
        .bind(now)
        .fetch_optional(c)
        .await)?)
}

const REHASH: &str = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2";

/// Replaces the hash of the same password by one of today's format and cost.
pub(crate) async fn rehash(tx: &mut Tx, id: i64, old: &str, new: &str) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(REHASH)
        .bind(id)
        .bind(old)
        .bind(new)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

const SET_PASSWORD: &str = concat!(
    "UPDATE users SET password_hash = $3, generation = generation + 1 \
     WHERE id = $1 AND generation = $2 AND state = 'active' RETURNING ",
    columns!()
);

/// Gives the account another password and ends every token issued before. None when the account is no longer of
/// `generation`, at which the old password was checked.
pub(crate) async fn set_password(
    tx: &mut Tx,
    id: i64,
    generation: i64,
    hash: &str,
) -> Result<Option<User>, Fault> {
    one(on_tx!(tx, |c| sqlx::query_as(SET_PASSWORD)
        .bind(id)
        .bind(generation)
        .bind(hash)
        .fetch_optional(c)
        .await)?)
}

const RENAME: &str = concat!(
    "UPDATE users SET
         username = CASE WHEN $2 THEN $3 ELSE username END,
         username_canonical = CASE WHEN $2 THEN $4 ELSE username_canonical END,
         email = CASE WHEN $5 THEN $6 ELSE email END,
         email_canonical = CASE WHEN $5 THEN $7 ELSE email_canonical END,
         revision = revision + 1,
         update_time = $8
     WHERE id = $1
     RETURNING ",
    columns!()
);

/// Gives an account, which the transaction holds, other names.
///
/// # Errors
/// USERNAME_TAKEN or EMAIL_TAKEN; the transaction can then only be dropped.
pub(crate) async fn rename(
    tx: &mut Tx,
    id: i64,
    change: &NameChange,
    now: Micros,
) -> Result<User, Fault> {
    let (username, email) = (change.username.as_ref(), change.email.as_ref());
    let new_username = username.and_then(Option::as_ref);
    let new_email = email.and_then(Option::as_ref);
    let row: Row = on_tx!(tx, |c| sqlx::query_as(RENAME)
        .bind(id)
        .bind(username.is_some())
        .bind(new_username.map(Username::as_str))
        .bind(new_username.map(Username::canonical))
        .bind(email.is_some())
        .bind(new_email.map(Email::as_str))
        .bind(new_email.map(Email::canonical))
        .bind(now)
        .fetch_one(c)
        .await)
    .map_err(taken)?;
    row.try_into()
}

const SET_ROLE: &str = concat!(
    "UPDATE users SET role = $2, generation = generation + 1, revision = revision + 1, update_time = $3 \
     WHERE id = $1 RETURNING ",
    columns!()
);

/// Gives an account, which the transaction holds, another role and ends every token issued before.
pub(crate) async fn set_role(tx: &mut Tx, id: i64, role: Role, now: Micros) -> Result<User, Fault> {
    let row: Row = on_tx!(tx, |c| sqlx::query_as(SET_ROLE)
        .bind(id)
        .bind(role.as_str())
        .bind(now)
        .fetch_one(c)
        .await)?;
    row.try_into()
}

const DISABLE: &str = concat!(
    "UPDATE users SET state = 'disabled', generation = generation + 1, revision = revision + 1, update_time = $2 \
     WHERE id = $1 RETURNING ",
    columns!()
);

/// Closes an account, which the transaction holds, and ends every token issued before.
pub(crate) async fn disable(tx: &mut Tx, id: i64, now: Micros) -> Result<User, Fault> {
    let row: Row = on_tx!(tx, |c| sqlx::query_as(DISABLE)
        .bind(id)
        .bind(now)
        .fetch_one(c)
        .await)?;
    row.try_into()
}

const ENABLE: &str = concat!(
    "UPDATE users SET state = 'active', revision = revision + 1, update_time = $2 WHERE id = $1 RETURNING ",
    columns!()
);

/// Opens an account, which the transaction holds, again. The generation stays: what ended with the closing is not
/// brought back.
pub(crate) async fn enable(tx: &mut Tx, id: i64, now: Micros) -> Result<User, Fault> {
    let row: Row = on_tx!(tx, |c| sqlx::query_as(ENABLE)
        .bind(id)
        .bind(now)
        .fetch_one(c)
        .await)?;
    row.try_into()
}

const RAISE_GENERATION: &str =
    "UPDATE users SET generation = generation + 1 WHERE id = $1 AND state = 'active'";

/// Ends every token of the account issued before, and holds it until the end of the transaction. False when there is
/// none that is active.
pub(crate) async fn raise_generation(tx: &mut Tx, id: i64) -> Result<bool, Fault> {
    let raised = on_tx!(tx, |c| sqlx::query(RAISE_GENERATION)
        .bind(id)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(raised == 1)
}

const DELETE: &str = "DELETE FROM users WHERE id = $1";

/// Deletes an account; its sessions and refresh tokens go with it.
pub(crate) async fn delete(tx: &mut Tx, id: i64) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(DELETE)
        .bind(id)
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

const LOCK_ADMINS: Hold = hold!("SELECT id FROM admin_lock");
const OTHER_ADMIN: &str = "SELECT id FROM users WHERE role = 'admin' AND state = 'active' AND id <> $1 ORDER BY id LIMIT 1";

async fn lock_admins(tx: &mut Tx) -> Result<(), Fault> {
    let sql = LOCK_ADMINS.sql(tx);
    on_tx!(tx, |c| sqlx::query(sql).execute(c).await.map(drop))?;
    Ok(())
}

/// Lets through a transaction that is about to take the administrator `user` away, when another one remains.
///
/// Those who take administrators away go one after the other from here to their commit; each sees what the one before
/// has done.
///
/// # Errors
/// LAST_ADMIN.
pub(crate) async fn leave_an_admin(tx: &mut Tx, user: &User) -> Result<(), Fault> {
    if !user.is_active_admin() {
        return Ok(());
    }
    lock_admins(tx).await?;
    let other: Option<i64> = on_tx!(tx, |c| sqlx::query_scalar(OTHER_ADMIN)
        .bind(user.id)
        .fetch_optional(c)
        .await)?;
    other
        .map(drop)
        .ok_or_else(|| Fault::new(Reason::LastAdmin, "this is the last active administrator"))
}

const ANY_ADMIN: &str = "SELECT id FROM users WHERE role = 'admin' ORDER BY id LIMIT 1";

/// Whether there is an administrator, active or not.
pub(crate) async fn has_an_admin(db: &Database) -> Result<bool, Fault> {
    let found: Option<i64> = on!(db, |c| sqlx::query_scalar(ANY_ADMIN)
        .fetch_optional(c)
        .await)?;
    Ok(found.is_some())
}

const INSERT_FIRST_ADMIN: &str = "\
    INSERT INTO users (username, username_canonical, password_hash, role, state, generation, revision, create_time, \
     update_time)
    SELECT $1, $2, $3, 'admin', 'active', 1, 1, $4, $4
    WHERE NOT EXISTS (SELECT 1 FROM users WHERE role = 'admin')
    ON CONFLICT (username_canonical) DO NOTHING";

/// Makes the first administrator, if there is none; says whether it did. Of several replicas that start together, one
/// makes it: the admin lock lets them through one by one.
pub(crate) async fn insert_first_admin(
    tx: &mut Tx,
    name: &Username,
    password_hash: &str,
    now: Micros,
) -> Result<bool, Fault> {
    lock_admins(tx).await?;
    let made = on_tx!(tx, |c| sqlx::query(INSERT_FIRST_ADMIN)
        .bind(name.as_str())
        .bind(name.canonical())
        .bind(password_hash)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(made == 1)
}
