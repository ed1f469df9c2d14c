//! What the files say beside what is judged: declarations, namespaces, storage, and who controls whom.
//! Declarations are read in `declared`; here they meet the rest.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;
use serde_json::Value;

use super::{
    declared::{Declared, declaration, refused},
    manifest::{Bad, File, Input, Object},
    tree::{Node, steps},
};
use crate::{
    admission::declarations::{self, Objection},
    api::{Declaration, GROUP, baseline::Baseline, waiver::Waiver},
    controls::CATALOG,
    model::{
        estate::{self, Agent, Backup, Estate, Schedule, Snapshot},
        facts::{Account, ClaimFact, Facts, Namespace, NetworkPolicy, StorageClass, Store, Volume, grantees, strings},
        map::Map,
        selector::Selector,
        strict::Strict,
        subject::{Gateway, Kind},
        text::shown,
    },
    policy::{floor::Floor, matrix::Matrix},
};

/// What the files say beside what is judged.
pub struct Context {
    /// What each declared namespace promises.
    pub matrices: BTreeMap<String, Matrix>,
    /// The namespaces among the files.
    pub namespaces: BTreeMap<String, Namespace>,
    /// The storage among the files.
    pub facts: Facts,
    /// The position of the object that controls the one at a position.
    pub parents: HashMap<usize, usize>,
}

/// The kind of an object that some control is about. What is of the whole cluster is judged in the cluster alone.
pub fn judged_kind(object: &Object) -> Option<Kind> {
    Kind::find(&object.group, &object.kind).filter(|kind| kind.namespaced() && CATALOG.iter().any(|control| control.kinds.contains(kind)))
}

/// Reads it.
///
/// # Errors
/// All that is wrong with the declarations: every one must be one that a cluster would take.
pub fn context(namespace: &str, input: &Input, now: Timestamp) -> Result<Context, Vec<Bad>> {
    let mut bad: Vec<Bad> = Vec::new();
    let mut declared = Declared::of(input);
    let mut namespaces = BTreeMap::new();
    let (mut classes, mut volumes, mut claims) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut policies: BTreeMap<String, BTreeMap<String, NetworkPolicy>> = BTreeMap::new();
    let mut gateways = BTreeMap::<String, Gateway>::new();
    let mut around = Around::default();
    let (mut accounts, mut grants, mut bindings) = (BTreeMap::new(), BTreeMap::<String, BTreeSet<String>>::new(), false);
    // What is judged comes last, and speaks louder than what is only looked up.
    let (looked_up, judged): (Vec<&Object>, Vec<&Object>) = input.objects.iter().partition(|object| object.looked_up);
    let anew: HashSet<_> = judged.iter().map(|object| identity(object, namespace)).collect();
    // How an agent runs shows in the cluster, whatever the files would make of it.
    for object in &looked_up {
        around.take(object, namespace);
    }
    let stored = stored(&looked_up, &anew, namespace);
    for object in looked_up.into_iter().filter(|object| !anew.contains(&identity(object, namespace))).chain(judged) {
        let meta = |key: &str| object.node.get("metadata").and_then(|m| m.get(key)).and_then(Node::text).filter(|t| !t.is_empty());
        let name = meta("name").unwrap_or_default().to_owned();
        let namespace = meta("namespace").unwrap_or(namespace).to_owned();
        if let Some(declaration) = declaration(object) {
            declared.take(declaration, object, input, &name, &namespace);
            continue;
        }
        match (&*object.group, &*object.kind) {
            ("", "Namespace") => {
                let value = value(object);
                let (labels, annotations) = (strings(&value["metadata"]["labels"]), strings(&value["metadata"]["annotations"]));
                namespaces.insert(name.clone(), Namespace { name, labels: labels.into_iter().collect(), annotations: annotations.into_iter().collect() });
            }
            ("storage.k8s.io", "StorageClass") => {
                classes.insert(name, StorageClass::from_json(&value(object)));
            }
            ("", "PersistentVolume") => {
                volumes.insert(name, Volume::from_json(&value(object)));
            }
            ("", "PersistentVolumeClaim") => {
                claims.insert(format!("{namespace}/{name}"), ClaimFact::from_json(&value(object)));
            }
            ("", "ServiceAccount") => {
                accounts.insert(format!("{namespace}/{name}"), Account { automount: value(object)["automountServiceAccountToken"].as_bool() });
            }
            ("gateway.networking.k8s.io", "Gateway") => {
                gateways.extend(Gateway::deserialize(Strict(value(object)["spec"].take())).ok().map(|gateway| (format!("{namespace}/{name}"), gateway)));
            }
            ("networking.k8s.io", "NetworkPolicy") => {
                let of_namespace = policies.entry(namespace).or_default();
                of_namespace.extend(NetworkPolicy::read(&value(object)["spec"]).map(|policy| (name, policy)));
            }
            ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
                bindings = true;
                for grantee in grantees(&value(object)) {
                    grants.entry(grantee).or_default().insert(format!("{}/{namespace}/{name}", object.kind));
                }
            }
            _ => bad.extend(stranger(object, &input.files[object.file])),
        }
    }
    let facts = Facts {
        storage_classes: store(input, !classes.is_empty(), classes, "StorageClass"),
        volumes: store(input, !volumes.is_empty(), volumes, "PersistentVolume"),
        claims: store(input, !claims.is_empty(), claims, "PersistentVolumeClaim"),
        accounts: store(input, !accounts.is_empty(), accounts, "ServiceAccount"),
        grants: store(input, bindings, grants, "RoleBinding"),
        network_policies: store(input, !policies.is_empty(), policies, "NetworkPolicy"),
        gateways: store(input, !gateways.is_empty(), gateways, "Gateway"),
        parties: store(input, !declared.parties.is_empty(), std::mem::take(&mut declared.parties), "Party"),
        rosters: store(input, !declared.rosters.is_empty(), std::mem::take(&mut declared.rosters), "Roster"),
        estate: around.estate(input),
        unseen: Arc::default(),
    };
    bad.extend(waivers(namespace, input, &declared, &stored, |waiver, stored, _| declarations::objections_to_waiver(waiver, stored, &|id| declared.names(id))));
    for (namespace, waivers) in &mut declared.waivers {
        for waiver in waivers {
            let name = waiver.metadata.name.clone().unwrap_or_default();
            carry(waiver, stored.get(&[namespace.as_str(), name.as_str()]), now);
        }
    }
    let matrices = matrices(namespace, input, &declared, &namespaces, &mut bad);
    bad.extend(waivers(namespace, input, &declared, &stored, |waiver, stored, namespace| too_long(waiver, stored, matrices.get(namespace)).into_iter().collect()));
    bad.extend(declared.bad);
    if bad.is_empty() { Ok(Context { matrices, namespaces, facts, parents: parents(namespace, input) }) } else { Err(bad) }
}

