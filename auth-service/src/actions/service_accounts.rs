//! What administrators do with service accounts.

use millgate_contract::auth::v1 as pb;
use millgate_guard::Caller;
use millgate_platform::{Etag, Fault, Page, Tx};

use crate::app::App;
use crate::audit::Event;
use crate::domain::{
    ClientSecret, MachineSecret, NewServiceAccount, Overlap, SecretKind, ServiceAccount,
    ServiceAccountChange, service_account_not_found,
};
use crate::origin::Origin;
use crate::store;
use crate::store::service_accounts::Order;
use crate::wire;

/// Makes an account. The answer alone holds its secret.
///
/// # Errors
/// CLIENT_ID_TAKEN, REQUEST_ID_REUSED.
pub(crate) async fn create(
    app: &App,
    caller: &Caller,
    new: &NewServiceAccount,
    request: pb::CreateServiceAccountRequest,
    origin: &Origin,
) -> Result<pb::ServiceAccount, Fault> {
    let (request_id, body) = wire::without_id(request, |request| &mut request.request_id);
    let mut tx = app.db.begin().await?;
    let mut once = app
        .idempotency
        .claim(
            &mut tx,
            &caller.key(),
            "CreateServiceAccount",
            &request_id,
            &body,
        )
        .await?;
    if let Some(answer) = once.replay() {
        return Ok(answer);
    }
    let id = new.client_id.as_str();
    let (secret, now) = (new_secret(app), app.now());
    store::service_accounts::insert(&mut tx, new, now).await?;
    let hash = ClientSecret::from(&secret).stored(&app.client_key);
    store::service_account_secrets::replace(&mut tx, id, &hash, None, now).await?;
    let answer = wire::service_account(&held(app, &mut tx, id, "").await?);
    // Without the secret: what is remembered here would otherwise be a place to steal it from.
    once.record(&mut tx, &answer).await?;
    tell(app, &mut tx, "create_service_account", caller, id, origin).await?;
    tx.commit().await?;
    Ok(showing(&secret, answer))
}

/// An account.
///
/// # Errors
/// SERVICE_ACCOUNT_NOT_FOUND.
pub(crate) async fn get(app: &App, id: &str) -> Result<ServiceAccount, Fault> {
    store::service_accounts::by_id(&app.db, id, app.now())
        .await?
        .ok_or_else(service_account_not_found)
}

/// A page of the accounts, and the token of the next one.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn list(
    app: &App,
    disabled: Option<bool>,
    order: Order,
    page: &Page,
) -> Result<(Vec<ServiceAccount>, String), Fault> {
    store::service_accounts::page(&app.db, disabled, order, page).await
}

/// Changes what an account is for.
///
/// # Errors
/// SERVICE_ACCOUNT_NOT_FOUND, ETAG_MISMATCH.
pub(crate) async fn update(
    app: &App,
    caller: &Caller,
    id: &str,
    change: &ServiceAccountChange,
    etag: &str,
    origin: &Origin,
) -> Result<ServiceAccount, Fault> {
    let mut tx = app.db.begin().await?;
    let account = held(app, &mut tx, id, etag).await?;
    if change.is_empty() {
        return Ok(account);
    }
    let changed = store::service_accounts::update(&mut tx, id, change, app.now()).await?;
    tell(app, &mut tx, "update_service_account", caller, id, origin).await?;
    tx.commit().await?;
    Ok(ServiceAccount {
        secrets: account.secrets,
        ..changed
    })
}

/// Gives an account another secret. The answer alone holds it. Without an overlap the account's tokens end as well.
///
/// # Errors
/// SERVICE_ACCOUNT_NOT_FOUND, ETAG_MISMATCH, REQUEST_ID_REUSED.
pub(crate) async fn rotate(
    app: &App,
    caller: &Caller,
    overlap: Overlap,
    request: pb::RotateSecretRequest,
    origin: &Origin,
) -> Result<pb::ServiceAccount, Fault> {
    let (request_id, body) = wire::without_id(request, |request| &mut request.request_id);
    let mut tx = app.db.begin().await?;
    let mut once = app
        .idempotency
        .claim(&mut tx, &caller.key(), "RotateSecret", &request_id, &body)
        .await?;
    if let Some(answer) = once.replay() {
        return Ok(answer);
    }
    let id = body.client_id.as_str();
    held(app, &mut tx, id, &body.etag).await?;
    let (secret, now) = (new_secret(app), app.now());
    let hash = ClientSecret::from(&secret).stored(&app.client_key);
    let end = overlap.end(now);
    store::service_account_secrets::replace(&mut tx, id, &hash, end, now).await?;
    if end.is_none() {
        // The secret has leaked: whoever found it may have got tokens for it.
        store::service_accounts::end_tokens(&mut tx, id, now).await?;
    }
    store::service_accounts::touch(&mut tx, id, now).await?;
    let answer = wire::service_account(&held(app, &mut tx, id, "").await?);
    once.record(&mut tx, &answer).await?;
    tell(
        app,
        &mut tx,
        "rotate_service_account_secret",
        caller,
        id,
        origin,
    )
    .await?;
    tx.commit().await?;
    Ok(showing(&secret, answer))
}

