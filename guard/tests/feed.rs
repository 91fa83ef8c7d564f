//! The trust feed's client against a server that does what it likes, and a network that breaks.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::BoxStream;
use millgate_contract::auth::v1::trust_service_server::{TrustService, TrustServiceServer};
use millgate_contract::auth::v1::watch_request::Said;
use millgate_contract::auth::v1::watch_response::Told;
use millgate_contract::auth::v1::{
    GetJwksRequest, Heartbeat, Hello, JwkSet, Key, ListKeysRequest, ListKeysResponse,
    RetireKeyRequest, RetireKeyResponse, Revocation, RotateKeyRequest, SnapshotPart, WatchRequest,
    WatchResponse, revocation::Target,
};
use millgate_guard::testing::{Issuer, ManualClock};
use millgate_guard::{
    IssuedToken, KeyAlgorithm, LiveRevocations, Refusal, Revocations as _, SharedRing, SystemClock,
    SystemEntropy, TokenSource, TrustFeed,
};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, Streaming};

const IN_TIME: Duration = Duration::from_secs(20);

/// A connection as the server sees it.
struct Visit {
    authorization: String,
    hello: Hello,
    said: Streaming<WatchRequest>,
    tell: mpsc::Sender<Result<WatchResponse, Status>>,
}

impl Visit {
    async fn tell(&self, sequence: i64, told: Told) {
        let told = Some(told);
        // The guard may have left.
        let _left = self.tell.send(Ok(WatchResponse { sequence, told })).await;
    }

    /// The next thing that the guard says.
    async fn said(&mut self) -> Said {
        let next = tokio::time::timeout(IN_TIME, self.said.message()).await;
        next.expect("in time").unwrap().unwrap().said.unwrap()
    }
}

/// A server that hands every connection to the test.
struct Script(mpsc::Sender<Visit>);

#[tonic::async_trait]
impl TrustService for Script {
    type WatchStream = BoxStream<'static, Result<WatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let entry = request.metadata().get("authorization");
        let authorization = entry.map_or("", |it| it.to_str().unwrap()).to_owned();
        let mut said = request.into_inner();
        let Some(Said::Hello(hello)) = said.message().await?.and_then(|it| it.said) else {
            return Err(Status::invalid_argument("no hello"));
        };
        let (tell, told) = mpsc::channel(8);
        let visit = Visit {
            authorization,
            hello,
            said,
            tell,
        };
        let gone = |_| Status::unavailable("the test is over");
        self.0.send(visit).await.map_err(gone)?;
        let told = futures::stream::unfold(told, |mut told| async {
            told.recv().await.map(|it| (it, told))
        });
        Ok(Response::new(told.boxed()))
    }

    async fn list_keys(
        &self,
        _: Request<ListKeysRequest>,
    ) -> Result<Response<ListKeysResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn rotate_key(&self, _: Request<RotateKeyRequest>) -> Result<Response<Key>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn retire_key(
        &self,
        _: Request<RetireKeyRequest>,
    ) -> Result<Response<RetireKeyResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_jwks(&self, _: Request<GetJwksRequest>) -> Result<Response<JwkSet>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// A server without a network: where time is to stand still, nothing may wait for a socket.
fn service() -> (TrustServiceServer<Script>, mpsc::Receiver<Visit>) {
    let (script, visits) = mpsc::channel(64);
    (TrustServiceServer::new(Script(script)), visits)
}

async fn server() -> (SocketAddr, mpsc::Receiver<Visit>) {
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = incoming.local_addr().unwrap();
    let (service, visits) = service();
    let server = Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(incoming));
    (address, visits)
}

/// A guard that follows the feed at this address.
struct Follower {
    known: Arc<LiveRevocations>,
    ring: SharedRing,
    tokens: Arc<AtomicU64>,
    /// Whether whoever is asked for a token never answers.
    hangs: Arc<AtomicBool>,
    clock: Arc<ManualClock>,
}

fn follow(address: SocketAddr) -> Follower {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    follow_over(channel.connect_lazy(), |known| known)
}

