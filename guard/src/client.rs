//! The client side: a service that calls another one attaches its own token, and renews it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Status};
use zeroize::Zeroizing;

use crate::ambient::SharedClock;
use crate::refusal::Refusal;

/// Between two attempts at a renewal lies at least this much, while the old token lives; and
/// between two refusals that make a token forgotten.
const RETRY_PAUSE_MICROS: i64 = 1_000_000;

/// A token as the auth service gave it.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The access token.
    pub access_token: SecretString,
    /// How long it lives from now.
    pub expires_in: Duration,
}

type Fetch = dyn Fn() -> BoxFuture<'static, Result<IssuedToken, Status>> + Send + Sync;

/// Keeps a service's token and renews it at two thirds of its life. However many calls need a
/// token at once, one of them fetches it. Clones share the token.
#[derive(Clone)]
pub struct TokenSource(Arc<Inner>);

struct Inner {
    fetch: Box<Fetch>,
    clock: SharedClock,
    state: Mutex<State>,
    /// Held by the one caller that fetches.
    flight: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// How many fetches have failed; tells a waiter that the flight it waited for was one.
    failures: u64,
    /// No renewal before this moment, in microseconds.
    retry_at: i64,
    /// No token is dropped before this moment, in microseconds.
    forget_at: i64,
}

/// A token with its times in microseconds since the Unix epoch.
#[derive(Clone)]
struct Held {
    token: SecretString,
    renew_at: i64,
    expires_at: i64,
}

impl Held {
    /// The life is counted from the question: the answer may have been on its way for long.
    fn new(issued: IssuedToken, asked_at: i64) -> Self {
        let life = i64::try_from(issued.expires_in.as_micros()).unwrap_or(i64::MAX);
        Self {
            token: issued.access_token,
            renew_at: asked_at.saturating_add(life / 3 * 2),
            expires_at: asked_at.saturating_add(life),
        }
    }

    fn living(&self, now: i64) -> Option<SecretString> {
        (now < self.expires_at).then(|| self.token.clone())
    }
}

/// Lets the next service see the same caller: passes the credential of the request that is being
/// served on to a request that it causes, in place of any that is there.
pub fn pass_on<T>(served: &MetadataMap, request: &mut Request<T>) {
    request.metadata_mut().remove("authorization");
    if let Some(entry) = served.get("authorization") {
        let mut entry = entry.clone();
        entry.set_sensitive(true);
        request.metadata_mut().insert("authorization", entry);
    }
}

impl TokenSource {
    /// A source that asks `fetch` for tokens, first when one is needed.
    pub fn new(
        fetch: impl Fn() -> BoxFuture<'static, Result<IssuedToken, Status>> + Send + Sync + 'static,
        clock: SharedClock,
    ) -> Self {
        Self(Arc::new(Inner {
            fetch: Box::new(fetch),
            clock,
            state: Mutex::default(),
            flight: tokio::sync::Mutex::new(()),
        }))
    }

    /// Sets the `authorization` entry of a request, in place of any that is there.
    ///
    /// # Errors
    /// AUTH_UNAVAILABLE when there is no living token and none could be fetched. Why is logged,
    /// not told: it is not about the caller whose request is waiting.
    pub async fn authorize<T>(&self, request: &mut Request<T>) -> Result<(), Status> {
        let token = self.token().await?;
        let entry = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
        let mut entry = MetadataValue::try_from(entry.as_str()).map_err(|_| {
            tracing::error!("the auth service gave a token that no metadata can carry");
            Status::from(Refusal::AuthUnavailable)
        })?;
        entry.set_sensitive(true);
        request.metadata_mut().insert("authorization", entry);
        Ok(())
    }

    /// A living token.
    ///
    /// # Errors
    /// As [`TokenSource::authorize`].
    pub async fn token(&self) -> Result<SecretString, Status> {
        let now = self.now();
        let (held, failures) = {
            let state = self.state();
            (state.held.clone(), state.failures)
        };
        match held.filter(|held| now < held.expires_at) {
            Some(held) if now < held.renew_at => Ok(held.token),
            Some(held) => {
                // The old one still serves: only one caller renews, and only now and then.
                if let Ok(_flight) = self.0.flight.try_lock()
                    && self.begin_renewal()
                    && let Ok(renewed) = self.fetch().await
                {
                    return Ok(renewed);
                }
                held.living(self.now())
                    .ok_or_else(|| Refusal::AuthUnavailable.into())
            }
            None => {
                let _flight = self.0.flight.lock().await;
                if let Some(fetched) = self.fetched_meanwhile(failures)? {
                    return Ok(fetched);
                }
                self.fetch().await
            }
        }
    }

    /// Drops the token that is kept, when a service that it was sent to refused it. Of many calls
    /// that were refused together the first drops it; the others would drop its successor.
    pub fn forget(&self) {
        let now = self.now();
        let mut state = self.state();
        if now >= state.forget_at {
            state.held = None;
            state.forget_at = now.saturating_add(RETRY_PAUSE_MICROS);
        }
    }

    /// Whether a renewal is due, now that nobody else is at it. It counts as an attempt from its
    /// begin: a caller that gives up on one that hangs must not leave it to the next.
    fn begin_renewal(&self) -> bool {
        let now = self.now();
        let mut state = self.state();
        let due =
            now >= state.retry_at && state.held.as_ref().is_none_or(|held| now >= held.renew_at);
        if due {
            state.retry_at = now.saturating_add(RETRY_PAUSE_MICROS);
        }
        due
    }

    /// What the flight that we waited for brought: a token, a failure, or there was none.
    fn fetched_meanwhile(&self, failures_before: u64) -> Result<Option<SecretString>, Status> {
        let now = self.now();
        let state = self.state();
        match state.held.as_ref().and_then(|held| held.living(now)) {
            Some(token) => Ok(Some(token)),
            None if state.failures != failures_before => Err(Refusal::AuthUnavailable.into()),
            None => Ok(None),
        }
    }

    async fn fetch(&self) -> Result<SecretString, Status> {
        let asked_at = self.now();
        let fetched = (self.0.fetch)().await.and_then(|issued| {
            let held = Held::new(issued, asked_at);
            match held.living(self.now()) {
                Some(token) => Ok((held, token)),
                None => Err(Status::deadline_exceeded("the token ended on its way")),
            }
        });
        let mut state = self.state();
        match fetched {
            Ok((held, token)) => {
                state.held = Some(held);
                Ok(token)
            }
            Err(status) => {
                state.failures += 1;
                state.retry_at = self.now().saturating_add(RETRY_PAUSE_MICROS);
                drop(state);
                tracing::warn!(code = ?status.code(), cause = status.message(),
                    "no service token from the auth service");
                Err(Refusal::AuthUnavailable.into())
            }
        }
    }

    fn now(&self) -> i64 {
        self.0.clock.now_micros()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
