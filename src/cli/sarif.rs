//! The report of `demarc check` as SARIF 2.1.0, for the code-scanning pages that read it.
//! Source: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html>.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::report::{Finding, Report};
use crate::{
    api::ownership::Severity,
    controls::{CATALOG, Control},
};

/// The report as one run of one tool.
pub fn sarif(report: &Report) -> Value {
    let rules: Vec<Value> = CATALOG.iter().map(rule).collect();
    let results: Vec<Value> = report.findings.iter().map(result).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "demarc", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(control: &Control) -> Value {
    let tags: Vec<String> = control.references.iter().flat_map(|(framework, ids)| ids.iter().map(move |id| format!("{framework} {id}"))).collect();
    json!({
        "id": control.id,
        "shortDescription": {"text": control.title},
        "fullDescription": {"text": control.why},
        "help": {"text": format!("{}\n\nFix: {}", control.checked, control.fix)},
        "properties": {"tags": tags, "security-severity": score(control.severity)},
    })
}

/// The scale of CVSS, by which code-scanning pages sort; the middle of each of its ranges.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "2.0",
        Severity::Medium => "5.5",
        Severity::High => "8.0",
        Severity::Critical => "9.5",
    }
}

fn result(finding: &Finding) -> Value {
    let mut result = json!({
        "ruleId": finding.control,
        "level": finding.level.word(),
        "message": {"text": format!("{}: {} (owed by {}; fix: {})", finding.object, finding.message, finding.owed_by, finding.fix)},
        "locations": [{
            "physicalLocation": {
                "artifactLocation": {"uri": uri(&finding.file)},
                "region": {"startLine": finding.line, "startColumn": finding.column},
            },
            "logicalLocations": [{"fullyQualifiedName": format!("{}/{}/{}", finding.namespace, finding.object, finding.path)}],
        }],
        "partialFingerprints": {"demarc/v1": finding.id},
        "baselineState": if finding.known { "unchanged" } else { "new" },
    });
    // A control of the users' own is no rule of the tool.
    if let Some(rule) = CATALOG.iter().position(|c| finding.control == c.id) {
        result["ruleIndex"] = json!(rule);
    }
    result
}

/// A path as a relative reference: whatever a URI cannot hold is written in percent.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.strip_prefix("./").unwrap_or(path).bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~') {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_path_becomes_a_reference() {
        for (path, said) in [("./a/b.yaml", "a/b.yaml"), ("a b:c%.yaml", "a%20b%3Ac%25.yaml"), ("/abs/ä.yaml", "/abs/%C3%A4.yaml"), ("stdin", "stdin")] {
            assert_eq!(super::uri(path), said, "{path}");
        }
    }
}
