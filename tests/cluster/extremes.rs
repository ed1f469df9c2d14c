//! Declarations at their limits, and ones whose footing goes: each list full, dates at the end of time, a Control and a Party that vanish.
//! What is wrong with one thing is told, and the rest stands.

use demarc::controls::CATALOG;
use serde_json::{Value, json};

use crate::{
    support::{Said, eventually},
    world::{SOON, World, named, only, spec, workload},
};

fn names(many: usize, prefix: &str) -> Vec<String> {
    (0..many).map(|i| format!("{prefix}{i:03}")).collect()
}

fn own_control(name: &str) -> Value {
    named(
        "Control",
        "demarc.dev/v1alpha1",
        name,
        json!({"title": "No image is called latest", "severity": "high", "kinds": ["Pod"],
        "validations": [{"expression": "!object.spec.containers.exists(c, c.image.endsWith(':latest'))", "message": "an image is called latest"}]}),
    )
}

/// An Ownership of which no list takes one item more.
fn full(own: &[String]) -> Value {
    let evidence = vec![json!({"type": "contract", "ref": "https://docs.example/1", "by": "p000", "validUntil": "2020-01-01T00:00:00Z"}); 8];
    let ids = CATALOG.iter().map(|c| c.id.to_owned()).chain(own.iter().cloned());
    let entry = |id: String| {
        let mut entry =
            json!({"control": id, "owner": "SharedIndependent", "accountable": "p000", "performedBy": names(8, "p"), "evidence": evidence, "providerDoes": "a".repeat(512)});
        if CATALOG.iter().all(|c| c.id != id) {
            entry["params"] = names(16, "param").into_iter().map(|key| (key, json!(names(64, "v")))).collect::<serde_json::Map<_, _>>().into();
        }
        entry
    };
    let controls: Vec<Value> = ids.take(128).map(entry).collect();
    let finding = json!({"title": "t", "severity": "high", "dueDate": "2020-01-01T00:00:00Z"});
    let review = json!({"lastCompleted": "2026-01-01T00:00:00Z", "period": "P99999D", "findings": vec![finding; 64]});
    let duties = ["matrix", "lastAudit", "riskAssessment", "accessReview", "escalationDrill", "penetrationTest", "restoreTest", "training", "mfa"];
    let reviews: serde_json::Map<String, Value> = duties.iter().map(|d| ((*d).to_owned(), review.clone())).collect();
    let level = json!({"party": "p000", "contact": "desk", "coverage": "24x7"});
    json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default", "namespace": "full"}, "spec": {
        "serviceModel": "PaaS", "parties": {"customer": "p000", "provider": "azure", "mssp": "guard", "thirdParties": names(16, "p")},
        "controls": controls, "reviews": reviews, "escalation": {"levels": vec![level; 8]},
        "policy": {
            "images": {"allowedPrefixes": names(64, "r")}, "patch": {"remediationDays": {"critical": 0, "high": 1, "medium": 2, "low": 65535}},
            "exposure": {"allow": names(64, "s"), "internalPaths": names(64, "/")},
            "classification": {"keys": names(8, "k"), "values": names(16, "c"), "cmkRequiredFor": names(16, "c")},
            "encryption": {"annotationKeys": names(8, "k"), "acceptedValues": names(16, "v")}, "admins": {"allowed": names(64, "u")}}}})
}

fn condition(world: &World, namespace: &str, kind: &str) -> String {
    let of = |field: &str| world.field(namespace, "ownership/default", &format!(".status.conditions[?(@.type==\"{kind}\")].{field}"));
    format!("{} {} {}", of("status"), of("reason"), of("message"))
}

fn says(world: &World, namespace: &str, kind: &str, wanted: &str) {
    eventually(&format!("{kind}: {wanted}"), SOON, || match condition(world, namespace, kind) {
        said if said.starts_with(wanted) => Ok(()),
        said => Err(format!("{said}\n{}", world.demarc.as_ref().unwrap().log())),
    });
}

