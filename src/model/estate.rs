//! What stands around the workloads, as slim records: nodes, agents on them, vulnerability scans, backups.
//! Of a report that may be megabytes large a few numbers and dates are kept; whatever is nonsense reads as unknown, never as good.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;

use super::facts::Store;
use crate::api::ownership::Severity;

/// Why a kind that comes with a CRD cannot be read where nobody installed it.
pub const NOT_SERVED: &str = "the cluster does not serve them";

/// The facts of this kind that checks read, each by `namespace/name`, or by name where it has no namespace.
#[derive(Clone, Debug)]
pub struct Estate {
    /// The API server's own version.
    pub server: Option<Version>,
    /// Nodes.
    pub nodes: Store<Node>,
    /// DaemonSets, as far as they run everywhere.
    pub agents: Store<Agent>,
    /// trivy-operator's VulnerabilityReports.
    pub scans: Store<Scan>,
    /// Velero's Schedules.
    pub schedules: Store<Schedule>,
    /// Velero's Backups that are complete.
    pub backups: Store<Backup>,
    /// VolumeSnapshots that are ready.
    pub snapshots: Store<Snapshot>,
}

impl Estate {
    /// No fact of any kind, for the given reason.
    pub fn none(reason: &str) -> Self {
        let why = || reason.to_owned();
        Self { server: None, nodes: Err(why()), agents: Err(why()), scans: Err(why()), schedules: Err(why()), backups: Err(why()), snapshots: Err(why()) }
    }

    /// Empty stores: everything was read and there is nothing.
    pub fn empty() -> Self {
        Self {
            server: None,
            nodes: Ok(Arc::default()),
            agents: Ok(Arc::default()),
            scans: Ok(Arc::default()),
            schedules: Ok(Arc::default()),
            backups: Ok(Arc::default()),
            snapshots: Ok(Arc::default()),
        }
    }
}

/// Those of one namespace, of a store by `namespace/name`.
pub fn of_namespace<'s, T>(store: &'s BTreeMap<String, T>, namespace: &str) -> impl Iterator<Item = &'s T> {
    let prefix = format!("{namespace}/");
    store.range(prefix.clone()..).take_while(move |(key, _)| key.starts_with(&prefix)).map(|(_, value)| value)
}

/// A version of Kubernetes, without the patch: 1.37.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 1, so far.
    pub major: u32,
    /// The minor version.
    pub minor: u32,
}

impl Version {
    /// Reads `v1.37.2`, `1.37`, `v1.33.5-eks-1`; `None` of anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let (major, minor) = (parts.next()?, parts.next()?);
        // Some clouds write the minor version as `31+`.
        let digits = minor.split(|c: char| !c.is_ascii_digit()).next()?;
        Some(Self { major: major.parse().ok()?, minor: digits.parse().ok()? })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its kubelet's version.
    pub kubelet: Option<Version>,
    /// It runs Linux, as all do that say nothing else.
    pub linux: bool,
    /// When it joined.
    pub created: Option<Timestamp>,
}

impl Node {
    /// Reads a whole Node.
    pub fn from_json(object: &Value) -> Self {
        let info = &object["status"]["nodeInfo"];
        Self {
            kubelet: info["kubeletVersion"].as_str().and_then(Version::parse),
            linux: info["operatingSystem"] != "windows",
            created: time(&object["metadata"]["creationTimestamp"]),
        }
    }
}

/// A DaemonSet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// On how many nodes it should run.
    pub desired: i64,
    /// On how many it runs and is ready.
    pub ready: i64,
}

impl Agent {
    /// Reads a whole DaemonSet.
    pub fn from_json(object: &Value) -> Self {
        let count = |key: &str| object["status"][key].as_i64().unwrap_or_default();
        Self { desired: count("desiredNumberScheduled"), ready: count("numberReady") }
    }
}

/// The last scan of one container's image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// The kind of what runs it.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The container.
    pub container: String,
    /// The tag that was scanned.
    pub tag: Option<String>,
    /// The digest that was scanned.
    pub digest: Option<String>,
    /// When it was done.
    pub done: Option<Timestamp>,
    /// What it found, by severity.
    pub holes: BTreeMap<Severity, Holes>,
}

/// Vulnerabilities of one severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holes {
    /// How many.
    pub count: u64,
    /// When the first of them was published; `None` where one has no date.
    pub oldest: Option<Timestamp>,
}

