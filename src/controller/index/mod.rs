//! What the watches have said, turned into the book. A burst of changes rebuilds the book once; whatever a change touches is marked dirty.
//! What is kept stands apart: declarations, facts, and what the API server itself depends on.

mod backing;
mod declared;
mod deleted;
mod estate;
mod facts;
mod guarded;
mod owned;
mod packed;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::api::DynamicObject;
use tokio::sync::Notify;

pub use self::{
    backing::Backing,
    declared::Stored,
    deleted::Deleted,
    estate::Kept,
    guarded::{Enrolled, Guard, Standing},
};
use self::{
    backing::Backings,
    declared::Declared,
    deleted::Departures,
    estate::Estate,
    facts::{Stores, Unreadable},
    guarded::Guarded,
};
use super::{
    audit::Expected,
    publish::{Action, plan},
    watch::{Change, Health},
};
use crate::{
    api::{Declaration, baseline::Baseline, waiver::Waiver},
    model::{estate::Version, facts::Namespace, subject::Kind},
    policy::book::{Book, Shared},
};

/// What a watch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A kind of ours.
    Declared(Declaration),
    /// Namespaces.
    Namespaces,
    /// A kind of facts.
    StorageClasses,
    /// A kind of facts.
    Volumes,
    /// What the API server itself depends on, for critical namespaces.
    Backing(Backing),
    /// Policies in the API server: whether Demarc's own stand.
    Guards(Guard),
    /// What stands around the workloads.
    Estate(Kept),
    /// A kind that is judged.
    Subjects(Kind),
}

/// The namespaces to judge again after a change.
#[derive(Debug, Default, PartialEq, Eq)]
struct Touched {
    namespaces: Vec<String>,
    everybody: bool,
}

impl Touched {
    fn one(namespace: String) -> Self {
        Self { namespaces: vec![namespace], everybody: false }
    }
    fn all() -> Self {
        Self { namespaces: Vec::new(), everybody: true }
    }
    fn namespace(&mut self, namespace: &str) {
        self.namespaces.push(namespace.to_owned());
    }
    fn everybody(&mut self) {
        self.everybody = true;
    }
}

#[derive(Debug, Default)]
struct State {
    declared: Declared,
    facts: Stores,
    estate: Estate,
    backing: Backings,
    guarded: Guarded,
    departures: Departures,
    namespaces: HashMap<String, Arc<Namespace>>,
    dirty: BTreeSet<String>,
    unreadable: Unreadable,
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
    lists: Mutex<Vec<(Kind, Arc<Health>)>>,
    listed: Notify,
}

impl Index {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty index; what should stand in the API server is held against what does.
    pub fn new(expected: Expected) -> Self {
        Self { state: Mutex::new(State { guarded: Guarded::new(expected), ..State::default() }), ..Self::default() }
    }

    /// Takes in one change. The book shows it after [`Index::settle`].
    pub fn take(&self, source: Source, change: &Change) {
        let judged = match source {
            Source::Subjects(kind) => Some(kind),
            Source::Backing(Backing::ClusterRoleBindings) => Some(Kind::ClusterRoleBinding),
            Source::Declared(_) | Source::Namespaces | Source::StorageClasses | Source::Volumes | Source::Backing(_) | Source::Guards(_) | Source::Estate(_) => None,
        };
        if let Some(kind) = judged {
            let touched = self.put(kind, change);
            self.state().dirty.extend(touched);
        }
        // Of what is judged, some kinds are facts as well.
        let stale = match source {
            Source::Estate(kept) => self.keep(kept, change),
            Source::Subjects(Kind::DaemonSet) => self.keep(Kept::Agents, change),
            Source::Subjects(kind) if !kind.informs() => false,
            Source::Declared(Declaration::Control) => {
                let mut state = self.state();
                state.take(source, change);
                let whole = state.declared.whole();
                drop(state);
                self.keep_whole(whole);
                true
            }
            Source::Declared(_) | Source::Namespaces | Source::StorageClasses | Source::Volumes | Source::Backing(_) | Source::Guards(_) | Source::Subjects(_) => {
                self.state().take(source, change);
                if source == Source::Declared(Declaration::Baseline) {
                    self.listed.notify_one();
                }
                true
            }
        };
        if stale {
            self.state().stale = true;
            self.unsettled.notify_one();
        }
        self.changed.notify_one();
    }

