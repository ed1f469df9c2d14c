//! What must hold of any bytes that the webhook is sent, and of any expression that somebody writes; shared by the property tests and the fuzz targets.
//! Each entry panics where something does not hold, and is silent otherwise.

#![allow(clippy::unwrap_used, dead_code)]

use std::sync::{LazyLock, OnceLock};

use demarc::{
    admission::{answer::decide, review},
    api::{Declaration, GROUP},
    controller::{
        index::{Index, Source},
        watch::Change,
    },
    controls::{
        CATALOG,
        custom::Whole,
        expression::{Budget, Expression, Fail, Inputs},
    },
    model::subject::{Kind, Subject},
    policy::{
        book::Promise,
        matrix::Matrix,
        objects::Objects,
        verdict::{Door, evaluate},
    },
};
use serde_json::{Value, json};

/// Every control as strict as it can be, and one of somebody's own, so that every check is run.
fn declarations() -> Vec<Value> {
    let controls: Vec<Value> = CATALOG.iter().map(|c| json!({"control": c.id, "owner": "Customer", "enforcement": "Deny"})).collect();
    let policy = json!({
        "images": {"allowedPrefixes": ["ghcr.io/acme"]}, "patch": {"maxImageAge": "P90D", "remediationDays": {"critical": 7}},
        "exposure": {"internalPaths": ["/internal"]}, "classification": {"values": ["public", "internal", "restricted"], "cmkRequiredFor": ["restricted"]},
        "encryption": {"requireFor": "Storage"}, "network": {"requireEgress": true}, "admins": {"allowed": ["ops"]}, "podSecurity": {"level": "Restricted"},
        "mfa": {"extra": "example.com/amr", "values": ["mfa"]}});
    let own = json!({"title": "a", "severity": "low", "kinds": ["Deployment", "Service"], "enforcement": "Deny",
        "validations": [{"expression": "object.spec.?replicas.orValue(1) < 10 || object.metadata.name.matches('^[a-z]+$')"}]});
    let ours = |kind: &str, name: &str, spec: Value| json!({"apiVersion": format!("{GROUP}/v1alpha1"), "kind": kind, "metadata": {"name": name, "namespace": "shop", "uid": name}, "spec": spec});
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "uid": "shop", "labels": {"data-classification": "internal"}}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "all", "namespace": "shop", "uid": "all"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "shop", "uid": "default"}}),
        ours("Control", "small", own),
        ours("Ownership", "default", json!({"serviceModel": "IaaS", "parties": {"customer": "acme"}, "controls": controls, "policy": policy})),
    ]
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let index = Index::default();
    for document in declarations() {
        let kind = document["kind"].as_str().unwrap();
        let source = match (Declaration::find(kind), kind) {
            (Some(ours), _) => Source::Declared(ours),
            (None, "Namespace") => Source::Namespaces,
            (None, kind) => Source::Subjects(*Kind::ALL.iter().find(|k| k.name() == kind).unwrap()),
        };
        index.take(source, &Change::Applied(Box::new(serde_json::from_value(document).unwrap())));
    }
    index.settle();
    index
});

fn now() -> jiff::Timestamp {
    "2026-04-01T00:00:00Z".parse().unwrap()
}

/// Bytes as the API server might send them. Never a panic; an answer comes under the uid that can be read, and is a whole review; what cannot be read, or
/// shows nothing to judge, is not allowed; and what is kept of an object is judged as the object itself.
///
/// Returns whether it was allowed, `None` where nothing could be answered.
pub fn verdicts(body: &[u8]) -> Option<bool> {
    let (uid, allowed, answer) = match review::parse(body) {
        Err(review::Malformed::Anonymous(_)) => return None,
        Err(review::Malformed::Named { uid, .. }) => (uid, false, None),
        Ok(request) => {
            let book = INDEX.shared.book.load_full();
            let answer = decide(&request, &book, &INDEX.shared.objects(), &[], &INDEX.shared.tally, now());
            let writes = matches!(&*request.operation, "CREATE" | "UPDATE") && matches!(&*request.sub_resource, "" | "ephemeralcontainers" | "resize");
            let judged = Kind::find(&request.kind.group, &request.kind.kind).is_some();
            assert!(!(answer.allowed && writes && judged && request.subject.is_none()), "nothing was there to judge, and it is allowed");
            if let (Some(kind), Some(object)) = (Kind::find(&request.kind.group, &request.kind.kind), request.objects().object) {
                let Some(Promise::Declared(matrix)) = book.promises.get("shop") else { panic!("shop is declared") };
                kept_and_judged_alike(kind, object.get(), matrix);
            }
            (request.uid.to_string(), answer.allowed, Some(answer))
        }
    };
    assert!(!uid.is_empty());
    if let Ok(tree) = serde_json::from_slice::<Value>(body)
        && let Some(sent) = tree["request"]["uid"].as_str()
    {
        assert_eq!(uid, sent, "it is answered under its own uid");
    }
    if let Some(answer) = answer {
        let written: Value = serde_json::from_slice(&answer.to_json()).unwrap();
        assert_eq!((&written["response"]["uid"], &written["response"]["allowed"]), (&json!(uid), &json!(allowed)));
        let message = written["response"]["status"]["message"].as_str().unwrap_or_default();
        assert!(allowed == written["response"]["status"].is_null() && message.len() <= 1024, "{message}");
        let shown = [message].into_iter().chain(answer.warnings.iter().map(String::as_str)).chain(answer.causes.iter().flat_map(|c| [&*c.message, &*c.field]));
        for text in shown {
            let moves = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            assert!(!text.contains(moves), "what is said could move a cursor or turn a line around: {text:?}");
        }
    }
    Some(allowed)
}

