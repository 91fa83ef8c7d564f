//! Numbers of the gateway's own, for the metrics listener: requests and how long they took, by RPC.

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;

use crate::api::Method;

/// What is counted for a path that is none of the routes: a stranger cannot make up series.
const OTHER: &str = "other";

/// The RPC that a request was routed to, noted on its answer.
#[derive(Debug, Clone)]
pub(crate) struct Routed(pub(crate) Arc<Method>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    method: String,
}

/// The numbers. They are written whether anybody reads them or not.
#[derive(Clone)]
pub(crate) struct Numbers {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<MethodLabels, Histogram, fn() -> Histogram>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(buckets),
        }
    }
}

impl Numbers {
    /// Hands them to those who read.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "HTTP requests by RPC and status";
        registry.register("http_requests", help, self.requests.clone());
        let help = "How long HTTP requests took";
        registry.register("http_request_seconds", help, self.seconds.clone());
    }

    pub(crate) fn answered(&self, routed: Option<&Routed>, status: StatusCode, took: Duration) {
        let method = routed.map_or(OTHER, |Routed(method)| method.name.as_str());
        let labels = RequestLabels {
            method: method.to_owned(),
            status: status.as_u16(),
        };
        self.requests.get_or_create(&labels).inc();
        let labels = MethodLabels {
            method: method.to_owned(),
        };
        self.seconds
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }
}

/// From half a millisecond to sixteen seconds, each twice the one before.
fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}
