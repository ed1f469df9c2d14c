//! Users' own controls mean what they mean in a ValidatingAdmissionPolicy: the corpus of tests/data/cel, run by a real API server.
//! Each line says what Demarc answers (its unit tests hold it to that) and what the API server answers, which is held to here.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

use crate::{
    support::{ControlPlane, eventually},
    world::{SOON, World, only, spec, workload},
};

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

#[test]
fn a_control_of_ones_own_is_enforced_and_reported_and_gone_again() {
    let world = World::start();
    let replicas = |name: &str, replicas: u8| {
        let mut deployment = workload("Deployment", name, &spec("nginx", false));
        deployment["spec"]["replicas"] = json!(replicas);
        deployment
    };
    let control = |expression: &str| {
        json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Control", "metadata": {"name": "two-replicas"}, "spec": {
            "title": "Two run at least", "severity": "medium", "enforcement": "Deny", "kinds": ["Deployment"],
            "validations": [{"expression": expression, "message": "too few", "messageExpression": "'only ' + string(object.spec.replicas)"}]}})
    };
    world.declare("shop", &json!({"controls": only(&[])}));
    world.accepts("shop", &replicas("stood", 1));
    world.rejects("shop", &control("object.spec.replicas"), "it must say true or false");
    world.accepts("shop", &control("object.spec.replicas >= 2"));
    // What was there before the control is read whole and reported, and spared.
    eventually("drift of what stood", SOON, || match world.field("shop", "ownership/default", ".status.findings") {
        said if said.contains("only 1") && said.contains("two-replicas") && said.contains("\"grandfathered\":true") => Ok(()),
        said => Err(said),
    });
    world.rejects("shop", &replicas("violator", 1), "two-replicas");
    world.accepts("shop", &replicas("fine", 2));
    let table = world.plane.kubectl(&["get", "controls"], None).result().unwrap();
    assert!(table.contains("two-replicas") && table.contains("SEVERITY") && table.contains("medium"), "{table}");
    assert!(world.plane.kubectl(&["explain", "control.spec.validations.expression"], None).result().unwrap().contains("namespaceObject"));
    // A tighter one spares what stood under the looser one.
    world.accepts("shop", &control("object.spec.replicas >= 3"));
    eventually("the tighter one", SOON, || {
        let said = world.plane.kubectl(&["create", "--dry-run=server", "-n", "shop", "-f", "-"], Some(&replicas("violator", 2).to_string()));
        if said.err.contains("only 2") { Ok(()) } else { Err(format!("{said:?}")) }
    });
    eventually("it is recorded", SOON, || match world.field("shop", "ownership/default", ".status.findings[?(@.object==\"deployment/fine\")].grandfathered") {
        said if said == "true" => Ok(()),
        said => Err(said),
    });
    let annotated = world.plane.kubectl(&["patch", "deployment", "fine", "-n", "shop", "-p", r#"{"spec":{"template":{"metadata":{"annotations":{"release":"2"}}}}}"#], None);
    assert!(annotated.ok && annotated.err.contains("stood before"), "{annotated:?}");
    world.plane.kubectl(&["delete", "control", "two-replicas"], None).result().unwrap();
    eventually("nothing is asked", SOON, || world.apply("shop", &replicas("free", 1)).result());
    eventually("nothing is reported", SOON, || match world.field("shop", "ownership/default", ".status.findingsTotal") {
        said if said == "0" => Ok(()),
        said => Err(said),
    });
}
