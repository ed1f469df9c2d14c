//! Reviews: the requests of tests/data/admission with parts of them mangled, and bytes that never were one.

use std::sync::LazyLock;

use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::{Value, json};

use crate::entry::verdicts;

/// The text of a number that no float holds; serde_json cannot write it from a tree.
const HUGE: &str = "@huge@";

static SEEDS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut folders: Vec<_> = std::fs::read_dir("tests/data/admission").unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    let seeds: Vec<Value> = folders.iter().filter_map(|f| serde_json::from_str(&std::fs::read_to_string(f.join("request.json")).unwrap()).ok()).collect();
    assert!(seeds.len() > 100, "the seeds are gone");
    seeds
});

/// What somebody might write where something else belongs.
fn hostile() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([null])),
        Just(json!([[]])),
        Just(json!({"": null})),
        Just(json!(HUGE)),
        Just(json!("1e400")),
        Just(json!("\u{202e}drowssap\u{1b}[2J\u{0}")),
        Just(json!("a".repeat(70_000))),
        "[A-Za-z]{1,12}".prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "*",
            "-",
            "..",
            "0",
            "true",
            "Always",
            "latest",
            "sha256:",
            "https://",
            "[::1]:5000/a@b",
            "ghcr.io/acme/web",
            "restricted",
            "system:masters"
        ])
        .prop_map(Value::from),
    ]
}

#[derive(Clone, Debug)]
enum Change {
    Remove,
    Put(Value),
    /// So many copies of an element of a list.
    Repeat(usize),
    /// Beside what is there, under another key or as another element.
    Beside(String, Value),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => Just(Change::Remove),
        4 => hostile().prop_map(Change::Put),
        1 => (2..40usize).prop_map(Change::Repeat),
        1 => ("[a-zA-Z]{1,10}", hostile()).prop_map(|(key, value)| Change::Beside(key, value)),
    ]
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(all) => all.iter().map(nodes).sum(),
        Value::Object(all) => all.values().map(nodes).sum(),
        _ => 0,
    }
}

/// Changes the node at a position, counted from the top.
fn mangle(value: &mut Value, at: &mut usize, change: &Change) {
    fn children(value: &mut Value) -> Vec<(String, usize)> {
        match value {
            Value::Array(all) => all.iter().enumerate().map(|(i, child)| (i.to_string(), nodes(child))).collect(),
            Value::Object(all) => all.iter().map(|(key, child)| (key.clone(), nodes(child))).collect(),
            _ => Vec::new(),
        }
    }
    for (key, size) in children(value) {
        if *at > size {
            *at -= size;
            continue;
        }
        if *at > 1 {
            *at -= 1;
            let child = if let Value::Array(all) = value { &mut all[key.parse::<usize>().unwrap()] } else { &mut value[&key] };
            return mangle(child, at, change);
        }
        match (value, change) {
            (Value::Object(all), Change::Remove) => drop(all.remove(&key)),
            (Value::Array(all), Change::Remove) => drop(all.remove(key.parse().unwrap())),
            (Value::Object(all), Change::Put(new)) => drop(all.insert(key, new.clone())),
            (Value::Array(all), Change::Put(new)) => all[key.parse::<usize>().unwrap()] = new.clone(),
            (Value::Array(all), Change::Repeat(n)) => {
                let one = all[key.parse::<usize>().unwrap()].clone();
                all.extend(std::iter::repeat_n(one, *n));
            }
            (Value::Object(all), Change::Beside(other, new)) => drop(all.insert(other.clone(), new.clone())),
            (Value::Array(all), Change::Beside(_, new)) => all.push(new.clone()),
            _ => {}
        }
        return;
    }
}

fn text(review: &Value) -> String {
    review.to_string().replace(&format!("\"{HUGE}\""), "1e400")
}

fn mangled() -> impl Strategy<Value = String> {
    (any::<Index>(), vec((any::<Index>(), change()), 1..5)).prop_map(|(seed, changes)| {
        let mut review = seed.get(&SEEDS).clone();
        for (at, change) in &changes {
            // Most of a review is its object, and that is what checks read.
            let size = nodes(&review);
            mangle(&mut review, &mut (at.index(size.max(2) - 1) + 1), change);
        }
        text(&review)
    })
}

