//! One connection: its handshake, its HTTP/2, and when it is closed.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use http::{Extensions, Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tonic::{
    body::Body,
    transport::server::{Connected as _, TcpConnectInfo, TlsConnectInfo},
};
use tower::Service;

pub(super) use super::activity::Running;
use super::{
    activity::{Activity, Watched},
    edge::Edge,
    patience::Patient,
};
use crate::config::{Limits, ServerTls};

/// Header lists larger than this are refused by HTTP/2 itself.
const LARGEST_HEADERS: u32 = 16 * 1024;
/// What a call whose handler does not read, as an import that waits for the database, may have waiting here, in bytes.
const STREAM_WINDOW: u32 = 128 * 1024;
/// The largest window there is (RFC 9113, section 6.9.1).
const LARGEST_WINDOW: u32 = (1 << 31) - 1;
/// How long a connection that was told to go may still take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// What all connections of a server share.
pub(super) struct Connections<S> {
    pub limits: Limits,
    pub tls: Option<ServerTls>,
    pub edge: Edge<S>,
    pub stopping: watch::Receiver<bool>,
}

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Whether its client certificate is that of a proxy of ours.
    pub is_proxy: bool,
    info: ConnectInfo,
}

/// What tonic's `Request::remote_addr` and `peer_certs` read.
#[derive(Debug, Clone)]
enum ConnectInfo {
    Plain(TcpConnectInfo),
    Tls(TlsConnectInfo<TcpConnectInfo>),
}

impl Peer {
    /// Tells tonic about the connection.
    pub(super) fn describe(&self, extensions: &mut Extensions) {
        match &self.info {
            ConnectInfo::Plain(info) => {
                extensions.insert(info.clone());
            }
            ConnectInfo::Tls(info) => {
                extensions.insert(info.get_ref().clone());
                extensions.insert(info.clone());
            }
        }
    }
}

impl<S> Connections<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    /// Serves a connection until it ends.
    pub(super) async fn run(self: Arc<Self>, stream: TcpStream, from: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(peer = %from, %error, "the connection is gone");
            return;
        }
        let address = from.ip();
        let tcp = stream.connect_info();
        let Some(tls) = &self.tls else {
            let peer = Peer {
                address,
                is_proxy: false,
                info: ConnectInfo::Plain(tcp),
            };
            return self.http2(stream, peer).await;
        };
        let limit = self.limits.tls_handshake_timeout.unwrap_or(Duration::MAX);
        match timeout(limit, tls.acceptor().accept(stream)).await {
            Err(_) => tracing::debug!(peer = %from, "the TLS handshake took too long"),
            Ok(Err(error)) => tracing::debug!(peer = %from, %error, "the TLS handshake failed"),
            Ok(Ok(stream)) => {
                let info = stream.connect_info();
                let is_proxy = info
                    .peer_certs()
                    .is_some_and(|chain| self.edge.proxies().knows_certificate(&chain));
                let peer = Peer {
                    address,
                    is_proxy,
                    info: ConnectInfo::Tls(info),
                };
                self.http2(stream, peer).await;
            }
        }
    }

    async fn http2<IO>(&self, stream: IO, peer: Peer)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new();
        let service = service_fn(|request: Request<Incoming>| {
            let edge = self.edge.clone();
            let peer = peer.clone();
            let running = activity.begin(edge.overdue_after(request.uri().path()));
            async move {
                let answer = edge.serve(request, peer).await;
                Ok::<_, Infallible>(answer.map(|body| body.holding(running)))
            }
        });
        let mut builder = http2::Builder::new(Patient {
            limit: self.limits.idle_timeout,
            peer: peer.address,
        });
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.limits.max_streams)
            .max_header_list_size(LARGEST_HEADERS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(connection_window(self.limits.max_streams))
            .keep_alive_interval(self.limits.keepalive_interval)
            .keep_alive_timeout(self.limits.keepalive_timeout);
        let mut connection =
            pin!(builder.serve_connection(TokioIo::new(Watched::new(stream, &activity)), service));
        let mut stopping = self.stopping.clone();
        let mut last_call: Option<Instant> = None;
        loop {
            let next_look = last_call.unwrap_or_else(|| activity.next_look(&self.limits));
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(peer = %peer.address, %error, "the connection broke");
                    }
                    return;
                }
                _ = stopping.wait_for(|stop| *stop), if last_call.is_none() => {
                    // From here on the server's own drain limit counts.
                    connection.as_mut().graceful_shutdown();
                    last_call = Some(Instant::now() + self.limits.drain + GOODBYE);
                }
                () = sleep_until(next_look) => {
                    if last_call.is_some() {
                        return;
                    }
                    if activity.has_overdue_call() {
                        tracing::warn!(peer = %peer.address, "the client does not take its answer");
                        return;
                    }
                    if activity.is_idle(&self.limits) {
                        tracing::debug!(peer = %peer.address, "the connection was idle");
                        connection.as_mut().graceful_shutdown();
                        last_call = Some(Instant::now() + GOODBYE);
                    }
                }
            }
        }
    }
}

/// Room for what all streams leave unread, and for one more: no call waits for what another does not read.
fn connection_window(streams: u32) -> u32 {
    let room = STREAM_WINDOW.saturating_mul(streams.saturating_add(1));
    room.min(LARGEST_WINDOW)
}
