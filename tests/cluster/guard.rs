//! Who may weaken a declaration: real users with the same RBAC, of whom one acts for the party that answers, and one later holds the verb `assign`.
//! What the one is refused the other does, so that a refusal is never for another reason.

use serde_json::{Value, json};

use crate::{
    support::{Said, eventually},
    world::{SOON, World, only, rejected},
};

const RIGHTS: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: declares}, rules: [{apiGroups: [demarc.dev], resources: [ownerships, baselines, parties], verbs: ['get', 'list', 'create', 'update', 'patch', 'delete']}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: assigns}, rules: [{apiGroups: [demarc.dev], resources: [ownerships], verbs: [assign]}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: declares}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: declares}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: teams}]}
";

fn party(name: &str, role: &str, user: &str) -> Value {
    json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Party", "metadata": {"name": name}, "spec": {"role": role, "subjects": [{"kind": "User", "name": user}]}})
}

fn ownership(namespace: &str, mode: &str) -> Value {
    json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default", "namespace": namespace}, "spec": {"serviceModel": "PaaS", "mode": mode}})
}

/// The same change by every way that kubectl has.
fn ways(world: &World, user: &str, mode: &str) -> [Said; 4] {
    let patch = |kind: &str, patch: &Value| world.plane.kubectl_as(user, &["patch", "ownership", "default", "-n", "shop", "--type", kind, "-p", &patch.to_string()], None);
    let merged = patch("merge", &json!({"spec": {"mode": mode}}));
    let by_json = patch("json", &json!([{"op": "replace", "path": "/spec/mode", "value": mode}]));
    let applied = |manager: &str| {
        let args = ["apply", "--server-side", "--force-conflicts", "--field-manager", manager, "-f", "-"];
        // Whole: what a manager leaves out that kubectl applied before it is taken away.
        let mut object = ownership("shop", mode);
        object["spec"]["parties"] = json!({"customer": "acme", "provider": "azure"});
        object["spec"]["controls"] = only(&["pod-security-standard"]);
        world.plane.kubectl_as(user, &args, Some(&object.to_string()))
    };
    [merged, by_json, applied("one"), applied("two")]
}

