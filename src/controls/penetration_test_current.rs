//! penetration-test-current: somebody who is paid for it has tried to break in within the agreed period.
//! What was found and is open past its date is a violation, however young the test.
use super::{
    Applies, Check, Control, Declared, Notes,
    declared::{Duties, review},
};
use crate::api::ownership::{Enforcement, OwnerClass, Severity};

pub const CONTROL: Control = Control {
    id: "penetration-test-current",
    title: "Penetration test done within the agreed period",
    group: "platform",
    severity: Severity::Low,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::Customer, OwnerClass::SharedIndependent, OwnerClass::SharedIndependent],
    references: &[("ISO 27001:2022", &["A.8.8"]), ("SOC 2", &["CC4.1"]), ("CCM 4.0.12", &["TVM-06"]), ("NIST 800-53r5", &["CA-8"])],
    why: "Only somebody who tries to get in finds what the checklists leave out.",
    checked: "spec.reviews.penetrationTest.lastCompleted of the Ownership is not longer ago than its period, P365D unless it says otherwise, and none of its findings is open \
              past its dueDate.",
    unknown: "No date is recorded, it lies ahead, or the period is no number of days; a finding is open without a due date. Record spec.reviews.penetrationTest.",
    fix: "do it, and record spec.reviews.penetrationTest.lastCompleted in the Ownership",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Namespace(check),
};

const DUTY: Duties = Duties { field: "penetrationTest", what: "penetration test", days: 365 };

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    review(cx, &DUTY, cx.reviews.penetration_test.as_ref(), out);
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
