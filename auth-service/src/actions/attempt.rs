//! An attempt to prove who one is: counted before it is checked, taken back or forgotten after.

use std::net::IpAddr;
use std::time::Duration;

use millgate_guard::{Caller, Principal};
use millgate_platform::{Fault, Reason, Tx};

use crate::app::App;
use crate::domain::Micros;
use crate::domain::throttle::{
    ADDRESS, Counter, OWN_CHANGES, Trying, stored_address, stored_changes,
};
use crate::store;
use crate::store::throttle::Counted;

/// An attempt that was let through. Whoever holds one checks the password or the code, and then says what became of it:
/// [`Attempt::succeeded`], or nothing: an attempt that is dropped has failed. A place in the queue of the hashing pool is
/// taken before: whoever is sent away because the service is busy has not tried.
#[must_use]
pub(crate) struct Attempt {
    /// Nothing where the throttles are switched off.
    counted: Option<(Vec<u8>, i64)>,
    /// The address's bucket, where there is one.
    address: Option<Vec<u8>>,
}

impl Attempt {
    /// Counts an attempt, and one of the address where `from` says which.
    ///
    /// # Errors
    /// RATE_LIMITED when the address has failed too often, ACCOUNT_THROTTLED (MFA_THROTTLED for a second factor) when
    /// others have at this account or name: both with RetryInfo, and before anything is checked.
    pub(crate) async fn begin(
        app: &App,
        counter: Counter<'_>,
        from: Option<IpAddr>,
    ) -> Result<Self, Fault> {
        if !app.throttles {
            return Ok(Self {
                counted: None,
                address: None,
            });
        }
        let now = app.now();
        let address = from.map(|from| stored_address(from, Trying::People, &app.throttle_key));
        let key = counter.stored(&app.throttle_key);
        let mut tx = app.db.begin().await?;
        if let Some(address) = &address
            && let Counted::Blocked(until) =
                store::throttle::fill(&mut tx, address, ADDRESS, now).await?
        {
            return Err(address_throttled(until, now));
        }
        let counted = store::throttle::count(&mut tx, &key, now).await?;
        // Also when the account is blocked: whoever knocks all the same has used up one of the address's attempts.
        tx.commit().await?;
        match counted {
            Counted::Admitted(attempts) => Ok(Self {
                counted: Some((key, attempts)),
                address,
            }),
            Counted::Blocked(until) => Err(throttled(counter, until, now)),
        }
    }

    /// It was good: all attempts since the last good one are forgotten, and the address has not failed.
    ///
    /// # Errors
    /// STORE_UNAVAILABLE.
    pub(crate) async fn succeeded(&self, tx: &mut Tx) -> Result<(), Fault> {
        if let Some(address) = &self.address {
            store::throttle::pour_back(tx, address).await?;
        }
        if let Some((key, _)) = &self.counted {
            store::throttle::clear(tx, key).await?;
        }
        Ok(())
    }

    /// The password was good, but a code is still missing: the address has not failed, and the attempts at the account
    /// stay counted until the login is complete. Gives how many there are.
    ///
    /// # Errors
    /// STORE_UNAVAILABLE.
    pub(super) async fn half_succeeded(&self, tx: &mut Tx) -> Result<i64, Fault> {
        if let Some(address) = &self.address {
            store::throttle::pour_back(tx, address).await?;
        }
        Ok(self.counted.as_ref().map_or(0, |(_, attempts)| *attempts))
    }
}

/// Refuses the second step of a login while the account's throttle does, for passwords tried since its first step: that
/// one was let through, and was attempt number `since`.
///
/// # Errors
/// ACCOUNT_THROTTLED with RetryInfo.
pub(super) async fn refused_since(app: &App, user_id: i64, since: i64) -> Result<(), Fault> {
    if !app.throttles {
        return Ok(());
    }
    let (counter, now) = (Counter::Account(user_id), app.now());
    let key = counter.stored(&app.throttle_key);
    match store::throttle::look_at(&app.db, &key).await? {
        Some((attempts, until)) if attempts > since && until > now => {
            Err(throttled(counter, until, now))
        }
        _ => Ok(()),
    }
}

/// Forgets the failed attempts of one kind: the login that they were part of is complete.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(super) async fn forgive(app: &App, tx: &mut Tx, counter: Counter<'_>) -> Result<(), Fault> {
    if !app.throttles {
        return Ok(());
    }
    store::throttle::clear(tx, &counter.stored(&app.throttle_key)).await
}

/// Counts a failed attempt at a service account, after the check: the secrets are long and random, so the right one is
/// never kept waiting, whoever guesses from the same address. What is refused is the flood of wrong ones.
///
/// # Errors
/// RATE_LIMITED with RetryInfo.
pub(crate) async fn service_failed(app: &App, from: Option<IpAddr>) -> Result<(), Fault> {
    let (true, Some(from)) = (app.throttles, from) else {
        return Ok(());
    };
    let now = app.now();
    let key = stored_address(from, Trying::Services, &app.throttle_key);
    let mut tx = app.db.begin().await?;
    let counted = store::throttle::fill(&mut tx, &key, ADDRESS, now).await?;
    tx.commit().await?;
    match counted {
        Counted::Admitted(_) => Ok(()),
        Counted::Blocked(until) => Err(address_throttled(until, now)),
    }
}

/// Counts a change of an account that `caller` makes to their own, which will be a row of the audit log; nobody else's
/// counts. The first thing in its transaction, before the account is held.
///
/// # Errors
/// RATE_LIMITED with RetryInfo.
pub(super) async fn own_change(
    app: &App,
    tx: &mut Tx,
    caller: &Caller,
    user_id: i64,
) -> Result<(), Fault> {
    let is_own = matches!(caller.principal(), Principal::User { id, .. } if *id == user_id);
    if !app.throttles || !is_own {
        return Ok(());
    }
    let (key, now) = (stored_changes(user_id, &app.throttle_key), app.now());
    match store::throttle::fill(tx, &key, OWN_CHANGES, now).await? {
        Counted::Admitted(_) => Ok(()),
        Counted::Blocked(until) => {
            let fault = Fault::new(Reason::RateLimited, "too many changes of this account");
            Err(fault.with_retry_after(wait(until, now)))
        }
    }
}

/// Forgets all failed attempts at an account: an administrator unlocks it.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn forget(app: &App, tx: &mut Tx, user_id: i64) -> Result<(), Fault> {
    for counter in Counter::of_account(user_id) {
        store::throttle::clear(tx, &counter.stored(&app.throttle_key)).await?;
    }
    Ok(())
}

fn throttled(counter: Counter<'_>, until: Micros, now: Micros) -> Fault {
    let fault = match counter {
        Counter::Account(_) | Counter::Unknown(_) | Counter::Holder(_) => Fault::new(
            Reason::AccountThrottled,
            "too many failed attempts at this account; try again later",
        ),
        Counter::SecondFactor(_) => Fault::new(
            Reason::MfaThrottled,
            "too many failed codes for this account; try again later",
        ),
    };
    fault.with_retry_after(wait(until, now))
}

fn address_throttled(until: Micros, now: Micros) -> Fault {
    Fault::new(
        Reason::RateLimited,
        "too many failed attempts from this address",
    )
    .with_retry_after(wait(until, now))
}

/// Rounded up to whole seconds: who waits exactly this long gets through.
fn wait(until: Micros, now: Micros) -> Duration {
    const SECOND: Micros = 1_000_000;
    let micros = until.saturating_sub(now).max(0);
    let seconds = micros / SECOND + Micros::from(micros % SECOND > 0);
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}
