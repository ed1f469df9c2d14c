//! Whether what is promised is enforced: what stands in the API server, and what the leader's tries say of it.
//! Judged once a change, and told in every namespace.

use std::collections::{BTreeMap, HashMap};

use kube::api::DynamicObject;
use serde_json::Value;

use super::{Index, State, Touched};
use crate::{
    api::{ENROLLED_LABEL, ENROLLED_VALUE},
    controller::{
        audit::{self, Expected},
        authority, install,
    },
    model::{facts::Namespace, proof::WEBHOOK, selector::Selector},
    policy::{
        enforcing::{Fault, Proof},
        expiry::{Ending, Validity},
    },
};

/// The two halves of a policy in the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// ValidatingAdmissionPolicies.
    Policies,
    /// ValidatingAdmissionPolicyBindings.
    Bindings,
}

/// A namespace about which the API server is to ask.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// Its name.
    pub namespace: String,
    /// Of its Ownership; 0 when that cannot be read.
    pub generation: i64,
    /// Its status says that enforcement is proven; where nothing is declared, that of a Baseline.
    pub proven: bool,
    /// It has an Ownership.
    pub declared: bool,
}

/// Whether a namespace's promise is enforced, as far as was looked at and tried.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// What was found wrong.
    pub fault: Option<Fault>,
    /// What was tried.
    pub proof: Proof,
    /// What ends soon, or has.
    pub ending: Option<Ending>,
    /// What is worth telling beside it.
    pub note: Option<String>,
}

/// What was looked at, as every namespace is told.
#[derive(Debug, Default, PartialEq)]
struct Audited {
    fault: Option<Fault>,
    note: Option<String>,
    /// Which namespaces the webhook is asked about; `None` is all, or nobody knows.
    selector: Option<Selector>,
}

#[derive(Debug, Default)]
pub(super) struct Guarded {
    /// What should stand in the API server; `None` in a test that has none.
    expected: Option<Expected>,
    found: audit::Stored,
    audited: Audited,
    proofs: HashMap<String, Proof>,
    /// What the tries say of every namespace.
    reach: Option<Fault>,
    /// Of the certificate that is served and the caBundle, what ends first, if that is worth a word.
    ending: Option<Ending>,
    /// Something changed of what the API server asks by.
    stirred: bool,
}

impl Guarded {
    pub fn new(expected: Expected) -> Self {
        let mut new = Self { expected: Some(expected), ..Self::default() };
        new.audit();
        new
    }

    /// A policy or a binding is there, or gone. Those of others are not kept.
    pub fn guard(&mut self, guard: Guard, name: &str, object: Option<&DynamicObject>) -> Touched {
        if !self.expected.as_ref().is_some_and(|e| name.starts_with(&e.configuration)) {
            return Touched::default();
        }
        let kept: &mut BTreeMap<String, Value> = match guard {
            Guard::Policies => &mut self.found.policies,
            Guard::Bindings => &mut self.found.bindings,
        };
        match object {
            Some(object) => drop(kept.insert(name.to_owned(), object.data.clone())),
            None => drop(kept.remove(name)),
        }
        self.audit()
    }

    /// A webhook configuration is there, or gone: our own, or another that has our name in it.
    pub fn webhook(&mut self, name: &str, object: Option<&DynamicObject>) -> Touched {
        if self.expected.as_ref().is_some_and(|e| e.configuration == name) {
            self.found.configuration = object.map(|o| o.data.clone());
            self.stirred = true;
            return self.audit();
        }
        let ours = |o: &DynamicObject| o.data["webhooks"].as_array().is_some_and(|all| all.iter().any(|w| w["name"] == WEBHOOK));
        let changed = if object.is_some_and(ours) { self.found.others.insert(name.to_owned()) } else { self.found.others.remove(name) };
        if changed { self.audit() } else { Touched::default() }
    }

    /// Whether policies and bindings can be read at all.
    pub fn unseen(&mut self, why: Option<&'static str>) {
        self.found.unseen = why;
        self.audit();
    }

    /// The webhook of our name in our configuration.
    fn entry(&self) -> Option<&Value> {
        self.found.configuration.as_ref()?["webhooks"].as_array()?.iter().find(|w| w["name"] == WEBHOOK)
    }

    fn audit(&mut self) -> Touched {
        let Some(expected) = &self.expected else { return Touched::default() };
        let entry = self.entry();
        let audited =
            Audited { fault: audit::fault(expected, &self.found), note: audit::note(&self.found), selector: entry.and_then(|entry| Selector::read(&entry["namespaceSelector"])) };
        if audited == self.audited {
            return Touched::default();
        }
        self.audited = audited;
        Touched::all()
    }

