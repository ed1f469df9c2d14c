//! What `demarc check --context` looks up in a cluster: declarations, namespaces, storage, bindings and policies, by the user's own kubeconfig.
//! It only lists, and never a Secret, a ConfigMap or a workload; what the user may not list is told as the reason why a control is unknown.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Context;
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
    config::{Config, KubeConfigOptions},
    core::{ApiResource, GroupVersionKind},
};

use super::said;
use crate::api::{Declaration, GROUP};

/// A call that is not answered by then is not waited for.
const CALL: Duration = Duration::from_secs(10);
/// Objects a page.
const PAGE: u32 = 500;

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
pub async fn list(context: &str, namespaces: &BTreeSet<String>) -> anyhow::Result<Vec<Listed>> {
    let options = KubeConfigOptions { context: (!context.is_empty()).then(|| context.to_owned()), ..KubeConfigOptions::default() };
    let mut config = Config::from_kubeconfig(&options).await.context("this kubeconfig cannot be used; set KUBECONFIG, and see kubectl config get-contexts")?;
    config.connect_timeout = Some(Duration::from_secs(5));
    let client = Client::try_from(config).context("the certificates or credentials of the kubeconfig cannot be used")?;
    let mut all = Vec::new();
    let ours = Declaration::ALL.iter().map(|d| (GROUP, "v1alpha1", d.kind(), d.namespaced()));
    for (group, version, kind, namespaced) in ours.chain(KINDS.iter().copied()) {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let mut items: Vec<DynamicObject> = Vec::new();
        let mut failed = None;
        let apis: Vec<Api<DynamicObject>> =
            if namespaced { namespaces.iter().map(|n| Api::namespaced_with(client.clone(), n, &resource)).collect() } else { vec![Api::all_with(client.clone(), &resource)] };
        for api in apis {
            match pages(&api).await {
                Ok(found) => items.extend(found),
                Err(Silence::NotServed(_)) if group == GATEWAYS => {}
                Err(Silence::NotServed(reason) | Silence::Failed(reason)) => failed = Some(reason),
            }
        }
        // Without them what the cluster would refuse is anybody's guess; parties and people only inform.
        if let (Some(reason), Some(Declaration::Ownership | Declaration::Baseline | Declaration::Control | Declaration::Waiver)) = (&failed, Declaration::find(kind)) {
            let plural = &resource.plural;
            anyhow::bail!("{kind}s cannot be listed: {reason}; check that Demarc is installed there, and kubectl auth can-i list {plural}.{GROUP}");
        }
        let kind = if kind == "ClusterRoleBinding" { "RoleBinding" } else { kind };
        let found = match failed {
            Some(reason) => Err(format!("{} cannot be listed: {reason}", resource.plural)),
            None => {
                for object in &mut items {
                    object.metadata.managed_fields = None;
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
    Ok(all)
}

/// Why there is no list.
enum Silence {
    NotServed(String),
    Failed(String),
}

async fn pages(api: &Api<DynamicObject>) -> Result<Vec<DynamicObject>, Silence> {
    let mut found = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = match tokio::time::timeout(CALL, api.list(&params)).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) if matches!(&error, kube::Error::Api(status) if status.code == 404) => return Err(Silence::NotServed(said(&error))),
            Ok(Err(error)) => return Err(Silence::Failed(said(&error))),
            Err(_) => return Err(Silence::Failed("no answer within 10 s".to_owned())),
        };
        found.extend(page.items);
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() => params = params.continue_token(&token),
            Some(_) | None => return Ok(found),
        }
    }
}
