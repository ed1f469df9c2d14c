//! Control: a security duty of one's own, checked by CEL over the object as in a ValidatingAdmissionPolicy, or one of the catalog, published to be read.
//! What the expressions may say is in docs/cel.md; `controls::custom` compiles and runs them.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    terms::CONTROL_ID,
    words::{Enforcement, OwnerClass, Severity},
};

/// A control: what holds when it holds, whose it is, and how it is checked. Those of the catalog are published by Demarc, and only to be read.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[kube(
    group = "demarc.dev",
    version = "v1alpha1",
    kind = "Control",
    plural = "controls",
    derive = "PartialEq",
    shortname = "ctl",
    category = "demarc",
    doc = "A security duty: one of the catalog, published to be read, or one's own, checked by CEL.",
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 63").message("a Control is named with at most 63 of a-z, 0-9 and -, as Ownerships name it"),
    validation = Rule::new("self.spec.check == oldSelf.spec.check").message("a built-in Control stays one, and one's own stays one's own"),
    printcolumn(name = "Group", type_ = "string", json_path = ".spec.group"),
    printcolumn(name = "Severity", type_ = "string", json_path = ".spec.severity"),
    printcolumn(name = "IaaS", type_ = "string", json_path = ".spec.owners.iaas"),
    printcolumn(name = "PaaS", type_ = "string", json_path = ".spec.owners.paas"),
    printcolumn(name = "SaaS", type_ = "string", json_path = ".spec.owners.saas"),
    printcolumn(name = "Check", type_ = "string", json_path = ".spec.check"),
    printcolumn(name = "Enforcement", type_ = "string", json_path = ".spec.enforcement", priority = 1),
    printcolumn(name = "Title", type_ = "string", json_path = ".spec.title", priority = 1)
)]
#[x_kube(validation = Rule::new("has(self.validations) != (self.check == 'built-in')").message("a Control of one's own has validations; a built-in one has none, and is published by Demarc alone"))]
#[serde(rename_all = "camelCase")]
pub struct ControlSpec {
    /// What holds when it holds, in one line.
    #[schemars(length(min = 1, max = 128))]
    pub title: String,
    /// Who checks it: cel is one's own, by its validations; built-in is one of the catalog, which Demarc publishes and nobody else writes.
    #[serde(default)]
    pub check: CheckedBy,
    /// What it is about, such as data, network, workload or platform.
    #[serde(default = "workload")]
    #[schemars(length(min = 1, max = 63), regex(pattern = CONTROL_ID))]
    pub group: String,
    /// How bad a violation is.
    pub severity: Severity,
    /// Who owns it unless an Ownership says otherwise.
    #[serde(default)]
    pub owners: Owners,
    /// How a violation is met unless an Ownership says otherwise. A new control only reports until somebody asks for more.
    #[serde(default = "audit")]
    pub enforcement: Enforcement,
    /// The kinds that it judges, such as Deployment; one's own judges only kinds that Demarc watches.
    #[schemars(length(min = 1, max = 18), inner(length(min = 1, max = 63), regex(pattern = "^[A-Z][A-Za-z]*$")))]
    pub kinds: Vec<String>,
    /// Conditions that must all hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub validations: Vec<Validation>,
    /// Why it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub why: Option<String>,
    /// How it is checked, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub checked: Option<String>,
    /// When its verdict is Unknown, and what would settle it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub unknown: Option<String>,
    /// The line that mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub remediation: Option<String>,
    /// Its ids in other frameworks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub references: Vec<Reference>,
}

fn workload() -> String {
    "workload".to_owned()
}

const fn audit() -> Enforcement {
    Enforcement::Audit
}

/// Who checks a control.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckedBy {
    /// Its own validations.
    #[default]
    Cel,
    /// Demarc itself.
    BuiltIn,
}

impl ControlSpec {
    /// Whether it is one of the catalog, published to be read.
    pub const fn built_in(&self) -> bool {
        matches!(self.check, CheckedBy::BuiltIn)
    }
}

/// The default owner under each service model.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(default)]
pub struct Owners {
    /// The customer runs Kubernetes itself.
    pub iaas: OwnerClass,
    /// A managed control plane.
    pub paas: OwnerClass,
    /// Somebody else runs the application.
    pub saas: OwnerClass,
}

impl Default for Owners {
    fn default() -> Self {
        Self { iaas: OwnerClass::Customer, paas: OwnerClass::Customer, saas: OwnerClass::Provider }
    }
}

/// One condition and what is said where it does not hold.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// CEL over object, oldObject, request, namespaceObject and params that says true or false.
    #[schemars(length(min = 1, max = 4096))]
    pub expression: String,
    /// What is wrong where it says false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub message: Option<String>,
    /// The same as CEL that makes a text; where it fails, message is said. It also tells one violation from another: what stood before is spared
    /// only while this text stays the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub message_expression: Option<String>,
}

/// Ids in a framework, never its text.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub struct Reference {
    /// Such as ISO 27001:2022.
    #[schemars(length(min = 1, max = 63))]
    pub framework: String,
    /// Such as A.8.24.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63)))]
    pub ids: Vec<String>,
}
