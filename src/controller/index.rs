//! What the watches have said, turned into the book. A burst of changes rebuilds the book once; whatever a change touches is marked dirty.
//! A stored Ownership that no longer parses hurts its own namespace only, and its last good matrix goes on.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::api::DynamicObject;
use serde_json::Value;
use tokio::sync::Notify;

use super::{install, watch::Change};
use crate::{
    api::ownership::Ownership,
    model::{
        facts::{Account, ClaimFact, Facts, Namespace, NetworkPolicy, StorageClass, Store, Volume, grantees},
        subject::Kind,
        text::shown,
    },
    policy::{
        book::{Book, Promise, Shared},
        matrix::Matrix,
    },
};

/// What a watch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Declarations.
    Ownerships,
    /// Namespaces.
    Namespaces,
    /// A kind of facts.
    StorageClasses,
    /// A kind of facts.
    Volumes,
    /// What the API server itself depends on: webhooks, aggregated APIs and the rights of GitOps controllers, for critical namespaces.
    Backing(Backing),
    /// A kind that is judged.
    Subjects(Kind),
}

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

/// One stored Ownership.
#[derive(Clone, Debug)]
pub struct Stored {
    /// As read; `None` when it does not parse.
    pub ownership: Option<Arc<Ownership>>,
    /// Its place in history, for writes that must not clobber.
    pub version: String,
    /// Its uid, for Events.
    pub uid: String,
    promise: Promise,
}

