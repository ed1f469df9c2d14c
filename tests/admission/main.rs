//! Every admission case, named as a sentence, through the router as the API server would send it; and the new objects among them through
//! drift and through `check` as well, which must find the same controls violated.

#![allow(clippy::unwrap_used)]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode},
};
use demarc::{
    admission::server::{Edge, MAX_BODY, routes},
    api::{Declaration, GROUP},
    controller::{
        index::{Backing, Index, Source},
        watch::Change,
    },
    model::subject::Kind,
    policy::{book::Promise, drift},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

fn now() -> jiff::Timestamp {
    "2026-04-01T00:00:00Z".parse().unwrap()
}

fn edge(index: &Index) -> Edge {
    let trusted = ["replicaset", "statefulset", "job"].map(|c| format!("system:serviceaccount:kube-system:{c}-controller"));
    Edge {
        shared: index.shared.clone(),
        trusted: Arc::new(trusted.to_vec()),
        replica: "one".into(),
        assigns: demarc::admission::assign::nobody(),
        traces: demarc::traces::Traces::default(),
        now,
    }
}

/// An index as the watches would have filled it from these documents.
fn index(declarations: &str) -> Index {
    let index = Index::default();
    for document in serde_saphyr::from_multiple::<Value>(declarations).unwrap() {
        feed(&index, document);
    }
    index.settle();
    index.shared.set_ready(true);
    index
}

fn feed(index: &Index, document: Value) {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let group = text(&document["apiVersion"]).rsplit_once('/').map(|(g, _)| g.to_owned()).unwrap_or_default();
    let source = match text(&document["kind"]).as_str() {
        kind if group == GROUP => Source::Declared(Declaration::find(kind).unwrap()),
        "Namespace" => Source::Namespaces,
        "StorageClass" => Source::StorageClasses,
        "ClusterRoleBinding" => Source::Backing(Backing::ClusterRoleBindings),
        kind => match Kind::find(&group, kind) {
            Some(kind) => Source::Subjects(kind),
            // What third-party controllers make something for, or why that cannot be read.
            None if document["unread"].is_string() => return index.see_owners(&format!("{group}/{kind}"), Some(text(&document["unread"]))),
            None => return index.take_owner(&format!("{group}/{kind}").into(), &Change::Applied(Box::new(serde_json::from_value(document).unwrap()))),
        },
    };
    index.take(source, &Change::Applied(Box::new(serde_json::from_value(document).unwrap())));
}

async fn post(router: &Router, path: &str, content_type: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let request = Request::builder().method(Method::POST).uri(path).header("content-type", content_type).body(body.into()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes))))
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = std::fs::read_dir("tests/data/admission").unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 25, "the cases are gone");
    cases
}

fn read(case: &Path, name: &str) -> String {
    std::fs::read_to_string(case.join(name)).unwrap_or_else(|e| panic!("{}/{name}: {e}", case.display()))
}

#[tokio::test]
async fn each_case_is_answered_as_its_sentence_says() {
    for case in cases() {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let expect: Value = serde_json::from_str(&read(&case, "expect.json")).unwrap();
        let index = index(&read(&case, "declarations.yaml"));
        let (status, review) = post(&routes(edge(&index)), "/workloads", "application/json", read(&case, "request.json")).await;
        assert_eq!(status, 200, "{name}");
        let response = &review["response"];
        assert_eq!(response["uid"], "u-1", "{name}");
        assert_eq!(response["allowed"], expect["allowed"], "{name}: {response}");
        if expect["allowed"] == true {
            assert_eq!(response["warnings"].as_array().map_or(0, Vec::len), expect["warnings"], "{name}: {response}");
        } else {
            let message = response["status"]["message"].as_str().unwrap();
            assert_eq!(response["status"]["code"], expect["code"], "{name}: {message}");
            assert!(message.contains(expect["contains"].as_str().unwrap()), "{name}: {message}");
            assert!(message.len() <= 1024, "{name}");
            let mut named: Vec<&str> = response["status"]["details"]["causes"].as_array().into_iter().flatten().map(|c| c["reason"].as_str().unwrap()).collect();
            if !named.is_empty() {
                // Who refused, and by which generation of the declaration: what a proof of enforcement reads.
                assert_eq!(named.split_off(named.len() - 2), ["DemarcGeneration", "DemarcReplica"], "{name}: {response}");
            }
            named.dedup();
            assert_eq!(json!(named), expect["controls"], "{name}: {message}");
        }
        let warns = expect["warns"].as_str().unwrap_or_default();
        assert!(warns.is_empty() || response["warnings"].as_array().unwrap().iter().any(|w| w == warns), "{name}: {response}");
        for warning in response["warnings"].as_array().into_iter().flatten() {
            assert!(warning.as_str().unwrap().len() <= 120, "{name}: {warning}");
        }
    }
}