    /// Takes in what stands around the workloads; whether it is another now.
    fn keep(&self, kept: Kept, change: &Change) -> bool {
        let mut state = self.state();
        let touched = state.estate.take(kept, change);
        let is_news = touched != Touched::default();
        state.mark(touched);
        is_news
    }

    /// The API server is of this version, as far as that is known.
    pub fn serve(&self, version: Option<Version>) {
        let mut state = self.state();
        if state.estate.serve(version) {
            state.mark(Touched::all());
            state.stale = true;
            drop(state);
            self.unsettled.notify_one();
            self.changed.notify_one();
        }
    }

    /// Of these kinds the whole object is kept from now on. What is known of a new one among them is not whole, so its list is read anew.
    fn keep_whole(&self, kinds: BTreeSet<Kind>) {
        let new = self.shared.objects_mut().keep_whole(kinds);
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, health) in lists.iter() {
            if new.contains(kind) {
                health.read_anew();
            }
        }
    }

    /// Whose list is read anew when more of its objects must be kept.
    pub fn heed(&self, kind: Kind, health: Arc<Health>) {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).push((kind, health));
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
        let state = &mut *state;
        let mut book = Book { namespaces: state.namespaces.clone(), facts: state.facts.facts(&state.estate, &state.unreadable), ..Book::empty() };
        state.declared.write(&mut book);
        // Stored under the lock, so that an older book never replaces a newer one.
        self.shared.book.store(Arc::new(book));
        self.shared.tally.booked();
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
    pub fn set_unreadable(&self, unreadable: Unreadable) {
        let mut state = self.state();
        if state.unreadable != unreadable {
            state.guarded.unseen(unreadable.iter().find(|(of, _)| matches!(of, Source::Guards(_))).map(|(_, why)| *why));
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
        state.mark(Touched::all());
        self.changed.notify_one();
    }

    /// Lets whoever waits for a change look again.
    pub fn wake(&self) {
        self.changed.notify_one();
    }

    /// Marks one namespace to be judged again.
    pub fn mark(&self, namespace: &str) {
        self.state().dirty.insert(namespace.to_owned());
        self.changed.notify_one();
    }

    /// Why the cluster depends on a namespace, as far as objects of the whole cluster say so.
    pub fn backs(&self, namespace: &str) -> Option<String> {
        self.state().backing.of(namespace)
    }

    /// The stored Baselines.
    pub fn baselines(&self) -> Vec<Arc<Baseline>> {
        self.state().declared.baselines.values().map(|(baseline, _)| baseline.clone()).collect()
    }

    /// Whether such a Baseline is stored, readable or not.
    pub fn has_baseline(&self, name: &str) -> bool {
        let state = self.state();
        state.declared.baselines.contains_key(name) || state.declared.unread_baselines.contains(name)
    }

    /// What is to be done so that the catalog is published as it is.
    pub fn unpublished(&self) -> Vec<Action> {
        plan(&self.state().declared.published)
    }

    /// The stored Waivers of a namespace.
    pub fn waivers(&self, namespace: &str) -> Vec<Arc<Waiver>> {
        self.state().declared.waivers.get(namespace).into_iter().flat_map(|w| w.values().cloned()).collect()
    }

    /// The stored Ownership of a namespace.
    pub fn stored(&self, namespace: &str) -> Option<Stored> {
        self.state().declared.ownerships.get(namespace).cloned()
    }
}

/// A change is in the book within this; a twentieth of what P4 promises.
const BURST: Duration = Duration::from_millis(50);

impl Source {
    /// Whether a cluster may do without it: it comes with a CRD.
    pub const fn optional(self) -> bool {
        match self {
            Self::Subjects(kind) => kind.optional(),
            Self::Estate(kept) => kept.optional(),
            Self::Declared(_) | Self::Namespaces | Self::StorageClasses | Self::Volumes | Self::Backing(_) | Self::Guards(_) => false,
        }
    }