#[derive(Debug, Default)]
struct State {
    ownerships: HashMap<String, Stored>,
    namespaces: HashMap<String, Arc<Namespace>>,
    // Shared with the book: copied once a burst, and only what changed.
    classes: Arc<BTreeMap<String, StorageClass>>,
    volumes: Arc<BTreeMap<String, Volume>>,
    claims: Arc<BTreeMap<String, ClaimFact>>,
    accounts: Arc<BTreeMap<String, Account>>,
    grants: Arc<BTreeMap<String, BTreeSet<String>>>,
    network_policies: Arc<BTreeMap<String, BTreeMap<String, NetworkPolicy>>>,
    /// Whom each binding gives something, to take it back.
    granted: HashMap<String, Vec<String>>,
    /// What each namespace backs, in words, by the kind, the object and the namespace.
    backing: HashMap<String, (String, String)>,
    /// The name of our own webhook configuration.
    own: String,
    /// What keeps it from enforcing, judged once a change.
    fault: Option<(&'static str, String)>,
    dirty: BTreeSet<String>,
    /// Kinds of facts that cannot be read, and why: their controls are Unknown, and nothing else suffers (F38).
    unreadable: Vec<(Source, &'static str)>,
    /// Where each object is kept, by its uid: a fresh list tells what is gone by uid alone.
    kept: HashMap<String, (Source, String, String)>,
    /// Something changed that the book does not show yet.
    stale: bool,
}

/// The index: fed by the watches, read by the reconciler, and the only writer of the book.
#[derive(Debug, Default)]
pub struct Index {
    state: Mutex<State>,
    /// The book, the records and readiness.
    pub shared: Arc<Shared>,
    changed: Notify,
    unsettled: Notify,
}

impl Index {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty index; `configuration` is the name of our own webhook configuration.
    pub fn new(configuration: &str) -> Self {
        Self { state: Mutex::new(State { own: configuration.to_owned(), fault: install::fault(None), ..State::default() }), ..Self::default() }
    }

    /// Takes in one change. The book shows it after [`Index::settle`].
    pub fn take(&self, source: Source, change: &Change) {
        if let Source::Subjects(kind) = source {
            let touched = self.put(kind, change);
            self.state().dirty.extend(touched);
        }
        // Of what is judged, some kinds are facts as well.
        if !matches!(source, Source::Subjects(kind) if !kind.informs()) {
            let mut state = self.state();
            state.take(source, change);
            state.stale = true;
            drop(state);
            self.unsettled.notify_one();
        }
        self.changed.notify_one();
    }

    /// The records of what exists; returns the namespaces concerned.
    fn put(&self, kind: Kind, change: &Change) -> Vec<String> {
        match change {
            Change::Applied(object) => serde_json::to_value(&**object).ok().and_then(|value| self.shared.objects_mut().put(kind, value)).into_iter().collect(),
            Change::Deleted(object) => {
                let namespace = object.metadata.namespace.clone().unwrap_or_default();
                self.shared.objects_mut().remove(&namespace, object.metadata.uid.as_deref().unwrap_or_default());
                vec![namespace]
            }
            Change::Listed(uids) => self.shared.objects_mut().retain(kind, uids),
        }
    }

    /// Rebuilds the book if anything changed that it does not show.
    pub fn settle(&self) {
        let mut state = self.state();
        if !std::mem::take(&mut state.stale) {
            return;
        }
        let book = Book {
            promises: state.ownerships.iter().map(|(ns, s)| (ns.clone(), s.promise.clone())).collect(),
            namespaces: state.namespaces.clone(),
            facts: Facts {
                storage_classes: state.store(Source::StorageClasses, &state.classes),
                volumes: state.store(Source::Volumes, &state.volumes),
                claims: state.store(Source::Subjects(Kind::PersistentVolumeClaim), &state.claims),
                accounts: state.store(Source::Subjects(Kind::ServiceAccount), &state.accounts),
                grants: state.store(Source::Subjects(Kind::RoleBinding), &state.grants).and_then(|_| state.store(Source::Backing(Backing::ClusterRoleBindings), &state.grants)),
                network_policies: state.store(Source::Subjects(Kind::NetworkPolicy), &state.network_policies),
                unseen: Arc::new(state.unseen()),
            },
        };
        // Stored under the lock, so that an older book never replaces a newer one.
        self.shared.book.store(Arc::new(book));
    }

    /// Keeps the book as new as the watches, at most every `BURST`: a list of thousands is not thousands of books.
    pub async fn keep_settled(&self) {
        loop {
            self.unsettled.notified().await;
            self.settle();
            tokio::time::sleep(BURST).await;
        }
    }

    /// Says which kinds of facts cannot be read, and why; a change is judged everywhere.
    pub fn set_unreadable(&self, unreadable: Vec<(Source, &'static str)>) {
        let mut state = self.state();
        if state.unreadable != unreadable {
            state.unreadable = unreadable;
            state.stale = true;
            drop(state);
            self.settle();
            self.mark_all();
        }
    }

    /// Waits until something changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The namespaces to judge again, and forgets them. The book shows what made them so.
    pub fn drain_dirty(&self) -> BTreeSet<String> {
        self.settle();
        std::mem::take(&mut self.state().dirty)
    }

    /// Marks every declared or labelled namespace to be judged again: time passes without an event.
    pub fn mark_all(&self) {
        let mut state = self.state();
        let all: Vec<String> =
            state.ownerships.keys().cloned().chain(state.namespaces.values().filter(|n| n.labels.contains_key(crate::api::ENROLLED_LABEL)).map(|n| n.name.clone())).collect();
        state.dirty.extend(all);
        self.changed.notify_one();
    }

    /// Marks one namespace to be judged again.
    pub fn mark(&self, namespace: &str) {
        self.state().dirty.insert(namespace.to_owned());
        self.changed.notify_one();
    }

    /// What keeps the API server from asking as it should.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        self.state().fault.clone()
    }

    /// Why the cluster depends on a namespace, as far as objects of the whole cluster say so.
    pub fn backs(&self, namespace: &str) -> Option<String> {
        self.state().backing.values().filter(|(of, _)| of == namespace).map(|(_, why)| why.clone()).min()
    }

    /// The stored Ownership of a namespace.
    pub fn stored(&self, namespace: &str) -> Option<Stored> {
        self.state().ownerships.get(namespace).cloned()
    }
}

/// The service accounts of Argo CD's and Flux's controllers that apply manifests, as both projects install them.
const GITOPS: &[&str] = &["argocd-application-controller", "kustomize-controller", "helm-controller"];

/// A change is in the book within this; a twentieth of what P4 promises.
const BURST: Duration = Duration::from_millis(50);

fn key(object: &DynamicObject) -> String {
    format!("{}/{}", object.metadata.namespace.as_deref().unwrap_or_default(), object.metadata.name.as_deref().unwrap_or_default())
}

/// As JSON, metadata and all; whatever cannot be written says nothing, which makes its controls Unknown.
fn whole(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

impl Source {
    /// A kind that only informs checks, or is only judged itself: without it verdicts are Unknown, and the replica still decides.
    pub const fn is_fact(self) -> bool {
        match self {
            Self::StorageClasses | Self::Volumes | Self::Backing(_) => true,
            Self::Subjects(kind) => !kind.decides(),
            Self::Ownerships | Self::Namespaces => false,
        }
    }
}

impl State {
    fn store<T>(&self, source: Source, known: &Arc<BTreeMap<String, T>>) -> Store<T> {
        match self.unreadable.iter().find(|(of, _)| *of == source) {
            Some((_, why)) => Err((*why).to_owned()),
            None => Ok(known.clone()),
        }
    }

    /// What is judged and cannot be read.
    fn unseen(&self) -> BTreeMap<Kind, String> {
        let kind = |(source, why): &(Source, &str)| match source {
            Source::Subjects(kind) => Some((*kind, (*why).to_owned())),
            Source::Ownerships | Source::Namespaces | Source::StorageClasses | Source::Volumes | Source::Backing(_) => None,
        };
        self.unreadable.iter().filter_map(kind).collect()
    }

    fn take(&mut self, source: Source, change: &Change) {
        match change {
            Change::Applied(object) => self.apply(source, object),
            Change::Deleted(object) => {
                let meta = &object.metadata;
                self.kept.remove(meta.uid.as_deref().unwrap_or_default());
                self.forget(source, meta.name.as_deref().unwrap_or_default(), meta.namespace.as_deref().unwrap_or_default());
            }
            Change::Listed(uids) => self.keep(source, uids),
        }
    }

    fn remember(&mut self, source: Source, object: &DynamicObject) {
        let meta = &object.metadata;
        self.kept.insert(meta.uid.clone().unwrap_or_default(), (source, meta.name.clone().unwrap_or_default(), meta.namespace.clone().unwrap_or_default()));
    }

    fn apply(&mut self, source: Source, object: &DynamicObject) {
        self.remember(source, object);
        let name = object.metadata.name.clone().unwrap_or_default();
        match source {
            Source::Ownerships => {
                let namespace = object.metadata.namespace.clone().unwrap_or_default();
                let parsed = serde_json::to_value(object).map_err(|e| e.to_string()).and_then(|v| serde_json::from_value::<Ownership>(v).map_err(|e| e.to_string()));
                let promise = match &parsed {
                    Ok(ownership) => Promise::Declared(Arc::new(Matrix::resolve(ownership))),
                    Err(reason) => {
                        tracing::warn!(namespace, reason, "a stored ownership cannot be read");
                        let last_good = self.ownerships.get(&namespace).and_then(|s| match &s.promise {
                            Promise::Declared(matrix) => Some(matrix.clone()),
                            Promise::Broken { last_good, .. } => last_good.clone(),
                        });
                        Promise::Broken { last_good, reason: reason.clone() }
                    }
                };
                let stored = Stored {
                    ownership: parsed.ok().map(Arc::new),
                    version: object.metadata.resource_version.clone().unwrap_or_default(),
                    uid: object.metadata.uid.clone().unwrap_or_default(),
                    promise,
                };
                self.dirty.insert(namespace.clone());
                self.ownerships.insert(namespace, stored);
            }
            Source::Namespaces => {
                let namespace = Namespace {
                    name: name.clone(),
                    labels: object.metadata.labels.clone().unwrap_or_default().into_iter().collect(),
                    annotations: object.metadata.annotations.clone().unwrap_or_default().into_iter().collect(),
                };
                self.dirty.insert(name.clone());
                self.namespaces.insert(name, Arc::new(namespace));
            }
            Source::StorageClasses => {
                Arc::make_mut(&mut self.classes).insert(name, StorageClass::from_json(&whole(object)));
                self.dirty.extend(self.ownerships.keys().cloned());
            }
            Source::Volumes => {
                Arc::make_mut(&mut self.volumes).insert(name, Volume::from_json(&whole(object)));
                self.dirty.extend(self.ownerships.keys().cloned());
            }
            Source::Backing(kind) => {
                self.backs(kind, &name, object);
                if kind == Backing::ClusterRoleBindings {
                    self.grant(format!("ClusterRoleBinding/{name}"), object);
                }
            }
            Source::Subjects(kind) => {
                self.inform(kind, object);
                self.dirty.extend(object.metadata.namespace.clone());
            }
        }
    }

    /// What checks of other objects look up.
    fn inform(&mut self, kind: Kind, object: &DynamicObject) {
        match kind {
            Kind::PersistentVolumeClaim => {
                Arc::make_mut(&mut self.claims).insert(key(object), ClaimFact::from_json(&whole(object)));
            }
            Kind::ServiceAccount => {
                Arc::make_mut(&mut self.accounts).insert(key(object), Account { automount: object.data["automountServiceAccountToken"].as_bool() });
            }
            Kind::RoleBinding => self.grant(format!("RoleBinding/{}", key(object)), object),
            Kind::NetworkPolicy => {
                let name = object.metadata.name.clone().unwrap_or_default();
                let of_namespace = Arc::make_mut(&mut self.network_policies).entry(object.metadata.namespace.clone().unwrap_or_default()).or_default();
                match NetworkPolicy::read(&object.data["spec"]) {
                    Some(policy) => drop(of_namespace.insert(name, policy)),
                    None => drop(of_namespace.remove(&name)),
                }
            }
            _ => debug_assert!(!kind.informs(), "{kind:?} informs nobody"),
        }
    }

    /// Keeps whom a binding gives something.
    fn grant(&mut self, binding: String, object: &DynamicObject) {
        self.ungrant(&binding);
        let mut value = serde_json::json!({"metadata": {"name": object.metadata.name}});
        value["subjects"] = object.data["subjects"].clone();
        let grantees = grantees(&value);
        for grantee in &grantees {
            Arc::make_mut(&mut self.grants).entry(grantee.clone()).or_default().insert(binding.clone());
        }
        self.concern(&grantees);
        self.granted.insert(binding, grantees);
    }

    fn ungrant(&mut self, binding: &str) {
        let Some(grantees) = self.granted.remove(binding) else { return };
        let grants = Arc::make_mut(&mut self.grants);
        for grantee in &grantees {
            if let Some(bindings) = grants.get_mut(grantee) {
                bindings.remove(binding);
                if bindings.is_empty() {
                    grants.remove(grantee);
                }
            }
        }
        self.concern(&grantees);
    }

    /// Marks the namespaces of these ServiceAccounts; a group may concern all.
    fn concern(&mut self, grantees: &[String]) {
        for grantee in grantees {
            match grantee.split_once('/') {
                Some((namespace, _)) => {
                    self.dirty.insert(namespace.to_owned());
                }
                None => self.dirty.extend(self.ownerships.keys().cloned()),
            }
        }
    }

    /// Keeps which namespaces an object names; one object may name several, each under a key of its own.
    fn backs(&mut self, kind: Backing, name: &str, object: &DynamicObject) {
        self.unback(kind, name);
        if kind == Backing::ValidatingWebhooks && name == self.own {
            self.fault = install::fault(Some(&object.data));
        }
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
            self.dirty.insert(namespace.clone());
            self.backing.insert(format!("{kind:?}/{name}/{namespace}"), (namespace, why));
        }
    }

    fn unback(&mut self, kind: Backing, name: &str) {
        if kind == Backing::ValidatingWebhooks && name == self.own {
            self.fault = install::fault(None);
            self.dirty.extend(self.ownerships.keys().cloned());
        }
        let prefix = format!("{kind:?}/{name}/");
        let dirty = &mut self.dirty;
        self.backing.retain(|key, (namespace, _)| {
            let stays = !key.starts_with(&prefix);
            if !stays {
                dirty.insert(namespace.clone());
            }
            stays
        });
    }

    fn forget(&mut self, source: Source, name: &str, namespace: &str) {
        match source {
            Source::Ownerships => {
                self.ownerships.remove(namespace);
                self.dirty.insert(namespace.to_owned());
            }
            Source::Namespaces => {
                self.namespaces.remove(name);
            }
            Source::StorageClasses => {
                Arc::make_mut(&mut self.classes).remove(name);
                self.dirty.extend(self.ownerships.keys().cloned());
            }
            Source::Volumes => {
                Arc::make_mut(&mut self.volumes).remove(name);
                self.dirty.extend(self.ownerships.keys().cloned());
            }
            Source::Backing(kind) => {
                self.unback(kind, name);
                if kind == Backing::ClusterRoleBindings {
                    self.ungrant(&format!("ClusterRoleBinding/{name}"));
                }
            }
            Source::Subjects(kind) => {
                let key = format!("{namespace}/{name}");
                match kind {
                    Kind::PersistentVolumeClaim => drop(Arc::make_mut(&mut self.claims).remove(&key)),
                    Kind::ServiceAccount => drop(Arc::make_mut(&mut self.accounts).remove(&key)),
                    Kind::RoleBinding => self.ungrant(&format!("RoleBinding/{key}")),
                    Kind::NetworkPolicy => {
                        let policies = Arc::make_mut(&mut self.network_policies);
                        if let Some(of_namespace) = policies.get_mut(namespace) {
                            of_namespace.remove(name);
                            if of_namespace.is_empty() {
                                policies.remove(namespace);
                            }
                        }
                    }
                    _ => debug_assert!(!kind.informs(), "{kind:?} informs nobody"),
                }
                self.dirty.insert(namespace.to_owned());
            }
        }
    }

    /// The end of a fresh list: forgets what was not in it, unless something of the same name has taken its place.
    fn keep(&mut self, source: Source, uids: &HashSet<String>) {
        let gone: Vec<String> = self.kept.iter().filter(|(uid, (of, ..))| *of == source && !uids.contains(*uid)).map(|(uid, _)| uid.clone()).collect();
        for uid in gone {
            let Some((_, name, namespace)) = self.kept.remove(&uid) else { continue };
            if !self.kept.values().any(|(of, n, ns)| *of == source && *n == name && *ns == namespace) {
                self.forget(source, &name, &namespace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_kind_of_facts_is_told_as_such_and_comes_back() {
        let index = Index::default();
        let class = serde_json::json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast", "uid": "c"}, "provisioner": "driver.longhorn.io"});
        index.take(Source::StorageClasses, &Change::Applied(Box::new(serde_json::from_value(class).unwrap())));
        let facts = || {
            index.settle();
            index.shared.book.load().facts.clone()
        };
        assert!(facts().storage_classes.is_ok_and(|c| c.contains_key("fast")));
        index.set_unreadable(vec![(Source::StorageClasses, "RBAC forbids reading them")]);
        assert_eq!(facts().storage_classes, Err("RBAC forbids reading them".to_owned()));
        assert!(facts().volumes.is_ok(), "the others stand");
        index.set_unreadable(Vec::new());
        assert!(facts().storage_classes.is_ok_and(|c| c.contains_key("fast")));
    }

    #[test]
    fn bindings_and_policies_come_and_go_and_what_is_forbidden_is_unseen() {
        let index = Index::default();
        let object = |kind: &str, uid: &str, rest: serde_json::Value| {
            let mut object = serde_json::json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "x", "namespace": "shop", "uid": uid}});
            object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            Box::new(serde_json::from_value::<DynamicObject>(object).unwrap())
        };
        let subjects = serde_json::json!({"subjects": [{"kind": "ServiceAccount", "name": "web", "namespace": "shop"}]});
        let facts = || {
            index.settle();
            index.shared.book.load().facts.clone()
        };
        let bound = |facts: &Facts| facts.grants.as_ref().unwrap().contains_key("shop/web");
        let (role, cluster) = (Source::Subjects(Kind::RoleBinding), Source::Backing(Backing::ClusterRoleBindings));
        index.take(role, &Change::Applied(object("RoleBinding", "1", subjects.clone())));
        index.take(cluster, &Change::Applied(object("ClusterRoleBinding", "2", subjects.clone())));
        assert!(bound(&facts()));
        index.take(role, &Change::Applied(object("RoleBinding", "1", serde_json::json!({"subjects": null}))));
        assert!(bound(&facts()), "by the other");
        index.take(cluster, &Change::Deleted(object("ClusterRoleBinding", "2", subjects)));
        assert!(!bound(&facts()));
        let policies = Source::Subjects(Kind::NetworkPolicy);
        index.take(policies, &Change::Applied(object("NetworkPolicy", "3", serde_json::json!({"spec": {"podSelector": {}}}))));
        assert!(facts().network_policies.unwrap()["shop"]["x"].ingress);
        index.take(policies, &Change::Listed(HashSet::new()));
        assert!(facts().network_policies.unwrap().is_empty());
        index.set_unreadable(vec![(cluster, "x"), (Source::Subjects(Kind::ServiceAccount), "x")]);
        let blind = facts();
        assert!(blind.grants.is_err() && blind.accounts.is_err() && blind.network_policies.is_ok());
        assert_eq!(blind.unseen.keys().collect::<Vec<_>>(), [&Kind::ServiceAccount]);
    }

    #[test]
    fn what_a_fresh_list_lacks_is_forgotten_unless_its_name_lives_on() {
        let index = Index::default();
        let class = |name: &str, uid: &str| {
            Change::Applied(Box::new(
                serde_json::from_value(serde_json::json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name, "uid": uid}, "provisioner": "p"}))
                    .unwrap(),
            ))
        };
        for (name, uid) in [("gone", "1"), ("remade", "2"), ("remade", "3")] {
            index.take(Source::StorageClasses, &class(name, uid));
        }
        index.take(Source::StorageClasses, &Change::Listed(HashSet::from(["3".to_owned()])));
        index.settle();
        let names: Vec<String> = index.shared.book.load().facts.storage_classes.as_ref().unwrap().keys().cloned().collect();
        assert_eq!(names, ["remade"]);
    }

