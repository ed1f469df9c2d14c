//! The floor: what an Ownership under a Baseline may say, and what holds where there is none.
//! Namespaces are made by the hundred where a race could leak one; what the API server holds afterwards says it.

use serde_json::{Value, json};

use crate::{
    proof,
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
    world.rejects_by_now("older", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");
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
    world.rejects_by_now("bare", &workload("Pod", "violator", &spec("nginx", true)), "lacks 1 control that acme (customer) owes");
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
    let warned = || world.plane.kubectl(&["apply", "-n", "other", "--dry-run=server", "-f", "-"], Some(&workload("Pod", "warned", &spec("nginx", true)).to_string()));
    eventually("a warning", SOON, || if warned().ok && warned().err.contains("pod-security-standard") { Ok(()) } else { Err(format!("{:?}", warned())) });
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

#[test]
fn what_is_of_the_whole_cluster_is_told_once_by_each_baseline_and_by_no_namespace() {
    let world = World::start();
    world.declare("shop", &json!({"mode": "Audit"}));
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "wide"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}]});
    apply(&world, &role).result().unwrap();
    world.plane.kubectl(&["create", "clusterrolebinding", "too-much", "--clusterrole=cluster-admin", "--group=devs"], None).result().unwrap();
    let mut floor = baseline("floor", &json!({"namespaceSelector": {"matchLabels": {"tier": "gold"}}, "parties": {"customer": "acme"}}));
    apply(&world, &floor).result().unwrap();
    let said = || world.field("default", "baseline/floor", "range .status.findings[*]}{.control} {.object} {.verdict}{\"\\n\"}{end");
    let (admin, wide) = ("rbac-cluster-admin-restricted clusterrolebinding/too-much Violated", "rbac-least-privilege clusterrole/wide Violated");
    eventually("the findings", SOON, || if said().contains(admin) && said().contains(wide) { Ok(()) } else { Err(said()) });
    let built_in: Vec<String> =
        said().lines().filter(|l| l.contains("/system:") || l.contains("clusterrolebinding/cluster-admin") || l.contains("clusterrole/admin")).map(str::to_owned).collect();
    assert!(built_in.is_empty(), "{built_in:?}");
    let condition = || world.field("default", "baseline/floor", ".status.conditions[?(@.type==\"ClusterCompliant\")].status");
    assert_eq!(condition(), "False");
    let in_namespace = world.field("shop", "ownership/default", ".status.findings[*].object");
    assert!(!in_namespace.contains("cluster"), "{in_namespace}");

    // Who may is said in the Baseline; what goes is forgotten.
    floor["spec"]["cluster"] = json!({"admins": {"allowed": ["devs"]}});
    apply(&world, &floor).result().unwrap();
    world.plane.kubectl(&["delete", "clusterrole", "wide"], None).result().unwrap();
    eventually("neither", SOON, || if said().contains(admin) || said().contains(wide) { Err(said()) } else { Ok(()) });
}

