//! The catalog as objects: what `kubectl get controls` shows, who may write it, and what becomes of one that somebody changed or deleted.
//! Demarc runs as a ServiceAccount, so that whoever else writes is somebody else.

use demarc::controls::CATALOG;
use serde_json::{Value, json};

use crate::{
    access::{RIGHTS, token},
    support::{ControlPlane, Said, eventually},
    world::{SOON, World, binary, nothing_slipped_in, only},
};

const ID: &str = "pvc-storage-encrypted";

fn refused(said: &Said, why: &str) {
    assert!(!said.ok && said.err.contains(why), "should be refused, for {why}: {said:?}");
}

/// What was written to Controls, by whomever.
fn writes(world: &World, user: &str) -> usize {
    let done = |e: &&Value| e["responseStatus"]["code"].as_u64().is_some_and(|c| c < 300) && e["user"]["username"] == user;
    world.plane.audit().iter().filter(done).filter(|e| e["objectRef"]["resource"] == "controls" && !matches!(e["verb"].as_str(), Some("get" | "list" | "watch"))).count()
}

#[test]
fn the_catalog_is_published_and_nobody_elses_to_write() {
    let plane = ControlPlane::start();
    plane.kubectl(&["apply", "-f", "-"], Some(RIGHTS)).result().unwrap();
    let demarc = plane.demarc_as(binary(), "one", &plane.kubeconfig_of("one", &token(&plane, "demarc")));
    let mut world = World { demarc: Some(demarc), plane };
    let me = "system:serviceaccount:demarc-system:demarc";
    let kubectl = |args: &[&str], stdin: Option<&str>| -> Said { world.plane.kubectl(args, stdin) };
    let count = || kubectl(&["get", "controls", "-o", "name"], None).result().unwrap().lines().count();
    let all = |count: usize| if count == CATALOG.len() { Ok(()) } else { Err(format!("{count} of {}", CATALOG.len())) };
    eventually("all of it", SOON, || all(count()));

    let table = kubectl(&["get", "controls"], None).result().unwrap();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(table.lines().next().unwrap()), ["NAME", "GROUP", "SEVERITY", "IAAS", "PAAS", "SAAS", "CHECK"]);
    let row = table.lines().find(|l| l.starts_with(ID)).unwrap();
    assert_eq!(words(row), [ID, "data", "critical", "Customer", "SharedDependent", "Provider", "built-in"]);
    let shown = kubectl(&["describe", "control", ID], None).result().unwrap();
    for part in ["Title:", "Why:", "Checked:", "Unknown:", "Remediation:", "References:"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    // Not even an administrator writes it.
    let patch = |what: &str| kubectl(&["patch", "control", ID, "--type=merge", "-p", what], None);
    let by_nobody_else = "is published by Demarc from its catalog";
    refused(&patch(r#"{"spec":{"why":"because"}}"#), by_nobody_else);
    refused(&patch(r#"{"metadata":{"labels":{"app.kubernetes.io/managed-by":"me"}}}"#), by_nobody_else);
    refused(&kubectl(&["delete", "control", ID], None), by_nobody_else);
    let control = |name: &str, check: &str| {
        let mut spec = json!({"title": "a", "severity": "low", "check": check, "kinds": ["Pod"]});
        if check == "cel" {
            spec["validations"] = json!([{"expression": "true"}]);
        }
        json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Control", "metadata": {"name": name}, "spec": spec}).to_string()
    };
    let create = |object: &str, more: &[&str]| kubectl(&[&["create", "-f", "-"], more].concat(), Some(object));
    refused(&create(&control("no-longer", "built-in"), &[]), by_nobody_else);
    refused(&create(&control("encryption-declared", "cel"), &[]), "is a control of the catalog");
    // One's own is one's own: Demarc's ServiceAccount cannot write it, and it stays what it is.
    refused(&create(&control("two-replicas", "cel"), &["--as", me]), "of Controls Demarc writes the built-in ones alone");
    create(&control("two-replicas", "cel"), &[]).result().unwrap();
    refused(&kubectl(&["patch", "control", "two-replicas", "--type=merge", "-p", r#"{"spec":{"check":"built-in","validations":null}}"#], None), "one's own stays one's own");
    kubectl(&["delete", "control", "two-replicas"], None).result().unwrap();
    // What is published was written once.
    assert_eq!(writes(&world, me), CATALOG.len());

    // Where the policy is gone, what is changed or taken away is put right, and what the catalog does not have goes.
    kubectl(&["delete", "validatingadmissionpolicybinding", "demarc-built-in-controls"], None).result().unwrap();
    let why = || kubectl(&["get", "control", ID, "-o", "jsonpath={.spec.why}"], None).result().unwrap();
    let published = why();
    eventually("the change", SOON, || patch(r#"{"spec":{"why":"because"}}"#).result());
    eventually("it is put right", SOON, || if why() == published { Ok(()) } else { Err(why()) });
    kubectl(&["delete", "control", ID], None).result().unwrap();
    create(&control("no-longer", "built-in"), &[]).result().unwrap();
    eventually("there again, and nothing more", SOON, || {
        let gone = !kubectl(&["get", "control", "no-longer"], None).ok;
        if gone { all(count()) } else { Err("no-longer".to_owned()) }
    });
    // Of one's own by a name that the catalog has by now nothing is written over.
    let (before, demarc) = (writes(&world, me), world.demarc.as_ref().unwrap());
    assert_eq!(before, CATALOG.len() + 3, "{}", demarc.log());
    assert!(!demarc.log().contains("cannot be published"), "{}", demarc.log());
    world.demarc.take().unwrap().kill();
}

/// The same objects as in tests/admission/catalog.rs, a namespace a control.
#[test]
fn every_control_of_objects_admits_what_holds_and_refuses_what_does_not() {
    let world = World::start();
    let rows: Vec<Value> = serde_saphyr::from_str(&std::fs::read_to_string("tests/data/catalog.yaml").unwrap()).unwrap();
    for row in &rows {
        let id = row["control"].as_str().unwrap();
        let namespace = format!("of-{id}");
        let mut controls = only(&[id]);
        controls.as_array_mut().unwrap().push(json!({"control": id, "owner": "Customer", "enforcement": "Deny"}));
        let policy = if row["policy"].is_null() { json!({}) } else { row["policy"].clone() };
        world.declare(&namespace, &json!({"controls": controls, "policy": policy}));
        for fact in row["facts"].as_array().into_iter().flatten() {
            world.accepts(&namespace, fact);
        }
        // What stands beside it reaches Demarc some moments later; until then it cannot be told.
        eventually(&format!("{id} refuses"), SOON, || {
            let said = world.plane.kubectl(&["apply", "-n", &namespace, "--dry-run=server", "-f", "-"], Some(&row["bad"].to_string()));
            if said.err.contains(id) { Ok(()) } else { Err(format!("{said:?}")) }
        });
        world.rejects(&namespace, &row["bad"], id);
        for which in ["good", "unknown", "none"] {
            // The Gateway API is not served here.
            if row[which].is_object() && row[which]["kind"] != "Gateway" {
                world.accepts(&namespace, &row[which]);
            }
        }
    }
    nothing_slipped_in(&world);
}
