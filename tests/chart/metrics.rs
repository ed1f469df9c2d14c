//! What the chart's alerts and its dashboard ask for is what the code exports, and nobody gets either unasked.
//! That an expression is one is promtool's to say (alerts.rs); here it is asked what it names.

use std::{collections::BTreeMap, sync::Arc};

use demarc::{
    admission::tls::Pair,
    controller::index::Index,
    metrics::{Metrics, page},
    policy::tally::{Answered, Route},
};
use serde_json::Value;

use crate::helm::{FULL, find, rendered};

/// Each series that the code exports, with its labels.
fn exported() -> BTreeMap<String, String> {
    let index = Arc::new(Index::default());
    index.shared.tally.reviewed(Route::Workloads, Answered::Denied, std::time::Duration::from_millis(1));
    let (_, mandate) = tokio::sync::watch::channel(None);
    let text = page(Arc::new(Metrics { index, watches: Vec::new(), mandate, pair: Arc::new(Pair::none()), traces: demarc::traces::Traces::default() })).unwrap();
    let mut series = BTreeMap::new();
    for (name, kind) in text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split_once(' ')) {
        let parts: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        series.extend(parts.iter().map(|part| (format!("{name}{part}"), kind.to_owned())));
    }
    assert!(text.ends_with("# EOF\n") && series.len() > 10, "{text}");
    series
}

/// The metrics that an expression names.
fn named(expression: &str) -> Vec<&str> {
    expression.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| word.starts_with("demarc_")).collect()
}

fn check(expression: &str, exported: &BTreeMap<String, String>) {
    let names = named(expression);
    assert!(!names.is_empty(), "{expression} asks for nothing of Demarc");
    for name in names {
        assert!(exported.contains_key(name), "{expression}: {name} is not exported: {:?}", exported.keys());
    }
    // A counter and a bucket say nothing by themselves.
    for name in named(expression).into_iter().filter(|n| n.ends_with("_total") || n.ends_with("_bucket")) {
        let before = expression.split(name).next().unwrap();
        assert!(before.ends_with("rate(") || before.ends_with("increase("), "{expression}: {name} without rate");
    }
}

#[test]
fn alerts_and_dashboard_ask_for_what_is_exported() {
    let (exported, objects) = (exported(), rendered(FULL));
    let of = |kind: &str| objects.iter().find(|o| o["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"));
    let rules = of("PrometheusRule")["spec"]["groups"][0]["rules"].as_array().unwrap().clone();
    assert!(rules.len() >= 8);
    for rule in &rules {
        check(rule["expr"].as_str().unwrap(), &exported);
        assert!(["warning", "critical"].iter().any(|s| rule["labels"]["severity"] == *s) && rule["annotations"]["summary"].is_string(), "{rule}");
    }
    let dashboard = objects.iter().find(|o| o["data"]["demarc.json"].is_string()).unwrap();
    assert_eq!(dashboard["metadata"]["labels"]["grafana_dashboard"], "1");
    let dashboard: Value = serde_json::from_str(dashboard["data"]["demarc.json"].as_str().unwrap()).unwrap();
    let targets: Vec<&Value> = dashboard["panels"].as_array().unwrap().iter().flat_map(|p| p["targets"].as_array().unwrap()).collect();
    for target in &targets {
        check(target["expr"].as_str().unwrap(), &exported);
    }
    // Whatever is exported is shown somewhere.
    let asked: Vec<&str> = targets.iter().flat_map(|t| named(t["expr"].as_str().unwrap())).collect();
    for name in exported.keys().filter(|n| !n.ends_with("_sum") && !n.ends_with("_count")) {
        assert!(asked.contains(&name.as_str()), "{name} is on no panel");
    }
}

#[test]
fn the_monitor_selects_the_service_that_leads_to_the_admin_port_and_all_of_it_is_off_unasked() {
    let objects = rendered(FULL);
    let monitor = objects.iter().find(|o| o["kind"] == "ServiceMonitor").unwrap();
    let selected = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
    let meets = |o: &&Value| selected.iter().all(|(key, value)| o["metadata"]["labels"][key] == *value);
    let services: Vec<&Value> = objects.iter().filter(|o| o["kind"] == "Service").filter(meets).collect();
    assert_eq!(services.len(), 1, "not the webhook's, which is TLS");
    let port = &services[0]["spec"]["ports"][0];
    assert_eq!((&port["name"], &port["targetPort"]), (&monitor["spec"]["endpoints"][0]["port"], &serde_json::json!("admin")));
    assert_eq!((&monitor["spec"]["endpoints"][0]["path"], &monitor["metadata"]["labels"]["release"]), (&serde_json::json!("/metrics"), &serde_json::json!("monitoring")));
    let plain = rendered(&[]);
    find(&plain, "Service demarc");
    assert!(plain.iter().all(|o| !["ServiceMonitor", "PrometheusRule", "ConfigMap"].iter().any(|kind| o["kind"] == *kind)));
}
