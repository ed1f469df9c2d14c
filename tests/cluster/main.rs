//! Demarc on a real API server with the real controllers: sentences about what is accepted, what is rejected, and what a person sees.
//! The audit log is the oracle that no violator was ever persisted.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use support::{ControlPlane, Demarc, eventually};

const SOON: Duration = Duration::from_secs(30);

struct World {
    // First, for it is dropped first: with Demarc's watches open the API server takes 10 s to stop.
    demarc: Option<Demarc>,
    plane: ControlPlane,
}

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_demarc"))
}

impl World {
    fn start() -> Self {
        let plane = ControlPlane::start();
        let demarc = Some(plane.demarc(binary(), "one"));
        Self { demarc, plane }
    }

    fn apply(&self, namespace: &str, object: &Value) -> support::Said {
        self.plane.kubectl(&["apply", "-n", namespace, "-f", "-"], Some(&object.to_string()))
    }

    /// A namespace with an Ownership of this spec, which the API server asks about if its mode says so.
    fn declare(&self, namespace: &str, spec: &Value) {
        let made = self.plane.kubectl(&["create", "namespace", namespace], None);
        assert!(made.ok || made.err.contains("AlreadyExists"), "{made:?}");
        self.redeclare(namespace, spec);
        eventually("the service account", SOON, || self.plane.kubectl(&["get", "serviceaccount", "default", "-n", namespace], None).result());
    }

    fn redeclare(&self, namespace: &str, spec: &Value) {
        self.plane.kubectl(&["delete", "ownership", "default", "-n", namespace, "--ignore-not-found"], None);
        let mut spec = spec.clone();
        spec["serviceModel"] = json!("PaaS");
        spec["parties"] = json!({"customer": "acme", "provider": "azure"});
        let ownership = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default"}, "spec": spec});
        self.apply(namespace, &ownership).result().unwrap();
        let wanted = if spec["mode"] == "Audit" { "False" } else { "True" };
        let condition = format!("--for=condition=Enforcing={wanted}");
        self.plane.kubectl(&["wait", "ownership/default", "-n", namespace, &condition, "--timeout=30s"], None).result().unwrap();
    }

    fn accepts(&self, namespace: &str, object: &Value) {
        let said = self.apply(namespace, object);
        assert!(said.ok, "should be accepted: {object}\n{said:?}");
    }

    fn rejects(&self, namespace: &str, object: &Value, because: &str) {
        let said = self.apply(namespace, object);
        rejected(&said, because);
    }

    fn field(&self, namespace: &str, object: &str, path: &str) -> String {
        self.plane.kubectl(&["get", object, "-n", namespace, "-o", &format!("jsonpath={{{path}}}")], None).result().unwrap_or_default()
    }
}

fn rejected(said: &support::Said, because: &str) {
    assert!(!said.ok && said.err.contains("denied the request") && said.err.contains(because), "should be rejected because of {because}: {said:?}");
}

fn spec(image: &str, privileged: bool) -> Value {
    json!({"containers": [{"name": "web", "image": image, "securityContext": {"privileged": privileged}}], "terminationGracePeriodSeconds": 0})
}

#[allow(clippy::needless_pass_by_value)] // Reads better where it is called.
fn named(kind: &str, api: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "annotations": {"a8r.io/owner": "shop"}}, "spec": spec})
}

fn workload(kind: &str, name: &str, pod: &Value) -> Value {
    let template = json!({"metadata": {"labels": {"app": name}}, "spec": pod});
    let selected = json!({"selector": {"matchLabels": {"app": name}}, "template": template});
    let job = || {
        let mut pod = pod.clone();
        pod["restartPolicy"] = json!("Never");
        json!({"template": {"spec": pod}})
    };
    match kind {
        "Pod" => named(kind, "v1", name, pod.clone()),
        "PodTemplate" => json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "template": template}),
        "ReplicationController" => named(kind, "v1", name, json!({"selector": {"app": name}, "template": template})),
        "Job" => named(kind, "batch/v1", name, job()),
        "CronJob" => named(kind, "batch/v1", name, json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job()}})),
        "StatefulSet" => {
            let mut spec = selected;
            spec["serviceName"] = json!(name);
            named(kind, "apps/v1", name, spec)
        }
        _ => named(kind, "apps/v1", name, selected),
    }
}

