//! Roster: the people behind a party. It is personal data, so it is a kind of its own with tighter rights, and no name in it ever leaves it:
//! no denial, Event, metric, status or log has one.

use std::borrow::Cow;

use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::terms::CONTROL_ID;

/// People, the names by which the cluster knows them, and when they left or were last trained.
#[derive(CustomResource, KubeSchema, Clone, Default, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "demarc.dev",
    version = "v1alpha1",
    kind = "Roster",
    derive = "PartialEq",
    shortname = "rst",
    category = "demarc",
    doc = "People of a party, when they left and when they were trained. Personal data: give few the right to read it.",
    printcolumn(name = "Party", type_ = "string", json_path = ".spec.party"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct RosterSpec {
    /// The Party that they belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = CONTROL_ID))]
    pub party: Option<String>,
    /// Whoever has or had to do with the workloads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_string()]))]
    pub people: Vec<Person>,
}

/// Not by derive: nothing that is printed for debugging may hold a name.
impl std::fmt::Debug for RosterSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RosterSpec({} people)", self.people.len())
    }
}

/// One person.
#[derive(Clone, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// Their user name in the cluster, or their e-mail.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Other names by which bindings and owner annotations know them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    pub aliases: Vec<String>,
    /// The first day on which they are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub departed_on: Option<Day>,
    /// The day of their last security training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_on: Option<Day>,
}

/// A day, such as 2026-11-30.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
pub struct Day(pub jiff::civil::Date);

impl JsonSchema for Day {
    fn schema_name() -> Cow<'static, str> {
        "Day".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // The format alone would be enough for the API server; what reads files knows only the pattern.
        json_schema!({"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "maxLength": 10})
    }
}
