//! Writes what the chart takes from the code, `charts/demarc/files`: custom resource definitions, webhook rules, policies and what is watched.
//! `make chart`; the tests compare the same `files()` with what is committed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use demarc::{controller::install, run};
use serde_json::{Value, json};

/// The templates put the release's own in its place.
pub const USERNAME: &str = "system:serviceaccount:demarc-system:demarc";
const MARK: &str = "# Generated from the code by `make chart`; not edited by hand.\n";

/// Each file below `files`, and its text.
pub fn files() -> anyhow::Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("crds/demarc.dev_ownerships.yaml", install::crds_yaml()?),
        ("webhook.yaml", yaml(&webhook())?),
        ("policies.yaml", yaml(&json!({"items": install::policies(USERNAME)}))?),
        ("watched.yaml", yaml(&json!({"rules": reads()}))?),
    ])
}

fn yaml(value: &Value) -> anyhow::Result<String> {
    Ok(format!("{MARK}{}", serde_saphyr::to_string(value)?))
}

fn webhook() -> Value {
    let configuration = install::webhook_configuration("", "");
    let optional: BTreeMap<&str, Value> = demarc::model::subject::Kind::DRIFT_ONLY.iter().map(|kind| (kind.name(), install::rule_for(*kind))).collect();
    json!({
        "rules": install::rules(),
        "optionalRules": optional,
        "matchConditions": configuration["webhooks"][0]["matchConditions"],
        "declarationConditions": configuration["webhooks"][1]["matchConditions"],
        "declarationRules": configuration["webhooks"][1]["rules"],
        "systemNamespaces": install::SYSTEM_NAMESPACES,
    })
}

/// One rule a group, for what `run` watches.
fn reads() -> Vec<Value> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (_, resource) in run::watched() {
        groups.entry(resource.group).or_default().push(resource.plural);
    }
    groups.into_iter().map(|(group, resources)| json!({"apiGroups": [group], "resources": resources, "verbs": ["list", "watch"]})).collect()
}

fn main() -> anyhow::Result<()> {
    let chart = std::env::args().nth(1).map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/demarc"), PathBuf::from);
    for (name, text) in files()? {
        let path = chart.join("files").join(name);
        std::fs::write(&path, text).map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}