#[test]
fn an_old_node_is_told_by_the_baseline_and_the_namespaces_under_it_refer_to_that() {
    let world = World::start();
    let asked = only(&["node-version-supported", "pod-security-standard"]);
    for name in ["under", "asks"] {
        namespace(&world, name, "gold");
    }
    let own = json!({"mode": "Audit", "controls": asked, "policy": {"platform": {"minKubelet": "1.18"}}});
    world.declare("under", &json!({"mode": "Audit", "controls": asked}));
    world.declare("asks", &own);
    let floor = json!({"namespaceSelector": {"matchLabels": {"tier": "gold"}}, "controls": asked, "cluster": {"platform": {"minKubelet": "1.20"}}});
    apply(&world, &baseline("floor", &floor)).result().unwrap();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "old"}, "status": {"nodeInfo": {
        "kubeletVersion": "v1.19.1", "operatingSystem": "linux", "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
        "kubeProxyVersion": "", "machineID": "", "osImage": "", "systemUUID": ""}}});
    world.plane.kubectl(&["create", "-f", "-"], Some(&node.to_string())).result().unwrap();
    let findings = |namespace: &str, object: &str| world.field(namespace, object, "range .status.findings[*]}{.object} {.verdict} {.message}{\"\\n\"}{end");
    let says = |namespace: &str, object: &str, wanted: &str| {
        eventually(&format!("{namespace} {object}: {wanted}"), SOON, || if findings(namespace, object).contains(wanted) { Ok(()) } else { Err(findings(namespace, object)) });
    };
    says("default", "baseline/floor", "baseline/floor Violated spec.cluster.platform.minKubelet: nodes run a kubelet older than 1.20: old");
    // Whoever declares the same is held to that as well, by their own number.
    says("asks", "ownership/default", "ownership/default Violated spec.policy.platform: nodes are too far from the API server's version");
    assert!(!findings("asks", "ownership/default").contains("minKubelet"), "{}", findings("asks", "ownership/default"));
    let row = |path: &str| world.field("under", "ownership/default", &format!(".status.matrix[?(@.control==\"node-version-supported\")].{path}"));
    let refers = |verdict: &str, by: &str| {
        let now = (row("verdict"), row("judgedBy"));
        if now.0 == verdict && now.1.contains(by) && now.1.is_empty() == by.is_empty() { Ok(()) } else { Err(format!("{now:?}")) }
    };
    eventually("it refers to it", SOON, || refers("Inherited", "floor"));
    let compliant = |path: &str| world.field("under", "ownership/default", &format!(".status.conditions[?(@.type==\"Compliant\")].{path}"));
    assert_eq!((compliant("status").as_str(), world.field("under", "ownership/default", ".status.findingsTotal").as_str()), ("True", "0"));
    assert!(compliant("message").ends_with("how the cluster stands is said by ClusterCompliant of baseline floor"), "{}", compliant("message"));

    // Without a Baseline it is judged where it is declared, and not assumed.
    world.plane.kubectl(&["delete", "baseline", "floor"], None).result().unwrap();
    eventually("it is judged here", SOON, || refers("Violated", ""));
    says("under", "ownership/default", "no policy says which kubelet is still mended");
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
    assert!(violators_of(&world, "rush").is_empty(), "{:?}", violators_of(&world, "rush"));
    enrolled(&world, "rush-99", "enabled");
    world.accepts("hooks", &workload("Deployment", "free", &spec("nginx", true)));
    // What slipped in while the gate was tried is drift, beside the one in the namespace that does not wait.
    let drifting = format!(" {}", 1 + violators_of(&world, "try").len());
    eventually("the counts", SOON, || {
        let counts = world.field("default", "baseline/gold", ".status['declared','undeclared','drifting']");
        let undeclared = counts.split(' ').nth(1).and_then(|n| n.parse::<i32>().ok()).unwrap_or_default();
        if counts.starts_with("0 ") && undeclared > 100 && counts.ends_with(&drifting) { Ok(()) } else { Err(counts) }
    });

    // It holds while nobody is there to enrol.
    world.demarc.take().unwrap().kill();
    rush(&world, "rush-down", 20);
    assert!(violators_of(&world, "rush").is_empty(), "{:?}", violators_of(&world, "rush"));
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
    // Without Demarc it goes with its Baseline all the same, which nobody deletes while Demarc is only down.
    world.demarc.take().unwrap().kill();
    let said = world.plane.kubectl(&["delete", "baseline", "gold"], None);
    assert!(!said.ok && said.err.contains("failed calling webhook \"declarations.demarc.dev\""), "{said:?}");
    world.plane.kubectl(&["delete", "validatingwebhookconfiguration", "demarc"], None).result().unwrap();
    eventually("nobody is asked", SOON, || world.plane.kubectl(&["delete", "baseline", "gold", "--dry-run=server"], None).result());
    world.plane.kubectl(&["delete", "baseline", "gold"], None).result().unwrap();
    eventually("no gate", SOON, || if world_gate(&world).contains("demarc-gate-") { Err(world_gate(&world)) } else { Ok(()) });
}

