//! Reviews of one object with thousands of violations: what a verdict costs grows with them, and not with their square (H82).
//! Each is made anew and updated, so what stood before is looked up as well, and judged as it is kept.

use serde_json::{Value, json};

use crate::entry::verdicts;

#[path = "../support/linear.rs"]
mod linear;

fn pod(containers: usize, variables: usize, volumes: &[Value]) -> Value {
    let env = |c| (0..variables).map(|v| json!({"name": format!("V{v}_PASSWORD"), "value": format!("swordfish{c}")})).collect::<Vec<_>>();
    let container = |c| json!({"name": format!("c{c}"), "image": "web", "env": env(c), "securityContext": {"privileged": true}});
    let spec = json!({"hostPID": true, "containers": (0..containers).map(container).collect::<Vec<_>>(), "volumes": volumes});
    json!({"metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"replicas": 1, "template": {"metadata": {}, "spec": spec}}})
}

fn volumes(n: usize, source: impl Fn(usize) -> (&'static str, Value)) -> Value {
    let volume = |v| {
        let (field, value) = source(v);
        json!({"name": format!("v{v}"), field: value})
    };
    pod(1, 1, &(0..n).map(volume).collect::<Vec<_>>())
}

#[test]
fn ten_times_as_large_an_object_takes_about_ten_times_as_long() {
    type Shape = (&'static str, &'static str, &'static str, usize, fn(usize) -> Value);
    let shapes: [Shape; 7] = [
        ("containers of 100 variables each", "apps", "Deployment", 50, |n| pod(n, 100, &[])),
        ("variables of one container", "apps", "Deployment", 1_000, |n| pod(1, n, &[])),
        ("paths of the node", "apps", "Deployment", 500, |n| volumes(n, |_| ("hostPath", json!({"path": "/etc"})))),
        ("claims", "apps", "Deployment", 500, |n| volumes(n, |v| ("persistentVolumeClaim", json!({"claimName": format!("c{v}")})))),
        ("claims made with it", "apps", "Deployment", 500, |n| volumes(n, |_| ("ephemeral", json!({"volumeClaimTemplate": {"spec": {"storageClassName": "s"}}})))),
        (
            "rules of a Role",
            "rbac.authorization.k8s.io",
            "Role",
            500,
            |n| json!({"metadata": {"name": "r", "namespace": "shop"}, "rules": (0..n).map(|i| json!({"apiGroups": [format!("g{i}"), ""], "resources": ["*"], "verbs": ["*"]})).collect::<Vec<_>>()}),
        ),
        ("hosts of an Ingress", "networking.k8s.io", "Ingress", 500, |n| {
            let rule = |i| json!({"host": format!("h{i}.example"), "http": {"paths": [{"path": "/internal"}]}});
            json!({"metadata": {"name": "i", "namespace": "shop"}, "spec": {"rules": (0..n).map(rule).collect::<Vec<_>>()}})
        }),
    ];
    for (what, group, kind, small, object) in shapes {
        for operation in ["CREATE", "UPDATE"] {
            let body = |n| {
                let request = json!({"uid": "u", "operation": operation, "kind": {"group": group, "version": "v1", "kind": kind}, "name": "web", "namespace": "shop",
                    "userInfo": {"username": "jo"}, "object": object(n + 1), "oldObject": if operation == "UPDATE" { object(n) } else { Value::Null }});
                json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string()
            };
            let bodies = [small, 10 * small].map(|n| (n, body(n)));
            linear::is_linear(&format!("{operation}: {what}"), small, |n| {
                let (_, body) = bodies.iter().find(|(of, _)| *of == n).unwrap();
                assert_eq!(verdicts(body.as_bytes()), Some(false), "{what}");
            });
        }
    }
}
