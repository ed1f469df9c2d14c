//! audit-logging-attested: what is done to the cluster is written down, and kept where whoever did it cannot change it.
//! A managed control plane does not show where its audit log goes, so whoever runs it attests it, until a day.
use super::{
    Applies, Check, Control, Declared, Notes,
    declared::{attested, runs_everywhere},
};
use crate::api::ownership::{Enforcement, OwnerClass, Policy, Severity};

pub const CONTROL: Control = Control {
    id: "audit-logging-attested",
    title: "Audit logs are collected",
    group: "platform",
    severity: Severity::Medium,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::Customer, OwnerClass::SharedDependent, OwnerClass::Provider],
    references: &[
        ("ISO 27001:2022", &["A.8.15"]),
        ("SOC 2", &["CC7.2"]),
        ("CCM 4.0.12", &["LOG-08", "LOG-03"]),
        ("NIST 800-53r5", &["AU-2", "AU-12"]),
        ("CIS Kubernetes 2.0.1", &["3.2.1", "3.2.2"]),
    ],
    why: "After a break-in the audit log alone tells what was done and by whom.",
    checked: "The entry of this control in the Baseline, or the Ownership, holds evidence whose validUntil lies ahead; where tooling.logging names a DaemonSet, it is ready on \
              every Linux node. The flags of an API server that runs in the cluster are not looked at.",
    unknown: "No evidence is recorded, or it does not say until when it counts: no API shows where the audit log goes. Record whoever runs the control plane's.",
    fix: "export the control plane's audit log, and record the evidence in the Ownership, with validUntil",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Cluster(check, |policy| shipper(policy).is_some()),
};

fn shipper(policy: &Policy) -> Option<&str> {
    policy.tooling.as_ref()?.logging.as_deref().filter(|s| !s.is_empty())
}

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    if let Some(shipper) = shipper(cx.policy) {
        runs_everywhere(cx, shipper, "tooling.logging", out);
    }
    attested(cx, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controls::declared::testing::{is_attested, stand},
        model::facts::Facts,
    };

    #[test]
    fn it_is_attested_until_a_day() {
        is_attested(&CONTROL);
    }

    #[test]
    fn a_shipper_that_is_named_runs() {
        let spec = "policy: {tooling: {logging: fluent-bit}}, controls: [{control: audit-logging-attested, evidence: [{type: a, ref: b, validUntil: '2026-05-01T00:00:00Z'}]}]";
        assert_eq!(stand(&CONTROL, spec, &Facts::empty()), ["Violated spec.policy.tooling.logging: there is no DaemonSet fluent-bit"]);
        let spec = spec.replace("fluent-bit", "''");
        assert!(stand(&CONTROL, &spec, &Facts::empty()).is_empty());
    }
}
