//! Ownership: what one namespace declares about who owns each security control.
//! Everything here is bounded, so that the CRD's CEL rules stay within the API server's cost budget.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::word;
pub use super::{history::*, reviews::*, settings::*, terms::*, words::*};

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
    printcolumn(name = "Waived", type_ = "integer", json_path = ".status.counts.waived", priority = "1"),
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

/// What the leader has seen; written by it alone.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnershipStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Stalled and Reconciling as kstatus has them; Compliant, Enforcing, ReviewDue, UnknownControl, BelowBaseline, LeftBaseline and OwnersMoved as Demarc has them.
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How many controls stand how.
    pub counts: Counts,
    /// The responsibility matrix as resolved, one row a control.
    #[schemars(length(max = 128))]
    // One writer writes it as a whole: were each row a field of its own, the API server would keep a list of a hundred of them in metadata.managedFields.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
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
    /// The digest of spec.policy and spec.defaultOwner, by which history tells that they changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub settings: Option<String>,
    /// The last change of each control's owner, accountable party and enforcement, and of what moves many, newest first. What is not listed is as it
    /// was when Demarc first saw the Ownership.
    #[schemars(length(max = 400))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub history: Vec<Change>,
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
    /// Controls whose every violation passes by a Waiver.
    pub waived: i32,
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
    /// How the control stands. Inherited: somebody else's, and nothing shows that it does not hold; or the cluster's, see judgedBy.
    pub verdict: Verdict,
    /// Of a control about the cluster: the Baselines in whose status it is judged, once for all namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 63)))]
    pub judged_by: Vec<String>,
    /// Of what is denied, and of a control of one's own: what it asks for, in short. When that changes, what stood before is spared anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub asks: Option<String>,
    /// From when it is denied here; what stood before is grandfathered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forbidden_since: Option<Time>,
    /// From when it is denied no longer. Denied again within ten minutes, it is as if it had been all the time: what was made meanwhile is not spared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_since: Option<Time>,
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
    /// Violated, Unknown, or Waived where a Waiver lets it pass.
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