#[test]
fn every_list_may_be_full_and_one_item_more_is_refused() {
    let world = World::start();
    world.plane.kubectl(&["create", "namespace", "full"], None).result().unwrap();
    let own = names(128 - CATALOG.len(), "own-");
    let controls: Vec<Value> = own.iter().map(|name| own_control(name)).collect();
    world.accepts("full", &json!({"apiVersion": "v1", "kind": "List", "items": controls}));
    let apply = |object: &Value| -> Said { world.plane.kubectl(&["apply", "--server-side", "-f", "-"], Some(&object.to_string())) };
    let full = full(&own);
    eventually("every Control is known", SOON, || apply(&full).result());
    says(&world, "full", "Ready", "True Resolved");
    says(&world, "full", "Enforcing", "True");
    let rows: Value = serde_json::from_str(&world.field("full", "ownership/default", ".status.matrix")).unwrap();
    assert!(rows.as_array().unwrap().len() <= 128, "{}", rows.as_array().unwrap().len());
    // What is beyond what a namespace can be asked is shown, and not dropped.
    says(&world, "full", "UnknownControl", "True NotInCatalog");
    world.rejects("full", &workload("Pod", "violator", &spec("nginx:latest", true)), "pod-security-standard");
    for (path, more) in [
        ("/spec/controls", json!({"control": "one-more"})),
        ("/spec/controls/0/performedBy", json!("p")),
        ("/spec/controls/0/evidence", json!({"type": "a", "ref": "b"})),
        ("/spec/parties/thirdParties", json!("p")),
        ("/spec/escalation/levels", json!({"party": "p", "contact": "c"})),
        ("/spec/reviews/mfa/findings", json!({"title": "t", "severity": "low"})),
        ("/spec/policy/images/allowedPrefixes", json!("r")),
        ("/spec/policy/classification/keys", json!("k")),
    ] {
        let patch = json!([{"op": "add", "path": format!("{path}/-"), "value": more}]).to_string();
        let said = world.plane.kubectl(&["patch", "ownership", "default", "-n", "full", "--type=json", "-p", &patch], None);
        assert!(!said.ok && said.err.contains("must have at most"), "{path}: {said:?}");
    }
    world.writes_nothing();
}

#[test]
fn what_lost_its_footing_is_told_and_the_rest_stands() {
    let world = World::start();
    world.accepts("default", &own_control("no-latest"));
    let party = |name: &str| json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Party", "metadata": {"name": name}, "spec": {"role": "Customer", "contacts": [{"address": "desk@example.com"}]}});
    for name in ["acme", "azure"] {
        world.accepts("default", &party(name));
    }
    let mut controls = only(&["pod-security-standard", "responsibility-declared", "risk-assessment-current", "access-review-current", "etcd-encryption-attested"]);
    controls.as_array_mut().unwrap().extend([
        json!({"control": "no-latest", "enforcement": "Deny"}),
        json!({"control": "etcd-encryption-attested", "owner": "Provider", "evidence": [{"type": "a", "ref": "b", "validUntil": "2020-01-01T00:00:00Z"}]}),
    ]);
    // Dates at the end of time and in the past are stored, and told; a period of nothing is refused.
    let reviews = json!({"riskAssessment": {"lastCompleted": "9999-12-29T23:59:59Z", "period": "P1D"}, "accessReview": {"lastCompleted": "0001-01-01T00:00:00Z"}});
    eventually("the Control is known", SOON, || {
        world.apply("default", &named("Ownership", "demarc.dev/v1alpha1", "default", json!({"serviceModel": "PaaS", "controls": [{"control": "no-latest"}]}))).result()
    });
    world.declare("shop", &json!({"controls": controls, "reviews": reviews}));
    for period in ["P0D", "P-1D", "0", "P1Y", ""] {
        let patch = json!({"spec": {"reviews": {"riskAssessment": {"period": period}}}}).to_string();
        let said = world.plane.kubectl(&["patch", "ownership", "default", "-n", "shop", "--type=merge", "-p", &patch], None);
        assert!(!said.ok && said.err.contains("spec.reviews.riskAssessment.period"), "{period}: {said:?}");
    }
    let patch = json!({"spec": {"reviews": {"riskAssessment": {"lastCompleted": "9999-12-30T00:00:00Z"}}}}).to_string();
    let said = world.plane.kubectl(&["patch", "ownership", "default", "-n", "shop", "--type=merge", "-p", &patch], None);
    assert!(!said.ok && said.err.contains("spec.reviews.riskAssessment.lastCompleted") && said.err.contains("write a time before 9999-12-30"), "{said:?}");
    let verdict = |control: &str| world.field("shop", "ownership/default", &format!(".status.matrix[?(@.control==\"{control}\")].verdict"));
    for (control, wanted) in [("risk-assessment-current", "Unknown"), ("access-review-current", "Violated"), ("etcd-encryption-attested", "Violated")] {
        eventually(control, SOON, || if verdict(control) == wanted { Ok(()) } else { Err(verdict(control)) });
    }
    says(&world, "shop", "Ready", "True Resolved");
    world.rejects("shop", &workload("Pod", "violator", &spec("nginx:latest", false)), "no-latest");

    // The Control goes: its id is shown, nothing is refused for it, and the rest is refused as before.
    world.plane.kubectl(&["delete", "control", "no-latest"], None).result().unwrap();
    says(&world, "shop", "UnknownControl", "True NotInCatalog this version does not know no-latest; it is shown, not denied");
    world.accepts("shop", &workload("Pod", "web", &spec("nginx:latest", false)));
    world.rejects("shop", &workload("Pod", "violator", &spec("nginx:latest", true)), "pod-security-standard");
    // The id that is stored may stay, and a new one that nobody knows does not come.
    world.plane.kubectl(&["patch", "ownership", "default", "-n", "shop", "--type=merge", "-p", "{\"spec\":{\"defaultOwner\":\"shop\"}}"], None).result().unwrap();

    // A Party that is named is deleted by nobody, but for who first takes the webhook away.
    let said = world.plane.kubectl(&["delete", "party", "acme"], None);
    assert!(!said.ok && said.err.contains("party acme is named in the Ownership of namespace shop"), "{said:?}");
    world.plane.kubectl(&["delete", "validatingwebhookconfiguration", "demarc"], None).result().unwrap();
    eventually("nobody refuses", SOON, || world.plane.kubectl(&["delete", "party", "acme"], None).result());
    let findings = |wanted: &str| {
        eventually(wanted, SOON, || match world.field("shop", "ownership/default", ".status.findings[*].message") {
            said if said.contains(wanted) => Ok(()),
            said => Err(said),
        });
    };
    findings("spec.parties.customer: there is no Party acme");
    world.plane.kubectl(&["delete", "party", "azure"], None).result().unwrap();
    findings("spec.parties: there is no Party at all: who acts for acme, azure, and how they are reached, is not known");
    eventually("it is not known", SOON, || if verdict("responsibility-declared") == "Unknown" { Ok(()) } else { Err(verdict("responsibility-declared")) });
    world.accepts("default", &party("acme"));
    findings("spec.parties.provider: there is no Party azure");
}

