//! The objects that exist, each as a compact record: identity, parent, and the few fields that checks read.
//! The webhook looks up parents here; drift judges the records again whenever a declaration or a fact changes, without asking the API server.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::owners::{Controllers, Owner, Owners, made};
use crate::{
    controls::custom::Whole,
    model::{
        subject::{Kind, Subject, slim},
        text::shown,
    },
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
    /// The fields that `Subject::parse` reads, as JSON.
    json: Box<str>,
    /// The whole object, where a control of users' own is about its kind.
    whole: Option<Box<str>>,
}

impl Record {
    /// The view that checks read.
    ///
    /// # Errors
    /// What made the object unreadable; it was stored as it came.
    pub fn subject(&self) -> Result<Subject<'_>, serde_json::Error> {
        Subject::parse(self.kind, &self.json)
    }

    /// The whole object, for controls of users' own.
    ///
    /// # Errors
    /// It was not kept: such a control came later, and the list is being read anew.
    pub fn whole(&self) -> Result<Whole, &'static str> {
        let object = self.whole.as_ref().and_then(|json| serde_json::from_str(json).ok()).ok_or("the whole object is not read yet")?;
        Ok(Whole { object, old_object: serde_json::Value::Null, request: None })
    }

    /// Its name, also where the rest cannot be read.
    fn own_name(&self) -> String {
        serde_json::from_str::<serde_json::Value>(&self.json).ok().and_then(|o| o["metadata"]["name"].as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// `deployment/web`, also of one that cannot be read.
    pub fn name(&self) -> String {
        format!("{}/{}", self.kind.lower(), shown(&self.own_name(), 253))
    }
}

/// The room of what is in no namespace.
pub const CLUSTER: &str = "";

/// Every record, a room a namespace.
#[derive(Debug, Default)]
pub struct Objects {
    rooms: HashMap<Arc<str>, Room>,
    /// Kinds of which the whole object is kept.
    whole: BTreeSet<Kind>,
    /// Kinds of owners, as `group/Kind`, that cannot be read, and why.
    unseen: BTreeMap<String, String>,
}

/// The records of one namespace, by uid. Cloning shares the records, so that a namespace is judged without holding anybody up.
#[derive(Clone, Debug, Default)]
pub struct Room {
    records: HashMap<Arc<str>, Arc<Record>>,
    /// What third-party controllers make something for.
    owners: Owners,
}

impl Objects {
    /// Says of which kinds the whole object is kept from now on; returns those that are new among them, whose list must be read anew.
    pub fn keep_whole(&mut self, kinds: BTreeSet<Kind>) -> Vec<Kind> {
        let new = kinds.difference(&self.whole).copied().collect();
        self.whole = kinds;
        new
    }

    /// Adds or replaces one object from its JSON. Returns its namespace, or `None` for JSON without a uid.
    pub fn put(&mut self, kind: Kind, mut object: serde_json::Value) -> Option<String> {
        let meta = &object["metadata"];
        let uid: Arc<str> = meta["uid"].as_str()?.into();
        let namespace = meta["namespace"].as_str().unwrap_or_default().to_owned();
        let created = meta["creationTimestamp"].as_str().and_then(|t| t.parse().ok());
        let parent = meta["ownerReferences"].as_array().into_iter().flatten().find(|r| r["controller"] == true).and_then(|r| r["uid"].as_str()).map(Into::into);
        if let Some(meta) = object["metadata"].as_object_mut() {
            meta.remove("managedFields");
        }
        let whole = self.whole.contains(&kind).then(|| serde_json::to_string(&object).ok()).flatten().map(String::into_boxed_str);
        slim(&mut object);
        let json = serde_json::to_string(&object).ok()?.into_boxed_str();
        let room = self.rooms.entry(namespace.as_str().into()).or_default();
        room.records.insert(uid, Arc::new(Record { kind, created, parent, json, whole }));
        Some(namespace)
    }

    /// Forgets one object of a namespace.
    pub fn remove(&mut self, namespace: &str, uid: &str) {
        let Some(room) = self.rooms.get_mut(namespace) else { return };
        room.records.remove(uid);
        if room.is_empty() {
            self.rooms.remove(namespace);
        }
    }

    /// Adds an owner of a kind that a Baseline lists; whether it is new.
    pub fn own(&mut self, namespace: &str, uid: &str, owner: Owner) -> bool {
        let room = self.rooms.entry(namespace.into()).or_default();
        let is_news = room.owners.get(uid) != Some(&owner);
        room.owners.insert(uid.into(), owner);
        is_news
    }

    /// Forgets one owner.
    pub fn disown(&mut self, namespace: &str, uid: &str) {
        let Some(room) = self.rooms.get_mut(namespace) else { return };
        room.owners.remove(uid);
        if room.is_empty() {
            self.rooms.remove(namespace);
        }
    }

    /// Forgets the owners of a kind of whose uid `gone` says so.
    pub fn disown_all(&mut self, kind: &str, gone: impl Fn(&str) -> bool) {
        for room in self.rooms.values_mut() {
            room.owners.retain(|uid, owner| *owner.kind != *kind || !gone(uid));
        }
        self.rooms.retain(|_, room| !room.is_empty());
    }

    /// Says why a kind of owners cannot be read, or that it can; whether that is news.
    pub fn see(&mut self, kind: &str, unseen: Option<String>) -> bool {
        match unseen {
            Some(why) if self.unseen.get(kind) == Some(&why) => false,
            Some(why) => {
                self.unseen.insert(kind.to_owned(), why);
                true
            }
            None => self.unseen.remove(kind).is_some(),
        }
    }

    /// Why a kind of owners cannot be read.
    pub fn unseen(&self, kind: &str) -> Option<&str> {
        self.unseen.get(kind).map(String::as_str)
    }

    /// Forgets every object of `kind` that is not in `uids`; returns the namespaces concerned. The end of a fresh list.
    pub fn retain(&mut self, kind: Kind, uids: &HashSet<String>) -> Vec<String> {
        let mut concerned = Vec::new();
        for (namespace, room) in &mut self.rooms {
            let before = room.records.len();
            room.records.retain(|uid, record| record.kind != kind || uids.contains(&**uid));
            if room.records.len() < before {
                concerned.push(namespace.to_string());
            }
        }
        self.rooms.retain(|_, room| !room.is_empty());
        concerned
    }

    /// The records of one namespace.
    pub fn room(&self, namespace: &str) -> Option<&Room> {
        self.rooms.get(namespace)
    }
}

impl Room {
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.owners.is_empty()
    }

    /// When the owner of `uid` was made, if it is of a kind that is listed.
    pub fn owner(&self, uid: &str, controllers: &Controllers) -> Option<Option<Timestamp>> {
        made(&self.owners, uid, controllers)
    }

    /// Since when a root stands: as long as what a third-party controller made it for.
    pub fn stands_since(&self, root: &Record, controllers: &Controllers) -> Option<Timestamp> {
        let owner = root.parent.as_deref().filter(|_| root.kind.runs()).and_then(|uid| self.owner(uid, controllers));
        // An object without a time is no older than its owner, and not younger either.
        [root.created, owner.flatten()].into_iter().flatten().min()
    }

    /// What `uid` controls.
    pub fn children<'r>(&'r self, uid: &str) -> impl Iterator<Item = &'r Record> {
        self.records.values().map(|r| &**r).filter(move |r| r.parent.as_deref() == Some(uid))
    }

    /// The record of `uid`.
    pub fn get(&self, uid: &str) -> Option<&Record> {
        self.records.get(uid).map(|r| &**r)
    }

    /// Every record.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Record)> {
        self.records.iter().map(|(uid, r)| (&**uid, &**r))
    }

    /// The object that `controller` (a uid, where the object names one) makes of it, or the StatefulSet whose template a claim is of. Believed
    /// only of a kind that a built-in controller makes for such a parent: an owner reference alone is anybody's to write.
    pub fn parent(&self, kind: Kind, name: &str, controller: Option<&str>) -> Option<(&str, &Record)> {
        match controller {
            Some(uid) => self.records.get_key_value(uid).map(|(uid, r)| (&**uid, &**r)).filter(|(_, r)| r.kind.makes(kind)),
            None if kind == Kind::PersistentVolumeClaim => self.claim_parent(name),
            None => None,
        }
    }

    /// The parent of a record.
    pub fn parent_of(&self, record: &Record) -> Option<(&str, &Record)> {
        let name = if record.kind == Kind::PersistentVolumeClaim && record.parent.is_none() { record.own_name() } else { String::new() };
        self.parent(record.kind, &name, record.parent.as_deref())
    }

    /// The topmost known ancestor, itself included. It ends: each kind is made by another, and none in a ring.
    pub fn root<'r>(&'r self, record: &'r Record) -> &'r Record {
        let mut root = record;
        while let Some((_, parent)) = self.parent_of(root) {
            root = parent;
        }
        root
    }

    /// The claim templates of a StatefulSet arrive as claims without an owner, named `<template>-<set>-<ordinal>`: finds that set.
    fn claim_parent(&self, claim: &str) -> Option<(&str, &Record)> {
        let (stem, ordinal) = claim.rsplit_once('-')?;
        if ordinal.is_empty() || !ordinal.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        self.iter()
            .filter(|(_, r)| r.kind == Kind::StatefulSet)
            .find(|(_, r)| r.subject().is_ok_and(|set| set.claims.iter().any(|t| stem.strip_prefix(&*t.name).and_then(|s| s.strip_prefix('-')) == Some(&*set.meta.name))))
    }

    /// A DaemonSet of the namespace that nodes depend on, in words: system-critical, or on the node's network as a CNI or a proxy is.
    pub fn runs_the_node(&self) -> Option<String> {
        let mut found: Vec<String> = self
            .iter()
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
}
