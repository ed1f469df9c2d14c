//! What stands around the workloads: nodes, agents, scans and backups, of kinds that come and go while Demarc runs.
//! The kinds are the real ones by name, with open schemas; their objects are as their own controllers write them.

use serde_json::{Value, json};

use crate::{
    access::{RIGHTS, token},
    support::{ControlPlane, eventually},
    world::{SOON, World, binary, claim, named, only, spec, workload},
};

fn crd(group: &str, version: &str, kind: &str, plural: &str) -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("{plural}.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")},
            "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": open}}]}})
}

fn ago(seconds: i64) -> String {
    jiff::Timestamp::now().checked_sub(jiff::SignedDuration::from_secs(seconds)).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How the controls of the namespace stand, and what is said of them.
fn said(world: &World, control: &str) -> String {
    let verdict = world.field("shop", "ownership/default", &format!(".status.matrix[?(@.control==\"{control}\")].verdict"));
    format!("{verdict} {}", world.field("shop", "ownership/default", &format!(".status.findings[?(@.control==\"{control}\")].message")))
}

fn says(world: &World, control: &str, wanted: &str) {
    eventually(&format!("{control}: {wanted}"), 2 * SOON, || {
        let said = said(world, control);
        if said.contains(wanted) { Ok(()) } else { Err(said) }
    });
}

#[test]
fn scans_backups_and_nodes_are_read_where_and_while_they_are_served() {
    let world = World::start();
    let policy = json!({"platform": {"minKubelet": "1.20"}, "tooling": {"runtimeDetection": "shop/watcher"}});
    let asked = ["vulnerability-scan-current", "backup-current", "node-version-supported", "runtime-detection-present"];
    world.declare("shop", &json!({"mode": "Audit", "policy": policy, "controls": only(&asked), "reviews": {"restoreTest": {"lastCompleted": ago(86_400)}}}));
    world.accepts("shop", &claim("data", ""));
    world.accepts("shop", &workload("Deployment", "web", &spec("r.example/web:1", false)));
    for control in ["vulnerability-scan-current", "backup-current"] {
        says(&world, control, "does not serve them");
        says(&world, control, "Unknown");
    }
    says(&world, "node-version-supported", "NotApplicable");
    says(&world, "runtime-detection-present", "there is no DaemonSet shop/watcher");

    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "old"}, "status": {"nodeInfo": {
        "kubeletVersion": "v1.19.1", "operatingSystem": "linux", "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
        "kubeProxyVersion": "", "machineID": "", "osImage": "", "systemUUID": ""}}});
    world.plane.kubectl(&["create", "-f", "-"], Some(&node.to_string())).result().unwrap();
    says(&world, "node-version-supported", "nodes run a kubelet older than 1.20: old");
    says(&world, "node-version-supported", "nodes are too far from the API server's version");
    world.plane.kubectl(&["delete", "node", "old"], None).result().unwrap();
    says(&world, "node-version-supported", "NotApplicable");

    let kinds = [
        ("aquasecurity.github.io", "v1alpha1", "VulnerabilityReport", "vulnerabilityreports"),
        ("velero.io", "v1", "Schedule", "schedules"),
        ("velero.io", "v1", "Backup", "backups"),
    ];
    for (group, version, kind, plural) in kinds {
        world.accepts("shop", &crd(group, version, kind, plural));
    }
    says(&world, "vulnerability-scan-current", "no vulnerability scan of its image");
    says(&world, "backup-current", "its volumes are in no backup schedule");
    let report = json!({"apiVersion": "aquasecurity.github.io/v1alpha1", "kind": "VulnerabilityReport", "metadata": {"name": "replicaset-web-1-web",
            "labels": {"trivy-operator.resource.kind": "ReplicaSet", "trivy-operator.resource.name": "web-6d4cf56db6", "trivy-operator.container.name": "web"}},
        "report": {"artifact": {"repository": "web", "tag": "1"}, "updateTimestamp": ago(60), "summary": {"criticalCount": 1}, "vulnerabilities": [{"severity": "CRITICAL"}]}});
    eventually("the CRD's endpoint", SOON, || world.apply("shop", &report).result());
    says(&world, "vulnerability-scan-current", "its image has critical vulnerabilities");
    let schedule = json!({"apiVersion": "velero.io/v1", "kind": "Schedule", "metadata": {"name": "daily"}, "spec": {"schedule": "0 0 * * *", "template": {}}});
    let backup = json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": "daily-1", "labels": {"velero.io/schedule-name": "daily"}},
        "status": {"phase": "Completed", "completionTimestamp": ago(60)}});
    world.plane.kubectl(&["create", "namespace", "velero"], None).result().unwrap();
    for object in [schedule, backup] {
        eventually("the CRD's endpoint", SOON, || world.apply("velero", &object).result());
    }
    says(&world, "backup-current", "Satisfied");

    // Gone again: what was read is forgotten, and nothing else suffers.
    for (group, _, _, plural) in kinds {
        world.plane.kubectl(&["delete", "crd", &format!("{plural}.{group}")], None).result().unwrap();
    }
    says(&world, "vulnerability-scan-current", "does not serve them");
    says(&world, "backup-current", "does not serve them");
    let ready = world.field("shop", "ownership/default", ".status.conditions[?(@.type==\"Ready\")].status");
    assert_eq!(ready, "True");
}

