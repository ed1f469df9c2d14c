//! What a declaration newly attests: evidence, completed duties, and whom to call. Each party acts only for itself, so what is said in the
//! name of one takes somebody who acts for it; what is taken away, or counts for less, anybody may write.

use super::{Weaker, one, place};
use crate::{
    api::ownership::{ControlEntry, Evidence, OwnershipSpec, Review, Reviews},
    policy::matrix::Matrix,
};

/// Whether somebody is named who acts for a party.
pub type NamesSomebody<'a> = &'a dyn Fn(&str) -> bool;

/// What one Ownership attests and the other did not. Without `before` nothing stands that could turn green, and only the named party is asked.
pub(super) fn ownership(old: &OwnershipSpec, new: &OwnershipSpec, before: Option<&Matrix>, acts: NamesSomebody<'_>) -> Vec<Weaker> {
    let mut found = Vec::new();
    let mut tell = |path: String, what: String, by: Option<&str>, control: &str| {
        let accountable = |matrix: &Matrix| matrix.find(control).and_then(|i| matrix.entries[i].accountable.clone());
        match by.filter(|party| acts(party)) {
            Some(party) => found.push(one(path, what, [party.to_owned()])),
            None => found.extend(before.map(|matrix| one(path, what, accountable(matrix)))),
        }
    };
    for (id, evidence) in more_evidence(&old.controls, &new.controls) {
        tell(place(new, id, "evidence"), format!("attests {id}"), evidence.by.as_deref(), id);
    }
    let none = Reviews::default();
    let (was, is) = (old.reviews.as_ref().unwrap_or(&none), new.reviews.as_ref().unwrap_or(&none));
    for ((field, control, was), (_, _, is)) in duties(was).into_iter().zip(duties(is)) {
        if attests_more(was, is, field == "lastAudit") {
            tell(format!("spec.reviews.{field}"), format!("attests {control}"), is.and_then(|r| r.by.as_deref()), control);
        }
    }
    let levels = |spec: &OwnershipSpec| spec.escalation.as_ref().map(|e| e.levels.clone()).unwrap_or_default();
    let known = levels(old);
    for level in levels(new).iter().filter(|level| !known.contains(level)) {
        tell("spec.escalation.levels".to_owned(), "says who is to be called".to_owned(), Some(&level.party), ESCALATION);
    }
    found
}

/// The same of a Baseline, whose mssp answers for what no party says itself.
pub(super) fn baseline(old: &[ControlEntry], new: &[ControlEntry], mssp: Option<&Option<String>>, acts: NamesSomebody<'_>) -> Vec<Weaker> {
    let told = |(id, evidence): (&str, &Evidence)| {
        let by = evidence.by.clone().filter(|party| acts(party)).map(Some);
        Some(one("spec.controls", format!("attests {id}"), by.or_else(|| mssp.cloned())?))
    };
    more_evidence(old, new).filter_map(told).collect()
}

/// The evidence that is there and was not, or that counted for less long, with its control.
fn more_evidence<'e>(old: &'e [ControlEntry], new: &'e [ControlEntry]) -> impl Iterator<Item = (&'e str, &'e Evidence)> {
    let known = |id: &str, evidence: &Evidence| old.iter().filter(|e| e.control == id).flat_map(|e| &e.evidence).any(|was| counts_as_long(was, evidence));
    new.iter().flat_map(|e| e.evidence.iter().map(|evidence| (&*e.control, evidence))).filter(move |(id, evidence)| !known(id, evidence))
}

/// Whether it is the same evidence, and ends no later.
pub(super) fn counts_as_long(was: &Evidence, is: &Evidence) -> bool {
    let Evidence { kind, reference, by, valid_until } = is;
    let ends = |of: &Option<_>| of.as_ref().map(|t: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time| t.0);
    let no_later = match (ends(&was.valid_until), ends(valid_until)) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(was), Some(is)) => is <= was,
    };
    (kind, reference, by) == (&was.kind, &was.reference, &was.by) && no_later
}

const ESCALATION: &str = "escalation-contact-declared";

/// Each duty with its field and the control that reads it.
pub(super) const fn duties(reviews: &Reviews) -> [(&'static str, &'static str, Option<&Review>); 9] {
    let Reviews { matrix, last_audit, risk_assessment, access_review, escalation_drill, penetration_test, restore_test, training, mfa } = reviews;
    [
        ("matrix", "responsibility-review-current", matrix.as_ref()),
        ("lastAudit", "responsibility-review-current", last_audit.as_ref()),
        ("riskAssessment", "risk-assessment-current", risk_assessment.as_ref()),
        ("accessReview", "access-review-current", access_review.as_ref()),
        ("escalationDrill", "escalation-drill-current", escalation_drill.as_ref()),
        ("penetrationTest", "penetration-test-current", penetration_test.as_ref()),
        ("restoreTest", "backup-current", restore_test.as_ref()),
        ("training", "security-training-current", training.as_ref()),
        ("mfa", "mfa-enforced", mfa.as_ref()),
    ]
}

