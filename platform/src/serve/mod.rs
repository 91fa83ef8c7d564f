//! The server: the services of one process behind the guard, with every limit of the design.
//!
//! The way of a call, from the outside in:
//!
//! ```text
//! connection   TLS, handshake and idle timeouts, keep-alive, streams a connection, readers who take nothing
//! edge         request id, span, client address, frames, deadline, panics, the answer's shape
//! guard        rule layer (which rule), interceptor (who, may they)
//! rate         calls a principal, logins an address
//! routes       the services
//! ```

mod activity;
mod answer;
mod connection;
mod deadline;
mod edge;
mod ending;
mod frames;
mod health;
mod kinds;
mod normalize;
mod patience;
mod rate;
mod witness;

use std::{future::Future, io, sync::Arc};

use millgate_guard::{Guard, HEALTH_SERVICE, REFLECTION_SERVICES, SharedEntropy, SystemEntropy};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{Duration, sleep, timeout},
};
use tonic::service::Routes;
use tower::ServiceBuilder;

pub use health::Probe;
pub use witness::{RefusedCall, Witness};

use crate::{
    client_address::TrustedProxies,
    config::{Limits, ServerTls},
    metrics::Metrics,
};
use edge::Edge;
use kinds::Kinds;

/// After an accept that failed (too many open files) the listener rests a moment.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A gRPC server, ready to be started on a bound listener.
///
/// `routes` are the services, already wrapped in whatever inner layers they want; `services`
/// are their full names (`millgate.auth.v1.AuthService`), for health and reflection;
/// `descriptors` is the encoded descriptor set of the contract.
pub struct Server {
    /// Who may call what. Its rules must allow the public services of
    /// [`Server::public_services`].
    pub guard: Guard,
    /// The services.
    pub routes: Routes,
    /// Their full names.
    pub services: &'static [&'static str],
    /// The descriptor set that they come from.
    pub descriptors: &'static [u8],
    /// What must be well for the server to be ready.
    pub readiness: Vec<Probe>,
    /// The limits; the defaults are those of the design.
    pub limits: Limits,
    /// TLS of the listener.
    pub tls: Option<ServerTls>,
    /// Whose word on a client's address is believed.
    pub proxies: TrustedProxies,
    /// Whether `grpc.health.v1.Health` is served.
    pub health: bool,
    /// Whether server reflection (v1 and v1alpha) is served.
    pub reflection: bool,
    /// Where calls are counted.
    pub metrics: Option<Metrics>,
    /// Who hears of every refused call.
    pub witness: Option<Witness>,
    /// Where new request ids come from.
    pub entropy: SharedEntropy,
}

/// Why a server ended in a way that nobody ordered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The descriptor set cannot be read.
    #[error("the descriptor set cannot be served: {0}")]
    Descriptors(String),
    /// The listener is of no use.
    #[error("the listener cannot be used: {0}")]
    Listener(#[from] io::Error),
}

impl Server {
    /// A server with the default limits, plain text, health and reflection on.
    pub fn new(
        guard: Guard,
        routes: Routes,
        services: &'static [&'static str],
        descriptors: &'static [u8],
    ) -> Self {
        Self {
            guard,
            routes,
            services,
            descriptors,
            readiness: Vec::new(),
            limits: Limits::default(),
            tls: None,
            proxies: TrustedProxies::default(),
            health: true,
            reflection: true,
            metrics: None,
            witness: None,
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// The services that a server with these switches answers without a token: hand them to
    /// [`Rules::allow_public`](millgate_guard::Rules::allow_public).
    pub fn public_services(health: bool, reflection: bool) -> Vec<&'static str> {
        let mut services = Vec::new();
        if health {
            services.push(HEALTH_SERVICE);
        }
        if reflection {
            services.extend(REFLECTION_SERVICES);
        }
        services
    }

    /// Serves until `shutdown` completes, then stops accepting, lets running calls finish for
    /// at most `limits.drain`, and ends streams with `UNAVAILABLE`.
    ///
    /// # Errors
    /// Only before the first connection: see [`ServeError`].
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let local = listener.local_addr()?;
        let (stop, stopping) = watch::channel(false);
        let kinds = Kinds::of(self.descriptors)
            .map_err(|error| ServeError::Descriptors(error.to_string()))?;
        let mut tasks = JoinSet::new();
        let mut routes = self.routes;
        if self.health {
            let (service, monitor) =
                health::start(self.services, self.readiness, stopping.clone()).await;
            routes = routes.add_service(service);
            tasks.spawn(monitor);
        }
        if self.reflection {
            routes = reflection(routes, self.services, self.descriptors)?;
        }
        let stack = ServiceBuilder::new()
            .layer(self.guard.layer())
            .layer(rate::RateLayer::new(&self.limits))
            .service(routes.prepare());
        let edge = Edge::new(
            stack,
            edge::Shared {
                kinds,
                limits: self.limits.clone(),
                proxies: self.proxies,
                entropy: self.entropy,
                metrics: self.metrics,
                witness: self.witness,
                stopping: stopping.clone(),
            },
        );
        let connections = Arc::new(connection::Connections {
            limits: self.limits.clone(),
            tls: self.tls,
            edge,
            stopping,
        });
        tracing::info!(address = %local, tls = connections.tls.is_some(), "serving");

        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let full = self.limits.max_connections != 0
                            && tasks.len() >= self.limits.max_connections;
                        if full {
                            tracing::warn!(%peer, "too many connections: refused");
                        } else {
                            tasks.spawn(connections.clone().run(stream, peer));
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
        drop(listener);
        stop.send_replace(true);
        tracing::info!(address = %local, connections = tasks.len(), "stopping");
        let drained = timeout(self.limits.drain, async {
            while tasks.join_next().await.is_some() {}
        });
        if drained.await.is_err() {
            tracing::warn!(
                connections = tasks.len(),
                "some calls did not finish in time"
            );
            tasks.shutdown().await;
        }
        tracing::info!(address = %local, "stopped");
        Ok(())
    }
}

fn reflection(
    mut routes: Routes,
    services: &[&str],
    descriptors: &[u8],
) -> Result<Routes, ServeError> {
    let builder = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name(HEALTH_SERVICE);
        services.iter().fold(builder, |builder, service| {
            builder.with_service_name(*service)
        })
    };
    let unreadable =
        |error: tonic_reflection::server::Error| ServeError::Descriptors(error.to_string());
    routes = routes.add_service(builder().build_v1().map_err(unreadable)?);
    Ok(routes.add_service(builder().build_v1alpha().map_err(unreadable)?))
}