    fn standing(&self, namespace: &Namespace) -> Standing {
        let excluded = || {
            let selects = self.audited.selector.as_ref().is_none_or(|s| s.matches(&namespace.labels));
            (!selects).then(|| Fault::wrong("NamespaceExcluded", "the webhook's namespaceSelector leaves out this namespace, by another label or by its name"))
        };
        let proof = match self.proofs.get(&namespace.name) {
            Some(missing @ Proof::Missing(_)) => missing.clone(),
            known => self.reach.clone().map_or_else(|| known.cloned().unwrap_or_default(), Proof::Missing),
        };
        Standing { fault: self.audited.fault.clone().or_else(excluded), proof, ending: self.ending, note: self.audited.note.clone() }
    }
}

impl State {
    fn enrolled(&self) -> Vec<Enrolled> {
        let labelled = self.namespaces.values().filter(|n| n.labels.get(ENROLLED_LABEL).is_some_and(|v| v == ENROLLED_VALUE));
        let of = |namespace: &std::sync::Arc<Namespace>| {
            let name = &namespace.name;
            let stored = self.declared.ownerships.get(name);
            let proven = stored.map_or_else(|| self.declared.told_of(name), |stored| stored.proven);
            Enrolled { namespace: name.clone(), generation: stored.and_then(|stored| stored.generation).unwrap_or_default(), proven, declared: stored.is_some() }
        };
        labelled.map(of).collect()
    }
}

impl Index {
    /// Whether the promise of a namespace is enforced.
    pub fn standing(&self, namespace: &Namespace) -> Standing {
        self.state().guarded.standing(namespace)
    }

    /// The name of the gate's policy, and the bindings of it that stand; `None` where they cannot be seen.
    pub fn gate(&self) -> Option<(String, BTreeMap<String, Value>)> {
        let state = self.state();
        let expected = state.guarded.expected.as_ref().filter(|_| state.guarded.found.unseen.is_none())?;
        let policy = format!("{}{}", expected.configuration, install::GATE.trim_start_matches(install::CONFIGURATION));
        let ours = |(_, binding): &(&String, &Value)| binding["spec"]["policyName"] == policy.as_str();
        let bindings = state.guarded.found.bindings.iter().filter(ours).map(|(name, binding)| (name.clone(), binding.clone())).collect();
        Some((policy, bindings))
    }

    /// The namespaces about which the API server is to ask.
    pub fn enrolled(&self) -> Vec<Enrolled> {
        self.state().enrolled()
    }

    /// The reason of what was found wrong in the API server.
    pub fn fault(&self) -> Option<&'static str> {
        self.state().guarded.audited.fault.as_ref().map(|fault| fault.reason)
    }

    /// From when until when the API server trusts the authority in the caBundle.
    pub fn trusted(&self) -> Option<Validity> {
        let bundle = self.state().guarded.entry()?["clientConfig"]["caBundle"].clone();
        authority::validity_of_bundle(bundle)
    }

    /// Takes in what ends first.
    pub fn set_ending(&self, ending: Option<Ending>) {
        let mut state = self.state();
        if state.guarded.ending != ending {
            state.guarded.ending = ending;
            drop(state);
            self.mark_all();
        }
    }

    /// Whether the webhook configuration has changed since this was last asked.
    pub fn stirred(&self) -> bool {
        std::mem::take(&mut self.state().guarded.stirred)
    }

    /// Whether this mandate's tries have said anything yet.
    pub fn tried(&self) -> bool {
        !self.state().guarded.proofs.is_empty()
    }

    /// Whether a Baseline over a namespace tells that enforcement is proven of all that is under it.
    pub fn told_of(&self, namespace: &str) -> bool {
        self.state().declared.told_of(namespace)
    }

    /// Forgets what an earlier mandate's tries said.
    pub fn forget_proofs(&self) {
        let guarded = &mut self.state().guarded;
        guarded.proofs.clear();
        guarded.reach = None;
    }

    /// Takes in what the leader's tries say of namespaces; `None` forgets one.
    pub fn set_proofs(&self, news: Vec<(String, Option<Proof>)>) {
        let mut state = self.state();
        for (namespace, proof) in news {
            match proof {
                Some(proof) => drop(state.guarded.proofs.insert(namespace.clone(), proof)),
                None => drop(state.guarded.proofs.remove(&namespace)),
            }
            state.dirty.insert(namespace);
        }
        self.changed.notify_one();
    }

    /// Takes in what they say of every namespace.
    pub fn set_reach(&self, reach: Option<Fault>) {
        let mut state = self.state();
        if state.guarded.reach != reach {
            state.guarded.reach = reach;
            drop(state);
            self.mark_all();
        }
    }
}
