//! How what a namespace promises is enforced, whether or not an Ownership tells it: for the Baselines over it, and counted for whoever asks `/metrics`.
//! It is read from the index alone; what is told in an Ownership is planned with its status and says the same.

use std::collections::HashMap;

use super::reconcile::Reconciler;
use crate::{
    api::{ENROLLED_LABEL, ENROLLED_VALUE},
    policy::{
        book::{Book, Promise},
        enforcing::{Said, enforcing},
        status::Observed,
        tally::Stands,
    },
};

/// Whether a namespace asks for admission, and whether nothing new is admitted for want of a readable declaration; `None` where it promises nothing.
fn promise(book: &Book, name: &str) -> Option<(bool, bool)> {
    Some(match book.promises.get(name)? {
        Promise::Declared(matrix) | Promise::Broken { last_good: Some(matrix), .. } => (matrix.mode.enrolled(), false),
        Promise::Broken { last_good: None, .. } => (true, true),
    })
}

impl Reconciler {
    /// Counts how a namespace stands, and how far what it recorded is; one that promises nothing is not counted.
    pub(super) fn count(&self, book: &Book, name: &str, due: Option<&'static str>) {
        let said = promise(book, name).and_then(|(enrolls, unreadable)| self.said(book, name, enrolls, unreadable));
        self.index.shared.tally.stands(name, said.map(|(status, reason, _)| Stands { enforcing: (status, reason), due }));
    }

    /// What is proven of each namespace under a Baseline that asks for admission.
    pub(super) fn enforced<'b>(&self, book: &'b Book) -> HashMap<&'b str, Said> {
        let asking = |name: &'b String| {
            let (enrolls, unreadable) = promise(book, name).filter(|(enrolls, _)| *enrolls)?;
            Some((name.as_str(), self.said(book, name, enrolls, unreadable)?))
        };
        book.floors.keys().filter_map(asking).collect()
    }

    fn said(&self, book: &Book, name: &str, enrolls: bool, unreadable: bool) -> Option<Said> {
        let namespace = book.namespaces.get(name)?;
        let labelled = namespace.labels.get(ENROLLED_LABEL).is_some_and(|v| v == ENROLLED_VALUE);
        let (critical, standing) = (self.spared(book, name, labelled), self.index.standing(namespace));
        let stood = match self.index.stored(name) {
            Some(stored) => stored.proven,
            // Nothing else tells of it, and a new leader tries at once.
            None => !self.index.tried() && self.index.told_of(name),
        };
        let observed = Observed {
            generation: 0,
            enrolled: labelled,
            broken: None,
            critical: critical.as_deref(),
            fault: standing.fault.as_ref(),
            proof: &standing.proof,
            ending: standing.ending,
            note: standing.note.as_deref(),
            written: None,
        };
        Some(enforcing(&observed, enrolls, unreadable, stood))
    }
}