#[test]
fn the_same_rights_and_only_who_answers_or_may_assign_weakens() {
    let world = World::start();
    world.plane.kubectl(&["apply", "-f", "-"], Some(RIGHTS)).result().unwrap();
    // The Ownership first, and the Parties after it.
    world.declare("shop", &json!({"controls": only(&["pod-security-standard"])}));
    for party in [party("acme", "Customer", "alice"), party("shield", "MSSP", "bob")] {
        world.accepts("shop", &party);
    }
    // Nobody may weaken what another answers for, in whatever way it is written, and nothing is left of the try.
    eventually("bob's rights", SOON, || world.plane.kubectl_as("bob", &["get", "ownership", "default", "-n", "shop"], None).result());
    for said in ways(&world, "bob", "Audit") {
        rejected(&said, "spec.mode: enforcement Audit after Deny of");
        rejected(&said, "a subject of party acme, which answers for it today, or whoever holds the verb assign on ownerships.demarc.dev may say so");
        assert!(!said.err.contains("alice"), "no person is named: {said:?}");
    }
    assert_eq!(world.field("shop", "ownership/default", ".spec.mode"), "Enforce");
    // Whoever answers may, and to tighten again needs no more than RBAC.
    eventually("acme is known", SOON, || ways(&world, "alice", "Audit").into_iter().next().unwrap().result());
    for said in ways(&world, "alice", "Audit").into_iter().chain(ways(&world, "bob", "Enforce")) {
        said.result().unwrap();
    }
    // Not by way of the party, either.
    let patch = |user: &str, what: &str, patch: &Value| world.plane.kubectl_as(user, &["patch", what, "-n", "shop", "--type=merge", "-p", &patch.to_string()], None);
    let joined = json!({"spec": {"subjects": [{"kind": "User", "name": "alice"}, {"kind": "User", "name": "bob"}]}});
    rejected(&patch("bob", "party/acme", &joined), "spec.subjects: others would act for it; a subject of party acme");
    rejected(&patch("bob", "ownership/default", &json!({"spec": {"parties": {"customer": "shield"}}})), "spec.parties: another would answer for");
    rejected(&world.plane.kubectl_as("alice", &["delete", "party", "acme"], None), "party acme is named in the Ownership of namespace shop");
    // Nor by its status, which only the leader writes.
    let status = world.plane.kubectl_as(
        "alice",
        &["patch", "ownership", "default", "-n", "shop", "--subresource=status", "--type=merge", "-p", "{\"status\": {\"findingsTotal\": 0}}"],
        None,
    );
    assert!(!status.ok && status.err.contains("resource \"ownerships/status\""), "{status:?}");

    // The verb alone is enough, where it is held, with no party at all.
    world.accepts("bare", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bare"}}));
    let apply = |user: &str, object: &Value| world.plane.kubectl_as(user, &["apply", "-f", "-"], Some(&object.to_string()));
    apply("bob", &ownership("bare", "Enforce")).result().unwrap();
    for user in ["alice", "bob"] {
        rejected(&apply(user, &ownership("bare", "Audit")), "no party is named that answers for it today, so whoever holds the verb assign");
    }
    world.plane.kubectl(&["create", "rolebinding", "assigns", "-n", "bare", "--clusterrole=assigns", "--user=bob"], None).result().unwrap();
    eventually("bob assigns", SOON, || apply("bob", &ownership("bare", "Audit")).result());
    rejected(&ways(&world, "bob", "Audit")[0], "spec.mode");

    // A Baseline binds the customer, so the customer does not loosen it.
    let gold = |undeclared: &str| {
        json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Baseline", "metadata": {"name": "gold"},
            "spec": {"namespaceSelector": {"matchLabels": {"tier": "gold"}}, "undeclared": undeclared, "parties": {"mssp": "shield"}}})
    };
    rejected(&apply("bob", &gold("Deny")), "spec.parties: it says who answers where nobody does");
    apply("admin", &gold("Deny")).result().unwrap();
    rejected(&apply("alice", &gold("Audit")), "a subject of party shield, which answers for it today, or whoever holds the verb assign on baselines.demarc.dev");
    rejected(&world.plane.kubectl_as("alice", &["delete", "baseline", "gold"], None), "spec: the floor would be gone");
    // Whoever acts for the customer does not come below it by declaring something, and what was assigned is told.
    world.accepts("vault", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "vault", "labels": {"tier": "gold"}}}));
    let vault =
        |user: &str, spec: &Value| world.plane.kubectl_as(user, &["patch", "ownership", "default", "-n", "vault", "--type=merge", "-p", &json!({"spec": spec}).to_string()], None);
    let mut declared = ownership("vault", "Enforce");
    declared["spec"]["parties"] = json!({"customer": "acme", "provider": "azure"});
    apply("admin", &declared).result().unwrap();
    vault("admin", &json!({"serviceModel": "SaaS"})).result().unwrap();
    eventually("it is told", SOON, || match world.field("vault", "ownership/default", ".status.conditions[?(@.type==\"BelowBaseline\")].reason") {
        reason if reason == "Assigned" => Ok(()),
        reason => Err(reason),
    });
    vault("admin", &json!({"serviceModel": "PaaS"})).result().unwrap();
    rejected(&vault("alice", &json!({"serviceModel": "SaaS"})), "that is less than holds here where nothing is declared (baseline gold), so whoever holds the verb assign");
    // Nobody attests in the name of another.
    let tested = json!({"reviews": {"penetrationTest": {"lastCompleted": "2026-01-01T00:00:00Z", "by": "acme"}}});
    rejected(&vault("bob", &tested), "spec.reviews.penetrationTest: attests penetration-test-current; a subject of party acme");
    vault("alice", &tested).result().unwrap();
    world.plane.kubectl(&["delete", "ownership", "default", "-n", "vault"], None).result().unwrap();
    apply("bob", &gold("Audit")).result().unwrap();
    world.plane.kubectl_as("bob", &["delete", "baseline", "gold"], None).result().unwrap();

    // A namespace goes with what it declares, and the party is free then.
    world.plane.kubectl_as("bob", &["delete", "ownership", "default", "-n", "shop"], None).result().unwrap();
    world.plane.kubectl(&["delete", "namespace", "bare", "--wait=false"], None).result().unwrap();
    eventually("the namespace is gone", SOON, || if world.plane.kubectl(&["get", "namespace", "bare"], None).ok { Err("not yet".to_owned()) } else { Ok(()) });
    eventually("nobody names acme", SOON, || world.plane.kubectl_as("bob", &["delete", "party", "acme"], None).result());
}
