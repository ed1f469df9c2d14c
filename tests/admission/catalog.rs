//! Every control that judges an object, once each way that a verdict can be: through the webhook, drift and `check`.
//! The objects are in tests/data/catalog.yaml, which tests/cluster runs on a real API server.

use demarc::{
    api::ownership::Verdict,
    controls::{CATALOG, Check},
};

use super::*;

fn ask(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap();
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u-1", "kind": {"group": group, "version": "v1", "kind": object["kind"]},
        "namespace": "shop", "operation": "CREATE", "userInfo": {"username": "alice"}, "object": object}})
    .to_string()
}

/// The namespace, what it asks for, what stands beside, and perhaps a Waiver.
fn declarations(row: &Value, waived: bool) -> Vec<Value> {
    let id = &row["control"];
    let mut controls: Vec<Value> = CATALOG.iter().filter(|c| c.id != id).map(|c| json!({"control": c.id, "enforcement": "Off"})).collect();
    controls.push(json!({"control": id, "owner": "Customer", "enforcement": "Deny"}));
    let policy = if row["policy"].is_null() { json!({}) } else { row["policy"].clone() };
    let ours = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "demarc.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "shop", "uid": name, "creationTimestamp": "2026-03-01T00:00:00Z"}, "spec": spec});
    let mut all = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "uid": "shop"}}),
        ours("Ownership", "default", json!({"serviceModel": "PaaS", "parties": {"customer": "acme"}, "controls": controls, "policy": policy})),
    ];
    all.extend(row["facts"].as_array().into_iter().flatten().enumerate().map(|(i, fact)| placed(fact, &format!("fact-{i}"))));
    if waived {
        let target = json!({"kind": row["bad"]["kind"], "name": row["bad"]["metadata"]["name"]});
        let approval = json!({"by": "sam", "at": "2026-03-02T00:00:00Z"});
        all.push(ours("Waiver", "let", json!({"control": id, "target": target, "reason": "a", "requestedBy": "jo", "expires": "2026-05-01T00:00:00Z", "approval": approval})));
    }
    all
}

fn placed(object: &Value, uid: &str) -> Value {
    let mut object = object.clone();
    object["metadata"]["uid"] = json!(uid);
    if !matches!(object["kind"].as_str(), Some("StorageClass" | "Roster")) {
        object["metadata"]["namespace"] = json!("shop");
    }
    object
}

#[tokio::test]
async fn every_control_of_objects_says_each_verdict_through_every_door() {
    let rows: Vec<Value> = serde_saphyr::from_str(&std::fs::read_to_string("tests/data/catalog.yaml").unwrap()).unwrap();
    let told: Vec<&str> = rows.iter().map(|row| row["control"].as_str().unwrap()).collect();
    let of_objects: Vec<&str> = CATALOG.iter().filter(|c| matches!(c.check, Check::Object(_))).map(|c| c.id).collect();
    assert_eq!(told, of_objects, "every control that judges objects stands in tests/data/catalog.yaml, in the catalog's order");
    for row in &rows {
        let id = row["control"].as_str().unwrap();
        let cases = [
            ("good", Verdict::Satisfied, false),
            ("bad", Verdict::Violated, false),
            ("bad", Verdict::Waived, true),
            ("unknown", Verdict::Unknown, false),
            ("none", Verdict::NotApplicable, false),
        ];
        for (which, verdict, waived) in cases {
            if row[which].as_str().is_some_and(|reason| !reason.is_empty()) {
                continue;
            }
            let what = format!("{id}, {which}, {verdict}");
            let (declarations, object) = (declarations(row, waived), placed(&row[which], "new"));
            let index = Index::default();
            for document in &declarations {
                feed(&index, document.clone());
            }
            index.settle();
            index.shared.set_ready(true);
            let (_, review) = post(&routes(edge(&index)), "/workloads", "application/json", ask(&object)).await;
            let response = &review["response"];
            assert_eq!(response["allowed"], verdict != Verdict::Violated, "{what}: {response}");
            assert_eq!(response["warnings"].as_array().map_or(0, Vec::len), usize::from(waived), "{what}: {response}");
            if verdict == Verdict::Violated {
                assert_eq!(response["status"]["details"]["causes"][0]["reason"], id, "{what}: {response}");
            }

            feed(&index, object.clone());
            index.settle();
            let book = index.shared.book.load_full();
            let Some(Promise::Declared(matrix)) = book.promises.get("shop") else { panic!("{what}") };
            let report = drift::report(&book.namespaces["shop"], matrix, index.shared.objects().room("shop").unwrap(), &book.facts, now());
            assert_eq!(report.verdicts[demarc::controls::find(id).unwrap()], verdict, "{what}: {:?}", report.drift);

            let folder = tempfile::tempdir().unwrap();
            for (i, document) in declarations.iter().chain([&object]).enumerate() {
                std::fs::write(folder.path().join(format!("{i}.json")), document.to_string()).unwrap();
            }
            let args = <CheckCommand as clap::Parser>::parse_from(["check", "-f", folder.path().to_str().unwrap(), "--show-unknown"]).args;
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let code = demarc::cli::check::run(&args, &mut std::io::empty(), &mut |_: &str, _: &_| unreachable!(), &mut out, &mut err, now()).unwrap();
            let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
            let level = match verdict {
                Verdict::Violated => Some("error"),
                Verdict::Unknown => Some("note"),
                Verdict::Waived => Some("waived"),
                Verdict::Satisfied | Verdict::NotApplicable | Verdict::Inherited => None,
            };
            assert_eq!(code, u8::from(verdict == Verdict::Violated), "{what}: {out}{err}");
            match level {
                Some("waived") => assert!(out.contains(&format!("[{id}]")) && out.contains("let"), "{what}: {out}"),
                Some(level) => assert!(out.contains(&format!("{level}[{id}]")), "{what}: {out}"),
                None => assert!(!out.contains(&format!("[{id}]")), "{what}: {out}"),
            }
        }
    }
}
