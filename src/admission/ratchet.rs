//! The ratchet: what stood before may stay as it is, and becomes no worse. From one violation, and what stood, what follows of it.
//! Whoever says that it stood is believed only where nobody else could have said so.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{adopted::Siblings, answer::Answer, review::Request};
use crate::{
    api::ownership::Enforcement,
    model::{
        Sameness,
        facts::Namespace,
        subject::{Kind, Subject},
        text::shown,
    },
    policy::{
        book::Book,
        matrix::Matrix,
        verdict::{Door, Judged, evaluate},
    },
};

/// What an UPDATE finds already there: when the object was made, and what it violated.
pub(super) struct Stood {
    created: Option<Timestamp>,
    /// Nothing but its size changed, beside metadata and status: no new risk, and the way to scale a violator down.
    only_scaled: bool,
    /// The uid of what controlled it.
    controller: Option<String>,
    violations: HashSet<Sameness>,
}

pub(super) fn stood_before(request: &Request<'_>, kind: Kind, matrix: &Matrix, namespace: &Namespace, book: &Book, owned: bool, now: Timestamp) -> Result<Option<Stood>, Answer> {
    if &*request.operation != "UPDATE" {
        return Ok(None);
    }
    let objects = request.objects();
    let Some(old) = objects.old_object else { return Err(Answer::deny(&request.uid, 400, "malformed: an UPDATE without oldObject")) };
    let only_scaled = objects.object.is_some_and(|new| only_scaled(old.get(), new.get()));
    let old = Subject::parse(kind, old.get()).map_err(|error| Answer::deny(&request.uid, 400, shown(&format!("malformed old {}: {error}", kind.lower()), 300)))?;
    Ok(Some(Stood {
        created: old.meta.creation_timestamp.parse().ok(),
        only_scaled,
        controller: old.controller().map(|r| r.uid.to_string()),
        violations: evaluate(&old, namespace, matrix, &book.facts, owned, Door::Webhook(&|| request.whole_of_old()), now).violations().map(|j| j.sameness(matrix)).collect(),
    }))
}

/// Whether somebody whom nobody believes writes into an object that names an owner by whose age it may be spared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    None,
    /// It names that owner already.
    Known,
    /// It did not before.
    New,
}

impl Claim {
    pub(super) fn of(subject: &Subject<'_>, stood: Option<&mut Stood>) -> Self {
        let Some(stood) = stood else { return Self::New };
        if stood.controller.as_deref() == subject.controller().map(|r| &*r.uid) {
            return Self::Known;
        }
        // What spares all that comes is more than metadata.
        stood.only_scaled = false;
        Self::New
    }

    /// No Waiver lets pass what would be kept beyond its end.
    pub(super) fn bars(self, judged: &Judged, matrix: &Matrix, stood: Option<&Stood>) -> bool {
        match self {
            Self::None => false,
            Self::Known => stood.is_none_or(|stood| !stood.violations.contains(&judged.sameness(matrix))),
            Self::New => true,
        }
    }
}

/// Whether `new` differs from `old` in nothing but how many run. Reached only by an UPDATE that violates something, so a tree may be built.
fn only_scaled(old: &str, new: &str) -> bool {
    let rest = |json: &str| -> Option<serde_json::Value> {
        let mut object: serde_json::Value = serde_json::from_str(json).ok()?;
        let root = object.as_object_mut()?;
        root.remove("metadata");
        root.remove("status");
        if let Some(spec) = root.get_mut("spec").and_then(|s| s.as_object_mut()) {
            for size in ["replicas", "parallelism", "suspend", "paused"] {
                spec.remove(size);
            }
        }
        Some(object)
    };
    rest(old).is_some_and(|old| rest(new) == Some(old))
}

pub(super) enum Consequence {
    /// `later` it may be spared, once it is known since when it is denied.
    Deny {
        later: bool,
    },
    Warn {
        grandfathered: bool,
    },
    Nothing,
}

/// What may spare an object.
pub(super) struct Grace<'g> {
    /// Since when the root above it stands.
    pub(super) root: Option<Timestamp>,
    /// What stands beside it, where the root is not judged itself.
    pub(super) siblings: Option<&'g Siblings>,
    /// What it was before.
    pub(super) stood: Option<&'g Stood>,
}

impl Grace<'_> {
    /// For how many days what is spared has been in drift: it was there, and forbidden, and a violation.
    pub(super) fn days(&self, judged: &Judged, matrix: &Matrix, now: Timestamp) -> i64 {
        let since = [matrix.forbidden_since(judged.control), judged.finding.since, self.stood.and_then(|stood| stood.created)].into_iter().flatten().max();
        since.map_or(0, |since| now.duration_since(since).as_hours() / 24)
    }
}

/// The ratchet: what follows from one violation.
pub(super) fn consequence(judged: &Judged, matrix: &Matrix, grace: &Grace<'_>, now: Timestamp) -> Consequence {
    match matrix.entries[judged.control].enforcement {
        Enforcement::Off | Enforcement::Audit => return Consequence::Nothing,
        Enforcement::Warn => return Consequence::Warn { grandfathered: false },
        Enforcement::Deny => {}
    }
    let mut later = false;
    let spared = |created| matrix.grandfathers(judged.control, created, judged.finding.since, now);
    let spared_root = spared(grace.root);
    let grandfathered = match grace.stood {
        // Under a spared parent whatever a new Pod carries is drift, not denial: else a deleted Pod would never come back (P16). A custom resource
        // was never judged, so while Pods of it stand they say what it may have.
        None => {
            later = spared_root && grace.siblings.is_some_and(|siblings| siblings.have(judged, matrix) && siblings.wait(judged, matrix));
            spared_root && !later && grace.siblings.is_none_or(|siblings| siblings.have(judged, matrix))
        }
        // "You may leave it; what you touch, you fix": the same violation in the same place may stay where it, or its root, stood before.
        Some(stood) => stood.violations.contains(&judged.sameness(matrix)) && (stood.only_scaled || spared_root || spared(stood.created)),
    };
    if grandfathered { Consequence::Warn { grandfathered } } else { Consequence::Deny { later } }
}
