//! Who has left is bound to nothing new, and owns nothing: the Roster says who, and nothing that Demarc writes repeats a name.
//! The names in these tests are looked for in every status, Event and message that comes out.

use serde_json::{Value, json};

use crate::{
    support::eventually,
    world::{SOON, World, only, spec, workload},
};

fn binding(name: &str, user: &str) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]})
}

fn roster(departed: &str) -> Value {
    json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Roster", "metadata": {"name": "acme"},
        "spec": {"party": "acme", "people": [{"name": "jo@acme.example", "departedOn": departed}, {"name": "kim@acme.example"}]}})
}

#[test]
fn who_has_left_is_bound_to_nothing_new_and_is_named_nowhere() {
    let world = World::start();
    world.accepts("default", &roster("2999-01-01"));
    world.declare("shop", &json!({"controls": only(&["rbac-departed-subject", "owner-is-active"])}));
    world.accepts("shop", &binding("old", "jo@acme.example"));
    let mut web = workload("Deployment", "web", &spec("nginx", false));
    web["metadata"]["annotations"] = json!({"a8r.io/owner": "jo@acme.example"});
    world.accepts("shop", &web);

    world.accepts("default", &roster("2020-01-01"));
    let findings = || world.field("shop", "ownership/default", ".status.findings[*].message");
    eventually("both are drift", SOON, || {
        let said = findings();
        if said.contains("binds a user who has left") && said.contains("its owner has left") { Ok(()) } else { Err(said) }
    });
    let said = world.apply("shop", &binding("violator", "oidc:JO@acme.example"));
    crate::world::rejected(&said, "rbac-departed-subject");
    assert!(!said.err.to_lowercase().contains("jo@acme"), "{said:?}");
    world.accepts("shop", &binding("good", "kim@acme.example"));
    let status = world.field("shop", "ownership/default", ".status");
    let events = world.plane.kubectl(&["get", "events", "-n", "shop", "-o", "json"], None).result().unwrap();
    assert!(!status.contains("@acme.example") && !events.contains("@acme.example"), "{status}");
    crate::world::nothing_slipped_in(&world);
}
