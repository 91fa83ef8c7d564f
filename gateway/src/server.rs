//! The listener and its connections: TLS, HTTP/1.1 and (over TLS) HTTP/2, slow and idle clients cut, an orderly stop.

use crate::activity::{Activity, Busy, Noticed, Tasks};
use crate::config::LimitArgs;
use crate::gateway::{Gateway, Peer};
use crate::places::Places;
use crate::reply::AnswerBody;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use millgate_platform::client_address::network_of;
use millgate_platform::{ServerTls, StartError, TrustedProxies};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The largest head of a request over HTTP/1.1: a token of 4 KiB and a long query have room.
const LARGEST_HEAD: usize = 32 * 1024;
/// The same over HTTP/2, where names and values are counted uncompressed.
const LARGEST_HEADER_LIST: u32 = 32 * 1024;
const MOST_STREAMS: u32 = 100;
/// What a body that is not read, as an import that waits for its service, may have waiting here, in bytes. All streams of
/// a connection have a MiB together (hyper's default), so that strangers cannot fill the memory.
const STREAM_WINDOW: u32 = 64 * 1024;
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Between two attempts to accept when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why serving ended in failure.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener cannot be used.
    #[error("the listener cannot be used: {0}")]
    Listener(#[from] std::io::Error),
    /// Neither can the one of the metrics.
    #[error(transparent)]
    Metrics(#[from] StartError),
}

/// What every connection is held to.
#[derive(Debug)]
pub struct Connections {
    /// Times and numbers.
    pub limits: LimitArgs,
    /// TLS, where the listener speaks it.
    pub tls: Option<ServerTls>,
    /// Which client certificates are those of proxies of ours.
    pub proxies: TrustedProxies,
}

/// The server around a gateway.
#[derive(Debug)]
pub struct Server {
    gateway: Arc<Gateway>,
    connections: Arc<Connections>,
}

impl Server {
    /// Puts the gateway behind connections of this kind.
    pub fn new(gateway: Arc<Gateway>, connections: Connections) -> Self {
        Self {
            gateway,
            connections: Arc::new(connections),
        }
    }

    /// Accepts until `shutdown` completes, then lets what runs finish within the drain time.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let address = listener.local_addr()?;
        tracing::info!(%address, routes = self.gateway.api().bindings().count(), "the gateway serves");
        let room = Arc::new(Semaphore::new(
            self.connections.limits.max_connections as usize,
        ));
        let (stop, stopping) = watch::channel(false);
        let places = Places::new(self.connections.limits.connections_per_address);
        let mut running = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = async {
                // The semaphore is never closed.
                let permit = Arc::clone(&room).acquire_owned().await.ok();
                (listener.accept().await, permit)
            };
            tokio::select! {
                () = shutdown.as_mut() => break,
                Some(_) = running.join_next(), if !running.is_empty() => {}
                (accepted, permit) = accepted => match accepted {
                    Ok((stream, from)) => {
                        // Whom the connections of a proxy of ours belong to is told by their requests.
                        let place = match self.connections.proxies.trusts(from.ip()) {
                            true => None,
                            false => match places.take(network_of(from.ip()), 1) {
                                Some(place) => Some(place),
                                None => {
                                    tracing::debug!(peer = %from, "an address has too many connections");
                                    continue;
                                }
                            },
                        };
                        let connection = Connection {
                            gateway: Arc::clone(&self.gateway),
                            shared: Arc::clone(&self.connections),
                            stopping: stopping.clone(),
                        };
                        running.spawn(async move {
                            connection.run(stream, from).await;
                            drop((permit, place));
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection cannot be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        // Nobody is left to be told when every connection is gone.
        let _ = stop.send(true);
        self.gateway.end_streams();
        let drained = async { while running.join_next().await.is_some() {} };
        if timeout(self.connections.limits.drain, drained)
            .await
            .is_err()
        {
            tracing::warn!(
                connections = running.len(),
                "requests were cut off at the end of the drain time"
            );
        }
        running.shutdown().await;
        Ok(())
    }
}

struct Connection {
    gateway: Arc<Gateway>,
    shared: Arc<Connections>,
    stopping: watch::Receiver<bool>,
}

impl Connection {
    async fn run(self, stream: TcpStream, from: SocketAddr) {
        // Only a connection that is gone already refuses this; serving it finds out.
        let _ = stream.set_nodelay(true);
        let mut peer = Peer {
            address: from.ip(),
            is_proxy: false,
        };
        let Some(tls) = &self.shared.tls else {
            return self.http1(stream, peer).await;
        };
        let handshake = tls.acceptor().accept(stream);
        let stream = match timeout(self.shared.limits.tls_handshake_timeout, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                return tracing::debug!(peer = %from, %error, "the TLS handshake failed");
            }
            Err(_) => return tracing::debug!(peer = %from, "the TLS handshake took too long"),
        };
        let (_, session) = stream.get_ref();
        peer.is_proxy = session
            .peer_certificates()
            .is_some_and(|chain| self.shared.proxies.knows_certificate(chain));
        if session.alpn_protocol() == Some(b"h2") {
            self.http2(stream, peer).await;
        } else {
            self.http1(stream, peer).await;
        }
    }

    async fn http1(&self, stream: impl AsyncRead + AsyncWrite + Unpin, peer: Peer) {
        let activity = self.activity();
        let service = service_fn(|request| {
            let busy = Arc::new(activity.begin());
            answer(&self.gateway, request, peer, busy)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // It would run while a connection waits for its next request, too: the activity knows the one from the other.
            .header_read_timeout(None)
            .max_buf_size(LARGEST_HEAD)
            .serve_connection(
                TokioIo::new(Noticed::new(stream, Arc::clone(&activity))),
                service,
            );
        let mut connection = pin!(connection);
        let mut stopping = self.stopping.clone();
        tokio::select! {
            ended = connection.as_mut() => return note(peer, ended),
            () = activity.over() => return,
            _ = stopping.wait_for(|stop| *stop) => {}
        }
        connection.as_mut().graceful_shutdown();
        note(peer, connection.await);
    }

    async fn http2(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
    ) {
        let activity = self.activity();
        let service = service_fn(|request| {
            let gateway = Arc::clone(&self.gateway);
            async move { answer(&gateway, request, peer, Tasks::current()).await }
        });
        let connection = http2::Builder::new(Tasks(Arc::clone(&activity)))
            .timer(TokioTimer::new())
            .max_concurrent_streams(MOST_STREAMS)
            .max_header_list_size(LARGEST_HEADER_LIST)
            .initial_stream_window_size(STREAM_WINDOW)
            .keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let mut stopping = self.stopping.clone();
        tokio::select! {
            ended = connection.as_mut() => return note(peer, ended),
            () = activity.over() => return,
            _ = stopping.wait_for(|stop| *stop) => {}
        }
        connection.as_mut().graceful_shutdown();
        note(peer, connection.await);
    }

    fn activity(&self) -> Arc<Activity> {
        let limits = &self.shared.limits;
        Arc::new(Activity::new(limits.header_timeout, limits.idle_timeout))
    }
}

async fn answer<B: Body<Data = Bytes>>(
    gateway: &Gateway,
    request: Request<B>,
    peer: Peer,
    busy: Arc<Busy>,
) -> Result<Response<AnswerBody>, Infallible> {
    let response = gateway.answer(request, peer).await;
    // A connection is busy until the last piece of an answer is handed over.
    Ok(response.map(|body| body.watched(busy)))
}

/// A client that goes away is no news.
fn note(peer: Peer, ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(peer = %peer.address, %error, "a connection broke");
    }
}
