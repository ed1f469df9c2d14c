//! risk-assessment-current: the risks of what runs in the namespace were assessed within the last half year.
//! Nothing in a cluster shows it, so the Ownership says when; the day on which it falls due turns the verdict.
use super::{
    Applies, Check, Control, Declared, Notes,
    declared::{Duties, review},
};
use crate::api::ownership::{Enforcement, OwnerClass, Severity};

pub const CONTROL: Control = Control {
    id: "risk-assessment-current",
    title: "Risk assessment done at least twice a year",
    group: "governance",
    severity: Severity::Medium,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Customer],
    references: &[("ISO 27001:2022", &["8.2", "6.1.2"]), ("SOC 2", &["CC3.2"]), ("CCM 4.0.12", &["GRC-02"]), ("NIST 800-53r5", &["RA-3"])],
    why: "Risks change with every release and every news of a hole; an old assessment protects against old risks.",
    checked: "spec.reviews.riskAssessment.lastCompleted of the Ownership is not longer ago than its period, P183D unless it says otherwise, and none of its findings is open \
              past its dueDate.",
    unknown: "No date is recorded, it lies ahead, or the period is no number of days; a finding is open without a due date. Record spec.reviews.riskAssessment.",
    fix: "do it, and record spec.reviews.riskAssessment.lastCompleted in the Ownership",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Namespace(check),
};

const DUTY: Duties = Duties { field: "riskAssessment", what: "risk assessment", days: 183 };

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    review(cx, &DUTY, cx.reviews.risk_assessment.as_ref(), out);
    Applies::Yes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::declared::testing::recurs;

    #[test]
    fn it_recurs() {
        recurs(&CONTROL, &DUTY);
    }
}
