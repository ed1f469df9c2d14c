//! A label selector as Kubernetes has it, with bounds.
//! `model::selector` says what it selects; here is only how it is written.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::word;

/// A label's value, as Kubernetes has it.
const VALUE: &str = "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$";
/// A label's key: a name, maybe behind a DNS subdomain.
const KEY: &str = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$";

/// Selects by labels: all of it must hold, and an empty one selects everything.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels and the values that they must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = {"type": "string", "maxLength": 63, "pattern": VALUE}))]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements that must hold as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub match_expressions: Vec<Requirement>,
}

impl LabelSelector {
    /// A key of `matchLabels` that is none of a label. A schema bounds the values of a mapping and not its keys.
    pub fn no_key(&self) -> Option<&str> {
        self.match_labels.keys().map(String::as_str).find(|key| !is_key(key))
    }
}

/// As [`KEY`] has it.
fn is_key(key: &str) -> bool {
    let word = |text: &str, inner: fn(u8) -> bool| {
        let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(|b| inner(*b))
    };
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let domain = |p: &str| p.len() <= 253 && p.split('.').all(|label| word(label, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
    name.len() <= 63 && word(name, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) && prefix.is_none_or(domain)
}

/// One requirement of a label.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.operator in ['In', 'NotIn'] ? size(self.values) > 0 : size(self.values) == 0").message("In and NotIn take values; Exists and DoesNotExist take none"))]
pub struct Requirement {
    /// The label's key.
    #[schemars(length(min = 1, max = 317), regex(pattern = KEY))]
    pub key: String,
    /// How its value must stand to the values.
    pub operator: Operator,
    /// Values, for In and NotIn.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(max = 63), regex(pattern = VALUE)))]
    pub values: Vec<String>,
}

word! {
    /// In: the label has one of the values. NotIn: it has none of them, or is missing. Exists: it is there. DoesNotExist: it is not.
    Operator { In, NotIn, Exists, DoesNotExist }
}

#[cfg(test)]
mod tests {
    use super::is_key;

    #[test]
    fn a_key_is_a_name_maybe_behind_a_domain() {
        let (longest, longer) = ("a".repeat(63), "a".repeat(64));
        for (key, is) in [
            ("app", true),
            ("App_1.x", true),
            ("kubernetes.io/metadata.name", true),
            ("a/b", true),
            (longest.as_str(), true),
            (longer.as_str(), false),
            ("", false),
            ("/a", false),
            ("a/", false),
            ("a/b/c", false),
            ("-a", false),
            ("a.", false),
            ("not a label!", false),
            ("Upper.io/a", false),
            ("a..b/c", false),
            ("-a.b/c", false),
            ("ä", false),
        ] {
            assert_eq!(is_key(key), is, "{key}");
        }
    }
}
