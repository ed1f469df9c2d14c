//! The floor of a namespace: what its Baselines ask together, the strictest of each, in whatever order they come.
//! An Ownership may ask for more. Where it asks for less the floor holds, and what was asked for is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};

use super::{
    cluster,
    mark::members,
    matrix::{Entry, Matrix, Terms, find_row, party_of, row},
    owners::Controllers,
    settings::spares_no_more,
    waiver::MAX_DAYS,
};
use crate::{
    api::{
        baseline::{Baseline, Undeclared},
        ownership::{ControlEntry, Enforcement, Mode, OwnerClass, Ownership, OwnershipSpec, Parties, ServiceModel},
    },
    controls::custom::Custom,
    model::{map::Map, selector::Selector, text::shown},
};

/// What the Baselines of one namespace ask together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Floor {
    /// Their names, in order.
    pub baselines: Vec<String>,
    /// Those among them that no longer select the namespace, and have not released it.
    pub left: Vec<String>,
    controls: BTreeMap<String, ControlEntry>,
    /// What some of several leave open that others say.
    open: BTreeMap<String, Open>,
    service_model: Option<ServiceModel>,
    model_open: bool,
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

/// What a Baseline does not say of a control that another says something of. It means the catalog's own then, as where it is alone.
#[derive(Clone, Debug, Default, PartialEq)]
struct Open {
    /// Neither by an entry of it nor by none: how it is met where nothing is declared, at most.
    enforcement: Option<Enforcement>,
    /// Nor whose it is there.
    owner: bool,
    /// There is an entry of it, without an owner.
    owner_of_entry: bool,
    /// That is in a Baseline without a service model.
    model_of_entry: bool,
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

fn stricter(one: OwnerClass, other: OwnerClass) -> OwnerClass {
    if strictness(one) < strictness(other) { other } else { one }
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
        for baseline in &all {
            floor.add(baseline);
        }
        if all.len() > 1 {
            floor.leave_open(&all);
        }
        Some(floor)
    }

    /// Keeps what each leaves open of what the others say.
    fn leave_open(&mut self, all: &[&Baseline]) {
        self.model_open = all.iter().any(|b| b.spec.service_model.is_none());
        for id in self.controls.keys() {
            let mut open = Open::default();
            for spec in all.iter().map(|b| &b.spec) {
                let entry = spec.controls.iter().find(|e| e.control == *id);
                if entry.is_none_or(|e| e.enforcement.is_none()) {
                    open.enforcement = open.enforcement.max(Some(mode_of(spec.undeclared).ceiling()));
                }
                open.owner |= entry.is_none_or(|e| e.owner.is_none());
                open.owner_of_entry |= entry.is_some_and(|e| e.owner.is_none());
                open.model_of_entry |= entry.is_some_and(|e| e.owner.is_none()) && spec.service_model.is_none();
            }
            if open != Open::default() {
                self.open.insert(id.clone(), open);
            }
        }
    }