/// Bytes of a review cut, doubled and replaced.
fn torn() -> impl Strategy<Value = Vec<u8>> {
    (any::<Index>(), vec((any::<Index>(), 0..60usize, vec(any::<u8>(), 0..8)), 1..4)).prop_map(|(seed, cuts)| {
        let mut bytes = text(seed.get(&SEEDS)).into_bytes();
        for (at, length, new) in cuts {
            let at = at.index(bytes.len() + 1);
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, new);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_review_with_parts_of_it_mangled_is_judged_or_refused(review in mangled()) {
        verdicts(review.as_bytes());
    }

    #[test]
    fn a_review_that_is_torn_is_judged_or_refused(bytes in torn()) {
        verdicts(&bytes);
    }

    #[test]
    fn bytes_that_never_were_a_review_are_not_allowed(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert_ne!(verdicts(&bytes), Some(true));
    }

    /// Whatever stands in the place of what makes an object compliant, it is not compliant by that.
    #[test]
    fn what_is_missing_or_means_nothing_is_never_compliant(which in any::<Index>(), value in prop::option::of(hostile())) {
        let (good, evidence) = which.get(&EVIDENCE);
        prop_assert_eq!(verdicts(text(good).as_bytes()), Some(true), "the seed of this test: {}", good);
        let mut review = good.clone();
        let (parent, key) = evidence.rsplit_once('/').unwrap();
        let holder = review.pointer_mut(&format!("/request/object{parent}")).unwrap();
        let before = holder[unescaped(key)].clone();
        match &value {
            None => drop(holder.as_object_mut().unwrap().remove(&unescaped(key))),
            Some(value) => holder[unescaped(key)] = value.clone(),
        }
        let same = value.as_ref() == Some(&before);
        let names = matches!(&value, Some(Value::String(text)) if evidence.ends_with("owner") && text != HUGE && !text.trim().is_empty());
        // A list where an object belongs reads as an empty object, and an entry without hosts is TLS for all of them. The API server refuses such a list itself.
        let every_host = evidence == &"/spec/tls" && value == Some(json!([[]]));
        prop_assume!(!same && !names && !every_host);
        prop_assert_ne!(verdicts(text(&review).as_bytes()), Some(true), "{} by {:?}", evidence, value);
    }
}

fn unescaped(key: &str) -> String {
    key.replace("~1", "/")
}

/// Compliant objects, each with the field that makes it so.
static EVIDENCE: LazyLock<Vec<(Value, &'static str)>> = LazyLock::new(|| {
    let review = |kind: &str, version: &str, object: Value| {
        let group = version.rsplit_once('/').map_or("", |(group, _)| group);
        let mut object = object;
        object["apiVersion"] = json!(version);
        object["kind"] = json!(kind);
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u-1", "kind": {"group": group, "version": "v1", "kind": kind},
            "namespace": "shop", "operation": "CREATE", "userInfo": {"username": "system:serviceaccount:shop:ci"}, "object": object}})
    };
    let metadata = json!({"name": "web", "namespace": "shop", "annotations": {"a8r.io/owner": "team"}});
    let ingress = json!({"metadata": metadata, "spec": {"rules": [{"host": "a.example"}], "tls": [{"hosts": ["a.example"], "secretName": "a"}]}});
    let ingress = review("Ingress", "networking.k8s.io/v1", ingress);
    let image = format!("ghcr.io/acme/web@sha256:{}", "a".repeat(64));
    let container = json!({"name": "web", "image": image, "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}});
    let pod = json!({"automountServiceAccountToken": false, "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}, "containers": [container],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]});
    let template = json!({"metadata": {"annotations": {"demarc.dev/encryption-at-rest": "csi"}}, "spec": pod});
    let deployment = review("Deployment", "apps/v1", json!({"metadata": metadata, "spec": {"template": template}}));
    let fields = [
        "/metadata/annotations/a8r.io~1owner",
        "/spec/template/metadata/annotations/demarc.dev~1encryption-at-rest",
        "/spec/template/spec/automountServiceAccountToken",
        "/spec/template/spec/securityContext/runAsNonRoot",
        "/spec/template/spec/securityContext/seccompProfile",
        "/spec/template/spec/securityContext/seccompProfile/type",
        "/spec/template/spec/containers/0/image",
        "/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation",
        "/spec/template/spec/containers/0/securityContext/capabilities/drop",
    ];
    [(ingress, "/spec/tls")].into_iter().chain(fields.into_iter().map(|field| (deployment.clone(), field))).collect()
});

#[test]
fn ten_thousand_containers_are_judged_each() {
    let containers: Vec<Value> = (0..10_000).map(|i| json!({"name": format!("c{i}"), "image": "nginx", "securityContext": {"privileged": true}})).collect();
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "namespace": "shop", "operation": "CREATE", "userInfo": {"username": "jo"}, "object": {"metadata": {"name": "a", "namespace": "shop"}, "spec": {"containers": containers}}}});
    assert_eq!(verdicts(text(&review).as_bytes()), Some(false));
}
