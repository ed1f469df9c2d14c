//! The chart's alerts by real promtool: they parse, and each fires when it should and not before (alerts.yaml).
//! The dashboard's queries go through the same parser.

use std::{collections::BTreeSet, path::Path};

use serde_json::{Value, json};

use crate::{
    helm::{FULL, rendered, tool},
    support::Said,
};

fn promtool(folder: &Path, args: &[&str]) -> Said {
    let output = tool("promtool").current_dir(folder).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}

/// A folder with this as rules.yaml: JSON is YAML.
fn folder(rules: &Value) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), rules.to_string()).unwrap();
    dir
}

#[test]
fn each_alert_fires_when_it_should_and_not_before() {
    let objects = rendered(FULL);
    let spec = &objects.iter().find(|o| o["kind"] == "PrometheusRule").unwrap()["spec"];
    let dir = folder(spec);
    promtool(dir.path(), &["check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"]).result().unwrap();
    let cases = include_str!("alerts.yaml");
    std::fs::write(dir.path().join("cases.yaml"), cases).unwrap();
    let said = promtool(dir.path(), &["test", "rules", "cases.yaml"]);
    assert!(said.ok, "{}{}", said.out, said.err);
    // Each one fires somewhere.
    let fired: BTreeSet<&str> = cases.split("ALERTS{alertname=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let rules = spec["groups"][0]["rules"].as_array().unwrap();
    assert_eq!(fired, rules.iter().map(|rule| rule["alert"].as_str().unwrap()).collect());
    // The oracle can see: an alert that never fires fails its case.
    let mut deaf = spec.clone();
    deaf["groups"][0]["rules"][0]["expr"] = json!("vector(0) > 1");
    std::fs::write(dir.path().join("rules.yaml"), deaf.to_string()).unwrap();
    assert!(!promtool(dir.path(), &["test", "rules", "cases.yaml"]).ok);
}

#[test]
fn the_dashboards_queries_are_promql() {
    let objects = rendered(FULL);
    let dashboard = objects.iter().find_map(|o| o["data"]["demarc.json"].as_str()).unwrap();
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    let queries = dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let rules: Vec<Value> = queries.enumerate().map(|(i, query)| json!({"record": format!("query:{i}"), "expr": query["expr"]})).collect();
    assert!(rules.len() > 10, "{rules:?}");
    let dir = folder(&json!({"groups": [{"name": "dashboard", "rules": rules}]}));
    promtool(dir.path(), &["check", "rules", "--lint=none", "rules.yaml"]).result().unwrap();
}
