//! The whole HTTP path of the webhook (TLS, keep-alive) beside a fixed reply by the same server, in the same run: W1 and W2 as ratios.
//! W6 asks in the ways that cost most connections.
//! Then what controls of users' own add to a decision (W4, W5), and last the memory of the records (W8), as a share of the objects that they stand for.
//! Figures are this machine's; the ratios are the claim.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::header, routing::post};
use criterion::Criterion;
use demarc::{
    admission::{
        answer::{self, Answer},
        review,
        server::{self, Edge},
    },
    api::Declaration,
    controller::{
        index::{Index, Source},
        watch::Change,
    },
    controls::custom::MAX_CUSTOM,
    model::subject::Kind,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

#[path = "common/mod.rs"]
mod common;
use common::{Client, Server, asked, line, median, serve};

fn index() -> Index {
    index_with(0, "")
}

/// With so many controls of users' own about a kind.
fn index_with(own: usize, kind: &str) -> Index {
    let index = Index::default();
    for i in 0..own {
        let spec =
            json!({"title": "it runs", "severity": "low", "enforcement": "Deny", "kinds": [kind], "validations": [{"expression": "object.spec.replicas >= 1", "message": "none"}]});
        let control = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Control", "metadata": {"name": format!("own-{i}"), "uid": format!("c{i}")}, "spec": spec});
        index.take(Source::Declared(Declaration::Control), &Change::Applied(Box::new(serde_json::from_value(control).unwrap())));
    }
    for (source, object) in [
        (Source::Namespaces, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "uid": "n", "labels": {"data-classification": "internal"}}})),
        (
            Source::Declared(Declaration::Ownership),
            json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default", "namespace": "shop", "uid": "o"},
                "spec": {"serviceModel": "PaaS", "policy": {"images": {"allowedPrefixes": ["ghcr.io/acme"]}, "patch": {"maxImageAge": "P99999D"}}}}),
        ),
        (
            Source::Subjects(Kind::NetworkPolicy),
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "default", "namespace": "shop", "uid": "p"}, "spec": {"podSelector": {}}}),
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

fn resident() -> f64 {
    // In pages of 4 KiB, as Linux has it.
    std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4.0
}

/// W8: what a workload costs in memory, from the ten thousandth to the fifty thousandth.
fn memory() {
    let review: Value = serde_json::from_slice(&asked(3_600, false)).unwrap();
    let object = &review["request"]["object"];
    let index = index();
    let mut before = 0.0;
    let (from, to) = (10_000, 50_000);
    for i in 0..to {
        if i == from {
            before = resident();
        }
        let mut object = object.clone();
        object["metadata"]["name"] = json!(format!("payments-{i}"));
        object["metadata"]["namespace"] = json!(format!("shop-{}", i % 100));
        object["metadata"]["uid"] = json!(format!("{i:08}-5f4e-4bb5-9d1c-1234567890ab"));
        index.take(Source::Subjects(Kind::Deployment), &Change::Applied(Box::new(serde_json::from_value(object).unwrap())));
    }
    let each = (resident() - before) / f64::from(to - from);
    let ratio = each * 1024.0 / object.to_string().len() as f64;
    line("W8 records", ratio, "1.5 KiB each", each <= 1.5, &format!("of the object's JSON; {each:.2} KiB an additional workload"));
}

/// Microseconds of a decision with so many controls of users' own about a kind, and without any, in turns.
fn decision(criterion: &mut Criterion, id: &str, own: usize, kind: &str, body: &[u8]) -> (f64, f64) {
    let (with, without) = (index_with(own, kind), index());
    let now = jiff::Timestamp::now();
    let decide = |index: &Index| {
        let book = index.shared.book.load();
        let answer = answer::decide(&review::parse(body).unwrap(), &book, &index.shared.objects(), &[], &index.shared.tally, now);
        assert!(answer.allowed, "the review that is measured is admitted");
    };
    let (mut ours, mut none) = (Vec::new(), Vec::new());
    criterion.bench_function(id, |bencher| {
        bencher.iter_custom(|rounds| {
            let timed = |index: &Index| {
                let start = Instant::now();
                (0..rounds).for_each(|_| decide(index));
                start.elapsed()
            };
            let (with, without) = (timed(&with), timed(&without));
            ours.push(with.as_secs_f64() * 1e6 / rounds as f64);
            none.push(without.as_secs_f64() * 1e6 / rounds as f64);
            with
        });
    });
    (median(ours), median(none))
}

/// W4: controls that all match, of which the first has the object read whole. W5: as many as may be declared, of which none matches.
fn own_controls(criterion: &mut Criterion, body: &[u8]) {
    let mut first = 0.0;
    for own in [1, 10, 50] {
        let id = format!("W4 {own} of one's own");
        let (ours, none) = decision(criterion, &id, own, "Deployment", body);
        if own == 1 {
            first = ours;
            line(&id, ours / none, "none", true, &format!("p50 {ours:.1} us, without {none:.1} us: the object is read whole, once"));
        } else {
            let slope = (ours - first) / (own - 1) as f64;
            line(&id, ours / none, "slope <= 1 us", slope <= 1.0, &format!("p50 {ours:.1} us, without {none:.1} us; slope {slope:.2} us a control"));
        }
    }
    let (ours, none) = decision(criterion, "W5 1000 of one's own", 1_000, "Service", body);
    let more = ours - none;
    line(
        "W5 1000 of one's own",
        ours / none,
        "<= 2 us more",
        more <= 2.0,
        &format!("p50 {ours:.1} us, without {none:.1} us, {more:.2} us more; {MAX_CUSTOM} of them count, none matches"),
    );
}

