//! Numbers for Prometheus, on a listener of their own.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tonic::Code;

use crate::config::StartError;
use crate::fault::Reason;

const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// A scraper gets in, asks, and goes.
const LONGEST_SCRAPE: Duration = Duration::from_secs(10);
/// What is counted under a path that nobody serves: a stranger cannot make up series.
const OTHER: &str = "other";

/// Where the numbers can be read.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Metrics")]
pub struct MetricsArgs {
    /// The address of the metrics listener (plain HTTP, `GET /metrics`); none by default.
    #[arg(long, env = "MILLGATE_METRICS_LISTEN", value_name = "HOST:PORT")]
    pub metrics_listen: Option<SocketAddr>,

    /// The numbers of the process, where several services share one listener. No flag.
    #[arg(skip)]
    pub shared: Option<Metrics>,
}

impl MetricsArgs {
    /// The numbers that a server of this process writes to, if anybody reads them. The listener is served for as long
    /// as `background` runs.
    ///
    /// # Errors
    /// Names the setting when the address cannot be listened on.
    pub async fn start(&self, background: &mut JoinSet<()>) -> Result<Option<Metrics>, StartError> {
        let address = match (&self.shared, self.metrics_listen) {
            (Some(shared), _) => return Ok(Some(shared.clone())),
            (None, None) => return Ok(None),
            (None, Some(address)) => address,
        };
        let failed = |error: std::io::Error| {
            StartError::new("MILLGATE_METRICS_LISTEN", format!("{address}: {error}"))
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        tracing::info!(address = %listener.local_addr().map_err(failed)?, "metrics");
        let metrics = Metrics::new();
        background.spawn(metrics.clone().serve(listener, std::future::pending()));
        Ok(Some(metrics))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    method: String,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    method: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// The numbers of a process: calls by method and code, how long they took, and refusals by
/// reason. Cheap to clone; the servers of one process share one.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    calls: Family<CallLabels, Counter>,
    seconds: Family<MethodLabels, Histogram, fn() -> Histogram>,
    refusals: Family<ReasonLabels, Counter>,
}

impl Metrics {
    /// Numbers that all stand at zero.
    pub fn new() -> Self {
        let calls = Family::default();
        let seconds: Family<_, _, fn() -> Histogram> = Family::new_with_constructor(buckets);
        let refusals = Family::default();
        let mut registry = Registry::with_prefix("millgate");
        registry.register("calls", "Calls by method and gRPC code", calls.clone());
        registry.register("call_seconds", "How long calls took", seconds.clone());
        registry.register("refusals", "Calls that failed, by reason", refusals.clone());
        Self {
            registry: Arc::new(Mutex::new(registry)),
            calls,
            seconds,
            refusals,
        }
    }

    /// Adds numbers of a service's own.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn call(&self, method: Option<&str>, code: Code, took: Duration) {
        let method = method.unwrap_or(OTHER);
        let labels = CallLabels {
            method: method.to_owned(),
            code: name(code),
        };
        self.calls.get_or_create(&labels).inc();
        let labels = MethodLabels {
            method: method.to_owned(),
        };
        self.seconds
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    pub(crate) fn refusal(&self, reason: Reason) {
        self.refusals
            .get_or_create(&ReasonLabels {
                reason: reason.as_str(),
            })
            .inc();
    }

    /// The numbers in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }

    /// Answers `GET /metrics` until `shutdown` completes.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
        let mut scrapes = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                Some(_) = scrapes.join_next(), if !scrapes.is_empty() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let metrics = self.clone();
                        let service = service_fn(move |request| {
                            let answer = metrics.answer(&request);
                            async move { Ok::<_, Infallible>(answer) }
                        });
                        let scrape = http1::Builder::new()
                            .timer(TokioTimer::new())
                            .keep_alive(false)
                            .serve_connection(TokioIo::new(stream), service);
                        scrapes.spawn(timeout(LONGEST_SCRAPE, scrape));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a metrics connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let (status, body) = match (request.method(), request.uri().path()) {
            (&Method::GET, "/metrics") => (StatusCode::OK, self.text()),
            (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
            _ => (StatusCode::NOT_FOUND, String::new()),
        };
        let mut answer = Response::new(Full::new(Bytes::from(body)));
        *answer.status_mut() = status;
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, http::HeaderValue::from_static(MEDIA_TYPE));
        answer
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// From half a millisecond to sixteen seconds, each twice the one before.
fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

/// The code as the gRPC documentation spells it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_refusals_are_counted_by_their_labels() {
        let metrics = Metrics::new();
        metrics.call(Some("/a.B/C"), Code::Ok, Duration::from_millis(3));
        metrics.call(None, Code::Unimplemented, Duration::ZERO);
        metrics.refusal(Reason::MethodUnknown);
        let text = metrics.text();
        for line in [
            r#"millgate_calls_total{method="/a.B/C",code="OK"} 1"#,
            r#"millgate_calls_total{method="other",code="UNIMPLEMENTED"} 1"#,
            r#"millgate_refusals_total{reason="METHOD_UNKNOWN"} 1"#,
            r#"millgate_call_seconds_count{method="/a.B/C"} 1"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
