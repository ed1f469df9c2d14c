//! P16 on real pods: enforcement is switched on over a namespace full of violators, and whatever happens to what ran there, it comes back.
//! P9 beside it: the replica that leads is killed, and another one leads.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    cluster::{POD_IMAGE, SOON, apply, kubectl, namespace, pod},
    installed::{NAMESPACE, available, declare, denied, deployment, install, inventory, uninstall},
    support::eventually,
};

/// The version in which the API server has policies that change objects; older ones have none.
fn mutating() -> Option<String> {
    let served = kubectl(&["api-resources", "--api-group=admissionregistration.k8s.io", "--no-headers"]).result().unwrap();
    served
        .lines()
        .find(|l| l.starts_with("mutatingadmissionpolicies "))
        .and_then(|l| l.split_whitespace().find(|w| w.starts_with("admissionregistration.k8s.io/")))
        .map(str::to_owned)
}

/// As a mesh does it: every pod of `before` gets a container more, and this one violates something that its Deployment does not.
fn inject(version: &str) {
    let container = format!(
        "Object{{spec: Object.spec{{containers: [Object.spec.containers{{name: 'injected', image: '{POD_IMAGE}', imagePullPolicy: 'Never', \
         securityContext: Object.spec.containers.securityContext{{privileged: true}}}}]}}}}"
    );
    let policy = json!({"apiVersion": version, "kind": "MutatingAdmissionPolicy", "metadata": {"name": "inject"}, "spec": {
        "failurePolicy": "Fail", "reinvocationPolicy": "Never",
        "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]},
        "matchConditions": [{"name": "before", "expression": "object.metadata.?labels['app'].orValue('') == 'before'"}],
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": container}}]}});
    let binding = json!({"apiVersion": version, "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": "inject"}, "spec": {"policyName": "inject"}});
    for object in [policy, binding] {
        apply("default", &object).result().unwrap();
    }
}

fn containers() -> String {
    kubectl(&["get", "pods", "-n", "shop", "-l", "app=before", "--field-selector=status.phase=Running", "-o", "jsonpath={.items[*].spec.containers[*].name}"]).result().unwrap()
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn what_ran_before_comes_back_whatever_happens_and_another_replica_leads() {
    let before = inventory();
    namespace("shop");
    apply("shop", &deployment("before", true)).result().unwrap();
    available("before");
    namespace(NAMESPACE);
    install(&[]);
    declare("shop");
    denied();

    let injected = mutating();
    if let Some(version) = &injected {
        inject(version);
        // A policy takes a moment to act.
        eventually("a container is injected", SOON, || {
            kubectl(&["delete", "pods", "-n", "shop", "-l", "app=before", "--wait=false"]).result()?;
            available("before");
            if containers().contains("injected") { Ok(()) } else { Err(containers()) }
        });
    }
    println!("injection by {}", injected.as_deref().unwrap_or("nobody: this cluster has no such policies"));
    kubectl(&["scale", "-n", "shop", "deployment/before", "--replicas=3"]).result().unwrap();
    available("before");
    kubectl(&["rollout", "restart", "-n", "shop", "deployment/before"]).result().unwrap();
    available("before");
    let node = kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]).result().unwrap();
    kubectl(&["drain", &node, "--pod-selector=app=before", "--ignore-daemonsets", "--force", "--timeout=60s"]).result().unwrap();
    kubectl(&["uncordon", &node]).result().unwrap();
    available("before");
    assert_eq!(injected.is_some(), containers().contains("injected"), "{}", containers());
    // What is new has no such grace.
    denied();
    apply("shop", &pod("good", &[], false)).result().unwrap();

    let holder = || kubectl(&["get", "lease", "demarc", "-n", NAMESPACE, "-o", "jsonpath={.spec.holderIdentity}"]).result().unwrap();
    let first = holder();
    let killed = Instant::now();
    // The pod's name, and which of its processes.
    let (leader, _) = first.rsplit_once('-').unwrap();
    kubectl(&["delete", "pod", "-n", NAMESPACE, leader, "--grace-period=0", "--force"]).result().unwrap();
    eventually("another one leads", Duration::from_secs(60), || if holder() == first { Err(first.clone()) } else { Ok(()) });
    println!("another replica leads after {:.1} s", killed.elapsed().as_secs_f64());

    if injected.is_some() {
        kubectl(&["delete", "mutatingadmissionpolicybinding,mutatingadmissionpolicy", "inject"]).result().unwrap();
    }
    uninstall(&before);
}