/// What is found of an object, as admission reads it and as it is kept; where it can be read at all.
fn kept_and_judged_alike(kind: Kind, json: &str, matrix: &Matrix) {
    let Ok(subject) = Subject::parse(kind, json) else { return };
    let Ok(mut object) = serde_json::from_str::<Value>(json) else { return };
    // As the API server stores it.
    for (key, value) in [("uid", "kept"), ("namespace", "shop")] {
        match object.get_mut("metadata").and_then(Value::as_object_mut) {
            Some(meta) => drop(meta.insert(key.to_owned(), json!(value))),
            None => return,
        }
    }
    let mut objects = Objects::default();
    objects.put(kind, object);
    let book = INDEX.shared.book.load_full();
    let found = |subject: &Subject<'_>| {
        let whole = || Ok(Whole { object: Value::Null, old_object: Value::Null, request: None });
        let evaluation = evaluate(subject, &book.namespaces["shop"], matrix, &book.facts, false, Door::Cluster(&whole), now());
        let mut found: Vec<_> = evaluation.judged.into_iter().map(|j| (j.control, j.finding.outcome, j.finding.path, j.finding.fingerprint, j.finding.message)).collect();
        found.sort();
        (found, evaluation.applied)
    };
    let room = objects.room("shop").expect("it is kept");
    let (_, record) = room.iter().next().expect("it is kept");
    let kept = record.subject().unwrap_or_else(|error| panic!("what was read can be read as it is kept: {error}: {json}"));
    assert_eq!(found(&kept), found(&subject), "{json}");
}

static OBJECT: OnceLock<Value> = OnceLock::new();

/// An object to run expressions over, with something of everything.
fn object() -> &'static Value {
    OBJECT.get_or_init(|| {
        json!({"metadata": {"name": "web", "labels": {"app": "web", "b": ""}, "annotations": null}, "spec": {"replicas": 3, "big": i64::MAX, "ratio": 0.5, "on": true,
            "containers": [{"name": "web", "image": "nginx:1", "ports": [{"containerPort": 80}, {}]}, {"name": "ü\u{202e}"}], "none": [], "mixed": [1, "a", null, {}]}})
    })
}

/// An expression as somebody might write it. Never a panic; it ends within what a review may spend; the same is answered twice; and an error is never a
/// value: where there is no answer, its opposite has none either.
///
/// Returns whether it compiles.
pub fn expression(source: &str) -> bool {
    let compiled = match Expression::condition(source) {
        Ok(compiled) => compiled,
        Err(refusal) => {
            assert!(!refusal.to_string().is_empty());
            // A message is another type, and the same rules.
            let _ = Expression::message(source);
            return false;
        }
    };
    let opposite = Expression::condition(&format!("!({source})")).ok();
    let (object, null) = (object(), &Value::Null);
    for (object, params) in [(object, object), (object, null), (null, null)] {
        let inputs = Inputs { object, old_object: null, request: null, namespace: object, params };
        let run = |expression: &Expression| expression.holds(inputs, &mut Budget::default());
        let started = std::time::Instant::now();
        let answer = run(&compiled);
        assert!(started.elapsed() < std::time::Duration::from_secs(30), "it runs for long: {source}");
        assert_eq!(answer, run(&compiled), "{source}");
        let Some(opposite) = &opposite else { continue };
        match (answer, run(opposite)) {
            // One step more may be one too many.
            (Err(Fail::Spent), _) | (_, Err(Fail::Spent)) | (Err(_), Err(_)) => {}
            (Ok(answer), Ok(opposite)) => assert_ne!(answer, opposite, "{source}"),
            (answer, opposite) => panic!("an error became a value: {source}: {answer:?}, and its opposite {opposite:?}"),
        }
    }
    true
}
