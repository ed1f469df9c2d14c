//! Traces at a real receiver, or at one that is gone, wrong or hanging: reviews are decided all the same, nobody is named, and the end waits for nobody.
//! The program is asked the same in `program`, with its log and its metrics.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, http::Request};
use demarc::{
    admission::{
        server::{Edge, routes, serve},
        tls::{Pair, self_made},
    },
    controller::{index::Index, watch::Change},
    run::watched,
    traces::{Args, Traces},
};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::receiver::{Mood, Receiver, told};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// The webhook of one of the cases of `tests/data/admission`, and its review.
fn webhook(case: &str, traces: &Traces) -> (Router, String) {
    let case = Path::new("tests/data/admission").join(case);
    let declarations: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(case.join("declarations.yaml")).unwrap()).unwrap();
    let index = Index::default();
    for (i, mut object) in declarations.into_iter().enumerate() {
        object["metadata"]["uid"] = json!(i.to_string());
        let kind = object["kind"].as_str().unwrap().to_owned();
        // The rest is what third-party controllers make something for.
        let Some((source, _)) = watched().into_iter().find(|(_, resource)| resource.kind == kind) else { continue };
        index.take(source, &Change::Applied(Box::new(serde_json::from_value(object).unwrap())));
    }
    index.settle();
    index.shared.set_ready(true);
    let now = || "2026-04-01T00:00:00Z".parse().unwrap();
    let assigns = demarc::admission::assign::nobody();
    let edge = Edge { shared: index.shared.clone(), trusted: Arc::default(), replica: "one".into(), assigns, traces: traces.clone(), now };
    (routes(edge), std::fs::read_to_string(case.join("request.json")).unwrap())
}

async fn ask(webhook: &Router, body: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let mut request = Request::post("/workloads").header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = webhook.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap_or_default())
}

fn to(endpoint: &str) -> Traces {
    Traces::new(&Args { otlp_endpoint: Some(endpoint.to_owned()), ..Args::default() }, "one").unwrap()
}

