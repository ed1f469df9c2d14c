//! How far Demarc reaches: namespaces that the cluster depends on are never enrolled, and its own ServiceAccount is confined.
//! Enforcement that somebody turned off is told, and not fought over.

use serde_json::{Value, json};

use crate::{
    access::{RIGHTS, token},
    support::{ControlPlane, eventually},
    world::{SOON, World, binary, spec, workload},
};

fn declare(world: &World, namespace: &str) {
    let ownership = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default"}, "spec": {"serviceModel": "PaaS"}});
    world.accepts(namespace, &ownership);
}

fn says(world: &World, namespace: &str, expected: &str) {
    eventually(expected, SOON, || match world.field(namespace, "ownership/default", ".status.conditions[?(@.type==\"Enforcing\")]") {
        said if said.contains(expected) => Ok(()),
        said => Err(said),
    });
}

#[test]
fn what_the_cluster_depends_on_is_not_enrolled_and_enforcement_that_was_turned_off_is_told() {
    let world = World::start();
    let serves = |name: &str, namespace: &str| {
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": name}, "webhooks": [{
            "name": "certs.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore",
            "clientConfig": {"service": {"namespace": namespace, "name": "certs"}}, "rules": []}]})
    };
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "gitops"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "argocd-application-controller", "namespace": "gitops"}]});
    for namespace in ["certs", "gitops", "network", "shop"] {
        world.plane.kubectl(&["create", "namespace", namespace], None).result().unwrap();
    }
    let mut agent = spec("ghcr.io/acme/agent:1", false);
    agent["hostNetwork"] = json!(true);
    world.accepts("network", &workload("DaemonSet", "agent", &agent));
    world.accepts("certs", &serves("certs", "certs"));
    world.accepts("gitops", &binding);
    for (namespace, because) in [
        ("certs", "it serves webhook certs"),
        ("gitops", "the GitOps controller runs in it"),
        ("network", "nodes depend on its daemonset/agent"),
        ("kube-system", "the cluster's own"),
    ] {
        declare(&world, namespace);
        says(&world, namespace, "CriticalNamespace");
        says(&world, namespace, because);
        assert_eq!(world.field(namespace, &format!("namespace/{namespace}"), ".metadata.labels.demarc\\.dev/admission"), "", "{namespace}");
    }
    // What an administrator installs takes a namespace out; what a workload's author makes does not.
    declare(&world, "shop");
    says(&world, "shop", "Proven");
    world.accepts("shop", &serves("shop", "shop"));
    says(&world, "shop", "it serves webhook shop");
    world.plane.kubectl(&["delete", "validatingwebhookconfiguration", "shop"], None).result().unwrap();
    says(&world, "shop", "Proven");
    let critical: Value = json!({"priorityClassName": "system-cluster-critical"});
    let mut agent = spec("ghcr.io/acme/agent:1", false);
    agent.as_object_mut().unwrap().extend(critical.as_object().unwrap().clone());
    world.accepts("shop", &workload("DaemonSet", "agent", &agent));
    world.rejects("shop", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");
    says(&world, "shop", "Proven");

    // Enforcement that was turned off is told, and not fought (P15).
    let configuration = world.plane.kubectl(&["get", "validatingwebhookconfiguration", "demarc", "-o", "json"], None).result().unwrap();
    world.plane.kubectl(&["delete", "validatingwebhookconfiguration", "demarc"], None).result().unwrap();
    says(&world, "shop", "WebhookMissing");
    let mut configuration: Value = serde_json::from_str(&configuration).unwrap();
    for field in ["resourceVersion", "uid", "creationTimestamp", "generation", "managedFields"] {
        configuration["metadata"].as_object_mut().unwrap().remove(field);
    }
    configuration["webhooks"][0]["failurePolicy"] = json!("Ignore");
    world.accepts("shop", &configuration);
    says(&world, "shop", "FailurePolicyChanged");
    configuration["webhooks"][0]["failurePolicy"] = json!("Fail");
    world.accepts("shop", &configuration);
    says(&world, "shop", "Proven");
}

#[test]
fn the_controllers_own_account_does_no_more_than_it_needs_whatever_rbac_says() {
    let plane = ControlPlane::start();
    plane.kubectl(&["apply", "-f", "-"], Some(RIGHTS)).result().unwrap();
    let token = token(&plane, "demarc");
    let demarc = plane.demarc_as(binary(), "one", &plane.kubeconfig_of("one", &token));
    let world = World { demarc: Some(demarc), plane };
    world.declare("shop", &json!({}));
    world.plane.kubectl(&["create", "clusterrolebinding", "too-much", "--clusterrole=cluster-admin", "--serviceaccount=demarc-system:demarc"], None).result().unwrap();
    let stolen = |args: &[&str], stdin: Option<&str>| world.plane.kubectl(&[&["--token", &token], args].concat(), stdin);
    world.plane.kubectl(&["label", "namespace", "shop", "team=shop"], None).result().unwrap();
    let template = workload("PodTemplate", "proof", &spec("nginx", false)).to_string();
    eventually("the right and the policy", SOON, || match stolen(&["label", "namespace", "default", "stolen=yes", "--dry-run=server"], None) {
        said if said.err.contains("changes nothing but its own label") => Ok(()),
        said => Err(format!("{said:?}")),
    });
    let label = "pod-security.kubernetes.io/enforce=privileged";
    for (args, stdin, because) in [
        (&["label", "namespace", "shop", label][..], None, "its own label"),
        (&["label", "namespace", "shop", "team-"][..], None, "its own label"),
        (&["annotate", "namespace", "shop", "x=y"][..], None, "its own label"),
        (&["create", "namespace", "made"][..], None, "its own label"),
        (&["patch", "namespace", "shop", "--type=merge", "-p", r#"{"metadata":{"finalizers":["demarc.dev/stuck"]}}"#][..], None, "its own label"),
        (&["create", "-n", "default", "-f", "-"][..], Some(template.as_str()), "by dry run only"),
    ] {
        let said = stolen(args, stdin);
        assert!(!said.ok && said.err.contains(because), "{args:?}: {said:?}");
    }
    // What it needs it may.
    stolen(&["label", "namespace", "default", "demarc.dev/admission=enabled", "--dry-run=server"], None).result().unwrap();
    stolen(&["create", "-n", "default", "--dry-run=server", "-f", "-"], Some(&template)).result().unwrap();
    // Others are not concerned.
    world.plane.kubectl(&["label", "namespace", "shop", label], None).result().unwrap();
    world.plane.kubectl(&["create", "-n", "default", "-f", "-"], Some(&template)).result().unwrap();
}