/// What a cluster has of the Waivers among the files, by namespace and name.
fn stored<'o>(looked_up: &[&'o Object], anew: &HashSet<[&str; 4]>, namespace: &'o str) -> BTreeMap<[&'o str; 2], Waiver> {
    let of = |object: &&'o Object| {
        let id @ [_, _, namespace, name] = identity(object, namespace);
        let waiver = || serde_json::from_value(value(object)).ok();
        (declaration(object) == Some(Declaration::Waiver) && anew.contains(&id)).then(waiver).flatten().map(|waiver| ([namespace, name], waiver))
    };
    looked_up.iter().filter_map(of).collect()
}

/// Writes over `stored` what a file asks for, as an apply does: the approval stays, for it changes nothing else. What is not stored is made now.
fn carry(waiver: &mut Waiver, stored: Option<&Waiver>, now: Timestamp) {
    if let Some(stored) = stored.filter(|_| waiver.metadata.uid.is_none()) {
        waiver.metadata.creation_timestamp.clone_from(&stored.metadata.creation_timestamp);
        if stored.spec.asks_the_same(&waiver.spec) {
            waiver.clone_from(stored);
        }
    }
    waiver.metadata.creation_timestamp.get_or_insert(Time(now));
}

/// What speaks against the Waivers that files would make or change, each beside what is stored, and in its namespace.
fn waivers(
    namespace: &str,
    input: &Input,
    declared: &Declared,
    stored: &BTreeMap<[&str; 2], Waiver>,
    objections: impl Fn(&Waiver, Option<&Waiver>, &str) -> Vec<Objection>,
) -> Vec<Bad> {
    let mut bad = Vec::new();
    for object in input.objects.iter().filter(|o| !o.looked_up && declaration(o) == Some(Declaration::Waiver)) {
        let [_, _, namespace, name] = identity(object, namespace);
        let meant = |w: &&Waiver| w.metadata.name.as_deref() == Some(name);
        let waiver = declared.waivers.get(namespace).into_iter().flatten().find(meant).filter(|w| w.metadata.uid.is_none());
        let found = waiver.map(|waiver| objections(waiver, stored.get(&[namespace, name]), namespace)).unwrap_or_default();
        bad.extend(refused(found, object, &input.files[object.file]).err().into_iter().flatten());
    }
    bad
}

