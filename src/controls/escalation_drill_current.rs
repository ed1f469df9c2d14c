//! escalation-drill-current: the way of an alarm was tried, from the first call to the last.
//! What the drill found wrong must be closed by its date, or the drill has changed nothing.
use super::{
    Applies, Check, Control, Declared, Notes,
    declared::{Duties, review},
};
use crate::api::ownership::{Enforcement, OwnerClass, Severity};

pub const CONTROL: Control = Control {
    id: "escalation-drill-current",
    title: "Escalation or incident drill run within the agreed period",
    group: "governance",
    severity: Severity::Medium,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::Customer, OwnerClass::SharedIndependent, OwnerClass::SharedIndependent],
    references: &[("ISO 27001:2022", &["A.5.24", "A.5.27"]), ("SOC 2", &["CC7.4", "CC7.5"]), ("CCM 4.0.12", &["SEF-04"]), ("NIST 800-53r5", &["IR-3"])],
    why: "A phone number that nobody has tried is a guess; the drill finds that out before the incident does.",
    checked: "spec.reviews.escalationDrill.lastCompleted of the Ownership is not longer ago than its period, P365D unless it says otherwise, and none of its findings is open \
              past its dueDate.",
    unknown: "No date is recorded, it lies ahead, or the period is no number of days; a finding is open without a due date. Record spec.reviews.escalationDrill.",
    fix: "do it, and record spec.reviews.escalationDrill.lastCompleted in the Ownership",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Namespace(check),
};

const DUTY: Duties = Duties { field: "escalationDrill", what: "escalation drill", days: 365 };

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    review(cx, &DUTY, cx.reviews.escalation_drill.as_ref(), out);
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
