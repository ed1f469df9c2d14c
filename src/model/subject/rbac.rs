//! Roles and bindings: what may be done, and who may do it.
//! Read whole, for every word of a rule matters.

use serde::Deserialize;

use crate::model::{read::nullable, text::Str};

/// One rule of a Role.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule<'a> {
    /// `get`, `list`, … or `*`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub verbs: Vec<Str<'a>>,
    /// Groups of the API; empty is core.
    #[serde(borrow, deserialize_with = "nullable")]
    pub api_groups: Vec<Str<'a>>,
    /// Resources, with their subresource: `pods/exec`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub resources: Vec<Str<'a>>,
    /// Empty: any.
    #[serde(borrow, deserialize_with = "nullable")]
    pub resource_names: Vec<Str<'a>>,
}

/// What a RoleBinding gives, and to whom.
#[derive(Debug)]
pub struct Binding<'a> {
    /// The role.
    pub role_ref: RoleRef<'a>,
    /// Whom it is given.
    pub subjects: Vec<Grantee<'a>>,
}

/// A role by its name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RoleRef<'a> {
    /// `Role` or `ClusterRole`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub kind: Str<'a>,
    /// Its name.
    #[serde(borrow, deserialize_with = "nullable")]
    pub name: Str<'a>,
}

/// Whom something is given.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Grantee<'a> {
    /// `User`, `Group` or `ServiceAccount`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub kind: Str<'a>,
    /// Its name.
    #[serde(borrow, deserialize_with = "nullable")]
    pub name: Str<'a>,
    /// Of a ServiceAccount.
    #[serde(borrow, deserialize_with = "nullable")]
    pub namespace: Str<'a>,
}