/// No completed write left an object whose name says that it violates something.
fn nothing_slipped_in(world: &World) {
    let persisted: Vec<String> = world
        .plane
        .audit()
        .iter()
        .filter(|e| e["responseStatus"]["code"].as_u64().is_some_and(|c| c < 300) && matches!(e["verb"].as_str(), Some("create" | "update" | "patch")))
        .filter(|e| e["objectRef"]["name"].as_str().is_some_and(|n| n.starts_with("violator")))
        .map(|e| format!("{} {}", e["verb"], e["requestURI"]))
        .collect();
    assert!(persisted.is_empty(), "{persisted:?}");
}

#[test]
fn new_workloads_are_held_to_what_the_customer_owes() {
    let world = World::start();
    world.declare("shop", &json!({}));

    // Every kind, at its own path.
    for kind in ["Pod", "PodTemplate", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"] {
        world.rejects("shop", &workload(kind, "violator", &spec("nginx", true)), "pod-security-standard");
    }
    let cron = world.apply("shop", &workload("CronJob", "violator", &spec("nginx", true)));
    rejected(&cron, "spec.jobTemplate.spec.template.spec.containers[web].securityContext.privileged");
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "violator"}, "spec": {"ports": [{"port": 80}]}});
    world.rejects("shop", &service, "workload-named-owner");
    let ingress = named("Ingress", "networking.k8s.io/v1", "violator", json!({"rules": [{"host": "a.example"}]}));
    world.rejects("shop", &ingress, "ingress-tls-required");
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "plain"}, "provisioner": "driver.longhorn.io"});
    world.accepts("shop", &class);
    let claim = |name: &str, class: &str| {
        named("PersistentVolumeClaim", "v1", name, json!({"accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": "1Gi"}}}))
    };
    eventually("a claim of a class that is not encrypted is rejected", SOON, || {
        let dry = world.plane.kubectl(&["apply", "-n", "shop", "--dry-run=server", "-f", "-"], Some(&claim("violator", "plain").to_string()));
        if dry.err.contains("pvc-storage-encrypted") { Ok(()) } else { Err(format!("{dry:?}")) }
    });
    world.rejects("shop", &claim("violator", "plain"), "pvc-storage-encrypted");
    world.accepts("shop", &claim("unknown", "elsewhere"));

    // Every list of containers.
    let mut pod = spec("nginx", false);
    pod["initContainers"] = json!([{"name": "i", "image": "nginx", "restartPolicy": "Always", "securityContext": {"privileged": true}}]);
    world.rejects("shop", &workload("Pod", "violator", &pod), "spec.initContainers[i]");
    let mut burstable = spec("nginx", false);
    burstable["containers"][0]["resources"] = json!({"requests": {"cpu": "20m"}});
    world.accepts("shop", &workload("Pod", "debugged", &burstable));
    let mut debugged: Value = serde_json::from_str(&world.plane.kubectl(&["get", "pod", "debugged", "-n", "shop", "-o", "json"], None).result().unwrap()).unwrap();
    debugged["spec"]["ephemeralContainers"] = json!([{"name": "e", "image": "nginx", "securityContext": {"privileged": true}, "terminationMessagePolicy": "File"}]);
    let said = world.plane.kubectl(&["replace", "--raw", "/api/v1/namespaces/shop/pods/debugged/ephemeralcontainers", "-f", "-"], Some(&debugged.to_string()));
    rejected(&said, "spec.ephemeralContainers[e]");
    let resize = r#"{"spec":{"containers":[{"name":"web","resources":{"requests":{"cpu":"10m"}}}]}}"#;
    world.plane.kubectl(&["patch", "pod", "debugged", "-n", "shop", "--subresource=resize", "-p", resize], None).result().unwrap();

    // Every way to change an object that was compliant.
    world.accepts("shop", &workload("Deployment", "good", &spec("nginx", false)));
    let json_patch = r#"[{"op": "remove", "path": "/metadata/annotations/a8r.io~1owner"}]"#;
    let merge_patch = r#"{"metadata": {"annotations": {"a8r.io/owner": null}}}"#;
    for (kind, patch) in [("json", json_patch), ("merge", merge_patch), ("strategic", merge_patch)] {
        rejected(&world.plane.kubectl(&["patch", "deployment", "good", "-n", "shop", "--type", kind, "-p", patch], None), "workload-named-owner");
    }
    let mut applied = workload("Deployment", "good", &spec("nginx", true));
    let said = world.plane.kubectl(&["apply", "-n", "shop", "--server-side", "--force-conflicts", "-f", "-"], Some(&applied.to_string()));
    rejected(&said, "pod-security-standard");
    applied["spec"]["template"]["spec"] = spec("nginx", false);
    rejected(&world.plane.kubectl(&["annotate", "deployment", "good", "-n", "shop", "a8r.io/owner=todo", "--overwrite"], None), "workload-named-owner");
    rejected(
        &world.plane.kubectl(&["apply", "-n", "shop", "--dry-run=server", "-f", "-"], Some(&workload("Pod", "violator", &spec("nginx", true)).to_string())),
        "pod-security-standard",
    );

    // Elsewhere nobody is asked.
    world.plane.kubectl(&["create", "namespace", "elsewhere"], None).result().unwrap();
    eventually("a pod where nothing is declared", SOON, || world.apply("elsewhere", &workload("Pod", "free", &spec("nginx", true))).result());

    // The children of what was accepted come.
    eventually("the deployment's pod", SOON, || match world.field("shop", "deployment/good", ".status.replicas").as_str() {
        "1" => Ok(()),
        other => Err(format!("{other} replicas")),
    });
    nothing_slipped_in(&world);
}

