//! security-training-current: the people who work on the namespace were trained within the agreed period.
//! The Ownership says when for all of them together.
use super::{
    Applies, Check, Control, Declared, Notes,
    declared::{Duties, review},
};
use crate::api::ownership::{Enforcement, OwnerClass, Severity};

pub const CONTROL: Control = Control {
    id: "security-training-current",
    title: "People who work on the namespace have current security training",
    group: "governance",
    severity: Severity::Low,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::SharedIndependent, OwnerClass::SharedIndependent, OwnerClass::SharedIndependent],
    references: &[("ISO 27001:2022", &["A.6.3"]), ("SOC 2", &["CC1.4", "CC2.2"]), ("CCM 4.0.12", &["HRS-11"]), ("NIST 800-53r5", &["AT-2", "AT-3"])],
    why: "Most break-ins begin with somebody who was asked nicely.",
    checked: "spec.reviews.training.lastCompleted of the Ownership is not longer ago than its period, P365D unless it says otherwise, and none of its findings is open past its \
              dueDate.",
    unknown: "No date is recorded, it lies ahead, or the period is no number of days; a finding is open without a due date. Record spec.reviews.training.",
    fix: "do it, and record spec.reviews.training.lastCompleted in the Ownership",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Namespace(check),
};

const DUTY: Duties = Duties { field: "training", what: "security training", days: 365 };

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    review(cx, &DUTY, cx.reviews.training.as_ref(), out);
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
