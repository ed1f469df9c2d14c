//! `evaluate`, the only decision: which controls apply to a subject, and what does not hold.
//! The webhook, drift and `check` all call it; they differ only in what follows from a finding.

use jiff::Timestamp;

use super::matrix::Matrix;
use crate::{
    controls::{Applies, CATALOG, Context},
    model::{
        Finding, Outcome,
        facts::{Facts, Namespace},
        subject::Subject,
    },
};

/// A finding and the control that made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Position in the catalog.
    pub control: usize,
    /// What was found.
    pub finding: Finding,
}

/// What one subject shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// What does not hold or cannot be seen, worst control first.
    pub judged: Vec<Judged>,
    /// Controls that had something to judge.
    pub applied: Vec<usize>,
}

/// Judges a subject by every control of the matrix.
///
/// `owned` says that another object that is judged itself controls this one, and that this may be believed; controls about an object's own
/// metadata then leave it to that root.
pub fn evaluate(subject: &Subject<'_>, namespace: &Namespace, matrix: &Matrix, facts: &Facts, owned: bool, now: Timestamp) -> Evaluation {
    let cx = Context { subject, namespace, policy: &matrix.policy, default_owner: matrix.default_owner.as_deref(), facts, now };
    let mut evaluation = Evaluation { applied: Vec::with_capacity(CATALOG.len()), ..Evaluation::default() };
    let mut findings = Vec::new();
    for (control, (row, entry)) in CATALOG.iter().zip(&matrix.entries).enumerate() {
        let judged_here = entry.judged() && !(owned && row.root_only);
        if judged_here && row.kinds.contains(&subject.kind) && (row.check)(&cx, &mut findings) == Applies::Yes {
            evaluation.applied.push(control);
            evaluation.judged.extend(findings.drain(..).map(|finding| Judged { control, finding }));
        }
        findings.clear();
    }
    evaluation.judged.sort_by(|a, b| {
        let rank = |j: &Judged| (std::cmp::Reverse(j.finding.outcome), std::cmp::Reverse(CATALOG[j.control].severity), j.control);
        rank(a).cmp(&rank(b))
    });
    evaluation
}

impl Evaluation {
    /// The violations, without what merely cannot be seen.
    pub fn violations(&self) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(|j| j.finding.outcome == Outcome::Violated)
    }
}

impl Judged {
    /// What makes it the same violation as another.
    pub fn sameness(&self) -> crate::model::Sameness {
        self.finding.sameness(CATALOG[self.control].id)
    }
}
