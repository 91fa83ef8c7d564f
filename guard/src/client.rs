//! The client side: a service that calls another one attaches its own token, and renews it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};
use zeroize::Zeroizing;

use crate::ambient::SharedClock;
use crate::refusal::Refusal;

/// After a failed renewal the next attempt waits this long, while the old token lives.
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
}

/// A token with its times in microseconds since the Unix epoch.
#[derive(Clone)]
struct Held {
    token: SecretString,
    renew_at: i64,
    expires_at: i64,
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
        let now = self.0.clock.now_micros();
        let (held, failures, retry_at) = {
            let state = self.state();
            (state.held.clone(), state.failures, state.retry_at)
        };
        match held {
            Some(held) if now < held.renew_at => Ok(held.token),
            Some(held) if now < held.expires_at => {
                // The old one still serves: only one caller renews, and only now and then.
                if now >= retry_at
                    && let Ok(_flight) = self.0.flight.try_lock()
                    && let Ok(renewed) = self.fetch().await
                {
                    return Ok(renewed);
                }
                Ok(held.token)
            }
            _ => {
                let _flight = self.0.flight.lock().await;
                if let Some(fetched) = self.fetched_meanwhile(failures)? {
                    return Ok(fetched);
                }
                self.fetch().await
            }
        }
    }

    /// Drops the token that is kept, when a service that it was sent to refused it.
    pub fn forget(&self) {
        self.state().held = None;
    }

    /// What the flight that we waited for brought: a token, a failure, or there was none.
    fn fetched_meanwhile(&self, failures_before: u64) -> Result<Option<SecretString>, Status> {
        let now = self.0.clock.now_micros();
        let state = self.state();
        match &state.held {
            Some(held) if now < held.expires_at => Ok(Some(held.token.clone())),
            _ if state.failures != failures_before => Err(Refusal::AuthUnavailable.into()),
            _ => Ok(None),
        }
    }

    async fn fetch(&self) -> Result<SecretString, Status> {
        let asked_at = self.0.clock.now_micros();
        match (self.0.fetch)().await {
            Ok(issued) => {
                let life = i64::try_from(issued.expires_in.as_micros()).unwrap_or(i64::MAX);
                let mut state = self.state();
                state.held = Some(Held {
                    token: issued.access_token.clone(),
                    renew_at: asked_at.saturating_add(life / 3 * 2),
                    expires_at: asked_at.saturating_add(life),
                });
                Ok(issued.access_token)
            }
            Err(status) => {
                let mut state = self.state();
                state.failures += 1;
                state.retry_at = self.0.clock.now_micros().saturating_add(RETRY_PAUSE_MICROS);
                drop(state);
                tracing::warn!(code = ?status.code(), message = status.message(),
                    "no service token from the auth service");
                Err(Refusal::AuthUnavailable.into())
            }
        }
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
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::testing::ManualClock;

    /// An auth service that counts how often it is asked, and can be down.
    #[derive(Default)]
    struct Auth {
        asked: AtomicUsize,
        down: std::sync::atomic::AtomicBool,
    }

    impl Auth {
        fn source(self: &Arc<Self>, clock: &Arc<ManualClock>) -> TokenSource {
            let auth = self.clone();
            let fetch = move || -> BoxFuture<'static, Result<IssuedToken, Status>> {
                let auth = auth.clone();
                Box::pin(async move {
                    let count = auth.asked.fetch_add(1, Ordering::SeqCst) + 1;
                    tokio::task::yield_now().await;
                    if auth.down.load(Ordering::SeqCst) {
                        return Err(Status::internal("secret details"));
                    }
                    Ok(IssuedToken {
                        access_token: SecretString::from(format!("token-{count}")),
                        expires_in: Duration::from_secs(900),
                    })
                })
            };
            TokenSource::new(fetch, clock.clone())
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }

        fn set_down(&self, down: bool) {
            self.down.store(down, Ordering::SeqCst);
        }
    }

    fn desk() -> (Arc<Auth>, Arc<ManualClock>, TokenSource) {
        let (auth, clock) = (Arc::new(Auth::default()), ManualClock::shared(0));
        let source = auth.source(&clock);
        (auth, clock, source)
    }

    async fn token(source: &TokenSource) -> Result<String, Status> {
        source
            .token()
            .await
            .map(|token| token.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn a_request_gets_one_hidden_bearer_entry() {
        let (_auth, _clock, source) = desk();
        let mut request = Request::new(());
        request
            .metadata_mut()
            .append("authorization", "Bearer users".parse().unwrap());
        source.authorize(&mut request).await.unwrap();
        let entries: Vec<_> = request.metadata().get_all("authorization").iter().collect();
        assert_eq!(entries, ["Bearer token-1"]);
        assert!(!format!("{request:?}").contains("token-1"));
    }

    #[tokio::test]
    async fn a_token_is_kept_for_two_thirds_of_its_life() {
        let (auth, clock, source) = desk();
        assert_eq!(token(&source).await.unwrap(), "token-1");
        clock.advance(Duration::from_secs(599));
        assert_eq!(token(&source).await.unwrap(), "token-1");
        assert_eq!(auth.asked(), 1);
        clock.advance(Duration::from_secs(1));
        assert_eq!(token(&source).await.unwrap(), "token-2");
    }

    #[tokio::test]
    async fn of_many_callers_one_fetches() {
        let (auth, clock, source) = desk();
        let tokens = join_all((0..50).map(|_| token(&source))).await;
        assert!(
            tokens
                .iter()
                .all(|token| token.as_deref().is_ok_and(|it| it == "token-1"))
        );
        assert_eq!(auth.asked(), 1);
        clock.advance(Duration::from_secs(700));
        let renewed = join_all((0..50).map(|_| token(&source))).await;
        assert!(renewed.iter().all(Result::is_ok));
        assert_eq!(auth.asked(), 2);
    }

    #[tokio::test]
    async fn a_living_token_outlives_an_auth_service_that_is_down() {
        let (auth, clock, source) = desk();
        token(&source).await.unwrap();
        auth.set_down(true);
        clock.advance(Duration::from_secs(700));
        for _ in 0..10 {
            assert_eq!(token(&source).await.unwrap(), "token-1");
        }
        // Not hammered while it is down.
        assert_eq!(auth.asked(), 2);
        clock.advance(Duration::from_secs(1));
        assert_eq!(token(&source).await.unwrap(), "token-1");
        assert_eq!(auth.asked(), 3);
        auth.set_down(false);
        clock.advance(Duration::from_secs(1));
        assert_eq!(token(&source).await.unwrap(), "token-4");
    }

    #[tokio::test]
    async fn without_a_living_token_the_call_is_unavailable_and_tells_no_details() {
        let (auth, clock, source) = desk();
        token(&source).await.unwrap();
        auth.set_down(true);
        clock.advance(Duration::from_secs(900));
        let refused = join_all((0..20).map(|_| token(&source))).await;
        for status in refused {
            let status = status.unwrap_err();
            assert_eq!(status.code(), tonic::Code::Unavailable);
            assert_eq!(
                status.get_details_error_info().unwrap().reason,
                "AUTH_UNAVAILABLE"
            );
            assert!(!status.message().contains("secret"));
        }
        // Those who waited share the failure.
        assert_eq!(auth.asked(), 2);
        auth.set_down(false);
        assert_eq!(token(&source).await.unwrap(), "token-3");
    }

    #[tokio::test]
    async fn a_forgotten_token_is_fetched_anew() {
        let (_auth, _clock, source) = desk();
        token(&source).await.unwrap();
        source.forget();
        assert_eq!(token(&source).await.unwrap(), "token-2");
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_does_not_stop_the_others() {
        let (auth, _clock, source) = desk();
        {
            let mut abandoned = Box::pin(source.token());
            let waker = futures::task::noop_waker();
            let mut context = std::task::Context::from_waker(&waker);
            assert!(abandoned.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(token(&source).await.unwrap(), "token-2");
        assert_eq!(auth.asked(), 2);
    }
}
