//! Demarc with the least rights, as a ServiceAccount: what they suffice for, what a missing one costs, and who writes when there are two replicas.
//! Each replica has a token of its own, so the audit log tells them apart.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    support::{ControlPlane, Demarc, eventually},
    world::{SOON, World, binary, claim, class, nothing_slipped_in, only, rejected, spec, workload},
};

pub const RIGHTS: &str = include_str!("rights.yaml");

fn role(name: &str) -> Value {
    let list: Value = serde_saphyr::from_str(RIGHTS).unwrap();
    list["items"].as_array().unwrap().iter().find(|o| o["kind"] == "ClusterRole" && o["metadata"]["name"] == name).unwrap().clone()
}

pub fn token(plane: &ControlPlane, account: &str) -> String {
    plane.kubectl(&["create", "token", account, "-n", "demarc-system"], None).result().unwrap().trim().to_owned()
}

#[test]
fn the_role_reads_the_kinds_that_are_watched_and_no_other() {
    let watched: BTreeSet<String> = demarc::run::watched().iter().map(|(_, r)| format!("{}/{}", r.group, r.plural)).collect();
    let mut read = BTreeSet::new();
    for rule in [role("demarc"), role("demarc-storageclasses")].iter().flat_map(|r| r["rules"].as_array().unwrap()) {
        let verbs: Vec<&str> = rule["verbs"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        if verbs.contains(&"list") && verbs.contains(&"watch") {
            let group = rule["apiGroups"][0].as_str().unwrap();
            read.extend(rule["resources"].as_array().unwrap().iter().map(|r| format!("{group}/{}", r.as_str().unwrap())));
        }
    }
    assert_eq!(read, watched);
}

#[test]
fn the_least_rights_are_enough_and_a_missing_one_costs_what_it_is_for() {
    let plane = ControlPlane::start();
    plane.kubectl(&["apply", "-f", "-"], Some(RIGHTS)).result().unwrap();
    // Everything but StorageClasses.
    let demarc = plane.demarc_as(binary(), "one", &plane.kubeconfig_of("one", &token(&plane, "demarc")));
    let mut world = World { demarc: Some(demarc), plane };
    world.declare("shop", &json!({"controls": only(&["pvc-storage-encrypted", "pod-security-standard"])}));
    world.accepts("shop", &class("plain"));
    world.accepts("shop", &claim("kept", "plain"));
    let status = |path: &str| world.field("shop", "ownership/default", path);
    let finding = |path: &str| status(&format!(".status.findings[?(@.control==\"pvc-storage-encrypted\")].{path}"));
    eventually("Unknown, and why", SOON, || match (finding("verdict").as_str(), finding("message").contains("storage classes cannot be read: RBAC forbids reading them")) {
        ("Unknown", true) => Ok(()),
        _ => Err(status(".status")),
    });
    assert_ne!(status(".status.counts.unknown"), "0", "{}", status(".status"));
    // The rest goes on.
    world.rejects("shop", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");
    world.accepts("shop", &workload("Pod", "good", &spec("nginx", false)));
    // The enrolment is this ServiceAccount's alone, not even an administrator's.
    let said = world.plane.kubectl(&["label", "namespace", "default", "demarc.dev/admission=enabled"], None);
    assert!(!said.ok && said.err.contains("set by Demarc alone"), "{said:?}");
    let demarc = world.demarc.as_ref().unwrap();
    assert_eq!(demarc.readyz(), 200);

    // A kind of declarations is another matter: without it nothing may be decided.
    blind_replicas_are_never_ready(&world.plane);

    // Given back, it heals by itself.
    world.plane.kubectl(&["create", "clusterrolebinding", "classes", "--clusterrole=demarc-storageclasses", "--serviceaccount=demarc-system:demarc"], None).result().unwrap();
    eventually("healed", Duration::from_secs(60), || if finding("verdict") == "Violated" { Ok(()) } else { Err(finding("verdict")) });
    world.rejects("shop", &claim("violator", "plain"), "pvc-storage-encrypted");

    // Taken away from a running replica. Open watches outlive a right; they end with the API server's process.
    world.plane.kubectl(&["delete", "clusterrolebinding", "classes"], None).result().unwrap();
    world.plane.restart_api_server(Duration::ZERO);
    let finding = |path: &str| world.field("shop", "ownership/default", &format!(".status.findings[?(@.object==\"persistentvolumeclaim/kept\")].{path}"));
    eventually("Unknown again", SOON, || if finding("verdict") == "Unknown" { Ok(()) } else { Err(finding("verdict")) });
    world.rejects("shop", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");
    world.accepts("shop", &claim("unseen", "plain"));

    an_enrolment_that_fails_is_told(&world);
    two_replicas_have_one_writer(&mut world);
    nothing_slipped_in(&world);
}

fn an_enrolment_that_fails_is_told(world: &World) {
    let apply_role = |role: &Value| world.plane.kubectl(&["apply", "-f", "-"], Some(&role.to_string())).result().unwrap();
    let mut lacking = role("demarc");
    for rule in lacking["rules"].as_array_mut().unwrap().iter_mut().filter(|r| r["resources"] == json!(["namespaces"])) {
        rule["verbs"].as_array_mut().unwrap().retain(|verb| verb != "patch");
    }
    assert_ne!(lacking, role("demarc"));
    apply_role(&lacking);
    world.plane.kubectl(&["create", "namespace", "late"], None).result().unwrap();
    world.accepts("late", &json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default"}, "spec": {"serviceModel": "PaaS"}}));
    let wait =
        |condition: &str| world.plane.kubectl(&["wait", "ownership/default", "-n", "late", &format!("--for=condition={condition}"), "--timeout=30s"], None).result().unwrap();
    wait("Reconciling=True");
    wait("Enforcing=False");
    apply_role(&role("demarc"));
    wait("Enforcing=True");
    assert_eq!(world.field("late", "ownership/default", ".status.conditions[?(@.type==\"Reconciling\")].status"), "");
}

fn blind_replicas_are_never_ready(plane: &ControlPlane) {
    let replica = |lacking: &str| -> Demarc {
        let name = format!("without-{lacking}");
        let mut role = role("demarc");
        role["metadata"]["name"] = json!(name);
        for rule in role["rules"].as_array_mut().unwrap() {
            rule["resources"].as_array_mut().unwrap().retain(|r| r != lacking);
        }
        role["rules"].as_array_mut().unwrap().retain(|rule| !rule["resources"].as_array().unwrap().is_empty());
        plane.kubectl(&["apply", "-f", "-"], Some(&role.to_string())).result().unwrap();
        plane.kubectl(&["create", "serviceaccount", &name, "-n", "demarc-system"], None).result().unwrap();
        plane.kubectl(&["create", "clusterrolebinding", &name, &format!("--clusterrole={name}"), &format!("--serviceaccount=demarc-system:{name}")], None).result().unwrap();
        plane.demarc_in_cluster(binary(), &name, &plane.kubeconfig_of(&name, &token(plane, &name)))
    };
    let blind = ["namespaces", "ownerships", "baselines", "pods"].map(|lacking| (lacking, replica(lacking)));
    // Started last and ready: by then the others would be too.
    let seeing = replica("nothing");
    eventually("the one that lacks nothing is ready", SOON, || match seeing.readyz() {
        200 => Ok(()),
        code => Err(format!("{code}: {}", seeing.log())),
    });
    for (lacking, replica) in blind {
        eventually("the sentence that it ends with", Duration::from_secs(60), || {
            let told = |l: &str| l.starts_with("error: not ready after 30 s: RBAC forbids ") && l.contains(&format!(" to list {lacking}"));
            if replica.log().lines().any(told) { Ok(()) } else { Err(replica.log()) }
        });
        assert!(!replica.log().contains(r#""message":"ready""#), "without {lacking}");
        assert_eq!(replica.ended(SOON).and_then(|status| status.code()), Some(2));
    }
    seeing.kill();
}

/// Who wrote what: the token's id, in the order of the audit log, for writes to our own objects that were done.
fn writes(world: &World, resources: &[&str]) -> Vec<(String, jiff::Timestamp)> {
    let credential = |e: &Value| e["user"]["extra"]["authentication.kubernetes.io/credential-id"][0].as_str().map(str::to_owned);
    let done = |e: &&Value| e["responseStatus"]["code"].as_u64().is_some_and(|c| c < 300) && e["user"]["username"] == "system:serviceaccount:demarc-system:demarc";
    let about = |e: &&Value| e["objectRef"]["resource"].as_str().is_some_and(|r| resources.contains(&r));
    world.plane.audit().iter().filter(done).filter(about).filter_map(|e| Some((credential(e)?, e["stageTimestamp"].as_str()?.parse().ok()?))).collect()
}

fn writers(of: &[(String, jiff::Timestamp)]) -> Vec<&str> {
    let mut names: Vec<&str> = of.iter().map(|(who, _)| who.as_str()).collect();
    names.dedup();
    names
}

const REPORTS: &[&str] = &["ownerships", "namespaces", "events"];

fn two_replicas_have_one_writer(world: &mut World) {
    let plane = &world.plane;
    let before = writes(world, REPORTS);
    let [first] = writers(&before)[..] else { panic!("one replica, one writer: {before:?}") };
    let first = first.to_owned();
    // Of two that register themselves the second does not start while the first is registered and answers.
    let kubeconfig = plane.kubeconfig_of("second", &token(plane, "demarc"));
    let refused = plane.launch(binary(), "refused", &kubeconfig, "127.0.0.1:0", &["--local"]);
    let told = || refused.log().contains("error: another demarc controller --local serves this cluster at 127.0.0.1:");
    eventually("the sentence that it ends with", SOON, || if told() { Ok(()) } else { Err(refused.log()) });
    assert_eq!(refused.ended(SOON).and_then(|status| status.code()), Some(2));
    plane.kubectl(&["delete", "validatingwebhookconfiguration", "demarc"], None).result().unwrap();
    let second = plane.demarc_as(binary(), "second", &kubeconfig);
    let total = |world: &World| world.field("shop", "ownership/default", ".status.findingsTotal");
    let change = |world: &World, name: &str| {
        let was = total(world);
        world.accepts("shop", &claim(name, "nowhere"));
        eventually("the report of a change", SOON, || if total(world) == was { Err(was.clone()) } else { Ok(()) });
    };
    for i in 0..6 {
        change(world, &format!("unknown-{i}"));
    }
    let both = writes(world, REPORTS);
    assert!(both.len() > before.len() && writers(&both) == [first.as_str()], "only the holder writes: {both:?}");
    assert!(!second.log().contains("leading"), "{}", second.log());

    world.demarc.take().unwrap().kill();
    change(world, "after");
    let after = writes(world, REPORTS);
    let order = writers(&after);
    assert!(order.len() == 2 && order[0] == first, "first the one, then the other, never in turns: {order:?}");
    // The Lease likewise; and whoever took it waited until the holder had stopped by its own clock.
    let renewals = writes(world, &["leases"]);
    assert_eq!(writers(&renewals), order);
    let mut held: BTreeMap<&str, Vec<jiff::Timestamp>> = BTreeMap::new();
    for (who, when) in &renewals {
        held.entry(who).or_default().push(*when);
    }
    let gap = held[order[1]][0].duration_since(*held[order[0]].last().unwrap());
    assert!((demarc::controller::lease::DEADLINE.as_secs().cast_signed()..15).contains(&gap.as_secs()), "taken {gap:?} after the last renewal");
    rejected(&world.apply("shop", &workload("Pod", "violator", &spec("nginx", true))), "pod-security-standard");
    world.demarc = Some(second);
}
