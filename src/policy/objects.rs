//! The objects that exist, each as a compact record: identity, parent, and the few fields that checks read.
//! The webhook looks up parents here; drift judges the records again whenever a declaration or a fact changes, without asking the API server.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use crate::model::{
    subject::{Kind, Subject, slim},
    text::shown,
};

/// One object that exists.
#[derive(Debug)]
pub struct Record {
    /// Its kind.
    pub kind: Kind,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The uid of the object that controls it.
    pub parent: Option<Box<str>>,
    namespace: Arc<str>,
    /// The fields that `Subject::parse` reads, as JSON.
    json: Box<str>,
}

impl Record {
    /// The view that checks read.
    ///
    /// # Errors
    /// What made the object unreadable; it was stored as it came.
    pub fn subject(&self) -> Result<Subject<'_>, serde_json::Error> {
        Subject::parse(self.kind, &self.json)
    }

    /// `deployment/web`, also of one that cannot be read.
    pub fn name(&self) -> String {
        let name = serde_json::from_str::<serde_json::Value>(&self.json).ok().and_then(|o| o["metadata"]["name"].as_str().map(|n| shown(n, 253)));
        format!("{}/{}", self.kind.lower(), name.unwrap_or_default())
    }
}

/// Every record, by uid.
#[derive(Debug, Default)]
pub struct Objects {
    by_uid: HashMap<Arc<str>, Record>,
    by_namespace: HashMap<Arc<str>, HashSet<Arc<str>>>,
}

impl Objects {
    /// Adds or replaces one object from its JSON. Returns its namespace, or `None` for JSON without a uid.
    pub fn put(&mut self, kind: Kind, mut object: serde_json::Value) -> Option<String> {
        let meta = &object["metadata"];
        let uid: Arc<str> = meta["uid"].as_str()?.into();
        let namespace = meta["namespace"].as_str().unwrap_or_default();
        // One copy of each name, however many records share it.
        let namespace: Arc<str> = self.by_namespace.get_key_value(namespace).map_or_else(|| namespace.into(), |(known, _)| known.clone());
        let created = meta["creationTimestamp"].as_str().and_then(|t| t.parse().ok());
        let parent = meta["ownerReferences"].as_array().into_iter().flatten().find(|r| r["controller"] == true).and_then(|r| r["uid"].as_str()).map(Into::into);
        slim(&mut object);
        let json = serde_json::to_string(&object).ok()?.into_boxed_str();
        self.by_namespace.entry(namespace.clone()).or_default().insert(uid.clone());
        self.by_uid.insert(uid, Record { kind, created, parent, namespace: namespace.clone(), json });
        Some(namespace.to_string())
    }

    /// Forgets one object; returns its namespace.
    pub fn remove(&mut self, uid: &str) -> Option<String> {
        let record = self.by_uid.remove(uid)?;
        if let Some(uids) = self.by_namespace.get_mut(&record.namespace) {
            uids.remove(uid);
            if uids.is_empty() {
                self.by_namespace.remove(&record.namespace);
            }
        }
        Some(record.namespace.to_string())
    }

    /// Forgets every object of `kind` that is not in `uids`; returns the namespaces concerned. The end of a fresh list.
    pub fn retain(&mut self, kind: Kind, uids: &HashSet<String>) -> HashSet<String> {
        let gone: Vec<Arc<str>> = self.by_uid.iter().filter(|(uid, r)| r.kind == kind && !uids.contains(&***uid)).map(|(uid, _)| uid.clone()).collect();
        gone.iter().filter_map(|uid| self.remove(uid)).collect()
    }

    /// The record of `uid`.
    pub fn get(&self, uid: &str) -> Option<&Record> {
        self.by_uid.get(uid)
    }

    /// The records of one namespace.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = (&str, &Record)> {
        self.by_namespace.get(namespace).into_iter().flatten().filter_map(|uid| self.by_uid.get(uid).map(|r| (&**uid, r)))
    }

    /// The topmost known ancestor of `uid`, itself included. Bounded: a made-up cycle of owners ends (H84).
    pub fn root<'o>(&'o self, uid: &'o str) -> Option<&'o Record> {
        let mut record = self.get(uid)?;
        for _ in 0..8 {
            match record.parent.as_deref().and_then(|p| self.get(p)) {
                Some(parent) => record = parent,
                None => break,
            }
        }
        Some(record)
    }

    /// The claim templates of a StatefulSet arrive as claims without an owner, named `<template>-<set>-<ordinal>`: finds that set.
    pub fn claim_parent(&self, namespace: &str, claim: &str) -> Option<&Record> {
        let (stem, ordinal) = claim.rsplit_once('-')?;
        if ordinal.is_empty() || !ordinal.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        self.in_namespace(namespace)
            .map(|(_, r)| r)
            .filter(|r| r.kind == Kind::StatefulSet)
            .find(|r| r.subject().is_ok_and(|set| set.claims.iter().any(|t| stem.strip_prefix(&*t.name).and_then(|s| s.strip_prefix('-')) == Some(&*set.meta.name))))
    }

    /// A DaemonSet of the namespace that nodes depend on, in words: system-critical, or on the node's network as a CNI or a proxy is.
    pub fn runs_the_node(&self, namespace: &str) -> Option<String> {
        let mut found: Vec<String> = self
            .in_namespace(namespace)
            .filter(|(_, r)| r.kind == Kind::DaemonSet)
            .filter_map(|(_, r)| {
                let set = r.subject().ok()?;
                let spec = &set.pod.as_ref()?.spec;
                (spec.host_network || matches!(&*spec.priority_class_name, "system-node-critical" | "system-cluster-critical"))
                    .then(|| format!("nodes depend on its {}", set.display_name()))
            })
            .collect();
        found.sort_unstable();
        found.into_iter().next()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_uid.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_uid.is_empty()
    }
}
