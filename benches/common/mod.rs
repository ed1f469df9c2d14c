//! What the benches share: how a figure is said beside its bar, the Deployment that is asked about, and HTTP over TLS from both ends.
//! A ratio is of two things measured in turns in the same run, so that a drift of the machine meets both.

// Each bench takes what it needs.
#![allow(dead_code, clippy::unwrap_used, clippy::cast_precision_loss)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes};
use demarc::admission::{
    server,
    tls::{self, Pair},
};
use http_body_util::{BodyExt, Full};
use hyper::{Method, StatusCode, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};

const IMAGE: &str = "ghcr.io/acme/payments:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const BUILT: &str = "2026-01-01T00:00:00Z";

/// A ratio beside its bar.
pub fn line(id: &str, ratio: f64, bar: &str, ok: bool, rest: &str) {
    figure(id, &format!("ratio {ratio:.2}"), bar, ok, rest);
}

/// A figure beside its bar.
pub fn figure(id: &str, said: &str, bar: &str, ok: bool, rest: &str) {
    println!("{id} {said} (bar {bar}) {} {rest}", if ok { "ok" } else { "misses" });
}

pub fn median(values: Vec<f64>) -> f64 {
    quantile(values, 0.5)
}

/// The value below which this share of them is.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A share of a count.
pub fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() as f64 * share) as usize).min(values.len() - 1)]
}

/// A Deployment that every control of the catalog admits, with so many environment variables.
pub fn deployment(namespace: &str, name: &str, env: usize) -> Value {
    let env: Vec<Value> = (0..env).map(|i| json!({"name": format!("SETTING_{i}"), "value": "some-value-of-usual-length"})).collect();
    let labels = json!({"app": "payments", "app.kubernetes.io/name": "payments", "team": "shop"});
    let container = json!({"name": "web", "image": IMAGE, "env": env, "ports": [{"containerPort": 8080}], "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}});
    let pod = json!({"automountServiceAccountToken": false, "containers": [container], "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}], "restartPolicy": "Always"});
    let template = json!({"metadata": {"labels": labels, "annotations": {"demarc.dev/encryption-at-rest": "csi", "org.opencontainers.image.created": BUILT}}, "spec": pod});
    let meta = json!({"name": name, "namespace": namespace, "uid": "2f6a", "creationTimestamp": BUILT, "labels": labels, "annotations": {"a8r.io/owner": "payments@acme.example"}});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}})
}

/// A review of a Deployment.
pub fn review(object: &Value, update: bool) -> Vec<u8> {
    let mut request = json!({"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "kind": {"group": "apps", "version": "v1", "kind": "Deployment"}, "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"], "operation": if update { "UPDATE" } else { "CREATE" }, "userInfo": {"username": "alice", "groups": ["teams", "system:authenticated"]}, "object": object, "dryRun": false});
    if update {
        request["oldObject"] = object.clone();
    }
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string().into_bytes()
}

/// A review of a compliant Deployment, padded with environment variables to about `bytes`.
pub fn asked(bytes: usize, update: bool) -> Vec<u8> {
    // One more variable is so many bytes, in each of the two objects.
    let build = |env: usize| review(&deployment("shop", "payments", env), update);
    let (none, hundred) = (build(0).len(), build(100).len());
    let from = bytes.saturating_sub(none) * 100 / (hundred - none);
    (from.saturating_sub(20)..from + 20).map(build).find(|body| body.len() >= bytes).unwrap()
}

/// What listens on loopback, and the certificate by which it is known.
#[derive(Clone)]
pub struct Server {
    pub port: u16,
    pub ca: Vec<u8>,
}

/// One thread serves by Demarc's own server, another asks: one core each.
pub fn serve(routes: impl FnOnce() -> Router + Send + 'static) -> Server {
    let (certificate, key) = tls::self_made(&["localhost", "127.0.0.1"]).unwrap();
    let (port_sender, port) = std::sync::mpsc::channel();
    let pair = Arc::new(Pair::from_pem(certificate.clone(), key).unwrap());
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            port_sender.send(listener.local_addr().unwrap().port()).unwrap();
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(pair.server_config().unwrap()));
            server::serve(listener, acceptor, routes(), std::future::pending(), Duration::ZERO).await.unwrap();
        });
    });
    Server { port: port.recv().unwrap(), ca: certificate }
}

/// One connection: HTTP/1.1 over TLS, kept alive.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    token: Option<String>,
}

/// A request that was not answered: the connection was, or became, closed.
/// How often somebody connected.
static ASKED: AtomicU8 = AtomicU8::new(0);

pub type Unanswered = Box<dyn std::error::Error + Send + Sync>;

impl Client {
    pub async fn connect(server: &Server) -> Self {
        Self::try_connect(server).await.unwrap()
    }

    pub async fn try_connect(server: &Server) -> Result<Self, Unanswered> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&server.ca)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth();
        // One peer has half of the server's connections at most: ask as four do.
        let socket = TcpSocket::new_v4()?;
        socket.bind(([127, 0, 0, 2 + ASKED.fetch_add(1, Ordering::Relaxed) % 4], 0).into())?;
        let stream = socket.connect(([127, 0, 0, 1], server.port).into()).await?;
        stream.set_nodelay(true)?;
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost")?, stream).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, token: None })
    }

    /// As the user of a bearer token.
    pub fn with_token(self, token: &str) -> Self {
        Self { token: Some(format!("Bearer {token}")), ..self }
    }

    /// Whether another request may be sent; an answer that says `close` ends a connection.
    pub async fn open(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    pub async fn send(&mut self, method: Method, path: &str, content_type: &str, body: Bytes) -> Result<(StatusCode, Bytes), Unanswered> {
        let mut request = hyper::Request::builder().method(method).uri(path).header("host", "localhost").header("content-type", content_type).header("user-agent", "bench");
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        self.sender.ready().await?;
        let response = self.sender.send_request(request.body(Full::new(body))?).await?;
        Ok((response.status(), response.into_body().collect().await?.to_bytes()))
    }

    /// A review that is answered.
    pub async fn ask(&mut self, path: &str, body: &Bytes) -> Bytes {
        let (status, answer) = self.send(Method::POST, path, "application/json", body.clone()).await.unwrap();
        assert_eq!(status, 200);
        answer
    }
}