    /// A kind that only informs checks, or is only judged itself: without it verdicts are Unknown, and the replica still decides.
    pub const fn is_fact(self) -> bool {
        match self {
            Self::StorageClasses | Self::Volumes | Self::Backing(_) | Self::Guards(_) | Self::Estate(_) | Self::Declared(Declaration::Party | Declaration::Roster) => true,
            Self::Subjects(kind) => !kind.decides(),
            Self::Declared(Declaration::Ownership | Declaration::Baseline | Declaration::Control | Declaration::Waiver) | Self::Namespaces => false,
        }
    }
}

impl State {
    /// Marks what a change touched. Whatever may concern everybody concerns those that are declared or enrolled.
    fn mark(&mut self, touched: Touched) {
        self.dirty.extend(touched.namespaces);
        if touched.everybody {
            let enrolled = self.namespaces.values().filter(|n| n.labels.contains_key(crate::api::ENROLLED_LABEL)).map(|n| n.name.clone());
            self.dirty.extend(self.declared.ownerships.keys().cloned().chain(enrolled));
        }
    }

    /// A Baseline may concern a namespace that has declared nothing and is not enrolled.
    fn mark_selected(&mut self, kind: Declaration) {
        if kind == Declaration::Baseline {
            self.dirty.extend(self.namespaces.keys().cloned());
        }
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
        // Of some kinds more than one part keeps something.
        let touched = self.facts.apply(source, object);
        self.mark(touched);
        match source {
            Source::Declared(kind) => {
                if kind == Declaration::Ownership {
                    self.made_anew(object);
                }
                let touched = self.declared.apply(kind, object);
                self.mark(touched);
                self.mark_selected(kind);
            }
            Source::Namespaces => {
                let namespace = Namespace {
                    name: name.clone(),
                    labels: object.metadata.labels.clone().unwrap_or_default().into_iter().collect(),
                    annotations: object.metadata.annotations.clone().unwrap_or_default().into_iter().collect(),
                };
                self.dirty.insert(name.clone());
                self.declared.namespace(&name);
                self.departures.namespace(&name, object.metadata.deletion_timestamp.is_some());
                self.namespaces.insert(name, Arc::new(namespace));
            }
            Source::Backing(kind) => {
                let touched = self.backing.apply(kind, &name, object);
                self.mark(touched);
                if kind == Backing::ValidatingWebhooks {
                    let touched = self.guarded.webhook(&name, Some(object));
                    self.mark(touched);
                }
            }
            Source::Guards(guard) => {
                let touched = self.guarded.guard(guard, &name, Some(object));
                self.mark(touched);
            }
            Source::StorageClasses | Source::Volumes | Source::Estate(_) | Source::Subjects(_) => {}
        }
    }

    /// Another stands where one was: nobody watched when that went, and it is told all the same.
    fn made_anew(&mut self, object: &DynamicObject) {
        let (Some(namespace), Some(uid)) = (object.metadata.namespace.as_deref(), object.metadata.uid.as_deref()) else { return };
        if let Some(stored) = self.declared.ownerships.get(namespace).filter(|stored| stored.uid != uid) {
            self.departures.ownership(namespace, &stored.uid);
        }
    }

    fn forget(&mut self, source: Source, name: &str, namespace: &str) {
        let touched = self.facts.forget(source, name, namespace);
        self.mark(touched);
        let touched = match source {
            Source::Declared(kind) => {
                self.mark_selected(kind);
                if let Some(stored) = self.declared.ownerships.get(namespace).filter(|_| kind == Declaration::Ownership) {
                    self.departures.ownership(namespace, &stored.uid);
                }
                self.declared.forget(kind, name, namespace)
            }
            Source::Namespaces => {
                self.namespaces.remove(name);
                self.departures.namespace(name, false);
                self.declared.namespace(name);
                return;
            }
            Source::Backing(kind) => {
                if kind == Backing::ValidatingWebhooks {
                    let touched = self.guarded.webhook(name, None);
                    self.mark(touched);
                }
                self.backing.forget(kind, name)
            }
            Source::Guards(guard) => self.guarded.guard(guard, name, None),
            Source::StorageClasses | Source::Volumes | Source::Estate(_) | Source::Subjects(_) => return,
        };
        self.mark(touched);
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
    use crate::model::facts::Facts;

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
        assert_eq!(blind.unseen.keys().collect::<Vec<_>>(), [&Kind::ServiceAccount, &Kind::ClusterRoleBinding]);
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
