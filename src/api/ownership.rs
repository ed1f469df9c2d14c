//! Ownership: what one namespace declares about who owns each security control.
//! Everything here is bounded, so that the CRD's CEL rules stay within the API server's cost budget.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a control id looks like: lower-case ASCII words joined by dashes, so no look-alike letter passes (H66).
pub const CONTROL_ID: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// Declares, for one namespace, who owns each security control, and what the checks need to know about it.
/// There is one in a namespace and it is named `default`, so two declarations can never disagree.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "demarc.dev",
    version = "v1alpha1",
    kind = "Ownership",
    namespaced,
    status = "OwnershipStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "own",
    category = "demarc",
    doc = "Who owns each security control in this namespace, and how far Demarc enforces what the customer owes.",
    validation = Rule::new("self.metadata.name == 'default'").message("the one Ownership of a namespace is named default"),
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.serviceModel"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Owed", type_ = "integer", json_path = ".status.counts.owed", description = "controls that the customer's side answers for", priority = "1"),
    printcolumn(name = "Violated", type_ = "integer", json_path = ".status.counts.violated"),
    printcolumn(name = "Unknown", type_ = "integer", json_path = ".status.counts.unknown"),
    printcolumn(name = "Compliant", type_ = "string", json_path = ".status.conditions[?(@.type==\"Compliant\")].status"),
    printcolumn(name = "Enforcing", type_ = "string", json_path = ".status.conditions[?(@.type==\"Enforcing\")].status", priority = "1"),
    printcolumn(name = "Review due", type_ = "string", json_path = ".status.conditions[?(@.type==\"ReviewDue\")].status", priority = "1"),
    printcolumn(name = "Digest", type_ = "string", json_path = ".status.digest", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct OwnershipSpec {
    /// How the service is bought; picks each control's default owner. IaaS: the customer runs Kubernetes itself on rented machines.
    /// PaaS: a managed control plane (EKS, AKS, GKE). SaaS: somebody else runs the application for the customer.
    pub service_model: ServiceModel,
    /// Names of the Party objects behind each role.
    #[serde(default)]
    pub parties: Parties,
    /// The owner (team or e-mail) of workloads in this namespace that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub default_owner: Option<String>,
    /// A ceiling over every control's own enforcement. In Audit the namespace is not enrolled: drift only, no admission traffic.
    #[serde(default)]
    pub mode: Mode,
    /// What happens to workloads that stood before a control was enforced here.
    #[serde(default)]
    pub existing_workloads: ExistingWorkloads,
    /// Who owns which control, where it differs from the catalog's default for the service model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["control".to_string()]))]
    pub controls: Vec<ControlEntry>,
    /// The recurring duties and when each was last done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviews: Option<Reviews>,
    /// Whom to call, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
    /// The settings that checks read.
    #[serde(default)]
    pub policy: Policy,
}

macro_rules! word {
    ($(#[$m:meta])* $name:ident { $($(#[$v:meta])* $variant:ident),+ $(,)? }) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
        $(#[$m])*
        pub enum $name { $($(#[$v])* $variant),+ }
        impl $name {
            /// The word as the API, messages and reports spell it.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => stringify!($variant)),+ } }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.as_str()) }
        }
    };
}

word! {
    /// How the service is bought.
    ServiceModel {
        /// The customer runs Kubernetes itself on rented machines.
        IaaS,
        /// A managed control plane; nodes partly managed.
        PaaS,
        /// Provider, MSSP or vendor runs the application in the namespace.
        SaaS,
    }
}
impl Default for ServiceModel {
    fn default() -> Self {
        Self::PaaS
    }
}

word! {
    /// Who owns a control. Provider: the cloud or platform does it and answers for it. Customer: whoever runs the workload does.
    /// SharedIndependent: each side does its own part. SharedDependent: the customer's part needs the provider's (it ships the switch, you turn it).
    /// ThirdParty: outsourced to somebody else, acting for the customer. NotApplicable: nobody owes it here.
    OwnerClass { Provider, Customer, SharedIndependent, SharedDependent, ThirdParty, NotApplicable }
}
impl OwnerClass {
    /// Whether the customer's side answers for the control, so that it may deny at admission.
    pub const fn owed_by_customer(self) -> bool {
        match self {
            Self::Customer | Self::SharedIndependent | Self::SharedDependent | Self::ThirdParty => true,
            Self::Provider | Self::NotApplicable => false,
        }
    }
}

word! {
    /// What happens when a control that the customer owes is violated, weakest first. Off: not judged. Audit: reported as drift.
    /// Warn: also a warning to whoever applies. Deny: refused at admission.
    Enforcement { Off, Audit, Warn, Deny }
}

word! {
    /// A ceiling over every control's own enforcement in one namespace.
    Mode { Audit, Warn, Enforce }
}
impl Default for Mode {
    fn default() -> Self {
        Self::Enforce
    }
}
impl Mode {
    /// The strongest enforcement that this mode lets through.
    pub const fn ceiling(self) -> Enforcement {
        match self {
            Self::Audit => Enforcement::Audit,
            Self::Warn => Enforcement::Warn,
            Self::Enforce => Enforcement::Deny,
        }
    }
    /// Whether the API server asks about the namespace at all.
    pub const fn enrolled(self) -> bool {
        match self {
            Self::Audit => false,
            Self::Warn | Self::Enforce => true,
        }
    }
}

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

/// What happens to workloads that stood before a control was enforced here.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExistingWorkloads {
    /// Ratchet: they may stay, restart and scale, and may not get worse. Deny: their next change must fix them.
    #[serde(default)]
    pub policy: ExistingPolicy,
    /// When the grace ends; none means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Count objects made before this instant as existing, if it is later than when the control began to be enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_before: Option<Time>,
}

word! {
    /// Whether what already ran is spared.
    ExistingPolicy { Ratchet, Deny }
}
impl Default for ExistingPolicy {
    fn default() -> Self {
        Self::Ratchet
    }
}

/// Who owns one control in this namespace.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
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
    #[schemars(length(max = 63))]
    pub by: Option<String>,
    /// When it stops counting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Time>,
}

/// The recurring duties.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs)]
pub struct Reviews {
    /// The responsibility matrix was reviewed with every party.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Review>,
    /// The last audit; the matrix is reviewed after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_audit: Option<Review>,
    /// The risk assessment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk_assessment: Option<Review>,
    /// The review of who has access.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_review: Option<Review>,
    /// The escalation or incident drill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation_drill: Option<Review>,
    /// The penetration test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub penetration_test: Option<Review>,
    /// A restore from backup was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_test: Option<Review>,
    /// Security training of the people in the roster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<Review>,
    /// The identity provider's multi-factor policy was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mfa: Option<Review>,
}

/// One recurring duty.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Review {
    /// When it was last completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_completed: Option<Time>,
    /// How often it is due, as an ISO 8601 duration in days, such as P183D.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), regex(pattern = "^P[1-9][0-9]{0,4}D$"))]
    pub period: Option<String>,
    /// The party that did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub by: Option<String>,
    /// Where its report lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub evidence: Option<String>,
    /// What it found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub findings: Vec<ReviewFinding>,
}

/// What a review found, and when it must be closed.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReviewFinding {
    /// A short title.
    #[schemars(length(min = 1, max = 128))]
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// When it must be closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_date: Option<Time>,
    /// When it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Time>,
}

word! {
    /// How bad a violation is, mildest first.
    #[serde(rename_all = "lowercase")]
    Severity { Low, Medium, High, Critical }
}
impl Severity {
    /// The word in lower case, as messages have it.
    pub const fn lower(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Whom to call.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub struct Escalation {
    /// In order: the first level is called first.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub levels: Vec<EscalationLevel>,
}

/// One level of escalation.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub struct EscalationLevel {
    /// The party at this level.
    #[schemars(length(min = 1, max = 63), regex(pattern = CONTROL_ID))]
    pub party: String,
    /// An e-mail, phone number or link.
    #[schemars(length(min = 1, max = 253))]
    pub contact: String,
    /// When it is staffed, such as 24x7 or business-hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub coverage: Option<String>,
}

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
    /// Names of Services, Ingresses and Gateways that are meant to be public.
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

/// Which agents are expected on the nodes, by DaemonSet name.
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

/// What the leader has seen; written by it alone.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnershipStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready and Stalled as kstatus has them; Compliant, Enforcing, ReviewDue, UnknownControl and OwnersMoved as Demarc has them.
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How many controls stand how.
    pub counts: Counts,
    /// The responsibility matrix as resolved, one row a control.
    #[schemars(length(max = 128))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["control"]))]
    pub matrix: Vec<MatrixRow>,
    /// What does not hold, worst first, capped at 100.
    #[schemars(length(max = 100))]
    pub findings: Vec<FindingRow>,
    /// How many findings there are in all.
    pub findings_total: i64,
    /// Changes when, and only when, the findings or the matrix do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub digest: Option<String>,
    /// The digest of spec.policy and spec.defaultOwner that `forbiddenSince` counts from: new settings forbid anew, so what runs is spared again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub settings: Option<String>,
}

/// How many controls stand how.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Controls that the customer's side answers for.
    pub owed: i32,
    /// Controls with at least one violation.
    pub violated: i32,
    /// Controls that cannot be seen.
    pub unknown: i32,
    /// Controls that hold.
    pub satisfied: i32,
    /// Controls with nothing to judge.
    pub not_applicable: i32,
    /// Controls somebody else owes.
    pub inherited: i32,
    /// Controls by owner class.
    #[schemars(extend("maxProperties" = 6))]
    pub by_owner: BTreeMap<String, i32>,
}

/// One row of the responsibility matrix.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatrixRow {
    /// The control's id.
    #[schemars(length(max = 63))]
    pub control: String,
    /// Its owner class.
    pub owner: OwnerClass,
    /// The party that answers for it; empty when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub accountable: Option<String>,
    /// How a violation is met.
    pub enforcement: Enforcement,
    /// How the control stands.
    pub verdict: Verdict,
    /// From when it is denied here; what stood before is grandfathered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forbidden_since: Option<Time>,
}

word! {
    /// How a control stands, best first.
    Verdict { NotApplicable, Satisfied, Inherited, Waived, Unknown, Violated }
}

/// One thing that does not hold.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingRow {
    /// The control's id.
    #[schemars(length(max = 63))]
    pub control: String,
    /// Kind and name, such as deployment/web.
    #[schemars(length(max = 320))]
    pub object: String,
    /// Violated or Unknown.
    pub verdict: Verdict,
    /// What does not hold, and where.
    #[schemars(length(max = 256))]
    pub message: String,
    /// Since when it has been seen.
    pub since: Time,
    /// The party that owes it.
    #[schemars(length(max = 63))]
    pub owed_by: String,
    /// It stood before it was forbidden: reported, never the reason a workload cannot come back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub grandfathered: bool,
}
