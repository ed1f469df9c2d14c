//! responsibility-review-current: every party has gone through the responsibility matrix lately, and after the last audit at any rate.
//! What the audit found wrong must be closed by its date.
use super::{
    Applies, Check, Control, Declared, Notes,
    declared::{Duties, day, review},
};
use crate::api::ownership::{Enforcement, OwnerClass, Severity};

pub const CONTROL: Control = Control {
    id: "responsibility-review-current",
    title: "Responsibility matrix reviewed on schedule and after each audit",
    group: "governance",
    severity: Severity::Medium,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::SharedIndependent, OwnerClass::SharedIndependent, OwnerClass::SharedIndependent],
    references: &[("ISO 27001:2022", &["A.5.22", "A.5.36"]), ("SOC 2", &["CC4.1"]), ("CCM 4.0.12", &["STA-05", "A&A-06"]), ("NIST 800-53r5", &["CA-2", "CA-7"])],
    why: "Services move, contracts change, and a duty that two parties each take for the other's is done by neither.",
    checked: "spec.reviews.matrix.lastCompleted of the Ownership is not longer ago than its period, P183D unless it says otherwise, and not before \
              spec.reviews.lastAudit.lastCompleted; no finding of the review or of the audit is open past its dueDate.",
    unknown: "No date is recorded, it lies ahead, or the period is no number of days; a finding is open without a due date. Record spec.reviews.matrix.",
    fix: "review the matrix with every party, and record spec.reviews.matrix.lastCompleted in the Ownership",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Namespace(check),
};

const DUTY: Duties = Duties { field: "matrix", what: "review of the responsibility matrix", days: 183 };
const AUDIT: Duties = Duties { field: "lastAudit", what: "audit", days: 366 };

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    let reviewed = review(cx, &DUTY, cx.reviews.matrix.as_ref(), out);
    // No audit is asked for; of one that was recorded the findings count, and its date.
    if let Some(audit) = &cx.reviews.last_audit {
        let audited = review(cx, &AUDIT, Some(audit), out);
        if let (Some(reviewed), Some(audited)) = (reviewed, audited)
            && reviewed < audited
        {
            out.violated(
                "spec.reviews.matrix.lastCompleted",
                format!("the responsibility matrix was not reviewed after the audit of {}", day(audited)),
                "review the matrix with every party, and record spec.reviews.matrix.lastCompleted",
            );
        }
    }
    Applies::Yes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controls::declared::testing::{recurs, stand},
        model::facts::Facts,
    };

    #[test]
    fn it_recurs() {
        recurs(&CONTROL, &DUTY);
    }

    #[test]
    fn an_audit_asks_for_a_review() {
        let matrix = "matrix: {lastCompleted: '2026-03-01T00:00:00Z'}";
        for (audit, said) in [
            ("", vec![]),
            (", lastAudit: {lastCompleted: '2026-02-01T00:00:00Z'}", vec![]),
            (", lastAudit: {lastCompleted: '2026-03-01T00:00:00Z'}", vec![]),
            (
                ", lastAudit: {lastCompleted: '2026-03-01T00:00:01Z'}",
                vec!["Violated spec.reviews.matrix.lastCompleted: the responsibility matrix was not reviewed after the audit of 2026-03-01"],
            ),
            (", lastAudit: {}", vec!["Unknown spec.reviews.lastAudit: no audit is recorded"]),
            (
                ", lastAudit: {lastCompleted: '2026-02-01T00:00:00Z', findings: [{title: x, severity: high, dueDate: '2026-03-31T00:00:00Z'}]}",
                vec!["Violated spec.reviews.lastAudit.findings[0]: a high finding of the audit was due 2026-03-31"],
            ),
            (", lastAudit: {lastCompleted: '2024-02-01T00:00:00Z'}", vec!["Violated spec.reviews.lastAudit.lastCompleted: the audit was due 2025-02-01"]),
        ] {
            assert_eq!(stand(&CONTROL, &format!("reviews: {{{matrix}{audit}}}"), &Facts::empty()), said, "{audit}");
        }
    }
}
