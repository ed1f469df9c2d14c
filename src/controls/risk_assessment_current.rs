//! risk-assessment-current: the risks of what runs in the namespace were assessed within the last half year.
//! Nothing in a cluster shows it, so the Ownership says when; the day on which it falls due turns the verdict.

recurring! {
    id: "risk-assessment-current",
    title: "Risk assessment done at least twice a year",
    group: "governance",
    severity: Medium,
    owners: [Customer, Customer, Customer],
    references: &[("ISO 27001:2022", &["8.2", "6.1.2"]), ("SOC 2", &["CC3.2"]), ("CCM 4.0.12", &["GRC-02"]), ("NIST 800-53r5", &["RA-3"])],
    why: "Risks change with every release and every news of a hole; an old assessment protects against old risks.",
    what: "risk assessment",
    field: "riskAssessment" = risk_assessment,
    days: 183,
}