/// The leader asks this to see that it is asked. Whatever a namespace declares, the answer is a refusal that says who gave it and by what.
#[tokio::test]
async fn the_probe_is_refused_whatever_the_namespace_declares() {
    let probe = |name: &str, operation: &str| {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "PodTemplate"}, "namespace": "shop", "operation": operation,
            "userInfo": {"username": "alice"}, "dryRun": true,
            "object": {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name, "namespace": "shop"}, "template": {"spec": {"containers": [{"name": "c"}]}}},
            "oldObject": {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name, "namespace": "shop"}, "template": {"spec": {"containers": [{"name": "c"}]}}}}})
        .to_string()
    };
    let declared = |spec: &str| {
        format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: shop}}}}\n---\n{{apiVersion: demarc.dev/v1alpha1, kind: Ownership, metadata: {{name: default, namespace: shop, generation: 7}}, spec: {spec}}}"
        )
    };
    let known = [("DemarcProbe", None), ("DemarcGeneration", Some("7")), ("DemarcReplica", Some("one"))];
    for (what, declarations, said) in [
        ("enforced", declared("{serviceModel: PaaS}"), &known[..]),
        ("audited", declared("{serviceModel: SaaS, mode: Audit}"), &known),
        ("unreadable", declared("{serviceModel: Mainframe}"), &[known[0], known[2]]),
        ("undeclared", "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}".to_owned(), &[known[0], known[2]]),
    ] {
        let index = index(&declarations);
        let router = routes(edge(&index));
        let (_, review) = post(&router, "/workloads", "application/json", probe("demarc-probe", "CREATE")).await;
        let response = &review["response"];
        assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(403)), "{what}: {response}");
        let causes = response["status"]["details"]["causes"].as_array().unwrap();
        assert_eq!(causes.len(), said.len(), "{what}: {response}");
        for (cause, (reason, message)) in causes.iter().zip(said) {
            assert_eq!(cause["reason"], *reason, "{what}");
            assert!(message.is_none_or(|m| cause["message"] == m), "{what}: {cause}");
        }
        // Another name is judged as ever, and what is there already is left alone.
        for (name, operation) in [("web", "CREATE"), ("demarc-probe", "UPDATE")] {
            let (_, review) = post(&router, "/workloads", "application/json", probe(name, operation)).await;
            assert!(!review.to_string().contains("DemarcProbe"), "{what}: {review}");
        }
    }
}

/// Each Waiver among the declarations stands in the list as the webhook and drift take it, whatever a leader that is gone has said of it.
fn listed(declarations: &str, matrix: &demarc::policy::matrix::Matrix, name: &str) {
    for mut document in serde_saphyr::from_multiple::<Value>(declarations).unwrap().into_iter().filter(|d| d["kind"] == "Waiver") {
        document["status"] = json!({"state": "Live", "conditions": []});
        let waiver: demarc::api::waiver::Waiver = serde_json::from_value(document).unwrap();
        let permit = matrix.waivers.iter().find(|permit| Some(&permit.name) == waiver.metadata.name.as_ref()).unwrap();
        assert_eq!(demarc::cli::waiver::list::Row::of(&waiver, now()).state, demarc::policy::waiver::live(permit, now()).as_str(), "list: {name}: {}", permit.name);
    }
}

