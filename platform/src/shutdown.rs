//! The order to stop, and the question whether a server is up.

use std::{future::Future, io, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{channel, config::ClientTls, config::StartError};

/// Completes at SIGTERM or SIGINT. The handlers are in place when this returns, so that no
/// signal is lost between here and the first poll.
///
/// # Errors
/// When the operating system refuses to install a handler.
pub fn shutdown_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
    })
}

/// Asks a server's `grpc.health.v1.Health` whether it serves: the `healthcheck` subcommand.
///
/// # Errors
/// When the server cannot be reached within `timeout` or says that it does not serve.
pub async fn healthcheck(
    endpoint: &str,
    tls: Option<&ClientTls>,
    timeout: Duration,
) -> Result<(), StartError> {
    let failed = |message: String| StartError::new(endpoint, message);
    let channel = channel::channel("endpoint", endpoint, tls)?;
    let mut health = HealthClient::new(channel);
    let asked = HealthCheckRequest {
        service: String::new(),
    };
    let answer = tokio::time::timeout(timeout, health.check(asked))
        .await
        .map_err(|_| failed(String::from("no answer in time")))?
        .map_err(|status| failed(status.message().to_owned()))?
        .into_inner();
    if answer.status() == ServingStatus::Serving {
        Ok(())
    } else {
        Err(failed(format!("answers {}", answer.status().as_str_name())))
    }
}
