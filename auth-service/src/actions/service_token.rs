//! A service account gets an access token.

use millgate_guard::Scopes;
use millgate_platform::Fault;

use super::{attempt, credentials_invalid};
use crate::app::App;
use crate::audit::Event;
use crate::domain::{ClientId, ClientSecret, ServiceAccount};
use crate::origin::Origin;
use crate::store;
use crate::tokens::AccessToken;

/// Trades credentials for a token with the scopes `asked`, or all that the account has.
///
/// An unknown client, a wrong secret and a disabled account get the same answer after the same work. `client` is none
/// for an id that no account can have.
///
/// # Errors
/// CREDENTIALS_INVALID, or RATE_LIMITED after many wrong secrets from the same address; SCOPE_DENIED for a scope that
/// the account does not have.
pub(crate) async fn issue(
    app: &App,
    client: Option<&ClientId>,
    secret: &ClientSecret,
    asked: Option<Scopes>,
    origin: &Origin,
) -> Result<(AccessToken, Scopes), Fault> {
    let id = client.map_or("", ClientId::as_str);
    if secret.is_broken() {
        // No account has it, whatever the client is called: neither the account nor the throttle is asked.
        let event = Event {
            what: "service_token",
            cause: "broken_secret",
            ..Event::default()
        };
        event.refused(app, origin);
        return Err(credentials_invalid());
    }
    // Before the account is read: a token is never newer than what is known of its account.
    let now = app.now();
    let found = store::service_accounts::by_id(&app.db, id, now).await?;
    let proof = ServiceAccount::proven_by(found.as_ref(), secret, &app.client_key);
    // An id that no account has may be anything that somebody typed.
    let known = found.as_ref().map(|account| account.client_id.clone());
    let event = |cause| Event {
        what: "service_token",
        cause,
        client_id: known.as_deref().unwrap_or_default(),
        ..Event::default()
    };
    let (Some(account), Some(proof)) = (&found, proof) else {
        event("credentials").refused(app, origin);
        attempt::service_failed(app, origin.network).await?;
        return Err(credentials_invalid());
    };
    let scopes = account
        .grant(asked)
        .inspect_err(|_| event("scope").refused(app, origin))?;
    if proof.use_is_news(now) {
        store::service_account_secrets::mark_used(&app.db, &account.client_id, proof.id, now)
            .await?;
    }
    event("").noted(app, origin);
    Ok((app.mint.service(&account.client_id, &scopes, now), scopes))
}
