//! A permission to violate: who may ask for it, who may approve it, and what follows while it counts.
//! Each rule as what a real API server accepts and rejects of real users; alice asks, bob approves.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    support::{Said, eventually},
    world::{SOON, World, binary, only, spec, workload},
};

const RIGHTS: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: asks, namespace: shop}, rules: [{apiGroups: [demarc.dev], resources: [waivers], verbs: ['get', 'list', 'create', 'update', 'patch', 'delete']}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: approves, namespace: shop}, rules: [{apiGroups: [demarc.dev], resources: [waivers], verbs: [approve]}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: asks, namespace: shop}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: asks}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: teams}]}
";

fn in_days(days: i64) -> String {
    (Timestamp::now() + SignedDuration::from_hours(24 * days)).strftime("%FT%TZ").to_string()
}

fn waiver(name: &str, by: &str, expires: &str) -> Value {
    json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Waiver", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"control": "pod-security-standard", "target": {"kind": "Pod", "name": name}, "reason": "a", "requestedBy": by, "expires": expires}})
}

fn refused(said: &Said, because: &str) {
    assert!(!said.ok && said.err.contains(because), "should be refused because of {because:?}: {said:?}");
}

fn demarc(world: &World, user: &str, args: &[&str]) -> Said {
    let output = std::process::Command::new(binary()).args(args).args(["--context", user]).env("KUBECONFIG", world.plane.kubeconfig()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn one_asks_another_approves_and_what_was_approved_passes_until_its_day() {
    let world = World::start();
    world.declare("shop", &json!({"controls": only(&["pod-security-standard"])}));
    world.plane.kubectl(&["apply", "-f", "-"], Some(RIGHTS)).result().unwrap();
    let apply = |user: &str, object: &Value| world.plane.kubectl_as(user, &["apply", "-f", "-"], Some(&object.to_string()));
    let patch = |user: &str, name: &str, patch: &Value| world.plane.kubectl_as(user, &["patch", "waiver", name, "-n", "shop", "--type=merge", "-p", &patch.to_string()], None);
    let approval = |by: &str| json!({"spec": {"approval": {"by": by, "at": jiff::Timestamp::now()}}});
    let state = |name: &str, wanted: &str| {
        eventually(&format!("{name} is {wanted}"), SOON, || match world.field("shop", &format!("waiver/{name}"), ".status.state") {
            now if now == wanted => Ok(()),
            now => Err(format!("{now}: {}", world.demarc.as_ref().unwrap().log())),
        });
    };
    let bad = |name: &str| workload("Pod", name, &spec("nginx", true));

    // Asking.
    eventually("the policy and alice's rights", SOON, || {
        let said = apply("alice", &waiver("web", "bob", &in_days(30)));
        if said.err.contains("whoever creates a Waiver asks for it: write alice") { Ok(()) } else { Err(format!("{said:?}")) }
    });
    refused(&apply("alice", &waiver("web", "alice", &in_days(120))), "ends at most 90 days after it was made");
    refused(&apply("alice", &waiver("web", "alice", "2020-01-01T00:00:00Z")), "is in the past");
    let mut other = waiver("web", "alice", &in_days(30));
    other["spec"]["control"] = json!("pod-security");
    refused(&apply("alice", &other), "the nearest is pod-security-standard");
    let mut given = waiver("web", "alice", &in_days(30));
    given["spec"]["approval"] = json!({"by": "bob", "at": jiff::Timestamp::now()});
    refused(&apply("alice", &given), "leave spec.approval out");
    apply("alice", &waiver("web", "alice", &in_days(30))).result().unwrap();
    state("web", "Requested");
    world.rejects("shop", &bad("web"), "exception: demarc waiver request pod-security-standard -n shop --for pod/web");

    // Approving: not one's own, not without the verb, not in another's name, and nothing else on the way.
    refused(&patch("alice", "web", &approval("alice")), "what they asked for themselves");
    refused(&patch("bob", "web", &approval("bob")), "whoever holds the verb approve");
    world.plane.kubectl(&["create", "rolebinding", "approves", "-n", "shop", "--role=approves", "--user=bob", "--user=alice"], None).result().unwrap();
    eventually("bob's right", SOON, || patch("bob", "web", &approval("sam")).err.contains("writes their own name: bob").then_some(()).ok_or_else(|| "not yet".to_owned()));
    refused(&patch("alice", "web", &approval("alice")), "what they asked for themselves");
    refused(&patch("alice", "web", &approval("bob")), "writes their own name");
    let both = json!({"spec": {"reason": "b", "approval": {"by": "bob", "at": jiff::Timestamp::now()}}});
    refused(&patch("bob", "web", &both), "changed by whoever asked for it");
    refused(&patch("bob", "web", &json!({"spec": {"requestedBy": "sam"}})), "stays its requester");
    // Where the party that answers names who acts for it, one of them has to.
    let acme = |user: &str| json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Party", "metadata": {"name": "acme"}, "spec": {"role": "Customer", "subjects": [{"kind": "User", "name": user}]}});
    world.accepts("shop", &acme("sam"));
    eventually("acme names sam alone", SOON, || {
        let said = world.plane.kubectl_as("bob", &["patch", "waiver", "web", "-n", "shop", "--type=merge", "--dry-run=server", "-p", &approval("bob").to_string()], None);
        let refused =
            said.err.contains("spec.approval: lets pod-security-standard be violated; a subject of party acme, which answers for it today, or whoever holds the verb assign");
        if refused { Ok(()) } else { Err(format!("{said:?}")) }
    });
    world.accepts("shop", &acme("bob"));
    eventually("acme names bob", SOON, || patch("bob", "web", &approval("bob")).result());
    state("web", "Live");

    // It counts, in the webhook and in drift, for what it names.
    let said = eventually("it is let pass", SOON, || {
        let said = world.apply("shop", &bad("web"));
        if said.ok { Ok(said) } else { Err(format!("{said:?}")) }
    });
    assert!(said.err.contains("waived until") && said.err.contains("by waiver web"), "{said:?}");
    world.rejects("shop", &bad("other"), "pod-security-standard");
    eventually("drift says so", SOON, || {
        let said = world.field("shop", "ownership/default", ".status.matrix[?(@.control==\"pod-security-standard\")].verdict");
        if said == "Waived" { Ok(()) } else { Err(said) }
    });
    assert_eq!(world.field("shop", "ownership/default", ".status.counts.waived"), "1");

    // What was approved stays as it was, or is approved anew.
    for change in [json!({"spec": {"expires": in_days(60)}}), json!({"spec": {"target": {"name": "other"}}}), json!({"spec": {"ticket": "T-1"}})] {
        refused(&patch("alice", "web", &change), "have it approved anew");
    }
    patch("alice", "web", &json!({"spec": {"ticket": "T-1", "approval": null}})).result().unwrap();
    state("web", "Requested");
    eventually("it lets nothing pass", SOON, || if world.apply("shop", &bad("web")).ok { Ok(()) } else { Err("unchanged objects are not asked about".to_owned()) });
    let status = patch("alice", "web", &json!({"status": {"state": "Live"}}));
    assert!(status.ok && world.field("shop", "waiver/web", ".status.state") == "Requested", "{status:?}");

    // It ends by itself, within a minute and with an Event.
    let expires = (Timestamp::now() + SignedDuration::from_secs(30)).strftime("%FT%TZ").to_string();
    apply("alice", &waiver("short", "alice", &expires)).result().unwrap();
    patch("bob", "short", &approval("bob")).result().unwrap();
    state("short", "Expiring");
    eventually("it passes", SOON, || world.plane.kubectl(&["apply", "--dry-run=server", "-n", "shop", "-f", "-"], Some(&bad("short").to_string())).result());
    eventually("it is over", std::time::Duration::from_secs(90), || {
        let now = world.field("shop", "waiver/short", ".status.state");
        if now == "Expired" { Ok(()) } else { Err(now) }
    });
    world.rejects("shop", &bad("short"), "pod-security-standard");
    let events = eventually("an Event of each", SOON, || {
        let shown = "jsonpath={range .items[*]}{.involvedObject.name} {.reason} {.message}{\"\\n\"}{end}";
        let events = world.plane.kubectl(&["get", "events", "-n", "shop", "-o", shown], None).result()?;
        let about = |reason: &str| events.lines().filter(|l| l.starts_with(&format!("short {reason}"))).count();
        if (about("Expiring"), about("Expired")) == (1, 1) { Ok(events) } else { Err(events) }
    });
    assert!(!events.contains("alice") && !events.contains("bob"), "no person in an Event: {events}");
    where_nothing_is_declared(&world);
    by_command(&world);
}

/// Nobody answers there yet; what is approved may count later.
fn where_nothing_is_declared(world: &World) {
    world.plane.kubectl(&["create", "namespace", "bare"], None).result().unwrap();
    let verbs = "--verb=get,list,create,update,patch";
    world.plane.kubectl(&["create", "role", "asks", "-n", "bare", verbs, "--resource=waivers.demarc.dev"], None).result().unwrap();
    world.plane.kubectl(&["create", "rolebinding", "asks", "-n", "bare", "--role=asks", "--group=teams"], None).result().unwrap();
    let mut asked = waiver("web", "alice", &in_days(30));
    asked["metadata"]["namespace"] = json!("bare");
    eventually("alice may ask", SOON, || world.plane.kubectl_as("alice", &["create", "-f", "-"], Some(&asked.to_string())).result());
    let approve = |user: &str| {
        let approval = json!({"spec": {"approval": {"by": user, "at": jiff::Timestamp::now()}}}).to_string();
        world.plane.kubectl_as(user, &["patch", "waiver", "web", "-n", "bare", "--type=merge", "-p", &approval], None)
    };
    refused(&approve("bob"), "whoever holds the verb approve");
    world.plane.kubectl(&["create", "role", "approves", "-n", "bare", "--verb=approve", "--resource=waivers.demarc.dev"], None).result().unwrap();
    world.plane.kubectl(&["create", "rolebinding", "approves", "-n", "bare", "--role=approves", "--group=teams"], None).result().unwrap();
    eventually("bob approves", SOON, || approve("bob").result());
    world.plane.kubectl(&["delete", "waiver", "web", "-n", "bare"], None).result().unwrap();
}

fn by_command(world: &World) {
    let said = demarc(world, "alice", &["waiver", "request", "pod-security-standard", "-n", "shop", "--for", "pod/tool", "--reason", "vendor's", "--days", "20"]);
    assert!(said.ok && said.out.starts_with("waiver shop/pod-security-standard-tool requested: pod-security-standard for pod/tool, until "), "{said:?}");
    assert!(said.out.ends_with("loses its approval: from then on the pods that it let in are not replaced\n"), "{said:?}");
    refused(&demarc(world, "alice", &["waiver", "request", "pod-security", "-n", "shop", "--for", "pod/tool", "--reason", "a"]), "the nearest is pod-security-standard");
    refused(&demarc(world, "alice", &["waiver", "request", "pod-security-standard", "--for", "tool", "--reason", "a"]), "write kind and name");
    refused(&demarc(world, "alice", &["waiver", "request", "pod-security-standard", "--for", "widget/tool", "--reason", "a"]), "no control is about kind widget");
    refused(&demarc(world, "alice", &["waiver", "request", "pod-security-standard", "-n", "shop", "--for", "pod/tool", "--reason", "a"]), "already exists");
    let name = "pod-security-standard-tool";
    refused(&demarc(world, "alice", &["waiver", "approve", name, "-n", "shop"]), "somebody else has to approve it");
    refused(&demarc(world, "bob", &["waiver", "approve", "nothing", "-n", "shop"]), "not found");
    // What was seen is approved, and nothing that its requester made of it since.
    let said = demarc(world, "bob", &["waiver", "approve", name, "-n", "shop"]);
    refused(&said, "there is no terminal to ask at: --resource-version ");
    assert!(said.err.contains("reason:       vendor's\n"), "{said:?}");
    let version = || world.field("shop", &format!("waiver/{name}"), ".metadata.resourceVersion");
    let seen = version();
    let edit = json!({"spec": {"target": {"name": "another"}}}).to_string();
    world.plane.kubectl_as("alice", &["patch", "waiver", name, "-n", "shop", "--type=merge", "-p", &edit], None).result().unwrap();
    let approve = |version: &str| demarc(world, "bob", &["waiver", "approve", name, "-n", "shop", "--resource-version", version]);
    refused(&approve(&seen), &format!("has changed since version {seen}: look at it again"));
    assert_eq!(world.field("shop", &format!("waiver/{name}"), ".spec.approval.by"), "");
    let edit = json!({"spec": {"target": {"name": "tool"}}}).to_string();
    world.plane.kubectl_as("alice", &["patch", "waiver", name, "-n", "shop", "--type=merge", "-p", &edit], None).result().unwrap();
    // The leader's status is a change as well.
    eventually("it is approved as it is seen", SOON, || {
        let said = approve(&version());
        if said.ok && said.out.contains("approved: pod-security-standard for pod/tool") && said.err.contains("for:          pod/tool\n") {
            Ok(())
        } else {
            Err(format!("{said:?}"))
        }
    });
    eventually("the list", SOON, || {
        let said = demarc(world, "admin", &["waiver", "list", "-A"]);
        let row = said.out.lines().find(|l| l.contains(name)).map(|l| l.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let wanted = ["shop", name, "pod-security-standard", "pod/tool", "alice", "bob", "19d", "Live"];
        if row.as_ref().is_some_and(|row| row == &wanted) { Ok(()) } else { Err(format!("{said:?}")) }
    });
    // The version that may be approved, which is the leader's last as well.
    eventually("the list as JSON", SOON, || {
        let json: Value = serde_json::from_str(&demarc(world, "bob", &["waiver", "list", "-n", "shop", "-o", "json"]).out).unwrap();
        assert_eq!(json["waivers"].as_array().unwrap().len(), 3, "{json}");
        let listed = json["waivers"].as_array().unwrap().iter().find(|w| w["name"] == name).unwrap();
        if listed["resourceVersion"] == version() { Ok(()) } else { Err(listed.to_string()) }
    });
    let duty = ["waiver", "request", "escalation-contact-declared", "-n", "shop", "--for", "ownership/default", "--reason", "a"];
    refused(&demarc(world, "alice", &duty), "escalation-contact-declared judges what is declared and no object, so no Waiver can let anything pass");
    refused(&demarc(world, "bob", &["waiver", "list", "-n", "default"]), "cannot list resource");
}
