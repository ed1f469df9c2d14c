//! pvc-customer-managed-key: sensitive volumes are encrypted by a key that the customer holds.
//! Only data of the classes that policy.classification.cmkRequiredFor lists needs one; a class that nobody states is Unknown.

use super::{
    Applies, Check, Context, Control,
    data_classification_declared::class_of,
    storage::{Encrypted, key_of_claim, offending},
};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::{
        Finding,
        subject::{ClaimSource, Kind},
        text::shown,
    },
};

pub const CONTROL: Control = Control {
    id: "pvc-customer-managed-key",
    title: "Sensitive volumes use a customer-managed key",
    group: "data",
    severity: Severity::Medium,
    enforcement: Enforcement::Warn,
    owners: [OwnerClass::Customer, OwnerClass::SharedDependent, OwnerClass::SharedDependent],
    references: &[("ISO 27001:2022", &["A.8.24"]), ("SOC 2", &["CC6.1"]), ("CCM 4.0.12", &["CEK-08", "CEK-03"]), ("NIST 800-53r5", &["SC-12", "SC-28(1)"])],
    why: "Whoever holds the key decides who reads the data, and can end it: for the most sensitive data that must not be the provider alone.",
    checked: "For data of a class in policy.classification.cmkRequiredFor (confidential, restricted): the StorageClass of every claim that the object is or makes is encrypted and names a \
              key, by the driver's own parameter: kmsKeyId, disk-encryption-kms-key, instance-encryption-kms-key, diskEncryptionSetID, encryptionKMSID.",
    unknown: "Nobody states the class of the data, the driver has no parameter for a key, or the class of storage cannot be read: record evidence.",
    fix: "use a StorageClass that names a key of your own",
    kinds: &[Kind::PersistentVolumeClaim, Kind::StatefulSet],
    root_only: false,
    confidential: false,
    check: Check::Object(check),
};

const REQUIRED_FOR: [&str; 2] = ["confidential", "restricted"];
const FIX: &str = "use a StorageClass that names a key of your own";

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    if cx.subject.claims.is_empty() {
        return Applies::No;
    }
    let listed = cx.policy.classification.as_ref().map_or(&[][..], |c| &c.cmk_required_for);
    let required = |class: &str| if listed.is_empty() { REQUIRED_FOR.iter().any(|r| r.eq_ignore_ascii_case(class)) } else { listed.iter().any(|r| r.eq_ignore_ascii_case(class)) };
    let class = class_of(cx);
    if class.is_some_and(|class| !required(class)) {
        return Applies::No;
    }
    for claim in &cx.subject.claims {
        let path = match claim.from {
            ClaimSource::Itself => "spec.storageClassName".to_owned(),
            ClaimSource::StatefulSet => format!("{}.spec.storageClassName", claim.path),
            ClaimSource::Ephemeral => format!("{}.storageClassName", claim.path),
        };
        let keyed = key_of_claim(claim.class.as_deref(), claim.volume.as_deref(), cx.facts);
        match (keyed, class) {
            (Encrypted::Yes, _) => {}
            (_, None) => out.push(Finding::unknown(
                path,
                "nobody states the class of its data, so whether it needs a key of yours is not known",
                "label the namespace with its data-classification",
            )),
            (Encrypted::No(why, since), Some(class)) => {
                let fingerprint = offending(claim.class.as_deref(), claim.volume.as_deref());
                out.push(Finding::violated(path, fingerprint, format!("{} data needs a key of yours: {why}", shown(class, 40)), FIX).by_fact_of(since));
            }
            (Encrypted::Unknown(why), Some(_)) => out.push(Finding::unknown(path, why, FIX)),
        }
    }
    Applies::Yes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controls::{
            storage::tests::facts,
            testing::{judge_in, policy},
        },
        model::facts::Namespace,
    };

    #[test]
    fn sensitive_data_needs_a_key_that_the_class_names() {
        for (class, storage, settings, said) in [
            ("restricted", "storageClassName: keyed", "{}", vec![]),
            ("Confidential", "storageClassName: sealed", "{}", vec!["Violated spec.storageClassName sealed"]),
            ("confidential", "storageClassName: plain", "{}", vec!["Violated spec.storageClassName plain"]),
            ("confidential", "accessModes: []", "{}", vec!["Unknown spec.storageClassName"]),
            ("confidential", "storageClassName: gone", "{}", vec!["Unknown spec.storageClassName"]),
            ("internal", "storageClassName: plain", "{}", vec!["-"]),
            ("internal", "storageClassName: sealed", "classification: {cmkRequiredFor: [internal]}", vec!["Violated spec.storageClassName sealed"]),
            ("restricted", "storageClassName: sealed", "classification: {cmkRequiredFor: [internal]}", vec!["-"]),
            ("odd", "storageClassName: sealed", "{}", vec!["Unknown spec.storageClassName"]),
            ("odd", "storageClassName: keyed", "{}", vec![]),
        ] {
            let labels = [("data-classification".to_owned(), class.to_owned())].into_iter().collect();
            let shop = Namespace { name: "shop".into(), labels, ..Namespace::default() };
            let yaml = format!("{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: c}}, spec: {{{storage}}}}}");
            assert_eq!(judge_in(&CONTROL, &yaml, &shop, &policy(settings), None, &facts()), said, "{class} {storage} {settings}");
        }
        let shop = Namespace { name: "shop".into(), ..Namespace::default() };
        let set = "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s, labels: {data-classification: restricted}}, spec: {template: {spec: {containers: [{name: c}]}},
            volumeClaimTemplates: [{metadata: {name: d}, spec: {storageClassName: sealed}}]}}";
        assert_eq!(judge_in(&CONTROL, set, &shop, &Default::default(), None, &facts()), ["Violated spec.volumeClaimTemplates[d].spec.storageClassName sealed"]);
        let none = "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s, labels: {data-classification: restricted}}, spec: {template: {spec: {containers: [{name: c}]}}}}";
        assert_eq!(judge_in(&CONTROL, none, &shop, &Default::default(), None, &facts()), ["-"]);
    }
}