/// That a Waiver would end later than one may there. What is declared nowhere says nothing of how long that is.
fn too_long(waiver: &Waiver, stored: Option<&Waiver>, matrix: Option<&Matrix>) -> Option<Objection> {
    let (matrix, made) = (matrix?, waiver.metadata.creation_timestamp.as_ref()?.0);
    if stored.is_some_and(|stored| stored.spec.expires == waiver.spec.expires) {
        return None;
    }
    let mut objection = declarations::too_long(waiver, made, matrix.waiver_days)?;
    if matrix.baselines.is_empty() {
        objection.what.push_str("; a Baseline that lets it last longer is looked up by --against or --context");
    }
    Some(objection)
}

/// What stands around the workloads.
#[derive(Default)]
struct Around {
    nodes: BTreeMap<String, estate::Node>,
    agents: BTreeMap<String, Agent>,
    schedules: BTreeMap<String, Schedule>,
    backups: BTreeMap<String, Backup>,
    snapshots: BTreeMap<String, Snapshot>,
}

impl Around {
    /// Of what was looked up alone: a manifest has no status, and an agent that is yet to run would be one that runs nowhere.
    fn take(&mut self, object: &Object, namespace: &str) {
        let [group, kind, namespace, name] = identity(object, namespace);
        let key = format!("{namespace}/{name}");
        match (group, kind) {
            ("", "Node") => drop(self.nodes.insert(name.to_owned(), estate::Node::from_json(&value(object)))),
            ("apps", "DaemonSet") if object.node.get("status").is_some() => drop(self.agents.insert(key, Agent::from_json(&value(object)))),
            ("velero.io", "Schedule") => drop(self.schedules.insert(key, Schedule::from_json(&value(object)))),
            ("velero.io", "Backup") => drop(self.backups.insert(key, Backup::from_json(&value(object)))),
            ("snapshot.storage.k8s.io", "VolumeSnapshot") => drop(self.snapshots.insert(key, Snapshot::from_json(&value(object)))),
            _ => {}
        }
    }

    fn estate(self, input: &Input) -> Estate {
        fn known<T>(input: &Input, found: BTreeMap<String, T>, kind: &str) -> Store<T> {
            match input.listed.get(kind) {
                Some(Err(reason)) => Err(reason.clone()),
                None if found.is_empty() => Err("files do not show them".to_owned()),
                Some(Ok(())) | None => Ok(Arc::new(found)),
            }
        }
        Estate {
            server: input.server,
            nodes: known(input, self.nodes, "Node"),
            agents: known(input, self.agents, "DaemonSet"),
            scans: Err("they are of what runs, and not of files".to_owned()),
            schedules: known(input, self.schedules, "Schedule"),
            backups: known(input, self.backups, "Backup"),
            snapshots: known(input, self.snapshots, "VolumeSnapshot"),
        }
    }
}

/// What each namespace promises, by its Ownership, its Baselines and its Waivers.
fn matrices(namespace: &str, input: &Input, declared: &Declared, namespaces: &BTreeMap<String, Namespace>, bad: &mut Vec<Bad>) -> BTreeMap<String, Matrix> {
    let selectors: Vec<(&Baseline, Selector)> =
        declared.baselines.values().filter_map(|b| Some((b, Selector::read(&serde_json::to_value(&b.spec.namespace_selector).ok()?)?))).collect();
    let names: BTreeSet<&str> = input.objects.iter().map(|object| identity(object, namespace)[2]).chain(namespaces.keys().map(String::as_str)).collect();
    let custom = Arc::new(declared.controls.clone());
    let mut matrices = BTreeMap::new();
    for name in names {
        // The API server gives every namespace this label.
        let own = [("kubernetes.io/metadata.name".to_owned(), name.to_owned())];
        let labels: Map<'static> = namespaces.get(name).into_iter().flat_map(|n| n.labels.iter().map(|(k, v)| (k.to_owned(), v.to_owned()))).chain(own).collect();
        let floor = Floor::over(&labels, selectors.iter().map(|(baseline, selector)| (*baseline, Some(selector))), &custom);
        let matrix = match (declared.ownerships.get(name), floor) {
            (Some(ownership), None) => Matrix::resolve_with(ownership, &custom),
            (Some(ownership), Some(floor)) => floor.under(ownership),
            (None, Some(floor)) => floor.alone(),
            (None, None) => continue,
        };
        // What a cluster has stored is held to the floor there; what is about to be stored would be refused.
        let here = |o: &&Object| !o.looked_up && declaration(o) == Some(Declaration::Ownership) && identity(o, namespace)[2] == name;
        if let Some(object) = input.objects.iter().find(here) {
            let file = &input.files[object.file];
            // Who applies it is not known here, and so not whether they may assign.
            bad.extend(matrix.below.iter().filter(|b| !b.assigned).map(|b| file.point(Bad::at(&file.name, object.node.at(&steps(&b.path)), format!("{}: {}", b.path, b.what)))));
        }
        matrices.insert(name.to_owned(), matrix.with_waivers(declared.waivers.get(name).into_iter().flatten()));
    }
    matrices
}

