//! Deletes what nobody will ask for again.

use std::sync::Arc;
use std::time::Duration;

use millgate_platform::Fault;

use crate::app::App;
use crate::domain::micros;
use crate::domain::totp::forgotten_before;
use crate::store;

const INTERVAL: Duration = Duration::from_secs(10 * 60);
/// How long an old session is kept beyond the time that any session can live: its tokens are still told that it ended.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an expired personal access token is still listed.
const ENDED_TOKENS: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long an import can be resumed: beyond that nobody comes back to it.
const RESUMABLE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Sweeps now and then, until it is dropped.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        if let Err(fault) = sweep(&app).await {
            tracing::warn!(%fault, "old rows were not deleted; the next sweep tries again");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Deletes old sessions with their refresh tokens, counters of attempts that are forgotten, secrets that were replaced,
/// logins that got no code, second factors that were not confirmed, personal access tokens and revoked tokens that have
/// expired, and answers that are past their time.
async fn sweep(app: &App) -> Result<(), Fault> {
    let before = app
        .now()
        .saturating_sub(micros(app.sessions.absolute))
        .saturating_sub(micros(GRACE));
    while store::sessions::purge(&app.db, before).await? > 0 {
        tokio::task::yield_now().await;
    }
    while store::throttle::purge(&app.db, app.now()).await? > 0 {
        tokio::task::yield_now().await;
    }
    while store::login_challenges::purge(&app.db, app.now()).await? > 0 {
        tokio::task::yield_now().await;
    }
    let forgotten = forgotten_before(app.now());
    while store::second_factors::purge_pending(&app.db, forgotten).await? > 0 {
        tokio::task::yield_now().await;
    }
    let ended = app.now().saturating_sub(micros(ENDED_TOKENS));
    while store::access_tokens::purge(&app.db, ended).await? > 0 {
        tokio::task::yield_now().await;
    }
    while store::revoked_tokens::purge(&app.db, app.now()).await? > 0 {
        tokio::task::yield_now().await;
    }
    store::service_account_secrets::purge(&app.db, app.now()).await?;
    app.idempotency.purge(&app.db).await?;
    let before = app.now().saturating_sub(micros(RESUMABLE));
    store::imports::purge(&app.db, before).await?;
    store::password_resets::purge(&app.db, app.now()).await?;
    Ok(())
}
