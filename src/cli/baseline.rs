//! The baseline of `demarc check`: findings that stood before, in a file beside the manifests, so that a pipeline fails only on what is new.
//! A finding is known again by control, object, place and what offends; neither its line nor its wording counts, and no value is written down.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    manifest::{Bad, MAX_FILE},
    report::Finding,
};
use crate::model::text::shown;

const VERSION: u32 = 1;

/// What a finding is known by: 32 hexadecimal digits.
pub fn id(control: &str, namespace: &str, object: &str, path: &str, fingerprint: &str) -> String {
    let mut hash = Sha256::new();
    for part in [control, namespace, object, path, fingerprint] {
        // With its length, so that no two ways of cutting look alike.
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(16).fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

/// The file. What stands beside the ids is for people.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    findings: BTreeMap<String, String>,
}

/// The ids of what stood before.
///
/// # Errors
/// The file is none that [`write()`] made.
pub fn read(path: &Path) -> Result<BTreeSet<String>, Bad> {
    let name = path.to_string_lossy();
    let advice = "; write it anew with --write-baseline";
    let length = std::fs::metadata(path).map_err(|e| Bad::file(&name, format_args!("cannot be read ({e}){advice}")))?.len();
    if length > MAX_FILE {
        return Err(Bad::file(&name, format_args!("is larger than {} MiB{advice}", MAX_FILE >> 20)));
    }
    let text = std::fs::read_to_string(path).map_err(|e| Bad::file(&name, format_args!("cannot be read ({e}){advice}")))?;
    let document: Document = serde_json::from_str(&text).map_err(|e| Bad::file(&name, format_args!("is no baseline ({}){advice}", shown(&e.to_string(), 200))))?;
    if document.version != VERSION {
        return Err(Bad::file(&name, format_args!("is a baseline of version {}, and this program reads version {VERSION}{advice}", document.version)));
    }
    Ok(document.findings.into_keys().collect())
}

/// Writes down what stands now, sorted, so that two runs write the same.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, findings: &[Finding]) -> Result<(), Bad> {
    let say = |f: &Finding| (f.id.clone(), format!("{} {} {}", f.control, f.object, f.path));
    let document = Document { version: VERSION, findings: findings.iter().filter(|f| f.violated()).map(say).collect() };
    let failed = |e: &dyn std::fmt::Display| Bad::file(&path.to_string_lossy(), format_args!("cannot be written ({e}); name a file in a folder that is there"));
    let text = serde_json::to_string_pretty(&document).map_err(|e| failed(&e))?;
    std::fs::write(path, text + "\n").map_err(|e| failed(&e))
}
