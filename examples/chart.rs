//! Writes what is taken from the code, `charts/demarc/files` and `crds`: custom resource definitions, webhook rules, policies and what is watched.
//! `make chart`; the tests compare the same `files()` with what is committed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use demarc::{
    api::{Declaration, GROUP},
    controller::install,
    run,
};
use serde_json::{Value, json};

/// The templates put the release's own in its place.
pub const USERNAME: &str = "system:serviceaccount:demarc-system:demarc";
const MARK: &str = "# Generated from the code by `make chart`; not edited by hand.\n";

/// Each file below `files`, and its text.
pub fn files() -> anyhow::Result<Vec<(String, String)>> {
    let mut files: Vec<(String, String)> = crds()?.into_iter().map(|(name, text)| (format!("crds/{name}"), text)).collect();
    files.push(("webhook.yaml".to_owned(), yaml(&webhook())?));
    files.push(("policies.yaml".to_owned(), yaml(&json!({"items": install::policies(USERNAME)}))?));
    files.push(("watched.yaml".to_owned(), yaml(&json!({"rules": reads()}))?));
    Ok(files)
}

/// The definitions, a file each: for the chart, and for `crds/`.
fn crds() -> anyhow::Result<Vec<(String, String)>> {
    Declaration::ALL.iter().map(|d| Ok((format!("{GROUP}_{}.yaml", d.plural()), install::crd_yaml(*d)?))).collect()
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
    let write = |path: PathBuf, text: String| std::fs::write(&path, text).map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()));
    for (name, text) in files()? {
        write(chart.join("files").join(name), text)?;
    }
    for (name, text) in crds()? {
        write(chart.join("../../crds").join(name), text)?;
    }
    Ok(())
}
