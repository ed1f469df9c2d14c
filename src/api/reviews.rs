//! The recurring duties of a namespace, when each was last done, and whom to call.
//! What follows from them is decided in `policy`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{terms::CONTROL_ID, words::Severity};

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
    #[schemars(length(min = 1, max = 63), regex(pattern = CONTROL_ID))]
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
