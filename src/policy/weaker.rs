//! What a change of a declaration weakens, and which parties answer for that today. Tightening is never told.
//! What holds is compared, Baselines and all, and not the words: a mode, an owner and an entry weaken in the same way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    floor::{Floor, below, strictness},
    matrix::Matrix,
    owners::Controllers,
    settings::{looser, spares_no_more},
    waiver::MAX_DAYS,
};
use crate::{
    api::{
        baseline::{Baseline, BaselineSpec, Controller},
        ownership::{ControlEntry, Ownership, OwnershipSpec, Parties, ServiceModel},
        waiver::Waiver,
    },
    controls::custom::Custom,
};

mod attested;
mod party;

pub use attested::NamesSomebody;
pub use party::{names, party};

type Customs = Arc<BTreeMap<String, Arc<Custom>>>;

/// One thing that a change weakens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weaker {
    /// The field, such as `spec.mode`.
    pub path: String,
    /// What becomes weaker.
    pub what: String,
    /// Who answers for it today: only whoever acts for each of these may say so. None named is nobody.
    pub answers: BTreeSet<String>,
    /// The Baselines that ask for more even where nothing is declared: then no party of the namespace may say so.
    pub below: Vec<String>,
}

fn one(path: impl Into<String>, what: impl Into<String>, answers: impl IntoIterator<Item = String>) -> Weaker {
    Weaker { path: path.into(), what: what.into(), answers: answers.into_iter().collect(), below: Vec::new() }
}

/// The least that holds in a namespace, where its Baselines ask for something of those who declare nothing: nobody who declares comes below that.
struct Least<'f> {
    floor: &'f Floor,
    alone: Matrix,
}

impl Least<'_> {
    /// The same, for the Baselines to say and not for a party that they bind, where it is `below` this.
    fn judge(this: Option<&Self>, below: impl FnOnce(&Self) -> bool, weaker: Weaker) -> Weaker {
        match this.filter(|least| below(least)) {
            Some(least) => Weaker { answers: BTreeSet::new(), below: least.floor.baselines.clone(), ..weaker },
            None => weaker,
        }
    }
}

/// What a new or changed Ownership weakens of what holds in its namespace. Where nothing was declared and no Baseline holds, nothing does.
pub fn ownership(old: Option<&Ownership>, new: &Ownership, floor: Option<&Floor>, custom: &Customs, acts: NamesSomebody<'_>) -> Vec<Weaker> {
    let resolve = |o: &Ownership| floor.map_or_else(|| Matrix::resolve_with(o, custom), |floor| floor.under(o));
    let now = resolve(new);
    let (before, spec) = match (old, floor) {
        (Some(old), _) => (resolve(old), old.spec.clone()),
        (None, Some(floor)) => (floor.alone(), OwnershipSpec { service_model: new.spec.service_model, ..OwnershipSpec::default() }),
        (None, None) => return attested::ownership(&OwnershipSpec::default(), &new.spec, None, acts),
    };
    let mut found = accountables(&before, &now, &new.spec, old.is_some());
    // Where a Baseline only reports, whoever declares first says what is asked.
    let least = floor.and_then(|floor| Some(Least { floor, alone: floor.undeclared()? }));
    let stands = old.is_some() || least.is_some();
    found.extend(attested::ownership(&spec, &new.spec, stands.then_some(&before), acts));
    if !stands {
        return found;
    }
    found.extend(dismissed(&before, &now));
    found.extend(entries(&before, &now, (&spec, &new.spec), least.as_ref()));
    let customer = || before.parties.customer.clone().into_iter().chain(floor.and_then(Floor::customer).map(str::to_owned));
    found.extend(looser(&before.policy, &now.policy).into_iter().map(|path| one(path, "may ask for less than before", customer())));
    if now.default_owner.is_some() && now.default_owner != before.default_owner {
        found.push(one("spec.defaultOwner", "makes somebody the owner of what names none", customer()));
    }
    if !spares_no_more(&before.existing, &now.existing) {
        let spares = one("spec.existingWorkloads", "spares more than before", customer());
        found.push(Least::judge(least.as_ref(), |least| !spares_no_more(&least.alone.existing, &now.existing), spares));
    }
    found
}

/// Where in a spec something is said of a control.
fn place(spec: &OwnershipSpec, id: &str, field: &str) -> String {
    spec.controls.iter().position(|e| e.control == id).map_or_else(|| "spec.controls".to_owned(), |i| format!("spec.controls[{i}].{field}"))
}

