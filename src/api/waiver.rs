//! Waiver: a permission to violate one control, asked for by one, given by another, and with an end.
//! Whether it is live at a given time is decided in `policy::waiver`, and nowhere else.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{selector::LabelSelector, terms::CONTROL_ID, words::word};

/// Asks for permission to violate one control for some time. It counts once somebody who may approve Waivers, and did not ask for it, has
/// approved it; whatever else of it changes afterwards needs a new approval.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "demarc.dev",
    version = "v1alpha1",
    kind = "Waiver",
    namespaced,
    status = "WaiverStatus",
    derive = "PartialEq",
    shortname = "wvr",
    category = "demarc",
    doc = "A time-limited, approved permission to violate one control.",
    validation = Rule::new("self.spec.requestedBy == oldSelf.spec.requestedBy").message(STAYS),
    validation = Rule::new("!has(self.spec.approval) || self.spec.approval.by != self.spec.requestedBy").message("nobody approves what they asked for themselves"),
    validation = Rule::new(UNCHANGED).message(ANEW),
    printcolumn(name = "Control", type_ = "string", json_path = ".spec.control"),
    printcolumn(name = "Target", type_ = "string", json_path = ".status.target"),
    printcolumn(name = "Requested", type_ = "string", json_path = ".spec.requestedBy"),
    printcolumn(name = "Approved", type_ = "string", json_path = ".spec.approval.by"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expires"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Ticket", type_ = "string", json_path = ".spec.ticket", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", priority = "1")
)]
#[serde(rename_all = "camelCase")]
pub struct WaiverSpec {
    /// The control that may be violated, such as pvc-storage-encrypted.
    #[schemars(length(min = 1, max = 63), regex(pattern = CONTROL_ID))]
    pub control: String,
    /// What may violate it.
    pub target: Target,
    /// Why, for whoever approves and for the auditor.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Where the matter is followed: a number or a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub ticket: Option<String>,
    /// The user who asks: whoever creates the Waiver, which is checked.
    #[schemars(length(min = 1, max = 253))]
    pub requested_by: String,
    /// When it ends: at most 90 days after it was made, unless a Baseline says otherwise. From then on the pods that it let in are not replaced.
    pub expires: Time,
    /// Who approved it, and when; needs the verb approve on waivers, and is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

impl WaiverSpec {
    /// Whether all of it is the same but who approved it.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        Self { approval: other.approval.clone(), ..self.clone() } == *other
    }
}

/// What nobody approves as they create it is told: here for a file, and by a policy for whoever writes to the API server.
pub const NOT_YET: &str = "a Waiver is approved after it was asked for, and by somebody else: leave spec.approval out";

/// What is told whoever changes who has asked.
pub const STAYS: &str = "whoever asked for a Waiver stays its requester; ask for a new one";

/// What is told whoever changes what was approved.
pub const ANEW: &str = "an approval is for what was approved: remove spec.approval with this change, and have it approved anew";

/// Spelled field by field, for rules know no "everything but".
const UNCHANGED: &str = "!has(self.spec.approval) || !has(oldSelf.spec.approval) || (self.spec.control == oldSelf.spec.control && self.spec.target == oldSelf.spec.target \
     && self.spec.reason == oldSelf.spec.reason && self.spec.expires == oldSelf.spec.expires && has(self.spec.ticket) == has(oldSelf.spec.ticket) && (!has(self.spec.ticket) || self.spec.ticket == oldSelf.spec.ticket))";

/// What may violate the control: one object by kind and name, or all that carry some labels.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(validation = Rule::new("has(self.name) != has(self.selector)").message("a target is kind and name, or a selector"))]
#[x_kube(validation = Rule::new("!has(self.name) || has(self.kind)").message("a name needs its kind"))]
#[x_kube(validation = Rule::new("!has(self.selector) || (has(self.selector.matchLabels) && size(self.selector.matchLabels) > 0) || (has(self.selector.matchExpressions) && size(self.selector.matchExpressions) > 0)").message("a selector must ask for something: a Waiver is never for everything"))]
pub struct Target {
    /// The kind, such as StatefulSet; with a selector it may be left out. Pods follow whatever controls them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: Option<String>,
    /// The object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Labels of the objects themselves, or of their pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// An approval.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub struct Approval {
    /// The user who approves: whoever writes this, which is checked.
    #[schemars(length(min = 1, max = 253))]
    pub by: String,
    /// When.
    pub at: Time,
}

/// What the leader has seen; written by it alone.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WaiverStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<WaiverState>,
    /// Until when it may last here at most, by the Baselines and from its creation, whatever spec.expires says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<Time>,
    /// What it is for, in short: statefulset/ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    pub target: Option<String>,
    /// Live: whether it counts now. Expiring: it ends within a week.
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

word! {
    /// Where a Waiver stands. Requested: nobody has approved it. Live: it counts. Expiring: it counts, and ends within a week. Expired: its time
    /// is over. Void: it can never count as it is; its condition says why.
    WaiverState { Requested, Live, Expiring, Expired, Void }
}
