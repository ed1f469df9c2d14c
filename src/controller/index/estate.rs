//! Keeps what stands around the workloads, from watches of kinds of which some come with a CRD and may come late or go.
//! A change that leaves the slim record as it was touches nobody: a node's status is written every few minutes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use kube::api::DynamicObject;
use serde_json::Value;

use super::Touched;
use crate::{
    controller::watch::Change,
    model::{
        estate::{self, Agent, Backup, Node, Scan, Schedule, Snapshot, Version},
        facts::Store,
    },
};

/// A kind that is kept here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nodes.
    Nodes,
    /// DaemonSets, as far as they run everywhere.
    Agents,
    /// trivy-operator's VulnerabilityReports.
    Scans,
    /// Velero's.
    Schedules,
    /// Velero's.
    Backups,
    /// VolumeSnapshots.
    Snapshots,
}

impl Kept {
    /// Those that have a watch of their own.
    pub const WATCHED: &'static [Self] = &[Self::Nodes, Self::Scans, Self::Schedules, Self::Backups, Self::Snapshots];

    /// Group, version, kind and resource.
    pub const fn resource(self) -> [&'static str; 4] {
        match self {
            Self::Nodes => ["", "v1", "Node", "nodes"],
            Self::Agents => ["apps", "v1", "DaemonSet", "daemonsets"],
            Self::Scans => ["aquasecurity.github.io", "v1alpha1", "VulnerabilityReport", "vulnerabilityreports"],
            Self::Schedules => ["velero.io", "v1", "Schedule", "schedules"],
            Self::Backups => ["velero.io", "v1", "Backup", "backups"],
            Self::Snapshots => ["snapshot.storage.k8s.io", "v1", "VolumeSnapshot", "volumesnapshots"],
        }
    }

    /// Whether a cluster may do without it: it comes with a CRD.
    pub const fn optional(self) -> bool {
        match self {
            Self::Nodes | Self::Agents => false,
            Self::Scans | Self::Schedules | Self::Backups | Self::Snapshots => true,
        }
    }
}

/// Records of one kind, by `namespace/name`.
#[derive(Debug)]
struct Shelf<T> {
    records: Arc<BTreeMap<String, T>>,
    /// A fresh list tells what is gone by uid alone.
    keys: HashMap<String, String>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { records: Arc::default(), keys: HashMap::new() }
    }
}

impl<T: Clone + PartialEq> Shelf<T> {
    /// Returns the keys of what is another now.
    fn take(&mut self, change: &Change, read: fn(&Value) -> T) -> Vec<String> {
        match change {
            Change::Applied(object) => {
                let (key, record) = (key(object), read(&serde_json::to_value(&**object).unwrap_or_default()));
                self.keys.insert(object.metadata.uid.clone().unwrap_or_default(), key.clone());
                if self.records.get(&key) == Some(&record) {
                    return Vec::new();
                }
                Arc::make_mut(&mut self.records).insert(key.clone(), record);
                vec![key]
            }
            Change::Deleted(object) => self.forget(&[object.metadata.uid.clone().unwrap_or_default()]),
            Change::Listed(uids) => {
                let gone: Vec<String> = self.keys.keys().filter(|uid| !uids.contains(*uid)).cloned().collect();
                self.forget(&gone)
            }
        }
    }

    /// Something of the same name may have taken its place.
    fn forget(&mut self, uids: &[String]) -> Vec<String> {
        let gone: Vec<String> = uids.iter().filter_map(|uid| self.keys.remove(uid)).collect();
        if gone.is_empty() {
            return gone;
        }
        let left: HashSet<&String> = self.keys.values().collect();
        let gone: Vec<String> = gone.into_iter().filter(|key| !left.contains(key)).collect();
        for key in &gone {
            Arc::make_mut(&mut self.records).remove(key);
        }
        gone
    }
}

