//! The settings that checks read, one struct a subject.
//! Unset is the catalog's own default, which `demarc explain` tells.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::word;

/// The settings that checks read.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Policy {
    /// Where images may come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<Images>,
    /// How fast images are renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<Patch>,
    /// What may be reached from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,
    /// How data is classified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classification: Option<Classification>,
    /// How encryption is declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// What network policies must cover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Who may be cluster-admin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admins: Option<Admins>,
    /// Which agents are expected on the nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tooling: Option<Tooling>,
    /// What is expected of the nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Which Pod Security Standard holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_security: Option<PodSecurity>,
    /// How the cluster shows that somebody signed in by more than a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mfa: Option<Mfa>,
}

/// Where images may come from.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Images {
    /// Registry and repository prefixes, whole path components: ghcr.io/acme allows ghcr.io/acme/web, not ghcr.io/acme-evil.
    #[schemars(length(max = 64), inner(length(min = 1, max = 255), regex(pattern = "^[a-z0-9]([-._a-z0-9]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]([-._a-z0-9]*[a-z0-9])?)*$")))]
    pub allowed_prefixes: Vec<String>,
}

/// How fast images are renewed.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Patch {
    /// The oldest that a running image may be, such as P90D.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), regex(pattern = "^P[1-9][0-9]{0,4}D$"))]
    pub max_image_age: Option<String>,
    /// Days to fix a vulnerability, by severity (critical, high, medium, low).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    // Spelled out: of `uint16` the API server warns that it does not know it.
    #[schemars(extend("maxProperties" = 4, "additionalProperties" = {"type": "integer", "format": "int32", "minimum": 0, "maximum": 65535}))]
    pub remediation_days: BTreeMap<String, u16>,
}

/// What may be reached from outside.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Exposure {
    /// Names of Services, Ingresses, Gateways and HTTPRoutes that are meant to be public.
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub allow: Vec<String>,
    /// HTTP paths that must never be public, such as /internal.
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub internal_paths: Vec<String>,
}

/// How data is classified.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Classification {
    /// Label or annotation keys that hold the class, first found wins.
    #[schemars(length(max = 8), inner(length(min = 1, max = 316)))]
    pub keys: Vec<String>,
    /// The classes, mildest first.
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    pub values: Vec<String>,
    /// The class of what states none.
    #[serde(rename = "default", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub default_value: Option<String>,
    /// Classes whose volumes need a customer-managed key.
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    pub cmk_required_for: Vec<String>,
}

/// How encryption is declared.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Encryption {
    /// Further annotation keys that count as the declaration, after demarc.dev/encryption-at-rest.
    #[schemars(length(max = 8), inner(length(min = 1, max = 316)))]
    pub annotation_keys: Vec<String>,
    /// Further values that count, beside csi, application, kms and kms:key.
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    pub accepted_values: Vec<String>,
    /// Storage: workloads that keep data. All: every workload.
    pub require_for: RequireFor,
}

word! {
    /// Which workloads must declare encryption.
    RequireFor { Storage, All }
}
impl Default for RequireFor {
    fn default() -> Self {
        Self::Storage
    }
}

/// What network policies must cover.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Network {
    /// Whether egress must be covered as well as ingress.
    pub require_egress: bool,
}

/// Who may be cluster-admin.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Admins {
    /// Users, groups or service accounts, by their exact name.
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub allowed: Vec<String>,
}

/// Which agents are expected on the nodes: DaemonSets, as namespace/name, or by name where one alone is called so.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tooling {
    /// The runtime detection agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub runtime_detection: Option<String>,
    /// The log shipper.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub logging: Option<String>,
}

/// What is expected of the nodes.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Platform {
    /// The oldest kubelet, such as 1.35.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), regex(pattern = "^[0-9]+[.][0-9]+$"))]
    pub min_kubelet: Option<String>,
    /// The oldest node, such as P30D.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), regex(pattern = "^P[1-9][0-9]{0,4}D$"))]
    pub max_node_age: Option<String>,
}

/// How the cluster shows that somebody signed in by more than a password: its authentication configuration maps a claim of the token, such as amr, to
/// a key of userInfo.extra. With it mfa-enforced can be Warn or Deny, of whatever people write here that is asked about.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mfa {
    /// The key, such as example.com/amr.
    #[schemars(length(min = 1, max = 253))]
    pub extra: String,
    /// Its values that count, such as mfa or hwk; one of them is enough.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)))]
    pub values: Vec<String>,
    /// Users who are machines and no ServiceAccounts, by their exact name: a pipeline has no second factor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub machines: Vec<String>,
}

/// Which Pod Security Standard holds.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub struct PodSecurity {
    /// Baseline or Restricted, as Kubernetes defines them.
    #[serde(default)]
    pub level: PodSecurityLevel,
}

word! {
    /// The Pod Security Standards, weakest first.
    PodSecurityLevel { Baseline, Restricted }
}
impl Default for PodSecurityLevel {
    fn default() -> Self {
        Self::Baseline
    }
}
