//! The Gateway API, served while Demarc runs: what a Gateway and an HTTPRoute serve is judged at the gate and in drift, and is forgotten with its CRD.
//! The kinds are the real ones by name, with open schemas.

use serde_json::{Value, json};

use crate::{
    support::eventually,
    world::{SOON, World, named, only},
};

const GROUP: &str = "gateway.networking.k8s.io";

fn crd(kind: &str, plural: &str) -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{GROUP}"), "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/2466"}},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": open}}]}})
}

#[allow(clippy::needless_pass_by_value)] // Reads better where it is called.
fn gateway(name: &str, listeners: Value) -> Value {
    named("Gateway", "gateway.networking.k8s.io/v1", name, json!({"gatewayClassName": "any", "listeners": listeners}))
}

fn route(name: &str, section: &str, hosts: &[&str]) -> Value {
    let rules = json!([{"matches": [{"path": {"type": "PathPrefix", "value": "/shop"}}], "backendRefs": [{"name": "web", "port": 80}]}]);
    named("HTTPRoute", "gateway.networking.k8s.io/v1", name, json!({"parentRefs": [{"name": "front", "sectionName": section}], "hostnames": hosts, "rules": rules}))
}

#[test]
fn gateways_and_their_routes_are_judged_where_and_while_they_are_served() {
    let world = World::start();
    let controls = only(&["exposure-declared", "ingress-tls-required"]);
    world.declare("shop", &json!({"mode": "Enforce", "controls": controls}));
    let kinds = [("Gateway", "gateways"), ("HTTPRoute", "httproutes")];
    for (kind, plural) in kinds {
        world.accepts("shop", &crd(kind, plural));
        world.plane.kubectl(&["wait", &format!("crd/{plural}.{GROUP}"), "--for=condition=Established", "--timeout=30s"], None).result().unwrap();
    }
    let said = |control: &str| world.field("shop", "ownership/default", &format!(".status.findings[?(@.control==\"{control}\")]"));
    let says = |control: &str, wanted: &[&str]| {
        eventually(&format!("{control}: {wanted:?}"), 2 * SOON, || {
            let said = said(control);
            if wanted.iter().all(|w| said.contains(w)) && (!wanted.is_empty() || said.is_empty()) { Ok(()) } else { Err(said) }
        });
    };
    let listeners =
        |host: &str| json!([{"name": "plain", "protocol": "HTTP", "port": 80, "hostname": "a.example"}, {"name": "tls", "protocol": "HTTPS", "port": 443, "hostname": host}]);
    // The endpoint of a kind that was defined just now is not everywhere at once.
    let named_hosts = gateway("front", listeners("b.a.example"));
    eventually("the CRD's endpoint", SOON, || world.apply("shop", &named_hosts).result());
    says("ingress-tls-required", &["gateway/front", "Unknown"]);
    world.rejects("shop", &gateway("violator", listeners("*.a.example")), "wildcard host");
    eventually("the CRD's endpoint", SOON, || world.apply("shop", &route("good", "tls", &["b.a.example"])).result());
    world.rejects("shop", &route("violator", "plain", &["a.example"]), "is served without TLS by listener shop/front/plain");
    let mut any = route("violator", "absent", &[]);
    any["spec"]["parentRefs"] = json!([{"name": "elsewhere"}]);
    world.rejects("shop", &any, "any host");
    // The Gateway changes under a route that was fine.
    let mut plain = named_hosts;
    plain["spec"]["listeners"][1]["protocol"] = json!("HTTP");
    world.accepts("shop", &plain);
    says("ingress-tls-required", &["httproute/good", "Violated"]);
    for (_, plural) in kinds {
        world.plane.kubectl(&["delete", "crd", &format!("{plural}.{GROUP}")], None).result().unwrap();
    }
    says("ingress-tls-required", &[]);
}
