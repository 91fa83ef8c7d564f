//! What a fresh database gets at its first start: an administrator, and the factory's service account. Once, also when
//! several replicas start together; what is there already is left alone.

use millgate_platform::StartError;
use secrecy::{ExposeSecret, SecretString};

use crate::app::App;
use crate::audit::Event;
use crate::config::Checked;
use crate::domain::{ClientSecret, NewPassword, ServiceAccount};
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
/// # Errors
/// When the secret is too short.
pub(crate) async fn factory_account(
    app: &App,
    checked: &Checked,
    secret: Option<SecretString>,
) -> Result<(), StartError> {
    let Some(secret) = secret else { return Ok(()) };
    let secret = ClientSecret::parse(secret.expose_secret())
        .map_err(|message| StartError::new("AUTH_FACTORY_CLIENT_SECRET", message))?;
    let id = checked.factory.as_str();
    let hash = secret.stored(&app.client_key);
    let mut tx = app.db.begin().await?;
    if store::service_accounts::insert_if_absent(
        &mut tx,
        id,
        &hash,
        &checked.factory_scopes,
        app.now(),
    )
    .await?
    {
        let event = Event {
            what: "service_account",
            client_id: id,
            ..Event::default()
        };
        event.done(&mut tx, app, &Origin::default()).await?;
        return Ok(tx.commit().await?);
    }
    drop(tx);
    let account = store::service_accounts::by_id(&app.db, id).await?;
    if !ServiceAccount::proves(account.as_ref(), &secret, &app.client_key) {
        tracing::warn!(
            client_id = id,
            "AUTH_FACTORY_CLIENT_SECRET does not fit the service account, or it is disabled; it was left as it is"
        );
    }
    Ok(())
}
