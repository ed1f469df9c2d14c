//! `evaluate`, the only decision: which controls apply to a subject, and what does not hold.
//! The webhook, drift and `check` all call it; they differ only in what follows from a finding.

use jiff::Timestamp;

use super::matrix::Matrix;
use crate::{
    controls::{Applies, CATALOG, Check, Context, Declared, Due, Duty, Notes, lapsed},
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
    /// When the same things would be judged otherwise, if time alone can do that.
    pub turns: Option<Timestamp>,
    /// What has lapsed or will.
    pub dates: Vec<Due>,
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
        if let Check::Object(check) = row.check
            && judged_here
            && row.kinds.contains(&subject.kind)
        {
            let applies = check(&cx, &mut findings);
            evaluation.take(control, applies, &mut findings);
        }
    }
    evaluation.sort();
    evaluation
}

/// Judges a namespace and what it declares by every control of the matrix that is about that.
pub fn evaluate_namespace(namespace: &Namespace, matrix: &Matrix, facts: &Facts, now: Timestamp) -> Evaluation {
    let (positions, duties): (Vec<usize>, Vec<Duty<'_>>) = matrix.duties().into_iter().unzip();
    let mut evaluation = Evaluation::default();
    let mut notes = Notes::default();
    for (control, duty) in positions.into_iter().zip(&duties) {
        let Matrix { policy, parties, reviews, escalation, .. } = matrix;
        let applies = match CATALOG[control].check {
            Check::Object(_) => Applies::No,
            Check::Namespace(check) => check(&Declared { namespace, policy, parties, reviews, escalation, duties: &duties, duty, facts, now }, &mut notes),
        };
        let seen = notes.findings.len();
        if seen == 0 {
            lapsed(duty, now, &mut notes);
        }
        // Evidence that has lapsed is something to say of a control that had nothing to judge.
        let applies = if notes.findings.len() > seen { Applies::Yes } else { applies };
        evaluation.take(control, applies, &mut notes.findings);
    }
    evaluation.dates = notes.dates;
    evaluation.dates.sort_unstable();
    evaluation.dates.dedup();
    let next = evaluation.dates.iter().flat_map(|due| [due.notice, due.at]).filter(|at| *at > now).min();
    evaluation.turns = [evaluation.turns, next].into_iter().flatten().min();
    evaluation.sort();
    evaluation
}

impl Evaluation {
    fn take(&mut self, control: usize, applies: Applies, findings: &mut Vec<Finding>) {
        match applies {
            Applies::No => return findings.clear(),
            Applies::Yes => {}
            Applies::Until(then) => self.turns = self.turns.map_or(Some(then), |turns| Some(turns.min(then))),
        }
        self.applied.push(control);
        self.judged.extend(findings.drain(..).map(|finding| Judged { control, finding }));
    }

    fn sort(&mut self) {
        self.judged.sort_by(|a, b| {
            let rank = |j: &Judged| (std::cmp::Reverse(j.finding.outcome), std::cmp::Reverse(CATALOG[j.control].severity), j.control);
            rank(a).cmp(&rank(b))
        });
    }

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