/// A guard that follows the feed of this service, with revocations that may be changed before.
fn follow_over<T>(channel: T, change: impl FnOnce(LiveRevocations) -> LiveRevocations) -> Follower
where
    T: GrpcService<Body, ResponseBody = Body> + Clone + Send + 'static,
    T::Future: Send,
{
    let clock = ManualClock::shared(1_790_000_000_000_000);
    let ring = Issuer::new(clock.clone()).ring();
    let tokens = Arc::new(AtomicU64::new(0));
    let hangs = Arc::new(AtomicBool::new(false));
    let (fetched, hung) = (tokens.clone(), hangs.clone());
    let source = TokenSource::new(
        move || {
            let number = fetched.fetch_add(1, Ordering::SeqCst);
            let access_token = SecretString::from(format!("token-{number}"));
            let expires_in = Duration::from_secs(900);
            let hangs = hung.load(Ordering::SeqCst);
            Box::pin(async move {
                if hangs {
                    pending::<()>().await;
                }
                Ok(IssuedToken {
                    access_token,
                    expires_in,
                })
            })
        },
        clock.clone(),
    );
    let known = Arc::new(change(LiveRevocations::new(clock.clone())));
    let feed = TrustFeed::new(known.clone(), ring.clone(), source, Arc::new(SystemEntropy));
    tokio::spawn(feed.named("one").run(channel));
    Follower {
        known,
        ring,
        tokens,
        hangs,
        clock,
    }
}

async fn visit(visits: &mut mpsc::Receiver<Visit>) -> Visit {
    let visit = tokio::time::timeout(IN_TIME, visits.recv()).await;
    visit.expect("a visit in time").unwrap()
}

fn token(name: impl ToString) -> Revocation {
    Revocation {
        target: Some(Target::TokenId(name.to_string())),
        expire_time: None,
    }
}

fn part(revocations: Vec<Revocation>, last: bool) -> Told {
    Told::Snapshot(SnapshotPart {
        feed: "f".to_owned(),
        revocations,
        last,
    })
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(IN_TIME, wait).await.is_ok(), "{what}");
}

#[tokio::test]
async fn a_guard_says_hello_takes_the_snapshot_and_follows() {
    let (address, mut visits) = server().await;
    let guard = follow(address);
    let mut first = visit(&mut visits).await;
    assert_eq!(first.authorization, "Bearer token-0");
    let hello = &first.hello;
    assert_eq!((hello.instance.as_str(), hello.sequence), ("one", 0));
    assert_eq!(hello.key_ids, [guard.ring.current().active_kid()]);

    first
        .tell(5, part(vec![token("a"), token("b")], false))
        .await;
    first.tell(5, part(vec![token("c")], true)).await;
    tokio::time::timeout(IN_TIME, guard.known.completed())
        .await
        .unwrap();
    assert_eq!(guard.known.stats().entries, 3);
    first.tell(6, Told::Revoked(token("d"))).await;
    first.tell(6, Told::Heartbeat(Heartbeat {})).await;
    until("the event is known", || guard.known.stats().sequence == 6).await;

    // A changed ring is told at once.
    let ring = guard.ring.current();
    let announced = ring.announce(KeyAlgorithm::EdDsa, &SystemEntropy, &SystemClock);
    let (ring, kid) = announced.unwrap();
    guard.ring.replace(ring).unwrap();
    match first.said().await {
        Said::Keys(keys) => assert!(keys.key_ids.len() == 2 && keys.key_ids.contains(&kid)),
        _ => panic!("not the keys"),
    }

    // It comes back with what it knows.
    drop(first);
    let again = visit(&mut visits).await;
    assert_eq!((again.hello.feed.as_str(), again.hello.sequence), ("f", 6));
    assert_eq!(again.hello.key_ids.len(), 2);
    assert_eq!(guard.known.stats().entries, 4);
}

#[tokio::test]
async fn whatever_is_lost_repeated_or_mixed_up_ends_in_a_snapshot() {
    let (address, mut visits) = server().await;
    let guard = follow(address);
    for lost in [
        // A gap.
        vec![(7, Told::Revoked(token("x")))],
        // A heartbeat names an event that did not arrive.
        vec![(6, Told::Heartbeat(Heartbeat {}))],
        // Repeated and late ones do no harm; then one is missing.
        vec![
            (6, Told::Revoked(token("x"))),
            (6, Told::Revoked(token("x"))),
            (3, Told::Revoked(token("y"))),
            (8, Told::Revoked(token("z"))),
        ],
    ] {
        let first = visit(&mut visits).await;
        first.tell(5, part(vec![], true)).await;
        for (sequence, told) in lost {
            first.tell(sequence, told).await;
        }
        let again = visit(&mut visits).await;
        assert_ne!(again.hello.sequence, 7, "{:?}", again.hello);
        // A snapshot is right in any case.
        again
            .tell(9, part(vec![token("x"), token("y"), token("z")], true))
            .await;
        until("the snapshot", || guard.known.stats().sequence == 9).await;
        assert_eq!(guard.known.stats().entries, 3);
        // A part of another snapshot in the middle of one.
        again.tell(11, part(vec![token("p")], false)).await;
        again.tell(12, part(vec![token("q")], true)).await;
        let third = visit(&mut visits).await;
        assert_eq!(guard.known.stats().entries, 3);
        drop((first, again, third));
    }
}

