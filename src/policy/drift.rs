//! Verdicts over what exists, as a report for one namespace: how each control stands and what does not hold.
//! The same `evaluate` as admission; a child reports only what its parent does not have already.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{
    matrix::{Entry, Matrix},
    objects::{Record, Room},
    verdict::{Door, Told, evaluate, evaluate_namespace},
    waiver::{self, Permit, waived},
};
use crate::{
    api::ownership::{OwnerClass, Verdict},
    controls::{CATALOG, Due},
    model::{
        Outcome,
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
    /// The Waiver by which it passes.
    pub waived: Option<String>,
    /// It stood before it was forbidden.
    pub grandfathered: bool,
}

impl Drift {
    pub(super) fn new(matrix: &Matrix, control: usize, outcome: Outcome, object: String, message: &str, grandfathered: bool) -> Self {
        let rank = (u8::from(outcome == Outcome::Unknown), u8::MAX - matrix.row(control).severity as u8);
        Self { rank, control, object, message: shown(message, 250), outcome, waived: None, grandfathered }
    }

    /// The same, passing by a Waiver: the last of the list.
    fn waived_by(self, waiver: &Permit) -> Self {
        Self { rank: (2, self.rank.1), waived: Some(waiver.name.clone()), ..self }
    }

    /// As a verdict has it.
    pub fn verdict(&self) -> Verdict {
        match (&self.waived, self.outcome) {
            (Some(_), _) => Verdict::Waived,
            (None, Outcome::Violated) => Verdict::Violated,
            (None, Outcome::Unknown) => Verdict::Unknown,
        }
    }
}

/// How one namespace stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// One a control, in the catalog's order.
    pub verdicts: Vec<Verdict>,
    /// Sorted, so that the same state gives the same list.
    pub drift: Vec<Drift>,
    /// What of the declaration has lapsed or will, soonest first.
    pub dates: Vec<Due>,
    /// When time alone makes this report another one; nobody has to look before.
    pub turns: Option<Timestamp>,
}

/// Judges everything in one namespace.
pub fn report(namespace: &Namespace, matrix: &Matrix, room: &Room, facts: &Facts, now: Timestamp) -> Report {
    let mut applied = vec![false; matrix.entries.len()];
    let mut drift = Vec::new();
    let declared = evaluate_namespace(namespace, matrix, facts, now);
    for control in declared.applied {
        applied[control] = true;
    }
    for judged in declared.judged {
        let message = format!("{}: {}", judged.finding.path, judged.finding.message);
        drift.push(Drift::new(matrix, judged.control, judged.finding.outcome, "ownership/default".to_owned(), &message, false));
    }
    for (i, asked) in matrix.custom.iter().enumerate() {
        let control = CATALOG.len() + i;
        if let Some(why) = asked.control.fault().filter(|_| matrix.entries[control].judged()) {
            drift.push(Drift::new(matrix, control, Outcome::Unknown, format!("control/{}", asked.control.id), why, false));
        }
    }
    let grace_ends = matrix.existing.until.as_ref().map(|t| t.0).filter(|until| *until > now);
    let mut turns = [declared.turns, grace_ends, waiver::turns(&matrix.waivers, now)].into_iter().flatten().min();
    // A parent is judged once, however many children it has.
    let mut parents: HashMap<&str, Told> = HashMap::new();
    let nothing = Told::default();
    for (_, record) in room.iter() {
        let subject = match record.subject() {
            Ok(subject) => subject,
            Err(error) => {
                drift.extend(unreadable(record, matrix, &error));
                continue;
            }
        };
        let parent = room.parent_of(record);
        let told = parent.map_or(&nothing, |(uid, parent)| parents.entry(uid).or_insert_with(|| told_of(parent, namespace, matrix, facts, room, now)));
        let top = room.root(record);
        let created = room.stands_since(top, &matrix.controllers);
        let evaluation = evaluate(&subject, namespace, matrix, facts, parent.is_some(), Door::Cluster(&|| record.whole()), now);
        turns = [turns, evaluation.turns].into_iter().flatten().min();
        for control in evaluation.applied {
            applied[control] = true;
        }
        for judged in evaluation.judged {
            if told.says(&subject, &judged, matrix) {
                continue;
            }
            let message = format!("{}: {}", subject.full_path(&judged.finding.path), judged.finding.message);
            let grandfathered = judged.finding.outcome == Outcome::Violated && matrix.grandfathers(judged.control, created, judged.finding.since, now);
            let found = Drift::new(matrix, judged.control, judged.finding.outcome, subject.display_name(), &message, grandfathered);
            let waiver = || waived(&matrix.waivers, judged.control, &subject, || top.subject().ok(), now);
            drift.push(match (judged.finding.outcome == Outcome::Violated).then(waiver).flatten() {
                Some(waiver) => found.waived_by(waiver),
                None => found,
            });
        }
    }
    drift.extend(facts.unseen.iter().filter(|(kind, _)| kind.namespaced()).flat_map(|(kind, why)| asked_of(*kind, matrix, kind.plural(), &format!("cannot be read: {why}"))));
    drift.sort_unstable();
    // The verdicts stand in order, the worst last.
    let mut worst: Vec<Option<Verdict>> = vec![None; matrix.entries.len()];
    for found in &drift {
        worst[found.control] = worst[found.control].max(Some(found.verdict()));
    }
    let by_baseline = (0..).map(|control| matrix.judged_by.contains_key(&control));
    let verdict = |(((entry, worst), applied), by_baseline): (((&Entry, Option<Verdict>), bool), bool)| match (entry.owner, worst) {
        (OwnerClass::NotApplicable, _) => Verdict::NotApplicable,
        (_, Some(worst)) => worst,
        (OwnerClass::Provider, None) => Verdict::Inherited,
        (_, None) if by_baseline => Verdict::Inherited,
        (_, None) if applied => Verdict::Satisfied,
        (_, None) => Verdict::NotApplicable,
    };
    let verdicts = matrix.entries.iter().zip(worst).zip(applied).zip(by_baseline).map(verdict).collect();
    Report { verdicts, drift, dates: declared.dates, turns }
}