impl Scan {
    /// Reads a whole VulnerabilityReport.
    pub fn from_json(object: &Value) -> Self {
        let label = |key: &str| text(&object["metadata"]["labels"][format!("trivy-operator.{key}")]).unwrap_or_default();
        let report = &object["report"];
        let mut dates: BTreeMap<String, Vec<Option<Timestamp>>> = BTreeMap::new();
        for hole in report["vulnerabilities"].as_array().into_iter().flatten() {
            dates.entry(text(&hole["severity"]).unwrap_or_default().to_ascii_lowercase()).or_default().push(time(&hole["publishedDate"]));
        }
        let holes = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low].into_iter().filter_map(|severity| {
            let listed = dates.get(severity.lower()).map_or(&[][..], Vec::as_slice);
            let counted = report["summary"][format!("{}Count", severity.lower())].as_u64().unwrap_or_default();
            let count = counted.max(listed.len() as u64);
            // One without a date may be the oldest.
            let oldest = if count == listed.len() as u64 { listed.iter().copied().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().min()) } else { None };
            (count > 0).then_some((severity, Holes { count, oldest }))
        });
        Self {
            kind: label("resource.kind"),
            name: label("resource.name"),
            container: label("container.name"),
            tag: text(&report["artifact"]["tag"]),
            digest: text(&report["artifact"]["digest"]),
            done: time(&report["updateTimestamp"]),
            holes: holes.collect(),
        }
    }
}

/// A backup that recurs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    included: Vec<String>,
    excluded: Vec<String>,
    /// It runs, and takes all of a namespace, volumes too.
    whole: bool,
}

impl Schedule {
    /// Reads a whole Velero Schedule.
    pub fn from_json(object: &Value) -> Self {
        let (spec, template) = (&object["spec"], &object["spec"]["template"]);
        let names = |key: &str| template[key].as_array().into_iter().flatten().filter_map(text).collect();
        let selects = !template["labelSelector"].is_null() || !template["orLabelSelectors"].is_null();
        let volumes = template["snapshotVolumes"] != false || template["defaultVolumesToFsBackup"] == true;
        Self { included: names("includedNamespaces"), excluded: names("excludedNamespaces"), whole: spec["paused"] != true && !selects && volumes && template.is_object() }
    }

    /// Whether it takes all of a namespace.
    pub fn covers(&self, namespace: &str) -> bool {
        self.whole && (self.included.is_empty() || self.included.iter().any(|p| glob(p, namespace))) && !self.excluded.iter().any(|p| glob(p, namespace))
    }
}

/// Whether a pattern in which `*` stands for anything matches.
fn glob(pattern: &str, name: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(head) else { return false };
    while let Some((part, after)) = rest.split_once('*') {
        let Some(at) = name.find(part) else { return false };
        (name, rest) = (&name[at + part.len()..], after);
    }
    name.ends_with(rest)
}

/// A backup that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backup {
    /// The Schedule that made it, as `namespace/name`.
    pub schedule: String,
    /// When it was complete.
    pub completed: Option<Timestamp>,
}

impl Backup {
    /// Reads a whole Velero Backup; one that is not complete counts as never.
    pub fn from_json(object: &Value) -> Self {
        let meta = &object["metadata"];
        let schedule = text(&meta["labels"]["velero.io/schedule-name"]).unwrap_or_default();
        let completed = if object["status"]["phase"] == "Completed" { time(&object["status"]["completionTimestamp"]) } else { None };
        Self { schedule: format!("{}/{schedule}", text(&meta["namespace"]).unwrap_or_default()), completed }
    }
}

/// A snapshot of one claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The claim's name.
    pub claim: String,
    /// When it was taken; `None` while it cannot be used.
    pub taken: Option<Timestamp>,
}

impl Snapshot {
    /// Reads a whole VolumeSnapshot.
    pub fn from_json(object: &Value) -> Self {
        let status = &object["status"];
        Self {
            claim: text(&object["spec"]["source"]["persistentVolumeClaimName"]).unwrap_or_default(),
            taken: if status["readyToUse"] == true { time(&status["creationTime"]) } else { None },
        }
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|s| !s.is_empty()).map(str::to_owned)
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_are_read_as_clouds_write_them() {
        for (text, said) in
            [("v1.37.2", "1.37"), ("1.37", "1.37"), ("v1.33.5-eks-1", "1.33"), ("1.31+", "1.31"), ("v1.x", "-"), ("", "-"), ("v1", "-"), ("v-1.2", "-"), ("v1.99999999999", "-")]
        {
            assert_eq!(Version::parse(text).map_or("-".to_owned(), |v| v.to_string()), said, "{text}");
        }
    }

