//! Verdicts over what exists, as a report for one namespace: how each control stands and what does not hold.
//! The same `evaluate` as admission; a child reports only what its parent does not have already.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::{
    matrix::Matrix,
    objects::{Record, Room},
    verdict::evaluate,
};
use crate::{
    api::ownership::{OwnerClass, Verdict},
    controls::CATALOG,
    model::{
        Outcome, Sameness,
        facts::{Facts, Namespace},
        subject::Kind,
        text::shown,
    },
};

/// One thing that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drift {
    /// `Violated` before `Unknown`, then by severity: the order of the list.
    rank: (u8, u8),
    /// Position in the catalog.
    pub control: usize,
    /// `deployment/web`.
    pub object: String,
    /// What, and where.
    pub message: String,
    /// Violated or Unknown.
    pub outcome: Outcome,
    /// It stood before it was forbidden.
    pub grandfathered: bool,
}

impl Drift {
    fn new(control: usize, outcome: Outcome, object: String, message: &str, grandfathered: bool) -> Self {
        let rank = (u8::from(outcome == Outcome::Unknown), u8::MAX - CATALOG[control].severity as u8);
        Self { rank, control, object, message: shown(message, 250), outcome, grandfathered }
    }
}

/// How one namespace stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// One a control, in the catalog's order.
    pub verdicts: Vec<Verdict>,
    /// Sorted, so that the same state gives the same list.
    pub drift: Vec<Drift>,
}

/// Judges everything in one namespace.
pub fn report(namespace: &Namespace, matrix: &Matrix, room: &Room, facts: &Facts, now: Timestamp) -> Report {
    let mut applied = vec![false; CATALOG.len()];
    let mut drift = Vec::new();
    // A parent is judged once, however many children it has.
    let mut parents: HashMap<&str, HashSet<Sameness>> = HashMap::new();
    let none = HashSet::new();
    for (_, record) in room.iter() {
        let subject = match record.subject() {
            Ok(subject) => subject,
            Err(error) => {
                drift.extend(unreadable(record, matrix, &error));
                continue;
            }
        };
        let parent = room.parent_of(record);
        let inherited = parent.map_or(&none, |(uid, parent)| parents.entry(uid).or_insert_with(|| violations_of(parent, namespace, matrix, facts, room, now)));
        let created = room.root(record).created;
        let evaluation = evaluate(&subject, namespace, matrix, facts, parent.is_some(), now);
        for control in evaluation.applied {
            applied[control] = true;
        }
        for judged in evaluation.judged {
            if inherited.contains(&judged.sameness()) {
                continue;
            }
            let message = format!("{}: {}", subject.full_path(&judged.finding.path), judged.finding.message);
            let grandfathered = judged.finding.outcome == Outcome::Violated && matrix.grandfathers(judged.control, created, judged.finding.since, now);
            drift.push(Drift::new(judged.control, judged.finding.outcome, subject.display_name(), &message, grandfathered));
        }
    }
    drift.extend(facts.unseen.iter().flat_map(|(kind, why)| asked_of(*kind, matrix, kind.plural(), &format!("cannot be read: {why}"))));
    drift.sort_unstable();
    let verdicts = matrix
        .entries
        .iter()
        .enumerate()
        .map(|(control, entry)| {
            let worst = drift.iter().filter(|d| d.control == control).map(|d| d.outcome).max();
            match (entry.owner, worst) {
                (OwnerClass::NotApplicable, _) => Verdict::NotApplicable,
                (_, Some(Outcome::Violated)) => Verdict::Violated,
                (_, Some(Outcome::Unknown)) => Verdict::Unknown,
                (OwnerClass::Provider, None) => Verdict::Inherited,
                (_, None) if applied[control] => Verdict::Satisfied,
                (_, None) => Verdict::NotApplicable,
            }
        })
        .collect();
    Report { verdicts, drift }
}

/// An object that cannot be read may violate anything that is asked of its kind: Unknown, for each.
fn unreadable(record: &Record, matrix: &Matrix, error: &serde_json::Error) -> Vec<Drift> {
    asked_of(record.kind, matrix, &record.name(), &format!("cannot be read: {error}"))
}

/// Unknown, for each control that is asked of `kind`.
fn asked_of(kind: Kind, matrix: &Matrix, object: &str, why: &str) -> Vec<Drift> {
    let asked = CATALOG.iter().zip(&matrix.entries).enumerate().filter(|(_, (row, entry))| row.kinds.contains(&kind) && entry.judged());
    asked.map(|(control, _)| Drift::new(control, Outcome::Unknown, object.to_owned(), why, false)).collect()
}

/// What `record` does not hold, for its children to inherit; Unknown counts too, so that one gap is told once.
fn violations_of(record: &Record, namespace: &Namespace, matrix: &Matrix, facts: &Facts, room: &Room, now: Timestamp) -> HashSet<Sameness> {
    let owned = room.parent_of(record).is_some();
    record.subject().map(|s| evaluate(&s, namespace, matrix, facts, owned, now).judged.iter().map(super::verdict::Judged::sameness).collect()).unwrap_or_default()
}
