//! `evaluate`, the only decision: which controls apply to a subject, and what does not hold.
//! The webhook, drift and `check` all call it; they differ only in what follows from a finding.

use std::collections::HashSet;

use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::UserInfo;

use super::matrix::{Matrix, Terms};
use crate::{
    api::ownership::Enforcement,
    controls::{
        Applies, CATALOG, Check, Context, Control, Declared, DeclaredCheck, Due, Duty, Exemption, Notes, ObjectCheck, about,
        custom::{Source, namespace_object},
        expression::Budget,
        lapsed,
    },
    model::{
        Finding, Outcome, Sameness,
        facts::{Facts, Namespace},
        subject::{Kind, Subject},
    },
};

/// Where an object is judged, and how the whole of it is come by where a control of users' own is about its kind.
#[derive(Clone, Copy)]
pub enum Door<'w> {
    /// At admission, where nobody hears of what is only reported.
    Webhook(Source<'w>),
    /// In a file, where nothing exists yet.
    Files(Source<'w>),
    /// In the cluster, where it exists.
    Cluster(Source<'w>),
}

impl<'w> Door<'w> {
    fn check(self, row: &Control, enforcement: Enforcement) -> Option<ObjectCheck> {
        match (row.check, self) {
            (Check::Object(_), Self::Webhook(_)) if enforcement < Enforcement::Warn => None,
            (Check::Object(check), _) | (Check::Existing(check), Self::Cluster(_)) => Some(check),
            (Check::Existing(_), Self::Webhook(_) | Self::Files(_)) | (Check::Namespace(_) | Check::Requester(..) | Check::Cluster(..), _) => None,
        }
    }

    /// For a control of users' own.
    fn whole(self, enforcement: Enforcement) -> Option<Source<'w>> {
        match self {
            Self::Webhook(_) if enforcement < Enforcement::Warn => None,
            Self::Webhook(whole) | Self::Files(whole) | Self::Cluster(whole) => Some(whole),
        }
    }
}

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
pub fn evaluate(subject: &Subject<'_>, namespace: &Namespace, matrix: &Matrix, facts: &Facts, owned: bool, door: Door<'_>, now: Timestamp) -> Evaluation {
    evaluate_within(&mut Budget::default(), subject, namespace, matrix, facts, (owned, door), now)
}

/// The same, where several are judged for one decision: the controls of users' own share what they may cost.
pub fn evaluate_within(
    budget: &mut Budget,
    subject: &Subject<'_>,
    namespace: &Namespace,
    matrix: &Matrix,
    facts: &Facts,
    (owned, door): (bool, Door<'_>),
    now: Timestamp,
) -> Evaluation {
    let cx = Context { subject, namespace, policy: &matrix.policy, default_owner: matrix.default_owner.as_deref(), facts, now };
    let mut evaluation = Evaluation { applied: Vec::with_capacity(about(subject.kind).len()), ..Evaluation::default() };
    let mut findings = Vec::new();
    for (control, row) in about(subject.kind) {
        let entry = &matrix.entries[*control];
        if entry.judged()
            && !(owned && row.root_only)
            && let Some(check) = door.check(row, entry.enforcement)
        {
            let applies = check(&cx, &mut findings);
            evaluation.take(*control, applies, &mut findings);
        }
    }
    if !matrix.custom.is_empty() {
        by_custom(&mut evaluation, budget, subject.kind, namespace, matrix, door);
    }
    evaluation.sort(matrix);
    evaluation
}

/// By the controls of users' own: one tree and one budget for all of them.
fn by_custom(evaluation: &mut Evaluation, budget: &mut Budget, kind: Kind, namespace: &Namespace, matrix: &Matrix, door: Door<'_>) {
    let (mut seen, mut findings) = (None, Vec::new());
    for (i, (asked, entry)) in matrix.custom.iter().zip(&matrix.entries[CATALOG.len()..]).enumerate() {
        if !entry.judged() || !asked.control.is_about(kind) {
            continue;
        }
        let Some(whole) = door.whole(entry.enforcement) else { continue };
        let (whole, namespace) = seen.get_or_insert_with(|| (whole(), namespace_object(namespace)));
        asked.control.check(whole, namespace, &asked.params, budget, &mut findings);
        evaluation.take(CATALOG.len() + i, Applies::Yes, &mut findings);
    }
}

/// What does not hold of whoever asks, where the namespace says how to tell and wants somebody warned or refused. Kubernetes' own users, ServiceAccounts
/// among them, sign in by nothing that could be told apart.
pub fn evaluate_requester(matrix: &Matrix, username: &str, user: impl Fn() -> UserInfo) -> Vec<Judged> {
    if matrix.policy.mfa.is_none() || username.starts_with("system:") {
        return Vec::new();
    }
    let asked = CATALOG.iter().zip(&matrix.entries).enumerate().filter(|(_, (_, entry))| entry.judged() && entry.enforcement >= Enforcement::Warn);
    let checks = asked.filter_map(|(control, (row, _))| if let Check::Requester(_, check) = row.check { Some((control, check)) } else { None });
    checks.filter_map(|(control, check)| Some(Judged { control, finding: check(&matrix.policy, &user())? })).collect()
}

/// Judges a namespace and what it declares by every control of the matrix that is about that. What of the cluster its Baselines judge is not judged again.
pub fn evaluate_namespace(namespace: &Namespace, matrix: &Matrix, facts: &Facts, now: Timestamp) -> Evaluation {
    // Of what is about objects the evidence may lapse all the same.
    let silent: DeclaredCheck = |_, _| Applies::No;
    let check = |control: usize| match CATALOG.get(control).map(|row| row.check) {
        _ if matrix.judged_by.contains_key(&control) => None,
        Some(Check::Namespace(check) | Check::Requester(check, _) | Check::Cluster(check, _)) => Some(check),
        None | Some(Check::Object(_) | Check::Existing(_)) => Some(silent),
    };
    evaluate_declared((namespace, "spec.policy"), matrix, facts, check, now)
}

/// Judges the cluster by every control of a Baseline's matrix that is about that.
pub fn evaluate_cluster(matrix: &Matrix, facts: &Facts, now: Timestamp) -> Evaluation {
    let check = |control: usize| match CATALOG.get(control).map(|row| row.check) {
        Some(Check::Cluster(check, _)) => Some(check),
        None | Some(Check::Object(_) | Check::Existing(_) | Check::Namespace(_) | Check::Requester(..)) => None,
    };
    evaluate_declared((&Namespace::default(), "spec.cluster"), matrix, facts, check, now)
}

fn evaluate_declared(
    (namespace, settings): (&Namespace, &'static str),
    matrix: &Matrix,
    facts: &Facts,
    check: impl Fn(usize) -> Option<DeclaredCheck>,
    now: Timestamp,
) -> Evaluation {
    let (positions, duties): (Vec<usize>, Vec<Duty<'_>>) = matrix.duties().into_iter().unzip();
    let exemptions: Vec<Exemption<'_>> = matrix.waivers.iter().map(|waiver| waiver.exemption(now)).collect();
    let mut evaluation = Evaluation::default();
    let mut notes = Notes::default();
    let Terms { policy, parties, reviews, escalation, .. } = &**matrix;
    for (control, duty) in positions.into_iter().zip(&duties) {
        let Some(check) = check(control) else { continue };
        let declared = Declared { namespace, policy, settings, parties, reviews, escalation, duties: &duties, duty, exemptions: &exemptions, facts, now };
        let applies = check(&declared, &mut notes);
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
    evaluation.sort(matrix);
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

    fn sort(&mut self, matrix: &Matrix) {
        self.judged.sort_by(|a, b| {
            let rank = |j: &Judged| (std::cmp::Reverse(j.finding.outcome), std::cmp::Reverse(matrix.row(j.control).severity), j.control);
            rank(a).cmp(&rank(b))
        });
    }

    /// With what was found of whoever asks.
    #[must_use]
    pub fn and(mut self, found: Vec<Judged>, matrix: &Matrix) -> Self {
        if !found.is_empty() {
            self.judged.extend(found);
            self.sort(matrix);
        }
        self
    }

    /// The violations, without what merely cannot be seen.
    pub fn violations(&self) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(|j| j.finding.outcome == Outcome::Violated)
    }
}

impl Judged {
    /// What makes it the same violation as another.
    pub fn sameness(&self, matrix: &Matrix) -> Sameness {
        self.finding.sameness(matrix.row(self.control).id)
    }
}

/// What is told of a parent already: one gap is told once, and not again of each child.
#[derive(Debug, Default)]
pub struct Told {
    same: HashSet<Sameness>,
    /// Of the claims that the parent makes: control, outcome and volume. In its children they stand in other places.
    claims: Vec<(usize, Outcome, String)>,
}

impl Told {
    /// By the parent's own evaluation; Unknown counts too.
    pub fn by(parent: &Evaluation, matrix: &Matrix) -> Self {
        let claims = parent.judged.iter().filter_map(|j| Some((j.control, j.finding.outcome, claimed(&j.finding.path)?.to_owned())));
        Self { same: parent.judged.iter().map(|j| j.sameness(matrix)).collect(), claims: claims.collect() }
    }

    /// Whether that says what was found in `child`.
    pub fn says(&self, child: &Subject<'_>, judged: &Judged, matrix: &Matrix) -> bool {
        // As controllers name them: `<template>-<set>-<ordinal>`, and `<pod>-<volume>`.
        let made_for = |volume: &str| match child.kind {
            Kind::PersistentVolumeClaim => {
                child.meta.name.strip_prefix(volume).is_some_and(|rest| rest.starts_with('-')) || child.meta.name.strip_suffix(volume).is_some_and(|rest| rest.ends_with('-'))
            }
            _ => judged.finding.path.strip_prefix("spec.volumes[").and_then(|rest| rest.strip_prefix(volume)).is_some_and(|rest| rest.starts_with(']')),
        };
        self.same.contains(&judged.sameness(matrix))
            || self.claims.iter().any(|(control, outcome, volume)| (*control, *outcome) == (judged.control, judged.finding.outcome) && made_for(volume))
    }
}

/// The volume of a claim that an object makes, from where it stands: a StatefulSet's template, or a pod's ephemeral volume.
fn claimed(path: &str) -> Option<&str> {
    let (volume, rest) = path.strip_prefix("spec.volumeClaimTemplates[").or_else(|| path.strip_prefix("spec.volumes["))?.split_once(']')?;
    (path.starts_with("spec.volumeClaimTemplates[") || rest.starts_with(".ephemeral.")).then_some(volume)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ownership::Ownership;

    fn found<'j>(matrix: &Matrix, kind: Kind, json: &'j str) -> (Subject<'j>, Evaluation) {
        let subject = Subject::parse(kind, json).unwrap();
        let evaluation = evaluate(&subject, &Namespace::default(), matrix, &Facts::empty(), true, Door::Files(&|| Err("not asked")), "2026-04-01T00:00:00Z".parse().unwrap());
        (subject, evaluation)
    }

    #[test]
    fn what_a_set_or_a_pod_makes_of_a_claim_is_told_once() {
        let matrix = Matrix::resolve(&Ownership::new("default", serde_saphyr::from_str("{serviceModel: PaaS}").unwrap()));
        let set = r#"{"metadata": {"name": "ledger"}, "spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"storageClassName": "x"}}], "template": {"spec": {"containers": [{"name": "c"}]}}}}"#;
        let ephemeral = r#"{"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}], "volumes": [{"name": "tmp", "ephemeral": {"volumeClaimTemplate": {"spec": {"storageClassName": "x"}}}}]}}"#;
        let pod = |volume: &str| {
            format!(
                r#"{{"metadata": {{"name": "p"}}, "spec": {{"containers": [{{"name": "c"}}], "volumes": [{{"name": "{volume}", "persistentVolumeClaim": {{"claimName": "c"}}}}]}}}}"#
            )
        };
        let claim = |name: &str| format!(r#"{{"metadata": {{"name": "{name}"}}, "spec": {{"storageClassName": "x"}}}}"#);
        for (parent, child, json, control, told) in [
            ((Kind::StatefulSet, set), Kind::Pod, pod("data"), "encryption-declared", true),
            ((Kind::StatefulSet, set), Kind::Pod, pod("data"), "pvc-storage-encrypted", true),
            ((Kind::StatefulSet, set), Kind::Pod, pod("dat"), "encryption-declared", false),
            ((Kind::StatefulSet, set), Kind::Pod, pod("other"), "encryption-declared", false),
            ((Kind::StatefulSet, set), Kind::PersistentVolumeClaim, claim("data-ledger-0"), "pvc-storage-encrypted", true),
            ((Kind::StatefulSet, set), Kind::PersistentVolumeClaim, claim("database-ledger-0"), "pvc-storage-encrypted", false),
            ((Kind::Pod, ephemeral), Kind::PersistentVolumeClaim, claim("p-tmp"), "pvc-storage-encrypted", true),
            ((Kind::Pod, ephemeral), Kind::PersistentVolumeClaim, claim("p-other"), "pvc-storage-encrypted", false),
        ] {
            let parent = Told::by(&found(&matrix, parent.0, parent.1).1, &matrix);
            let (subject, evaluation) = found(&matrix, child, &json);
            let judged: Vec<&Judged> = evaluation.judged.iter().filter(|j| CATALOG[j.control].id == control).collect();
            assert!(!judged.is_empty(), "{control} says nothing of {json}");
            assert!(judged.iter().all(|j| parent.says(&subject, j, &matrix) == told), "{control} {json}: {judged:?}");
        }
    }
}
