//! An Ownership that is deleted is told, whoever deleted it and whatever holds afterwards; nobody is refused, and a namespace that goes takes its own along unsaid.
//! The Event, the count and the log line are what an operator has once the object is gone.

use serde_json::{Value, json};

use crate::{
    support::eventually,
    world::{SOON, World, only, spec, workload},
};

const RIGHTS: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: declares}, rules: [{apiGroups: [demarc.dev], resources: [ownerships], verbs: ['*']}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: declares}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: declares}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: teams}]}
";

/// Events of deleted Ownerships: about what, and the words.
fn told(world: &World, namespace: &str) -> Vec<String> {
    let path = "jsonpath={range .items[*]}{.reason} {.involvedObject.kind}/{.involvedObject.name} {.message}{\"\\n\"}{end}";
    let events = world.plane.kubectl(&["get", "events", "-n", namespace, "-o", path], None).result().unwrap_or_default();
    events.lines().filter_map(|line| line.strip_prefix("OwnershipDeleted ").map(str::to_owned)).collect()
}

fn metric(world: &World, name: &str) -> Result<u64, String> {
    let metrics = world.demarc.as_ref().unwrap().get("/metrics");
    metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).and_then(|n| n.parse().ok()).ok_or(metrics)
}

fn counted(world: &World) -> u64 {
    metric(world, "demarc_ownerships_deleted_total").unwrap()
}

/// Gives the Lease to this holder, and waits until Demarc leads, or does not.
fn lease(world: &World, holder: &str, leads: bool) {
    let patch = json!({"spec": {"holderIdentity": holder}}).to_string();
    world.plane.kubectl(&["patch", "lease", "demarc", "-n", "kube-system", "--type=merge", "-p", &patch], None).result().unwrap();
    eventually("the Lease", SOON, || if metric(world, "demarc_lease_held")? == u64::from(leads) { Ok(()) } else { Err(world.field("kube-system", "lease/demarc", ".spec")) });
}

#[test]
fn who_deletes_an_ownership_is_not_refused_and_not_unheard() {
    let world = World::start();
    world.plane.kubectl(&["apply", "-f", "-"], Some(RIGHTS)).result().unwrap();
    let gold = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Baseline", "metadata": {"name": "gold"},
        "spec": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "vault"}}, "undeclared": "Warn"}});
    world.accepts("default", &gold);
    let spec = json!({"controls": only(&["pod-security-standard"])});
    for namespace in ["shop", "vault", "brief", "busy"] {
        world.declare(namespace, &spec);
    }
    let delete = |namespace: &str| world.plane.kubectl_as("bob", &["delete", "ownership", "default", "-n", namespace], None).result();
    let says = |namespace: &str, wanted: &str| {
        eventually(wanted, SOON, || match told(&world, namespace).as_slice() {
            [one] if one == wanted => Ok(()),
            other => Err(format!("{other:?}\n{}", world.demarc.as_ref().unwrap().log())),
        });
    };
    let before = counted(&world);
    eventually("bob's rights", SOON, || delete("shop"));
    says("shop", "Ownership/default the Ownership was deleted; no Baseline holds here, so nothing is asked any more");
    assert_eq!(counted(&world), before + 1);
    delete("vault").unwrap();
    says("vault", "Ownership/default the Ownership was deleted; what holds here now is asked by gold");
    says("default", "Baseline/gold the Ownership of namespace vault was deleted; what holds here now is asked by gold");
    let undeclared = || world.field("default", "baseline/gold", ".status.undeclared");
    eventually("its count", SOON, || if undeclared() == "1" { Ok(()) } else { Err(undeclared()) });
    // One that is made anew at once could ask for anything: that it is another one is told as well.
    let another: Value =
        json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default", "namespace": "busy"}, "spec": {"serviceModel": "SaaS", "mode": "Audit"}});
    // Nobody leads, so it is told only when the other is there.
    lease(&world, "another", false);
    world.plane.kubectl_as("bob", &["replace", "--force", "-f", "-"], Some(&another.to_string())).result().unwrap();
    lease(&world, "", true);
    says("busy", "Ownership/default the Ownership was deleted; another was made since");
    // With its namespace it goes unsaid.
    world.plane.kubectl(&["delete", "namespace", "brief"], None).result().unwrap();
    delete("busy").unwrap();
    eventually("the last is told", SOON, || if told(&world, "busy").len() == 2 { Ok(()) } else { Err(format!("{:?}", told(&world, "busy"))) });
    assert_eq!((counted(&world), told(&world, "default").len()), (before + 4, 1));
    let log = world.demarc.as_ref().unwrap().log();
    assert_eq!(log.lines().filter(|l| l.contains("an ownership was deleted")).count(), 4, "{log}");
    assert!(!log.contains("\"bob\""), "nobody is named: {log}");
}

