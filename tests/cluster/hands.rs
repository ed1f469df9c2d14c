//! The hands through which declarations go: a GitOps account that writes all of them, people who edit as the party they act for, and every order in
//! which two declarations may arrive. What is refused to one is done by another, so that a refusal is never for another reason.

use serde_json::{Value, json};

use crate::{
    support::{Said, eventually},
    world::{SOON, World, only, rejected},
};

const RIGHTS: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: gitops}}
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: writer, namespace: gitops}}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: declares}, rules: [{apiGroups: [demarc.dev], resources: [ownerships, baselines, parties, waivers], verbs: ['get', 'list', 'create', 'update', 'patch', 'delete']}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: assigns}, rules: [{apiGroups: [demarc.dev], resources: [ownerships, baselines, parties], verbs: [assign]}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: approves}, rules: [{apiGroups: [demarc.dev], resources: [waivers], verbs: [approve]}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: declares}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: declares}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: teams}, {kind: ServiceAccount, name: writer, namespace: gitops}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: assigns}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: assigns}, subjects: [{kind: ServiceAccount, name: writer, namespace: gitops}]}
- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: approves}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: approves}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: teams}]}
";

/// As admin would be somebody else: what is decided is decided of them.
const WRITER: [&str; 3] = ["--as=system:serviceaccount:gitops:writer", "--as-group=system:serviceaccounts", "--as-group=system:authenticated"];
/// Of the provider.
const CAROL: [&str; 3] = ["--as=carol", "--as-group=teams", "--as-group=system:authenticated"];

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    let namespace = if ["Ownership", "Waiver"].contains(&kind) { json!("shop") } else { Value::Null };
    json!({"apiVersion": "demarc.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

fn party(name: &str, role: &str, user: &str) -> Value {
    object("Party", name, &json!({"role": role, "contacts": [{"address": "desk@example.com"}], "subjects": [{"kind": "User", "name": user}]}))
}

fn baseline(undeclared: &str) -> Value {
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": "shop"}});
    object("Baseline", "gold", &json!({"namespaceSelector": selector, "undeclared": undeclared, "parties": {"customer": "acme", "provider": "azure", "mssp": "shield"}}))
}

const BELOW: &str = "that is less than holds here where nothing is declared (baseline gold), so whoever holds the verb assign";

fn ownership(mode: &str) -> Value {
    let mut controls = only(&["pod-security-standard", "etcd-encryption-attested"]);
    controls.as_array_mut().unwrap().push(json!({"control": "etcd-encryption-attested", "owner": "Provider"}));
    object("Ownership", "default", &json!({"serviceModel": "PaaS", "mode": mode, "parties": {"customer": "acme", "provider": "azure", "mssp": "shield"}, "controls": controls}))
}

fn start() -> World {
    let world = World::start();
    world.plane.kubectl(&["apply", "-f", "-"], Some(RIGHTS)).result().unwrap();
    world.plane.kubectl(&["create", "namespace", "shop"], None).result().unwrap();
    world
}

#[test]
fn an_account_writes_all_and_people_approve_and_edit_as_who_they_are() {
    let world = start();
    let write = |objects: &[Value]| -> Said {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        world.plane.kubectl(&[&["apply", "--server-side", "--field-manager=gitops", "-f", "-"], &WRITER[..]].concat(), Some(&list))
    };
    let expires = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(240)).strftime("%FT%TZ").to_string();
    let waiver = |reason: &str| {
        let spec = json!({"control": "pod-security-standard", "target": {"kind": "Pod", "name": "web"}, "reason": reason, "requestedBy": "system:serviceaccount:gitops:writer", "expires": expires});
        object("Waiver", "web", &spec)
    };
    // The Ownership before the Parties that it names, and all of it again and again: as a controller does, which knows of no order.
    let all = [ownership("Enforce"), baseline("Deny"), waiver("vendor's"), party("acme", "Customer", "alice"), party("shield", "MSSP", "bob"), party("azure", "Provider", "carol")];
    eventually("the account's rights", SOON, || write(&all).result());
    write(&all).result().unwrap();
    let state = |wanted: &str| {
        eventually(wanted, SOON, || match world.field("shop", "waiver/web", ".status.state") {
            now if now == wanted => Ok(()),
            now => Err(format!("{now}: {}", world.demarc.as_ref().unwrap().log())),
        });
    };
    state("Requested");

    // A person approves under another name of a tool; of the two, the one who acts for the party that answers.
    let approve = |user: &str| -> Said {
        let spec = json!({"approval": {"by": user, "at": jiff::Timestamp::now()}});
        let args = ["apply", "--server-side", "--field-manager", "approver", "-f", "-"];
        world.plane.kubectl_as(user, &args, Some(&object("Waiver", "web", &spec).to_string()))
    };
    eventually("acme is known", SOON, || {
        let said = approve("bob");
        if said.err.contains("spec.approval: lets pod-security-standard be violated; a subject of party acme") { Ok(()) } else { Err(format!("{said:?}")) }
    });
    approve("alice").result().unwrap();
    state("Live");
    // The account writes the same again, and the approval stays; it writes another reason, and is told to have it approved anew.
    write(&all).result().unwrap();
    state("Live");
    assert_eq!(world.field("shop", "waiver/web", ".spec.approval.by"), "alice");
    let said = write(&[waiver("mine")]);
    assert!(!said.ok && said.err.contains("have it approved anew"), "{said:?}");
    // It may weaken, for it assigns; and what it wrote is put back by nobody else.
    write(&[ownership("Warn")]).result().unwrap();
    write(&[ownership("Enforce")]).result().unwrap();

    // In an editor, as each party. Each is refused what another answers for, and nothing is left of the try.
    let edit = |who: &[&str], what: &[&str], sed: &str| -> Said {
        match who {
            [user] => world.plane.kubectl_edit(user, what, sed),
            impersonated => world.plane.kubectl_edit("admin", &[what, impersonated].concat(), sed),
        }
    };
    let own = ["ownership", "default", "-n", "shop"];
    let (alice, bob) = (&["alice"][..], &["bob"][..]);
    let to_nobody = "/etcd-encryption-attested/,/owner/s/Provider/NotApplicable/";
    for (who, what, sed, because) in [
        (bob, &own[..], "s/Enforce/Warn/", "spec.mode: enforcement Warn after Deny of"),
        // Below what holds undeclared not even the party that answers.
        (&CAROL, &own, "s/Enforce/Warn/", BELOW),
        (alice, &own, "s/Enforce/Warn/", BELOW),
        (&CAROL, &own, to_nobody, BELOW),
        (alice, &own, to_nobody, "a subject of party azure, which answers for it today"),
        (bob, &own, to_nobody, "a subject of party azure, which answers for it today"),
        (alice, &["baseline", "gold"], "s/Deny/Warn/", "a subject of party shield, which answers for it today"),
        (&CAROL, &["baseline", "gold"], "s/Deny/Warn/", "spec.undeclared"),
        (bob, &["party", "acme"], "s/alice/bob/", "spec.subjects: others would act for it; a subject of party acme"),
        (alice, &["party", "azure"], "s/carol/alice/", "a subject of party azure"),
    ] {
        let before = world.plane.kubectl(&[&["get", "-o", "jsonpath={.metadata.resourceVersion} {.spec}"], what].concat(), None).result().unwrap();
        let said = edit(who, what, sed);
        assert!(!said.ok && format!("{}{}", said.out, said.err).contains(because), "{who:?} {what:?} {sed}: {said:?}");
        let after = world.plane.kubectl(&[&["get", "-o", "jsonpath={.metadata.resourceVersion} {.spec}"], what].concat(), None).result().unwrap();
        assert_eq!(before.split_once(' ').unwrap().1, after.split_once(' ').unwrap().1, "{who:?} {what:?}");
    }
    for (who, what, sed) in [
        (bob, &["baseline", "gold"][..], "s/Deny/Audit/"),
        (alice, &own, "s/Enforce/Warn/"),
        (&CAROL, &own, to_nobody),
        (&CAROL, &["party", "azure"], "s/carol/dave/"),
        // To tighten needs no more than RBAC.
        (bob, &own, "s/Warn/Enforce/"),
    ] {
        // Until the changed Baseline is known, the one before it holds.
        eventually("it is edited", SOON, || {
            let said = edit(who, what, sed);
            if said.ok && said.out.contains("edited") { Ok(()) } else { Err(format!("{who:?} {what:?} {sed}: {said:?}")) }
        });
    }
}

/// What an Ownership has come to, apart from times.
fn resolved(world: &World) -> String {
    let rows = world.field("shop", "ownership/default", "range .status.matrix[*]}{.control} {.owner} {.accountable} {.enforcement} {.verdict}{\"\\n\"}{end");
    let conditions = world.field("shop", "ownership/default", "range .status.conditions[*]}{.type} {.status} {.reason}{\"\\n\"}{end");
    let findings = world.field("shop", "ownership/default", "range .status.findings[*]}{.control} {.message}{\"\\n\"}{end");
    format!("{rows}{conditions}{findings}")
}

/// Waits until an Ownership tells of all that stands beside it: enforcement is proven, and what the other declaration changes is there.
fn shows(world: &World, other: &str) {
    let (about, path, wanted) = match other {
        "Baseline" => ("baseline/gold", ".status.declared", "1"),
        "Waiver" => ("waiver/web", ".status.state", "Requested"),
        "Control" => ("ownership/default", ".status.matrix[?(@.control==\"no-latest\")].control", "no-latest"),
        // Of the controls that are asked for none reads them.
        "Party" | "Roster" => ("ownership/default", ".status.observedGeneration", "1"),
        new => panic!("what tells that a {new} is read?"),
    };
    let proven = ("ownership/default", ".status.conditions[?(@.type==\"Enforcing\")].reason", "Proven");
    for (about, path, wanted) in [(about, path, wanted), proven] {
        eventually(&format!("{about} says {wanted} at {path}"), SOON, || match world.field("shop", about, path) {
            now if now == wanted => Ok(()),
            now => Err(now),
        });
    }
}

#[test]
fn in_whichever_order_two_declarations_arrive_the_same_holds() {
    let world = start();
    let expires = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(240)).strftime("%FT%TZ").to_string();
    let all = [
        ownership("Enforce"),
        baseline("Deny"),
        party("acme", "Customer", "alice"),
        object("Roster", "acme", &json!({"party": "acme", "people": [{"name": "jo@acme.example", "departedOn": "2020-01-01"}]})),
        object("Waiver", "web", &json!({"control": "pod-security-standard", "target": {"kind": "Pod", "name": "web"}, "reason": "a", "requestedBy": "admin", "expires": expires})),
        object("Control", "no-latest", &json!({"title": "t", "severity": "low", "kinds": ["Pod"], "validations": [{"expression": "true", "message": "m"}]})),
    ];
    let at = |object: &Value| -> Vec<String> {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        vec![text("/kind").to_lowercase(), text("/metadata/name"), "-n".to_owned(), "shop".to_owned()]
    };
    let delete = |object: &Value| {
        let place = at(object);
        let args: Vec<&str> = ["delete"].into_iter().chain(place.iter().map(String::as_str)).collect();
        eventually("it is deleted", SOON, || world.plane.kubectl(&args, None).result());
    };
    // A pair, in both orders, and what has come of it once nothing more follows.
    for (i, one) in all.iter().enumerate() {
        for other in &all[i + 1..] {
            let mut came: Vec<String> = Vec::new();
            for [first, second] in [[one, other], [other, one]] {
                for object in [first, second] {
                    let made = world.plane.kubectl(&["create", "-f", "-"], Some(&object.to_string()));
                    assert!(made.ok, "{} after {}: {made:?}", second["kind"], first["kind"]);
                }
                let declared = one["kind"] == "Ownership";
                if declared {
                    world.plane.kubectl(&["wait", "ownership/default", "-n", "shop", "--for=condition=Enforcing=True", "--timeout=30s"], None).result().unwrap();
                }
                if let Some(before) = came.first() {
                    eventually(&format!("{} and {} hold as in the other order", one["kind"], other["kind"]), SOON, || {
                        let now = resolved(&world);
                        if now == *before { Ok(()) } else { Err(format!("{before}\n---\n{now}")) }
                    });
                } else {
                    if declared {
                        shows(&world, other["kind"].as_str().unwrap());
                    }
                    came.push(resolved(&world));
                }
                // The one that names the other first, as a Party that is named is not deleted.
                let mut last_first = [one, other];
                last_first.sort_by_key(|o| o["kind"] == "Party");
                last_first.into_iter().for_each(delete);
            }
        }
    }
}

