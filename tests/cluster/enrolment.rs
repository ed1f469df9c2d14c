//! The declaration and the label that follows from it: who may write what, and what happens to a declaration that cannot be read.
//! The webhook's blast radius is the enrolment label, so it is guarded in the API server itself.

use serde_json::{Value, json};

use crate::{
    support::eventually,
    world::{SOON, World, binary, nothing_slipped_in, only, spec, workload},
};

/// The list that `demarc check` is held to as well.
const DECLARATIONS: &str = include_str!("../data/declarations.yaml");

fn declarations_are_refused_and_taken_as_check_says(world: &World) {
    let list: Value = serde_saphyr::from_str(DECLARATIONS).unwrap();
    let all = |key: &str| list[key].as_array().unwrap().clone();
    let object = |declaration: &Value| {
        let mut object = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": declaration["kind"].as_str().unwrap_or("Ownership"), "metadata": {"name": declaration["name"].as_str().unwrap_or("default")}, "spec": declaration["spec"]});
        object["metadata"].as_object_mut().unwrap().extend(declaration["metadata"].as_object().cloned().unwrap_or_default());
        object.to_string()
    };
    let strict = |verb: &str, namespace: &str, object: &str| world.plane.kubectl(&[verb, "-n", namespace, "--validate=strict", "--dry-run=server", "-f", "-"], Some(object));
    assert!(all("refused").len() > 20 && all("taken").len() > 4, "the list is gone");
    for declaration in all("refused") {
        let (object, because) = (object(&declaration), declaration["because"].as_str().unwrap());
        // Of Ownerships there is one already: it is replaced as well.
        let replaced = declaration["kind"].is_null().then(|| strict("replace", "shop", &object));
        let all: Vec<_> = replaced.into_iter().chain([strict("create", "default", &object)]).collect();
        assert!(all.iter().all(|said| !said.ok), "{} was taken", declaration["what"]);
        assert!(all.iter().any(|said| said.err.contains(because)), "{}: {because}: {all:?}", declaration["what"]);
    }
    for mut declaration in all("taken") {
        // It ends soon after the day on which check judges it.
        if let Some(expires) = declaration["spec"].get_mut("expires") {
            *expires = json!((jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24)).strftime("%FT%TZ").to_string());
        }
        for (verb, namespace) in [("replace", "shop"), ("create", "default")] {
            if verb == "replace" && !declaration["kind"].is_null() {
                continue;
            }
            let said = strict(verb, namespace, &object(&declaration));
            assert!(said.ok, "{}: {verb}: {said:?}", declaration["what"]);
        }
    }
}

#[test]
fn the_declaration_is_guarded_and_enrolment_is_the_controllers_alone() {
    let world = World::start();
    world.declare("shop", &json!({}));
    declarations_are_refused_and_taken_as_check_says(&world);

    // alice may do everything with namespaces, and still not this.
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: namespaces}\nrules: [{apiGroups: [''], resources: [namespaces, namespaces/status, namespaces/finalize], verbs: ['*']}]";
    world.plane.kubectl(&["apply", "-f", "-"], Some(role)).result().unwrap();
    world.plane.kubectl(&["create", "clusterrolebinding", "alice", "--clusterrole=namespaces", "--user=alice"], None).result().unwrap();
    let guarded = |args: &[&str], stdin: Option<&str>| {
        let said = world.plane.kubectl_as("alice", args, stdin);
        assert!(!said.ok && said.err.contains("set by Demarc alone"), "{args:?}: {said:?}");
    };
    eventually("alice's rights and the policy", SOON, || {
        let said = world.plane.kubectl_as("alice", &["label", "namespace", "shop", "demarc.dev/admission-", "--dry-run=server"], None);
        if said.err.contains("set by Demarc alone") { Ok(()) } else { Err(format!("{said:?}")) }
    });
    guarded(&["label", "namespace", "shop", "demarc.dev/admission-"], None);
    guarded(&["label", "namespace", "shop", "demarc.dev/admission=disabled", "--overwrite"], None);
    guarded(&["label", "namespace", "default", "demarc.dev/admission=enabled"], None);
    let preset = "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"preset\", \"labels\": {\"demarc.dev/admission\": \"enabled\"}}}";
    guarded(&["create", "-f", "-"], Some(preset));
    let mut namespace: Value = serde_json::from_str(&world.plane.kubectl(&["get", "namespace", "shop", "-o", "json"], None).result().unwrap()).unwrap();
    namespace["metadata"]["labels"].as_object_mut().unwrap().remove("demarc.dev/admission");
    for endpoint in ["", "/status", "/finalize"] {
        let path = format!("/api/v1/namespaces/shop{endpoint}");
        guarded(&["replace", "--raw", &path, "-f", "-"], Some(&namespace.to_string()));
    }
    world.plane.kubectl_as("alice", &["label", "namespace", "shop", "team=shop"], None).result().unwrap();
    // The emergency exit.
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: exit}\nrules: [{apiGroups: [demarc.dev], resources: [namespaces], verbs: [unenrol]}]";
    world.plane.kubectl(&["apply", "-f", "-"], Some(role)).result().unwrap();
    world.plane.kubectl(&["create", "clusterrolebinding", "exit", "--clusterrole=exit", "--user=alice"], None).result().unwrap();
    eventually("the emergency exit", SOON, || world.plane.kubectl_as("alice", &["label", "namespace", "shop", "demarc.dev/admission-"], None).result());
    // While Demarc runs, the leader puts it back.
    eventually("the label is back", SOON, || match world.field("shop", "namespace/shop", ".metadata.labels.demarc\\.dev/admission").as_str() {
        "enabled" => Ok(()),
        other => Err(other.to_owned()),
    });
    world.plane.kubectl(&["delete", "ownership", "default", "-n", "shop"], None).result().unwrap();
    eventually("no declaration, no label", SOON, || match world.field("shop", "namespace/shop", ".metadata.labels.demarc\\.dev/admission").as_str() {
        "" => Ok(()),
        other => Err(other.to_owned()),
    });
}

