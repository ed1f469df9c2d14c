//! An API server by script: each request is given to a function, which answers it, or never does.
//! There is no socket, so the paused clock of tokio runs through minutes at once; the layer that repeats requests is the real client's.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{Method, Request, Response, header},
};
use demarc::controller::{
    index::{Index, Source},
    watch::Change,
};
use futures::{Stream, StreamExt, stream};
use http_body_util::BodyExt;
use kube::{
    Client,
    client::{ClientBuilder, retry::RetryPolicy},
};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::{BoxError, retry::RetryLayer};

/// One request.
#[derive(Clone, Debug)]
pub struct Call {
    /// Since the client was made.
    pub at: Duration,
    pub method: Method,
    pub path: String,
    pub query: String,
    pub body: Value,
}

impl Call {
    pub fn is_watch(&self) -> bool {
        self.query.contains("watch=true")
    }

    /// The page of a list that it asks for, from 1; the tokens are the numbers.
    pub fn page(&self) -> u32 {
        self.query.split('&').find_map(|q| q.strip_prefix("continue=")).map_or(1, |n| n.parse().unwrap())
    }
}

/// What it gets.
pub enum Reply {
    Answer(Response<Body>),
    /// There is no answer, ever.
    Never,
}

/// A way to fail, and its name.
pub type Way = (&'static str, fn() -> Reply);

/// Every request so far.
pub type Calls = Arc<Mutex<Vec<Call>>>;

/// A client of an API server that answers as `script` says.
pub fn client(script: impl FnMut(&Call) -> Reply + Send + 'static) -> (Client, Calls) {
    let (script, calls, start) = (Arc::new(Mutex::new(script)), Calls::default(), Instant::now());
    let log = calls.clone();
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let (script, log) = (script.clone(), log.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = serde_json::from_slice(&body.collect().await?.to_bytes()).unwrap_or_default();
            let call = Call { at: start.elapsed(), method: head.method, path: head.uri.path().to_owned(), query: head.uri.query().unwrap_or_default().to_owned(), body };
            log.lock().unwrap().push(call.clone());
            let reply = (script.lock().unwrap())(&call);
            match reply {
                Reply::Answer(response) => Ok::<_, BoxError>(response),
                Reply::Never => std::future::pending().await,
            }
        }
    });
    (ClientBuilder::new(service, "default").with_layer(&RetryLayer::new(RetryPolicy::server_retry())).build(), calls)
}

pub fn answer(code: u16, body: impl Into<Body>) -> Reply {
    Reply::Answer(Response::builder().status(code).header(header::CONTENT_TYPE, "application/json").body(body.into()).unwrap())
}

pub fn object(value: &Value) -> Reply {
    answer(200, value.to_string())
}

/// The Ownership of a namespace, as it is stored.
pub fn ownership(namespace: &str, version: u32, status: &Value) -> Value {
    json!({
        "apiVersion": "demarc.dev/v1alpha1",
        "kind": "Ownership",
        "metadata": {"name": "default", "namespace": namespace, "uid": format!("o-{namespace}"), "resourceVersion": version.to_string(), "generation": 1},
        "spec": {"serviceModel": "PaaS"},
        "status": status,
    })
}

/// Plays the watch: the index hears of an object.
pub fn feed(index: &Index, source: Source, object: Value) {
    index.take(source, &Change::Applied(Box::new(serde_json::from_value(object).unwrap())));
}

/// A page of a list; `next` is the page that follows.
pub fn page(items: &[Value], next: Option<u32>) -> Reply {
    let next = next.map(|n| n.to_string()).unwrap_or_default();
    object(&json!({"apiVersion": "v1", "kind": "NamespaceList", "metadata": {"resourceVersion": "10", "continue": next}, "items": items}))
}

fn status(code: u16) -> Value {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "reason": reason, "message": "scripted", "code": code})
}

/// An error as an API server puts it.
pub fn error(code: u16) -> Reply {
    answer(code, status(code).to_string())
}

/// Too many requests: come back after so many seconds.
pub fn throttled(seconds: u32) -> Reply {
    Reply::Answer(Response::builder().status(429).header(header::RETRY_AFTER, seconds).body(Body::from(status(429).to_string())).unwrap())
}

/// The event that ends a watch from within.
pub fn error_event(code: u16) -> Value {
    json!({"type": "ERROR", "object": status(code)})
}

/// A watch with these events, which then goes on as `then` says: `stream::empty()` is its end in order, `stream::pending()` silence.
pub fn watch(events: &[Value], then: impl Stream<Item = String> + Send + 'static) -> Reply {
    let lines: Vec<String> = events.iter().map(|e| format!("{e}\n")).collect();
    answer(200, Body::from_stream(stream::iter(lines).chain(then).map(|line| Ok::<_, std::convert::Infallible>(Bytes::from(line)))))
}