async fn end(traces: &Traces) {
    traces.end(Duration::from_secs(5)).await;
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[tokio::test]
async fn an_admission_and_a_denial_are_spans_of_the_trace_by_which_the_api_server_asks() {
    let receiver = Receiver::start(Mood::Well);
    let traces = to(&receiver.endpoint());
    for case in ["a compliant deployment is admitted", "a privileged container in initContainers is refused"] {
        let (webhook, review) = webhook(case, &traces);
        assert_eq!(ask(&webhook, &review, &[("traceparent", PARENT), ("tracestate", "ann=kowalski")]).await.0, 200);
    }
    end(&traces).await;
    let spans = receiver.spans();
    for span in &spans {
        assert_eq!((hex(&span.trace_id).as_str(), hex(&span.parent_span_id).as_str()), ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"));
        assert_eq!((span.kind(), span.trace_state.as_str()), (SpanKind::Server, ""));
        assert!(span.start_time_unix_nano > 0 && span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
    }
    let [admitted, denied]: [Span; 2] = spans.try_into().unwrap();
    println!("{:#?}\n{:#?}", told(&admitted), told(&denied));
    let of = |kind: &str, decision: &str, code: u16| {
        let all = ["http.request.method=POST", "http.response.status_code=200", "http.route=/workloads", "k8s.namespace.name=shop", "demarc.operation=CREATE"];
        all.map(str::to_owned).into_iter().chain([format!("demarc.kind={kind}"), format!("demarc.decision={decision}"), format!("demarc.code={code}")]).collect::<Vec<_>>()
    };
    assert!(of("Deployment", "Allowed", 200).iter().all(|a| told(&admitted).contains(a)), "{:?}", told(&admitted));
    assert!(!told(&admitted).iter().any(|a| a.starts_with("demarc.violations")), "{:?}", told(&admitted));
    assert!(of("Pod", "Denied", 403).iter().all(|a| told(&denied).contains(a)), "{:?}", told(&denied));
    assert!(told(&denied).contains(&"demarc.violations.pod-security-standard=1".to_owned()), "{:?}", told(&denied));
    let sender = receiver.text();
    for own in ["service.name", "\"demarc\"", "service.instance.id", "\"one\"", env!("CARGO_PKG_VERSION")] {
        assert!(sender.contains(own), "{own} in {sender}");
    }
    assert_eq!(traces.counts(), [("Sent", 2), ("Lost", 0)]);
}

/// What a span may be told of: an attribute that is not here is one that somebody has to think about.
#[tokio::test]
async fn a_span_of_any_case_holds_what_is_listed_and_nobody() {
    let receiver = Receiver::start(Mood::Well);
    let traces = to(&receiver.endpoint());
    let mut asked = 0;
    for case in std::fs::read_dir("tests/data/admission").unwrap() {
        let (webhook, review) = webhook(case.unwrap().file_name().to_str().unwrap(), &traces);
        let mut review: Value = serde_json::from_str(&review).unwrap();
        let request = review["request"].as_object_mut().unwrap();
        request.insert("userInfo".into(), json!({"username": "kowalski@acme.example", "groups": ["kowalski-group"]}));
        for object in ["object", "oldObject"] {
            if let Some(metadata) = request.get_mut(object).and_then(|o| o.get_mut("metadata")).and_then(Value::as_object_mut) {
                metadata.insert("labels".into(), json!({"who": "kowalski"}));
                metadata.entry("annotations").or_insert_with(|| json!({}))["note"] = json!("kowalski");
            }
        }
        // So that the queue is not too short.
        asked += 1;
        ask(&webhook, &review.to_string(), &[("traceparent", PARENT), ("baggage", "user=kowalski"), ("tracestate", "k=kowalski")]).await;
    }
    end(&traces).await;
    let spans = receiver.spans();
    assert!(asked > 50 && spans.len() == asked, "{asked} {}", spans.len());
    let known = ["http.request.method", "http.route", "http.response.status_code", "k8s.namespace.name"];
    let own = ["kind", "operation", "generation", "decision", "code", "warnings"].map(|own| format!("demarc.{own}"));
    for span in &spans {
        assert!(span.events.is_empty() && span.links.is_empty() && span.status.as_ref().is_none_or(|s| s.message.is_empty()), "{span:?}");
        for attribute in &span.attributes {
            let key = attribute.key.as_str();
            assert!(known.contains(&key) || own.iter().any(|own| own == key) || key.starts_with("demarc.violations."), "{key}");
        }
    }
    assert!(!receiver.text().contains("kowalski"));
}

#[tokio::test]
async fn who_asks_by_a_trace_that_is_not_sampled_makes_no_span() {
    let receiver = Receiver::start(Mood::Well);
    let traces = to(&receiver.endpoint());
    let (webhook, review) = webhook("a compliant deployment is admitted", &traces);
    assert_eq!(ask(&webhook, &review, &[("traceparent", UNSAMPLED)]).await.0, 200);
    let off = Args { otlp_endpoint: Some(receiver.endpoint()), traces_sampler: Some("parentbased_always_off".into()), ..Args::default() };
    let seldom = Traces::new(&off, "one").unwrap();
    let (other, _) = self::webhook("a compliant deployment is admitted", &seldom);
    assert_eq!(ask(&other, &review, &[]).await.0, 200);
    end(&traces).await;
    end(&seldom).await;
    assert_eq!((receiver.spans().len(), receiver.asked()), (0, 0));
}

#[tokio::test]
async fn a_traceparent_of_nonsense_is_none() {
    let receiver = Receiver::start(Mood::Well);
    let traces = to(&receiver.endpoint());
    let (webhook, review) = webhook("a compliant deployment is admitted", &traces);
    let long = format!("{PARENT}-{}", "ab-".repeat(9000));
    let nonsense = [
        "",
        "nonsense",
        "00-00000000000000000000000000000000-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "------------------------------------",
        "\u{fc}\u{fc}",
        &long,
    ];
    for parent in nonsense {
        let (status, answer) = ask(&webhook, &review, &[("traceparent", parent)]).await;
        assert_eq!((status, &answer["response"]["allowed"]), (200, &json!(true)), "{parent}");
    }
    end(&traces).await;
    let spans = receiver.spans();
    assert_eq!(spans.len(), nonsense.len());
    // Each is a trace of its own.
    let traces: std::collections::BTreeSet<_> = spans.iter().map(|s| s.trace_id.clone()).collect();
    assert!(traces.len() == nonsense.len() && spans.iter().all(|s| s.parent_span_id.is_empty()), "{spans:?}");
}

#[tokio::test]
async fn what_is_no_review_makes_no_span_and_one_that_is_malformed_tells_no_more_than_that() {
    let receiver = Receiver::start(Mood::Well);
    let traces = to(&receiver.endpoint());
    let (webhook, _) = webhook("a compliant deployment is admitted", &traces);
    assert_eq!(ask(&webhook, "nonsense", &[("traceparent", PARENT)]).await.0, 400);
    let named = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u", "kind": "kowalski"}}).to_string();
    assert_eq!(ask(&webhook, &named, &[("traceparent", PARENT)]).await.0, 200);
    end(&traces).await;
    let spans = receiver.spans();
    let all: Vec<_> = spans.iter().map(told).collect();
    assert_eq!(all, [["admission review", "demarc.code=400", "demarc.decision=Malformed", "http.request.method=POST", "http.response.status_code=200", "http.route=/workloads"]]);
}

#[tokio::test]
async fn a_receiver_at_https_is_known_by_its_authority_and_by_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = self_made(&["localhost"]).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(Arc::new(Pair::from_pem(certificate.clone(), key).unwrap()).server_config().unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (receiver, routes) = Receiver::at(listener.local_addr().unwrap(), Mood::Well);
    tokio::spawn(serve(listener, acceptor, routes, std::future::pending(), Duration::ZERO));
    for (authority, counted) in [(certificate, [("Sent", 1), ("Lost", 0)]), (self_made(&["localhost"]).unwrap().0, [("Sent", 0), ("Lost", 1)])] {
        let file = dir.path().join("ca.crt");
        std::fs::write(&file, authority).unwrap();
        let endpoint = format!("https://localhost:{}", receiver.address.port());
        let traces = Traces::new(&Args { otlp_endpoint: Some(endpoint), otlp_certificate: Some(file), ..Args::default() }, "one").unwrap();
        let (webhook, review) = webhook("a compliant deployment is admitted", &traces);
        ask(&webhook, &review, &[]).await;
        end(&traces).await;
        assert_eq!(traces.counts(), counted);
    }
    assert_eq!(receiver.spans().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_gone_or_wrong_or_hangs_costs_spans_and_nothing_else() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for mood in [None, Some(Mood::Says(500)), Some(Mood::Says(503)), Some(Mood::Says(301)), Some(Mood::Hangs)] {
        let receiver = mood.map(Receiver::start);
        let traces = to(&receiver.as_ref().map_or_else(|| format!("http://{closed}"), Receiver::endpoint));
        let (webhook, review) = webhook("a compliant deployment is admitted", &traces);
        let began = Instant::now();
        // More than wait for being sent.
        for _ in 0..2500 {
            let (status, answer) = ask(&webhook, &review, &[("traceparent", PARENT)]).await;
            assert_eq!((status, &answer["response"]["allowed"]), (200, &json!(true)), "{mood:?}");
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{mood:?}: {:?}", began.elapsed());
        let began = Instant::now();
        traces.end(Duration::from_secs(1)).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{mood:?}: {:?}", began.elapsed());
        let [(_, sent), (_, lost)] = traces.counts();
        println!("{mood:?}: sent {sent}, lost {lost}");
        assert!(sent == 0 && lost >= 2500 - 2048, "{mood:?}: sent {sent}, lost {lost}");
    }
}