/// A new object of nobody's, denied or not: the three doors must agree on which controls it violates.
#[tokio::test]
async fn webhook_drift_and_check_agree() {
    let mut compared = 0;
    for case in cases() {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let request: Value = serde_json::from_str(&read(&case, "request.json")).unwrap();
        let mut object = request["request"]["object"].clone();
        let expect: Value = serde_json::from_str(&read(&case, "expect.json")).unwrap();
        let code = expect["code"].as_u64().unwrap_or(403);
        if request["request"]["operation"] != "CREATE" || !object.is_object() || code != 403 || name.contains("cannot be read") || object["metadata"]["ownerReferences"].is_array()
        {
            continue;
        }
        compared += 1;
        let declarations = read(&case, "declarations.yaml");
        let mut expected: Vec<String> = serde_json::from_value(expect["controls"].clone()).unwrap_or_default();
        // Who asked shows at admission alone.
        expected.retain(|id| id != "mfa-enforced");

        object["metadata"]["uid"] = json!("new");
        let index = index(&declarations);
        feed(&index, object.clone());
        index.settle();
        let book = index.shared.book.load_full();
        let denied: Vec<String> = match book.promises.get("shop") {
            Some(Promise::Declared(matrix)) => {
                listed(&declarations, matrix, &name);
                let report = drift::report(&book.namespaces["shop"], matrix, index.shared.objects().room("shop").unwrap(), &book.facts, now());
                let denies = |d: &&drift::Drift| {
                    matrix.entries[d.control].enforcement == demarc::api::ownership::Enforcement::Deny && d.verdict() == demarc::api::ownership::Verdict::Violated
                };
                report.drift.iter().filter(denies).map(|d| matrix.row(d.control).id.to_owned()).collect()
            }
            _ => Vec::new(),
        };
        let sorted = |mut v: Vec<String>| {
            v.sort();
            v.dedup();
            v
        };
        assert_eq!(sorted(denied), sorted(expected.clone()), "drift: {name}");

        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("declarations.yaml"), &declarations).unwrap();
        std::fs::write(dir.path().join("object.json"), object.to_string()).unwrap();
        let args = <CheckCommand as clap::Parser>::parse_from(["check", "-f", dir.path().to_str().unwrap()]).args;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut ask = |_: &str, _: &_| unreachable!("no cluster was named");
        let code = demarc::cli::check::run(&args, &mut std::io::empty(), &mut ask, &mut out, &mut err, now()).unwrap();
        let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
        // Asked about only where the chart is told so, which files do not show.
        let asked = !Kind::DRIFT_ONLY.iter().any(|kind| object["kind"] == kind.name());
        assert_eq!(code, u8::from(asked && !expected.is_empty()), "check: {name}\n{out}{err}");
        for control in expected {
            let level = if asked { "error" } else { "warning" };
            assert!(out.contains(&format!("{level}[{control}]")), "check: {name}\n{out}");
        }
    }
    assert!(compared > 10, "only {compared} compared");
}

#[derive(clap::Parser)]
struct CheckCommand {
    #[command(flatten)]
    args: demarc::cli::check::Args,
}

const DECLARED: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n---\n{apiVersion: demarc.dev/v1alpha1, kind: Ownership, metadata: {name: default, namespace: shop}, spec: {serviceModel: PaaS}}\n";

#[tokio::test]
async fn nonsense_is_never_allowed() {
    let index = index(DECLARED);
    let router = routes(edge(&index));
    let whole = read(Path::new("tests/data/admission/a compliant deployment is admitted"), "request.json");
    assert_eq!(post(&router, "/workloads", "application/json", whole.clone()).await.1["response"]["allowed"], true, "the seed of this test");
    let truncated = whole[..whole.len() - 5].to_owned();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let swap = |from: &str, to: &str| whole.replacen(from, to, 1);
    for (what, body, status) in [
        ("nothing", String::new(), 400),
        ("not JSON", "hello".to_owned(), 400),
        ("truncated", truncated, 400),
        ("trailing garbage", format!("{whole} x"), 400),
        ("deeply nested", deep, 400),
        ("no request", "{}".to_owned(), 400),
        ("an empty uid", swap("\"u-1\"", "\"\""), 400),
        ("another version", swap("admission.k8s.io/v1", "admission.k8s.io/v9"), 200),
        ("another kind", swap("AdmissionReview", "ConversionReview"), 200),
        ("a lone surrogate", swap("\"nginx\"", "\"\\ud800\""), 200),
        ("the object twice", swap("\"object\":", "\"object\": null, \"object\":"), 200),
        ("an operation that is not a string", swap("\"CREATE\"", "1"), 200),
        ("a duplicate key", swap("\"spec\":", "\"spec\": {}, \"spec\":"), 200),
        ("null metadata", swap("\"metadata\": {\n", "\"metadata\": null, \"x\": {\n"), 200),
    ] {
        let (got, review) = post(&router, "/workloads", "application/json", body).await;
        assert_ne!(review["response"]["allowed"], true, "{what}: {review}");
        assert!(got == status || got == 400, "{what}: {got}");
        if got == 200 {
            assert_eq!(review["response"]["uid"], "u-1", "{what}");
            assert!((400..500).contains(&review["response"]["status"]["code"].as_u64().unwrap()), "{what}: {review}");
        }
    }
    let mut invalid = whole.clone().into_bytes();
    let at = whole.find("nginx").unwrap();
    invalid[at] = 0xff;
    assert_ne!(post(&router, "/workloads", "application/json", invalid).await.1["response"]["allowed"], true, "invalid UTF-8");
}

