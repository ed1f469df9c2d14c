//! What people declare: Ownerships, Baselines and Waivers as they are stored, and what each namespace promises by them.
//! A stored declaration that no longer parses hurts what it speaks of only: the last good one goes on, and a Waiver counts for nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::DynamicObject;
use serde::de::{DeserializeOwned, value::MapDeserializer};
use serde_json::{Value, json};

use super::{
    Touched,
    alike::Alike,
    stored::{Packers, Stored},
};
use crate::{
    api::{Declaration, baseline::Baseline, control::Control, ownership::Ownership, waiver::Waiver},
    controller::{
        install::SYSTEM_NAMESPACES,
        publish::{self, Found},
        watch::Change,
    },
    controls::custom::Custom,
    model::{facts::Namespace, map::Map, selector::Selector, subject::Kind},
    policy::{
        book::{Book, Promise},
        enforcing::stands,
        floor::Floor,
        mark,
        matrix::Matrix,
    },
};

#[derive(Debug, Default)]
pub(super) struct Declared {
    pub ownerships: HashMap<String, Stored>,
    packers: Packers,
    alike: Alike,
    pub baselines: BTreeMap<String, (Arc<Baseline>, Option<Selector>)>,
    /// Baselines that are stored and were never read: nobody is released from them.
    pub unread_baselines: BTreeSet<String>,
    controls: Arc<BTreeMap<String, Arc<Custom>>>,
    /// Controls by a name of the catalog, or that say that they are of it.
    pub published: BTreeMap<String, Found>,
    pub waivers: HashMap<String, BTreeMap<String, Arc<Waiver>>>,
    /// What each namespace promises by all of these.
    promises: HashMap<String, Promise>,
    /// What the Baselines that hold in a namespace ask there.
    pub floors: HashMap<String, Arc<Floor>>,
    /// The namespaces whose promise may be another one by now.
    stale: BTreeSet<String>,
    /// Of any namespace it may.
    all_stale: bool,
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
    let slim = DynamicObject { types: object.types.clone(), metadata, data: json!({}) };
    let head = serde_json::to_value(slim).map_err(|e| e.to_string())?;
    // Without a copy of the rest: of an Ownership that is changed often, it is nearly all.
    let fields = [&head, &object.data].into_iter().filter_map(Value::as_object).flatten().map(|(key, value)| (key.as_str(), value));
    K::deserialize(MapDeserializer::<_, serde_json::Error>::new(fields)).map_err(|e| e.to_string())
}

impl Declared {
    /// Puts what is declared into a book.
    pub fn write(&mut self, book: &mut Book) {
        let mut alike = std::mem::take(&mut self.alike);
        if std::mem::take(&mut self.all_stale) {
            alike.forget_floors();
            self.stale.extend(self.ownerships.keys().chain(book.namespaces.keys()).cloned());
        }
        for namespace in std::mem::take(&mut self.stale) {
            let floor = book.namespaces.get(&namespace).and_then(|n| self.floor(n, &mut alike));
            let promise = self.promise(&namespace, book.namespaces.get(&namespace).map(|n| &n.labels), floor.as_deref(), &mut alike);
            match floor {
                Some(floor) => drop(self.floors.insert(namespace.clone(), floor)),
                None => drop(self.floors.remove(&namespace)),
            }
            match promise {
                Some(promise) => drop(self.promises.insert(namespace, promise)),
                None => drop(self.promises.remove(&namespace)),
            }
        }
        alike.sweep();
        self.alike = alike;
        book.promises.clone_from(&self.promises);
        book.floors.clone_from(&self.floors);
        book.baselines = self.baselines.iter().map(|(name, (baseline, _))| (name.clone(), baseline.clone())).collect();
        book.controls = self.controls.clone();
    }

    /// A namespace is there, changed or gone.
    pub fn namespace(&mut self, name: &str) {
        self.stale.insert(name.to_owned());
    }

    fn floor(&self, namespace: &Namespace, alike: &mut Alike) -> Option<Arc<Floor>> {
        // The cluster's own namespaces declare nothing and are held to nothing.
        if SYSTEM_NAMESPACES.contains(&namespace.name.as_str()) {
            return None;
        }
        let (holding, left) = Floor::holding(&namespace.labels, self.baselines.values().map(|(baseline, selector)| (&**baseline, selector.as_ref())));
        if holding.is_empty() {
            return None;
        }
        alike.floor(&holding, left, |left| Floor::of_those(holding.iter().copied(), left, &self.controls))
    }

    fn promise(&self, namespace: &str, labels: Option<&Map<'_>>, floor: Option<&Floor>, alike: &mut Alike) -> Option<Promise> {
        let waivers = || self.waivers.get(namespace).into_iter().flat_map(BTreeMap::values).map(|w| &**w);
        let Some(stored) = self.ownerships.get(namespace) else {
            let (floor, labels) = floor.zip(labels)?;
            return Some(Promise::Declared(Arc::new(mark::recorded(floor.alone(), labels).with_waivers(waivers()))));
        };
        let mut matrix = |ownership: &Ownership| {
            let mut resolved = floor.map_or_else(|| Matrix::resolve_with(ownership, &self.controls), |floor| floor.under(ownership));
            if let Some((floor, labels)) = floor.zip(labels).filter(|_| ownership.status.is_none()) {
                resolved = mark::inherited(resolved, &floor.alone(), labels);
            }
            alike.share(&mut resolved, &ownership.spec);
            Arc::new(resolved.with_waivers(waivers()))
        };
        let holds = stored.holds();
        Some(match (holds, &stored.broken) {
            (Some(ownership), None) => Promise::Declared(matrix(&ownership)),
            (last_good, reason) => Promise::Broken { last_good: last_good.as_ref().map(matrix), reason: reason.clone().unwrap_or_default() },
        })
    }

