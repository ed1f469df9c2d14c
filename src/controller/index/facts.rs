//! What checks look up beside the object that they judge, a store a kind. The stores are shared with the book: copied once a burst, and only
//! what changed. A kind more is its field, and an arm wherever the compiler asks for one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use kube::api::DynamicObject;
use serde_json::Value;

use super::{Backing, Source, Touched, estate::Estate};
use crate::{
    api::{Declaration, party::PartySpec, roster::RosterSpec},
    model::{
        facts::{Account, ClaimFact, Facts, NetworkPolicy, StorageClass, Store, Volume, grantees},
        subject::{Gateway, Kind},
    },
};

#[derive(Debug, Default)]
pub(super) struct Stores {
    classes: Arc<BTreeMap<String, StorageClass>>,
    volumes: Arc<BTreeMap<String, Volume>>,
    claims: Arc<BTreeMap<String, ClaimFact>>,
    accounts: Arc<BTreeMap<String, Account>>,
    grants: Arc<BTreeMap<String, BTreeSet<String>>>,
    network_policies: Arc<BTreeMap<String, BTreeMap<String, NetworkPolicy>>>,
    gateways: Arc<BTreeMap<String, Gateway>>,
    parties: Arc<BTreeMap<String, PartySpec>>,
    rosters: Arc<BTreeMap<String, RosterSpec>>,
    /// Whom each binding gives something, to take it back.
    granted: HashMap<String, Vec<String>>,
}

