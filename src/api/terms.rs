//! What an Ownership and a Baseline say in the same shape: parties, controls and the evidence for them.
//! Everything is bounded, so that the CRDs' CEL rules stay within the API server's cost budget.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::{Enforcement, OwnerClass};

/// What a control id looks like: lower-case ASCII words joined by dashes, so no look-alike letter passes (H66).
pub const CONTROL_ID: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// Names of the Party objects behind each role.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Parties {
    /// The cloud or platform provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = CONTROL_ID))]
    pub provider: Option<String>,
    /// Whoever the workloads belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = CONTROL_ID))]
    pub customer: Option<String>,
    /// The managed security provider. It performs; it never becomes accountable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = CONTROL_ID))]
    pub mssp: Option<String>,
    /// Others to whom the customer has outsourced something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63), regex(pattern = CONTROL_ID)))]
    pub third_parties: Vec<String>,
}

impl Parties {
    /// All that are named, in whatever role; one may be named twice.
    pub fn named(&self) -> impl Iterator<Item = &String> {
        [&self.provider, &self.customer, &self.mssp].into_iter().flatten().chain(&self.third_parties)
    }
}

/// Who owns one control in this namespace.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlEntry {
    /// The control's id, such as pvc-storage-encrypted; `demarc explain` lists them.
    #[schemars(length(min = 1, max = 63), regex(pattern = CONTROL_ID))]
    pub control: String,
    /// Who owns it: Provider, Customer, SharedIndependent (each side its own part), SharedDependent (the customer's part needs the
    /// provider's), ThirdParty (outsourced, acting for the customer) or NotApplicable. Unset: the catalog's default for the service model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerClass>,
    /// The one party that answers for it; unset, the party behind the owner class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = CONTROL_ID))]
    pub accountable: Option<String>,
    /// The parties that do the work; unset, the accountable one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 63), regex(pattern = CONTROL_ID)))]
    pub performed_by: Vec<String>,
    /// How a violation is met; unset, the catalog's default. The namespace's mode is a ceiling over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<Enforcement>,
    /// What a control of one's own reads as params, each a list of texts; the catalog's read policy instead.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = {"type": "array", "maxItems": 64, "items": {"type": "string", "maxLength": 253}}))]
    pub params: BTreeMap<String, Vec<String>>,
    /// What shows that the control holds where the cluster cannot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub evidence: Vec<Evidence>,
    /// The provider's part, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub provider_does: Option<String>,
    /// The customer's part, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub customer_does: Option<String>,
}

/// What shows that a control holds, and until when.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Such as soc2-report, iso27001-cert, csa-star, pci-aoc, contract.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Where it lies: a link or a document number.
    #[schemars(length(min = 1, max = 512))]
    #[serde(rename = "ref")]
    pub reference: String,
    /// The party that attests it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = CONTROL_ID))]
    pub by: Option<String>,
    /// When it stops counting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Time>,
}
