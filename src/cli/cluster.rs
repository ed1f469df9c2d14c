//! What `demarc check --context` looks up in a cluster: declarations, namespaces, storage, bindings and policies, nodes, agents and backups, by the user's
//! own kubeconfig. It only lists, and never a Secret, a ConfigMap or a pod; what the user may not list is told as the reason why a control is unknown.

use std::collections::BTreeSet;

use kube::{
    Api,
    api::{DynamicObject, ListParams},
    core::{ApiResource, GroupVersionKind},
};

use super::connect::{Unanswered, Where, asked, pages};
use crate::{
    api::{Declaration, GROUP},
    controller::index::Kept,
    model::estate::{NOT_SERVED, Version},
};

/// What is listed: group, version, kind, and whether it lives in a namespace.
const KINDS: &[(&str, &str, &str, bool)] = &[
    ("", "v1", "Namespace", false),
    ("storage.k8s.io", "v1", "StorageClass", false),
    ("", "v1", "PersistentVolume", false),
    ("", "v1", "PersistentVolumeClaim", true),
    ("", "v1", "ServiceAccount", true),
    ("networking.k8s.io", "v1", "NetworkPolicy", true),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", true),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", false),
    // A route may attach to one in another namespace.
    (GATEWAYS, "v1", "Gateway", false),
];
/// Served only where somebody has installed it.
const GATEWAYS: &str = "gateway.networking.k8s.io";

/// Of what stands around the workloads, with whether it concerns its own namespace alone. Scans are not looked up: they judge what runs already.
const ESTATE: [(Kept, bool); 5] = [(Kept::Nodes, false), (Kept::Agents, false), (Kept::Schedules, false), (Kept::Backups, false), (Kept::Snapshots, true)];

/// What a cluster has.
#[derive(Default)]
pub struct Found {
    /// Its API server's version, as far as that is told.
    pub server: Option<Version>,
    /// Kind by kind.
    pub lists: Vec<Listed>,
}

/// One kind as a cluster has it.
pub struct Listed {
    /// As facts call it: both kinds of bindings are `RoleBinding`.
    pub kind: &'static str,
    /// A `List` as JSON, or why there is none.
    pub found: Result<Vec<u8>, String>,
}

/// Lists what concerns `namespaces` in the cluster of a kubeconfig's context; empty is the current one.
///
/// # Errors
/// There is no such context, its cluster does not answer, or its declarations cannot be listed: without them nothing could be judged.
pub async fn list(context: &str, namespaces: &BTreeSet<String>) -> anyhow::Result<Found> {
    let client = Where { namespace: None, context: (!context.is_empty()).then(|| context.to_owned()) }.connect().await?.client;
    let mut all = Vec::new();
    let ours = Declaration::ALL.iter().map(|d| (GROUP, "v1alpha1", d.kind(), d.namespaced()));
    let estate = ESTATE.iter().map(|(kept, namespaced)| {
        let [group, version, kind, _] = kept.resource();
        (group, version, kind, *namespaced)
    });
    for (group, version, kind, namespaced) in ours.chain(KINDS.iter().copied()).chain(estate) {
        let kept = ESTATE.iter().find(|(kept, _)| kept.resource()[2] == kind).map(|(kept, _)| *kept);
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let mut items: Vec<DynamicObject> = Vec::new();
        let mut failed = None;
        // Without them what the cluster would refuse is anybody's guess; parties and people only inform.
        let needed = matches!(Declaration::find(kind), Some(Declaration::Ownership | Declaration::Baseline | Declaration::Control | Declaration::Waiver));
        let apis: Vec<Api<DynamicObject>> =
            if namespaced { namespaces.iter().map(|n| Api::namespaced_with(client.clone(), n, &resource)).collect() } else { vec![Api::all_with(client.clone(), &resource)] };
        for api in apis {
            match pages(&api, &ListParams::default()).await {
                Ok(found) => items.extend(found),
                Err(Unanswered::Missing(_)) if group == GATEWAYS => {}
                Err(Unanswered::Missing(_)) if kept.is_some_and(Kept::optional) => failed = Some(NOT_SERVED.to_owned()),
                Err(gone @ (Unanswered::Unreached(_) | Unanswered::Silent)) if needed => return Err(gone.for_good()),
                Err(reason) => failed = Some(format!("{} cannot be listed: {reason}", resource.plural)),
            }
        }
        if let Some(reason) = failed.as_ref().filter(|_| needed) {
            anyhow::bail!("{reason}; check that Demarc is installed there, and kubectl auth can-i list {}.{GROUP}", resource.plural);
        }
        let kind = if kind == "ClusterRoleBinding" { "RoleBinding" } else { kind };
        let found = match failed {
            Some(reason) => Err(reason),
            None => {
                for object in &mut items {
                    object.metadata.managed_fields = None;
                    if matches!(kept, Some(Kept::Nodes | Kept::Agents | Kept::Backups)) {
                        slim(object);
                    }
                }
                let typed = items.iter().map(|object| {
                    // Items of a list come without the two.
                    let mut value = serde_json::to_value(object)?;
                    value["apiVersion"] = resource.api_version.clone().into();
                    value["kind"] = resource.kind.clone().into();
                    Ok(value)
                });
                let typed: Vec<serde_json::Value> = typed.collect::<Result<_, serde_json::Error>>()?;
                Ok(serde_json::to_vec(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": typed}))?)
            }
        };
        all.push(Listed { kind, found });
    }
    let version = asked(client.apiserver_version()).await.ok();
    Ok(Found { server: version.and_then(|info| Version::parse(&format!("{}.{}", info.major, info.minor))), lists: all })
}

/// A node names its images by the hundred, a DaemonSet holds environment values, and backups are many: nobody reads that. What is left is nobody's
/// parent any more.
fn slim(object: &mut DynamicObject) {
    object.metadata.annotations = None;
    object.metadata.uid = None;
    if let Some(labels) = &mut object.metadata.labels {
        labels.retain(|key, _| key == "velero.io/schedule-name");
    }
    if let Some(fields) = object.data.as_object_mut() {
        fields.remove("spec");
        if let Some(status) = fields.get_mut("status").and_then(serde_json::Value::as_object_mut) {
            status.retain(|key, _| matches!(key.as_str(), "nodeInfo" | "desiredNumberScheduled" | "numberReady" | "phase" | "completionTimestamp"));
        }
    }
}