/// Takes an account out of use. One that is out of use already stays as it is.
///
/// # Errors
/// SERVICE_ACCOUNT_NOT_FOUND, ETAG_MISMATCH, REQUEST_ID_REUSED.
pub(crate) async fn disable(
    app: &App,
    caller: &Caller,
    request: pb::DisableServiceAccountRequest,
    origin: &Origin,
) -> Result<pb::ServiceAccount, Fault> {
    let (request_id, body) = wire::without_id(request, |request| &mut request.request_id);
    let mut tx = app.db.begin().await?;
    let mut once = app
        .idempotency
        .claim(
            &mut tx,
            &caller.key(),
            "DisableServiceAccount",
            &request_id,
            &body,
        )
        .await?;
    if let Some(answer) = once.replay() {
        return Ok(answer);
    }
    let id = body.client_id.as_str();
    let changes = !held(app, &mut tx, id, &body.etag).await?.disabled;
    if changes {
        store::service_accounts::disable(&mut tx, id, app.now()).await?;
    }
    let answer = wire::service_account(&held(app, &mut tx, id, "").await?);
    once.record(&mut tx, &answer).await?;
    if changes {
        tell(app, &mut tx, "disable_service_account", caller, id, origin).await?;
    }
    tx.commit().await?;
    Ok(answer)
}

/// Puts an account back into use. One that is in use already stays as it is.
///
/// # Errors
/// SERVICE_ACCOUNT_NOT_FOUND, ETAG_MISMATCH, REQUEST_ID_REUSED.
pub(crate) async fn enable(
    app: &App,
    caller: &Caller,
    request: pb::EnableServiceAccountRequest,
    origin: &Origin,
) -> Result<pb::ServiceAccount, Fault> {
    let (request_id, body) = wire::without_id(request, |request| &mut request.request_id);
    let mut tx = app.db.begin().await?;
    let mut once = app
        .idempotency
        .claim(
            &mut tx,
            &caller.key(),
            "EnableServiceAccount",
            &request_id,
            &body,
        )
        .await?;
    if let Some(answer) = once.replay() {
        return Ok(answer);
    }
    let id = body.client_id.as_str();
    let changes = held(app, &mut tx, id, &body.etag).await?.disabled;
    if changes {
        store::service_accounts::enable(&mut tx, id, app.now()).await?;
    }
    let answer = wire::service_account(&held(app, &mut tx, id, "").await?);
    once.record(&mut tx, &answer).await?;
    if changes {
        tell(app, &mut tx, "enable_service_account", caller, id, origin).await?;
    }
    tx.commit().await?;
    Ok(answer)
}

/// Deletes an account for good.
///
/// # Errors
/// SERVICE_ACCOUNT_NOT_FOUND, ETAG_MISMATCH.
pub(crate) async fn delete(
    app: &App,
    caller: &Caller,
    id: &str,
    etag: &str,
    origin: &Origin,
) -> Result<(), Fault> {
    let mut tx = app.db.begin().await?;
    held(app, &mut tx, id, etag).await?;
    store::service_accounts::delete(&mut tx, id, app.now()).await?;
    tell(app, &mut tx, "delete_service_account", caller, id, origin).await?;
    tx.commit().await?;
    Ok(())
}

/// The account, locked, at this revision.
async fn held(app: &App, tx: &mut Tx, id: &str, etag: &str) -> Result<ServiceAccount, Fault> {
    let account = store::service_accounts::lock(tx, id, app.now())
        .await?
        .ok_or_else(service_account_not_found)?;
    Etag::check(etag, account.revision)?;
    Ok(account)
}

fn new_secret(app: &App) -> MachineSecret {
    MachineSecret::generate(SecretKind::ServiceAccount, app.entropy.as_ref())
}

fn showing(secret: &MachineSecret, answer: pb::ServiceAccount) -> pb::ServiceAccount {
    pb::ServiceAccount {
        client_secret: secret.text().to_owned(),
        ..answer
    }
}

async fn tell(
    app: &App,
    tx: &mut Tx,
    what: &'static str,
    caller: &Caller,
    client_id: &str,
    origin: &Origin,
) -> Result<(), Fault> {
    let event = Event {
        what,
        actor: &caller.key(),
        client_id,
        session: caller.session().unwrap_or_default(),
        ..Event::default()
    };
    event.done(tx, app, origin).await
}
