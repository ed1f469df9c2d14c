//! The floor of a namespace: what its Baselines ask together, the strictest of each, in whatever order they come.
//! An Ownership may ask for more. Where it asks for less the floor holds, and what was asked for is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    cluster,
    mark::members,
    matrix::{self, Entry, Matrix, party_of, row},
    owners::Controllers,
    settings::spares_no_more,
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
    service_model: Option<ServiceModel>,
    parties: Parties,
    undeclared: Undeclared,
    waiver_days: Option<u16>,
    critical: BTreeSet<String>,
    /// The controls about the cluster that they judge, by position.
    of_cluster: BTreeMap<usize, Vec<String>>,
    controllers: Arc<Controllers>,
    /// The controls of users' own, which it may ask for as well.
    custom: Arc<BTreeMap<String, Arc<Custom>>>,
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
        for entry in &spec.controls {
            let known = self.controls.entry(entry.control.clone()).or_insert_with(|| entry.clone());
            known.owner = [known.owner, entry.owner].into_iter().flatten().max_by_key(|o| strictness(*o));
            known.enforcement = known.enforcement.max(entry.enforcement);
            // Who it is does not make it stricter: the first that says so.
            known.accountable = known.accountable.take().or_else(|| entry.accountable.clone());
        }
        // Under IaaS most is the customer's, under SaaS least.
        self.service_model = [self.service_model, spec.service_model].into_iter().flatten().min();
        self.parties = filled(&self.parties, &spec.parties);
        self.undeclared = self.undeclared.max(spec.undeclared);
        self.waiver_days = [self.waiver_days, spec.waivers.max_days].into_iter().flatten().min();
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
        let mut matrix = Matrix::resolve_with(&ownership, &self.custom);
        let custom = matrix.custom.clone();
        let spec = &ownership.spec;
        for (i, entry) in matrix.entries.iter_mut().enumerate() {
            let control = row(&custom, i);
            let ([enforcement, _], ceiling) = (control.enforcement, control.ceiling(&spec.policy));
            let Some(floor) = self.controls.get(control.id) else { continue };
            let said = spec.controls.iter().enumerate().find(|(_, e)| e.control == control.id);
            let mut below = |path: String, says: &str, asks: &str| {
                let by = self.baselines.join(", ");
                matrix.below.push(Below { path, what: format!("{}: {says}, and the floor is {asks} (baseline {})", control.id, shown(&by, 100)), assigned: false });
            };
            let owner = floor.owner.unwrap_or_else(|| control.owner(self.service_model.unwrap_or(spec.service_model)));
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
        let assigned = self.assigned(&matrix);
        matrix.below.extend(assigned);
        let asked = matrix.entries.iter().map(|e| e.enforcement).max().unwrap_or(Enforcement::Off);
        matrix.mode = matrix.mode.max(self.mode(asked));
        // Whoever declares more of the cluster than that there is one is held to it.
        let refers = |control: usize| matrix.entries[control].evidence.is_empty() && !cluster::is_set(control, &matrix.policy);
        matrix.judged_by = self.of_cluster.iter().filter(|(control, _)| refers(**control)).map(|(control, by)| (*control, by.clone())).collect();
        self.stamp(matrix)
    }

    /// What is enforced less than where nothing is declared.
    fn assigned(&self, matrix: &Matrix) -> Option<Below> {
        let silent = (self.undeclared > Undeclared::Audit).then(|| self.silent())?;
        let least = |i| matrix::entry(&silent, &row(&matrix.custom, i), None);
        let mut less = matrix.entries.iter().enumerate().filter(|(i, entry)| enforced_less(entry, &least(*i))).map(|(i, _)| row(&matrix.custom, i).id);
        let spares = || (!spares_no_more(&silent.spec.existing_workloads, &matrix.existing)).then_some("existingWorkloads");
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
            service_model: self.service_model.unwrap_or_default(),
            parties: self.parties.clone(),
            controls: self.controls.values().cloned().collect(),
            mode: match self.undeclared {
                Undeclared::Audit => Mode::Audit,
                Undeclared::Warn => Mode::Warn,
                Undeclared::Deny => Mode::Enforce,
            },
            ..OwnershipSpec::default()
        };
        Ownership::new("default", spec)
    }

    /// What holds where nothing is declared.
    pub fn alone(&self) -> Matrix {
        Matrix { declared: false, judged_by: self.of_cluster.clone(), ..self.stamp(Matrix::resolve_with(&self.silent(), &self.custom)) }
    }

    /// The same, where more is asked there than to be told of.
    pub(super) fn undeclared(&self) -> Option<Matrix> {
        (self.undeclared > Undeclared::Audit).then(|| self.alone())
    }

    /// Whether it says with which params a control of users' own is asked.
    pub(super) fn says_params(&self, control: &str) -> bool {
        self.controls.get(control).is_some_and(|entry| !entry.params.is_empty())
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

    fn stamp(&self, matrix: Matrix) -> Matrix {
        Matrix {
            baselines: self.baselines.clone(),
            left: self.left.clone(),
            waiver_days: self.waiver_days.unwrap_or(matrix.waiver_days),
            controllers: self.controllers.clone(),
            ..matrix
        }
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
mod tests {
    use super::*;
    use crate::controls::{CATALOG, find};

    fn baseline(name: &str, spec: &str) -> Baseline {
        Baseline::new(name, serde_saphyr::from_str(&format!("{{namespaceSelector: {{}}, {spec}}}")).unwrap())
    }

    fn ownership(spec: &str) -> Ownership {
        Ownership::new("default", serde_saphyr::from_str(&format!("{{serviceModel: PaaS, {spec}}}")).unwrap())
    }

    fn floor_of<'b>(baselines: impl IntoIterator<Item = &'b Baseline>) -> Option<Floor> {
        Floor::of(baselines, &Arc::default())
    }

    const ID: &str = "encryption-declared";

    #[test]
    fn an_ownership_tightens_and_never_weakens() {
        use Enforcement::{Audit, Deny, Warn};
        for (floor, declared, enforcement, below) in [
            ("enforcement: Deny", "", Deny, None),
            ("enforcement: Warn", "", Deny, None),
            ("enforcement: Deny", "controls: [{control: encryption-declared, enforcement: Warn}]", Deny, Some("spec.controls[0].enforcement")),
            ("enforcement: Deny", "controls: [{control: encryption-declared, enforcement: 'Off'}]", Deny, Some("spec.controls[0].enforcement")),
            ("enforcement: Warn", "controls: [{control: encryption-declared, enforcement: Warn}]", Warn, None),
            ("enforcement: Warn", "controls: [{control: encryption-declared, enforcement: Deny}]", Deny, None),
            ("enforcement: Deny", "mode: Audit", Deny, Some("spec.mode")),
            ("enforcement: Audit", "mode: Audit", Audit, None),
            ("enforcement: Deny", "controls: [{control: encryption-declared, owner: Provider}]", Deny, Some("spec.controls[0].owner")),
            ("owner: Customer", "controls: [{control: encryption-declared, owner: NotApplicable, enforcement: Warn}]", Warn, Some("spec.controls[0].owner")),
            ("owner: Customer", "controls: [{control: encryption-declared, owner: SharedDependent}]", Deny, None),
            ("owner: Provider, enforcement: Deny", "controls: [{control: encryption-declared, owner: Provider}]", Audit, None),
            ("owner: Provider", "controls: [{control: encryption-declared, owner: Customer, enforcement: Warn}]", Warn, None),
        ] {
            let floor = floor_of([&baseline("gold", &format!("controls: [{{control: {ID}, {floor}}}]"))]).unwrap();
            let matrix = floor.under(&ownership(declared));
            let said: Vec<&str> = matrix.below.iter().map(|b| b.path.as_str()).collect();
            assert_eq!((matrix.entries[find(ID).unwrap()].enforcement, said), (enforcement, below.into_iter().collect()), "{floor:?} {declared}");
            assert!(enforcement <= Audit || matrix.mode.enrolled(), "{declared}");
            assert!(matrix.below.iter().all(|b| b.what.starts_with(ID) && b.what.contains("baseline gold")), "{:?}", matrix.below);
        }
        let saas = Ownership::new("default", serde_saphyr::from_str("{serviceModel: SaaS}").unwrap());
        let floor = floor_of([&baseline("gold", &format!("serviceModel: PaaS, controls: [{{control: {ID}, enforcement: Deny}}]"))]).unwrap();
        let matrix = floor.under(&saas);
        assert_eq!((matrix.entries[find(ID).unwrap()].enforcement, matrix.below.len()), (Deny, 0), "who declares another model is held to the floor, and has said nothing of it");
    }

    #[test]
    fn what_is_below_what_holds_undeclared_is_told_and_holds() {
        for (undeclared, declared, told) in [
            ("Audit", "mode: Audit", None),
            ("Deny", "", None),
            ("Deny", "policy: {exposure: {allow: [web]}}", None),
            ("Deny", "controls: [{control: encryption-declared, owner: SharedDependent}]", None),
            ("Deny", "controls: [{control: node-version-supported, owner: Provider}]", None),
            ("Deny", "controls: [{control: node-version-supported, owner: NotApplicable}]", Some("node-version-supported: less than holds")),
            ("Deny", "controls: [{control: encryption-declared, owner: Provider}]", Some("encryption-declared: less than holds")),
            ("Deny", "controls: [{control: encryption-declared, enforcement: Warn}]", Some("encryption-declared: less than holds where nothing is declared (baseline gold)")),
            ("Warn", "controls: [{control: encryption-declared, enforcement: Warn}]", None),
            ("Warn", "controls: [{control: encryption-declared, owner: NotApplicable}]", Some("encryption-declared: less than holds")),
            ("Deny", "mode: Warn", Some(" more: less than holds where nothing is declared (baseline gold)")),
            ("Deny", "existingWorkloads: {createdBefore: '2999-01-01T00:00:00Z'}", Some("existingWorkloads: less than holds")),
        ] {
            let floor = floor_of([&baseline("gold", &format!("undeclared: {undeclared}"))]).unwrap();
            let (matrix, plain) = (floor.under(&ownership(declared)), Matrix::resolve(&ownership(declared)));
            let said: Vec<&str> = matrix.below.iter().map(|b| b.what.as_str()).collect();
            assert!(said.len() == usize::from(told.is_some()) && said.iter().all(|s| s.contains(told.unwrap())), "{undeclared} {declared}: {said:?}");
            assert_eq!(matrix.entries, plain.entries, "whoever may assign it gets it");
        }
    }

    #[test]
    fn who_drops_the_label_stays_until_the_mark_is_gone() {
        let gold = baseline("gold", "undeclared: Deny");
        let selector = Selector::read(&serde_json::json!({"matchLabels": {"tier": "gold"}})).unwrap();
        let custom = Arc::default();
        let floor = |labels: &[(&str, &str)], selector: Option<&Selector>| {
            let labels: Map<'_> = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            Floor::over(&labels, [(&gold, selector)], &custom).map(|f| (f.baselines.len(), f.left.len()))
        };
        let (tier, mark) = (("tier", "gold"), ("baseline.demarc.dev/gold", "member"));
        for (labels, wanted) in [
            (&[tier][..], Some((1, 0))),
            (&[tier, mark], Some((1, 0))),
            (&[mark], Some((1, 1))),
            (&[("baseline.demarc.dev/gold", "")], Some((1, 1))),
            (&[("baseline.demarc.dev/silver", "member")], None),
            (&[("baseline.demarc.dev/", "gold")], None),
            (&[("demarc.dev/gold", "member")], None),
            (&[], None),
        ] {
            assert_eq!(floor(labels, Some(&selector)), wanted, "{labels:?}");
        }
        assert_eq!(floor(&[tier, mark], None), Some((1, 1)), "a selector that cannot be read releases nobody");
        let labels: Map<'_> = [("baseline.demarc.dev/gold".to_owned(), "member".to_owned())].into_iter().collect();
        let floor = Floor::over(&labels, [(&gold, None)], &custom).unwrap();
        assert_eq!((floor.alone().left, floor.under(&ownership("mode: Audit")).left), (vec!["gold".to_owned()], vec!["gold".to_owned()]));
    }

    #[test]
    fn several_combine_to_the_strictest_in_any_order() {
        // Every way in which two or three of these meet, in every order.
        let some = |i: usize| {
            let enforcement = ["'Off'", "Audit", "Warn", "Deny"][i % 4];
            let owner = ["Provider", "Customer", "SharedDependent", "NotApplicable", "ThirdParty"][i % 5];
            let control = [ID, "pod-security-standard"][i % 2];
            let undeclared = ["Audit", "Warn", "Deny"][i % 3];
            let model = ["IaaS", "PaaS", "SaaS"][(i / 2) % 3];
            baseline(
                &format!("b{i}"),
                &format!(
                    "serviceModel: {model}, undeclared: {undeclared}, waivers: {{maxDays: {}}}, controls: [{{control: {control}, owner: {owner}, enforcement: {enforcement}}}], parties: {{customer: c{i}}}",
                    10 + i * 7 % 50
                ),
            )
        };
        let all: Vec<Baseline> = (0..12).map(some).collect();
        let declared = ownership("mode: Audit, controls: [{control: encryption-declared, owner: Provider, enforcement: 'Off'}]");
        for (a, b, c) in (0..12).flat_map(|a| (0..12).flat_map(move |b| (0..12).map(move |c| (a, b, c)))).filter(|(a, b, c)| a < b && b < c) {
            let orders = [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]];
            let floors: Vec<Floor> = orders.iter().map(|o| floor_of(o.iter().map(|i| &all[*i])).unwrap()).collect();
            assert!(floors.iter().all(|f| *f == floors[0]), "{a} {b} {c}");
            let together = floors[0].under(&declared);
            for one in [a, b, c] {
                let alone = floor_of([&all[one]]).unwrap();
                let by_one = alone.under(&declared);
                for (control, (all, one)) in CATALOG.iter().zip(together.entries.iter().zip(&by_one.entries)) {
                    let owes = |e: &super::super::matrix::Entry| e.owner.owed_by_customer();
                    assert!(all.enforcement >= one.enforcement && (owes(all) || !owes(one)), "{} of {a} {b} {c}", control.id);
                }
                assert!(together.waiver_days <= by_one.waiver_days && together.mode >= by_one.mode && floors[0].alone().mode >= alone.alone().mode);
            }
        }
    }

    #[test]
    fn what_holds_alone_is_the_baselines_own_matrix_under_what_it_says_of_the_undeclared() {
        for (undeclared, enforcement, enrolled) in [("Audit", Enforcement::Audit, false), ("Warn", Enforcement::Warn, true), ("Deny", Enforcement::Deny, true)] {
            let matrix = floor_of([&baseline("gold", &format!("undeclared: {undeclared}, parties: {{customer: acme}}"))]).unwrap().alone();
            let entry = &matrix.entries[find(ID).unwrap()];
            assert_eq!((entry.enforcement, entry.accountable.as_deref(), matrix.mode.enrolled(), matrix.declared), (enforcement, Some("acme"), enrolled, false));
        }
        assert!(floor_of([]).is_none());
    }
}
