//! What of the whole cluster's roles and bindings is Kubernetes' own, and so nobody's here to answer for.
//! Whoever may make one that is called so has all the rights that it would hide: the API server lets nobody give what they do not have.

use crate::model::subject::{Kind, Subject};

/// Whether Kubernetes makes it, by its name.
pub(super) fn is_built_in(subject: &Subject<'_>) -> bool {
    let name = &*subject.meta.name;
    match subject.kind {
        Kind::ClusterRole => name.starts_with("system:") || matches!(name, "cluster-admin" | "admin" | "edit" | "view"),
        Kind::ClusterRoleBinding => name.starts_with("system:") || name == "cluster-admin",
        _ => false,
    }
}
