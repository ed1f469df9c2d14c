//! The second webhook entry: our own kinds as they are declared. Refuses what the definitions let through and what could not be meant, with what
//! would be right, and what weakens another's promise. DELETE of what lives in a namespace is never refused: its namespace would be left Terminating.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;

use super::{
    answer::Answer,
    guard::{Decision, guard},
    review::Request,
};
use crate::{
    api::{
        Declaration, GROUP, SYSTEM_NAMESPACES,
        baseline::{Baseline, LabelSelector},
        control::{Control, ControlSpec},
        ownership::{ControlEntry, Ownership, Parties},
        party::{Party, SubjectKind},
        waiver::{ANEW, NOT_YET, STAYS, Waiver},
    },
    controls::{self, custom},
    model::text::shown,
    policy::{
        book::{Book, Promise},
        floor::Floor,
        matrix::Matrix,
        waiver::{MAX_DAYS, known_kind, no_object},
        weaker::{self, Weaker},
    },
};

/// Decides on a declaration.
pub fn decide(request: &Request<'_>, book: &Book, now: Timestamp) -> Decision {
    let uid = &*request.uid;
    let kind = Declaration::find(&request.kind.kind).filter(|_| &*request.kind.group == GROUP);
    let found = match (&*request.operation, kind) {
        ("CREATE" | "UPDATE", Some(kind)) => declared(request, kind, book, now),
        ("DELETE", Some(kind)) => Ok(deleted(request, kind, book)),
        ("CREATE" | "UPDATE", None) => Err(Answer::deny(uid, 400, format!("{} is not a declaration", shown(&request.kind.kind, 63)))),
        ("DELETE" | "CONNECT", _) => Ok(Found::default()),
        (other, _) => Err(Answer::deny(uid, 400, format!("operation {} is not one that this webhook answers", shown(other, 40)))),
    };
    let Found { objections, weaker, missing } = match found {
        Ok(found) => found,
        Err(refusal) => return refusal.into(),
    };
    if let Some(Objection { path, what }) = objections.into_iter().next() {
        return Answer::deny(uid, 422, format!("{path}: {what}")).into();
    }
    let mut decision = kind.and_then(|kind| guard(request, kind, book, &weaker)).unwrap_or_else(|| Answer::allow(uid).into());
    decision.answer.warnings = missing.iter().take(WARNED).map(|party| format!("there is no Party {} yet; nobody acts for it until there is", shown(party, 63))).collect();
    if kind == Some(Declaration::Ownership) && SYSTEM_NAMESPACES.contains(&&*request.namespace) {
        decision.answer.warnings.push(format!("{} is the cluster's own: never enrolled, so nothing is refused here; drift is reported", request.namespace));
    }
    decision
}

/// Parties that are not there are told up to so many.
const WARNED: usize = 5;

/// What is found in a change of a declaration.
#[derive(Default)]
struct Found {
    objections: Vec<Objection>,
    weaker: Vec<Weaker>,
    /// Parties that it names and that are not there.
    missing: Vec<String>,
}

impl From<Vec<Objection>> for Found {
    fn from(objections: Vec<Objection>) -> Self {
        Self { objections, ..Self::default() }
    }
}

fn declared(request: &Request<'_>, kind: Declaration, book: &Book, now: Timestamp) -> Result<Found, Answer> {
    let custom = |id: &str| book.controls.contains_key(id);
    Ok(match kind {
        Declaration::Ownership => {
            let (new, stored) = read::<Ownership>(request)?;
            let floor = book.floors.get(&*request.namespace).map(|floor| &**floor);
            let objections = objections(&new, stored.as_ref(), floor, &custom);
            let weaker =
                unreadable(request, stored.as_ref()).unwrap_or_else(|| weaker::ownership(stored.as_ref(), &new, floor, &book.controls, &|party| names_somebody(book, party)));
            Found { objections, weaker, missing: missing(book, &new.spec.parties, &new.spec.controls) }
        }
        Declaration::Baseline => {
            let (new, stored) = read::<Baseline>(request)?;
            let weaker =
                unreadable(request, stored.as_ref()).unwrap_or_else(|| weaker::baseline(stored.as_ref(), Some(&new), &book.controls, &|party| names_somebody(book, party)));
            Found { objections: objections_to_baseline(&new, stored.as_ref()), weaker, missing: missing(book, &new.spec.parties, &new.spec.controls) }
        }
        Declaration::Party => {
            let (new, stored) = read::<Party>(request)?;
            let name = new.metadata.name.as_deref().unwrap_or_default();
            let party = || weaker::party(name, stored.as_ref().map(|s| &s.spec), &new.spec, named_in(book, name).is_some());
            Found { objections: objections_to_party(&new, stored.as_ref()), weaker: unreadable(request, stored.as_ref()).unwrap_or_else(party), ..Found::default() }
        }
        Declaration::Waiver => {
            let (new, stored) = read::<Waiver>(request)?;
            let asked = Asked { user: &request.username, days: waiver_days(book, &request.namespace), now };
            let objections = waiver_objections(&new, stored.as_ref(), &asked, &custom);
            Found { objections, weaker: approved(book, &request.namespace, &new, stored.as_ref()), ..Found::default() }
        }
        Declaration::Control => {
            let (new, _) = read::<Control>(request)?;
            // A policy in the API server lets nobody but Demarc write a built-in one, and whatever says that it is one is never run.
            let objections = if new.spec.built_in() { Vec::new() } else { objections_to_control(new.metadata.name.as_deref().unwrap_or_default(), &new.spec) };
            objections.into()
        }
        Declaration::Roster => Found::default(),
    })
}

