//! What the rest of the cluster says, as plain data: storage classes, volumes, claims and the namespace itself.
//! A store that cannot be read is `Err` with the reason, so that a check says `Unknown` instead of guessing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    estate::Estate,
    map::Map,
    selector::Selector,
    subject::{Gateway, Kind},
};
use crate::api::{party::PartySpec, roster::RosterSpec};

/// Facts of one kind, or why there are none.
pub type Store<T> = Result<Arc<BTreeMap<String, T>>, String>;

/// The facts that checks read. Cloning shares the stores.
#[derive(Clone, Debug)]
pub struct Facts {
    /// StorageClasses by name.
    pub storage_classes: Store<StorageClass>,
    /// PersistentVolumes by name.
    pub volumes: Store<Volume>,
    /// PersistentVolumeClaims by `namespace/name`.
    pub claims: Store<ClaimFact>,
    /// ServiceAccounts by `namespace/name`.
    pub accounts: Store<Account>,
    /// The bindings of every ServiceAccount and group of them that has any, by [`grantees`].
    pub grants: Store<BTreeSet<String>>,
    /// NetworkPolicies by namespace, and there by name.
    pub network_policies: Store<BTreeMap<String, NetworkPolicy>>,
    /// Gateways by `namespace/name`.
    pub gateways: Store<Gateway>,
    /// Parties by name.
    pub parties: Store<PartySpec>,
    /// Rosters by name. Personal data: no name in one goes into a finding.
    pub rosters: Store<RosterSpec>,
    /// What stands around the workloads.
    pub estate: Estate,
    /// Kinds that are judged and cannot be read, with the reason.
    pub unseen: Arc<BTreeMap<Kind, String>>,
}

impl Facts {
    /// No fact of any kind, for the given reason.
    pub fn none(reason: &str) -> Self {
        Self {
            storage_classes: Err(reason.to_owned()),
            volumes: Err(reason.to_owned()),
            claims: Err(reason.to_owned()),
            accounts: Err(reason.to_owned()),
            grants: Err(reason.to_owned()),
            network_policies: Err(reason.to_owned()),
            gateways: Err(reason.to_owned()),
            parties: Err(reason.to_owned()),
            rosters: Err(reason.to_owned()),
            estate: Estate::none(reason),
            unseen: Arc::default(),
        }
    }

    /// A claim by its name, or why claims are not seen.
    ///
    /// # Errors
    /// The reason for which claims cannot be read.
    pub fn claim(&self, namespace: &str, name: &str) -> Result<Option<&ClaimFact>, &str> {
        self.claims.as_ref().map(|claims| claims.get(&[namespace, "/", name].concat())).map_err(String::as_str)
    }

    /// Empty stores: everything was read and there is nothing.
    pub fn empty() -> Self {
        Self {
            storage_classes: Ok(Arc::default()),
            volumes: Ok(Arc::default()),
            claims: Ok(Arc::default()),
            accounts: Ok(Arc::default()),
            grants: Ok(Arc::default()),
            network_policies: Ok(Arc::default()),
            gateways: Ok(Arc::default()),
            parties: Ok(Arc::default()),
            rosters: Ok(Arc::default()),
            estate: Estate::empty(),
            unseen: Arc::default(),
        }
    }
}

/// A StorageClass as far as encryption can be read from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageClass {
    /// The CSI driver or in-tree provisioner.
    pub provisioner: String,
    /// Driver parameters, whole: each driver names encryption in its own way.
    pub parameters: BTreeMap<String, String>,
    /// Annotated as the cluster's default.
    pub default: bool,
    /// The newest default wins, as in the API server's own DefaultStorageClass admission.
    pub created: Option<Timestamp>,
}

impl StorageClass {
    /// Reads a whole StorageClass.
    pub fn from_json(object: &Value) -> Self {
        Self {
            provisioner: text(&object["provisioner"]).unwrap_or_default(),
            parameters: strings(&object["parameters"]),
            default: DEFAULT_CLASS.iter().any(|key| object["metadata"]["annotations"][*key] == "true"),
            created: created(object),
        }
    }
}

/// A PersistentVolume as far as encryption can be read from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// The CSI driver, or the in-tree source's name (`hostPath`, `nfs`).
    pub driver: String,
    /// The driver's volume attributes.
    pub attributes: BTreeMap<String, String>,
    /// The class that it was provisioned from.
    pub class: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
}

impl Volume {
    /// Reads a whole PersistentVolume.
    pub fn from_json(object: &Value) -> Self {
        let spec = &object["spec"];
        let in_tree = || ["hostPath", "local", "nfs"].into_iter().find(|source| spec[*source].is_object()).map(str::to_owned);
        Self {
            driver: text(&spec["csi"]["driver"]).or_else(in_tree).unwrap_or_default(),
            attributes: strings(&spec["csi"]["volumeAttributes"]),
            class: storage_class(object),
            created: created(object),
        }
    }
}

/// A claim that exists: what a pod that mounts it by name gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimFact {
    /// `None` means the cluster's default class; `Some("")` means statically bound.
    pub class: Option<String>,
    /// The bound volume.
    pub volume: Option<String>,
}