#[tokio::test]
async fn an_event_before_any_snapshot_is_known_but_not_the_whole() {
    let (address, mut visits) = server().await;
    let guard = follow(address);
    let first = visit(&mut visits).await;
    first.tell(1, Told::Revoked(token("a"))).await;
    let again = visit(&mut visits).await;
    assert_eq!(again.hello.sequence, 0);
    assert_eq!(guard.known.stats().entries, 1);
    assert!(!guard.known.stats().complete);
}

#[tokio::test]
async fn a_refused_guard_fetches_another_token_and_comes_back() {
    let (address, mut visits) = server().await;
    let guard = follow(address);
    let first = visit(&mut visits).await;
    let refused = Status::unauthenticated("the token was revoked");
    first.tell.send(Err(refused)).await.unwrap();
    let again = visit(&mut visits).await;
    assert_eq!(again.authorization, "Bearer token-1");
    assert_eq!(guard.tokens.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_stream_is_given_the_new_token_before_the_old_one_ends() {
    let (address, mut visits) = server().await;
    let guard = follow(address);
    let mut first = visit(&mut visits).await;
    first.tell(1, part(vec![], true)).await;
    guard.known.completed().await;
    // Two thirds of its life: the source has another one at the next chores.
    guard.clock.advance(Duration::from_secs(601));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(16)).await;
    tokio::time::resume();
    first.tell(1, Told::Heartbeat(Heartbeat {})).await;
    until("the heartbeat", || {
        guard.known.stats().staleness < Some(Duration::from_secs(601))
    })
    .await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(15)).await;
    tokio::time::resume();
    assert!(matches!(first.said().await, Said::AccessToken(token) if token == "token-1"));
}

#[tokio::test]
async fn what_is_revoked_while_a_token_is_waited_for_is_known_at_once() {
    let (address, mut visits) = server().await;
    let guard = follow(address);
    let first = visit(&mut visits).await;
    first.tell(1, part(vec![], true)).await;
    guard.known.completed().await;
    // The source asks for another token, and the auth service does not answer.
    guard.hangs.store(true, Ordering::SeqCst);
    guard.clock.advance(Duration::from_secs(601));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(16)).await;
    tokio::time::resume();
    first.tell(1, Told::Heartbeat(Heartbeat {})).await;
    until("the heartbeat", || {
        guard.known.stats().staleness < Some(Duration::from_secs(601))
    })
    .await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(15)).await;
    tokio::time::resume();
    until("a token is asked for", || {
        guard.tokens.load(Ordering::SeqCst) == 2
    })
    .await;
    first.tell(2, Told::Revoked(token("a"))).await;
    until("the event is known", || guard.known.stats().entries == 1).await;
}

#[tokio::test]
async fn an_event_of_a_later_version_is_passed_over() {
    let (address, mut visits) = server().await;
    let guard = follow(address);
    let first = visit(&mut visits).await;
    first.tell(1, part(vec![], true)).await;
    let unknown = WatchResponse {
        sequence: 2,
        told: None,
    };
    first.tell.send(Ok(unknown)).await.unwrap();
    first.tell(3, Told::Revoked(token("a"))).await;
    until("the event behind it", || guard.known.stats().sequence == 3).await;
    assert_eq!(guard.known.stats().entries, 1);
}

#[tokio::test]
async fn a_feed_that_falls_silent_is_left() {
    let (address, mut visits) = server().await;
    let guard = follow(address);
    let first = visit(&mut visits).await;
    first.tell(1, part(vec![token("a")], true)).await;
    guard.known.completed().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(21)).await;
    tokio::time::resume();
    let again = visit(&mut visits).await;
    assert_eq!(again.hello.sequence, 1);
    assert_eq!(guard.known.stats().entries, 1);
}