#[tokio::test]
async fn the_edge_keeps_its_bounds() {
    let index = index(DECLARED);
    let router = routes(edge(&index));
    for content_type in ["text/plain", "application/jsonx", ""] {
        assert_eq!(post(&router, "/workloads", content_type, "{}").await.0, 415, "{content_type}");
    }
    assert_eq!(post(&router, "/workloads", "application/json", vec![b' '; MAX_BODY + 1]).await.0, 413);
    assert_eq!(post(&router, "/workloads", "application/json; charset=utf-8", vec![b' '; MAX_BODY]).await.0, 400, "within the limit it is read");
    for (method, path, status) in [
        (Method::GET, "/workloads", 405),
        (Method::PUT, "/workloads", 405),
        (Method::HEAD, "/workloads", 405),
        (Method::POST, "//workloads", 404),
        (Method::POST, "/workloads/..", 404),
        (Method::POST, "/workloads%2f", 404),
        (Method::POST, "/", 404),
        (Method::GET, "/metrics", 404),
        (Method::GET, "/readyz", 404),
    ] {
        let request = Request::builder().method(method.clone()).uri(path).header("content-type", "application/json").body(Body::from("{}")).unwrap();
        assert_eq!(router.clone().oneshot(request).await.unwrap().status(), status, "{method} {path}");
    }
}

#[tokio::test]
async fn before_the_stores_are_full_nothing_is_decided() {
    let index = index(DECLARED);
    index.shared.set_ready(false);
    let body = read(Path::new("tests/data/admission/a compliant deployment is admitted"), "request.json");
    assert_eq!(post(&routes(edge(&index)), "/workloads", "application/json", body).await.0, 503);
}

#[tokio::test]
async fn an_unknown_control_is_refused_with_its_neighbour() {
    let router = routes(edge(&index("")));
    let review = |operation: &str, controls: Value, old: Value, extra: Value| {
        let mut object = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default", "namespace": "shop"}, "spec": {"serviceModel": "PaaS", "controls": controls}});
        object["metadata"].as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let old = if old.is_null() { Value::Null } else { json!({"metadata": {}, "apiVersion": "", "kind": "", "spec": {"serviceModel": "PaaS", "controls": old}}) };
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u-1", "kind": {"group": "demarc.dev", "version": "v1alpha1", "kind": "Ownership"}, "operation": operation, "object": object, "oldObject": old}}).to_string()
    };
    let typo = json!([{"control": "encryption-declard"}]);
    for (body, allowed, contains) in [
        (review("CREATE", json!([{"control": "encryption-declared"}]), Value::Null, json!({})), true, ""),
        (review("CREATE", typo.clone(), Value::Null, json!({})), false, "the nearest is encryption-declared"),
        (review("UPDATE", typo.clone(), json!([]), json!({})), false, "spec.controls[0].control"),
        (review("UPDATE", typo.clone(), typo.clone(), json!({})), true, ""),
        (review("DELETE", typo, Value::Null, json!({})), true, ""),
        (review("CREATE", json!([]), Value::Null, json!({"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "y"}]})), false, "ownerReferences"),
    ] {
        let (_, answer) = post(&router, "/declarations", "application/json", body.clone()).await;
        assert_eq!(answer["response"]["allowed"], allowed, "{body}: {answer}");
        assert!(allowed || answer["response"]["status"]["message"].as_str().unwrap().contains(contains), "{answer}");
    }
}

#[path = "catalog.rs"]
mod catalog;
#[path = "guard.rs"]
mod guard;