impl ClaimFact {
    /// Reads a whole PersistentVolumeClaim.
    pub fn from_json(object: &Value) -> Self {
        Self { class: storage_class(object), volume: text(&object["spec"]["volumeName"]) }
    }
}

/// Either makes a StorageClass the cluster's default.
const DEFAULT_CLASS: [&str; 2] = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// The class of a claim or a volume: an annotation that is older than the field still wins over it, as Kubernetes has it.
pub fn class_of<T>(annotated: impl FnOnce(&str) -> Option<T>, field: Option<T>) -> Option<T> {
    annotated("volume.beta.kubernetes.io/storage-class").or(field)
}

fn storage_class(object: &Value) -> Option<String> {
    class_of(|key| text(&object["metadata"]["annotations"][key]), text(&object["spec"]["storageClassName"]))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn created(object: &Value) -> Option<Timestamp> {
    object["metadata"]["creationTimestamp"].as_str()?.parse().ok()
}

/// The texts of a mapping; whatever else is in it is left out.
pub fn strings(value: &Value) -> BTreeMap<String, String> {
    value.as_object().into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

/// A ServiceAccount as far as its token is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Whether pods that do not say otherwise mount its token; absent is yes.
    pub automount: Option<bool>,
}

/// Every ServiceAccount, by the group that the API server puts them all into.
pub const ALL_ACCOUNTS: &str = "system:serviceaccounts";

/// Whom a RoleBinding or ClusterRoleBinding gives something: ServiceAccounts as `namespace/name`, and groups of them as they are called.
///
/// Kubernetes' own bindings give every account what needs no token of its own; anybody may call a binding so, which then counts for no group.
pub fn grantees(binding: &Value) -> Vec<String> {
    let own = binding["metadata"]["name"].as_str().is_some_and(|n| n.starts_with("system:"));
    let grantee = |subject: &Value| {
        let name = subject["name"].as_str()?;
        match subject["kind"].as_str()? {
            "ServiceAccount" => Some(format!("{}/{name}", subject["namespace"].as_str()?)),
            "User" => name.strip_prefix("system:serviceaccount:").and_then(|n| n.split_once(':')).map(|(namespace, name)| format!("{namespace}/{name}")),
            "Group" => (!own && name.starts_with(ALL_ACCOUNTS)).then(|| name.to_owned()),
            _ => None,
        }
    };
    binding["subjects"].as_array().into_iter().flatten().filter_map(grantee).collect()
}

/// A NetworkPolicy as far as which pods it isolates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// The pods of its namespace that it selects.
    pub pods: Selector,
    /// It says who may come in.
    pub ingress: bool,
    /// It says where they may go.
    pub egress: bool,
}

impl NetworkPolicy {
    /// Reads a NetworkPolicy's spec; one whose selector cannot be read covers nobody.
    pub fn read(spec: &Value) -> Option<Self> {
        let types = spec["policyTypes"].as_array().filter(|types| !types.is_empty());
        let names = |direction: &str| types.map(|types| types.iter().any(|t| t == direction));
        // Without policyTypes: ingress always, egress if anything is said of it.
        Some(Self { pods: Selector::read(&spec["podSelector"])?, ingress: names("Ingress").unwrap_or(true), egress: names("Egress").unwrap_or(!spec["egress"].is_null()) })
    }
}

/// The namespace that a subject lives in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Map<'static>,
    /// Its annotations.
    pub annotations: Map<'static>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn storage_is_read_from_whole_objects() {
        let made = json!({"creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}});
        let class = StorageClass::from_json(&json!({"metadata": made, "provisioner": "p", "parameters": {"encrypted": "true", "n": 1}}));
        let parameters = [("encrypted".to_owned(), "true".to_owned())].into();
        assert_eq!(class, StorageClass { provisioner: "p".into(), parameters, default: true, created: "2026-01-01T00:00:00Z".parse().ok() });
        for (spec, driver) in [
            (json!({"csi": {"driver": "d"}}), "d"),
            (json!({"nfs": null, "hostPath": {}}), "hostPath"),
            (json!({"local": {"path": "/"}}), "local"),
            (json!({"fc": {}}), ""),
            (json!(null), ""),
        ] {
            assert_eq!(Volume::from_json(&json!({"spec": spec})).driver, driver, "{spec}");
        }
        let claim = ClaimFact::from_json(&json!({"spec": {"storageClassName": "", "volumeName": "v"}}));
        assert_eq!(claim, ClaimFact { class: Some(String::new()), volume: Some("v".into()) });
        let annotated = json!({"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "old"}}, "spec": {"storageClassName": "new"}});
        assert_eq!(ClaimFact::from_json(&annotated).class.as_deref(), Some("old"));
        assert_eq!(Volume::from_json(&annotated).class.as_deref(), Some("old"));
        assert!(StorageClass::from_json(&json!({"metadata": {"annotations": {"storageclass.beta.kubernetes.io/is-default-class": "true"}}})).default);
        for nonsense in [json!(null), json!([]), json!({"metadata": 1, "spec": "x"})] {
            assert_eq!(StorageClass::from_json(&nonsense), StorageClass::default());
            assert_eq!(Volume::from_json(&nonsense), Volume::default());
            assert_eq!(ClaimFact::from_json(&nonsense), ClaimFact::default());
        }
    }
}