/// Files that hold none of a kind say nothing about it; files that hold some are taken to hold all. A cluster that was asked says all it has.
fn store<T>(input: &Input, some: bool, found: BTreeMap<String, T>, kind: &str) -> Store<T> {
    match input.listed.get(kind) {
        Some(Err(reason)) => Err(reason.clone()),
        None if !some => Err(format!("there is no {kind} among the files")),
        Some(Ok(())) | None => Ok(Arc::new(found)),
    }
}

/// Group, kind, namespace and name: what is judged stands for what a cluster has of the same identity.
fn identity<'o>(object: &'o Object, namespace: &'o str) -> [&'o str; 4] {
    let meta = object.node.get("metadata");
    let text = |key| meta.and_then(|m| text_at(m, key));
    [&object.group, &object.kind, text("namespace").unwrap_or(namespace), text("name").unwrap_or_default()]
}

/// Something of ours that no API server knows. Not judged it would leave its namespace undeclared, and the rest seemingly clean.
fn stranger(object: &Object, file: &File) -> Option<Bad> {
    let (group, kind) = (shown(&object.group, 253), shown(&object.kind, 63));
    let known = || Declaration::ALL.iter().map(|d| d.kind()).collect::<Vec<_>>().join(", ");
    let (place, sentence) = if object.group == GROUP {
        (object.node.find("kind"), format!("{GROUP} has no kind \"{kind}\" that this version knows; it knows {}", known()))
    } else if Declaration::find(&object.kind).is_some() && object.group.starts_with("demarc") {
        (object.node.find("apiVersion"), format!("\"{group}\" is not the group of {kind}; write {GROUP}/v1alpha1"))
    } else {
        return None;
    };
    Some(file.point(Bad::at(&file.name, place, sentence)))
}

/// An RFC 1123 label, as a namespace is named.
pub fn is_label(name: &str) -> bool {
    (1..=63).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') && !name.starts_with('-') && !name.ends_with('-')
}

/// What [`is_label`] asks for.
pub const LABEL: &str = "names no namespace; it is at most 63 of a-z, 0-9 and -, with a letter or digit at both ends";

/// Who controls whom, by uid and within a namespace, as drift believes it: only of kinds that a built-in controller makes.
fn parents(namespace: &str, input: &Input) -> HashMap<usize, usize> {
    let judged = || input.objects.iter().enumerate().filter(|(_, o)| judged_kind(o).is_some()).filter_map(|(i, o)| Some((i, o.node.get("metadata")?)));
    let by_uid: HashMap<(&str, &str), usize> = judged().filter_map(|(i, meta)| Some(((text_at(meta, "namespace").unwrap_or(namespace), text_at(meta, "uid")?), i))).collect();
    let parent = |meta| by_uid.get(&(text_at(meta, "namespace").unwrap_or(namespace), controller(meta)?)).copied();
    let makes = |parent: usize, child: usize| judged_kind(&input.objects[parent]).zip(judged_kind(&input.objects[child])).is_some_and(|(parent, child)| parent.makes(child));
    judged().filter_map(|(i, meta)| Some((i, parent(meta)?))).filter(|(child, parent)| makes(*parent, *child)).collect()
}

fn text_at<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.get(key)?.text().filter(|text| !text.is_empty())
}

/// The uid of the one owner that controls it.
fn controller(meta: &Node) -> Option<&str> {
    text_at(meta.get("ownerReferences")?.elements().iter().find(|r| r.get("controller").is_some_and(Node::is_true))?, "uid")
}

/// As JSON.
pub fn value(object: &Object) -> Value {
    // It was read once already; a failure here leaves the fact out, which makes its controls Unknown.
    serde_json::from_str(&object.node.json().text).unwrap_or_default()
}
