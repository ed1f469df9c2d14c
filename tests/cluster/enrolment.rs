//! The declaration and the label that follows from it: who may write what, and what happens to a declaration that cannot be read.
//! The webhook's blast radius is the enrolment label, so it is guarded in the API server itself.

use serde_json::{Value, json};

use crate::{
    support::eventually,
    world::{SOON, World},
};

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
