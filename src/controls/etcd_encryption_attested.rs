//! etcd-encryption-attested: Secrets are encrypted where the control plane keeps them.
//! No API shows it, so whoever runs the control plane attests it, until a day.
use super::{Applies, Check, Control, Declared, Notes, declared::attested};
use crate::api::ownership::{Enforcement, OwnerClass, Severity};

pub const CONTROL: Control = Control {
    id: "etcd-encryption-attested",
    title: "Secrets are encrypted at rest in the control plane",
    group: "data",
    severity: Severity::High,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::Customer, OwnerClass::SharedDependent, OwnerClass::Provider],
    references: &[
        ("ISO 27001:2022", &["A.8.24"]),
        ("SOC 2", &["CC6.1"]),
        ("CCM 4.0.12", &["CEK-03"]),
        ("NIST 800-53r5", &["SC-28(1)"]),
        ("CIS Kubernetes 2.0.1", &["1.2.27", "1.2.28"]),
    ],
    why: "Whoever gets hold of a disk or a backup of etcd otherwise reads every Secret of the cluster.",
    checked: "The entry of this control in the Baseline, or the Ownership, holds evidence whose validUntil lies ahead. The flags of an API server that runs in the cluster are not looked at.",
    unknown: "No evidence is recorded, or it does not say until when it counts: no API shows how etcd is encrypted. Record whoever runs the control plane's.",
    fix: "record the evidence of whoever runs the control plane in the Ownership, with validUntil",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Cluster(check, |_| false),
};

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    attested(cx, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::declared::testing::is_attested;

    #[test]
    fn it_is_attested_until_a_day() {
        is_attested(&CONTROL);
    }
}