/// Who answers is another one. Whoever is named where nobody was could loosen what is asked next, so that is told as well, but not of a first
/// declaration; nor that a control comes to the party that is named for those who are held to it.
fn accountables(before: &Matrix, now: &Matrix, new: &OwnershipSpec, declared: bool) -> Vec<Weaker> {
    let mut found: BTreeMap<(String, Option<String>), Vec<&str>> = BTreeMap::new();
    for (i, (was, is)) in before.entries.iter().zip(&now.entries).enumerate() {
        let taken = !was.owner.owed_by_customer() && is.owner.owed_by_customer() && is.accountable == super::matrix::party_of(is.owner, &before.parties);
        if was.accountable == is.accountable || taken || (was.accountable.is_none() && !declared) {
            continue;
        }
        let id = before.row(i).id;
        let own = new.controls.iter().any(|e| e.control == id && (e.accountable.is_some() || e.owner.is_some()));
        let path = if own { place(new, id, "accountable") } else { "spec.parties".to_owned() };
        found.entry((path, was.accountable.clone())).or_default().push(id);
    }
    found.into_iter().map(|((path, party), ids)| one(path, format!("another would answer for {}", counted(&ids)), party)).collect()
}

/// The control that reads whose people work in a namespace.
const TRAINING: &str = "security-training-current";

/// A party that is named no more, and answered for nothing: whether its people are trained is asked of nobody then. Of those who answer another is told.
fn dismissed(before: &Matrix, now: &Matrix) -> Option<Weaker> {
    let answers_for_nothing = |party: &String| before.entries.iter().all(|e| e.accountable.as_ref() != Some(party));
    let gone = before.parties.named().filter(|party| now.parties.named().all(|stays| stays != *party) && answers_for_nothing(party)).map(String::as_str);
    // One may be named in two roles.
    let gone: Vec<&str> = gone.collect::<BTreeSet<_>>().into_iter().collect();
    let answers = || before.find(TRAINING).and_then(|i| before.entries[i].accountable.clone());
    (!gone.is_empty()).then(|| one("spec.parties", format!("nobody would name {} any more", counted(&gone)), answers()))
}

fn counted(ids: &[&str]) -> String {
    match ids {
        [] => "nothing".to_owned(),
        [id] => (*id).to_owned(),
        [id, rest @ ..] => format!("{id} and {} more", rest.len()),
    }
}

/// Control by control: owed by somebody who is held to less, met with less, or asked with other params.
fn entries(before: &Matrix, now: &Matrix, (old, new): (&OwnershipSpec, &OwnershipSpec), least: Option<&Least<'_>>) -> Vec<Weaker> {
    let mut found: BTreeMap<(String, String, Option<String>, bool), Vec<&str>> = BTreeMap::new();
    let mut tell = |path: String, what: String, party: &Option<String>, below, id| found.entry((path, what, party.clone(), below)).or_default().push(id);
    for (i, (was, is)) in before.entries.iter().zip(&now.entries).enumerate() {
        let row = before.row(i);
        let said = |spec: &OwnershipSpec| spec.controls.iter().find(|e| e.control == row.id).map(|e| (e.owner, e.enforcement));
        let of_all = if new.mode.ceiling() < old.mode.ceiling() { "spec.mode" } else { "spec.serviceModel" };
        let path = |field| if said(old) == said(new) { of_all.to_owned() } else { place(new, row.id, field) };
        let below = least.is_some_and(|least| below(is, &least.alone.entries[i]));
        if strictness(is.owner) < strictness(was.owner) {
            let path = if said(old) == said(new) { "spec.serviceModel".to_owned() } else { path("owner") };
            tell(path, format!("owner {} after {} of", is.owner, was.owner), &was.accountable, below, row.id);
        } else if is.enforcement < was.enforcement {
            tell(path("enforcement"), format!("enforcement {} after {} of", is.enforcement, was.enforcement), &was.accountable, below, row.id);
        }
    }
    for (was, is) in before.custom.iter().zip(&now.custom) {
        let id = &was.control.id;
        let entry = before.find(id).map(|i| &before.entries[i]);
        if was.params != is.params && entry.is_some_and(super::matrix::Entry::judged) {
            // Those of a Baseline hold in both.
            tell(place(new, id, "params"), "other params of".to_owned(), &entry.and_then(|e| e.accountable.clone()), false, id);
        }
    }
    let weaker = |((path, what, party, below), ids): ((String, String, Option<String>, bool), Vec<&str>)| {
        Least::judge(least, |_| below, one(path, format!("{what} {}", counted(&ids)), party))
    };
    found.into_iter().map(weaker).collect()
}