    fn add(&mut self, baseline: &Baseline) {
        let spec = &baseline.spec;
        self.baselines.push(baseline.metadata.name.clone().unwrap_or_default());
        for entry in &spec.controls {
            let known = self.controls.entry(entry.control.clone()).or_insert_with(|| entry.clone());
            known.owner = [known.owner, entry.owner].into_iter().flatten().max_by_key(|o| strictness(*o));
            known.enforcement = known.enforcement.max(entry.enforcement);
            // Who it is does not make it stricter: the first that says so.
            known.accountable = known.accountable.take().or_else(|| entry.accountable.clone());
            // Nor can it be told which params ask for more.
            if known.params.is_empty() {
                known.params.clone_from(&entry.params);
            }
        }
        // Under IaaS most is the customer's, under SaaS least.
        self.service_model = [self.service_model, spec.service_model].into_iter().flatten().min();
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
            let Some(floor) = self.controls.get(control.id) else { continue };
            let said = spec.controls.iter().enumerate().find(|(_, e)| e.control == control.id);
            let mut below = |path: String, says: &str, asks: &str| {
                let by = self.baselines.join(", ");
                terms.below.push(Below { path, what: format!("{}: {says}, and the floor is {asks} (baseline {})", control.id, shown(&by, 100)), assigned: false });
            };
            let (open, model_open) = self.open.get(control.id).map_or((false, false), |open| (open.owner_of_entry, open.model_of_entry));
            // A Baseline that says nothing of a control does not say by which model it is to be read either.
            let default = control.owner(if model_open { self.model(spec.service_model) } else { self.service_model.unwrap_or(spec.service_model) });
            let owner = floor.owner.map_or(default, |owner| if open { stricter(owner, default) } else { owner });
            if owner.owed_by_customer() && !entry.owner.owed_by_customer() {
                if let Some((i, owner_said)) = said.and_then(|(i, e)| Some((i, e.owner?))) {
                    below(format!("spec.controls[{i}].owner"), &format!("owner {owner_said}"), &format!("owner {owner}"));
                }
                entry.owner = owner;
                entry.accountable = floor.accountable.clone().or_else(|| party_of(owner, &spec.parties));
                // What was wanted of the one who owed nothing is wanted now.
                let wanted = said.and_then(|(_, e)| e.enforcement).unwrap_or(enforcement);
                entry.enforcement = wanted.min(spec.mode.ceiling()).min(ceiling);
            }
            let Some(wanted) = floor.enforcement else { continue };
            let wanted = wanted.min(ceiling).min(if entry.owner.owed_by_customer() { Enforcement::Deny } else { Enforcement::Audit });
            if entry.enforcement >= wanted {
                continue;
            }
            match said.and_then(|(i, e)| Some((i, e.enforcement?))) {
                Some((i, enforcement)) if enforcement < wanted => {
                    below(format!("spec.controls[{i}].enforcement"), &format!("enforcement {enforcement}"), &format!("enforcement {wanted}"));
                }
                _ if spec.mode.ceiling() < wanted => below("spec.mode".to_owned(), &format!("mode {}", spec.mode), &format!("enforcement {wanted}")),
                _ => {}
            }
            entry.enforcement = wanted;
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
        for (id, floor) in self.controls.iter().filter(|(id, floor)| !floor.params.is_empty() && self.custom.contains_key(*id)) {
            let Some(i) = spec.controls.iter().position(|e| e.control == *id) else {
                spec.controls.push(ControlEntry { control: id.clone(), params: floor.params.clone(), ..ControlEntry::default() });
                continue;
            };
            let said = &mut spec.controls[i].params;
            if !said.is_empty() && *said != floor.params {
                let what = format!("{id}: params of its own, and the floor is those of baseline {}", shown(&self.baselines.join(", "), 100));
                below.push(Below { path: format!("spec.controls[{i}].params"), what, assigned: false });
            }
            said.clone_from(&floor.params);
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

    /// What is declared where nothing is.
    fn silent(&self) -> Ownership {
        let spec = OwnershipSpec {
            service_model: self.model(ServiceModel::default()),
            parties: self.parties.clone(),
            controls: self.controls.values().map(|entry| self.closed(entry)).collect(),
            mode: mode_of(self.undeclared),
            ..OwnershipSpec::default()
        };
        Ownership::new("default", spec)
    }

    /// What they ask of a control together where nothing is declared.
    fn closed(&self, entry: &ControlEntry) -> ControlEntry {
        let mut entry = entry.clone();
        if let Some((open, row)) = self.open.get(&entry.control).zip(find_row(&self.custom, &entry.control)) {
            let [enforcement, _] = row.enforcement;
            let own = open.enforcement.map(|ceiling| enforcement.min(ceiling));
            entry.enforcement = entry.enforcement.map(|said| own.map_or(said, |own| said.max(own)));
            if open.owner {
                entry.owner = entry.owner.map(|said| stricter(said, row.owner(self.model(ServiceModel::default()))));
            }
        }
        entry
    }

    /// The service model that they name, or the given one where they leave it open and it leaves more to the customer.
    fn model(&self, given: ServiceModel) -> ServiceModel {
        self.service_model.map_or(given, |named| if self.model_open { named.min(given) } else { named })
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
