//! The floor: what an Ownership under a Baseline may say, and what holds where there is none.

use serde_json::{Value, json};

use crate::{
    support::{Said, eventually},
    world::{SOON, World, only, rejected, spec, workload},
};

fn baseline(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Baseline", "metadata": {"name": name}, "spec": spec})
}

fn apply(world: &World, object: &Value) -> Said {
    world.plane.kubectl(&["apply", "-f", "-"], Some(&object.to_string()))
}

fn namespace(world: &World, name: &str, tier: &str) {
    apply(world, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"tier": tier}}})).result().unwrap();
}

fn enrolled(world: &World, name: &str, wanted: &str) {
    eventually(&format!("{name} is enrolled: {wanted:?}"), SOON, || match world.field(name, &format!("namespace/{name}"), ".metadata.labels.demarc\\.dev/admission").as_str() {
        now if now == wanted => Ok(()),
        now => Err(format!("{now:?}: {}", world.demarc.as_ref().unwrap().log())),
    });
}

#[test]
fn an_ownership_tightens_its_baselines_and_never_weakens_them_and_without_one_they_hold() {
    let world = World::start();
    // Stored before there was a floor.
    world.declare("older", &json!({"mode": "Audit", "controls": only(&["pod-security-standard"])}));
    world.plane.kubectl(&["label", "namespace", "older", "tier=gold"], None).result().unwrap();
    let selector = json!({"matchLabels": {"tier": "gold"}});
    let mut controls = only(&["pod-security-standard"]);
    controls.as_array_mut().unwrap().push(json!({"control": "pod-security-standard", "enforcement": "Deny"}));
    let gold = baseline("gold", &json!({"namespaceSelector": selector, "undeclared": "Deny", "controls": controls, "parties": {"customer": "acme"}, "waivers": {"maxDays": 10}}));
    apply(&world, &gold).result().unwrap();

    // The floor holds over what was stored, which is told.
    enrolled(&world, "older", "enabled");
    world.rejects("older", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");
    let condition = |path: &str| world.field("older", "ownership/default", &format!(".status.conditions[?(@.type==\"BelowBaseline\")].{path}"));
    eventually("the condition", SOON, || if condition("status") == "True" { Ok(()) } else { Err(world.field("older", "ownership/default", ".status")) });
    assert!(condition("message").contains("pod-security-standard: mode Audit, and the floor is enforcement Deny (baseline gold)"), "{}", condition("message"));
    // It may be changed elsewhere, and not in the same direction.
    let patch = |patch: Value| world.plane.kubectl(&["patch", "ownership", "default", "-n", "older", "--type=merge", "-p", &patch.to_string()], None);
    patch(json!({"spec": {"defaultOwner": "team"}})).result().unwrap();
    rejected(&patch(json!({"spec": {"mode": "Enforce", "controls": [{"control": "pod-security-standard", "enforcement": "Warn"}]}})), "the floor is enforcement Deny");
    rejected(&patch(json!({"spec": {"mode": "Enforce", "controls": [{"control": "pod-security-standard", "owner": "Provider"}]}})), "owner Provider, and the floor is owner");
    patch(json!({"spec": {"mode": "Enforce", "controls": [{"control": "pod-security-standard", "enforcement": "Deny"}]}})).result().unwrap();
    eventually("it is mended", SOON, || if condition("status").is_empty() { Ok(()) } else { Err(condition("message")) });

    // Nothing declared: the Baseline's own matrix.
    namespace(&world, "bare", "gold");
    enrolled(&world, "bare", "enabled");
    eventually("the service account", SOON, || world.plane.kubectl(&["get", "serviceaccount", "default", "-n", "bare"], None).result());
    world.rejects("bare", &workload("Pod", "violator", &spec("nginx", true)), "lacks 1 control that acme (customer) owes");
    world.rejects("bare", &workload("Pod", "violator", &spec("nginx", true)), "(baseline gold)");
    world.accepts("bare", &workload("Pod", "good", &spec("nginx", false)));
    // What a Waiver may last is the Baseline's to say.
    let expires = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 20)).strftime("%FT%TZ").to_string();
    let waiver = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Waiver", "metadata": {"name": "long", "namespace": "bare"},
        "spec": {"control": "pod-security-standard", "target": {"kind": "Pod", "name": "a"}, "reason": "a", "requestedBy": "admin", "expires": expires}});
    rejected(&apply(&world, &waiver), "ends at most 10 days after it was made");
    // An Ownership that goes leaves the floor.
    world.plane.kubectl(&["delete", "ownership", "default", "-n", "older"], None).result().unwrap();
    world.rejects("older", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");

    // Warn warns, and several are as strict as the strictest.
    namespace(&world, "other", "silver");
    let silver = baseline("silver", &json!({"namespaceSelector": {"matchLabels": {"tier": "silver"}}, "undeclared": "Warn", "controls": controls}));
    apply(&world, &silver).result().unwrap();
    enrolled(&world, "other", "enabled");
    eventually("the service account", SOON, || world.plane.kubectl(&["get", "serviceaccount", "default", "-n", "other"], None).result());
    let said = world.apply("other", &workload("Pod", "warned", &spec("nginx", true)));
    assert!(said.ok && said.err.contains("pod-security-standard"), "{said:?}");
    let mut wider = gold.clone();
    wider["spec"]["namespaceSelector"] = json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]});
    apply(&world, &wider).result().unwrap();
    eventually("gold as well", SOON, || {
        let said = world.plane.kubectl(&["apply", "--dry-run=server", "-n", "other", "-f", "-"], Some(&workload("Pod", "violator", &spec("nginx", true)).to_string()));
        if said.ok { Err(format!("{said:?}")) } else { Ok(()) }
    });
    world.plane.kubectl(&["delete", "baseline", "gold", "silver"], None).result().unwrap();
    for name in ["older", "bare", "other"] {
        enrolled(&world, name, "");
    }
}
