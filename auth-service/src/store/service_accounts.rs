//! Service accounts. Their secrets stand in [`super::service_account_secrets`].
//!
//! A deleted account is to every statement here as if it had never been, but for its id, which nobody gets again.

use millgate_guard::Scopes;
use millgate_platform::Cursor;
use millgate_platform::{Affected as _, Database, Fault, Page, Reason, Tx, on, on_tx, violated};
use sqlx::{FromRow, QueryBuilder};

use super::service_account_secrets as secrets;
use super::{Hold, hold, unreadable};
use crate::domain::{Micros, NewServiceAccount, ServiceAccount, ServiceAccountChange};

/// The columns of a [`Row`].
macro_rules! columns {
    () => {
        "client_id, description, scopes, disabled, revision, create_time, update_time, last_used_time"
    };
}

#[derive(FromRow)]
struct Row {
    client_id: String,
    description: String,
    scopes: String,
    disabled: bool,
    revision: i64,
    create_time: Micros,
    update_time: Micros,
    last_used_time: Option<Micros>,
}

impl TryFrom<Row> for ServiceAccount {
    type Error = Fault;

    fn try_from(row: Row) -> Result<Self, Fault> {
        Ok(Self {
            client_id: row.client_id,
            description: row.description,
            scopes: Scopes::parse(&row.scopes)
                .map_err(|error| unreadable("a scope").with_source(error))?,
            disabled: row.disabled,
            revision: row.revision,
            create_time: row.create_time,
            update_time: row.update_time,
            last_used_time: row.last_used_time,
            secrets: Vec::new(),
        })
    }
}

const BY_ID: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM service_accounts WHERE client_id = $1 AND delete_time IS NULL"
);

/// The account of this id, with the secrets that work at `now`.
pub(crate) async fn by_id(
    db: &Database,
    client_id: &str,
    now: Micros,
) -> Result<Option<ServiceAccount>, Fault> {
    let row: Option<Row> = on!(db, |c| sqlx::query_as(BY_ID)
        .bind(client_id)
        .fetch_optional(c)
        .await)?;
    let Some(row) = row else { return Ok(None) };
    let mut account = ServiceAccount::try_from(row)?;
    account.secrets = secrets::live(db, client_id, now).await?;
    Ok(Some(account))
}

const LOCK: Hold = hold!(
    "SELECT ",
    columns!(),
    " FROM service_accounts WHERE client_id = $1 AND delete_time IS NULL"
);

/// The account of this id with the secrets that work at `now`, held until the end of the transaction. Whoever changes
/// an account or its secrets holds it.
pub(crate) async fn lock(
    tx: &mut Tx,
    client_id: &str,
    now: Micros,
) -> Result<Option<ServiceAccount>, Fault> {
    let sql = LOCK.sql(tx);
    let row: Option<Row> = on_tx!(tx, |c| sqlx::query_as(sql)
        .bind(client_id)
        .fetch_optional(c)
        .await)?;
    let Some(row) = row else { return Ok(None) };
    let mut account = ServiceAccount::try_from(row)?;
    account.secrets = secrets::live_in_tx(tx, client_id, now).await?;
    Ok(Some(account))
}

const INSERT: &str = "\
    INSERT INTO service_accounts (client_id, description, scopes, disabled, revision, create_time, update_time)
    VALUES ($1, $2, $3, FALSE, 1, $4, $4)";

/// Makes an account, which has no secret yet.
///
/// # Errors
/// CLIENT_ID_TAKEN, also by an account that was deleted; the transaction can then only be dropped.
pub(crate) async fn insert(tx: &mut Tx, new: &NewServiceAccount, now: Micros) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(INSERT)
        .bind(new.client_id.as_str())
        .bind(&new.description)
        .bind(new.scopes.to_string())
        .bind(now)
        .execute(c)
        .await
        .affected())
    .map_err(|error| match violated(&error) {
        Some(rule) if rule.is_unique("service_accounts.pkey") => Fault::new(
            Reason::ClientIdTaken,
            "this client id is taken, or was taken by an account that was deleted",
        ),
        _ => error.into(),
    })?;
    Ok(())
}

const INSERT_CONFIGURED: &str = "\
    INSERT INTO service_accounts
    (client_id, description, scopes, disabled, revision, create_time, update_time, configured_hash)
    VALUES ($1, $2, $3, FALSE, 1, $4, $4, $5)
    ON CONFLICT (client_id) DO NOTHING";

/// Makes the account that the configuration names, unless there is or was one of this id; says whether it did. The
/// account has no secret yet.
pub(crate) async fn insert_configured(
    tx: &mut Tx,
    new: &NewServiceAccount,
    configured_hash: &[u8],
    now: Micros,
) -> Result<bool, Fault> {
    let made = on_tx!(tx, |c| sqlx::query(INSERT_CONFIGURED)
        .bind(new.client_id.as_str())
        .bind(&new.description)
        .bind(new.scopes.to_string())
        .bind(now)
        .bind(configured_hash)
        .execute(c)
        .await
        .affected())?;
    Ok(made == 1)
}

const CONFIGURE: &str = "\
    UPDATE service_accounts SET configured_hash = $2
    WHERE client_id = $1 AND (configured_hash IS NULL OR configured_hash <> $2)";