/// The kinds are served, and Demarc's role says nothing of them.
#[test]
fn what_rbac_forbids_to_be_read_is_unknown_and_everything_else_goes_on() {
    let plane = ControlPlane::start();
    let forbidden = ["nodes", "vulnerabilityreports", "schedules", "backups", "volumesnapshots", "gateways"];
    let whole: Value = serde_saphyr::from_str(RIGHTS).unwrap();
    let mut rights = whole.clone();
    for rule in rights["items"].as_array_mut().unwrap().iter_mut().filter_map(|o| o["rules"].as_array_mut()).flatten() {
        rule["resources"].as_array_mut().unwrap().retain(|r| !forbidden.contains(&r.as_str().unwrap()));
    }
    for object in rights["items"].as_array_mut().unwrap() {
        if let Some(rules) = object["rules"].as_array_mut() {
            rules.retain(|rule| rule["resources"].as_array().is_some_and(|r| !r.is_empty()));
        }
    }
    plane.kubectl(&["apply", "-f", "-"], Some(&rights.to_string())).result().unwrap();
    let gateways = "gateway.networking.k8s.io";
    for (group, version, kind, plural) in [
        ("aquasecurity.github.io", "v1alpha1", "VulnerabilityReport", "vulnerabilityreports"),
        ("velero.io", "v1", "Schedule", "schedules"),
        ("velero.io", "v1", "Backup", "backups"),
        (gateways, "v1", "Gateway", "gateways"),
        (gateways, "v1", "HTTPRoute", "httproutes"),
    ] {
        let mut definition = crd(group, version, kind, plural);
        definition["metadata"]["annotations"] = json!({"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/2466"});
        plane.kubectl(&["apply", "-f", "-"], Some(&definition.to_string())).result().unwrap();
        plane.kubectl(&["wait", &format!("crd/{plural}.{group}"), "--for=condition=Established", "--timeout=30s"], None).result().unwrap();
    }
    let demarc = plane.demarc_as(binary(), "one", &plane.kubeconfig_of("one", &token(&plane, "demarc")));
    let world = World { demarc: Some(demarc), plane };
    let asked = ["vulnerability-scan-current", "backup-current", "node-version-supported", "exposure-declared", "pod-security-standard"];
    world.declare("shop", &json!({"policy": {"platform": {"minKubelet": "1.20"}}, "controls": only(&asked), "reviews": {"restoreTest": {"lastCompleted": ago(86_400)}}}));
    world.accepts("shop", &claim("data", ""));
    world.accepts("shop", &workload("Deployment", "web", &spec("r.example/web:1", false)));
    let route = named("HTTPRoute", "gateway.networking.k8s.io/v1", "public", json!({"parentRefs": [{"name": "front"}], "hostnames": ["a.example"], "rules": []}));
    eventually("the CRD's endpoint", SOON, || world.apply("shop", &route).result());
    for control in &asked[..4] {
        says(&world, control, "RBAC forbids reading them");
        says(&world, control, "Unknown");
    }
    world.rejects("shop", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");
    assert_eq!(world.demarc.as_ref().unwrap().readyz(), 200);

    // Given back, it heals by itself.
    world.plane.kubectl(&["apply", "-f", "-"], Some(&whole.to_string())).result().unwrap();
    eventually("healed", 4 * SOON, || {
        let left: Vec<String> = asked[..4].iter().map(|control| said(&world, control)).filter(|said| said.contains("RBAC forbids")).collect();
        if left.is_empty() { Ok(()) } else { Err(left.join("; ")) }
    });
}
