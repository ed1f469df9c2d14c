//! `demarc doctor` on a real API server: each way in which an installation can be ill, what it says, and what it advises.
//! What is not to be had here, a cluster that is too old, is in the table beside the judgement.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    support::{ControlPlane, eventually},
    world::{SOON, World, binary},
};

struct Told {
    code: Option<i32>,
    out: String,
    err: String,
}

fn doctor(kubeconfig: &Path, args: &[&str]) -> Told {
    let output = Command::new(binary()).arg("doctor").args(args).env("KUBECONFIG", kubeconfig).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Told { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// The exit code, and each of these in the output.
fn tells(plane: &ControlPlane, args: &[&str], code: i32, expected: &[&str]) {
    eventually(&format!("{expected:?}"), SOON, || {
        let told = doctor(&plane.kubeconfig(), args);
        let lines_fit = told.out.lines().all(|l| l.len() < 900);
        if told.code == Some(code) && lines_fit && expected.iter().all(|e| told.out.contains(e)) { Ok(()) } else { Err(format!("{:?}\n{}{}", told.code, told.out, told.err)) }
    });
}

#[test]
fn where_nothing_is_enrolled_it_is_told_all_the_same_that_nobody_leads() {
    let mut world = World::start();
    world.declare("quiet", &json!({"mode": "Audit"}));
    tells(&world.plane, &[], 0, &["ok    leader: replica one", "0 namespaces enrolled, 0 problems"]);
    world.demarc.take().unwrap().kill();
    // A minute and more later.
    let then = (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(3)).strftime("%FT%T.000000Z").to_string();
    let kubectl = |args: &[&str]| world.plane.kubectl(args, None).result().unwrap();
    kubectl(&["patch", "lease", "demarc", "-n", "kube-system", "--type=merge", "-p", &json!({"spec": {"renewTime": then}}).to_string()]);
    let nobody = "FAIL  nobody leads, so no namespace is enrolled and nothing is told of any: lease demarc in namespace kube-system";
    tells(&world.plane, &[], 1, &[&format!("{nobody} was last renewed 3 min ago"), "do: kubectl -n kube-system get pods", "0 namespaces enrolled, 1 problem"]);
    // As after an install whose pods never came up.
    kubectl(&["delete", "lease", "demarc", "-n", "kube-system"]);
    tells(&world.plane, &[], 1, &[&format!("{nobody} is not there")]);
}

#[test]
fn the_doctor_names_each_illness_and_what_to_do() {
    let plane = ControlPlane::start();
    tells(&plane, &[], 1, &["FAIL  Demarc is not installed in this cluster", "do: helm upgrade --install", "0 namespaces enrolled, 1 problem"]);
    let demarc = Some(plane.demarc_with(binary(), "one", &plane.kubeconfig(), &["--probe-every", "1"]));
    let mut world = World { demarc, plane };
    tells(&world.plane, &[], 0, &["ok    webhook \"demarc\": Fail, 5 s, enrolment selector, CA until", "ok    leader: replica one", "no namespace is enrolled", "0 problems"]);
    world.declare("shop", &json!({}));
    tells(
        &world.plane,
        &[],
        0,
        &["ok    API server v1.", ", as admin", "proof: namespace shop refused a dry run", "(replica one, generation 1)", "refused just now in namespace shop, by replica one"],
    );
    let told = doctor(&world.plane.kubeconfig(), &["-o", "json"]);
    let report: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!((&report["ok"], &report["enrolled"], &report["problems"]), (&json!(true), &json!(1), &json!(0)), "{report}");
    assert_eq!(told.err, "", "no progress without a terminal");

    // Whoever may see nothing is told so, and nothing is called well.
    tells(
        &world.plane,
        &["--context", "alice"],
        2,
        &["as alice", "?     custom resource definitions cannot be seen", "?     the webhook configuration cannot be seen", "not visible"],
    );
    let told = doctor(&world.plane.kubeconfig(), &["--context", "nobody"]);
    assert_eq!((told.code, told.out.as_str()), (Some(2), ""), "{}", told.err);
    let nowhere = world.plane.kubeconfig_of("nowhere", "x");
    std::fs::write(&nowhere, std::fs::read_to_string(&nowhere).unwrap().replace("https://localhost:", "https://localhost:1")).unwrap();
    let told = doctor(&nowhere, &[]);
    assert!(told.code == Some(2) && told.err.contains("error: "), "{}", told.err);

    let kubectl = |args: &[&str]| world.plane.kubectl(args, None).result().unwrap();
    let put = |object: &Value| world.plane.kubectl(&["replace", "--force", "-f", "-"], Some(&object.to_string())).result().unwrap();
    let get = |object: &str| serde_json::from_str::<Value>(&kubectl(&["get", object, "-o", "json"])).unwrap();
    let well = || tells(&world.plane, &[], 0, &["1 namespace enrolled, 0 problems"]);

    let policy = get("validatingadmissionpolicy/demarc-enrolment");
    kubectl(&["delete", "validatingadmissionpolicy", "demarc-enrolment"]);
    tells(&world.plane, &[], 1, &["FAIL  ValidatingAdmissionPolicy demarc-enrolment is gone", "(PolicyMissing)"]);
    put(&policy);
    well();
    let webhook = get("validatingwebhookconfiguration/demarc");
    let mut second = webhook.clone();
    second["metadata"] = json!({"name": "demarc-old"});
    world.plane.kubectl(&["create", "-f", "-"], Some(&second.to_string())).result().unwrap();
    tells(&world.plane, &[], 1, &["FAIL  2 configurations have a webhook workloads.demarc.dev: demarc, demarc-old"]);
    kubectl(&["delete", "validatingwebhookconfiguration", "demarc-old"]);
    well();
    let weak = r#"[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]"#;
    kubectl(&["patch", "validatingwebhookconfiguration", "demarc", "--type=json", "-p", weak]);
    tells(&world.plane, &[], 1, &["(FailurePolicyChanged)", "FAIL  namespace shop: failurePolicy of workloads.demarc.dev is not Fail"]);
    kubectl(&["delete", "validatingwebhookconfiguration", "demarc"]);
    tells(&world.plane, &[], 1, &["nothing is refused anywhere", "was it turned off on purpose?", "so enforcement is failing open", "(WebhookMissing, for"]);
    let mut webhook = webhook;
    webhook["metadata"] = json!({"name": "demarc"});
    world.plane.kubectl(&["create", "-f", "-"], Some(&webhook.to_string())).result().unwrap();
    well();

    // Under a Baseline alone there is no Ownership to tell it.
    let gold = json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Baseline", "metadata": {"name": "gold"}, "spec": {"namespaceSelector": {"matchLabels": {"tier": "gold"}}, "undeclared": "Warn"}});
    world.plane.kubectl(&["apply", "-f", "-"], Some(&gold.to_string())).result().unwrap();
    world.plane.kubectl(&["create", "-f", "-"], Some(r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bare", "labels": {"tier": "gold"}}}"#)).result().unwrap();
    tells(&world.plane, &[], 0, &["2 namespaces enrolled, 0 problems"]);
    kubectl(&["delete", "validatingwebhookconfiguration", "demarc"]);
    tells(&world.plane, &[], 1, &["FAIL  baseline gold: 1 of 1 namespace: WebhookMissing: ", "do: kubectl describe baseline gold"]);
    world.plane.kubectl(&["create", "-f", "-"], Some(&webhook.to_string())).result().unwrap();
    kubectl(&["delete", "namespace", "bare", "--wait=false"]);
    kubectl(&["delete", "baseline", "gold"]);
    well();

    // The label goes while Demarc is gone, so that nobody puts it back.
    world.demarc.take().unwrap().kill();
    tells(&world.plane, &[], 1, &["the API server cannot ask Demarc, so nothing new is admitted", "enforcement was last proven", "somebody must lead"]);
    world.plane.kubectl(&["delete", "lease", "demarc-proof", "-n", "kube-system"], None).result().unwrap();
    tells(&world.plane, &[], 1, &["FAIL  enforcement has never been proven"]);
    world.plane.kubectl(&["label", "namespace", "shop", "demarc.dev/admission-"], None).result().unwrap();
    tells(&world.plane, &[], 1, &["FAIL  namespace shop is declared but not enrolled for", "label demarc.dev/admission is missing"]);

    let shorter = r#"[{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/defaultOwner"}]"#;
    world.plane.kubectl(&["patch", "crd", "ownerships.demarc.dev", "--type=json", "-p", shorter], None).result().unwrap();
    tells(&world.plane, &[], 1, &["FAIL  custom resources: not as this version writes them: ownerships", "demarc crds | kubectl apply"]);
    world.plane.kubectl(&["delete", "crd", "rosters.demarc.dev"], None).result().unwrap();
    tells(&world.plane, &[], 1, &["FAIL  custom resources: missing rosters"]);
}
