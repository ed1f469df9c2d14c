//! Baseline: the floor that an MSSP or a platform team sets for many namespaces at once.
//! An Ownership may ask for more than it, never for less; several combine to the strictest.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::selector::*;
use super::{
    ownership::FindingRow,
    settings::{Admins, Platform, Tooling},
    terms::{CONTROL_ID, ControlEntry, Parties},
    words::{Enforcement, ServiceModel, word},
};

/// Sets the floor for the namespaces that its selector matches: what an Ownership there may tighten and never weaken, and what holds where
/// there is none.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "demarc.dev",
    version = "v1alpha1",
    kind = "Baseline",
    status = "BaselineStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "bsl",
    category = "demarc",
    doc = "The floor of responsibilities and enforcement for the namespaces that it selects.",
    validation = Rule::new("size(self.metadata.name) <= 63").message("the name of a Baseline has at most 63 characters, for namespaces are marked with it"),
    printcolumn(name = "Undeclared", type_ = "string", json_path = ".spec.undeclared", description = "what happens in namespaces without an Ownership"),
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.serviceModel", priority = "1"),
    printcolumn(name = "Declared", type_ = "integer", json_path = ".status.declared"),
    printcolumn(name = "Without", type_ = "integer", json_path = ".status.undeclared", description = "namespaces that it selects and that declare nothing"),
    printcolumn(name = "Drifting", type_ = "integer", json_path = ".status.drifting"),
    printcolumn(name = "Enforcing", type_ = "string", json_path = ".status.conditions[?(@.type==\"Enforcing\")].status", description = "whether the API server asks Demarc about every namespace under it that asks for admission, as was proven"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct BaselineSpec {
    /// The namespaces that it holds in, by their labels; {} is every namespace. One that loses the label stays under the Baseline until
    /// somebody with the verb release on it lets it go: kubectl label namespace NAME baseline.demarc.dev/BASELINE-
    pub namespace_selector: LabelSelector,
    /// How the service is bought: says whose a control is where no entry does. Unset: as the Ownership's serviceModel says, and PaaS where nothing is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_model: Option<ServiceModel>,
    /// The parties of namespaces that name none.
    #[serde(default)]
    pub parties: Parties,
    /// The floor, control by control: an Ownership may enforce more, and may take a control from the provider upon itself, not give it away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["control".to_string()]))]
    pub controls: Vec<ControlEntry>,
    /// How what is the cluster's is judged, and in no namespace: its roles and bindings, nodes, and agents on them.
    #[serde(default)]
    pub cluster: ClusterSettings,
    /// What happens in namespaces that it selects and that have no Ownership. Audit: drift is reported. Warn: they are enrolled, and whoever
    /// applies is warned. Deny: they are enrolled, and what violates the Baseline is refused from the first instant.
    #[serde(default)]
    pub undeclared: Undeclared,
    /// How long waivers may last in these namespaces.
    #[serde(default)]
    pub waivers: WaiverLimits,
    /// Third-party controllers that make Pods and the like themselves for custom resources of theirs, such as operators. What they make for one that
    /// stood before something was forbidden is spared as Kubernetes' own controllers' is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub controllers: Vec<Controller>,
    /// Namespaces to enrol although the cluster depends on them; without it an outage of Demarc cannot hold them up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63), regex(pattern = CONTROL_ID)))]
    pub critical_namespaces: Vec<String>,
}

/// The settings by which the cluster is judged, once for all namespaces; one that declares the same in its policy is held to that beside it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterSettings {
    /// Who may be cluster-admin of the whole cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admins: Option<Admins>,
    /// Which agents are expected on the nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tooling: Option<Tooling>,
    /// What is expected of the nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

word! {
    /// What happens in namespaces without an Ownership, weakest first.
    Undeclared { Audit, Warn, Deny }
}
impl Default for Undeclared {
    fn default() -> Self {
        Self::Audit
    }
}
impl Undeclared {
    /// The strongest enforcement that it lets through.
    pub const fn ceiling(self) -> Enforcement {
        match self {
            Self::Audit => Enforcement::Audit,
            Self::Warn => Enforcement::Warn,
            Self::Deny => Enforcement::Deny,
        }
    }
}

/// How long waivers may last.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WaiverLimits {
    /// Days from a Waiver's creation to the last on which it may be live. Unset: 90. Of several Baselines the shortest counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    // Spelled out: of `uint16` the API server warns that it does not know it.
    #[schemars(extend("type" = "integer", "format" = "int32", "minimum" = 1, "maximum" = 3650))]
    pub max_days: Option<u16>,
}

/// A third-party controller, such as an operator.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Controller {
    /// As whom it asks.
    pub service_account: ServiceAccountRef,
    /// The kinds of the custom resources for which it makes them, as group/Kind: postgresql.cnpg.io/Cluster. Demarc reads when each was made, for
    /// which it needs the rights list and watch (rbac.thirdPartyKinds of the chart).
    #[schemars(length(min = 1, max = 16), inner(length(max = 317), regex(pattern = OWNER_KIND)))]
    pub kinds: Vec<String>,
}

/// A ServiceAccount.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub struct ServiceAccountRef {
    /// Its namespace.
    #[schemars(length(min = 1, max = 63), regex(pattern = CONTROL_ID))]
    pub namespace: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// A kind with its group: those of CRDs, whose groups have a dot.
const OWNER_KIND: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+/[A-Z][A-Za-z0-9]{0,62}$";

/// What the leader has seen; written by it alone.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BaselineStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready as kstatus has it; Enforcing: what is proven of the namespaces under it that ask for admission; ClusterCompliant: how what is the
    /// cluster's stands; ReviewDue: what was recorded of it lapses.
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Namespaces under it that have an Ownership.
    pub declared: i32,
    /// Namespaces under it that have none.
    pub undeclared: i32,
    /// Namespaces under it in which something is violated.
    pub drifting: i32,
    /// What of the cluster does not hold, worst first, capped at 100.
    #[schemars(length(max = 100))]
    pub findings: Vec<FindingRow>,
    /// How many such findings there are in all.
    pub findings_total: i64,
}