#[test]
fn a_gate_that_cannot_be_written_is_told_and_keeps_no_other_open() {
    let world = World::start();
    let gate = |tier: &str| json!({"namespaceSelector": {"matchLabels": {"tier": tier}}, "undeclared": "Deny", "controls": only(&["pod-security-standard"])});
    let said = apply(&world, &baseline("broken", &gate("not a label!")));
    assert!(!said.ok && said.err.contains("spec.namespaceSelector.matchLabels.tier"), "{said:?}");
    // As a definition of long ago took it.
    let pattern = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/namespaceSelector/properties/matchLabels/additionalProperties/pattern";
    let patch = json!([{"op": "remove", "path": pattern}]).to_string();
    world.plane.kubectl(&["patch", "crd", "baselines.demarc.dev", "--type=json", "-p", &patch], None).result().unwrap();
    eventually("it is stored", SOON, || apply(&world, &baseline("broken", &gate("not a label!"))).result());
    apply(&world, &baseline("gold", &gate("gold"))).result().unwrap();
    eventually("the other's gate", SOON, || if world_gate(&world).contains("demarc-gate-gold") { Ok(()) } else { Err(world_gate(&world)) });
    let enforcing = || world.field("default", "baseline/broken", ".status.conditions[?(@.type==\"Enforcing\")]['status','reason','message']");
    eventually("it is told", SOON, || if enforcing().starts_with("False GateMissing the gate's binding is not written") { Ok(()) } else { Err(enforcing()) });
    let log = world.demarc.as_ref().unwrap().log();
    assert_eq!(log.matches("what a baseline asks for cannot be written").count(), 1, "said once: {log}");
    // And what nobody wants any more goes all the same.
    world.plane.kubectl(&["delete", "baseline", "gold"], None).result().unwrap();
    eventually("no gate", SOON, || if world_gate(&world).contains("demarc-gate-gold") { Err(world_gate(&world)) } else { Ok(()) });
    let mended = json!({"spec": {"namespaceSelector": {"matchLabels": {"tier": "silver"}}}}).to_string();
    world.plane.kubectl(&["patch", "baseline", "broken", "--type=merge", "-p", &mended], None).result().unwrap();
    eventually("mended", SOON, || if world_gate(&world).contains("demarc-gate-broken") && !enforcing().contains("GateMissing") { Ok(()) } else { Err(enforcing()) });
}

fn world_gate(world: &World) -> String {
    world.plane.kubectl(&["get", "validatingadmissionpolicybindings", "-o", "name"], None).result().unwrap_or_default()
}

fn violators_of(world: &World, prefix: &str) -> Vec<String> {
    let found = world.plane.kubectl(&["get", "deployments", "-A", "-o", "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{\"\\n\"}{end}"], None).result().unwrap();
    found.lines().filter(|n| n.starts_with(prefix) && n.ends_with("/violator")).map(str::to_owned).collect()
}

#[test]
fn who_drops_the_label_stays_under_the_baseline_until_somebody_with_the_verb_lets_it_go() {
    const RIGHTS: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: labels}, rules: [{apiGroups: [''], resources: [namespaces], verbs: ['get', 'list', 'create', 'update', 'patch']}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: releases}, rules: [{apiGroups: [demarc.dev], resources: [baselines], resourceNames: [gold], verbs: [release]}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: labels}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: labels}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}, {apiGroup: rbac.authorization.k8s.io, kind: User, name: bob}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: releases}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: releases}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: bob}]}