fn deleted(request: &Request<'_>, kind: Declaration, book: &Book) -> Found {
    match kind {
        Declaration::Baseline => {
            let old = request.objects().old_object.and_then(|old| serde_json::from_str::<Baseline>(old.get()).ok());
            let weaker = unreadable(request, old.as_ref()).unwrap_or_else(|| weaker::baseline(old.as_ref(), None, &book.controls, &|_| true));
            Found { weaker, ..Found::default() }
        }
        Declaration::Party => {
            let name = request.name();
            let named = named_in(book, &name).map(|place| Objection::new("metadata.name", format!("party {} is named in {place}; name another there first", shown(&name, 63))));
            named.into_iter().collect::<Vec<_>>().into()
        }
        Declaration::Ownership | Declaration::Waiver | Declaration::Control | Declaration::Roster => Found::default(),
    }
}

/// What is wrong with a Baseline: a selector that the API server would not take for the gate's binding.
pub fn objections_to_baseline(baseline: &Baseline, stored: Option<&Baseline>) -> Vec<Objection> {
    let selector = &baseline.spec.namespace_selector;
    let new = stored.is_none_or(|s| s.spec.namespace_selector != *selector);
    no_key(selector, "spec.namespaceSelector.matchLabels").filter(|_| new).into_iter().collect()
}

fn no_key(selector: &LabelSelector, path: &str) -> Option<Objection> {
    let key = selector.no_key()?;
    Some(Objection::new(path, format!("\"{}\" is no label's key: write one such as team or example.com/team", shown(key, 63))))
}

/// Whom the API server takes everybody for, or each account of every namespace: were one of these to act for a party, RBAC alone would be left.
const EVERYBODY: [&str; 4] = ["system:authenticated", "system:unauthenticated", "system:anonymous", "system:serviceaccounts"];

fn objections_to_party(party: &Party, stored: Option<&Party>) -> Vec<Objection> {
    let known = |subject| stored.is_some_and(|s| s.spec.subjects.contains(subject));
    let everybody = party.spec.subjects.iter().enumerate().filter(|(_, s)| s.kind != SubjectKind::ServiceAccount && EVERYBODY.contains(&&*s.name) && !known(s));
    everybody.map(|(i, s)| Objection::new(format!("spec.subjects[{i}].name"), format!("{} is everybody; name who acts for the party", s.name))).collect()
}

/// Of what is stored and cannot be read nobody can say what it promised.
fn unreadable<K>(request: &Request<'_>, stored: Option<&K>) -> Option<Vec<Weaker>> {
    let lost = stored.is_none() && &*request.operation != "CREATE";
    lost.then(|| vec![Weaker { path: "spec".to_owned(), what: "what is stored cannot be read by this version".to_owned(), answers: BTreeSet::new(), below: Vec::new() }])
}

fn named_by<'s>(parties: &'s Parties, controls: &'s [ControlEntry]) -> impl Iterator<Item = &'s String> {
    let of_controls = controls.iter().flat_map(|e| e.accountable.iter().chain(&e.performed_by).chain(e.evidence.iter().filter_map(|e| e.by.as_ref())));
    parties.named().chain(of_controls)
}

