//! Finishes or undoes what a crash or a silent auth service left half done.
//!
//! Several replicas may run it: each piece of work is taken by moving its next look forward, which only one can do.

use std::time::Duration;

use millgate_platform::{Fault, Idempotency};

use super::{SharedRegistrar, undone};
use crate::domain::registration::{KEPT, RegistrationState, backoff, late_look};
use crate::store::{login, product_import, registration as store};

/// The shortest pause between two rounds; up to twice as long, so that replicas do not march in step.
const PAUSE: Duration = Duration::from_secs(2);
/// The most that one round takes on of each kind.
const ROUND: i64 = 20;
/// How often what is past its time is deleted, microseconds.
const PURGE_INTERVAL: i64 = 600 * 1_000_000;

/// Whether a round may go on: auth answers, or it does not and the rest would only wait as well.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    GoOn,
    Stop,
}

/// Runs until it is dropped: at once, and then every few seconds.
pub(crate) async fn run(registrar: SharedRegistrar, idempotency: Idempotency) {
    let mut purged = i64::MIN;
    loop {
        if let Err(fault) = round(&registrar).await {
            tracing::warn!(%fault, "a round of the reconciler failed");
        }
        let now = registrar.clock.now_micros();
        if now.saturating_sub(purged) >= PURGE_INTERVAL {
            purged = now;
            if let Err(fault) = purge(&registrar, &idempotency, now).await {
                tracing::warn!(%fault, "what is past its time could not be deleted");
            }
        }
        tokio::time::sleep(PAUSE + jitter(&registrar)).await;
    }
}

/// Looks once at everything that is due.
pub(crate) async fn round(registrar: &SharedRegistrar) -> Result<(), Fault> {
    let now = registrar.clock.now_micros();
    for id in store::due(&registrar.db, now, ROUND).await? {
        if store::take(&registrar.db, &id, now, now + backoff(2)).await?
            && look(registrar, &id).await? == Round::Stop
        {
            return Ok(());
        }
    }
    for (user_id, attempts) in login::due(&registrar.db, now, ROUND).await? {
        let next = now + backoff(attempts.saturating_add(1));
        if login::take(&registrar.db, user_id, now, next).await?
            && !registrar.end_login(user_id).await
        {
            return Ok(());
        }
    }
    Ok(())
}

/// Asks auth whether it has the user of a registration, and settles it by the answer.
async fn look(registrar: &SharedRegistrar, id: &str) -> Result<Round, Fault> {
    let user = match registrar.auth.find_customer(id).await {
        Ok(user) => user,
        Err(refused) => {
            tracing::warn!(
                registration = id,
                ?refused,
                "auth does not say whether it has the user"
            );
            return Ok(Round::Stop);
        }
    };
    match user {
        Some(user_id) => {
            registrar.finish(id, user_id).await?;
            tracing::info!(registration = id, user_id, "reconciled: auth has the user");
        }
        None => without_user(registrar, id).await?,
    }
    Ok(Round::GoOn)
}

/// Auth has no such user: undoes a registration that no call drives, and looks again later, because a request may be
/// long under way.
async fn without_user(registrar: &SharedRegistrar, id: &str) -> Result<(), Fault> {
    let now = registrar.clock.now_micros();
    let mut tx = registrar.db.begin().await?;
    let Some(found) = store::lock(&mut tx, id).await? else {
        return Ok(());
    };
    match found.state {
        RegistrationState::Pending if found.held_until > now => return Ok(()),
        RegistrationState::Pending => {
            undone(&mut tx, id, late_look(0).map(|after| now + after), now).await?;
            tracing::info!(registration = id, "reconciled: auth has no user, undone");
        }
        RegistrationState::Undone => {
            let next = late_look(found.attempts + 1).map(|after| now + after);
            store::look_again(&mut tx, id, next).await?;
        }
        RegistrationState::Done => store::look_again(&mut tx, id, None).await?,
    }
    tx.commit().await
}

async fn purge(
    registrar: &SharedRegistrar,
    idempotency: &Idempotency,
    now: i64,
) -> Result<(), Fault> {
    idempotency.purge(&registrar.db).await?;
    store::purge(&registrar.db, now - KEPT).await?;
    product_import::purge(&registrar.db, now).await?;
    Ok(())
}

fn jitter(registrar: &SharedRegistrar) -> Duration {
    let mut bytes = [0; 2];
    registrar.entropy.fill(&mut bytes);
    PAUSE.mul_f64(f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX))
}
