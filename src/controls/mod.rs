//! The catalog: one row a control, one file a control. Everything that names a control (reports, `explain`, metrics, docs) reads this table.
//! To add one, write its file and add its row; CONTRIBUTING.md walks through it.

/// Kinds that run pods, and whichever others a control judges beside them.
macro_rules! workloads_and {
    ($($more:ident),*) => {
        &[Kind::Pod, Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::ReplicaSet, Kind::ReplicationController, Kind::Job, Kind::CronJob, Kind::PodTemplate $(, Kind::$more)*]
    };
}

/// A whole control about a duty that recurs: what is said of it alone, and the row, the check and the table that follow from that.
macro_rules! recurring {
    (
        id: $id:literal, title: $title:literal, group: $group:literal, severity: $severity:ident, owners: [$($owner:ident),*], references: $references:expr, why: $why:literal,
        what: $what:literal, field: $field:literal = $review:ident, days: $days:literal $(,)?
    ) => {
        pub const CONTROL: super::Control = super::Control {
            id: $id,
            title: $title,
            group: $group,
            severity: crate::api::ownership::Severity::$severity,
            enforcement: crate::api::ownership::Enforcement::Audit,
            owners: [$(crate::api::ownership::OwnerClass::$owner),*],
            references: $references,
            why: $why,
            checked: concat!(
                "spec.reviews.", $field, ".lastCompleted of the Ownership is not longer ago than its period, P", $days,
                "D unless it says otherwise, and none of its findings is open past its dueDate."
            ),
            unknown: concat!(
                "No date is recorded, it lies ahead, or the period is no number of days; a finding is open without a due date. Record spec.reviews.", $field, "."
            ),
            fix: concat!("do it, and record spec.reviews.", $field, ".lastCompleted in the Ownership"),
            kinds: &[],
            root_only: false,
            confidential: false,
            check: super::Check::Namespace(check),
        };

        const DUTY: super::declared::Duties = super::declared::Duties { field: $field, what: $what, days: $days };

        fn check(cx: &super::Declared<'_>, out: &mut super::Notes) -> super::Applies {
            super::declared::review(cx, &DUTY, cx.reviews.$review.as_ref(), out);
            super::Applies::Yes
        }

        #[cfg(test)]
        mod tests {
            #[test]
            fn it_recurs() {
                super::super::declared::testing::recurs(&super::CONTROL, &super::DUTY);
            }
        }
    };
}

mod access_review_current;
mod anonymous_access_forbidden;
mod audit_logging_attested;
mod backup_current;
mod cluster;
pub mod custom;
mod data_classification_declared;
mod declared;
mod encryption_declared;
mod escalation_contact_declared;
mod escalation_drill_current;
mod etcd_encryption_attested;
mod exception_unexpired;
mod exposure_declared;
pub mod expression;
mod image_age_within_patch_policy;
mod image_pinned_by_digest;
mod image_registry_allowed;
mod ingress_tls_required;
mod mfa_enforced;
mod network_policy_present;
mod node_version_supported;
mod owner_is_active;
mod parties;
mod penetration_test_current;
mod people;
mod pod_security_standard;
mod pvc_customer_managed_key;
mod pvc_storage_encrypted;
mod rbac_cluster_admin_restricted;
mod rbac_departed_subject;
mod rbac_least_privilege;
mod responsibility_declared;
mod responsibility_review_current;
mod risk_assessment_current;
mod routes;
mod runtime_detection_present;
mod secrets_not_in_plain_env;
mod security_training_current;
mod serviceaccount_token_restricted;
mod storage;
mod third_party_assurance_current;
mod vulnerability_scan_current;
mod workload_named_owner;

use std::sync::LazyLock;

use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::UserInfo;

pub use self::declared::{Declared, Due, Duty, Exemption, Notes, lapsed};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Policy, ServiceModel, Severity},
    model::{
        Finding,
        facts::{Facts, Namespace},
        subject::{Kind, Subject},
        text::shown,
    },
};

