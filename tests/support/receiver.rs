//! A receiver of traces on loopback: real HTTP, and the official types to read what comes.
//! It may also be one that answers nonsense, or nothing at all.

// Each user of it takes what it needs.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;

/// How it answers.
#[derive(Clone, Copy, Debug)]
pub enum Mood {
    /// As it should.
    Well,
    /// With this status.
    Says(u16),
    /// Never.
    Hangs,
}

/// It listens until the process ends.
pub struct Receiver {
    pub address: SocketAddr,
    batches: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    asked: Arc<AtomicUsize>,
}

impl Receiver {
    pub fn start(mood: Mood) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (receiver, routes) = Self::at(listener.local_addr().unwrap(), mood);
        // A thread of its own: whoever tests need not be asynchronous.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move { axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), routes).await })
        });
        receiver
    }

    /// The same, to be served at this address.
    pub fn at(address: SocketAddr, mood: Mood) -> (Self, Router) {
        let (batches, asked) = (Arc::<Mutex<Vec<ExportTraceServiceRequest>>>::default(), Arc::new(AtomicUsize::new(0)));
        let (kept, counted) = (batches.clone(), asked.clone());
        let take = move |body: Bytes| {
            counted.fetch_add(1, Ordering::Relaxed);
            if matches!(mood, Mood::Well) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(ExportTraceServiceRequest::decode(body).unwrap());
            }
            async move {
                match mood {
                    Mood::Well => StatusCode::OK,
                    Mood::Says(code) => StatusCode::from_u16(code).unwrap(),
                    Mood::Hangs => std::future::pending().await,
                }
            }
        };
        (Self { address, batches, asked }, Router::new().route("/v1/traces", post(take)))
    }

    /// As an option says it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    pub fn spans(&self) -> Vec<Span> {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.iter().flat_map(|b| &b.resource_spans).flat_map(|r| &r.scope_spans).flat_map(|s| s.spans.clone()).collect()
    }

    /// Waits until a span has come that is wanted.
    pub fn until(&self, what: &str, wanted: impl Fn(&Span) -> bool) -> Span {
        let start = Instant::now();
        loop {
            let spans = self.spans();
            if let Some(span) = spans.iter().find(|s| wanted(s)) {
                return span.clone();
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{what} does not come: {:#?}", spans.iter().map(told).collect::<Vec<_>>());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// All that came, as text: names, attributes, whoever sends.
    pub fn text(&self) -> String {
        format!("{:?}", self.batches.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The attributes, without what is the same of each span.
pub fn told(span: &Span) -> Vec<String> {
    let mut told: Vec<String> = span.attributes.iter().map(said).collect();
    told.sort();
    told.insert(0, span.name.clone());
    told
}

fn said(attribute: &KeyValue) -> String {
    let value = match attribute.value.as_ref().and_then(|v| v.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    format!("{}={value}", attribute.key)
}