";
    let world = World::start();
    world.plane.kubectl(&["apply", "-f", "-"], Some(RIGHTS)).result().unwrap();
    let mut controls = only(&["pod-security-standard"]);
    controls.as_array_mut().unwrap().push(json!({"control": "pod-security-standard", "enforcement": "Deny"}));
    for name in ["gold", "silver"] {
        let spec = json!({"namespaceSelector": {"matchLabels": {"tier": "gold"}}, "undeclared": "Deny", "controls": controls});
        apply(&world, &baseline(name, &spec)).result().unwrap();
    }
    namespace(&world, "shop", "gold");
    namespace(&world, "stays", "gold");
    world.declare("shop", &json!({"controls": only(&["pod-security-standard"])}));
    let marks = |name: &str| {
        let labels = world.field(name, &format!("namespace/{name}"), ".metadata.labels");
        ["gold", "silver"].into_iter().filter(|b| labels.contains(&format!("\"baseline.demarc.dev/{b}\":\"member"))).collect::<Vec<_>>().join(" ")
    };
    let marked = |name: &str, wanted: &str| {
        eventually(&format!("{name} is marked: {wanted}"), SOON, || {
            if marks(name) == wanted { Ok(()) } else { Err(format!("{} {}", marks(name), world.demarc.as_ref().unwrap().log())) }
        });
    };
    marked("shop", "gold silver");
    marked("stays", "gold silver");

    let label = |user: &str, name: &str, labels: &[&str]| world.plane.kubectl_as(user, &[&["label", "namespace", name, "--overwrite"], labels].concat(), None);
    let refused = |said: &Said, because: &str| assert!(!said.ok && said.err.contains(because), "should be refused because of {because:?}: {said:?}");
    let (gold, silver) = ("baseline.demarc.dev/gold-", "baseline.demarc.dev/silver-");
    eventually("alice's rights", SOON, || label("alice", "shop", &["tier-"]).result());
    label("alice", "stays", &["tier-"]).result().unwrap();

    // The floor holds, and both sides are told.
    let condition = |object: &str, path: &str| world.field("shop", object, &format!(".status.conditions[?(@.type==\"LeftBaseline\")].{path}"));
    eventually(
        "the Ownership says so",
        SOON,
        || if condition("ownership/default", "status") == "True" { Ok(()) } else { Err(world.field("shop", "ownership/default", ".status")) },
    );
    assert!(condition("ownership/default", "message").contains("gold, silver; whoever holds the verb release"), "{}", condition("ownership/default", "message"));
    eventually("the Baseline says so", SOON, || if condition("baseline/gold", "message").ends_with("shop, stays") { Ok(()) } else { Err(condition("baseline/gold", "message")) });
    for name in ["shop", "stays"] {
        world.rejects(name, &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");
    }
    let weaker = json!({"spec": {"controls": [{"control": "pod-security-standard", "enforcement": "Warn"}]}});
    rejected(&world.plane.kubectl(&["patch", "ownership", "default", "-n", "shop", "--type=merge", "-p", &weaker.to_string()], None), "the floor is enforcement Deny");

    // Nobody else writes marks: not one more, not another value, not in a new namespace, not by another way to write.
    eventually("the policy", SOON, || {
        if label("alice", "shop", &[gold]).err.contains("holds the verb release") { Ok(()) } else { Err(format!("{:?}", label("alice", "shop", &[gold]))) }
    });
    refused(&label("alice", "shop", &["baseline.demarc.dev/bronze=member"]), "set by Demarc alone");
    refused(&label("bob", "shop", &["baseline.demarc.dev/gold=other"]), "set by Demarc alone");
    let preset = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "preset", "labels": {"baseline.demarc.dev/gold": "member"}}});
    refused(&world.plane.kubectl_as("alice", &["create", "-f", "-"], Some(&preset.to_string())), "set by Demarc alone");
    let bare = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"demarc.dev/admission": "enabled"}}});
    refused(&world.plane.kubectl_as("alice", &["replace", "-f", "-"], Some(&bare.to_string())), "holds the verb release");

    // Whoever holds the verb lets go, of that Baseline and one at a time.
    refused(&label("bob", "shop", &[silver]), "holds the verb release");
    refused(&label("bob", "shop", &[gold, silver]), "one in a request");
    eventually("bob's right", SOON, || label("bob", "shop", &[gold]).result());
    eventually("silver alone", SOON, || match condition("ownership/default", "message") {
        said if said.contains("released: silver;") => Ok(()),
        said => Err(said),
    });
    assert_eq!(marks("shop"), "silver");
    // Who is selected is marked again.
    label("alice", "stays", &["tier=gold"]).result().unwrap();
    eventually("nobody has left but shop", SOON, || {
        if condition("baseline/silver", "message").ends_with("released: shop") && condition("baseline/gold", "status").is_empty() {
            Ok(())
        } else {
            Err(condition("baseline/silver", "message"))
        }
    });
    label("bob", "stays", &[gold]).result().unwrap();
    marked("stays", "gold silver");
    // The marks of a Baseline go with it, and its floor.
    world.plane.kubectl(&["delete", "baseline", "silver"], None).result().unwrap();
    marked("shop", "");
    marked("stays", "gold");
    eventually("nothing to tell", SOON, || if condition("ownership/default", "status").is_empty() { Ok(()) } else { Err(condition("ownership/default", "message")) });
    world.plane.kubectl(&["patch", "ownership", "default", "-n", "shop", "--type=merge", "-p", &weaker.to_string()], None).result().unwrap();
}