/// What a check may read. No clock, no client: the same input, the time among it, gives the same verdict anywhere.
#[derive(Clone, Copy)]
pub struct Context<'c, 'a> {
    /// The object.
    pub subject: &'c Subject<'a>,
    /// Its namespace.
    pub namespace: &'c Namespace,
    /// The settings of its Ownership.
    pub policy: &'c Policy,
    /// The owner of workloads that name none.
    pub default_owner: Option<&'c str>,
    /// The rest of the cluster.
    pub facts: &'c Facts,
    /// When it is judged.
    pub now: Timestamp,
}

/// Whether a control has anything to say about a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// It has: what it did not complain of is satisfied.
    Yes,
    /// The same, and with the same objects it would say otherwise from then on.
    Until(Timestamp),
    /// Nothing to judge.
    No,
}

impl Applies {
    /// It has, until then; a time beyond all time never comes.
    fn until(then: Result<Timestamp, jiff::Error>) -> Self {
        then.map_or(Self::Yes, Self::Until)
    }
}

/// Judges one object.
pub type ObjectCheck = fn(&Context<'_, '_>, &mut Vec<Finding>) -> Applies;

/// What a control judges, and how.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// One object, at admission and in drift: pushes what does not hold or cannot be seen.
    Object(ObjectCheck),
    /// One object that exists, in drift alone: what is asked of it can only come to be after it does.
    Existing(ObjectCheck),
    /// A namespace and what it declares, once, and in drift alone: there is nobody to refuse.
    Namespace(DeclaredCheck),
    /// The same, and at admission whoever asks, where the settings say how to tell.
    Requester(DeclaredCheck, RequesterCheck),
    /// The cluster, once for each Baseline that asks it, and in drift alone. A namespace refers to that, unless it declares these settings or evidence
    /// of its own, or no Baseline holds in it.
    Cluster(DeclaredCheck, fn(&Policy) -> bool),
}

/// Judges whoever asks: what does not hold of them.
pub type RequesterCheck = fn(&Policy, &UserInfo) -> Option<Finding>;

/// Judges what is declared.
pub type DeclaredCheck = fn(&Declared<'_>, &mut Notes) -> Applies;

/// One row of the catalog.
#[derive(Debug)]
pub struct Control {
    /// Kebab-case, for ever.
    pub id: &'static str,
    /// What holds when it holds.
    pub title: &'static str,
    /// governance, identity, data, network, workload or platform.
    pub group: &'static str,
    /// How bad a violation is.
    pub severity: Severity,
    /// How a violation is met unless the Ownership says otherwise.
    pub enforcement: Enforcement,
    /// Default owner class under IaaS, PaaS and SaaS.
    pub owners: [OwnerClass; 3],
    /// Ids in other frameworks, never their texts.
    pub references: &'static [(&'static str, &'static [&'static str])],
    /// Why it matters, in a sentence or two.
    pub why: &'static str,
    /// How it is checked.
    pub checked: &'static str,
    /// When the verdict is `Unknown`, and what would settle it.
    pub unknown: &'static str,
    /// A line to paste that mends the usual violation.
    pub fix: &'static str,
    /// The kinds that it judges; none where it judges the namespace or the cluster.
    pub kinds: &'static [Kind],
    /// It speaks of the object's own metadata, so an object that another one controls is not judged: its root is.
    pub root_only: bool,
    /// Its findings point at secrets, so nobody quotes the line that they point at.
    pub confidential: bool,
    /// The check.
    pub check: Check,
}

/// Kinds that run pods.
pub(crate) const WORKLOADS: &[Kind] = workloads_and!();

