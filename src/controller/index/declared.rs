//! What people declare: Ownerships, Baselines and Waivers as they are stored, and what each namespace promises by them.
//! A stored declaration that no longer parses hurts what it speaks of only: the last good one goes on, and a Waiver counts for nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::DynamicObject;
use serde::de::DeserializeOwned;

use super::Touched;
use crate::{
    api::{Declaration, baseline::Baseline, ownership::Ownership, waiver::Waiver},
    policy::{
        book::{Book, Promise},
        matrix::Matrix,
    },
};

/// One stored Ownership.
#[derive(Clone, Debug)]
pub struct Stored {
    /// As read; `None` when it does not parse.
    pub ownership: Option<Arc<Ownership>>,
    /// Its place in history, for writes that must not clobber.
    pub version: String,
    /// Its uid, for Events.
    pub uid: String,
    pub(super) promise: Promise,
}

#[derive(Debug, Default)]
pub(super) struct Declared {
    pub ownerships: HashMap<String, Stored>,
    baselines: Arc<BTreeMap<String, Arc<Baseline>>>,
    waivers: Arc<HashMap<String, BTreeMap<String, Arc<Waiver>>>>,
}

/// As its type, without what nobody reads; or why not.
fn read<K: DeserializeOwned>(object: &DynamicObject) -> Result<K, String> {
    let meta = &object.metadata;
    let metadata = ObjectMeta {
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        generation: meta.generation,
        creation_timestamp: meta.creation_timestamp.clone(),
        deletion_timestamp: meta.deletion_timestamp.clone(),
        labels: meta.labels.clone(),
        ..ObjectMeta::default()
    };
    let slim = DynamicObject { types: object.types.clone(), metadata, data: object.data.clone() };
    serde_json::to_value(slim).and_then(serde_json::from_value).map_err(|e| e.to_string())
}

impl Declared {
    /// Puts what is declared into a book.
    pub fn write(&self, book: &mut Book) {
        book.promises = self.ownerships.iter().map(|(ns, s)| (ns.clone(), s.promise.clone())).collect();
        book.baselines = self.baselines.clone();
        book.waivers = self.waivers.clone();
    }

    /// Takes in a declaration, new or changed.
    pub fn apply(&mut self, kind: Declaration, object: &DynamicObject) -> Touched {
        let name = object.metadata.name.clone().unwrap_or_default();
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        match kind {
            Declaration::Ownership => {
                let parsed = read::<Ownership>(object);
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
                self.ownerships.insert(namespace.clone(), stored);
                Touched::one(namespace)
            }
            Declaration::Baseline => {
                match read::<Baseline>(object) {
                    Ok(baseline) => drop(Arc::make_mut(&mut self.baselines).insert(name, Arc::new(baseline))),
                    Err(reason) => tracing::warn!(baseline = name, reason, "a stored baseline cannot be read; the last good one holds"),
                }
                Touched::all()
            }
            Declaration::Waiver => {
                let of_namespace = Arc::make_mut(&mut self.waivers).entry(namespace.clone()).or_default();
                match read::<Waiver>(object) {
                    Ok(waiver) => drop(of_namespace.insert(name, Arc::new(waiver))),
                    Err(reason) => {
                        tracing::warn!(namespace, waiver = name, reason, "a stored waiver cannot be read, and counts for nothing");
                        of_namespace.remove(&name);
                    }
                }
                Touched::one(namespace)
            }
            // Facts: checks look them up.
            Declaration::Party | Declaration::Roster => Touched::default(),
        }
    }

    /// Forgets a declaration.
    pub fn forget(&mut self, kind: Declaration, name: &str, namespace: &str) -> Touched {
        match kind {
            Declaration::Ownership => {
                self.ownerships.remove(namespace);
                Touched::one(namespace.to_owned())
            }
            Declaration::Baseline => {
                Arc::make_mut(&mut self.baselines).remove(name);
                Touched::all()
            }
            Declaration::Waiver => {
                let waivers = Arc::make_mut(&mut self.waivers);
                if let Some(of_namespace) = waivers.get_mut(namespace) {
                    of_namespace.remove(name);
                    if of_namespace.is_empty() {
                        waivers.remove(namespace);
                    }
                }
                Touched::one(namespace.to_owned())
            }
            Declaration::Party | Declaration::Roster => Touched::default(),
        }
    }
}
