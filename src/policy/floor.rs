//! The floor of a namespace: what its Baselines ask together, the strictest of each, in whatever order they come.
//! An Ownership may ask for more. Where it asks for less the floor holds, and what was asked for is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};

use super::{
    cluster,
    mark::members,
    matrix::{Entry, Matrix, Row, Terms, find_row, party_of, row},
    owners::Controllers,
    settings::spares_no_more,
    waiver::MAX_DAYS,
};
use crate::{
    api::{
        baseline::{Baseline, Undeclared},
        ownership::{ControlEntry, Enforcement, Mode, OwnerClass, Ownership, OwnershipSpec, Parties, ServiceModel},
    },
    controls::{self, CATALOG, custom::Custom},
    model::{map::Map, selector::Selector, text::shown},
};

/// What the Baselines of one namespace ask together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Floor {
    /// Their names, in order.
    pub baselines: Vec<String>,
    /// Those among them that no longer select the namespace, and have not released it.
    pub left: Vec<String>,
    /// What each asks for, in the same order.
    asks: Vec<Asks>,
    /// What controls of users' own are given: of each the params of the first that says any.
    params: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    parties: Parties,
    undeclared: Undeclared,
    waiver_days: Option<u16>,
    critical: BTreeSet<String>,
    /// The controls about the cluster that they judge, by position.
    of_cluster: BTreeMap<usize, Vec<String>>,
    controllers: Arc<Controllers>,
    /// The controls of users' own, which it may ask for as well.
    custom: Arc<BTreeMap<String, Arc<Custom>>>,
    /// What holds where nothing is declared. Resolved once: each Ownership over the floor is held against it.
    alone: OnceLock<Matrix>,
}

/// What one Baseline asks for. What it does not say of a control means the same beside others as where it is alone.
#[derive(Clone, Debug, PartialEq)]
struct Asks {
    baseline: String,
    controls: BTreeMap<String, ControlEntry>,
    service_model: Option<ServiceModel>,
    undeclared: Undeclared,
}

impl Asks {
    fn new(baseline: &Baseline) -> Self {
        let spec = &baseline.spec;
        let controls = spec.controls.iter().map(|entry| (entry.control.clone(), entry.clone())).collect();
        Self { baseline: baseline.metadata.name.clone().unwrap_or_default(), controls, service_model: spec.service_model, undeclared: spec.undeclared }
    }

    /// Whose a control is, in a namespace of this service model where it names none itself.
    fn owner(&self, control: &Row<'_>, model: ServiceModel) -> OwnerClass {
        let said = self.controls.get(control.id).and_then(|entry| entry.owner);
        said.unwrap_or_else(|| control.owner(self.service_model.unwrap_or(model)))
    }

    /// What it asks of a control where nothing is declared. An enforcement that it says is held to what `undeclared` of all of them allows, and one
    /// that it does not say to its own.
    fn undeclared(&self, control: &Row<'_>) -> ControlEntry {
        let entry = self.controls.get(control.id).cloned().unwrap_or_else(|| ControlEntry { control: control.id.to_owned(), ..ControlEntry::default() });
        let (owner, [enforcement, _]) = (self.owner(control, ServiceModel::default()), control.enforcement);
        let enforcement = entry.enforcement.unwrap_or(enforcement.min(mode_of(self.undeclared).ceiling())).min(most(owner));
        ControlEntry { owner: Some(owner), enforcement: Some(enforcement), ..entry }
    }
}

/// The stricter of what two say of a control: whose it is, and how a violation is met.
fn strictest(one: ControlEntry, other: ControlEntry) -> ControlEntry {
    let enforcement = one.enforcement.max(other.enforcement);
    let rank = |entry: &ControlEntry| entry.owner.map(strictness);
    let (mut entry, rest) = if rank(&one) < rank(&other) { (other, one) } else { (one, other) };
    entry.enforcement = enforcement;
    // Who of that class it is, and what shows that it is done, makes it no stricter: the first that says so.
    if entry.owner == rest.owner {
        entry.accountable = entry.accountable.or(rest.accountable);
        entry.performed_by = if entry.performed_by.is_empty() { rest.performed_by } else { entry.performed_by };
        entry.evidence = if entry.evidence.is_empty() { rest.evidence } else { entry.evidence };
    }
    entry
}

/// The most that is asked of an owner: who is not of the customer's side is held to nothing.
fn most(owner: OwnerClass) -> Enforcement {
    if owner.owed_by_customer() { Enforcement::Deny } else { Enforcement::Audit }
}

