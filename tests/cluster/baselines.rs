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

/// Namespaces and a violating workload in each, as close together as one kubectl sends them.
fn rush(world: &World, name: &str, n: usize) -> Said {
    let items: Vec<Value> = (0..n)
        .flat_map(|i| {
            let namespace = format!("{name}-{i}");
            let mut violator = workload("Deployment", "violator", &spec("nginx", true));
            violator["metadata"]["namespace"] = json!(namespace);
            [json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {"tier": "gold"}}}), violator]
        })
        .collect();
    world.plane.kubectl(&["create", "-f", "-"], Some(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()))
}

#[test]
fn nothing_slips_into_a_namespace_before_it_is_enrolled_and_the_gate_goes_with_its_baseline() {
    let mut world = World::start();
    let mut controls = only(&["pod-security-standard"]);
    controls.as_array_mut().unwrap().push(json!({"control": "pod-security-standard", "enforcement": "Deny"}));
    let mut gold = baseline("gold", &json!({"namespaceSelector": {"matchLabels": {"tier": "gold"}}, "undeclared": "Deny", "controls": controls}));
    // A namespace that the cluster depends on is selected as well, and does not wait for ever.
    namespace(&world, "hooks", "gold");
    let hook = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "somebodys"}, "webhooks": [{
        "name": "a.somebody.example", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Ignore", "clientConfig": {"service": {"namespace": "hooks", "name": "a"}}}]});
    apply(&world, &hook).result().unwrap();
    apply(&world, &gold).result().unwrap();
    eventually("the gate", SOON, || if world_gate(&world).contains("demarc-gate-gold") { Ok(()) } else { Err(world.demarc.as_ref().unwrap().log()) });
    // The API server takes a binding up some moments after it is stored.
    eventually("the gate holds", SOON, || {
        let said = rush(&world, &format!("try{}", jiff::Timestamp::now().as_millisecond()), 1);
        if said.err.contains("not enrolled this namespace yet") { Ok(()) } else { Err(format!("{said:?}")) }
    });
    let said = rush(&world, "rush", 100);
    assert_eq!(said.out.lines().filter(|l| l.contains("namespace/rush")).count(), 100, "{}", said.err);
    assert!(violators_of(&world).is_empty(), "{:?}", violators_of(&world));
    enrolled(&world, "rush-99", "enabled");
    world.accepts("hooks", &workload("Deployment", "free", &spec("nginx", true)));
    eventually("the counts", SOON, || {
        let counts = world.field("default", "baseline/gold", ".status['declared','undeclared','drifting']");
        let undeclared = counts.split(' ').nth(1).and_then(|n| n.parse::<i32>().ok()).unwrap_or_default();
        if counts.starts_with("0 ") && undeclared > 100 && counts.ends_with(" 1") { Ok(()) } else { Err(counts) }
    });

    // It holds while nobody is there to enrol.
    world.demarc.take().unwrap().kill();
    rush(&world, "rush-down", 20);
    assert!(violators_of(&world).is_empty(), "{:?}", violators_of(&world));
    let said = world.apply("rush-down-0", &workload("Deployment", "violator", &spec("nginx", false)));
    assert!(said.err.contains("not enrolled this namespace yet"), "{said:?}");
    world.demarc = Some(world.plane.demarc(crate::world::binary(), "two"));
    enrolled(&world, "rush-down-19", "enabled");
    world.accepts("rush-down-0", &workload("Deployment", "good", &spec("nginx", false)));

    // Less strict, and no gate.
    gold["spec"]["undeclared"] = json!("Warn");
    apply(&world, &gold).result().unwrap();
    eventually("no gate", SOON, || if world_gate(&world).contains("demarc-gate-") { Err(world_gate(&world)) } else { Ok(()) });
    gold["spec"]["undeclared"] = json!("Deny");
    apply(&world, &gold).result().unwrap();
    eventually("a gate", SOON, || if world_gate(&world).contains("demarc-gate-gold") { Ok(()) } else { Err(world_gate(&world)) });
    world.plane.kubectl(&["delete", "validatingadmissionpolicybinding", "demarc-gate-gold"], None).result().unwrap();
    eventually("it is put back", SOON, || if world_gate(&world).contains("demarc-gate-gold") { Ok(()) } else { Err(world_gate(&world)) });
    // Without Demarc it goes with its Baseline all the same.
    world.demarc.take().unwrap().kill();
    world.plane.kubectl(&["delete", "baseline", "gold"], None).result().unwrap();
    eventually("no gate", SOON, || if world_gate(&world).contains("demarc-gate-") { Err(world_gate(&world)) } else { Ok(()) });
}

fn world_gate(world: &World) -> String {
    world.plane.kubectl(&["get", "validatingadmissionpolicybindings", "-o", "name"], None).result().unwrap_or_default()
}

fn violators_of(world: &World) -> Vec<String> {
    let found = world.plane.kubectl(&["get", "deployments", "-A", "-o", "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{\"\\n\"}{end}"], None).result().unwrap();
    found.lines().filter(|n| n.starts_with("rush") && n.ends_with("/violator")).map(str::to_owned).collect()
}