    /// Whether a Baseline over a namespace tells that enforcement is proven of all that is under it.
    pub fn told_of(&self, namespace: &str) -> bool {
        let over = self.floors.get(namespace).map(|floor| &*floor.baselines).unwrap_or_default();
        over.iter().filter_map(|name| self.baselines.get(name)?.0.status.as_ref()).any(|status| stands(&status.conditions))
    }

    /// The kinds that controls of users' own are about: their whole objects are kept.
    pub fn whole(&self) -> BTreeSet<Kind> {
        self.controls.values().flat_map(|c| c.kinds.iter().copied().filter(|kind| c.is_about(*kind))).collect()
    }

    /// Whether an Ownership says something else than what is stored, and not only its status.
    pub fn is_news(&self, change: &Change) -> bool {
        let Change::Applied(object) = change else { return false };
        let stored = object.metadata.namespace.as_deref().and_then(|namespace| self.ownerships.get(namespace));
        stored.is_none_or(|stored| !stored.is(object))
    }

    /// Takes in a declaration, new or changed.
    pub fn apply(&mut self, kind: Declaration, object: &DynamicObject) -> Touched {
        let name = object.metadata.name.clone().unwrap_or_default();
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        match kind {
            Declaration::Ownership => {
                let stored = Stored::new(object, read(object), self.ownerships.get(&namespace), &mut self.packers);
                if let Some(reason) = &stored.broken {
                    tracing::warn!(namespace, reason, "a stored ownership cannot be read");
                }
                self.ownerships.insert(namespace.clone(), stored);
                self.stale.insert(namespace.clone());
                Touched::one(namespace)
            }
            Declaration::Baseline => {
                match read::<Baseline>(object) {
                    Ok(baseline) => {
                        // Its status is the leader's own, and nothing is promised by it.
                        let of = |baseline: &Baseline| (baseline.metadata.uid.clone(), baseline.metadata.generation);
                        if let Some((known, _)) = self.baselines.get_mut(&name).filter(|(known, _)| baseline.metadata.generation.is_some() && of(known) == of(&baseline)) {
                            *known = Arc::new(baseline);
                            self.unread_baselines.remove(&name);
                            return Touched::default();
                        }
                        let selector = serde_json::to_value(&baseline.spec.namespace_selector).ok().and_then(|s| Selector::read(&s));
                        self.unread_baselines.remove(&name);
                        self.baselines.insert(name, (Arc::new(baseline), selector));
                    }
                    Err(reason) => {
                        tracing::warn!(baseline = name, reason, "a stored baseline cannot be read; the last good one holds");
                        self.unread_baselines.insert(name);
                    }
                }
                self.all_stale = true;
                Touched::all()
            }
            Declaration::Control => {
                let found = publish::found(&name, object);
                let foreign = matches!(found, None | Some(Found::Foreign));
                match found {
                    Some(found) => drop(self.published.insert(name.clone(), found)),
                    None => drop(self.published.remove(&name)),
                }
                // What is published says what this binary does anyhow: it is never run, and changes no verdict.
                if !foreign {
                    return self.forget_own(&name);
                }
                match read::<Control>(object) {
                    Ok(control) => {
                        let custom = Custom::new(&name, control.spec);
                        if let Some(reason) = custom.fault() {
                            tracing::warn!(control = name, reason, "a stored control judges nothing, and is Unknown wherever it is asked for");
                        }
                        Arc::make_mut(&mut self.controls).insert(name, Arc::new(custom));
                    }
                    Err(reason) => {
                        tracing::warn!(control = name, reason, "a stored control cannot be read; the last good one holds, or it is Unknown");
                        Arc::make_mut(&mut self.controls).entry(name.clone()).or_insert_with(|| Arc::new(Custom::unreadable(&name, reason)));
                    }
                }
                self.all_stale = true;
                Touched::all()
            }
            Declaration::Waiver => {
                let of_namespace = self.waivers.entry(namespace.clone()).or_default();
                self.stale.insert(namespace.clone());
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

    fn forget_own(&mut self, name: &str) -> Touched {
        if !self.controls.contains_key(name) {
            return Touched::default();
        }
        Arc::make_mut(&mut self.controls).remove(name);
        self.all_stale = true;
        Touched::all()
    }

    /// Forgets a declaration.
    pub fn forget(&mut self, kind: Declaration, name: &str, namespace: &str) -> Touched {
        match kind {
            Declaration::Ownership => {
                self.ownerships.remove(namespace);
                self.stale.insert(namespace.to_owned());
                Touched::one(namespace.to_owned())
            }
            Declaration::Baseline => {
                self.baselines.remove(name);
                self.unread_baselines.remove(name);
                self.all_stale = true;
                Touched::all()
            }
            Declaration::Control => {
                self.published.remove(name);
                self.forget_own(name)
            }
            Declaration::Waiver => {
                if let Some(of_namespace) = self.waivers.get_mut(namespace) {
                    of_namespace.remove(name);
                    if of_namespace.is_empty() {
                        self.waivers.remove(namespace);
                    }
                }
                self.stale.insert(namespace.to_owned());
                Touched::one(namespace.to_owned())
            }
            Declaration::Party | Declaration::Roster => Touched::default(),
        }
    }
}
