//! The watches that fill the index, and readiness, which follows from how they stand.

use std::{sync::Arc, time::Duration};

use kube::{
    Api, Client,
    api::DynamicObject,
    core::{ApiResource, GroupVersionKind},
};
use tokio::sync::watch;

use super::Tasks;
use crate::{
    admission::tls::Pair,
    api::Declaration,
    controller::{
        index::{Backing, Guard, Index, Kept, Source},
        watch::{Health, follow},
    },
    controls::CATALOG,
    model::{estate::NOT_SERVED, subject::Kind},
};

/// What is watched, each with its resource: the rights to read follow from this. All but the facts decide: a child whose parent has no record
/// would be refused for ever.
pub fn watched() -> Vec<(Source, ApiResource)> {
    let resource = |group: &str, version: &str, kind: &str, plural: &str| ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let admission = "admissionregistration.k8s.io";
    let declared = Declaration::ALL.iter().map(|d| (Source::Declared(*d), resource(crate::api::GROUP, "v1alpha1", d.kind(), d.plural())));
    let mut watched: Vec<_> = declared.collect();
    watched.extend([
        (Source::Namespaces, resource("", "v1", "Namespace", "namespaces")),
        (Source::StorageClasses, resource("storage.k8s.io", "v1", "StorageClass", "storageclasses")),
        (Source::Volumes, resource("", "v1", "PersistentVolume", "persistentvolumes")),
        (Source::Backing(Backing::ValidatingWebhooks), resource(admission, "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations")),
        (Source::Backing(Backing::MutatingWebhooks), resource(admission, "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations")),
        (Source::Backing(Backing::ApiServices), resource("apiregistration.k8s.io", "v1", "APIService", "apiservices")),
        (Source::Guards(Guard::Policies), resource(admission, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies")),
        (Source::Guards(Guard::Bindings), resource(admission, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings")),
        (Source::Backing(Backing::ClusterRoleBindings), resource("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings")),
    ]);
    // ClusterRoleBindings are watched already, for what depends on them.
    let judged = Kind::ALL.iter().filter(|k| **k != Kind::ClusterRoleBinding).filter(|k| k.informs() || CATALOG.iter().any(|c| c.kinds.contains(k)));
    watched.extend(Kept::WATCHED.iter().map(|kept| {
        let [group, version, kind, plural] = kept.resource();
        (Source::Estate(*kept), resource(group, version, kind, plural))
    }));
    watched.extend(judged.map(|kind| (Source::Subjects(*kind), resource(kind.group(), kind.version(), kind.name(), kind.plural()))));
    watched
}

/// Starts one watch a kind.
pub(super) fn start_watches(client: &Client, index: &Arc<Index>, tasks: &mut Tasks) -> Vec<(Source, Arc<Health>)> {
    watched()
        .into_iter()
        .map(|(source, resource)| {
            let health = Arc::new(match source {
                Source::Declared(Declaration::Ownership) => Health::with_origins(),
                source if source.optional() => Health::optional(),
                _ => Health::default(),
            });
            if let Source::Subjects(kind) = source {
                index.heed(kind, health.clone());
            }
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let (index, watched) = (index.clone(), health.clone());
            tasks.spawn(async move {
                follow(api, &resource.plural, watched, move |change| index.take(source, &change)).await;
                ("watch", Ok(()))
            });
            (source, health)
        })
        .collect()
}

/// Each watch by its resource, for whoever asks how old what it says is.
pub(super) fn ages(healths: &[(Source, Arc<Health>)]) -> Vec<(String, Arc<Health>)> {
    let name = |r: &ApiResource| if r.group.is_empty() { r.plural.clone() } else { format!("{}.{}", r.plural, r.group) };
    watched().iter().zip(healths).map(|((_, resource), (_, health))| (name(resource), health.clone())).collect()
}

/// Those without which nothing may be decided.
pub(super) fn deciding(healths: &[(Source, Arc<Health>)]) -> Vec<(String, Arc<Health>)> {
    ages(healths).into_iter().zip(healths).filter(|(_, (source, _))| !source.is_fact()).map(|(named, _)| named).collect()
}

/// Says ten times a second whether every store that decides is full and fresh and there is a certificate, and which facts cannot be read.
pub(super) async fn keep_ready(index: &Index, healths: &[(Source, Arc<Health>)], pair: &Pair, ready: &watch::Sender<bool>) {
    loop {
        // Without a fact the verdicts that need it are Unknown; without the rest nothing may be decided.
        let trouble = |source: Source, h: &Health| h.trouble().or_else(|| (h.absent() && matches!(source, Source::Estate(_))).then_some(NOT_SERVED));
        let unreadable: Vec<(Source, &'static str)> =
            healths.iter().filter(|(source, _)| source.is_fact()).filter_map(|(source, h)| Some((*source, trouble(*source, h)?))).collect();
        let fresh = pair.present() && healths.iter().all(|(source, h)| h.fresh() || unreadable.iter().any(|(of, _)| of == source));
        index.set_unreadable(unreadable);
        // Full is what the watches have said, and so must be the book.
        index.settle();
        index.shared.set_ready(fresh);
        ready.send_if_modified(|was| std::mem::replace(was, fresh) != fresh);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