    #[test]
    fn a_scan_keeps_numbers_and_dates() {
        let hole = |severity: &str, published: Value| json!({"vulnerabilityID": "CVE-1", "severity": severity, "publishedDate": published, "title": "x".repeat(1000)});
        let scan = Scan::from_json(&json!({
            "metadata": {"labels": {"trivy-operator.resource.kind": "ReplicaSet", "trivy-operator.resource.name": "web-1", "trivy-operator.container.name": "web"}},
            "report": {"artifact": {"tag": "1", "digest": ""}, "updateTimestamp": "2026-01-01T00:00:00Z", "summary": {"criticalCount": 2, "highCount": 1, "mediumCount": -1},
                "vulnerabilities": [hole("CRITICAL", json!("2026-01-02T00:00:00Z")), hole("CRITICAL", json!("2026-01-01T00:00:00Z")), hole("HIGH", json!(null)), hole("LOW", json!(1))]},
        }));
        assert_eq!((&*scan.kind, &*scan.name, &*scan.container, scan.tag.as_deref(), scan.digest), ("ReplicaSet", "web-1", "web", Some("1"), None));
        let undated = Holes { count: 1, oldest: None };
        let critical = Holes { count: 2, oldest: "2026-01-01T00:00:00Z".parse().ok() };
        assert_eq!(scan.holes, [(Severity::Low, undated), (Severity::High, undated), (Severity::Critical, critical)].into());
        let unlisted = Scan::from_json(&json!({"report": {"summary": {"highCount": 3}}}));
        assert_eq!(unlisted.holes, [(Severity::High, Holes { count: 3, oldest: None })].into());
    }

    #[test]
    fn a_schedule_covers_what_it_names() {
        for (spec, covered) in [
            (json!({"template": {}}), true),
            (json!({"template": {"includedNamespaces": ["*"]}}), true),
            (json!({"template": {"includedNamespaces": ["shop"]}}), true),
            (json!({"template": {"includedNamespaces": ["sh*"]}}), true),
            (json!({"template": {"includedNamespaces": ["*o*p"]}}), true),
            (json!({"template": {"includedNamespaces": ["shop-2", "s"]}}), false),
            (json!({"template": {"includedNamespaces": ["*", "x"], "excludedNamespaces": ["shop"]}}), false),
            (json!({"template": {"excludedNamespaces": ["s*"]}}), false),
            (json!({"paused": true, "template": {}}), false),
            (json!({"template": {"labelSelector": {"matchLabels": {"a": "b"}}}}), false),
            (json!({"template": {"orLabelSelectors": []}}), false),
            (json!({"template": {"snapshotVolumes": false}}), false),
            (json!({"template": {"snapshotVolumes": false, "defaultVolumesToFsBackup": true}}), true),
            (json!({}), false),
            (json!(null), false),
        ] {
            assert_eq!(Schedule::from_json(&json!({"spec": spec})).covers("shop"), covered, "{spec}");
        }
    }

    #[test]
    fn nonsense_reads_as_nothing_known() {
        for nonsense in [json!(null), json!([]), json!("x"), json!({"metadata": 1, "spec": [], "status": "x", "report": 7})] {
            assert_eq!(Node::from_json(&nonsense), Node { linux: true, ..Node::default() });
            assert_eq!(Agent::from_json(&nonsense), Agent::default());
            assert_eq!(Scan::from_json(&nonsense), Scan::default());
            assert_eq!(Backup::from_json(&nonsense).completed, None);
            assert_eq!(Snapshot::from_json(&nonsense), Snapshot::default());
        }
        let backup = |phase: &str| {
            Backup::from_json(
                &json!({"metadata": {"namespace": "velero", "labels": {"velero.io/schedule-name": "daily"}}, "status": {"phase": phase, "completionTimestamp": "2026-01-01T00:00:00Z"}}),
            )
        };
        assert_eq!((backup("Completed").schedule.as_str(), backup("Completed").completed.is_some(), backup("PartiallyFailed").completed), ("velero/daily", true, None));
        let snapshot = |ready: bool| {
            Snapshot::from_json(&json!({"spec": {"source": {"persistentVolumeClaimName": "data"}}, "status": {"readyToUse": ready, "creationTime": "2026-01-01T00:00:00Z"}}))
        };
        assert!(snapshot(true).taken.is_some() && snapshot(false).taken.is_none());
    }
}