fn condition(world: &World, namespace: &str, kind: &str) -> String {
    world.field(namespace, "ownership/default", &format!(".status.conditions[?(@.type==\"{kind}\")]['status','reason']"))
}

fn reads(world: &World, namespace: &str, kind: &str, said: &str) {
    eventually(&format!("{kind} of {namespace} is {said:?}"), SOON, || match condition(world, namespace, kind) {
        now if now == said => Ok(()),
        _ => Err(world.field(namespace, "ownership/default", ".status")),
    });
}

const AUDITED: &str = r#"{"type": "Audited", "status": "True", "reason": "ByHand", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}"#;

#[test]
fn nobody_elses_status_holds_and_nobody_elses_condition_is_lost() {
    let world = World::start();
    world.declare("shop", &json!({"mode": "Audit", "controls": only(&["pod-security-standard"])}));
    world.accepts("shop", &workload("Pod", "bad", &spec("nginx", true)));
    let status = |path: &str| world.field("shop", "ownership/default", path);
    eventually("the truth", SOON, || if status(".status.counts.violated") == "1" { Ok(()) } else { Err(status(".status")) });
    let truth = status(".status.digest");
    // What `edit` gives a team: the objects, not their status.
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: declares}\nrules: [{apiGroups: [demarc.dev], resources: [ownerships], verbs: ['*']}]";
    world.plane.kubectl(&["apply", "-f", "-"], Some(role)).result().unwrap();
    world.plane.kubectl(&["create", "rolebinding", "alice", "-n", "shop", "--clusterrole=declares", "--user=alice"], None).result().unwrap();
    let fake = format!(
        r#"{{"status": {{"conditions": [{AUDITED}, {{"type": "Compliant", "status": "True", "reason": "Fine", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}}],
            "counts": {{"violated": 0, "unknown": 0}}, "findings": [], "findingsTotal": 0, "digest": "fake"}}}}"#
    );
    let forge = || world.plane.kubectl_as("alice", &["patch", "ownership", "default", "-n", "shop", "--subresource=status", "--type=merge", "-p", &fake], None);
    eventually("alice may declare", SOON, || world.plane.kubectl_as("alice", &["label", "ownership", "default", "-n", "shop", "team=shop", "--overwrite"], None).result());
    let said = forge();
    assert!(!said.ok && said.err.contains("ownerships/status"), "{said:?}");
    let role = role.replace("[ownerships]", "[ownerships, ownerships/status]");
    world.plane.kubectl(&["apply", "-f", "-"], Some(&role)).result().unwrap();
    eventually("alice may write a status", SOON, || forge().result());
    eventually("the truth again", SOON, || if status(".status.digest") == truth && status(".status.counts.violated") == "1" { Ok(()) } else { Err(status(".status")) });
    for (kind, said) in [("Compliant", "False Drift"), ("Ready", "True Resolved"), ("Enforcing", "False ModeAudit"), ("Audited", "True ByHand")] {
        reads(&world, "shop", kind, said);
    }
}