/// Where an Ownership asks for less than the floor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Below {
    /// `spec.controls[0].enforcement`.
    pub path: String,
    /// The control, what was said of it and what the floor is.
    pub what: String,
    /// The floor does not hold there instead: it is less than what holds where nothing is declared, and whoever holds the verb `assign` may say that.
    pub assigned: bool,
}

/// How much an owner class leaves to the customer's side, which alone is held to anything.
pub(super) const fn strictness(owner: OwnerClass) -> u8 {
    match owner {
        OwnerClass::NotApplicable => 0,
        OwnerClass::Provider => 1,
        OwnerClass::ThirdParty => 2,
        OwnerClass::SharedIndependent => 3,
        OwnerClass::SharedDependent => 4,
        OwnerClass::Customer => 5,
    }
}

/// The mode of a namespace that declares nothing.
const fn mode_of(undeclared: Undeclared) -> Mode {
    match undeclared {
        Undeclared::Audit => Mode::Audit,
        Undeclared::Warn => Mode::Warn,
        Undeclared::Deny => Mode::Enforce,
    }
}

/// Whether less is asked than there: nothing, of nobody who is held to it, or with less.
pub(super) fn below(is: &Entry, least: &Entry) -> bool {
    enforced_less(is, least) || (least.owner.owed_by_customer() && !is.owner.owed_by_customer())
}

/// The same without who owes it. What is only reported may well be another's in one namespace, which the matrix shows.
fn enforced_less(is: &Entry, least: &Entry) -> bool {
    (least.judged() && !is.judged()) || is.enforcement < least.enforcement
}