/// Criterion measures ours; each of ours has a fixed reply beside it.
fn paired(criterion: &mut Criterion, id: &str, bar: f64, rest: &str, mut ask: impl FnMut(&'static str)) {
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    criterion.bench_function(id, |bencher| {
        bencher.iter_custom(|rounds| {
            let mut total = Duration::ZERO;
            for round in 0..rounds {
                // The order turned each time, so that a drift of the machine meets both.
                let paths = if round % 2 == 0 { ["/workloads", "/fixed"] } else { ["/fixed", "/workloads"] };
                for path in paths {
                    let start = Instant::now();
                    ask(path);
                    let took = start.elapsed();
                    if path == "/fixed" {
                        floor.push(took.as_secs_f64() * 1e6);
                    } else {
                        ours.push(took.as_secs_f64() * 1e6);
                        total += took;
                    }
                }
            }
            total
        });
    });
    let (ours, floor) = (median(ours), median(floor));
    line(id, ours / floor, &format!("<= {bar:.2}"), ours / floor <= bar, &format!("p50 {ours:.0} us, fixed reply {floor:.0} us, {rest}"));
}

/// One request in flight, on one connection.
fn latency(criterion: &mut Criterion, runtime: &Runtime, server: &Server, size: &str, body: Vec<u8>) {
    let body = Bytes::from(body);
    let mut client = runtime.block_on(Client::connect(server));
    paired(criterion, &format!("W1 {size}"), 1.3, &format!("{} bytes", body.len()), |path| drop(runtime.block_on(client.ask(path, &body))));
}

/// W6: each request on a connection of its own, handshake and all.
fn strangers(criterion: &mut Criterion, runtime: &Runtime, server: &Server, body: Vec<u8>) {
    let body = Bytes::from(body);
    paired(criterion, "W6 S a connection a request", 1.1, "no errors", |path| drop(runtime.block_on(async { Client::connect(server).await.ask(path, &body).await })));
}

/// Seconds for `requests` over the connections, which share them evenly.
fn flood(runtime: &Runtime, clients: &mut [Client], path: &'static str, body: &Bytes, requests: u64) -> Duration {
    let each = requests.div_ceil(clients.len() as u64);
    let start = Instant::now();
    runtime.block_on(futures::future::join_all(clients.iter_mut().map(|client| async move {
        for _ in 0..each {
            client.ask(path, body).await;
        }
    })));
    start.elapsed()
}

/// One core kept busy by several connections, in alternating floods.
fn throughput(criterion: &mut Criterion, runtime: &Runtime, server: &Server, (id, bar): (&str, f64), connections: usize, body: Vec<u8>) {
    let body = Bytes::from(body);
    let mut clients: Vec<Client> = (0..connections).map(|_| runtime.block_on(Client::connect(server))).collect();
    let (mut ratios, mut rate) = (Vec::new(), (0.0, 0.0));
    let id = format!("{id} {connections} connections");
    criterion.bench_function(&id, |bencher| {
        bencher.iter_custom(|requests| {
            let ours = flood(runtime, &mut clients, "/workloads", &body, requests);
            let floor = flood(runtime, &mut clients, "/fixed", &body, requests);
            // Criterion begins with floods too small to say anything.
            if requests >= 1_000 {
                ratios.push(floor.as_secs_f64() / ours.as_secs_f64());
                rate = (requests as f64 / ours.as_secs_f64(), requests as f64 / floor.as_secs_f64());
            }
            ours
        });
    });
    let ratio = median(ratios);
    line(&id, ratio, &format!(">= {bar:.2}"), ratio >= bar, &format!("{:.0} requests/s, fixed reply {:.0}, {} bytes", rate.0, rate.1, body.len()));
}

/// Ours and the fixed reply, by the same server.
fn serve_both() -> Server {
    serve(|| {
        let edge = Edge {
            shared: index().shared.clone(),
            trusted: Arc::new(Vec::new()),
            replica: "one".into(),
            assigns: demarc::admission::assign::nobody(),
            traces: demarc::traces::Traces::default(),
            now: jiff::Timestamp::now,
        };
        server::routes(edge).merge(Router::new().route("/fixed", post(fixed).layer(axum::extract::DefaultBodyLimit::disable())))
    })
}

fn main() {
    let server = serve_both();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (small, middle) = (asked(3_600, false), asked(23_500, true));
    let said = runtime.block_on(async { Client::connect(&server).await.ask("/workloads", &Bytes::from(small.clone())).await });
    let said: Value = serde_json::from_slice(&said).unwrap();
    assert_eq!(said["response"]["allowed"], true, "the review that is measured is admitted: {said}");
    let mut criterion = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(4)).warm_up_time(Duration::from_secs(1)).without_plots().configure_from_args();
    latency(&mut criterion, &runtime, &server, "S", small.clone());
    latency(&mut criterion, &runtime, &server, "M", middle.clone());
    for connections in [8, 25, 64] {
        throughput(&mut criterion, &runtime, &server, ("W2 S", 0.6), connections, small.clone());
    }
    throughput(&mut criterion, &runtime, &server, ("W2 M", 0.6), 8, middle);
    // What a client asks that does not keep its connections, or keeps very many.
    throughput(&mut criterion, &runtime, &server, ("W6 S", 0.9), 100, small.clone());
    strangers(&mut criterion, &runtime, &server, small.clone());
    own_controls(&mut criterion, &small);
    memory();
}