/// The catalog, in the order in which reports show it.
pub static CATALOG: &[Control] = &[
    workload_named_owner::CONTROL,
    encryption_declared::CONTROL,
    pvc_storage_encrypted::CONTROL,
    ingress_tls_required::CONTROL,
    image_registry_allowed::CONTROL,
    pod_security_standard::CONTROL,
    image_pinned_by_digest::CONTROL,
    serviceaccount_token_restricted::CONTROL,
    exposure_declared::CONTROL,
    network_policy_present::CONTROL,
    secrets_not_in_plain_env::CONTROL,
    data_classification_declared::CONTROL,
    pvc_customer_managed_key::CONTROL,
    image_age_within_patch_policy::CONTROL,
    rbac_cluster_admin_restricted::CONTROL,
    rbac_least_privilege::CONTROL,
    anonymous_access_forbidden::CONTROL,
    rbac_departed_subject::CONTROL,
    owner_is_active::CONTROL,
    exception_unexpired::CONTROL,
    responsibility_declared::CONTROL,
    responsibility_review_current::CONTROL,
    escalation_contact_declared::CONTROL,
    escalation_drill_current::CONTROL,
    third_party_assurance_current::CONTROL,
    risk_assessment_current::CONTROL,
    access_review_current::CONTROL,
    mfa_enforced::CONTROL,
    security_training_current::CONTROL,
    etcd_encryption_attested::CONTROL,
    audit_logging_attested::CONTROL,
    penetration_test_current::CONTROL,
    backup_current::CONTROL,
    vulnerability_scan_current::CONTROL,
    node_version_supported::CONTROL,
    runtime_detection_present::CONTROL,
];

impl Control {
    /// How a violation can be met at most: only what is asked about can be refused. What a request must show for that, the settings say.
    pub const fn ceiling(&self) -> Enforcement {
        match self.check {
            Check::Object(_) | Check::Requester(..) => Enforcement::Deny,
            Check::Existing(_) | Check::Namespace(_) | Check::Cluster(..) => Enforcement::Audit,
        }
    }

    /// Whether it judges objects, or requests for them: what a Waiver may be for.
    pub const fn of_objects(&self) -> bool {
        match self.check {
            Check::Object(_) | Check::Existing(_) | Check::Requester(..) => true,
            Check::Namespace(_) | Check::Cluster(..) => false,
        }
    }

    /// What it judges, in words.
    pub fn judges(&self) -> Vec<&'static str> {
        match self.check {
            Check::Object(_) | Check::Existing(_) => self.kinds.iter().map(|k| k.name()).collect(),
            Check::Namespace(_) => vec!["Namespace"],
            Check::Requester(..) => vec!["Namespace", "Requester"],
            Check::Cluster(..) => vec!["Cluster"],
        }
    }

    /// Its default owner class.
    pub const fn owner(&self, model: ServiceModel) -> OwnerClass {
        let [iaas, paas, saas] = self.owners;
        match model {
            ServiceModel::IaaS => iaas,
            ServiceModel::PaaS => paas,
            ServiceModel::SaaS => saas,
        }
    }
}

/// Positions and rows of the controls about a kind: most are about few kinds, and a review is about one.
pub fn about(kind: Kind) -> &'static [(usize, &'static Control)] {
    type Rows = Vec<(usize, &'static Control)>;
    static ABOUT: LazyLock<Vec<Rows>> = LazyLock::new(|| Kind::ALL.iter().map(|kind| CATALOG.iter().enumerate().filter(|(_, row)| row.kinds.contains(kind)).collect()).collect());
    ABOUT.get(kind as usize).map_or(&[], Vec::as_slice)
}

/// The position of `id` in [`CATALOG`].
pub fn find(id: &str) -> Option<usize> {
    CATALOG.iter().position(|c| c.id == id)
}

/// The known id that is most like `id`, for "did you mean", where one is much like it; one that holds it whole before any other.
pub fn nearest(id: &str) -> Option<&'static str> {
    // Of a letter or two every id holds some.
    let holds = |c: &Control| id.len() > 2 && c.id.contains(id);
    let like = |c: &Control| (holds(c), strsim::normalized_damerau_levenshtein(c.id, id));
    let best = CATALOG.iter().max_by(|a, b| like(a).partial_cmp(&like(b)).unwrap_or(std::cmp::Ordering::Equal))?;
    (holds(best) || like(best).1 >= 0.6).then_some(best.id)
}