    #[test]
    fn a_namespace_that_the_cluster_depends_on_is_known_by_what_depends_on_it() {
        let index = Index::default();
        let take = |backing, object: serde_json::Value| index.take(Source::Backing(backing), &Change::Applied(Box::new(serde_json::from_value(object).unwrap())));
        let hook = |namespace: &str| {
            serde_json::json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "cert-manager", "uid": "w"},
            "webhooks": [{"clientConfig": {"url": "https://127.0.0.1/"}}, {"clientConfig": {"service": {"namespace": namespace, "name": "s"}}}]})
        };
        take(Backing::ValidatingWebhooks, hook("certs"));
        assert_eq!(index.backs("certs").unwrap(), "it serves webhook cert-manager");
        take(Backing::ValidatingWebhooks, hook("elsewhere"));
        assert_eq!((index.backs("certs"), index.backs("elsewhere").is_some()), (None, true), "it moved");
        index.take(Source::Backing(Backing::ValidatingWebhooks), &Change::Listed(HashSet::new()));
        assert_eq!(index.backs("elsewhere"), None, "it is gone");
        take(
            Backing::ApiServices,
            serde_json::json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.metrics.k8s.io", "uid": "a"}, "spec": {"service": {"namespace": "metrics", "name": "s"}}}),
        );
        assert!(index.backs("metrics").is_some());
        let binding = |account: &str| {
            serde_json::json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": account, "uid": account},
            "subjects": [{"kind": "User", "name": "kustomize-controller", "namespace": "users"}, {"kind": "ServiceAccount", "name": account, "namespace": "apps"}]})
        };
        take(Backing::ClusterRoleBindings, binding("web"));
        assert_eq!(index.backs("apps"), None);
        take(Backing::ClusterRoleBindings, binding("argocd-application-controller"));
        assert!(index.backs("apps").is_some() && index.backs("users").is_none());
    }
}
