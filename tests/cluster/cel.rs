//! Users' own controls mean what they mean in a ValidatingAdmissionPolicy: the corpus of tests/data/cel, run by a real API server.
//! Each line says what Demarc answers (its unit tests hold it to that) and what the API server answers, which is held to here.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

use crate::support::{ControlPlane, eventually};
use crate::world::SOON;

/// So many expressions a policy.
const BATCH: usize = 60;

fn policy(name: &str, expressions: &[(usize, &str)]) -> Value {
    let mut validations: Vec<Value> = expressions.iter().map(|(line, e)| json!({"expression": e, "message": line.to_string()})).collect();
    // It never holds: where it is told, the policy is active, and so are the others.
    validations.push(json!({"expression": "object.metadata.name == ''", "message": "active"}));
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": {
            "failurePolicy": "Fail",
            "paramKind": {"apiVersion": "demarc.test/v1", "kind": "Thing"},
            "matchConstraints": {"resourceRules": [{"apiGroups": ["demarc.test"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["things"], "resourceNames": [name]}]},
            "validations": validations}},
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": {
            "policyName": name, "validationActions": ["Audit"],
            "paramRef": {"name": "params", "namespace": "default", "parameterNotFoundAction": "Deny"}}}]})
}

/// What the API server says of each expression.
fn asked(plane: &ControlPlane, object: &Value, name: &str, expressions: &[(usize, &str)]) -> BTreeMap<usize, &'static str> {
    let mut said = BTreeMap::new();
    let mut rest: Vec<(usize, &str)> = expressions.to_vec();
    // What does not compile is told by its place; without it the others are taken.
    loop {
        let made = plane.kubectl(&["apply", "-f", "-"], Some(&policy(name, &rest).to_string()));
        if made.ok {
            break;
        }
        let refused: Vec<usize> = made.err.split("spec.validations[").skip(1).filter_map(|s| s.split(']').next()?.parse().ok()).collect();
        if refused.is_empty() {
            // Some that do not compile make the API server panic: found by halving.
            assert!(made.err.contains("INTERNAL_ERROR"), "{made:?}");
            let (one, other) = rest.split_at(rest.len() / 2);
            if one.is_empty() {
                said.extend(other.iter().map(|(line, _)| (*line, "refused")));
            } else {
                said.extend(asked(plane, object, &format!("{name}a"), one));
                said.extend(asked(plane, object, &format!("{name}b"), other));
            }
            return said;
        }
        if std::env::var_os("DEMARC_TOLD").is_some() {
            eprintln!("{}", made.err);
        }
        rest = rest
            .into_iter()
            .enumerate()
            .filter(|(i, (line, _))| {
                if refused.contains(i) {
                    said.insert(*line, "refused");
                }
                !refused.contains(i)
            })
            .map(|(_, e)| e)
            .collect();
    }
    let mut object = object.clone();
    object["metadata"]["name"] = json!(name);
    let failures = eventually(name, SOON, || {
        plane.kubectl(&["create", "--dry-run=server", "-f", "-"], Some(&object.to_string())).result()?;
        let event = plane.audit().into_iter().rev().find(|e| e["objectRef"]["name"] == name && e["objectRef"]["resource"] == "things").ok_or("no event")?;
        let told = event["annotations"]["validation.policy.admission.k8s.io/validation_failure"].as_str().ok_or("nothing failed")?.to_owned();
        let failures: Vec<Value> = serde_json::from_str(&told).map_err(|e| e.to_string())?;
        if failures.iter().any(|f| f["message"] == "active") { Ok(failures) } else { Err(told) }
    });
    for (i, (line, _)) in rest.iter().enumerate() {
        let failure = failures.iter().find(|f| f["expressionIndex"] == json!(i.to_string()) || f["expressionIndex"] == json!(i));
        let word = match failure {
            None => "holds",
            Some(f) if f["message"] == json!(line.to_string()) => "fails",
            Some(f) => {
                if std::env::var_os("DEMARC_TOLD").is_some() {
                    eprintln!("{f}");
                }
                "error"
            }
        };
        said.insert(*line, word);
    }
    said
}

#[test]
fn an_expression_means_what_it_means_to_the_api_server() {
    let plane = ControlPlane::start();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cel");
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.demarc.test"}, "spec": {
        "group": "demarc.test", "scope": "Namespaced", "names": {"kind": "Thing", "plural": "things", "singular": "thing"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}});
    plane.kubectl(&["create", "-f", "-"], Some(&crd.to_string())).result().unwrap();
    let read = |name: &str| -> Value { serde_json::from_str(&fs::read_to_string(folder.join(name)).unwrap()).unwrap() };
    let object = read("object.json");
    eventually("params", SOON, || plane.kubectl(&["create", "-f", "-"], Some(&read("params.json").to_string())).result());
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "cel")).collect();
    files.sort();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let lines: Vec<(usize, &str, &str, &str)> = text
            .lines()
            .enumerate()
            .filter(|(_, l)| !l.starts_with('#') && !l.is_empty())
            .map(|(i, l)| {
                let (ours, rest) = l.split_once(' ').unwrap();
                let (theirs, expression) = rest.trim_start().split_once(' ').unwrap();
                (i, ours, theirs, expression.trim_start())
            })
            .collect();
        let mut said = BTreeMap::new();
        for (batch, some) in lines.chunks(BATCH).enumerate() {
            let some: Vec<(usize, &str)> = some.iter().map(|(i, _, _, e)| (*i, *e)).collect();
            said.extend(asked(&plane, &object, &format!("{stem}-{batch}"), &some));
        }
        for (i, _, theirs, expression) in &lines {
            count += 1;
            if said[i] != *theirs {
                wrong.push(format!("{stem}:{} {} (not {theirs}) {expression}", i + 1, said[i]));
            }
        }
        if std::env::var_os("DEMARC_BLESS").is_some() {
            let blessed = text.lines().enumerate().map(|(i, l)| match lines.iter().find(|(n, ..)| *n == i) {
                Some((_, ours, _, expression)) => format!("{ours:<7} {:<7} {expression}\n", said[&i]),
                None => format!("{l}\n"),
            });
            fs::write(&file, blessed.collect::<String>()).unwrap();
        }
    }
    assert!(count >= 200, "{count} expressions");
    assert!(wrong.is_empty() || std::env::var_os("DEMARC_BLESS").is_some(), "{}", wrong.join("\n"));
}
