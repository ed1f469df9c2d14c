//! What the status says of who changed what: real tools write, each in its own way, and the leader tells which of them moved which control.
//! The tools' names are what the API server wrote into managedFields; users stand in its audit log and nowhere else.

use serde_json::{Value, json};

use crate::{
    support::eventually,
    world::{SOON, World, only},
};

fn history(world: &World) -> Vec<Value> {
    serde_json::from_str(&world.field("shop", "ownership/default", ".status.history")).unwrap_or_default()
}

/// Waits until a row says this of a control, or of the field itself where none is given: from, to, through and manager.
fn told(world: &World, field: &str, control: Option<&str>, said: [&str; 4]) -> Value {
    eventually(&format!("{field} of {control:?}"), SOON, || {
        let rows = history(world);
        let of = |row: &&Value| row["field"] == field && control.is_none_or(|c| row["controls"].as_array().is_some_and(|all| all.iter().any(|one| one == c)));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all: Vec<&Value> = rows.iter().filter(of).collect();
        match all.as_slice() {
            [row] if [text(&row["from"]), text(&row["to"]), text(&row["through"]), text(&row["managedFields"]["manager"])] == said => Ok((*row).clone()),
            _ => Err(format!("{said:?}: {rows:#?}")),
        }
    })
}

#[test]
fn each_tool_is_told_with_what_it_moved() {
    let world = World::start();
    let mut controls = only(&["pod-security-standard", "encryption-declared"]);
    controls.as_array_mut().unwrap().push(json!({"control": "encryption-declared", "enforcement": "Warn"}));
    world.plane.kubectl(&["create", "namespace", "shop"], None).result().unwrap();
    // Not applied: what kubectl applied in its old way it takes over when it applies on the server, and drops what it is not told again.
    let ownership = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default", "namespace": "shop"},
        "spec": {"serviceModel": "PaaS", "parties": {"customer": "acme", "provider": "azure"}, "controls": controls}});
    world.plane.kubectl(&["create", "-f", "-"], Some(&ownership.to_string())).result().unwrap();
    told(&world, "ServiceModel", None, ["", "PaaS", "", "kubectl-create"]);
    told(&world, "Enforcement", Some("encryption-declared"), ["", "Warn", "Controls", "kubectl-create"]);
    let patch = |args: &[&str], patch: &Value| {
        world.plane.kubectl(&[&["patch", "ownership", "default", "-n", "shop", "--type=merge", "-p", &patch.to_string()], args].concat(), None).result().unwrap();
    };

    // By patch, in an editor, and by server-side apply under two names.
    patch(&[], &json!({"spec": {"mode": "Warn"}}));
    told(&world, "Mode", None, ["Enforce", "Warn", "", "kubectl-patch"]);
    told(&world, "Enforcement", Some("pod-security-standard"), ["Deny", "Warn", "Mode", "kubectl-patch"]);
    told(&world, "Enforcement", Some("encryption-declared"), ["", "Warn", "Controls", "kubectl-create"]);
    world.plane.kubectl_edit("admin", &["ownership", "default", "-n", "shop"], "/customer:/s/acme/shield/").result().unwrap();
    told(&world, "Accountable", Some("pod-security-standard"), ["acme", "shield", "Parties", "kubectl-edit"]);
    let applied = |manager: &str, entry: Value| {
        let object = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default", "namespace": "shop"},
            "spec": {"serviceModel": "PaaS", "controls": [entry]}});
        let args = ["apply", "--server-side", "--force-conflicts", "--field-manager", manager, "-f", "-"];
        world.plane.kubectl(&args, Some(&object.to_string())).result().unwrap();
    };
    applied("flux", json!({"control": "encryption-declared", "owner": "SharedDependent"}));
    let row = told(&world, "Owner", Some("encryption-declared"), ["Customer", "SharedDependent", "Controls", "flux"]);
    assert_eq!(row["managedFields"]["operation"], "Apply", "{row}");
    assert!(row["seen"].as_str() >= row["managedFields"]["time"].as_str(), "{row}");
    applied("team", json!({"control": "pod-security-standard", "accountable": "acme"}));
    told(&world, "Accountable", Some("pod-security-standard"), ["shield", "acme", "Controls", "team"]);
    told(&world, "Owner", Some("encryption-declared"), ["Customer", "SharedDependent", "Controls", "flux"]);

    // The model moves what says nothing of its own, all in one row.
    patch(&["--field-manager=migration"], &json!({"spec": {"serviceModel": "SaaS"}}));
    let row = told(&world, "Owner", Some("workload-named-owner"), ["Customer", "Provider", "ServiceModel", "migration"]);
    let moved = row["controls"].as_array().unwrap();
    assert!(moved.len() > 3 && !moved.contains(&json!("encryption-declared")), "{row}");

    // What a Baseline moves was moved by no tool that wrote the Ownership.
    let floor = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Baseline", "metadata": {"name": "gold"},
        "spec": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}, "controls": [{"control": "encryption-declared", "enforcement": "Deny"}]}});
    world.accepts("shop", &floor);
    told(&world, "Enforcement", Some("encryption-declared"), ["Warn", "Deny", "Elsewhere", ""]);
    // Labels and what does not count are no history, and a steady state writes nothing.
    let before = history(&world);
    world.plane.kubectl(&["label", "ownership", "default", "-n", "shop", "a=b"], None).result().unwrap();
    patch(&[], &json!({"spec": {"escalation": {"levels": [{"party": "acme", "contact": "desk"}]}}}));
    eventually("it is judged", SOON, || {
        let seen = |path: &str| world.field("shop", "ownership/default", path);
        if seen(".status.observedGeneration") == seen(".metadata.generation") { Ok(()) } else { Err(String::new()) }
    });
    assert_eq!(history(&world), before);
    world.writes_nothing();
}