/// Something of a workload's author keeps the namespace Terminating, and what guarded it goes first.
#[test]
fn a_namespace_that_goes_is_held_up_by_nobody_and_nothing_is_made_anew_in_it() {
    let world = World::start();
    let gold = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Baseline", "metadata": {"name": "gold"},
        "spec": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "leaving"}}, "undeclared": "Deny"}});
    world.accepts("default", &gold);
    world.declare("leaving", &json!({"controls": only(&["pod-security-standard"])}));
    let keeper = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "keeper", "finalizers": ["example.com/keeper"]}});
    world.accepts("leaving", &keeper);
    world.plane.kubectl(&["delete", "namespace", "leaving", "--wait=false"], None).result().unwrap();
    let get = |what: &str| world.plane.kubectl(&["get", what, "-n", "leaving", "-o", "name"], None).result().unwrap_or_default();
    eventually("its Ownership is gone", SOON, || if get("ownerships").is_empty() { Ok(()) } else { Err(get("ownerships")) });
    // The API server itself takes nothing new, whatever of Demarc's is left there.
    let said = world.apply("leaving", &workload("Pod", "violator", &spec("nginx", true)));
    assert!(!said.ok && said.err.contains("because it is being terminated"), "{said:?}");
    // Demarc looks at it again, and makes nothing.
    world.plane.kubectl(&["label", "namespace", "leaving", "looked=at"], None).result().unwrap();
    world.declare("beside", &json!({"mode": "Audit"}));
    assert_eq!((get("ownerships"), get("pods")), (String::new(), String::new()));
    // What is kept there may change on, and its finalizer go.
    world.plane.kubectl(&["patch", "configmap", "keeper", "-n", "leaving", "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#], None).result().unwrap();
    eventually("the namespace is gone", SOON, || if world.plane.kubectl(&["get", "namespace", "leaving"], None).ok { Err("not yet".to_owned()) } else { Ok(()) });
    eventually("the Baseline counts it no more", SOON, || match world.field("default", "baseline/gold", ".status.declared} {.status.undeclared").as_str() {
        "0 0" => Ok(()),
        now => Err(now.to_owned()),
    });
    let metrics = world.demarc.as_ref().unwrap().get("/metrics");
    assert!(!metrics.contains("leaving"), "nothing is counted of what is gone");
}

/// Where the namespace's controller takes Pods first, somebody else may still take what guards them; where it does not, it does so itself.
#[test]
fn while_a_namespace_goes_what_is_left_unguarded_is_told_by_its_ownership_and_then_by_its_baseline() {
    let world = World::start();
    let asked = only(&["network-policy-present"]);
    let gold = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Baseline", "metadata": {"name": "gold"},
        "spec": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "going"}}, "undeclared": "Warn", "controls": asked}});
    world.accepts("default", &gold);
    world.declare("going", &json!({"controls": asked}));
    let policy =
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "closed"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}});
    world.accepts("going", &policy);
    let mut pod = workload("Pod", "kept", &spec("nginx", false));
    pod["metadata"]["finalizers"] = json!(["example.com/keeper"]);
    world.accepts("going", &pod);
    let finalizers = |object: &str, value: &Value| {
        let patch = json!({"metadata": {"finalizers": value}}).to_string();
        world.plane.kubectl(&["patch", object, "-n", "going", "--type=merge", "-p", &patch], None).result().unwrap();
    };
    finalizers("ownership/default", &json!(["example.com/keeper"]));
    let verdict = |wanted: &str| {
        eventually(wanted, SOON, || match world.field("going", "ownership/default", ".status.matrix[?(@.control==\"network-policy-present\")].verdict") {
            now if now == wanted => Ok(()),
            now => Err(format!("{now}: {}", world.field("going", "ownership/default", ".status.findings"))),
        });
    };
    let drifting = |wanted: &str| {
        eventually("the Baseline's count", SOON, || match world.field("default", "baseline/gold", ".status.undeclared} {.status.drifting") {
            now if now == wanted => Ok(()),
            now => Err(now),
        });
    };
    verdict("Satisfied");
    drifting("0 0");
    let delete = |what: &[&str]| world.plane.kubectl(&[&["delete", "-n", "going", "--wait=false", "--ignore-not-found"], what].concat(), None).result().unwrap();
    world.plane.kubectl(&["delete", "namespace", "going", "--wait=false"], None).result().unwrap();
    delete(&["networkpolicy", "closed"]);
    verdict("Violated");
    assert_eq!(world.field("going", "ownership/default", ".status.findings[*].object"), "pod/kept");
    drifting("0 1");
    // The Ownership goes before the Pod, too: the Baseline goes on telling.
    delete(&["ownership", "default"]);
    finalizers("ownership/default", &Value::Null);
    drifting("1 1");
    finalizers("pod/kept", &Value::Null);
    eventually("the namespace is gone", SOON, || if world.plane.kubectl(&["get", "namespace", "going"], None).ok { Err("not yet".to_owned()) } else { Ok(()) });
    drifting("0 0");
}
