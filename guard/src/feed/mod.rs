//! The client of the trust feed: what was revoked, and which keys the guard knows.

mod backoff;
mod follow;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use prost::bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codegen::StdError;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::ambient::SharedEntropy;
use crate::client::TokenSource;
use crate::revocations::LiveRevocations;
use crate::shared_ring::SharedRing;
use backoff::Backoff;
use follow::{Broken, Follower};
use wire::{Hello, KnownKeys, Said, WATCH, WatchRequest, WatchResponse};

/// The feed sends a heartbeat every few seconds; after this it is taken for dead.
const LONGEST_SILENCE: Duration = Duration::from_secs(20);
/// How often the feed is given the token that the source then has, and old entries are dropped.
const CHORES_EVERY: Duration = Duration::from_secs(30);
/// What may wait to be sent: a greeting, and then one thing at a time.
const OUTBOX: usize = 4;

/// Keeps the revocations of a service up to date with the auth service, and tells it which keys
/// this guard knows.
///
/// ```no_run
/// # fn mount(channel: tonic::transport::Channel, tokens: millgate_guard::TokenSource,
/// #     ring: millgate_guard::SharedRing, guard: millgate_guard::Guard) {
/// use std::sync::Arc;
/// use millgate_guard::{LiveRevocations, SystemClock, SystemEntropy, TrustFeed};
///
/// let revocations = Arc::new(LiveRevocations::new(Arc::new(SystemClock)));
/// let feed = TrustFeed::new(revocations.clone(), ring, tokens, Arc::new(SystemEntropy));
/// tokio::spawn(feed.run(channel));
/// let guard = guard.with_revocations(revocations);
/// # }
/// ```
pub struct TrustFeed {
    revocations: Arc<LiveRevocations>,
    ring: SharedRing,
    tokens: TokenSource,
    entropy: SharedEntropy,
    instance: String,
}

/// Why a connection to the feed is over.
enum End {
    Broken(Broken),
    Silent,
    Closed,
    Refused(Status),
}

impl TrustFeed {
    /// A feed for these revocations. `tokens` are those of the service's own account, which needs
    /// the scope `trust.watch`.
    #[must_use]
    pub fn new(
        revocations: Arc<LiveRevocations>,
        ring: SharedRing,
        tokens: TokenSource,
        entropy: SharedEntropy,
    ) -> Self {
        // One of several replicas, and another one after a restart.
        let instance = entropy.uuid_v4().to_string();
        Self {
            revocations,
            ring,
            tokens,
            entropy,
            instance,
        }
    }

    /// Names this replica to whoever asks which guards know a key; otherwise it has a random name.
    #[must_use]
    pub fn named(mut self, instance: impl Into<String>) -> Self {
        self.instance = instance.into();
        self
    }

    /// Follows the feed over `channel` for ever: spawn it. When the connection is lost the guard
    /// keeps what it knows, and the feed is tried again after a random time that grows with each
    /// failure, to 30 s at most.
    pub async fn run<T>(self, channel: T)
    where
        T: GrpcService<Body> + Clone + Send,
        T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
        <T::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
        T::Future: Send,
    {
        let mut backoff = Backoff::default();
        loop {
            let (end, heard) = self.follow(channel.clone()).await;
            if heard {
                backoff = Backoff::default();
            }
            let pause = backoff.next(self.entropy.as_ref());
            self.tell(&end, pause);
            tokio::time::sleep(pause).await;
        }
    }

