//! escalation-drill-current: the way of an alarm was tried, from the first call to the last.
//! What the drill found wrong must be closed by its date, or the drill has changed nothing.

recurring! {
    id: "escalation-drill-current",
    title: "Escalation or incident drill run within the agreed period",
    group: "governance",
    severity: Medium,
    owners: [Customer, SharedIndependent, SharedIndependent],
    references: &[("ISO 27001:2022", &["A.5.24", "A.5.27"]), ("SOC 2", &["CC7.4", "CC7.5"]), ("CCM 4.0.12", &["SEF-04"]), ("NIST 800-53r5", &["IR-3"])],
    why: "A phone number that nobody has tried is a guess; the drill finds that out before the incident does.",
    what: "escalation drill",
    field: "escalationDrill" = escalation_drill,
    days: 365,
}