#[test]
fn what_stood_before_keeps_running_and_gets_no_worse() {
    let mut world = World::start();
    let policy = json!({"images": {"allowedPrefixes": ["ghcr.io/acme"]}});
    world.declare("old", &json!({"mode": "Audit", "policy": policy}));
    let mut set = workload("StatefulSet", "db", &spec("evil.example/db:1", false));
    set["spec"]["volumeClaimTemplates"] =
        json!([{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "plain", "resources": {"requests": {"storage": "1Gi"}}}}]);
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "plain"}, "provisioner": "driver.longhorn.io"});
    world.accepts("old", &class);
    let mut web = workload("Deployment", "web", &spec("evil.example/web:1", true));
    web["metadata"]["annotations"] = json!({});
    world.accepts("old", &web);
    world.accepts("old", &set);
    world.accepts("old", &workload("Job", "task", &spec("evil.example/task:1", false)));
    world.accepts("old", &workload("DaemonSet", "agent", &spec("evil.example/agent:1", false)));
    let pods = |selector: &str| world.plane.kubectl(&["get", "pods", "-n", "old", "-l", selector, "-o", "name"], None).result().unwrap_or_default();
    let count = |selector: &str, n: usize| eventually(&format!("{n} pods of {selector}"), SOON, || if pods(selector).lines().count() == n { Ok(()) } else { Err(pods(selector)) });
    count("app=web", 1);
    count("app=db", 1);
    // `forbiddenSince` has whole seconds: what is spared is older than that.
    std::thread::sleep(Duration::from_millis(1100));
    world.redeclare("old", &json!({"policy": policy}));

    // Delete, scale, restart: everything comes back.
    for (selector, replicas) in [("app=web", "2"), ("app=db", "2")] {
        let before = pods(selector);
        world.plane.kubectl(&["delete", "pods", "-n", "old", "-l", selector, "--wait=false"], None).result().unwrap();
        eventually("a new pod in its place", SOON, || {
            let now = pods(selector);
            let uid = world.plane.kubectl(&["get", "pods", "-n", "old", "-l", selector, "-o", "jsonpath={.items[*].metadata.uid}"], None).result()?;
            if !now.is_empty() && (now != before || selector == "app=db" && !uid.is_empty()) { Ok(()) } else { Err(now) }
        });
        let target = if selector == "app=web" { "deployment/web" } else { "statefulset/db" };
        world.plane.kubectl(&["scale", target, "-n", "old", "--replicas", replicas], None).result().unwrap();
        if selector == "app=web" {
            count(selector, 2);
        }
    }
    world.plane.kubectl(&["rollout", "restart", "deployment/web", "-n", "old"], None).result().unwrap();
    eventually("the restarted set of pods", SOON, || {
        let sets = world.plane.kubectl(&["get", "replicasets", "-n", "old", "-l", "app=web", "-o", "jsonpath={.items[*].status.replicas}"], None).result()?;
        if sets.split(' ').count() == 2 { Ok(()) } else { Err(sets) }
    });

    // A release passes; another forbidden registry, a renamed container or a new violation does not.
    let release = world.plane.kubectl(&["set", "image", "deployment/web", "-n", "old", "web=evil.example/web:2"], None);
    assert!(release.ok && release.err.contains("still violated, stood before enforcement"), "{release:?}");
    rejected(&world.plane.kubectl(&["set", "image", "deployment/web", "-n", "old", "web=worse.example/web:2"], None), "image-registry-allowed");
    let rename = r#"[{"op": "replace", "path": "/spec/template/spec/containers/0/name", "value": "renamed"}]"#;
    rejected(&world.plane.kubectl(&["patch", "deployment", "web", "-n", "old", "--type=json", "-p", rename], None), "image-registry-allowed");
    rejected(&world.plane.kubectl(&["patch", "statefulset", "db", "-n", "old", "-p", r#"{"spec":{"template":{"spec":{"hostNetwork":true}}}}"#], None), "pod-security-standard");

    // What slipped in during an outage is not spared: scaling it passes, its pods do not come.
    world.demarc.take().unwrap().kill();
    world.plane.kubectl(&["delete", "validatingwebhookconfiguration", "demarc"], None).result().unwrap();
    world.accepts("old", &workload("Deployment", "slipped", &spec("evil.example/slipped:1", false)));
    count("app=slipped", 1);
    world.demarc = Some(world.plane.demarc(binary(), "two"));
    rejected(&world.plane.kubectl(&["set", "image", "deployment/slipped", "-n", "old", "web=evil.example/slipped:2"], None), "image-registry-allowed");
    world.plane.kubectl(&["scale", "deployment/slipped", "-n", "old", "--replicas=3"], None).result().unwrap();
    eventually("the controller's word that its pods are refused", SOON, || {
        let said = world.field("old", "replicasets", ".items[*].status.conditions[?(@.type==\"ReplicaFailure\")].message");
        if said.contains("image-registry-allowed") { Ok(()) } else { Err(said) }
    });
}

#[test]
fn the_declaration_is_guarded_and_enrolment_is_the_controllers_alone() {
    let world = World::start();
    world.declare("shop", &json!({}));
    let own = |name: &str, spec: Value| json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": name}, "spec": spec});
    for (object, because) in [
        (own("second", json!({"serviceModel": "PaaS"})), "named default"),
        (own("default", json!({"serviceModel": "Mainframe"})), "spec.serviceModel"),
        (own("default", json!({})), "spec.serviceModel"),
        (own("default", json!({"serviceModel": "PaaS", "controls": [{"control": "Encryption"}]})), "spec.controls[0].control"),
        (own("default", json!({"serviceModel": "PaaS", "controls": [{"control": "еncryption"}]})), "spec.controls[0].control"),
        (own("default", json!({"serviceModel": "PaaS", "controls": [{"control": "a"}, {"control": "a"}]})), "Duplicate value"),
        (own("default", json!({"serviceModel": "PaaS", "controls": [{"control": "encryption-declared", "owner": "customer"}]})), "Unsupported value"),
        (own("default", json!({"serviceModel": "PaaS", "controls": [{"control": "encryption-declard"}]})), "the nearest is encryption-declared"),
        (own("default", json!({"serviceModel": "PaaS", "policy": {"images": {"allowedPrefixes": [""]}}})), "allowedPrefixes"),
        (own("default", json!({"serviceModel": "PaaS", "url": "https://evil.example"})), "unknown field"),
    ] {
        let said = world.plane.kubectl(&["replace", "-n", "shop", "--validate=strict", "-f", "-"], Some(&object.to_string()));
        let created = world.plane.kubectl(&["create", "-n", "shop", "--validate=strict", "-f", "-"], Some(&object.to_string()));
        assert!(!said.ok && !created.ok, "{object} was taken");
        assert!(said.err.contains(because) || created.err.contains(because), "{because}: {said:?} {created:?}");
    }

    // alice may do everything with namespaces, and still not this.
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: namespaces}\nrules: [{apiGroups: [''], resources: [namespaces, namespaces/status, namespaces/finalize], verbs: ['*']}]";
    world.plane.kubectl(&["apply", "-f", "-"], Some(role)).result().unwrap();
    world.plane.kubectl(&["create", "clusterrolebinding", "alice", "--clusterrole=namespaces", "--user=alice"], None).result().unwrap();
    let guarded = |args: &[&str], stdin: Option<&str>| {
        let said = world.plane.kubectl_as("alice", args, stdin);
        assert!(!said.ok && said.err.contains("set by Demarc alone"), "{args:?}: {said:?}");
    };
    eventually("alice's rights and the policy", SOON, || {
        let said = world.plane.kubectl_as("alice", &["label", "namespace", "shop", "demarc.dev/admission-", "--dry-run=server"], None);
        if said.err.contains("set by Demarc alone") { Ok(()) } else { Err(format!("{said:?}")) }
    });
    guarded(&["label", "namespace", "shop", "demarc.dev/admission-"], None);
    guarded(&["label", "namespace", "shop", "demarc.dev/admission=disabled", "--overwrite"], None);
    guarded(&["label", "namespace", "default", "demarc.dev/admission=enabled"], None);
    let preset = "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"preset\", \"labels\": {\"demarc.dev/admission\": \"enabled\"}}}";
    guarded(&["create", "-f", "-"], Some(preset));
    let mut namespace: Value = serde_json::from_str(&world.plane.kubectl(&["get", "namespace", "shop", "-o", "json"], None).result().unwrap()).unwrap();
    namespace["metadata"]["labels"].as_object_mut().unwrap().remove("demarc.dev/admission");
    for endpoint in ["", "/status", "/finalize"] {
        let path = format!("/api/v1/namespaces/shop{endpoint}");
        guarded(&["replace", "--raw", &path, "-f", "-"], Some(&namespace.to_string()));
    }
    world.plane.kubectl_as("alice", &["label", "namespace", "shop", "team=shop"], None).result().unwrap();
    // The emergency exit.
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: exit}\nrules: [{apiGroups: [demarc.dev], resources: [namespaces], verbs: [unenrol]}]";
    world.plane.kubectl(&["apply", "-f", "-"], Some(role)).result().unwrap();
    world.plane.kubectl(&["create", "clusterrolebinding", "exit", "--clusterrole=exit", "--user=alice"], None).result().unwrap();
    eventually("the emergency exit", SOON, || world.plane.kubectl_as("alice", &["label", "namespace", "shop", "demarc.dev/admission-"], None).result());
    // While Demarc runs, the leader puts it back.
    eventually("the label is back", SOON, || match world.field("shop", "namespace/shop", ".metadata.labels.demarc\\.dev/admission").as_str() {
        "enabled" => Ok(()),
        other => Err(other.to_owned()),
    });
    world.plane.kubectl(&["delete", "ownership", "default", "-n", "shop"], None).result().unwrap();
    eventually("no declaration, no label", SOON, || match world.field("shop", "namespace/shop", ".metadata.labels.demarc\\.dev/admission").as_str() {
        "" => Ok(()),
        other => Err(other.to_owned()),
    });
}