/// That there is no such control.
pub fn nobody_knows(id: &str) -> String {
    let nearest = nearest(id).map_or_else(String::new, |nearest| format!("; the nearest is {nearest}"));
    format!("nobody knows \"{}\"{nearest} (demarc explain lists them)", shown(id, 63))
}

#[cfg(test)]
pub(crate) mod testing {
    //! One line a case: a manifest as YAML, the settings, what the check says.
    use super::*;

    /// The day on which every table is judged.
    pub const NOW: &str = "2026-04-01T00:00:00Z";

    /// Runs `control` over a manifest in YAML; each finding as `Violated path fingerprint`, or `[-]` when nothing applies.
    pub fn judge(control: &Control, yaml: &str, policy: &Policy, facts: &Facts) -> Vec<String> {
        judge_in(control, yaml, &Namespace::default(), policy, None, facts)
    }

    pub fn judge_in(control: &Control, yaml: &str, namespace: &Namespace, policy: &Policy, default_owner: Option<&str>, facts: &Facts) -> Vec<String> {
        let value: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
        let (group, _) = value["apiVersion"].as_str().unwrap().rsplit_once('/').unwrap_or(("", ""));
        let kind = Kind::find(group, value["kind"].as_str().unwrap()).unwrap();
        let json = serde_json::to_string(&value).unwrap();
        let subject = Subject::parse(kind, &json).unwrap();
        let mut findings = Vec::new();
        if !control.kinds.contains(&kind) {
            return vec!["-".to_owned()];
        }
        let (Check::Object(check) | Check::Existing(check)) = control.check else { panic!("{} judges no object", control.id) };
        match check(&Context { subject: &subject, namespace, policy, default_owner, facts, now: NOW.parse().unwrap() }, &mut findings) {
            Applies::No => vec!["-".to_owned()],
            Applies::Yes | Applies::Until(_) => findings.iter().map(|f| format!("{:?} {} {}", f.outcome, f.path, f.fingerprint).trim_end().to_owned()).collect(),
        }
    }

    pub fn policy(yaml: &str) -> Policy {
        serde_saphyr::from_str(yaml).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_whole_and_ids_are_unique() {
        for (i, c) in CATALOG.iter().enumerate() {
            assert_eq!(find(c.id), Some(i), "{} twice", c.id);
            for text in [c.title, c.group, c.why, c.checked, c.unknown, c.fix] {
                assert!(!text.is_empty(), "{}", c.id);
            }
            assert!(c.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", c.id);
            assert!(c.kinds.is_empty() == matches!(c.check, Check::Namespace(_) | Check::Requester(..) | Check::Cluster(..)) && !c.references.is_empty(), "{}", c.id);
            assert!(c.enforcement <= c.ceiling(), "{} cannot be enforced so", c.id);
        }
    }

    #[test]
    fn each_kind_finds_what_is_about_it() {
        for kind in Kind::ALL {
            let found: Vec<usize> = about(*kind).iter().map(|(control, _)| *control).collect();
            let expected: Vec<usize> = CATALOG.iter().enumerate().filter(|(_, c)| c.kinds.contains(kind)).map(|(i, _)| i).collect();
            assert_eq!(found, expected, "{}", kind.name());
            assert!(about(*kind).iter().all(|(control, row)| CATALOG[*control].id == row.id), "{}", kind.name());
        }
    }

    #[test]
    fn a_misspelt_id_finds_its_neighbour() {
        for (typed, meant) in [("encryption-decalred", "encryption-declared"), ("pvc-encrypted", "pvc-storage-encrypted"), ("named-owner", "workload-named-owner")] {
            assert_eq!(nearest(typed), Some(meant));
        }
        for typed in ["nonsense", "", "a", "e-", "two-replicas", "\u{1b}"] {
            assert_eq!(nearest(typed), None, "{typed}");
        }
    }
}
