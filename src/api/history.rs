//! What the status of an Ownership says of who changed what, and when: the last change of each control, as far as it can be known.
//! Tools are named here, as the API server was told their names, and people never.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::word;

word! {
    /// What changed: a field of the spec, or what holds for the controls that are listed. Settings are spec.policy and spec.defaultOwner together, and
    /// told by the digest in status.settings.
    Changed { ServiceModel, Mode, Parties, Settings, Owner, Accountable, Enforcement }
}

word! {
    /// By what a control came to be as it is: the field of the spec that moved it, Controls being its own entry. Elsewhere is not by this Ownership:
    /// by a Baseline, a Control or another version of Demarc.
    Through { ServiceModel, Mode, Parties, Controls, Elsewhere }
}

word! {
    /// How a tool wrote: by server-side apply, or in any other way.
    Operation { Apply, Update }
}

/// The last change of one thing, until it changes again.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What changed.
    pub field: Changed,
    /// The controls for which it did, where it is Owner, Accountable or Enforcement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(max = 63)))]
    pub controls: Vec<String>,
    /// What it was; empty where nothing was known before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1536))]
    pub from: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1536))]
    pub to: Option<String>,
    /// By what, of controls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Through>,
    /// When Demarc saw it, by its own clock.
    pub seen: Time,
    /// Who, as far as metadata.managedFields says: it names tools and not users, and whoever may write the object may write that, too. Empty where it
    /// does not say, as when something was taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_fields: Option<Manager>,
}

/// The tool that owns the field which made the change.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
pub struct Manager {
    /// Its name, such as kubectl-edit or flux.
    #[schemars(length(max = 128))]
    pub manager: String,
    /// How it wrote.
    pub operation: Operation,
    /// When it last wrote any field of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
}