/// Remembers which secret the configuration names for an account that the transaction holds; says whether it named
/// another at the last start.
pub(crate) async fn configure(
    tx: &mut Tx,
    client_id: &str,
    configured_hash: &[u8],
) -> Result<bool, Fault> {
    let changed = on_tx!(tx, |c| sqlx::query(CONFIGURE)
        .bind(client_id)
        .bind(configured_hash)
        .execute(c)
        .await
        .affected())?;
    Ok(changed == 1)
}

const UPDATE: &str = concat!(
    "UPDATE service_accounts SET description = coalesce($2, description), scopes = coalesce($3, scopes), \
     revision = revision + 1, update_time = $4 WHERE client_id = $1 RETURNING ",
    columns!()
);

/// Changes an account, which the transaction holds. Its secrets are left out of the answer.
pub(crate) async fn update(
    tx: &mut Tx,
    client_id: &str,
    change: &ServiceAccountChange,
    now: Micros,
) -> Result<ServiceAccount, Fault> {
    let row: Row = on_tx!(tx, |c| sqlx::query_as(UPDATE)
        .bind(client_id)
        .bind(&change.description)
        .bind(change.scopes.as_ref().map(ToString::to_string))
        .bind(now)
        .fetch_one(c)
        .await)?;
    row.try_into()
}

const DISABLE: &str = "\
    UPDATE service_accounts SET disabled = TRUE, tokens_ended_time = $2, revision = revision + 1, update_time = $2
    WHERE client_id = $1";

/// Takes an account, which the transaction holds, out of use: all its tokens end.
pub(crate) async fn disable(tx: &mut Tx, client_id: &str, now: Micros) -> Result<(), Fault> {
    write(tx, DISABLE, client_id, now).await
}

const ENABLE: &str = "\
    UPDATE service_accounts SET disabled = FALSE, revision = revision + 1, update_time = $2 WHERE client_id = $1";

/// Puts an account, which the transaction holds, back into use.
pub(crate) async fn enable(tx: &mut Tx, client_id: &str, now: Micros) -> Result<(), Fault> {
    write(tx, ENABLE, client_id, now).await
}

// Five seconds later, which is how far ahead a guard lets a token's time be: one that another replica, whose clock is
// ahead, was just making ends as well. Nobody gets a new one.
const DELETE: &str = "\
    UPDATE service_accounts SET delete_time = $2, tokens_ended_time = $2 + 5000000, description = '', configured_hash = NULL
    WHERE client_id = $1";

/// Deletes an account, which the transaction holds, and its secrets: all its tokens end.
pub(crate) async fn delete(tx: &mut Tx, client_id: &str, now: Micros) -> Result<(), Fault> {
    secrets::delete_all(tx, client_id).await?;
    write(tx, DELETE, client_id, now).await
}

const END_TOKENS: &str = "UPDATE service_accounts SET tokens_ended_time = $2 WHERE client_id = $1";

/// Ends all tokens of an account that the transaction holds, and leaves it in use.
pub(crate) async fn end_tokens(tx: &mut Tx, client_id: &str, now: Micros) -> Result<(), Fault> {
    write(tx, END_TOKENS, client_id, now).await
}

const TOUCH: &str =
    "UPDATE service_accounts SET revision = revision + 1, update_time = $2 WHERE client_id = $1";

/// Counts a change of the secrets of an account that the transaction holds.
pub(crate) async fn touch(tx: &mut Tx, client_id: &str, now: Micros) -> Result<(), Fault> {
    write(tx, TOUCH, client_id, now).await
}

async fn write(tx: &mut Tx, sql: &'static str, client_id: &str, now: Micros) -> Result<(), Fault> {
    on_tx!(tx, |c| sqlx::query(sql)
        .bind(client_id)
        .bind(now)
        .execute(c)
        .await
        .affected())?;
    Ok(())
}

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// By client id.
    ClientId,
    /// The other way round.
    ClientIdDescending,
}

const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM service_accounts WHERE delete_time IS NULL"
);

/// One page of accounts without their secrets, and the token of the next one; empty on the last.
pub(crate) async fn page(
    db: &Database,
    disabled: Option<bool>,
    order: Order,
    page: &Page,
) -> Result<(Vec<ServiceAccount>, String), Fault> {
    let (beyond, order_by) = match order {
        Order::ClientId => (" AND client_id > ", " ORDER BY client_id LIMIT "),
        Order::ClientIdDescending => (" AND client_id < ", " ORDER BY client_id DESC LIMIT "),
    };
    let rows: Vec<Row> = on!(db, |c| {
        let mut query = QueryBuilder::new(LIST);
        if let Some(disabled) = disabled {
            query.push(" AND disabled = ").push_bind(disabled);
        }
        if let Some(last) = page.after.as_ref().and_then(Cursor::sort_text) {
            query.push(beyond).push_bind(last);
        }
        query.push(order_by).push_bind(page.limit());
        query.build_query_as().fetch_all(c).await
    })?;
    let accounts = rows
        .into_iter()
        .map(ServiceAccount::try_from)
        .collect::<Result<Vec<_>, Fault>>()?;
    // The client id is unique: it needs no tie-breaker.
    Ok(page.finish(accounts, |account| {
        Cursor::text(account.client_id.clone(), 0)
    }))
}