/// What a Baseline that is new, changed or (without `new`) deleted weakens. It binds the customer, so the mssp that it names answers for it.
pub fn baseline(old: Option<&Baseline>, new: Option<&Baseline>, custom: &Customs, acts: NamesSomebody<'_>) -> Vec<Weaker> {
    let (old, new) = match (old, new) {
        (None, None) => return Vec::new(),
        (None, Some(new)) => return first(&new.spec, acts),
        (Some(old), None) => return vec![one("spec", "the floor would be gone", old.spec.parties.mssp.clone())],
        (Some(old), Some(new)) => (old, new),
    };
    let (was, is) = (&old.spec, &new.spec);
    let mut found = Vec::new();
    let mut tell = |path: &str, what: &str| found.push(one(path, what, was.parties.mssp.clone()));
    if is.namespace_selector != was.namespace_selector {
        tell("spec.namespaceSelector", "other namespaces would be held to it");
    }
    // Unset it is each Ownership's own, beside which IaaS alone leaves the customer no less.
    let less = match (was.service_model, is.service_model) {
        (Some(was), Some(is)) => is > was,
        (None, Some(is)) => is != ServiceModel::IaaS,
        (Some(_), None) => true,
        (None, None) => false,
    };
    if less {
        tell("spec.serviceModel", "less would be the customer's");
    }
    if is.parties != was.parties {
        tell("spec.parties", "others would answer");
    }
    for entry in &was.controls {
        if !is.controls.iter().any(|e| e.control == entry.control && asks_as_much(entry, e)) {
            tell("spec.controls", &format!("it would ask for less of {}, or of others", entry.control));
        }
    }
    for entry in is.controls.iter().filter(|e| e.accountable.is_some() && !was.controls.iter().any(|w| w.control == e.control)) {
        tell("spec.controls", &format!("another would answer for {}", entry.control));
    }
    // They hold instead of those of an Ownership, and of a Baseline that comes after it by name.
    for entry in is.controls.iter().filter(|e| !e.params.is_empty() && !was.controls.iter().any(|w| w.control == e.control)) {
        tell("spec.controls", &format!("it would say the params of {}", entry.control));
    }
    if is.undeclared < was.undeclared {
        tell("spec.undeclared", "less would hold where nothing is declared");
    }
    if is.waivers.max_days.unwrap_or(MAX_DAYS) > was.waivers.max_days.unwrap_or(MAX_DAYS) {
        tell("spec.waivers.maxDays", "waivers would last longer");
    }
    if believes_more(&was.controllers, &is.controllers) {
        tell("spec.controllers", BELIEVED);
    }
    if was.critical_namespaces.iter().any(|n| !is.critical_namespaces.contains(n)) {
        tell("spec.criticalNamespaces", "a namespace would not be enrolled any more");
    }
    for path in looser(&super::cluster::policy(&was.cluster), &super::cluster::policy(&is.cluster)) {
        tell(&path.replace("spec.policy", "spec.cluster"), "may ask for less of the cluster than before");
    }
    found.extend(attested::baseline(&was.controls, &is.controls, Some(&was.parties.mssp), acts));
    // An entry more can ask for less than the catalog does where nothing is declared.
    let alone = |b: &Baseline| Floor::of([b], custom).map(|floor| floor.alone());
    if let Some((before, now)) = alone(old).zip(alone(new)) {
        let silent = OwnershipSpec::default();
        found.extend(entries(&before, &now, (&silent, &silent), None).into_iter().map(|w| one("spec.controls", w.what, was.parties.mssp.clone())));
    }
    found
}

const BELIEVED: &str = "another controller would be believed, or of another kind";

/// Whether a controller is believed that was not, or of a kind of which it was not.
fn believes_more(was: &[Controller], is: &[Controller]) -> bool {
    let read = |listed| {
        let mut all = Controllers::default();
        all.add(listed);
        all
    };
    let (was, is) = (read(was), read(is));
    let before: BTreeSet<_> = was.pairs().collect();
    is.pairs().any(|pair| !before.contains(&pair))
}

/// A new Baseline asks for more, but it may say who answers where nobody did, what shows that something holds, what only one can say, and whom to believe.
fn first(spec: &BaselineSpec, acts: NamesSomebody<'_>) -> Vec<Weaker> {
    let mut found = attested::baseline(&[], &spec.controls, Some(&None), acts);
    let says = [
        ("spec.parties", "it says who answers where nobody does", spec.parties != Parties::default() || spec.controls.iter().any(|e| e.accountable.is_some())),
        ("spec.controls", "its params would hold instead of others", spec.controls.iter().any(|e| !e.params.is_empty())),
        ("spec.waivers.maxDays", "waivers would last longer", spec.waivers.max_days.unwrap_or(MAX_DAYS) > MAX_DAYS),
        ("spec.controllers", BELIEVED, !spec.controllers.is_empty()),
    ];
    found.extend(says.into_iter().filter(|(_, _, said)| *said).map(|(path, what, _)| one(path, what, None)));
    found
}

fn asks_as_much(was: &ControlEntry, is: &ControlEntry) -> bool {
    is.owner.map(strictness) >= was.owner.map(strictness) && is.enforcement >= was.enforcement && is.accountable == was.accountable && is.params == was.params
}

/// What an approval lets pass of what a party answers for, where that party names who acts for it; `None` where it is unknown what is promised.
/// Who may approve at all is for RBAC to say.
pub fn waiver(old: Option<&Waiver>, new: &Waiver, matrix: Option<&Matrix>, names_somebody: impl Fn(&str) -> bool) -> Option<Weaker> {
    let spec = &new.spec;
    if spec.approval.is_none() || old.is_some_and(|o| o.spec.approval == spec.approval) {
        return None;
    }
    let answers = match matrix {
        Some(matrix) => Some(matrix.entries[matrix.find(&spec.control)?].accountable.clone().filter(|party| names_somebody(party))?),
        None => None,
    };
    Some(one("spec.approval", format!("lets {} be violated", spec.control), answers))
}

#[cfg(test)]
mod tests;
