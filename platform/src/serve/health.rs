//! `grpc.health.v1.Health`, with readiness that is asked for and not assumed.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::HealthReporter,
};

use crate::database::Database;

/// How often the probes run, and how long one of them may take.
const INTERVAL: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);

/// Something that must be well for a server to be ready.
#[derive(Clone)]
pub struct Probe {
    name: &'static str,
    ask: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

impl Probe {
    /// A probe: `ask` gives an error, in words for the log, while the thing is not well.
    pub fn new<F, Fut>(name: &'static str, ask: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self {
            name,
            ask: Arc::new(move || Box::pin(ask())),
        }
    }

    /// The database answers.
    pub fn database(db: &Database) -> Self {
        let db = db.clone();
        Self::new("database", move || {
            let db = db.clone();
            async move { db.ping().await.map_err(|fault| fault.to_string()) }
        })
    }

    async fn run(&self) -> Result<(), String> {
        let answer = timeout(PATIENCE, (self.ask)()).await;
        answer.unwrap_or_else(|_| Err(String::from("no answer in time")))
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Probe").field(&self.name).finish()
    }
}

/// The health service, and the task that keeps it truthful until the server stops.
pub(super) async fn start(
    services: &'static [&'static str],
    probes: Vec<Probe>,
    mut stopping: watch::Receiver<bool>,
) -> (
    HealthServer<impl Health>,
    impl Future<Output = ()> + Send + 'static,
) {
    let (reporter, server) = tonic_health::server::health_reporter();
    // Nothing is ready before its probes have said so.
    set(&reporter, services, probes.is_empty()).await;
    let monitor = async move {
        let mut ready = None;
        loop {
            let well = all_well(&probes, ready != Some(false)).await;
            if ready != Some(well) {
                tracing::info!(ready = well, "readiness");
                set(&reporter, services, well).await;
                ready = Some(well);
            }
            tokio::select! {
                () = sleep(INTERVAL) => {}
                _ = stopping.wait_for(|stop| *stop) => break,
            }
        }
        set(&reporter, services, false).await;
    };
    (server, monitor)
}

/// Runs every probe; a failure is logged once, when it begins.
async fn all_well(probes: &[Probe], tell: bool) -> bool {
    let mut well = true;
    for probe in probes {
        if let Err(cause) = probe.run().await {
            well = false;
            if tell {
                tracing::warn!(probe = probe.name, cause, "not ready");
            }
        }
    }
    well
}

async fn set(reporter: &HealthReporter, services: &[&str], ready: bool) {
    let status = if ready {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    reporter.set_service_status("", status).await;
    for service in services {
        reporter.set_service_status(*service, status).await;
    }
}
