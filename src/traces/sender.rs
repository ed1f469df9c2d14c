//! From spans to a receiver: OpenTelemetry's own queue and batches, sent by the HTTP client that is in Demarc anyway.
//! What cannot be sent is lost: counted, said once in the log, and nobody waits for it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Bytes,
    http::{
        Request, Response,
        uri::{PathAndQuery, Scheme},
    },
};
use http_body_util::{BodyExt, Limited};
use kube::{Client, Config, client::Body};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    resource::{EnvResourceDetector, ResourceDetector, SdkProvidedResourceDetector, TelemetryResourceDetector},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor},
};
use tokio::{runtime::Handle, time::timeout};

use super::options::{Receiver, Refused};

/// So many spans wait or are being sent; what is more is lost.
const QUEUE: u64 = 2048;
/// A receiver has so long for a batch, as OpenTelemetry has it.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer says nothing but how many were not taken.
const MAX_ANSWER: usize = 64 * 1024;

/// What became of spans.
#[derive(Debug, Default)]
pub(super) struct Counts {
    waiting: AtomicU64,
    sent: AtomicU64,
    lost: AtomicU64,
    said: AtomicBool,
}

impl Counts {
    pub(super) fn told(&self) -> [(&'static str, u64); 2] {
        [("Sent", self.sent.load(Ordering::Relaxed)), ("Lost", self.lost.load(Ordering::Relaxed))]
    }

    fn lose(&self, spans: u64, why: &str) {
        self.lost.fetch_add(spans, Ordering::Relaxed);
        if !self.said.swap(true, Ordering::Relaxed) {
            tracing::warn!(why, "traces are lost; said once, and from now on counted in demarc_spans_total");
        }
    }
}

/// Everything from the end of a span to its receiver.
pub(super) fn provider(receiver: Receiver, sampler: Sampler, replica: &str) -> Result<(SdkTracerProvider, Arc<Counts>), Refused> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(receiver.endpoint.to_string())
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(PATIENCE)
        .with_http_client(Post { client: client(receiver)?, runtime: Handle::current() })
        .build()
        .map_err(|error| Refused::Client(error.to_string()))?;
    let counts = Arc::new(Counts::default());
    let exporter = Counted { exporter, counts: counts.clone() };
    let config = BatchConfigBuilder::default().with_max_queue_size(usize::try_from(QUEUE).unwrap_or(usize::MAX)).build();
    let batches = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    let bounded = Bounded { batches, counts: counts.clone() };
    Ok((SdkTracerProvider::builder().with_sampler(sampler).with_resource(resource(replica)).with_span_processor(bounded).build(), counts))
}

/// Who sends. What OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say goes before.
fn resource(replica: &str) -> Resource {
    let own = [("service.name", "demarc"), ("service.version", env!("CARGO_PKG_VERSION")), ("service.instance.id", replica)];
    let own = own.map(|(key, value)| KeyValue::new(key, value.to_owned()));
    let detectors: [Box<dyn ResourceDetector>; 2] = [Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())];
    let resource = Resource::builder_empty().with_attributes(own).with_detectors(&detectors);
    // It says `unknown_service` where nobody says anything.
    let named = SdkProvidedResourceDetector.detect().get(&Key::from_static_str("service.name")).filter(|name| !name.as_str().starts_with("unknown_service"));
    named.into_iter().fold(resource, |resource, name| resource.with_attribute(KeyValue::new("service.name", name))).build()
}

/// kube's client for a receiver, without anything by which the API server knows Demarc.
fn client(receiver: Receiver) -> Result<Client, Refused> {
    let plain = receiver.endpoint.scheme() == Some(&Scheme::HTTP);
    let mut parts = receiver.endpoint.into_parts();
    // The path comes with each request.
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    let base = parts.try_into().map_err(|error: axum::http::uri::InvalidUriParts| Refused::Client(error.to_string()))?;
    let mut config = Config::new(base);
    config.connect_timeout = Some(PATIENCE);
    // OpenTelemetry's exporter has its own.
    config.default_retry = false;
    if let Some((file, certificates)) = receiver.authority {
        (config.root_cert, config.root_cert_file) = (Some(certificates), Some(file));
    } else if plain {
        // Nobody has to be trusted. Without this the system's authorities are, and the image has none, which is an error.
        config.root_cert = Some(Vec::new());
    }
    let trusts_the_system = config.root_cert.is_none();
    Client::try_from(config).map_err(|error| if trusts_the_system { Refused::Nobody } else { Refused::Client(error.to_string()) })
}

/// OpenTelemetry's exporter sends from a thread of its own, where no runtime is.
struct Post {
    client: Client,
    runtime: Handle,
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Post")
    }
}

#[async_trait::async_trait]
impl HttpClient for Post {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = async move {
            let (head, body) = client.send(request.map(Body::from)).await?.into_parts();
            Ok(Response::from_parts(head, Limited::new(body, MAX_ANSWER).collect().await?.to_bytes()))
        };
        // The clock is the runtime's too.
        self.runtime.spawn(async { timeout(PATIENCE, sent).await }).await??
    }
}

#[derive(Debug)]
struct Counted {
    exporter: opentelemetry_otlp::SpanExporter,
    counts: Arc<Counts>,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let outcome = self.exporter.export(batch).await;
        self.counts.waiting.fetch_sub(spans, Ordering::Relaxed);
        match &outcome {
            Ok(()) => drop(self.counts.sent.fetch_add(spans, Ordering::Relaxed)),
            Err(error) => self.counts.lose(spans, &error.to_string()),
        }
        outcome
    }
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }
    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Before OpenTelemetry's queue, which does not tell what it drops.
#[derive(Debug)]
struct Bounded {
    batches: BatchSpanProcessor,
    counts: Arc<Counts>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, _: &mut Span, _: &Context) {}
    fn on_end(&self, span: SpanData) {
        if self.counts.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
            self.counts.lose(1, "more spans than can be sent");
        } else {
            self.batches.on_end(span);
        }
    }
    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }
    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}
