//! A control plane with Demarc on it, and many requests at once: an estate of thousands is made by connections of our own, for kubectl takes seconds a hundred.
//! Each step is told on the standard error, with the time at which it began.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use axum::body::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    common::{Client, Server},
    support::{ControlPlane, Demarc, eventually},
};

pub const JSON: &str = "application/json";
pub const MERGE: &str = "application/merge-patch+json";
const TOKEN: &str = "admin-token";
/// So many requests in flight while something large is made.
const AT_ONCE: usize = 16;

pub struct World {
    // First, for it is dropped first: with Demarc's watches open the API server takes 10 s to stop.
    pub demarc: Option<Demarc>,
    pub plane: ControlPlane,
    pub runtime: Runtime,
    began: Instant,
}

/// One write.
pub struct Write {
    pub method: Method,
    pub path: String,
    pub content_type: &'static str,
    pub body: Value,
}

impl Write {
    pub fn create(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), content_type: JSON, body }
    }

    pub fn patch(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PATCH, path: path.into(), content_type: MERGE, body }
    }

    pub fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, path: path.into(), content_type: JSON, body: json!({}) }
    }

    /// What the API server said where it took it.
    pub async fn by(self, client: &mut Client) -> Bytes {
        let (status, answer) = client.send(self.method, &self.path, self.content_type, Bytes::from(self.body.to_string())).await.unwrap();
        assert!(status.is_success(), "{}: {}", self.path, String::from_utf8_lossy(&answer));
        answer
    }
}

/// The release build of what is measured.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_demarc"))
}

impl World {
    /// With Demarc, which registers itself.
    pub fn start() -> Self {
        let began = Instant::now();
        eprintln!("   0 s: starting a control plane");
        let plane = ControlPlane::start();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let demarc = Some(plane.demarc(binary(), "one"));
        Self { demarc, plane, runtime, began }
    }

    /// Says what comes now.
    pub fn step(&self, what: &str) {
        eprintln!("{:4} s: {what}", self.began.elapsed().as_secs());
    }

    pub fn demarc(&self) -> &Demarc {
        self.demarc.as_ref().unwrap()
    }

    /// Ends it without further ado, and starts it again.
    pub fn restart(&mut self) {
        self.kill();
        self.demarc = Some(self.plane.demarc(binary(), "one"));
    }

    pub fn kill(&mut self) {
        if let Some(demarc) = self.demarc.take() {
            demarc.kill();
        }
    }

    pub fn api(&self) -> Server {
        let (port, ca) = self.plane.api();
        Server { port, ca }
    }

    pub fn connect(&self) -> Client {
        self.runtime.block_on(connect(&self.api()))
    }

    pub fn write(&self, write: Write) -> Bytes {
        self.runtime.block_on(write.by(&mut self.connect()))
    }

    pub fn get(&self, path: &str) -> Value {
        let mut client = self.connect();
        let (status, answer) = self.runtime.block_on(client.send(Method::GET, path, JSON, Bytes::new())).unwrap();
        assert!(status.is_success(), "{path}: {}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).unwrap()
    }

    /// So many writes over a few connections.
    pub fn write_all(&self, writes: usize, each: impl Fn(usize) -> Write) {
        let (next, api) = (AtomicUsize::new(0), self.api());
        let (next, each, api) = (&next, &each, &api);
        self.runtime.block_on(futures::future::join_all((0..AT_ONCE).map(|_| async move {
            let mut client = connect(api).await;
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= writes {
                    return;
                }
                each(i).by(&mut client).await;
            }
        })));
    }

    /// A namespace that promises this, and that the API server asks about.
    pub fn declare(&self, namespace: &str, spec: &Value) {
        self.write(namespace_of(namespace, &json!({})));
        self.write(ownership(namespace, spec));
        self.write(network_policy(namespace));
        let condition = "--for=condition=Enforcing=True";
        self.plane.kubectl(&["wait", "ownership/default", "-n", namespace, condition, "--timeout=30s"], None).result().unwrap();
    }

    /// Where the webhook that is registered listens, and its certificate.
    pub fn webhook(&self) -> Server {
        let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/demarc";
        let mut reached = self.get(path)["webhooks"][0]["clientConfig"].take();
        let ca: k8s_openapi::ByteString = serde_json::from_value(reached["caBundle"].take()).unwrap();
        let port = reached["url"].as_str().unwrap().rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
        Server { port, ca: ca.0 }
    }

    /// Another replica, as a pod of the chart runs, with nothing to install or register; it is waited for, and its webhook's place is told.
    pub fn replica(&self, name: &str) -> (Demarc, Server) {
        let demarc = self.plane.demarc_in_cluster(binary(), name, &self.plane.kubeconfig());
        let port = eventually("its address", Duration::from_secs(60), || {
            let log = demarc.log();
            let ready = log.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok()).find(|l| l["fields"]["message"] == "ready");
            ready.and_then(|l| l["fields"]["webhook"].as_str()?.rsplit(':').next()?.parse().ok()).ok_or(log)
        });
        (demarc, Server { port, ca: self.plane.api().1 })
    }
}

pub async fn connect(api: &Server) -> Client {
    Client::connect(api).await.with_token(TOKEN)
}

pub fn namespace_of(name: &str, labels: &Value) -> Write {
    Write::create("/api/v1/namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}))
}

pub fn ownership(namespace: &str, spec: &Value) -> Write {
    let mut spec = spec.clone();
    spec["serviceModel"] = json!("PaaS");
    spec["parties"] = json!({"customer": "acme", "provider": "azure"});
    spec["policy"] = json!({"images": {"allowedPrefixes": ["ghcr.io/acme"]}, "patch": {"maxImageAge": "P99999D"}});
    let object = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default"}, "spec": spec});
    Write::create(format!("{OURS}/namespaces/{namespace}/ownerships"), object)
}

pub fn network_policy(namespace: &str) -> Write {
    let object = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "default"}, "spec": {"podSelector": {}}});
    Write::create(format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"), object)
}

pub const OURS: &str = "/apis/demarc.dev/v1alpha1";

pub fn deployments(namespace: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/deployments")
}