#[test]
fn an_order_gives_nobody_what_the_other_would_not() {
    let world = start();
    let apply = |user: &str, object: &Value| world.plane.kubectl_as(user, &["apply", "-f", "-"], Some(&object.to_string()));
    // Alone, each takes no more than RBAC, but for a Baseline that says who answers.
    let silent = object("Party", "acme", &json!({"role": "Customer"}));
    eventually("bob's rights", SOON, || apply("bob", &silent).result());
    // Nor does a Party say who acts for it, or nobody does any more, without one who may.
    rejected(&apply("bob", &party("acme", "Customer", "bob")), "spec.subjects: others would act for it");
    apply("admin", &party("acme", "Customer", "bob")).result().unwrap();
    rejected(&apply("alice", &silent), "spec.subjects: nobody would act for it");
    rejected(&apply("bob", &baseline("Deny")), "spec.parties: it says who answers where nobody does");
    // A Party that was there before has its people, and an Ownership that names it then is bob's to loosen.
    apply("bob", &ownership("Enforce")).result().unwrap();
    eventually("bob acts for acme", SOON, || apply("bob", &ownership("Warn")).result());
    rejected(&apply("alice", &ownership("Audit")), "a subject of party acme");
    world.plane.kubectl(&["delete", "ownership", "default", "-n", "shop"], None).result().unwrap();
    eventually("nobody names acme", SOON, || world.plane.kubectl(&["delete", "party", "acme"], None).result());
    // The Ownership first, and the Party after it: the same.
    apply("alice", &ownership("Enforce")).result().unwrap();
    rejected(&apply("bob", &party("acme", "Customer", "bob")), "spec.subjects: others would act for it");
    apply("bob", &silent).result().unwrap();
    // Nor what it shows of itself, once it is named.
    let assured = object("Party", "acme", &json!({"role": "Customer", "assurance": [{"type": "soc2", "ref": "r-1", "validUntil": "2099-01-01T00:00:00Z"}]}));
    rejected(&apply("bob", &assured), "spec.assurance: attests its own security");
    apply("admin", &assured).result().unwrap();
}
