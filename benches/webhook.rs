//! The whole HTTP path of the webhook (TLS, keep-alive) beside a fixed reply by the same server, in the same run: W1 and W2 as ratios.
//! Latency: one connection, the two interleaved, the ratio of medians. Throughput: eight connections, alternating rounds, the median ratio.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::header, routing::post};
use demarc::{
    admission::{
        answer::Answer,
        server::{self, Edge},
        tls::{self, Pair},
    },
    controller::{
        index::{Index, Source},
        watch::Change,
    },
};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

/// A review of a compliant Deployment, padded with environment variables to about `bytes`.
fn review(bytes: usize, update: bool) -> Vec<u8> {
    let build = |env: usize| {
        let env: Vec<Value> = (0..env).map(|i| json!({"name": format!("SETTING_{i}"), "value": "some-value-of-usual-length"})).collect();
        let labels = json!({"app": "payments", "app.kubernetes.io/name": "payments", "team": "shop"});
        let container = json!({"name": "web", "image": "ghcr.io/acme/payments:1", "env": env, "ports": [{"containerPort": 8080}], "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}});
        let pod = json!({"containers": [container], "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}], "restartPolicy": "Always"});
        let template = json!({"metadata": {"labels": labels, "annotations": {"demarc.dev/encryption-at-rest": "csi"}}, "spec": pod});
        let meta = json!({"name": "payments", "namespace": "shop", "uid": "2f6a", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": labels, "annotations": {"a8r.io/owner": "payments@acme.example"}});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}});
        let mut request = json!({"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "kind": {"group": "apps", "version": "v1", "kind": "Deployment"}, "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "name": "payments", "namespace": "shop", "operation": if update { "UPDATE" } else { "CREATE" }, "userInfo": {"username": "alice", "groups": ["teams", "system:authenticated"]}, "object": object, "dryRun": false});
        if update {
            request["oldObject"] = object;
        }
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string().into_bytes()
    };
    (0..4_000).map(build).find(|body| body.len() >= bytes).unwrap()
}

fn index() -> Index {
    let index = Index::default();
    for (source, object) in [
        (Source::Namespaces, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "uid": "n"}})),
        (
            Source::Ownerships,
            json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default", "namespace": "shop", "uid": "o"},
                "spec": {"serviceModel": "PaaS", "policy": {"images": {"allowedPrefixes": ["ghcr.io/acme"]}}}}),
        ),
    ] {
        index.take(source, &Change::Applied(Box::new(serde_json::from_value(object).unwrap())));
    }
    index.settle();
    index.shared.set_ready(true);
    index
}

/// The floor: reads the body and answers the same bytes each time.
async fn fixed(body: Bytes) -> ([(header::HeaderName, &'static str); 1], Vec<u8>) {
    std::hint::black_box(body);
    ([(header::CONTENT_TYPE, "application/json")], Answer::allow("705ab4f5-6393-11e8-b7cc-42010a800002").to_json())
}

struct Client {
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    async fn connect(port: u16, ca: &[u8]) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    async fn ask(&mut self, path: &str, body: &Bytes) -> Bytes {
        let request = hyper::Request::post(path).header("host", "localhost").header("content-type", "application/json").body(Full::new(body.clone())).unwrap();
        self.sender.ready().await.unwrap();
        let response = self.sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap().to_bytes()
    }
}

fn median<T: Copy + PartialOrd>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values[values.len() / 2]
}

fn line(id: &str, size: &str, ratio: f64, bar: &str, ok: bool, rest: &str) {
    println!("{id} {size} ratio {ratio:.2} (bar {bar}) {} {rest}", if ok { "ok" } else { "misses" });
}

async fn latency(port: u16, ca: &[u8], size: &str, body: Vec<u8>) {
    let body = Bytes::from(body);
    let mut client = Client::connect(port, ca).await;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for round in 0..4_500 {
        // Interleaved, and the order turned each time, so that a drift of the machine meets both.
        let paths = if round % 2 == 0 { ["/workloads", "/fixed"] } else { ["/fixed", "/workloads"] };
        for path in paths {
            let start = Instant::now();
            client.ask(path, &body).await;
            let took = start.elapsed().as_secs_f64() * 1e6;
            if round >= 500 {
                if path == "/fixed" { floor.push(took) } else { ours.push(took) }
            }
        }
    }
    let (ours, floor) = (median(ours), median(floor));
    line("W1", size, ours / floor, "<= 1.30", ours / floor <= 1.3, &format!("p50 {ours:.0} us, fixed reply {floor:.0} us, {} bytes", body.len()));
}

async fn rate(port: u16, ca: &[u8], path: &'static str, body: &Bytes) -> f64 {
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (ca, body) = (ca.to_vec(), body.clone());
        tasks.spawn(async move {
            let mut client = Client::connect(port, &ca).await;
            let mut done = 0_u64;
            while start.elapsed() < Duration::from_millis(1_500) {
                client.ask(path, &body).await;
                done += 1;
            }
            done
        });
    }
    tasks.join_all().await.iter().sum::<u64>() as f64 / start.elapsed().as_secs_f64()
}

async fn throughput(port: u16, ca: &[u8], size: &str, body: Vec<u8>) {
    let body = Bytes::from(body);
    let mut ratios = Vec::new();
    let mut best = (0.0, 0.0);
    for round in 0..6 {
        let ours = rate(port, ca, "/workloads", &body).await;
        let floor = rate(port, ca, "/fixed", &body).await;
        if round > 0 {
            ratios.push(ours / floor);
            best = (ours, floor);
        }
    }
    let ratio = median(ratios);
    line("W2", size, ratio, ">= 0.60", ratio >= 0.6, &format!("{:.0} requests/s, fixed reply {:.0}, 8 connections", best.0, best.1));
}

fn main() {
    let (certificate, key) = tls::self_made(&["localhost"]).unwrap();
    let (port_sender, port) = std::sync::mpsc::channel();
    let pair = Arc::new(Pair::from_pem(certificate.clone(), key).unwrap());
    // One thread serves, another asks: one core each.
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            port_sender.send(listener.local_addr().unwrap().port()).unwrap();
            let edge = Edge { shared: index().shared.clone(), trusted: Arc::new(Vec::new()), now: jiff::Timestamp::now };
            let routes = server::routes(edge).merge(Router::new().route("/fixed", post(fixed).layer(axum::extract::DefaultBodyLimit::disable())));
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(pair.server_config().unwrap()));
            server::serve(listener, acceptor, routes, std::future::pending(), Duration::ZERO).await.unwrap();
        });
    });
    let port = port.recv().unwrap();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let said = Client::connect(port, &certificate).await.ask("/workloads", &Bytes::from(review(3_600, false))).await;
        let said: Value = serde_json::from_slice(&said).unwrap();
        assert_eq!(said["response"]["allowed"], true, "the review that is measured is admitted: {said}");
        latency(port, &certificate, "S", review(3_600, false)).await;
        latency(port, &certificate, "M", review(23_500, true)).await;
        throughput(port, &certificate, "S", review(3_600, false)).await;
        throughput(port, &certificate, "M", review(23_500, true)).await;
    });
}
