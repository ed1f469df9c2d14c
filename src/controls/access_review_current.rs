//! access-review-current: somebody has gone through who may do what in the namespace within the last quarter.
//! The Ownership says when; that the list was read well cannot be seen.
use super::{
    Applies, Check, Control, Declared, Notes,
    declared::{Duties, review},
};
use crate::api::ownership::{Enforcement, OwnerClass, Severity};

pub const CONTROL: Control = Control {
    id: "access-review-current",
    title: "Access review done on schedule",
    group: "identity",
    severity: Severity::Medium,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Customer],
    references: &[("ISO 27001:2022", &["A.5.18"]), ("SOC 2", &["CC6.2", "CC6.3"]), ("CCM 4.0.12", &["IAM-08"]), ("NIST 800-53r5", &["AC-6(7)"])],
    why: "Rights are given in a hurry and taken back never, unless somebody looks at the whole list from time to time.",
    checked: "spec.reviews.accessReview.lastCompleted of the Ownership is not longer ago than its period, P90D unless it says otherwise, and none of its findings is open past \
              its dueDate.",
    unknown: "No date is recorded, it lies ahead, or the period is no number of days; a finding is open without a due date. Record spec.reviews.accessReview.",
    fix: "do it, and record spec.reviews.accessReview.lastCompleted in the Ownership",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Namespace(check),
};

const DUTY: Duties = Duties { field: "accessReview", what: "access review", days: 90 };

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    review(cx, &DUTY, cx.reviews.access_review.as_ref(), out);
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
