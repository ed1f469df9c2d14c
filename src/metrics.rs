//! What `/metrics` says, as OpenMetrics: read at the moment when it is asked for, from cells that are counted anyway.
//! The chart's alerts and dashboard name no metric that is not here; a test compares.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::Registry,
};

use crate::{
    admission::tls::Pair,
    controller::{
        index::Index,
        lease::{Mandate, leading},
        watch::Health,
    },
    policy::tally::BUCKETS,
    traces::Traces,
};

/// Where it is read from.
pub struct Metrics {
    /// Counts, readiness, and what was found in the API server.
    pub index: Arc<Index>,
    /// How old what the watches say is, each with the kind that it is of.
    pub watches: Vec<(String, Arc<Health>)>,
    /// Whether this replica leads.
    pub mandate: Mandate,
    /// The certificate that is served.
    pub pair: Arc<Pair>,
    /// What became of spans.
    pub traces: Traces,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// The page.
///
/// # Errors
/// A text cannot be written, which does not happen.
pub fn page(metrics: Arc<Metrics>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("demarc");
    registry.register_collector(Box::new(metrics));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let tally = &self.index.shared.tally;

        let mut family = encoder.encode_descriptor("admission_reviews", "Reviews by route and answer", None, MetricType::Counter)?;
        for (route, answer, times) in tally.reviews() {
            family.encode_family(&[("route", route.as_str()), ("answer", answer.as_str())])?.encode_counter::<NoLabelSet, _, u64>(&times, None)?;
        }
        let mut family =
            encoder.encode_descriptor("admission_decisions", "Violations met at admission by control, owner, enforcement and what followed", None, MetricType::Counter)?;
        for d in tally.decisions() {
            let verdict = if d.consequence == crate::policy::tally::Consequence::Waived { "Waived" } else { "Violated" };
            let labels =
                [("control", d.control), ("owner", d.owner.as_str()), ("verdict", verdict), ("enforcement", d.enforcement.as_str()), ("consequence", d.consequence.as_str())];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&d.times, None)?;
        }
        let (counts, sum) = tally.latency();
        #[allow(clippy::cast_precision_loss)] // At most 5 s.
        let ends = BUCKETS.iter().map(|micros| *micros as f64 / 1e6).chain([f64::MAX]);
        let buckets: Vec<(f64, u64)> = ends.zip(counts).collect();
        encoder
            .encode_descriptor("admission_duration_seconds", "From the last byte of a review to the first of its answer", None, MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)?;

        let mut gauge = |name: &str, help: &str, value: i64| encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value);
        gauge("ready", "Whether this replica answers reviews", i64::from(self.index.shared.ready()))?;
        gauge("lease_held", "Whether this replica writes", i64::from(leading(&self.mandate)))?;
        gauge("book_generation", "How often the book was made anew", i64::try_from(tally.books()).unwrap_or(i64::MAX))?;
        gauge("namespaces_enrolled", "Namespaces that the API server is to ask about", i64::try_from(self.index.enrolled().len()).unwrap_or(i64::MAX))?;
        let (tries, proven) = tally.tries();
        let mut may = |name: &str, help: &str, value: Option<i64>| {
            let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            value.map_or(Ok(()), |value| gauge.encode_gauge(&value))
        };
        may("certificate_not_after_timestamp_seconds", "When the certificate that is served ends", self.pair.validity().map(|(_, until)| until))?;
        may("authority_not_after_timestamp_seconds", "When the authority that the API server trusts ends", self.index.trusted().map(|(_, until)| until))?;
        // By the leader alone; before the first proof there is none.
        may("probe_last_proof_timestamp_seconds", "When this replica last proved that the API server asks", (proven > 0).then_some(proven))?;
        let mut family = encoder.encode_descriptor("probe_results", "Tries to prove enforcement by what they came to", None, MetricType::Counter)?;
        for (tried, times) in tries {
            family.encode_family(&[("result", tried.as_str())])?.encode_counter::<NoLabelSet, _, u64>(&times, None)?;
        }
        encoder
            .encode_descriptor("ownerships_deleted", "Ownerships that were deleted from namespaces that stay, as told while this replica led", None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, u64>(&tally.departures(), None)?;
        let mut family = encoder.encode_descriptor("spans", "Spans of traces by what became of them", None, MetricType::Counter)?;
        for (outcome, spans) in self.traces.counts() {
            family.encode_family(&[("outcome", outcome)])?.encode_counter::<NoLabelSet, _, u64>(&spans, None)?;
        }
        let mut family = encoder.encode_descriptor("enforcement_fault", "1 with the reason, while what stands in the API server is not as it must be", None, MetricType::Gauge)?;
        if let Some(reason) = self.index.fault() {
            family.encode_family(&[("reason", reason)])?.encode_gauge(&1_i64)?;
        }
        let mut family = encoder.encode_descriptor("watch_age_seconds", "Since a kind was last heard of", None, MetricType::Gauge)?;
        for (resource, health) in &self.watches {
            if let Some(age) = health.age() {
                family.encode_family(&[("resource", resource.as_str())])?.encode_gauge(&i64::try_from(age).unwrap_or(i64::MAX))?;
            }
        }
        let mut family = encoder.encode_descriptor("findings", "What does not hold or cannot be seen, as the leader last judged it", None, MetricType::Gauge)?;
        for ((control, owner, verdict), count) in tally.findings() {
            let labels = [("control", control), ("owner", owner.as_str()), ("verdict", verdict.as_str())];
            family.encode_family(&labels)?.encode_gauge(&i64::try_from(count).unwrap_or(i64::MAX))?;
        }
        let mut family =
            encoder.encode_descriptor("enforcing", "Namespaces and Baselines by what their condition Enforcing says, as the leader last judged it", None, MetricType::Gauge)?;
        for ((of, (status, reason)), count) in tally.enforcing() {
            let labels = [("kind", of.as_str()), ("status", status), ("reason", reason)];
            family.encode_family(&labels)?.encode_gauge(&i64::try_from(count).unwrap_or(i64::MAX))?;
        }
        let mut family = encoder.encode_descriptor(
            "reviews_due",
            "Namespaces and Baselines where something that was recorded lapses or has, as the leader last judged it",
            None,
            MetricType::Gauge,
        )?;
        for ((of, reason), count) in tally.due() {
            family.encode_family(&[("kind", of.as_str()), ("reason", reason)])?.encode_gauge(&i64::try_from(count).unwrap_or(i64::MAX))?;
        }
        Ok(())
    }
}