/// A declaration that was stored by another version, or past the webhook, and that this one cannot read (H63).
#[test]
fn a_declaration_that_cannot_be_read_hurts_its_own_namespace_alone() {
    let mut world = World::start();
    world.declare("shop", &json!({}));
    world.declare("other", &json!({}));
    world.declare("going", &json!({}));
    let audited = format!(r#"[{{"op": "add", "path": "/status/conditions/-", "value": {AUDITED}}}]"#);
    world.plane.kubectl(&["patch", "ownership", "default", "-n", "shop", "--subresource=status", "--type=json", "-p", &audited], None).result().unwrap();
    let since = world.field("shop", "ownership/default", ".status.matrix[*].forbiddenSince");
    assert!(!since.is_empty());
    let good = workload("Pod", "good", &spec("nginx", false));
    let violator = workload("Pod", "violator", &spec("nginx", true));

    // The CRD and the webhook are loosened for one write.
    let patch = |object: &str, patch: &Value| world.plane.kubectl(&["patch", object, "--type=json", "-p", &patch.to_string()], None).result().unwrap();
    let (crd, webhook) = ("customresourcedefinition/ownerships.demarc.dev", "validatingwebhookconfiguration/demarc");
    let words = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/serviceModel/enum";
    let configuration: Value = serde_json::from_str(&world.plane.kubectl(&["get", webhook, "-o", "json"], None).result().unwrap()).unwrap();
    patch(crd, &json!([{"op": "remove", "path": words}]));
    patch(webhook, &json!([{"op": "remove", "path": "/webhooks/1"}]));
    let model = |namespace: &str, model: &str| {
        world.plane.kubectl(&["patch", "ownership", "default", "-n", namespace, "--type=merge", "-p", &json!({"spec": {"serviceModel": model}}).to_string()], None)
    };
    eventually("it is stored", SOON, || model("shop", "Mainframe").result());
    patch(crd, &json!([{"op": "add", "path": words, "value": ["IaaS", "PaaS", "SaaS"]}]));
    patch(webhook, &json!([{"op": "add", "path": "/webhooks/1", "value": configuration["webhooks"][1]}]));
    let probe = ["patch", "ownership", "default", "-n", "other", "--type=merge", "--dry-run=server", "-p", r#"{"spec": {"serviceModel": "Mainframe"}}"#];
    eventually("the CRD is itself again", SOON, || {
        let said = world.plane.kubectl(&probe, None);
        if said.err.contains("Unsupported value") { Ok(()) } else { Err(format!("{said:?}")) }
    });

    // The last good one holds, and its status tells.
    reads(&world, "shop", "Ready", "False Unreadable");
    reads(&world, "shop", "Stalled", "True Unreadable");
    assert!(world.field("shop", "ownership/default", ".status.conditions[?(@.type==\"Ready\")].message").contains("Mainframe"));
    world.rejects("shop", &violator, "pod-security-standard");
    world.accepts("shop", &good);
    let unharmed = |world: &World| {
        assert_eq!(condition(world, "other", "Ready"), "True Resolved");
        world.rejects("other", &violator, "pod-security-standard");
        world.accepts("other", &good);
        let kept = |path: &str| world.field("shop", "ownership/default", path);
        assert_eq!(kept(".status.matrix[*].forbiddenSince"), since, "nothing is spared that was not before");
        assert_eq!(kept(".status.conditions[?(@.type==\"Audited\")].reason"), "ByHand", "another's condition");
        // Said once, not at every turn. It is no steady state before the pods, which are new, are judged where that can be, and before the webhook
        // configuration, which was loosened, is proven whole again.
        for namespace in ["shop", "other"] {
            let enforcing = || condition(world, namespace, "Enforcing");
            eventually("it is proven", SOON, || if enforcing().starts_with("True ") { Ok(()) } else { Err(enforcing()) });
            let judged = || {
                condition(world, namespace, "Compliant") == "Unknown Unreadable" || world.field(namespace, "ownership/default", ".status.findings[*].object").contains("pod/good")
            };
            eventually("the pod is judged", SOON, || if judged() { Ok(()) } else { Err(world.field(namespace, "ownership/default", ".status")) });
        }
        world.writes_nothing();
    };
    unharmed(&world);

    // After a restart nobody remembers a good one: closed, with the reason, and still only here.
    world.demarc.take().unwrap().kill();
    // Nobody is there, and a declaration can go all the same: DELETE is never asked about.
    world.plane.kubectl(&["delete", "ownership", "default", "-n", "going"], None).result().unwrap();
    world.demarc = Some(world.plane.demarc(binary(), "two"));
    reads(&world, "shop", "Enforcing", "True FailClosed");
    reads(&world, "shop", "Stalled", "True Unreadable");
    eventually("what went while nobody led", SOON, || match world.field("going", "namespace/going", ".metadata.labels.demarc\\.dev/admission").as_str() {
        "" => Ok(()),
        other => Err(other.to_owned()),
    });
    world.rejects("shop", &workload("Pod", "violator-not", &spec("nginx", false)), "ownership shop/default cannot be read");
    unharmed(&world);

    // Mended, everything is as it was.
    model("shop", "PaaS").result().unwrap();
    for (kind, said) in [("Ready", "True Resolved"), ("Stalled", ""), ("Enforcing", "True Proven"), ("Audited", "True ByHand")] {
        reads(&world, "shop", kind, said);
    }
    assert_eq!(world.field("shop", "ownership/default", ".status.matrix[*].forbiddenSince"), since);
    world.rejects("shop", &violator, "pod-security-standard");
    world.accepts("shop", &workload("Pod", "better", &spec("nginx", false)));
    nothing_slipped_in(&world);
}
