//! What a fresh database gets at its first start: an administrator, and the factory's service account. Once, also when
//! several replicas start together; what is there already is left alone.

use millgate_platform::StartError;
use secrecy::{ExposeSecret, SecretString};

use crate::app::App;
use crate::audit::Event;
use crate::config::Checked;
use crate::domain::{ClientSecret, LiveSecret, NewPassword, NewServiceAccount, Overlap};
use crate::origin::Origin;
use crate::store;

/// Makes the first administrator if there is none; says whether it did.
///
/// # Errors
/// When there is none and no password for one, or the password or the name cannot be used.
pub(crate) async fn first_admin(
    app: &App,
    checked: &Checked,
    password: Option<SecretString>,
) -> Result<bool, StartError> {
    if store::users::has_an_admin(&app.db).await? {
        return Ok(false);
    }
    let refused = |message: String| StartError::new("AUTH_ADMIN_PASSWORD", message);
    let password = password.ok_or_else(|| {
        refused("is needed (or AUTH_ADMIN_PASSWORD_FILE): there is no administrator yet".to_owned())
    })?;
    let password =
        NewPassword::parse(password.expose_secret()).map_err(|fault| refused(fault.description))?;
    password
        .avoid([checked.admin.as_str()])
        .map_err(|fault| refused(fault.description))?;
    let hash = app.hashing.hash(password.password()).await?;
    let mut tx = app.db.begin().await?;
    let made = store::users::insert_first_admin(&mut tx, &checked.admin, &hash, app.now()).await?;
    if made {
        let event = Event {
            what: "first_admin",
            ..Event::default()
        };
        event.done(&mut tx, app, &Origin::default()).await?;
    }
    tx.commit().await?;
    if made {
        tracing::info!(
            username = checked.admin.as_str(),
            "made the first administrator"
        );
    } else if !store::users::has_an_admin(&app.db).await? {
        let message = "is the name of an account that is no administrator, and there is no other";
        return Err(StartError::new("AUTH_ADMIN_USERNAME", message));
    }
    Ok(made)
}

/// Makes the factory's service account if a secret is configured and there is no account of this id.
///
/// An account that is there already gets the configured secret as its current one when the configuration named another
/// at the last start; the one of until then works on for a day. A secret that was configured at the last start too is
/// left alone: it may have been rotated since, and then the rotation counts.
///
/// # Errors
/// When the secret cannot be one.
pub(crate) async fn factory_account(
    app: &App,
    checked: &Checked,
    secret: Option<SecretString>,
) -> Result<(), StartError> {
    let Some(secret) = secret else { return Ok(()) };
    let secret = ClientSecret::parse(secret.expose_secret())
        .map_err(|message| StartError::new("AUTH_FACTORY_CLIENT_SECRET", message))?;
    let hash = secret.stored(&app.client_key);
    let id = checked.factory.as_str();
    let new = NewServiceAccount {
        client_id: checked.factory.clone(),
        description: "The factory service, made from configuration.".to_owned(),
        scopes: checked.factory_scopes.clone(),
    };
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let made = store::service_accounts::insert_configured(&mut tx, &new, &hash, now).await?;
    let Some(account) = store::service_accounts::lock(&mut tx, id, now).await? else {
        tracing::warn!(
            client_id = id,
            "the service account that AUTH_FACTORY_CLIENT_ID names was deleted; choose another id for a new one"
        );
        return Ok(());
    };
    let renamed = store::service_accounts::configure(&mut tx, id, &hash).await?;
    let is_it = |secret: &LiveSecret| secret.hash == hash;
    let current = account.secrets.last().is_some_and(is_it);
    if (made || renamed) && !current {
        let end = Overlap::default().end(now);
        store::service_account_secrets::replace(&mut tx, id, &hash, end, now).await?;
        store::service_accounts::touch(&mut tx, id, now).await?;
        let event = Event {
            what: "service_account",
            cause: "configured",
            client_id: id,
            ..Event::default()
        };
        event.done(&mut tx, app, &Origin::default()).await?;
    } else if account.disabled || !account.secrets.iter().any(is_it) {
        tracing::warn!(
            client_id = id,
            "AUTH_FACTORY_CLIENT_SECRET does not work any more: the account is disabled, or its secret was rotated \
             through the API; configure the new one, or another"
        );
    }
    tx.commit().await?;
    Ok(())
}
