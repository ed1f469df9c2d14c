//! penetration-test-current: somebody who is paid for it has tried to break in within the agreed period.
//! What was found and is open past its date is a violation, however young the test.

recurring! {
    id: "penetration-test-current",
    title: "Penetration test done within the agreed period",
    group: "platform",
    severity: Low,
    owners: [Customer, SharedIndependent, SharedIndependent],
    references: &[("ISO 27001:2022", &["A.8.8"]), ("SOC 2", &["CC4.1"]), ("CCM 4.0.12", &["TVM-06"]), ("NIST 800-53r5", &["CA-8"])],
    why: "Only somebody who tries to get in finds what the checklists leave out.",
    what: "penetration test",
    field: "penetrationTest" = penetration_test,
    days: 365,
}