/// An object that cannot be read may violate anything that is asked of its kind: Unknown, for each.
pub(super) fn unreadable(record: &Record, matrix: &Matrix, error: &serde_json::Error) -> Vec<Drift> {
    asked_of(record.kind, matrix, &record.name(), &format!("cannot be read: {error}"))
}

/// Unknown, for each control that is asked of `kind`.
pub(super) fn asked_of(kind: Kind, matrix: &Matrix, object: &str, why: &str) -> Vec<Drift> {
    let of_catalog = CATALOG.iter().map(|row| row.kinds.contains(&kind));
    let about = of_catalog.chain(matrix.custom.iter().map(|asked| asked.control.is_about(kind)));
    let asked = about.zip(&matrix.entries).enumerate().filter(|(_, (about, entry))| *about && entry.judged());
    asked.map(|(control, _)| Drift::new(matrix, control, Outcome::Unknown, object.to_owned(), why, false)).collect()
}

/// What is told of `record`, and not again of its children.
fn told_of(record: &Record, namespace: &Namespace, matrix: &Matrix, facts: &Facts, room: &Room, now: Timestamp) -> Told {
    let owned = room.parent_of(record).is_some();
    record.subject().map(|subject| Told::by(&evaluate(&subject, namespace, matrix, facts, owned, Door::Cluster(&|| record.whole()), now), matrix)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::ownership::{Ownership, OwnershipStatus},
        controls,
        policy::{
            objects::Objects,
            status::{Observed, plan},
        },
    };

    fn at(s: &str) -> Timestamp {
        s.parse().unwrap()
    }

    fn matrix(spec: &str) -> Matrix {
        Matrix::resolve(&Ownership::new("default", serde_saphyr::from_str(&format!("{{serviceModel: PaaS, {spec}}}")).unwrap()))
    }

    fn shop() -> Namespace {
        Namespace { name: "shop".into(), ..Namespace::default() }
    }

    fn verdict(report: &Report, control: &str) -> Verdict {
        report.verdicts[controls::find(control).unwrap()]
    }

    #[test]
    fn time_alone_turns_a_verdict_and_it_is_known_when() {
        let matrix = matrix(
            "existingWorkloads: {until: '2026-06-01T00:00:00Z'}, reviews: {riskAssessment: {lastCompleted: '2026-01-01T00:00:00Z', period: P90D}, accessReview: {lastCompleted: '2026-01-01T00:00:00Z', period: P95D}}, \
             controls: [{control: etcd-encryption-attested, owner: Provider, evidence: [{type: a, ref: b, validUntil: '2026-04-03T00:00:00Z'}]}]",
        );
        let report = |now| report(&shop(), &matrix, &Room::default(), &Facts::empty(), now);
        let mut now = at("2026-01-15T00:00:00Z");
        let mut steps = Vec::new();
        while let Some(then) = report(now).turns {
            assert!(then > now, "it goes on");
            let before = then.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap();
            if before >= now {
                assert_eq!(report(before), report(now), "nothing happens before {then}");
            }
            now = then;
            let (risk, access, etcd) =
                (verdict(&report(now), "risk-assessment-current"), verdict(&report(now), "access-review-current"), verdict(&report(now), "etcd-encryption-attested"));
            steps.push(format!("{} {risk} {access} {etcd}", then.strftime("%F")));
        }
        assert_eq!(
            steps,
            [
                "2026-02-02 Satisfied Satisfied Inherited",
                "2026-03-02 Satisfied Satisfied Inherited",
                "2026-03-07 Satisfied Satisfied Inherited",
                "2026-04-01 Violated Satisfied Inherited",
                "2026-04-03 Violated Satisfied Violated",
                "2026-04-06 Violated Violated Violated",
                "2026-06-01 Violated Violated Violated",
            ]
        );
    }

    #[test]
    fn an_image_that_grows_too_old_tells_when() {
        let matrix = matrix("policy: {patch: {maxImageAge: P90D}}");
        let mut objects = Objects::default();
        let template = serde_json::json!({"metadata": {"annotations": {"org.opencontainers.image.created": "2026-01-01T00:00:00Z"}}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}});
        objects.put(Kind::Deployment, serde_json::json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u1"}, "spec": {"template": template}}));
        let room = objects.room("shop").unwrap();
        let report = |now| report(&shop(), &matrix, room, &Facts::empty(), now);
        assert_eq!(report(at("2026-01-02T00:00:00Z")).turns, Some(at("2026-04-01T00:00:00Z")));
        let control = "image-age-within-patch-policy";
        assert_eq!((verdict(&report(at("2026-03-31T23:59:59Z")), control), verdict(&report(at("2026-04-01T00:00:00Z")), control)), (Verdict::Satisfied, Verdict::Violated));
        assert_eq!(report(at("2026-04-01T00:00:00Z")).turns, None);
    }

    #[test]
    fn evidence_that_lapsed_is_drift_of_whoever_owes_the_control() {
        for (owner, until, said) in [
            ("Provider", "2026-04-01T00:00:00Z", Verdict::Violated),
            ("ThirdParty", "2026-04-01T00:00:00Z", Verdict::Violated),
            ("Provider", "2026-04-02T00:00:00Z", Verdict::Inherited),
            ("Customer", "2026-04-01T00:00:00Z", Verdict::NotApplicable),
            ("NotApplicable", "2026-04-01T00:00:00Z", Verdict::NotApplicable),
        ] {
            let matrix = matrix(&format!(
                "parties: {{customer: acme, provider: azure, thirdParties: [backupco]}}, controls: [{{control: pvc-storage-encrypted, owner: {owner}, evidence: [{{type: a, ref: b, validUntil: '{until}'}}]}}]"
            ));
            let report = report(&shop(), &matrix, &Room::default(), &Facts::empty(), at("2026-04-01T00:00:00Z"));
            assert_eq!(verdict(&report, "pvc-storage-encrypted"), said, "{owner} {until}");
        }
    }

    #[test]
    fn what_falls_due_is_told_in_time_and_once() {
        let matrix = matrix("reviews: {riskAssessment: {lastCompleted: '2026-01-01T00:00:00Z', period: P90D}, training: {lastCompleted: '2026-01-01T00:00:00Z', period: P130D}}");
        let observed = Observed {
            generation: 1,
            enrolled: true,
            broken: None,
            critical: None,
            fault: None,
            proof: &crate::policy::enforcing::Proof::Held,
            ending: None,
            note: None,
            written: None,
        };
        let mut status: Option<OwnershipStatus> = None;
        for (now, said, written) in [
            ("2026-02-01T00:00:00Z", "False NothingDue nothing that was recorded lapses soon", true),
            ("2026-03-01T23:59:59Z", "False NothingDue nothing that was recorded lapses soon", false),
            ("2026-03-02T00:00:00Z", "True DueSoon 2026-04-01 risk assessment", true),
            ("2026-03-20T00:00:00Z", "True DueSoon 2026-04-01 risk assessment", false),
            ("2026-04-01T00:00:00Z", "True Overdue 2026-04-01 risk assessment", true),
            ("2026-04-10T00:00:00Z", "True Overdue 2026-04-01 risk assessment", false),
            ("2026-05-01T00:00:00Z", "True Overdue 2026-04-01 risk assessment; 2026-05-11 security training (due soon)", true),
            ("2026-05-11T00:00:00Z", "True Overdue 2026-04-01 risk assessment; 2026-05-11 security training", true),
        ] {
            let now = at(now);
            let new = plan(status.as_ref(), &matrix, &report(&shop(), &matrix, &Room::default(), &Facts::empty(), now), &observed, now);
            assert_eq!(new.is_some(), written, "{now}");
            status = new.or(status);
            let due = status.as_ref().unwrap().conditions.iter().find(|c| c.type_ == "ReviewDue").unwrap();
            assert_eq!(format!("{} {} {}", due.status, due.reason, due.message), said, "{now}");
        }
    }

    #[test]
    fn a_control_about_a_namespace_is_never_refused() {
        let matrix = matrix("controls: [{control: access-review-current, enforcement: Deny}]");
        assert_eq!(matrix.entries[controls::find("access-review-current").unwrap()].enforcement, crate::api::ownership::Enforcement::Audit);
    }
}
