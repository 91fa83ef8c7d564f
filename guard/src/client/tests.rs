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

/// A source whose auth service takes `takes` for an answer, by the clock, and then gives
/// what `answer` says.
fn slow(
    clock: &Arc<ManualClock>,
    takes: Arc<std::sync::atomic::AtomicU64>,
    answer: impl Fn() -> Result<u64, Status> + Send + Sync + 'static,
) -> TokenSource {
    let ticking = clock.clone();
    let fetch = move || -> BoxFuture<'static, Result<IssuedToken, Status>> {
        ticking.advance(Duration::from_secs(takes.load(Ordering::SeqCst)));
        let issued = answer().map(|seconds| IssuedToken {
            access_token: SecretString::from("token"),
            expires_in: Duration::from_secs(seconds),
        });
        Box::pin(std::future::ready(issued))
    };
    TokenSource::new(fetch, clock.clone())
}

#[tokio::test]
async fn a_token_that_ended_while_it_was_fetched_is_not_handed_out() {
    for (life, takes) in [(0, 0), (5, 5), (5, 60)] {
        let clock = ManualClock::shared(0);
        let source = slow(&clock, Arc::new(takes.into()), move || Ok(life));
        let refused = token(&source).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unavailable, "{life} {takes}");
    }
}

#[tokio::test]
async fn a_token_that_ended_during_a_failed_renewal_is_not_handed_out() {
    let clock = ManualClock::shared(0);
    let takes = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = AtomicUsize::new(0);
    let source = slow(&clock, takes.clone(), move || {
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(900),
            _ => Err(Status::deadline_exceeded("")),
        }
    });
    token(&source).await.unwrap();
    clock.advance(Duration::from_secs(890));
    takes.store(30, Ordering::SeqCst);
    let refused = token(&source).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn an_auth_service_that_hangs_holds_up_one_caller_a_second() {
    let (clock, asked) = (ManualClock::shared(0), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    let fetch = move || -> BoxFuture<'static, Result<IssuedToken, Status>> {
        if count.fetch_add(1, Ordering::SeqCst) > 0 {
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(Ok(IssuedToken {
            access_token: SecretString::from("token"),
            expires_in: Duration::from_secs(900),
        })))
    };
    let source = TokenSource::new(fetch, clock.clone());
    token(&source).await.unwrap();
    clock.advance(Duration::from_secs(700));
    // The first gives up at its own deadline; the others do not wait.
    let impatient = Duration::from_millis(10);
    assert!(
        tokio::time::timeout(impatient, token(&source))
            .await
            .is_err()
    );
    for _ in 0..10 {
        let held = tokio::time::timeout(impatient, token(&source)).await;
        assert_eq!(held.unwrap().unwrap(), "token");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    clock.advance(Duration::from_secs(1));
    assert!(
        tokio::time::timeout(impatient, token(&source))
            .await
            .is_err()
    );
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

/// Between looking at the token and having the flight, somebody else may have renewed it.
#[tokio::test]
async fn a_renewal_is_begun_once_and_only_when_it_is_due() {
    let (_auth, clock, source) = desk();
    token(&source).await.unwrap();
    assert!(!source.begin_renewal());
    clock.advance(Duration::from_secs(600));
    assert!(source.begin_renewal());
    assert!(!source.begin_renewal());
    clock.advance(Duration::from_secs(1));
    assert!(source.begin_renewal());
}

#[tokio::test]
async fn after_a_renewal_that_failed_late_the_next_one_waits_too() {
    let clock = ManualClock::shared(0);
    let takes = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let source = slow(&clock, takes.clone(), move || {
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(900),
            _ => Err(Status::deadline_exceeded("")),
        }
    });
    token(&source).await.unwrap();
    clock.advance(Duration::from_secs(700));
    takes.store(30, Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(token(&source).await.unwrap(), "token");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn calls_that_were_refused_together_fetch_one_token() {
    let (auth, clock, source) = desk();
    token(&source).await.unwrap();
    for _ in 0..20 {
        source.forget();
        assert_eq!(token(&source).await.unwrap(), "token-2");
    }
    assert_eq!(auth.asked(), 2);
    clock.advance(Duration::from_secs(1));
    source.forget();
    assert_eq!(token(&source).await.unwrap(), "token-3");
}

#[test]
fn the_callers_credential_takes_the_place_of_ours_and_is_hidden() {
    let mut served = MetadataMap::new();
    let mut request = Request::new(());
    let own = MetadataValue::from_static("Bearer own");
    request.metadata_mut().insert("authorization", own.clone());
    pass_on(&served, &mut request);
    assert!(request.metadata().get("authorization").is_none());
    served.insert("authorization", MetadataValue::from_static("Bearer theirs"));
    request.metadata_mut().insert("authorization", own);
    pass_on(&served, &mut request);
    let entries: Vec<_> = request.metadata().get_all("authorization").iter().collect();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0], "Bearer theirs");
    assert!(!format!("{request:?}").contains("theirs"));
}
