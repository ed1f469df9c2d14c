//! What the rest of the cluster says, as plain data: storage classes, volumes, claims and the namespace itself.
//! A store that cannot be read is `Err` with the reason, so that a check says `Unknown` instead of guessing.

use std::{collections::BTreeMap, sync::Arc};

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
}

impl Facts {
    /// No fact of any kind, for the given reason.
    pub fn none(reason: &str) -> Self {
        Self { storage_classes: Err(reason.to_owned()), volumes: Err(reason.to_owned()), claims: Err(reason.to_owned()) }
    }

    /// Empty stores: everything was read and there is nothing.
    pub fn empty() -> Self {
        Self { storage_classes: Ok(Arc::default()), volumes: Ok(Arc::default()), claims: Ok(Arc::default()) }
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
    /// RFC 3339; the newest default wins, as in the API server's own DefaultStorageClass admission.
    pub created: String,
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
    /// RFC 3339.
    pub created: String,
}

/// A claim that exists: what a pod that mounts it by name gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimFact {
    /// `None` means the cluster's default class; `Some("")` means statically bound.
    pub class: Option<String>,
    /// The bound volume.
    pub volume: Option<String>,
}

/// The namespace that a subject lives in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}
