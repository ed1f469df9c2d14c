//! What the API server itself depends on: which namespaces back a webhook, an aggregated API or a GitOps controller.
//! None of it can be written by a workload's author.

use std::collections::HashMap;

use kube::api::DynamicObject;
use serde_json::Value;

use super::Touched;
use crate::model::text::shown;

/// A kind that may name a namespace which the cluster depends on. None of them can be written by a workload's author.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Their services answer admission.
    ValidatingWebhooks,
    /// Their services answer admission.
    MutatingWebhooks,
    /// Their services answer the API.
    ApiServices,
    /// They give a GitOps controller its rights.
    ClusterRoleBindings,
}

/// The service accounts of Argo CD's and Flux's controllers that apply manifests, as both projects install them.
const GITOPS: &[&str] = &["argocd-application-controller", "kustomize-controller", "helm-controller"];

#[derive(Debug, Default)]
pub(super) struct Backings {
    /// What each namespace backs, in words, by the kind, the object and the namespace.
    backing: HashMap<String, (String, String)>,
}

impl Backings {
    /// Why the cluster depends on a namespace.
    pub fn of(&self, namespace: &str) -> Option<String> {
        self.backing.values().filter(|(of, _)| of == namespace).map(|(_, why)| why.clone()).min()
    }

    /// Keeps which namespaces an object names; one object may name several, each under a key of its own.
    pub fn apply(&mut self, kind: Backing, name: &str, object: &DynamicObject) -> Touched {
        let mut touched = self.forget(kind, name);
        let service = |config: &Value| config["service"]["namespace"].as_str().map(str::to_owned);
        let named: Vec<(String, String)> = match kind {
            Backing::ValidatingWebhooks | Backing::MutatingWebhooks => {
                let webhooks = object.data["webhooks"].as_array().into_iter().flatten();
                webhooks.filter_map(|w| service(&w["clientConfig"])).map(|ns| (ns, format!("it serves webhook {}", shown(name, 63)))).collect()
            }
            Backing::ApiServices => service(&object.data["spec"]).map(|ns| (ns, format!("it serves API {}", shown(name, 63)))).into_iter().collect(),
            Backing::ClusterRoleBindings => {
                let subjects = object.data["subjects"].as_array().into_iter().flatten();
                let gitops = subjects.filter(|s| s["kind"] == "ServiceAccount" && s["name"].as_str().is_some_and(|n| GITOPS.contains(&n)));
                gitops.filter_map(|s| s["namespace"].as_str()).map(|ns| (ns.to_owned(), "the GitOps controller runs in it".to_owned())).collect()
            }
        };
        for (namespace, why) in named {
            touched.namespace(&namespace);
            self.backing.insert(format!("{kind:?}/{name}/{namespace}"), (namespace, why));
        }
        touched
    }

    pub fn forget(&mut self, kind: Backing, name: &str) -> Touched {
        let mut touched = Touched::default();
        let prefix = format!("{kind:?}/{name}/");
        self.backing.retain(|key, (namespace, _)| {
            let stays = !key.starts_with(&prefix);
            if !stays {
                touched.namespace(namespace);
            }
            stays
        });
        touched
    }
}