/// Whether a duty says more than before that could satisfy. An audit makes a review due, so less of it is more.
fn attests_more(was: Option<&Review>, is: Option<&Review>, audit: bool) -> bool {
    let none = Review::default();
    let (was, is) = (was.unwrap_or(&none), is.unwrap_or(&none));
    let Review { last_completed, period, by, evidence, findings } = is;
    let done = |r: &Option<_>| r.as_ref().map(|t: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time| t.0);
    let (before, now) = (done(&was.last_completed), done(last_completed));
    if now.is_none() && !audit {
        return false;
    }
    let days = |period: &Option<String>| period.as_ref().and_then(|p| p.strip_prefix('P')?.strip_suffix('D')?.parse::<u32>().ok());
    let as_often = *period == was.period || days(&was.period).zip(days(period)).is_some_and(|(was, is)| is <= was);
    let as_old = if audit { now >= before } else { now <= before };
    let same_hand = (by, evidence) == (&was.by, &was.evidence) || (audit && before.is_none());
    !(as_often && as_old && same_hand && was.findings.iter().all(|finding| findings.contains(finding)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ownership::Ownership;

    fn of(spec: &str) -> Ownership {
        Ownership::new("default", serde_saphyr::from_str(&format!("{{serviceModel: PaaS, parties: {{customer: acme, provider: azure}}, {spec}}}")).unwrap())
    }

    #[test]
    fn what_is_attested_is_for_the_party_to_say_in_whose_name_it_is() {
        let evidence = |rest: &str| format!("controls: [{{control: mfa-enforced, evidence: [{{type: contract, ref: c-1, {rest}}}]}}]");
        let review = |rest: &str| format!("reviews: {{penetrationTest: {{{rest}}}}}");
        let (done, later) = ("lastCompleted: '2026-01-01T00:00:00Z'", "lastCompleted: '2026-02-01T00:00:00Z'");
        let found = "findings: [{title: a, severity: high, dueDate: '2026-03-01T00:00:00Z'}]";
        let levels = |levels: &str| format!("escalation: {{levels: [{levels}]}}");
        for (old, new, path, answers) in [
            (String::new(), evidence("by: shield"), "spec.controls[0].evidence", "shield"),
            (String::new(), evidence("by: nobody"), "spec.controls[0].evidence", "acme"),
            (String::new(), evidence(""), "spec.controls[0].evidence", "acme"),
            (evidence("by: acme"), evidence("by: shield"), "spec.controls[0].evidence", "shield"),
            (evidence("validUntil: '2026-01-01T00:00:00Z'"), evidence("validUntil: '2027-01-01T00:00:00Z'"), "spec.controls[0].evidence", "acme"),
            (evidence("validUntil: '2026-01-01T00:00:00Z'"), evidence(""), "spec.controls[0].evidence", "acme"),
            (evidence(""), evidence("validUntil: '2027-01-01T00:00:00Z'"), "", ""),
            (evidence("by: shield"), evidence("by: shield"), "", ""),
            (evidence("by: shield"), String::new(), "", ""),
            (String::new(), review(&format!("by: shield, {done}")), "spec.reviews.penetrationTest", "shield"),
            (String::new(), review(done), "spec.reviews.penetrationTest", "acme"),
            (String::new(), review("period: P1D"), "", ""),
            (review(done), review(later), "spec.reviews.penetrationTest", "acme"),
            (review(later), review(done), "", ""),
            (review(done), String::new(), "", ""),
            (review(&format!("{done}, period: P10D")), review(&format!("{done}, period: P20D")), "spec.reviews.penetrationTest", "acme"),
            (review(&format!("{done}, period: P20D")), review(&format!("{done}, period: P9D")), "", ""),
            (review(done), review(&format!("{done}, evidence: x")), "spec.reviews.penetrationTest", "acme"),
            (review(&format!("{done}, {found}")), review(done), "spec.reviews.penetrationTest", "acme"),
            (review(done), review(&format!("{done}, {found}")), "", ""),
            (review(&format!("{done}, {found}")), review(&format!("{done}, {}", found.replace("a,", "b,"))), "spec.reviews.penetrationTest", "acme"),
            (String::new(), format!("reviews: {{lastAudit: {{by: shield, {done}}}}}"), "", ""),
            (format!("reviews: {{lastAudit: {{{later}}}}}"), format!("reviews: {{lastAudit: {{{done}}}}}"), "spec.reviews.lastAudit", "acme"),
            (format!("reviews: {{lastAudit: {{{later}}}}}"), String::new(), "spec.reviews.lastAudit", "acme"),
            (String::new(), levels("{party: shield, contact: soc@shield.example}"), "spec.escalation.levels", "shield"),
            (levels("{party: shield, contact: soc@shield.example}"), levels(""), "", ""),
        ] {
            let (was, is) = (of(&old), of(&new));
            let found = ownership(&was.spec, &is.spec, Some(&Matrix::resolve(&was)), &|party| ["acme", "shield"].contains(&party));
            let said: Vec<(&str, Vec<&str>)> = found.iter().map(|w| (&*w.path, w.answers.iter().map(|a| &**a).collect())).collect();
            let expected: Vec<(&str, Vec<&str>)> = if path.is_empty() { vec![] } else { vec![(path, vec![answers])] };
            assert_eq!(said, expected, "{old} → {new}");
        }
        // Nothing stands yet: nobody is asked but the party in whose name it is said.
        let first = |by: &str| ownership(&OwnershipSpec::default(), &of(&evidence(by)).spec, None, &|party| party == "shield").len();
        assert_eq!((first("by: shield"), first("by: acme"), first("")), (1, 0, 0));
    }

    #[test]
    fn each_duty_is_read_by_a_control_of_the_catalog() {
        for (field, control, _) in duties(&Reviews::default()) {
            assert!(crate::controls::find(control).is_some(), "{field}");
        }
        assert!(crate::controls::find(ESCALATION).is_some());
    }
}