/// Nothing of a snapshot counts before its last part, so the parts before it bring nothing up to date.
#[tokio::test(start_paused = true)]
async fn half_a_snapshot_does_not_make_what_is_known_fresh_again() {
    let (service, mut visits) = service();
    let guard = follow_over(service, |known| {
        known.with_max_staleness(Duration::from_secs(60))
    });
    let issuer = Issuer::over(guard.ring.clone(), guard.clock.clone());
    let caller = issuer.user(7, "user");
    let refused = || guard.known.refuses(caller.claims());
    let stale = Some(Refusal::RevocationUnavailable);
    assert_eq!(refused(), stale, "nothing was heard");

    let first = visit(&mut visits).await;
    first.tell(5, part(vec![], true)).await;
    guard.known.completed().await;
    assert_eq!(refused(), None);
    drop(first);
    guard.clock.advance(Duration::from_secs(61));
    assert_eq!(refused(), stale, "a long outage");

    // The token was revoked meanwhile, and the feed breaks before it says so.
    let revoked = token(&caller.claims().token_id);
    let second = visit(&mut visits).await;
    second.tell(2005, part(vec![token("a")], false)).await;
    drop(second);
    // It comes back when it has taken what there was.
    let third = visit(&mut visits).await;
    assert_eq!(refused(), stale, "half a snapshot");
    // Nor does an event whose predecessors are missing.
    third.tell(2006, Told::Revoked(token("b"))).await;
    let fourth = visit(&mut visits).await;
    assert_eq!(refused(), stale, "an event behind a gap");
    fourth.tell(2006, part(vec![token("a")], false)).await;
    fourth.tell(2006, part(vec![revoked], true)).await;
    until("the snapshot", || guard.known.stats().sequence == 2006).await;
    assert_eq!(refused(), Some(Refusal::TokenRevoked));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_may_take_long_while_its_parts_keep_coming() {
    let (service, mut visits) = service();
    let guard = follow_over(service, |known| known);
    let first = visit(&mut visits).await;
    for name in ["a", "b", "c", "d"] {
        first.tell(5, part(vec![token(name)], false)).await;
        // Less than the feed may be silent, and together far more.
        tokio::time::sleep(Duration::from_secs(15)).await;
    }
    first.tell(5, part(vec![], true)).await;
    let completed = tokio::time::timeout(IN_TIME, guard.known.completed()).await;
    completed.expect("the whole snapshot");
    assert_eq!(guard.known.stats().entries, 4);
    assert!(visits.try_recv().is_err(), "it never began anew");
}

/// Passes bytes on to `to`, and breaks the first connection after `limit` bytes of the answer.
async fn breaking_proxy(to: SocketAddr, limit: usize) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut left = Some(limit);
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(to).await.unwrap();
            tokio::spawn(pass(near, far, left.take()));
        }
    });
    address
}

async fn pass(near: TcpStream, far: TcpStream, limit: Option<usize>) {
    let (mut from_near, mut to_near) = near.into_split();
    let (mut from_far, mut to_far) = far.into_split();
    let asked = tokio::spawn(async move { tokio::io::copy(&mut from_near, &mut to_far).await });
    let mut left = limit.unwrap_or(usize::MAX);
    let mut buffer = [0; 256];
    while left > 0 {
        let Ok(read @ 1..) = from_far.read(&mut buffer).await else {
            break;
        };
        let now = read.min(left);
        if to_near.write_all(&buffer[..now]).await.is_err() {
            break;
        }
        left -= now;
    }
    asked.abort();
    if limit.is_none() {
        pending::<()>().await;
    }
}

/// Wherever the connection breaks, the guard knows in the end what it would have known, and never
/// takes half a snapshot for a whole one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_is_cut_at_any_byte_is_followed_to_its_end() {
    let (address, mut visits) = server().await;
    tokio::spawn(async move {
        while let Some(visit) = visits.recv().await {
            tokio::spawn(async move {
                if visit.hello.sequence == 0 {
                    visit
                        .tell(3, part(vec![token("a"), token("b")], false))
                        .await;
                    visit.tell(3, part(vec![token("c")], true)).await;
                }
                for sequence in visit.hello.sequence.max(3) + 1..=9 {
                    visit.tell(sequence, Told::Revoked(token(sequence))).await;
                }
                visit.tell(9, Told::Heartbeat(Heartbeat {})).await;
                pending::<()>().await;
            });
        }
    });
    let cuts = (0..700).step_by(7).map(async |limit| {
        let guard = follow(breaking_proxy(address, limit).await);
        let known = guard.known.clone();
        until("everything is known", || {
            let stats = known.stats();
            assert!(!stats.complete || stats.entries >= 3, "half a snapshot");
            stats.sequence == 9
        })
        .await;
        assert_eq!(guard.known.stats().entries, 9, "cut after {limit} bytes");
    });
    join_all(cuts).await;
}