/// The parties that are named and not there. Where Parties cannot be read, or nobody keeps any, there is nothing to tell.
fn missing(book: &Book, parties: &Parties, controls: &[ControlEntry]) -> Vec<String> {
    let Some(known) = book.facts.parties.as_ref().ok().filter(|known| !known.is_empty()) else { return Vec::new() };
    named_by(parties, controls).filter(|party| !known.contains_key(*party)).cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Where a Party is named.
fn named_in(book: &Book, party: &str) -> Option<String> {
    let says = |parties: &Parties, controls: &[ControlEntry]| named_by(parties, controls).any(|named| named == party);
    let baseline = book.baselines.iter().find(|(_, b)| says(&b.spec.parties, &b.spec.controls)).map(|(name, _)| format!("Baseline {name}"));
    let promises = |matrix: &Matrix| says(&matrix.parties, &[]) || weaker::names(matrix, party);
    baseline.or_else(|| {
        let named = |promise: &Promise| match promise {
            Promise::Declared(matrix) | Promise::Broken { last_good: Some(matrix), .. } => promises(matrix),
            Promise::Broken { last_good: None, .. } => false,
        };
        book.promises.iter().filter(|(_, promise)| named(promise)).map(|(namespace, _)| namespace).min().map(|namespace| format!("the Ownership of namespace {namespace}"))
    })
}

/// The object and what is stored of it; what is stored and cannot be read is as good as absent.
fn read<K: DeserializeOwned>(request: &Request<'_>) -> Result<(K, Option<K>), Answer> {
    let uid = &*request.uid;
    let objects = request.objects();
    let Some(object) = objects.object else { return Err(Answer::deny(uid, 400, "malformed: no object")) };
    match serde_json::from_str(object.get()) {
        Ok(new) => Ok((new, objects.old_object.and_then(|old| serde_json::from_str(old.get()).ok()))),
        Err(error) => Err(Answer::deny(uid, 422, shown(&format!("malformed {}: {error}", request.kind.kind.to_lowercase()), 300))),
    }
}

/// One reason to refuse a declaration.
#[derive(Debug, PartialEq, Eq)]
pub struct Objection {
    /// `spec.controls[0].control`.
    pub path: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl Objection {
    fn new(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self { path: path.into(), what: what.into() }
    }
}

fn unknown(path: impl Into<String>, id: &str) -> Objection {
    Objection::new(path, controls::nobody_knows(id))
}

/// All that speaks against an Ownership that the CRD's schema and rules let through; `demarc check` asks the same.
pub fn objections(ownership: &Ownership, stored: Option<&Ownership>, floor: Option<&Floor>, custom: &dyn Fn(&str) -> bool) -> Vec<Objection> {
    let mut found = Vec::new();
    // The CRD's rules see nothing of metadata but the name, so this stands here.
    if ownership.metadata.owner_references.as_ref().is_some_and(|r| !r.is_empty()) {
        found.push(Objection::new("metadata.ownerReferences", "an Ownership takes none, so that it does not vanish with another object"));
    }
    // An id that was stored by a newer version stays; only what this change brings is judged.
    let known = |id: &str| controls::find(id).is_some() || custom(id) || stored.is_some_and(|o| o.spec.controls.iter().any(|e| e.control == id));
    found.extend(ownership.spec.controls.iter().enumerate().filter(|(_, e)| !known(&e.control)).map(|(i, entry)| unknown(format!("spec.controls[{i}].control"), &entry.control)));
    // What was below the floor before there was one may stay while it is mended elsewhere: the floor holds anyhow.
    if let Some(floor) = floor {
        let before: Vec<String> = stored.map(|s| floor.under(s).below.iter().map(|b| b.what.clone()).collect()).unwrap_or_default();
        found.extend(floor.under(ownership).below.iter().filter(|b| !b.assigned && !before.contains(&b.what)).map(|b| Objection::new(b.path.clone(), b.what.clone())));
    }
    found
}

/// How a Waiver was asked for.
struct Asked<'a> {
    user: &'a str,
    days: u16,
    now: Timestamp,
}

fn waiver_days(book: &Book, namespace: &str) -> u16 {
    match book.promises.get(namespace) {
        Some(Promise::Declared(matrix) | Promise::Broken { last_good: Some(matrix), .. }) => matrix.waiver_days,
        Some(Promise::Broken { last_good: None, .. }) | None => MAX_DAYS,
    }
}

/// Whether a party says who acts for it. Of Parties that cannot be read nobody knows: whoever says something in their name must be able to assign.
fn names_somebody(book: &Book, party: &str) -> bool {
    book.facts.parties.as_ref().map_or(true, |all| all.get(party).is_some_and(|p| !p.subjects.is_empty()))
}

/// What an approval lets pass. Where nothing is declared and no Baseline holds, nothing is asked that could be.
fn approved(book: &Book, namespace: &str, new: &Waiver, stored: Option<&Waiver>) -> Vec<Weaker> {
    let matrix = match book.promises.get(namespace) {
        Some(Promise::Declared(matrix) | Promise::Broken { last_good: Some(matrix), .. }) => Some(&**matrix),
        Some(Promise::Broken { last_good: None, .. }) => None,
        None => return Vec::new(),
    };
    weaker::waiver(stored, new, matrix, |party| names_somebody(book, party)).into_iter().collect()
}

/// All that speaks against an apply of a Waiver in a file, but for how long it lasts: here, and by the API server's rules and policies. `stored` is what
/// stands there; an apply without an approval leaves the one that it has.
pub fn objections_to_waiver(waiver: &Waiver, stored: Option<&Waiver>, custom: &dyn Fn(&str) -> bool) -> Vec<Objection> {
    let (spec, was) = (&waiver.spec, stored.map(|stored| &stored.spec));
    let mut found = unmeant(waiver, stored, custom);
    if spec.approval.is_some() && was.is_none_or(|was| was.approval != spec.approval) {
        found.push(Objection::new("spec.approval", NOT_YET));
    }
    let Some(was) = was else { return found };
    if was.requested_by != spec.requested_by {
        found.push(Objection::new("spec.requestedBy", STAYS));
    } else if was.approval.is_some() && !was.asks_the_same(spec) {
        found.push(Objection::new("spec", ANEW));
    }
    found
}

/// That a Waiver which was made at `made` ends later than one may that lasts for `days`.
pub fn too_long(waiver: &Waiver, made: Timestamp, days: u16) -> Option<Objection> {
    // A minute for the clocks of two machines.
    let latest = made.checked_add(SignedDuration::from_hours(24 * i64::from(days)) + SignedDuration::from_mins(1)).unwrap_or(Timestamp::MAX);
    let what = || format!("a Waiver here ends at most {days} days after it was made, by {} at the latest; ask for a new one then", latest.strftime("%FT%TZ"));
    (waiver.spec.expires.0 > latest).then(|| Objection::new("spec.expires", what()))
}

/// What could not be meant by it, whoever asks.
fn unmeant(waiver: &Waiver, stored: Option<&Waiver>, custom: &dyn Fn(&str) -> bool) -> Vec<Objection> {
    let spec = &waiver.spec;
    let mut found = Vec::new();
    if controls::find(&spec.control).is_none() && !custom(&spec.control) && stored.is_none_or(|s| s.spec.control != spec.control) {
        found.push(unknown("spec.control", &spec.control));
    }
    // What is stored already is void, and may be mended or go.
    found.extend(no_object(&spec.control).filter(|_| stored.is_none_or(|s| s.spec.control != spec.control)).map(|what| Objection::new("spec.control", what)));
    let selector = spec.target.selector.as_ref().filter(|_| stored.is_none_or(|s| s.spec.target != spec.target));
    found.extend(selector.and_then(|selector| no_key(selector, "spec.target.selector.matchLabels")));
    if let Some(kind) = spec.target.kind.as_deref().filter(|kind| !known_kind(kind)) {
        found.push(Objection::new("spec.target.kind", format!("\"{}\" is no kind that controls judge; write one such as Deployment", shown(kind, 63))));
    }
    found
}

fn waiver_objections(waiver: &Waiver, stored: Option<&Waiver>, asked: &Asked<'_>, custom: &dyn Fn(&str) -> bool) -> Vec<Objection> {
    let spec = &waiver.spec;
    let mut found = unmeant(waiver, stored, custom);
    if stored.is_none() && spec.requested_by != asked.user {
        found.push(Objection::new("spec.requestedBy", format!("whoever creates a Waiver asks for it: write \"{}\"", shown(asked.user, 253))));
    }
    let made = waiver.metadata.creation_timestamp.as_ref().map_or(asked.now, |t| t.0);
    if let Some(approval) = spec.approval.as_ref().filter(|approval| stored.is_none_or(|s| s.spec.approval.as_ref() != Some(*approval))) {
        // Whoever reads later who allowed it, and when, has nothing else to go by. The clock is that of somebody's own machine.
        let skew = SignedDuration::from_mins(5);
        if approval.at.0.duration_since(asked.now) > skew || made.duration_since(approval.at.0) > skew {
            let what = format!("an approval is given now: write \"{}\", or use demarc waiver approve", asked.now.strftime("%FT%TZ"));
            found.push(Objection::new("spec.approval.at", what));
        }
    }
    if stored.is_none_or(|s| s.spec.expires != spec.expires) {
        let past = (spec.expires.0 <= asked.now).then(|| Objection::new("spec.expires", "is in the past"));
        found.extend(past.or_else(|| too_long(waiver, made, asked.days)));
    }
    found
}

/// All that speaks against a Control; `demarc check` asks the same.
pub fn objections_to_control(name: &str, spec: &ControlSpec) -> Vec<Objection> {
    custom::objections(name, spec).into_iter().map(|(path, what)| Objection::new(path, what)).collect()
}
