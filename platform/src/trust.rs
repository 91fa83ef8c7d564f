//! What a service knows about revocations, as numbers and as a condition of being ready.

use std::sync::Arc;

use millgate_guard::LiveRevocations;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::metrics::Metrics;

/// Reads the numbers when they are asked for.
#[derive(Debug)]
struct Numbers(Arc<LiveRevocations>);

impl Metrics {
    /// Shows how many revocations a service knows, up to which event of the feed, and how long ago
    /// the feed was heard. `service` stands before the names: services of one process share the
    /// numbers.
    pub fn revocations(&self, service: &str, known: Arc<LiveRevocations>) {
        self.register(|registry| {
            registry
                .sub_registry_with_prefix(service)
                .register_collector(Box::new(Numbers(known)));
        });
    }
}

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let stats = self.0.stats();
        let entries = i64::try_from(stats.entries).unwrap_or(i64::MAX);
        let mut whole = |name, help, value: i64| {
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            gauge.encode(metric)
        };
        whole("revocations", "Revocations that are known", entries)?;
        whole(
            "trust_sequence",
            "The last event of the trust feed that is known",
            stats.sequence,
        )?;
        if let Some(staleness) = stats.staleness {
            let gauge = ConstGauge::new(staleness.as_secs_f64());
            let metric = encoder.encode_descriptor(
                "trust_staleness_seconds",
                "How long ago the trust feed was heard",
                None,
                MetricType::Gauge,
            )?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}