/// Kinds of facts that cannot be read, and why: their controls are Unknown, and nothing else suffers (F38).
pub(super) type Unreadable = Vec<(Source, &'static str)>;

fn key(object: &DynamicObject) -> String {
    format!("{}/{}", object.metadata.namespace.as_deref().unwrap_or_default(), object.metadata.name.as_deref().unwrap_or_default())
}

/// As JSON, metadata and all; whatever cannot be written says nothing, which makes its controls Unknown.
fn whole(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

impl Stores {
    /// As the book holds them.
    pub fn facts(&self, estate: &Estate, unreadable: &Unreadable) -> Facts {
        let judged = |(source, why): &(Source, &str)| match source {
            Source::Subjects(kind) => Some((*kind, (*why).to_owned())),
            Source::Backing(Backing::ClusterRoleBindings) => Some((Kind::ClusterRoleBinding, (*why).to_owned())),
            Source::Declared(_) | Source::Namespaces | Source::StorageClasses | Source::Volumes | Source::Backing(_) | Source::Guards(_) | Source::Estate(_) => None,
        };
        Facts {
            storage_classes: store(unreadable, Source::StorageClasses, &self.classes),
            volumes: store(unreadable, Source::Volumes, &self.volumes),
            claims: store(unreadable, Source::Subjects(Kind::PersistentVolumeClaim), &self.claims),
            accounts: store(unreadable, Source::Subjects(Kind::ServiceAccount), &self.accounts),
            grants: store(unreadable, Source::Subjects(Kind::RoleBinding), &self.grants)
                .and_then(|_| store(unreadable, Source::Backing(Backing::ClusterRoleBindings), &self.grants)),
            network_policies: store(unreadable, Source::Subjects(Kind::NetworkPolicy), &self.network_policies),
            gateways: store(unreadable, Source::Subjects(Kind::Gateway), &self.gateways),
            parties: store(unreadable, Source::Declared(Declaration::Party), &self.parties),
            rosters: store(unreadable, Source::Declared(Declaration::Roster), &self.rosters),
            estate: estate.facts(|kept| trouble(unreadable, Source::Estate(kept))),
            unseen: Arc::new(unreadable.iter().filter_map(judged).collect()),
        }
    }

    /// Takes in an object, new or changed.
    pub fn apply(&mut self, source: Source, object: &DynamicObject) -> Touched {
        let name = object.metadata.name.clone().unwrap_or_default();
        match source {
            Source::StorageClasses => {
                Arc::make_mut(&mut self.classes).insert(name, StorageClass::from_json(&whole(object)));
                Touched::all()
            }
            Source::Volumes => {
                Arc::make_mut(&mut self.volumes).insert(name, Volume::from_json(&whole(object)));
                Touched::all()
            }
            Source::Declared(Declaration::Party) => {
                let party = serde_json::from_value(object.data["spec"].clone());
                let unread = party.as_ref().err().map(ToString::to_string);
                named(&mut self.parties, name.clone(), party.ok());
                if let Some(error) = unread {
                    tracing::warn!(party = name, error, "a stored party cannot be read, and is as good as absent");
                }
                Touched::all()
            }
            Source::Declared(Declaration::Roster) => {
                let roster = serde_json::from_value(object.data["spec"].clone()).ok();
                if roster.is_none() {
                    // Not the error, which may quote a name.
                    tracing::warn!(roster = name, "a stored roster cannot be read, and is as good as absent");
                }
                named(&mut self.rosters, name, roster);
                Touched::all()
            }
            Source::Backing(Backing::ClusterRoleBindings) => self.grant(format!("ClusterRoleBinding/{name}"), object),
            Source::Subjects(kind) => {
                let mut touched = self.inform(kind, object);
                touched.namespace(object.metadata.namespace.as_deref().unwrap_or_default());
                touched
            }
            Source::Declared(Declaration::Ownership | Declaration::Baseline | Declaration::Control | Declaration::Waiver)
            | Source::Namespaces
            | Source::Backing(_)
            | Source::Guards(_)
            | Source::Estate(_) => Touched::default(),
        }
    }

    /// What checks of other objects look up.
    fn inform(&mut self, kind: Kind, object: &DynamicObject) -> Touched {
        match kind {
            Kind::PersistentVolumeClaim => {
                Arc::make_mut(&mut self.claims).insert(key(object), ClaimFact::from_json(&whole(object)));
            }
            Kind::ServiceAccount => {
                Arc::make_mut(&mut self.accounts).insert(key(object), Account { automount: object.data["automountServiceAccountToken"].as_bool() });
            }
            Kind::Gateway => {
                // Its status is written often; routes of any namespace may attach to what its spec says.
                let (key, gateway) = (key(object), serde_json::from_value(object.data["spec"].clone()).ok());
                if self.gateways.get(&key) != gateway.as_ref() {
                    named(&mut self.gateways, key, gateway);
                    return Touched::all();
                }
            }
            Kind::RoleBinding => return self.grant(format!("RoleBinding/{}", key(object)), object),
            Kind::NetworkPolicy => {
                let name = object.metadata.name.clone().unwrap_or_default();
                let of_namespace = Arc::make_mut(&mut self.network_policies).entry(object.metadata.namespace.clone().unwrap_or_default()).or_default();
                match NetworkPolicy::read(&object.data["spec"]) {
                    Some(policy) => drop(of_namespace.insert(name, policy)),
                    None => drop(of_namespace.remove(&name)),
                }
            }
            _ => debug_assert!(!kind.informs(), "{kind:?} informs nobody"),
        }
        Touched::default()
    }

    /// Keeps whom a binding gives something.
    fn grant(&mut self, binding: String, object: &DynamicObject) -> Touched {
        let mut touched = self.ungrant(&binding);
        let mut value = serde_json::json!({"metadata": {"name": object.metadata.name}});
        value["subjects"] = object.data["subjects"].clone();
        let grantees = grantees(&value);
        for grantee in &grantees {
            Arc::make_mut(&mut self.grants).entry(grantee.clone()).or_default().insert(binding.clone());
        }
        concern(&mut touched, &grantees);
        self.granted.insert(binding, grantees);
        touched
    }

    fn ungrant(&mut self, binding: &str) -> Touched {
        let mut touched = Touched::default();
        let Some(grantees) = self.granted.remove(binding) else { return touched };
        let grants = Arc::make_mut(&mut self.grants);
        for grantee in &grantees {
            if let Some(bindings) = grants.get_mut(grantee) {
                bindings.remove(binding);
                if bindings.is_empty() {
                    grants.remove(grantee);
                }
            }
        }
        concern(&mut touched, &grantees);
        touched
    }

    /// Forgets an object.
    pub fn forget(&mut self, source: Source, name: &str, namespace: &str) -> Touched {
        match source {
            Source::StorageClasses => {
                Arc::make_mut(&mut self.classes).remove(name);
                Touched::all()
            }
            Source::Volumes => {
                Arc::make_mut(&mut self.volumes).remove(name);
                Touched::all()
            }
            Source::Declared(Declaration::Party) => {
                Arc::make_mut(&mut self.parties).remove(name);
                Touched::all()
            }
            Source::Declared(Declaration::Roster) => {
                Arc::make_mut(&mut self.rosters).remove(name);
                Touched::all()
            }
            Source::Backing(Backing::ClusterRoleBindings) => self.ungrant(&format!("ClusterRoleBinding/{name}")),
            Source::Subjects(kind) => {
                let key = format!("{namespace}/{name}");
                let mut touched = Touched::default();
                match kind {
                    Kind::PersistentVolumeClaim => drop(Arc::make_mut(&mut self.claims).remove(&key)),
                    Kind::ServiceAccount => drop(Arc::make_mut(&mut self.accounts).remove(&key)),
                    Kind::Gateway => {
                        Arc::make_mut(&mut self.gateways).remove(&key);
                        touched.everybody();
                    }
                    Kind::RoleBinding => touched = self.ungrant(&format!("RoleBinding/{key}")),
                    Kind::NetworkPolicy => {
                        let policies = Arc::make_mut(&mut self.network_policies);
                        if let Some(of_namespace) = policies.get_mut(namespace) {
                            of_namespace.remove(name);
                            if of_namespace.is_empty() {
                                policies.remove(namespace);
                            }
                        }
                    }
                    _ => debug_assert!(!kind.informs(), "{kind:?} informs nobody"),
                }
                touched.namespace(namespace);
                touched
            }
            Source::Declared(Declaration::Ownership | Declaration::Baseline | Declaration::Control | Declaration::Waiver)
            | Source::Namespaces
            | Source::Backing(_)
            | Source::Guards(_)
            | Source::Estate(_) => Touched::default(),
        }
    }
}

fn store<T>(unreadable: &Unreadable, source: Source, known: &Arc<BTreeMap<String, T>>) -> Store<T> {
    trouble(unreadable, source).map_or_else(|| Ok(known.clone()), |why| Err(why.to_owned()))
}

fn trouble(unreadable: &Unreadable, source: Source) -> Option<&'static str> {
    unreadable.iter().find(|(of, _)| *of == source).map(|(_, why)| *why)
}

/// What cannot be read any more is as good as absent.
fn named<T: Clone>(store: &mut Arc<BTreeMap<String, T>>, name: String, value: Option<T>) {
    match value {
        Some(value) => drop(Arc::make_mut(store).insert(name, value)),
        None => drop(Arc::make_mut(store).remove(&name)),
    }
}

/// The namespaces of these ServiceAccounts; a group may concern all.
fn concern(touched: &mut Touched, grantees: &[String]) {
    for grantee in grantees {
        match grantee.split_once('/') {
            Some((namespace, _)) => touched.namespace(namespace),
            None => touched.everybody(),
        }
    }
}
