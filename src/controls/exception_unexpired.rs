//! exception-unexpired: every Waiver of the namespace still counts, or waits to be approved.
//! One that is over, or never could count, is told until it is taken away: it hides what must be mended.
use super::{Applies, Check, Control, Declared, Notes, declared::day};
use crate::{
    api::{
        ownership::{Enforcement, OwnerClass, Severity},
        waiver::WaiverState,
    },
    model::text::shown,
};

pub const CONTROL: Control = Control {
    id: "exception-unexpired",
    title: "Every Waiver has an approver and an end that lies ahead",
    group: "governance",
    severity: Severity::High,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Customer],
    references: &[("ISO 27001:2022", &["A.5.36"]), ("SOC 2", &["CC4.2"]), ("CCM 4.0.12", &["GRC-04", "CCC-08"]), ("NIST 800-53r5", &["CA-5"])],
    why: "An exception without an end is the new rule, and nobody remembers who agreed to it.",
    checked: "No Waiver of the namespace is past its end or void: approved by whoever asked for it, for a control that is not known or judges no object, or without a target. How long a Waiver may \
              last, and who may approve it, is checked when it is written.",
    unknown: "Never: Waivers decide whether a replica is ready at all.",
    fix: "mend what it was for and delete the Waiver, or have a new one approved",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Namespace(check),
};

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    if cx.exemptions.is_empty() {
        return Applies::No;
    }
    for exemption in cx.exemptions {
        let path = format!("waivers[{}]", shown(exemption.name, 63));
        match exemption.state {
            WaiverState::Requested | WaiverState::Live | WaiverState::Expiring => out.due(format!("waiver {}", shown(exemption.name, 63)), exemption.ends, NOTICE),
            WaiverState::Expired => out.violated(path, format!("ended {}", day(exemption.ends)), "mend what it was for and delete it, or have a new one approved"),
            WaiverState::Void => out.violated(path, "can never count as it is", "delete it; its condition Live says why"),
        }
    }
    Applies::Yes
}

/// How many days before its end a Waiver is told.
const NOTICE: i64 = 7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::declared::{Exemption, testing::with_exemptions};

    #[test]
    fn a_waiver_that_is_over_is_told() {
        let said = |state: WaiverState, ends: &str| with_exemptions(&CONTROL, &[Exemption { name: "w", state, ends: ends.parse().unwrap() }]);
        for (state, expected) in [
            (WaiverState::Requested, vec![]),
            (WaiverState::Live, vec![]),
            (WaiverState::Expiring, vec![]),
            (WaiverState::Expired, vec!["Violated waivers[w]: ended 2026-03-01"]),
            (WaiverState::Void, vec!["Violated waivers[w]: can never count as it is"]),
        ] {
            assert_eq!(said(state, "2026-03-01T00:00:00Z"), expected, "{state}");
        }
        assert_eq!(with_exemptions(&CONTROL, &[]), ["-"]);
    }
}
