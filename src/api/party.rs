//! Party: an organisation or team that answers for controls or does the work, and whom the cluster knows as it.
//! Ownerships and Baselines name Parties; nothing here names a person, for that is what a Roster is for.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    terms::{CONTROL_ID, Evidence},
    words::word,
};

/// One organisation or team: what it is in the model, how it is reached, what was agreed with it, and who acts for it in the cluster.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "demarc.dev",
    version = "v1alpha1",
    kind = "Party",
    plural = "parties",
    derive = "PartialEq",
    shortname = "pty",
    category = "demarc",
    doc = "An organisation or team that answers for controls, or does the work.",
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 63").message("a Party is named with at most 63 of a-z, 0-9 and -, as Ownerships name it"),
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.role"),
    printcolumn(name = "Display", type_ = "string", json_path = ".spec.displayName"),
    printcolumn(name = "Contact", type_ = "string", json_path = ".spec.contacts[0].address"),
    printcolumn(name = "Agreement", type_ = "string", json_path = ".spec.agreement.validUntil", description = "until when the agreement holds"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct PartySpec {
    /// What it is. Provider: runs the platform. Customer: the workloads are its own. MSSP: performs security work, and never becomes accountable.
    /// ThirdParty: does something on the customer's behalf. Regulator: asks for evidence and owes nothing.
    pub role: Role,
    /// As reports call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub display_name: Option<String>,
    /// Where it is reached: a shared mailbox, a hotline, a link. Not a person's own address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub contacts: Vec<Contact>,
    /// What was agreed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Agreement>,
    /// What it shows of its own security, and until when each counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub assurance: Vec<Evidence>,
    /// The controls that it promises to those who inherit from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 63), regex(pattern = CONTROL_ID)))]
    pub provides: Vec<String>,
    /// Who acts for it in the cluster, by exact name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub subjects: Vec<Subject>,
}

word! {
    /// What a party is.
    Role { Provider, Customer, MSSP, ThirdParty, Regulator }
}

/// Where a party is reached.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub struct Contact {
    /// A shared mailbox, phone number or link.
    #[schemars(length(min = 1, max = 253))]
    pub address: String,
    /// What for, such as security, incidents or contracts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub purpose: Option<String>,
    /// When it is staffed, such as 24x7 or business-hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub coverage: Option<String>,
}

/// What was agreed with a party.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Agreement {
    /// Where it lies: a link or a document number.
    #[serde(rename = "ref")]
    #[schemars(length(min = 1, max = 512))]
    pub reference: String,
    /// Until when it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Time>,
}

/// Somebody whom the API server knows, by exact name.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(validation = Rule::new("(self.kind == 'ServiceAccount') == has(self.__namespace__)").message("a ServiceAccount has a namespace, and a User or Group has none"))]
pub struct Subject {
    /// User, Group or ServiceAccount.
    pub kind: SubjectKind,
    /// Its name, whole: nothing is matched by a part of it.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The namespace of a ServiceAccount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

word! {
    /// How the API server knows somebody.
    SubjectKind { User, Group, ServiceAccount }
}
