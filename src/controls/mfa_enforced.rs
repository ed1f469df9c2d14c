//! mfa-enforced: people who change the cluster prove who they are by more than a password.
//! The cluster does not see how somebody signed in, so the identity provider's policy is attested; without that it is Unknown, never assumed.
use super::{
    Applies, Check, Control, Declared, Notes,
    declared::{Duties, Proof, attested, proof, review},
};
use crate::api::ownership::{Enforcement, OwnerClass, Severity};

pub const CONTROL: Control = Control {
    id: "mfa-enforced",
    title: "Multi-factor authentication for people who change the cluster",
    group: "identity",
    severity: Severity::High,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::Customer, OwnerClass::SharedDependent, OwnerClass::SharedDependent],
    references: &[("ISO 27001:2022", &["A.8.5"]), ("SOC 2", &["CC6.1"]), ("CCM 4.0.12", &["IAM-14"]), ("NIST 800-53r5", &["IA-2(1)", "IA-2(2)"])],
    why: "A stolen password alone must not be enough to change what runs.",
    checked: "Somebody attested the identity provider's policy: spec.reviews.mfa of the Ownership was completed within its period, P365D unless it says otherwise, and names its \
              evidence; or the entry of this control holds evidence whose validUntil lies ahead. How a single request was signed in is not looked at.",
    unknown: "Nobody attested it, or without evidence: a cluster sees user names, not how they were proven. Record spec.reviews.mfa with evidence.",
    fix: "have the identity provider's policy checked, and record spec.reviews.mfa with lastCompleted and evidence",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Namespace(check),
};

const DUTY: Duties = Duties { field: "mfa", what: "check of the multi-factor policy", days: 365 };

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    let Some(mfa) = &cx.reviews.mfa else { return attested(cx, out) };
    if matches!(proof(cx.duty, cx.now, out), Proof::Counts) {
        return Applies::Yes;
    }
    if review(cx, &DUTY, Some(mfa), out).is_some() && mfa.evidence.as_deref().is_none_or(|e| e.trim().is_empty()) {
        out.unknown("spec.reviews.mfa", "the check of the multi-factor policy names no evidence", "record where its report lies as spec.reviews.mfa.evidence");
    }
    Applies::Yes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controls::declared::testing::stand, model::facts::Facts};

    #[test]
    fn it_is_attested_or_unknown() {
        let entry = |until: &str| format!("controls: [{{control: mfa-enforced, evidence: [{{type: policy, ref: x, validUntil: '{until}'}}]}}]");
        let (current, old) = (entry("2026-05-01T00:00:00Z"), entry("2026-04-01T00:00:00Z"));
        for (spec, said) in [
            (String::new(), vec!["Unknown spec.controls[mfa-enforced].evidence: no evidence is recorded"]),
            (current.clone(), vec![]),
            (old.clone(), vec!["Violated spec.controls[mfa-enforced].evidence: evidence expired 2026-04-01"]),
            ("reviews: {mfa: {lastCompleted: '2026-03-01T00:00:00Z', evidence: 'https://x'}}".to_owned(), vec![]),
            (
                "reviews: {mfa: {lastCompleted: '2026-03-01T00:00:00Z', evidence: ' '}}".to_owned(),
                vec!["Unknown spec.reviews.mfa: the check of the multi-factor policy names no evidence"],
            ),
            (
                "reviews: {mfa: {lastCompleted: '2025-03-01T00:00:00Z', evidence: 'https://x'}}".to_owned(),
                vec!["Violated spec.reviews.mfa.lastCompleted: the check of the multi-factor policy was due 2026-03-01"],
            ),
            ("reviews: {mfa: {evidence: 'https://x'}}".to_owned(), vec!["Unknown spec.reviews.mfa: no check of the multi-factor policy is recorded"]),
            (format!("reviews: {{mfa: {{}}}}, {current}"), vec![]),
        ] {
            assert_eq!(stand(&CONTROL, &spec, &Facts::empty()), said, "{spec}");
        }
    }
}
