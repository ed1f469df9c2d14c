//! Spans, for whoever asks for them: of each review, each judging of a namespace that writes, each try to prove enforcement.
//! Off unless a receiver is named, and then an `Option` is all that is looked at. No span holds a name of a person, an object or a message.

mod options;
mod sender;

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use axum::http::HeaderMap;
use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, TextMapPropagator},
    trace::{Span as _, SpanBuilder, SpanKind, Status, Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider, Span},
};
pub use options::{Args, Refused};
use sender::Counts;

use crate::model::text::shown;

/// Where the API server says by which trace it asks.
const PARENT: &str = "traceparent";
/// One is 55 bytes long, and what comes after it in later versions is short.
const MAX_PARENT: usize = 256;
/// The longest name of a namespace, and of a kind that is shown.
const NAME: usize = 63;

/// Where spans begin; cheap to clone.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Live>>);

struct Live {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
    counts: Arc<Counts>,
}

tokio::task_local! {
    /// How many writes there were while a namespace was judged.
    static WRITES: std::cell::Cell<i64>;
}

impl Traces {
    /// As the arguments say: without a receiver, none. `replica` tells this process from others.
    ///
    /// # Errors
    /// An argument cannot be used; the receiver is not asked.
    pub fn new(args: &Args, replica: &str) -> Result<Self, Refused> {
        let Some(receiver) = args.receiver()? else { return Ok(Self::default()) };
        let (sampler, origin) = (args.sampler()?, receiver.origin());
        let (provider, counts) = sender::provider(receiver, sampler, replica)?;
        tracing::info!(receiver = origin, "traces are sent");
        Ok(Self(Some(Arc::new(Live { tracer: provider.tracer("demarc"), provider, counts }))))
    }

    /// The moment from which a span may be told, and the trace that the headers say it belongs to.
    pub fn begin(&self, headers: &HeaderMap) -> Option<Begun<'_>> {
        let live = self.0.as_deref()?;
        let parent = headers.get(PARENT).and_then(|value| value.to_str().ok()).filter(|value| value.len() <= MAX_PARENT);
        let parent = parent.map_or_else(Context::new, |parent| TraceContextPropagator::new().extract_with_context(&Context::new(), &Parent(parent)));
        Some(Begun { live, at: SystemTime::now(), parent })
    }

    /// The same of what nobody asked for.
    pub fn start(&self) -> Option<Begun<'_>> {
        self.0.as_deref().map(|live| Begun { live, at: SystemTime::now(), parent: Context::new() })
    }

    /// Judges a namespace, and tells it where [`wrote`] was said meanwhile. `fault` names the sort of an error in a word.
    pub async fn judged<T, E>(&self, namespace: &str, fault: impl Fn(&E) -> &'static str, judging: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let Some(begun) = self.start() else { return judging.await };
        let counted = async {
            let judged = judging.await;
            (judged, WRITES.with(std::cell::Cell::get))
        };
        let (judged, writes) = WRITES.scope(std::cell::Cell::new(0), counted).await;
        if writes > 0
            && let Some(mut span) = begun.span("judge namespace", SpanKind::Internal)
        {
            span.set_attribute(namespaced(namespace));
            span.set_attribute(KeyValue::new("demarc.writes", writes));
            if let Err(error) = &judged {
                span.set_attribute(KeyValue::new("error.type", fault(error)));
                span.set_status(Status::error(""));
            }
        }
        judged
    }

    /// Spans that were sent, and that were lost.
    pub fn counts(&self) -> [(&'static str, u64); 2] {
        self.0.as_ref().map_or([("Sent", 0), ("Lost", 0)], |live| live.counts.told())
    }

    /// Sends what waits, for at most `patience`; spans that end later are lost.
    pub async fn end(&self, patience: std::time::Duration) {
        let Some(live) = self.0.clone() else { return };
        // It waits in a blocking way for the thread that sends.
        let flushed = tokio::task::spawn_blocking(move || live.provider.shutdown_with_timeout(patience));
        let _ = tokio::time::timeout(patience, flushed).await;
    }
}

/// Says that something was written of the namespace that is being judged.
pub fn wrote() {
    // Nobody counts where traces are off, or what is written is of no namespace.
    let _ = WRITES.try_with(|writes| writes.set(writes.get() + 1));
}

/// `tracestate` is not read: it is anybody's text, and nothing is asked of others by it.
struct Parent<'h>(&'h str);

impl Extractor for Parent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == PARENT).then_some(self.0)
    }
    fn keys(&self) -> Vec<&str> {
        vec![PARENT]
    }
}

fn namespaced(namespace: &str) -> KeyValue {
    KeyValue::new("k8s.namespace.name", shown(namespace, NAME))
}

/// Something that a span may be told of.
pub struct Begun<'t> {
    live: &'t Live,
    at: SystemTime,
    parent: Context,
}

impl Begun<'_> {
    /// The span, where it is sampled. It ends when it is dropped.
    fn span(self, name: &'static str, kind: SpanKind) -> Option<Span> {
        let span = self.live.tracer.build_with_context(SpanBuilder::from_name(name).with_kind(kind).with_start_time(self.at), &self.parent);
        span.is_recording().then_some(span)
    }

    /// A review came, on this path.
    pub fn review(self, path: &'static str) -> Option<Review> {
        let mut span = self.span("admission review", SpanKind::Server)?;
        span.set_attribute(KeyValue::new("http.request.method", "POST"));
        span.set_attribute(KeyValue::new("http.route", path));
        Some(Review(span))
    }

    /// A try to prove that the API server asks came to `result`.
    pub fn tried(self, namespace: &str, generation: i64, result: &'static str) {
        if let Some(mut span) = self.span("prove enforcement", SpanKind::Internal) {
            span.set_attribute(namespaced(namespace));
            span.set_attribute(KeyValue::new("demarc.generation", generation));
            span.set_attribute(KeyValue::new("demarc.result", result));
        }
    }
}

/// The span of a review.
pub struct Review(Span);

impl Review {
    /// What is asked about.
    pub fn about(&mut self, namespace: &str, kind: &str, operation: &str) {
        if !namespace.is_empty() {
            self.0.set_attribute(namespaced(namespace));
        }
        self.0.set_attribute(KeyValue::new("demarc.kind", shown(kind, NAME)));
        self.0.set_attribute(KeyValue::new("demarc.operation", shown(operation, NAME)));
    }

    /// By which generation of the Ownership it is decided.
    pub fn generation(&mut self, generation: i64) {
        self.0.set_attribute(KeyValue::new("demarc.generation", generation));
    }

    /// What came of it, with a control for each violation that was refused. HTTP's own status is 200 for whatever is answered.
    pub fn answered<'c>(mut self, decision: &'static str, code: u16, violated: impl Iterator<Item = &'c str>, warnings: usize) {
        self.0.set_attribute(KeyValue::new("http.response.status_code", 200));
        self.0.set_attribute(KeyValue::new("demarc.decision", decision));
        self.0.set_attribute(KeyValue::new("demarc.code", i64::from(code)));
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        violated.for_each(|control| *counts.entry(control).or_default() += 1);
        for (control, count) in counts {
            self.0.set_attribute(KeyValue::new(format!("demarc.violations.{}", shown(control, NAME)), count));
        }
        if warnings > 0 {
            self.0.set_attribute(KeyValue::new("demarc.warnings", i64::try_from(warnings).unwrap_or(i64::MAX)));
        }
    }
}
