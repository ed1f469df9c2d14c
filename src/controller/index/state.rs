//! What the watches have said, each part where it belongs, and which namespaces a change touches.
//! No lock and no waiting: [`super::Index`] has those.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use kube::api::DynamicObject;

use super::{
    Backing, Source,
    backing::Backings,
    declared::Declared,
    deleted::Departures,
    estate::Estate,
    facts::{Stores, Unreadable},
    guarded::Guarded,
    tide::Tide,
};
use crate::{
    api::{self, Declaration},
    controller::watch::Change,
    model::facts::Namespace,
};

/// The namespaces to judge again after a change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    namespaces: Vec<String>,
    everybody: bool,
}

impl Touched {
    pub fn one(namespace: String) -> Self {
        Self { namespaces: vec![namespace], everybody: false }
    }
    pub fn all() -> Self {
        Self { namespaces: Vec::new(), everybody: true }
    }
    pub fn namespace(&mut self, namespace: &str) {
        self.namespaces.push(namespace.to_owned());
    }
    pub fn everybody(&mut self) {
        self.everybody = true;
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub declared: Declared,
    pub facts: Stores,
    pub estate: Estate,
    pub backing: Backings,
    pub guarded: Guarded,
    pub departures: Departures,
    pub tide: Tide,
    pub namespaces: HashMap<String, Arc<Namespace>>,
    pub dirty: BTreeSet<String>,
    pub unreadable: Unreadable,
    /// Where each object is kept, by its uid: a fresh list tells what is gone by uid alone.
    pub kept: HashMap<String, (Source, String, String)>,
    /// Something changed that the book does not show yet.
    pub stale: bool,
}

impl State {
    /// Marks what a change touched. Whatever may concern everybody concerns those that are declared, enrolled or under a Baseline.
    pub fn mark(&mut self, touched: Touched) {
        self.dirty.extend(touched.namespaces);
        if touched.everybody {
            let enrolled = self.namespaces.values().filter(|n| n.labels.contains_key(api::ENROLLED_LABEL)).map(|n| n.name.clone());
            self.dirty.extend(self.declared.ownerships.keys().chain(self.declared.floors.keys()).cloned().chain(enrolled));
        }
    }

    /// A Baseline may concern a namespace that has declared nothing and is not enrolled.
    fn mark_selected(&mut self, kind: Declaration) {
        if kind == Declaration::Baseline {
            self.dirty.extend(self.namespaces.keys().cloned());
        }
    }

    pub fn take(&mut self, source: Source, change: &Change) {
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
                if touched.everybody {
                    self.mark_selected(kind);
                }
                self.mark(touched);
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
                // What was counted of it is forgotten.
                self.dirty.insert(name.to_owned());
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