impl Floor {
    /// Combines those that hold in a namespace of these labels: those that select it, and those that have marked it and not released it since.
    pub fn over<'b>(labels: &Map<'_>, baselines: impl IntoIterator<Item = (&'b Baseline, Option<&'b Selector>)>, custom: &Arc<BTreeMap<String, Arc<Custom>>>) -> Option<Self> {
        let (holding, left) = Self::holding(labels, baselines);
        Self::of_those(holding, left, custom)
    }

    /// Those that hold in a namespace of these labels, and the names of those among them that it has left. Where these are the same, so is the floor.
    pub fn holding<'b>(labels: &Map<'_>, baselines: impl IntoIterator<Item = (&'b Baseline, Option<&'b Selector>)>) -> (Vec<&'b Baseline>, Vec<String>) {
        let marks: BTreeSet<&str> = members(labels).collect();
        let (mut holding, mut left) = (Vec::new(), Vec::new());
        for (baseline, selector) in baselines {
            let name = baseline.metadata.name.as_deref().unwrap_or_default();
            if selector.is_some_and(|s| s.matches(labels)) {
                holding.push(baseline);
            } else if marks.contains(name) {
                holding.push(baseline);
                left.push(name.to_owned());
            }
        }
        left.sort_unstable();
        (holding, left)
    }

    /// Combines them, some of which are left.
    pub fn of_those<'b>(holding: impl IntoIterator<Item = &'b Baseline>, left: Vec<String>, custom: &Arc<BTreeMap<String, Arc<Custom>>>) -> Option<Self> {
        Some(Self { left, ..Self::of(holding, custom)? })
    }

    /// Combines them; `None` of none.
    pub(super) fn of<'b>(baselines: impl IntoIterator<Item = &'b Baseline>, custom: &Arc<BTreeMap<String, Arc<Custom>>>) -> Option<Self> {
        let mut all: Vec<&Baseline> = baselines.into_iter().collect();
        all.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let mut floor = (!all.is_empty()).then(|| Self { custom: custom.clone(), ..Self::default() })?;
        for baseline in all {
            floor.add(baseline);
        }
        Some(floor)
    }

    fn add(&mut self, baseline: &Baseline) {
        let spec = &baseline.spec;
        self.baselines.push(baseline.metadata.name.clone().unwrap_or_default());
        self.asks.push(Asks::new(baseline));
        for entry in spec.controls.iter().filter(|entry| !entry.params.is_empty()) {
            // It cannot be told which ask for more.
            self.params.entry(entry.control.clone()).or_insert_with(|| entry.params.clone());
        }
        self.parties = filled(&self.parties, &spec.parties);
        self.undeclared = self.undeclared.max(spec.undeclared);
        self.waiver_days = self.waiver_days.into_iter().chain([spec.waivers.max_days.unwrap_or(MAX_DAYS)]).min();
        self.critical.extend(spec.critical_namespaces.iter().cloned());
        for control in cluster::judged(baseline) {
            self.of_cluster.entry(control).or_default().push(baseline.metadata.name.clone().unwrap_or_default());
        }
        if !spec.controllers.is_empty() {
            Arc::make_mut(&mut self.controllers).add(&spec.controllers);
        }
    }

    /// Whether a namespace is to be enrolled although the cluster depends on it.
    pub fn enrols(&self, namespace: &str) -> bool {
        self.critical.contains(namespace)
    }

    /// The customer where an Ownership names none.
    pub(super) fn customer(&self) -> Option<&str> {
        self.parties.customer.as_deref()
    }

    /// What an Ownership promises over this floor.
    pub fn under(&self, ownership: &Ownership) -> Matrix {
        let mut ownership = ownership.clone();
        ownership.spec.parties = filled(&ownership.spec.parties, &self.parties);
        let other_params = self.lay_params(&mut ownership.spec);
        let mut matrix = Matrix::resolve_with(&ownership, &self.custom);
        let terms = matrix.terms_mut();
        terms.below = other_params;
        let spec = &ownership.spec;
        for (i, entry) in terms.entries.iter_mut().enumerate() {
            let control = row(&terms.custom, i);
            let ([enforcement, _], ceiling) = (control.enforcement, control.ceiling(&spec.policy));
            let asked: Vec<(&Asks, &ControlEntry)> = self.asks.iter().filter_map(|asks| Some((asks, asks.controls.get(control.id)?))).collect();
            let said = spec.controls.iter().enumerate().find(|(_, e)| e.control == control.id);
            let mut below = |path: String, says: &str, least: &str, by: &[&str]| {
                let by = by.join(", ");
                terms.below.push(Below { path, what: format!("{}: {says}, and the floor is {least} (baseline {})", control.id, shown(&by, 100)), assigned: false });
            };
            let declared = entry.owner;
            let owners = || asked.iter().map(|(asks, said)| (asks, said, asks.owner(&control, spec.service_model)));
            let owner = owners().map(|(.., owner)| owner).max_by_key(|owner| strictness(*owner)).unwrap_or(declared);
            if owner.owed_by_customer() && !declared.owed_by_customer() {
                let by = || owners().filter(|(.., of)| *of == owner);
                if let Some((i, said)) = said.and_then(|(i, e)| Some((i, e.owner?))) {
                    below(format!("spec.controls[{i}].owner"), &format!("owner {said}"), &format!("owner {owner}"), &by().map(|(asks, ..)| &*asks.baseline).collect::<Vec<_>>());
                }
                entry.owner = owner;
                entry.accountable = by().find_map(|(_, said, _)| said.accountable.clone()).or_else(|| party_of(owner, &spec.parties));
                // What was wanted of the one who owed nothing is wanted now.
                let wanted = said.and_then(|(_, e)| e.enforcement).unwrap_or(enforcement);
                entry.enforcement = wanted.min(spec.mode.ceiling()).min(ceiling);
            }
            // How each wants it met of whoever owes it under that one alone.
            let held = |owner: OwnerClass| most(if declared.owed_by_customer() { declared } else { owner });
            let wanted = || owners().filter_map(|(asks, said, owner)| Some((&*asks.baseline, said.enforcement?.min(ceiling).min(held(owner)))));
            let Some(least) = wanted().map(|(_, least)| least).max().filter(|least| entry.enforcement < *least) else { continue };
            let by: Vec<&str> = wanted().filter(|(_, wanted)| *wanted == least).map(|(baseline, _)| baseline).collect();
            match said.and_then(|(i, e)| Some((i, e.enforcement?))) {
                Some((i, enforcement)) if enforcement < least => {
                    below(format!("spec.controls[{i}].enforcement"), &format!("enforcement {enforcement}"), &format!("enforcement {least}"), &by);
                }
                _ if spec.mode.ceiling() < least => below("spec.mode".to_owned(), &format!("mode {}", spec.mode), &format!("enforcement {least}"), &by),
                _ => {}
            }
            entry.enforcement = least;
        }
        let assigned = self.assigned(terms);
        terms.below.extend(assigned);
        let asked = terms.entries.iter().map(|e| e.enforcement).max().unwrap_or(Enforcement::Off);
        terms.mode = terms.mode.max(self.mode(asked));
        // Whoever declares more of the cluster than that there is one is held to it.
        let refers = |control: usize| terms.entries[control].evidence.is_empty() && !cluster::is_set(control, &terms.policy);
        terms.judged_by = self.of_cluster.iter().filter(|(control, _)| refers(**control)).map(|(control, by)| (*control, by.clone())).collect();
        self.stamp(terms);
        matrix
    }

    /// Gives the controls of users' own the params that the Baselines say. Which of two ask for more nobody knows, so others do not count.
    fn lay_params(&self, spec: &mut OwnershipSpec) -> Vec<Below> {
        let mut below = Vec::new();
        for (id, params) in self.params.iter().filter(|(id, _)| self.custom.contains_key(*id)) {
            let Some(i) = spec.controls.iter().position(|e| e.control == *id) else {
                spec.controls.push(ControlEntry { control: id.clone(), params: params.clone(), ..ControlEntry::default() });
                continue;
            };
            let said = &mut spec.controls[i].params;
            if !said.is_empty() && said != params {
                let what = format!("{id}: params of its own, and the floor is those of baseline {}", shown(&self.baselines.join(", "), 100));
                below.push(Below { path: format!("spec.controls[{i}].params"), what, assigned: false });
            }
            said.clone_from(params);
        }
        below
    }

    /// What is enforced less than where nothing is declared.
    fn assigned(&self, terms: &Terms) -> Option<Below> {
        let least = self.undeclared()?;
        let mut less = terms.entries.iter().zip(&least.entries).enumerate().filter(|(_, (entry, least))| enforced_less(entry, least)).map(|(i, _)| row(&terms.custom, i).id);
        let spares = || (!spares_no_more(&least.existing, &terms.existing)).then_some("existingWorkloads");
        let first = less.next().or_else(spares)?;
        let more = match less.count() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let what = format!("{first}{more}: less than holds where nothing is declared (baseline {})", shown(&self.baselines.join(", "), 100));
        Some(Below { path: "spec".to_owned(), what, assigned: true })
    }

    /// What is declared where nothing is: of each control the strictest of what each Baseline says by itself.
    fn silent(&self) -> Ownership {
        let known = CATALOG.iter().map(|control| control.id).chain(self.custom.keys().map(String::as_str).filter(|id| controls::find(id).is_none()));
        let entry = |id| {
            let control = find_row(&self.custom, id)?;
            let entry = self.asks.iter().map(|asks| asks.undeclared(&control)).reduce(strictest)?;
            Some(ControlEntry { params: self.params.get(id).cloned().unwrap_or_default(), ..entry })
        };
        let said: BTreeSet<&String> = self.asks.iter().flat_map(|asks| asks.controls.keys()).collect();
        let unknown = said.into_iter().filter(|id| find_row(&self.custom, id).is_none());
        let unknown = unknown.map(|id| ControlEntry { control: id.clone(), ..ControlEntry::default() });
        let spec =
            OwnershipSpec { parties: self.parties.clone(), controls: known.filter_map(entry).chain(unknown).collect(), mode: mode_of(self.undeclared), ..OwnershipSpec::default() };
        Ownership::new("default", spec)
    }

    /// What holds where nothing is declared.
    pub fn alone(&self) -> Matrix {
        let resolve = || {
            let mut matrix = Matrix::resolve_with(&self.silent(), &self.custom);
            let terms = matrix.terms_mut();
            terms.declared = false;
            terms.judged_by.clone_from(&self.of_cluster);
            self.stamp(terms);
            matrix
        };
        self.alone.get_or_init(resolve).clone()
    }

    /// The same, where more is asked there than to be told of.
    pub(super) fn undeclared(&self) -> Option<Matrix> {
        (self.undeclared > Undeclared::Audit).then(|| self.alone())
    }

    /// The least mode under which what is asked for is asked at all. Where the undeclared are denied, those who declare are enrolled as well: the
    /// gate lets nothing into a namespace before it is.
    fn mode(&self, asked: Enforcement) -> Mode {
        let least = if self.undeclared == Undeclared::Deny { Mode::Warn } else { Mode::Audit };
        least.max(match asked {
            Enforcement::Off | Enforcement::Audit => Mode::Audit,
            Enforcement::Warn => Mode::Warn,
            Enforcement::Deny => Mode::Enforce,
        })
    }

    fn stamp(&self, terms: &mut Terms) {
        terms.baselines.clone_from(&self.baselines);
        terms.left.clone_from(&self.left);
        terms.waiver_days = self.waiver_days.unwrap_or(terms.waiver_days);
        terms.controllers = self.controllers.clone();
    }
}

/// The first's, and where it names none the second's.
fn filled(first: &Parties, second: &Parties) -> Parties {
    let or = |a: &Option<String>, b: &Option<String>| a.clone().or_else(|| b.clone());
    Parties {
        provider: or(&first.provider, &second.provider),
        customer: or(&first.customer, &second.customer),
        mssp: or(&first.mssp, &second.mssp),
        third_parties: if first.third_parties.is_empty() { second.third_parties.clone() } else { first.third_parties.clone() },
    }
}

#[cfg(test)]
mod tests;
