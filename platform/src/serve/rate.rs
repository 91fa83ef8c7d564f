//! How often one principal may call, and how often one address may try to log in.

use std::{
    collections::HashSet,
    convert::Infallible,
    future::{Ready, ready},
    hash::Hash,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::future::Either;
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::DefaultKeyedStateStore,
};
use http::{Request, Response};
use millgate_guard::{Caller, HEALTH_SERVICE};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use crate::{
    client_address::ClientInfo,
    config::Limits,
    fault::{Fault, Reason},
};

type Keyed<K> = RateLimiter<
    K,
    DefaultKeyedStateStore<K>,
    DefaultClock,
    NoOpMiddleware<<DefaultClock as governor::clock::Clock>::Instant>,
>;

/// After this many calls, those who have not called for long enough are forgotten. One sweep
/// looks at everybody, so it must not come with every call.
const SWEEP_EVERY: u64 = 4096;

/// Who a call counts for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Principal(String),
    Address(IpAddr),
}

/// Limits calls by principal and logins by address. It stands behind the guard: a caller
/// without a good token never fills anybody's share.
#[derive(Clone)]
pub(super) struct RateLayer {
    rates: Arc<Rates>,
}

struct Rates {
    calls: Option<Keyed<Key>>,
    logins: Option<Keyed<IpAddr>>,
    login_paths: HashSet<String>,
    counted: AtomicU64,
}

impl RateLayer {
    pub(super) fn new(limits: &Limits) -> Self {
        let calls = NonZeroU32::new(limits.calls_per_second).map(|rate| {
            let burst = NonZeroU32::new(limits.calls_burst).unwrap_or(rate);
            RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst))
        });
        let logins = NonZeroU32::new(limits.logins.per_minute)
            .map(|rate| RateLimiter::keyed(Quota::per_minute(rate)));
        let login_paths = limits.logins.paths.iter().cloned().collect();
        Self {
            rates: Arc::new(Rates {
                calls,
                logins,
                login_paths,
                counted: AtomicU64::new(1),
            }),
        }
    }
}

impl Rates {
    fn admit<B>(&self, request: &Request<B>) -> Result<(), Fault> {
        self.sweep_now_and_then();
        let path = request.uri().path();
        let caller = request.extensions().get::<Caller>();
        let key = caller.map(Caller::key);
        if let Some(key) = &key {
            tracing::Span::current().record("principal", key.as_str());
        }
        let address = request
            .extensions()
            .get::<ClientInfo>()
            .map(ClientInfo::throttle_key);
        if let (Some(logins), Some(address)) = (&self.logins, address)
            && self.login_paths.contains(path)
        {
            admit(logins, &address, "too many logins from this address")?;
        }
        let Some(calls) = &self.calls else {
            return Ok(());
        };
        let key = match (key, address) {
            (Some(key), _) => Key::Principal(key),
            (None, Some(address)) if !is_health(path) => Key::Address(address),
            (None, _) => return Ok(()),
        };
        admit(calls, &key, "too many calls")
    }
}

impl Rates {
    fn sweep_now_and_then(&self) {
        if self
            .counted
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(SWEEP_EVERY)
        {
            if let Some(calls) = &self.calls {
                calls.retain_recent();
            }
            if let Some(logins) = &self.logins {
                logins.retain_recent();
            }
        }
    }
}

/// Orchestrators ask often, and from one address for everybody.
pub(super) fn is_health(path: &str) -> bool {
    path.strip_prefix('/')
        .and_then(|path| path.split_once('/'))
        .is_some_and(|(service, _)| service == HEALTH_SERVICE)
}

fn admit<K: Hash + Eq + Clone>(limiter: &Keyed<K>, key: &K, message: &str) -> Result<(), Fault> {
    limiter.check_key(key).map_err(|refused| {
        let wait = refused.wait_time_from(DefaultClock::default().now());
        Fault::new(Reason::RateLimited, message).with_retry_after(whole_millis(wait))
    })
}

/// Rounded up: a caller that waits exactly this long gets through.
fn whole_millis(wait: Duration) -> Duration {
    Duration::from_millis(
        u64::try_from(wait.as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(1),
    )
}

impl<S> Layer<S> for RateLayer {
    type Service = RateService<S>;

    fn layer(&self, inner: S) -> RateService<S> {
        RateService {
            inner,
            rates: self.rates.clone(),
        }
    }
}

/// A service behind the [`RateLayer`].
#[derive(Clone)]
pub(super) struct RateService<S> {
    inner: S,
    rates: Arc<Rates>,
}

impl<S, B> Service<Request<B>> for RateService<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.rates.admit(&request) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(fault) => Either::Right(ready(Ok(Status::from(fault).into_http()))),
        }
    }
}
