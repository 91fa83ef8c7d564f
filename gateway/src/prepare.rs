//! From the settings to a gateway that is ready to be served.

use crate::api::{Api, Unruled};
use crate::config::Config;
use crate::cors::Cors;
use crate::gateway::{Gateway, Rules};
use crate::memory::Memory;
use crate::rate::Rate;
use crate::server::{Connections, ServeError, Server};
use crate::streams::Streams;
use crate::upstream::{Upstream, UpstreamConfig};
use millgate_contract::DESCRIPTORS;
use millgate_platform::{MetricsArgs, SharedEntropy, StartError};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A gateway with its routes read. The services behind it need not be up yet.
#[derive(Debug)]
pub struct Prepared {
    gateway: Arc<Gateway>,
    connections: Connections,
    metrics: MetricsArgs,
}

/// Reads the routes, of the contract or of the descriptor set that is configured, and puts the gateway together.
///
/// # Errors
/// Names the setting that is wrong.
pub fn prepare(config: Config, entropy: SharedEntropy) -> Result<Prepared, StartError> {
    let client_tls = config.client_tls.client()?;
    let configured = config.upstreams();
    let upstreams = configured
        .iter()
        .map(|upstream| Upstream::new(upstream, client_tls.as_ref()));
    let upstreams = upstreams.collect::<Result<Vec<_>, _>>()?;
    let tls = config.tls.server(&["h2", "http/1.1"])?;
    let cors = Cors::new(&config.cors_origins)
        .map_err(|message| StartError::new("GATEWAY_CORS_ORIGINS", message))?;
    let rules = Rules {
        deadline: config.limits.deadline,
        max_body_bytes: config.limits.max_body_bytes as usize,
        body_timeout: config.limits.body_timeout,
        proxies: config.proxies.trusted(None)?,
        proxy_secret: config.proxy_secret,
        cors,
        rate: Arc::new(Rate::new(&config.limits)),
        streams: Streams::new(config.limits.streams_per_address),
        memory: Memory::new(
            config.limits.body_memory_bytes,
            config.limits.max_body_bytes as usize,
        ),
        tls: tls.is_some(),
        unruled: match config.pass_unruled {
            true => Unruled::Passes,
            false => Unruled::NeedsToken,
        },
    };
    let connections = Connections {
        proxies: rules.proxies.clone(),
        limits: config.limits,
        tls,
    };
    let read = config.descriptors.as_ref().map(|path| {
        std::fs::read(path).map_err(|error| {
            StartError::new(
                "GATEWAY_DESCRIPTORS",
                format!("{}: {error}", path.display()),
            )
        })
    });
    let read = read.transpose()?;
    let descriptors = read.as_deref().unwrap_or(DESCRIPTORS);
    let gateway = Gateway::new(descriptors, upstreams, rules, entropy)
        .map_err(|error| StartError::new("routes", error.to_string()))?;
    check_services(gateway.api(), &configured)?;
    Ok(Prepared {
        gateway: Arc::new(gateway),
        connections,
        metrics: config.metrics,
    })
}

/// Refuses an upstream for what is not there: its name is misspelt. A service that nobody serves may be somebody else's.
fn check_services(api: &Api, upstreams: &[UpstreamConfig]) -> Result<(), StartError> {
    for (index, upstream) in upstreams.iter().enumerate() {
        if !api
            .bindings()
            .any(|binding| binding.method.upstream == index)
        {
            let message = format!(
                "{:?} is neither a package nor a service with a route in the descriptor set",
                upstream.prefix
            );
            return Err(StartError::new(&upstream.setting, message));
        }
    }
    for service in &api.unserved {
        tracing::warn!(
            service,
            "has routes and no upstream, and so it is not served"
        );
    }
    Ok(())
}

impl Prepared {
    /// Serves until `shutdown` completes and what runs has finished, or the drain time is over.
    ///
    /// # Errors
    /// When a listener cannot be used.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let mut background = JoinSet::new();
        if let Some(metrics) = self.metrics.start(&mut background).await? {
            metrics.register(|registry| self.gateway.numbers.register(registry));
        }
        Server::new(self.gateway, self.connections)
            .serve(listener, shutdown)
            .await
    }
}