/// Metadata is anybody's, and as long as the API server takes it: nothing of it is told, and nothing fails by it.
#[test]
fn metadata_of_any_length_and_script_hurts_nobody() {
    let world = World::start();
    world.declare("shop", &json!({"controls": only(&["pod-security-standard"])}));
    // 256 KiB are all the annotations that the API server takes.
    let long = format!("\u{202e}\u{1b}[31m{}", "é".repeat(120_000));
    let key = format!("{}.example/{}", "a".repeat(63), "b".repeat(63));
    let meta = json!({"metadata": {"annotations": {"note": long, "newline": "a\nb"}, "labels": {key: "c".repeat(63)}}}).to_string();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &meta).unwrap();
    let patch = |what: &str| world.plane.kubectl(&["patch", what, "-n", "shop", "--type=merge", "--patch-file", file.path().to_str().unwrap()], None);
    for what in ["ownership/default", "namespace/shop"] {
        patch(what).result().unwrap();
    }
    world.rejects("shop", &workload("Pod", "violator", &spec("nginx", true)), "pod-security-standard");
    world.plane.kubectl(&["patch", "ownership", "default", "-n", "shop", "--type=merge", "-p", r#"{"spec":{"defaultOwner":"jo"}}"#], None).result().unwrap();
    let generation = || (world.field("shop", "ownership/default", ".metadata.generation"), world.field("shop", "ownership/default", ".status.observedGeneration"));
    eventually("it is read", SOON, || match generation() {
        (is, read) if is == read => Ok(()),
        other => Err(format!("{other:?}")),
    });
    says(&world, "shop", "Ready", "True Resolved");
    says(&world, "shop", "Enforcing", "True");
    let demarc = world.demarc.as_ref().unwrap();
    let told = [demarc.log(), demarc.get("/metrics"), world.field("shop", "ownership/default", ".status")].concat();
    assert!(!told.contains("éé") && !told.contains('\u{202e}') && !told.contains("bbbb"), "no metadata is told");
    assert!(world.field("shop", "ownership/default", ".status").len() < 256 << 10);
}
