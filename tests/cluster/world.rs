//! A control plane with Demarc on it, and the words that the sentences are made of.
//! What a test says is accepted or rejected is said by the API server; the audit log tells what was written.

use std::{path::Path, time::Duration};

use demarc::controls::CATALOG;
use serde_json::{Value, json};

use crate::support::{
    ControlPlane, Demarc, Said, eventually,
    receiver::{Mood, Receiver},
};

pub const SOON: Duration = Duration::from_secs(30);

pub struct World {
    // First, for it is dropped first: with Demarc's watches open the API server takes 10 s to stop.
    pub demarc: Option<Demarc>,
    pub plane: ControlPlane,
}

/// Waits until the clock has struck. `forbiddenSince` has whole seconds: what is there now is older than what is forbidden afterwards.
pub fn in_the_next_second() {
    let second = jiff::Timestamp::now().as_second();
    eventually("the next second", SOON, || if jiff::Timestamp::now().as_second() > second { Ok(()) } else { Err(String::new()) });
}

pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_demarc"))
}

impl World {
    pub fn start() -> Self {
        Self::started(&[])
    }

    /// With further arguments. What it traces is received, so that it can be searched for names of people.
    pub fn started(further: &[&str]) -> Self {
        Self::on(ControlPlane::start(), further)
    }

    pub fn on(mut plane: ControlPlane, further: &[&str]) -> Self {
        plane.receiver = Some(Receiver::start(Mood::Well));
        let demarc = Some(plane.demarc_with(binary(), "one", &plane.kubeconfig(), further));
        Self { demarc, plane }
    }

    pub fn apply(&self, namespace: &str, object: &Value) -> Said {
        self.plane.kubectl(&["apply", "-n", namespace, "-f", "-"], Some(&object.to_string()))
    }

    /// A namespace with an Ownership of this spec, which the API server asks about if its mode says so.
    pub fn declare(&self, namespace: &str, spec: &Value) {
        let made = self.plane.kubectl(&["create", "namespace", namespace], None);
        assert!(made.ok || made.err.contains("AlreadyExists"), "{made:?}");
        self.redeclare(namespace, spec);
        eventually("the service account", SOON, || self.plane.kubectl(&["get", "serviceaccount", "default", "-n", namespace], None).result());
    }

    pub fn redeclare(&self, namespace: &str, spec: &Value) {
        self.plane.kubectl(&["delete", "ownership", "default", "-n", namespace, "--ignore-not-found"], None);
        let mut spec = spec.clone();
        spec["serviceModel"] = json!("PaaS");
        spec["parties"] = json!({"customer": "acme", "provider": "azure"});
        let ownership = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default"}, "spec": spec});
        self.apply(namespace, &ownership).result().unwrap();
        let wanted = if spec["mode"] == "Audit" { "False" } else { "True" };
        let condition = format!("--for=condition=Enforcing={wanted}");
        // After an outage of the API server the watches come back one after the other.
        self.plane.kubectl(&["wait", "ownership/default", "-n", namespace, &condition, "--timeout=60s"], None).result().unwrap();
    }

    pub fn accepts(&self, namespace: &str, object: &Value) {
        let said = self.apply(namespace, object);
        assert!(said.ok, "should be accepted: {object}\n{said:?}");
    }

    pub fn rejects(&self, namespace: &str, object: &Value, because: &str) {
        let said = self.apply(namespace, object);
        rejected(&said, because);
    }

    /// A moment after what decides has changed: the API server hears of another configuration or label, and Demarc of another declaration, by watches.
    /// Nothing is stored by the waiting.
    fn by_now(&self, namespace: &str, object: &Value, refused: Option<&str>) {
        eventually("it is decided by what holds now", SOON, || {
            let said = self.plane.kubectl(&["apply", "-n", namespace, "--dry-run=server", "-f", "-"], Some(&object.to_string()));
            if refused.map_or(said.ok, |because| !said.ok && said.err.contains(because)) { Ok(()) } else { Err(format!("{said:?}")) }
        });
    }

    pub fn accepts_by_now(&self, namespace: &str, object: &Value) {
        self.by_now(namespace, object, None);
        self.accepts(namespace, object);
    }

    pub fn rejects_by_now(&self, namespace: &str, object: &Value, because: &str) {
        self.by_now(namespace, object, Some(because));
        self.rejects(namespace, object, because);
    }

    /// What Demarc has written into objects: statuses and labels. Leases are renewed for ever, and an Event waits for its minute.
    fn written(&self) -> Vec<String> {
        let by_demarc = |e: &Value| !["kubectl", "kube-"].iter().any(|other| e["userAgent"].as_str().unwrap_or_default().starts_with(other));
        let uri = |e: &Value| e["requestURI"].as_str().unwrap_or_default().to_owned();
        let counts = |e: &Value| !["leases", "events"].contains(&e["objectRef"]["resource"].as_str().unwrap_or_default()) && !uri(e).contains("dryRun=All");
        self.plane.audit().iter().filter(|e| by_demarc(e) && counts(e)).map(|e| format!("{} {} {}", e["stageTimestamp"], e["verb"], uri(e))).collect()
    }

    /// A steady state: nothing is written of any object (P7).
    pub fn writes_nothing(&self) {
        // What Kubernetes' own controllers made last is still to be told.
        let mut before = self.written();
        eventually("it has settled", SOON, || {
            std::thread::sleep(Duration::from_secs(2));
            let now = self.written();
            if std::mem::replace(&mut before, now.clone()) == now { Ok(()) } else { Err(format!("{:?}", now.last())) }
        });
        assert!(before.iter().any(|w| w.contains("/status")), "the audit log tells what is written: {before:?}");
        std::thread::sleep(Duration::from_secs(4));
        let after = self.written();
        assert_eq!(after[before.len()..], [""; 0], "after {before:#?}");
    }

    pub fn field(&self, namespace: &str, object: &str, path: &str) -> String {
        self.plane.kubectl(&["get", object, "-n", namespace, "-o", &format!("jsonpath={{{path}}}")], None).result().unwrap_or_default()
    }
}

pub fn rejected(said: &Said, because: &str) {
    assert!(!said.ok && said.err.contains("denied the request") && said.err.contains(because), "should be rejected because of {because}: {said:?}");
}

pub fn spec(image: &str, privileged: bool) -> Value {
    json!({"containers": [{"name": "web", "image": image, "securityContext": {"privileged": privileged}}], "terminationGracePeriodSeconds": 0})
}

#[allow(clippy::needless_pass_by_value)] // Reads better where it is called.
pub fn named(kind: &str, api: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "annotations": {"a8r.io/owner": "shop"}}, "spec": spec})
}

pub fn workload(kind: &str, name: &str, pod: &Value) -> Value {
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

/// Controls of a declaration that asks for these alone.
pub fn only(asked: &[&str]) -> Value {
    CATALOG.iter().filter(|c| !asked.contains(&c.id)).map(|c| json!({"control": c.id, "enforcement": "Off"})).collect()
}

/// A class whose volumes are not encrypted, as its driver's parameter shows.
pub fn class(name: &str) -> Value {
    json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, "provisioner": "driver.longhorn.io"})
}

pub fn claim(name: &str, class: &str) -> Value {
    named("PersistentVolumeClaim", "v1", name, json!({"accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": "1Gi"}}}))
}

/// No completed write left an object whose name says that it violates something.
pub fn nothing_slipped_in(world: &World) {
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