/// `namespace/name`, or the name of what has no namespace.
fn key(object: &DynamicObject) -> String {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    object.metadata.namespace.as_ref().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Estate {
    server: Option<Version>,
    nodes: Shelf<Node>,
    agents: Shelf<Agent>,
    scans: Shelf<Scan>,
    schedules: Shelf<Schedule>,
    backups: Shelf<Backup>,
    snapshots: Shelf<Snapshot>,
}

impl Estate {
    /// Takes in one change.
    pub fn take(&mut self, kept: Kept, change: &Change) -> Touched {
        let keys = match kept {
            Kept::Nodes => self.nodes.take(change, Node::from_json),
            Kept::Agents => self.agents.take(change, Agent::from_json),
            Kept::Scans => self.scans.take(change, Scan::from_json),
            Kept::Schedules => self.schedules.take(change, Schedule::from_json),
            Kept::Backups => self.backups.take(change, Backup::from_json),
            Kept::Snapshots => self.snapshots.take(change, Snapshot::from_json),
        };
        match kept {
            _ if keys.is_empty() => Touched::default(),
            Kept::Nodes | Kept::Agents | Kept::Schedules | Kept::Backups => Touched::all(),
            Kept::Scans | Kept::Snapshots => {
                let mut touched = Touched::default();
                keys.iter().filter_map(|key| key.split_once('/')).for_each(|(namespace, _)| touched.namespace(namespace));
                touched
            }
        }
    }

    /// The API server is of this version; whether that is news.
    pub fn serve(&mut self, version: Option<Version>) -> bool {
        std::mem::replace(&mut self.server, version) != version
    }

    /// As checks read it; `trouble` says why a kind cannot be read.
    pub fn facts(&self, trouble: impl Fn(Kept) -> Option<&'static str>) -> estate::Estate {
        fn store<T>(shelf: &Shelf<T>, trouble: Option<&'static str>) -> Store<T> {
            trouble.map_or_else(|| Ok(shelf.records.clone()), |why| Err(why.to_owned()))
        }
        estate::Estate {
            server: self.server,
            nodes: store(&self.nodes, trouble(Kept::Nodes)),
            agents: store(&self.agents, trouble(Kept::Agents)),
            scans: store(&self.scans, trouble(Kept::Scans)),
            schedules: store(&self.schedules, trouble(Kept::Schedules)),
            backups: store(&self.backups, trouble(Kept::Backups)),
            snapshots: store(&self.snapshots, trouble(Kept::Snapshots)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(uid: &str, name: &str, kubelet: &str) -> Change {
        Change::Applied(Box::new(
            serde_json::from_value(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": uid}, "status": {"nodeInfo": {"kubeletVersion": kubelet}}}))
                .unwrap(),
        ))
    }

    #[test]
    fn only_what_changes_a_record_touches_anybody() {
        let mut estate = Estate::default();
        assert_eq!(estate.take(Kept::Nodes, &node("1", "a", "v1.36.0")), Touched::all());
        assert_eq!(estate.take(Kept::Nodes, &node("1", "a", "v1.36.1")), Touched::default(), "a patch is no other version");
        assert_eq!(estate.take(Kept::Nodes, &node("1", "a", "v1.37.0")), Touched::all());
        assert_eq!(estate.take(Kept::Nodes, &Change::Listed(HashSet::from(["1".to_owned()]))), Touched::default());
        estate.take(Kept::Nodes, &node("2", "a", "v1.37.0"));
        assert_eq!(estate.take(Kept::Nodes, &Change::Listed(HashSet::from(["2".to_owned()]))), Touched::default(), "its name lives on");
        assert_eq!(estate.facts(|_| None).nodes.unwrap().len(), 1);
        assert_eq!(estate.take(Kept::Nodes, &Change::Listed(HashSet::new())), Touched::all());
        let facts = estate.facts(|kept| (kept == Kept::Scans).then_some("RBAC forbids reading them"));
        assert!(facts.nodes.unwrap().is_empty());
        assert_eq!(facts.scans, Err("RBAC forbids reading them".to_owned()));
        assert!(estate.serve(Version::parse("1.37")) && !estate.serve(Version::parse("v1.37.1")));
    }

    #[test]
    fn a_scan_concerns_its_namespace_alone() {
        let mut estate = Estate::default();
        let scan: DynamicObject = serde_json::from_value(json!({"apiVersion": "aquasecurity.github.io/v1alpha1", "kind": "VulnerabilityReport",
            "metadata": {"name": "r", "namespace": "shop", "uid": "1", "labels": {"trivy-operator.container.name": "web"}}}))
        .unwrap();
        let shop = || Touched::one("shop".to_owned());
        assert_eq!(estate.take(Kept::Scans, &Change::Applied(Box::new(scan.clone()))), shop());
        assert_eq!(estate.take(Kept::Scans, &Change::Deleted(Box::new(scan))), shop());
    }
}