    /// One connection, until it is over; and whether anything was heard on it.
    async fn follow<T>(&self, channel: T) -> (End, bool)
    where
        T: GrpcService<Body>,
        T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
        <T::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
    {
        let mut ring = self.ring.changes();
        ring.mark_unchanged();
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let opened = tokio::time::timeout(LONGEST_SILENCE, self.open(channel, &outbox, inbox));
        let (answers, token) = match opened.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(status)) => return (End::Refused(status), false),
            Err(_) => return (End::Silent, false),
        };
        let mut connection = Connection {
            feed: self,
            answers,
            outbox,
            token,
            ring,
            heard: false,
        };
        let end = connection.follow().await;
        (end, connection.heard)
    }

    async fn open<T>(
        &self,
        channel: T,
        outbox: &mpsc::Sender<WatchRequest>,
        mut inbox: mpsc::Receiver<WatchRequest>,
    ) -> Result<(Streaming<WatchResponse>, String), Status>
    where
        T: GrpcService<Body>,
        T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
        <T::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
    {
        let progress = self.revocations.progress();
        let hello = Said::Hello(Hello {
            instance: self.instance.clone(),
            feed: progress.feed,
            sequence: progress.sequence,
            key_ids: self.key_ids(),
        });
        // The outbox is empty, so there is room.
        let _room = outbox.try_send(WatchRequest { said: Some(hello) });
        let token = self.tokens.token().await?;
        let requests = futures::stream::poll_fn(move |context| inbox.poll_recv(context));
        let mut request = Request::new(requests);
        self.tokens.authorize(&mut request).await?;
        let mut grpc = Grpc::new(channel);
        grpc.ready().await.map_err(|error| {
            let error: StdError = error.into();
            Status::unavailable(error.to_string())
        })?;
        let path = http::uri::PathAndQuery::from_static(WATCH);
        let answer = grpc.streaming(request, path, ProstCodec::default()).await?;
        Ok((answer.into_inner(), token.expose_secret().to_owned()))
    }

    fn key_ids(&self) -> Vec<String> {
        let ring = self.ring.current();
        ring.kids().map(str::to_owned).collect()
    }

    fn tell(&self, end: &End, pause: Duration) {
        let again = pause.as_millis();
        match end {
            End::Refused(status) => {
                if status.code() == Code::Unauthenticated {
                    // It may be of a session or key that is gone: the next try brings another.
                    self.tokens.forget();
                }
                tracing::warn!(code = ?status.code(), cause = status.message(), again, "the trust feed ended");
            }
            End::Broken(broken) => tracing::warn!(?broken, again, "the trust feed begins anew"),
            End::Silent => tracing::warn!(again, "the trust feed fell silent"),
            End::Closed => tracing::info!(again, "the trust feed was closed"),
        }
    }
}

/// An open connection to the feed.
struct Connection<'a> {
    feed: &'a TrustFeed,
    answers: Streaming<WatchResponse>,
    outbox: mpsc::Sender<WatchRequest>,
    /// The token that the feed has of us.
    token: String,
    ring: watch::Receiver<u64>,
    heard: bool,
}

impl Connection<'_> {
    async fn follow(&mut self) -> End {
        let mut follower = Follower::default();
        let mut chores = tokio::time::interval(CHORES_EVERY);
        // Asked for beside the answers: an auth service that is slow to give a token must not keep
        // from us what it revokes meanwhile.
        let mut renewal: Option<BoxFuture<'static, Result<SecretString, Status>>> = None;
        let mut silent_at = Instant::now() + LONGEST_SILENCE;
        loop {
            let said = tokio::select! {
                answer = tokio::time::timeout_at(silent_at, self.answers.next()) => {
                    let answer = match answer {
                        Err(_) => return End::Silent,
                        Ok(None) => return End::Closed,
                        Ok(Some(Err(status))) => return End::Refused(status),
                        Ok(Some(Ok(answer))) => answer,
                    };
                    self.heard = true;
                    silent_at = Instant::now() + LONGEST_SILENCE;
                    match follower.take(answer, &self.feed.revocations) {
                        Ok(()) => None,
                        Err(broken) => return End::Broken(broken),
                    }
                }
                // The ring lives as long as the feed.
                _ = self.ring.changed() => Some(Said::Keys(KnownKeys { key_ids: self.feed.key_ids() })),
                _ = chores.tick() => {
                    self.feed.revocations.sweep();
                    if renewal.is_none() {
                        let tokens = self.feed.tokens.clone();
                        renewal = Some(Box::pin(async move { tokens.token().await }));
                    }
                    None
                }
                token = come(&mut renewal) => {
                    renewal = None;
                    self.renewed(token)
                }
            };
            if let Some(said) = said {
                match self.outbox.try_send(WatchRequest { said: Some(said) }) {
                    Ok(()) => {}
                    // It has not listened for several changes: whoever waited for it would miss what it tells.
                    Err(TrySendError::Full(_)) => return End::Silent,
                    Err(TrySendError::Closed(_)) => return End::Closed,
                }
            }
        }
    }

    /// What the feed is told when the source has another token than the one that the feed has.
    fn renewed(&mut self, token: Result<SecretString, Status>) -> Option<Said> {
        // Without a new one the old one serves until it ends.
        let token = token.ok()?;
        let token = token.expose_secret();
        (self.token != token).then(|| {
            self.token = token.to_owned();
            Said::AccessToken(self.token.clone())
        })
    }
}

/// What was asked for, when it comes; never, where nothing was.
async fn come<T>(asked: &mut Option<BoxFuture<'static, T>>) -> T {
    match asked {
        Some(asked) => asked.await,
        None => std::future::pending().await,
    }
}

impl fmt::Debug for TrustFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustFeed")
            .field("instance", &self.instance)
            .field("revocations", &self.revocations)
            .finish_non_exhaustive()
    }
}