#[test]
fn a_baseline_tells_what_is_proven_of_the_namespaces_under_it_and_only_when_that_changes() {
    let mut world = proof::start();
    let selector = json!({"matchLabels": {"tier": "gold"}});
    apply(&world, &baseline("gold", &json!({"namespaceSelector": selector, "undeclared": "Warn"}))).result().unwrap();
    apply(&world, &baseline("calm", &json!({"namespaceSelector": selector}))).result().unwrap();
    let condition = |world: &World, name: &str| world.field("default", &format!("baseline/{name}"), ".status.conditions[?(@.type==\"Enforcing\")]['status','reason','message']");
    let says = |world: &World, name: &str, expected: &str| {
        eventually(expected, SOON, || match condition(world, name) {
            said if said.starts_with(expected) => Ok(()),
            said => Err(said),
        });
    };
    says(&world, "gold", "False NothingAsked");
    // One that declares, one that does not, and one that the cluster depends on.
    for name in ["bare", "hooks"] {
        namespace(&world, name, "gold");
    }
    let hook = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "somebodys"}, "webhooks": [{
        "name": "a.somebody.example", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Ignore", "clientConfig": {"service": {"namespace": "hooks", "name": "a"}}}]});
    apply(&world, &hook).result().unwrap();
    world.declare("shop", &json!({}));
    world.plane.kubectl(&["label", "namespace", "shop", "tier=gold"], None).result().unwrap();
    says(&world, "gold", "True Proven 2 of 2 namespaces: Proven: ");
    assert!(condition(&world, "gold").ends_with("left out, for the cluster depends on them: hooks"), "{}", condition(&world, "gold"));
    // The floor is under both, and what the other asks counts here too.
    says(&world, "calm", "True Proven 2 of 2 namespaces");
    let shown = world.plane.kubectl(&["get", "baseline", "gold"], None).result().unwrap();
    assert!(shown.lines().next().is_some_and(|head| head.contains("ENFORCING")), "{shown}");
    // Proven each second, and written once.
    world.writes_nothing();
    let version = |world: &World| world.field("default", "baseline/gold", ".metadata.resourceVersion");
    let before = version(&world);
    world.demarc.take().unwrap().kill();
    world.demarc = Some(world.plane.demarc_with(crate::world::binary(), "two", &world.plane.kubeconfig(), &["--probe-every", "1"]));
    let holder = || world.field("kube-system", "lease/demarc-proof", ".spec.holderIdentity");
    eventually("the proof by another", SOON, || if holder() == "two" { Ok(()) } else { Err(holder()) });
    world.writes_nothing();
    assert_eq!(version(&world), before, "whoever leads next has nothing to say of it");
    // What the second one tells of it: nothing, until something turns.
    let told = || -> Vec<String> {
        let all: Value = serde_json::from_str(&world.plane.kubectl(&["get", "events.events.k8s.io", "-n", "default", "-o", "json"], None).result().unwrap()).unwrap();
        let gold = all["items"].as_array().unwrap().iter().filter(|e| e["regarding"]["kind"] == "Baseline" && e["regarding"]["name"] == "gold");
        let said = |e: &Value| format!("{} {} {} {}", e["reportingInstance"], e["reason"], e["note"], e["series"]["count"]);
        gold.map(said).collect()
    };
    let by = |who: &str| told().into_iter().filter(|said| said.starts_with(&format!("\"{who}-"))).collect::<Vec<_>>();
    assert!(by("one").iter().any(|said| said.contains("NothingAsked")) && by("two").is_empty(), "{:?}", told());

    let webhook = world.plane.kubectl(&["get", "validatingwebhookconfiguration", "demarc", "-o", "json"], None).result().unwrap();
    world.plane.kubectl(&["delete", "validatingwebhookconfiguration", "demarc"], None).result().unwrap();
    says(&world, "gold", "False WebhookMissing 2 of 2 namespaces: WebhookMissing: ");
    eventually("an Event", SOON, || if by("two").is_empty() { Err(format!("{:?}", told())) } else { Ok(()) });
    let missing = by("two");
    assert!(missing.len() == 1 && missing[0].contains("\"WebhookMissing\" \"Enforcing: 2 of 2 namespaces") && missing[0].ends_with("null"), "once: {missing:?}");
    let mut webhook: Value = serde_json::from_str(&webhook).unwrap();
    webhook["metadata"] = json!({"name": "demarc"});
    world.plane.kubectl(&["create", "-f", "-"], Some(&webhook.to_string())).result().unwrap();
    says(&world, "gold", "True Proven 2 of 2 namespaces");
    // One of them alone, by a label of its own.
    let excludes = json!([{"op": "add", "path": "/webhooks/0/namespaceSelector/matchExpressions/-", "value": {"key": "control-plane", "operator": "DoesNotExist"}}]);
    world.plane.kubectl(&["patch", "validatingwebhookconfiguration", "demarc", "--type=json", "-p", &excludes.to_string()], None).result().unwrap();
    world.plane.kubectl(&["label", "namespace", "bare", "control-plane=true"], None).result().unwrap();
    says(&world, "gold", "False NamespaceExcluded 1 of 2 namespaces: NamespaceExcluded (bare): ");
    world.plane.kubectl(&["label", "namespace", "bare", "control-plane-"], None).result().unwrap();
    says(&world, "gold", "True Proven 2 of 2 namespaces");
    namespace(&world, "late", "gold");
    says(&world, "gold", "True Proven 3 of 3 namespaces");
    // Asked for by name, what the cluster depends on is enrolled like any other.
    enrolled(&world, "hooks", "");
    let named = json!({"spec": {"criticalNamespaces": ["hooks"]}}).to_string();
    world.plane.kubectl(&["patch", "baseline", "gold", "--type=merge", "-p", &named], None).result().unwrap();
    enrolled(&world, "hooks", "enabled");
    says(&world, "gold", "True Proven 4 of 4 namespaces");
}