#[test]
fn drift_appears_and_clears_and_outages_leave_nothing_stuck() {
    let mut world = World::start();
    world.declare("shop", &json!({"mode": "Audit"}));
    world.accepts("shop", &workload("Deployment", "web", &spec("nginx", false)));
    let status = |path: &str| world.field("shop", "ownership/default", path);
    eventually("a clean report", SOON, || if status(".status.counts.satisfied") != "0" && status(".status.counts.violated") == "0" { Ok(()) } else { Err(status(".status")) });
    world.accepts("shop", &workload("Deployment", "bad", &spec("nginx", true)));
    eventually("drift within 30 s", SOON, || if status(".status.findings[*].object").contains("deployment/bad") { Ok(()) } else { Err(status(".status")) });
    let table = world.plane.kubectl(&["get", "ownerships", "-A"], None).result().unwrap();
    assert!(table.contains("VIOLATED") && table.contains("False"), "{table}");
    // Settled: nothing is written while nothing changes.
    std::thread::sleep(Duration::from_secs(3));
    let version = status(".metadata.resourceVersion");
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(version, status(".metadata.resourceVersion"), "a steady state has no writes");
    world.plane.kubectl(&["delete", "deployment", "bad", "-n", "shop"], None).result().unwrap();
    eventually("cleared within 30 s", SOON, || if status(".status.findingsTotal") == "0" { Ok(()) } else { Err(status(".status")) });

    // The API server goes and comes back, twice.
    for patience in [Duration::from_secs(10), Duration::ZERO] {
        world.plane.restart_api_server(patience);
    }
    world.redeclare("shop", &json!({}));
    world.rejects("shop", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");

    // A second replica watches; when the first dies it writes within 15 s.
    let second = world.plane.demarc(binary(), "second");
    assert!(!second.log().contains("leading"), "one writer");
    world.demarc.take().unwrap().kill();
    eventually("the second replica leads", Duration::from_secs(15), || if second.log().contains("leading") { Ok(()) } else { Err(second.log()) });
    world.declare("late", &json!({}));
    world.rejects("late", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");

    // It leaves in order, and with nobody there a violator is refused all the same, and a namespace can go.
    world.accepts("late", &workload("Job", "task", &spec("nginx", false)));
    eventually("the job's pod", SOON, || if world.field("late", "job/task", ".status.active") == "1" { Ok(()) } else { Err("none".to_owned()) });
    assert!(second.terminate().success(), "SIGTERM ends it in order");
    let down = world.apply("late", &workload("Pod", "violator", &spec("nginx", true)));
    assert!(!down.ok && down.err.contains("failed calling webhook"), "{down:?}");
    world.plane.kubectl(&["delete", "namespace", "late", "--timeout=60s"], None).result().unwrap();
    nothing_slipped_in(&world);
}
