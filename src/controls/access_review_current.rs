//! access-review-current: somebody has gone through who may do what in the namespace within the last quarter.
//! The Ownership says when; that the list was read well cannot be seen.

recurring! {
    id: "access-review-current",
    title: "Access review done on schedule",
    group: "identity",
    severity: Medium,
    owners: [Customer, Customer, Customer],
    references: &[("ISO 27001:2022", &["A.5.18"]), ("SOC 2", &["CC6.2", "CC6.3"]), ("CCM 4.0.12", &["IAM-08"]), ("NIST 800-53r5", &["AC-6(7)"])],
    why: "Rights are given in a hurry and taken back never, unless somebody looks at the whole list from time to time.",
    what: "access review",
    field: "accessReview" = access_review,
    days: 90,
}
