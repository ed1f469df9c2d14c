//! pvc-storage-encrypted: persistent volumes are encrypted at rest, as the real storage class or volume shows.
//! Three-valued: where the cluster cannot show it, the verdict is `Unknown` and says what would settle it.

use super::{
    Applies, Check, Context, Control,
    storage::{Encrypted, of_claim, offending},
};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::{
        Finding,
        subject::{ClaimSource, Kind, VolumeSource},
        text::shown,
    },
};

pub const CONTROL: Control = Control {
    id: "pvc-storage-encrypted",
    title: "Persistent volumes are encrypted at rest",
    group: "data",
    severity: Severity::Critical,
    enforcement: Enforcement::Deny,
    owners: [OwnerClass::Customer, OwnerClass::SharedDependent, OwnerClass::Provider],
    references: &[("ISO 27001:2022", &["A.8.24"]), ("SOC 2", &["CC6.1", "CC6.7"]), ("CCM 4.0.12", &["CEK-03"]), ("NIST 800-53r5", &["SC-28", "SC-28(1)"])],
    why: "A disk that is copied, snapshotted or thrown away must not give its data away.",
    checked: "The StorageClass (or, when bound, the PersistentVolume) of every claim that the object is, makes or mounts, by the driver's own parameter.",
    unknown: "The driver or the cloud account decides outside the cluster, the class or a mounted claim does not exist yet, or the class was made anew after the volume: record evidence, or name a class that \
              switches encryption on.",
    fix: "use a StorageClass with encryption switched on; parameters are fixed when a volume is made, so move existing data to a new volume",
    kinds: &[
        Kind::PersistentVolumeClaim,
        Kind::StatefulSet,
        Kind::Deployment,
        Kind::DaemonSet,
        Kind::ReplicaSet,
        Kind::ReplicationController,
        Kind::Job,
        Kind::CronJob,
        Kind::Pod,
        Kind::PodTemplate,
    ],
    root_only: false,
    confidential: false,
    check: Check::Object(check),
};

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    let mut applies = Applies::No;
    // Where it stands is said of what does not hold, and of nothing else: most claims do.
    let mut push = |path: &dyn Fn() -> String, class: Option<&str>, volume: Option<&str>, encrypted: Encrypted| {
        applies = Applies::Yes;
        match encrypted {
            Encrypted::Yes => {}
            Encrypted::No(why, since) => {
                out.push(Finding::violated(path(), offending(class, volume), why, "use a StorageClass with encryption switched on").by_fact_of(since));
            }
            Encrypted::Unknown(why) => out.push(Finding::unknown(path(), why, "name a StorageClass that switches encryption on, or record evidence")),
        }
    };
    for claim in &cx.subject.claims {
        let path = || match claim.from {
            ClaimSource::Itself => "spec.storageClassName".to_owned(),
            ClaimSource::StatefulSet => format!("{}.spec.storageClassName", claim.path),
            ClaimSource::Ephemeral => format!("{}.storageClassName", claim.path),
        };
        let (class, volume) = (claim.class.as_deref(), claim.volume.as_deref());
        push(&path, class, volume, of_claim(class, volume, cx.facts));
    }
    // A claim mounted by name is judged by itself as well; here it tells the workload's owner.
    for mounted in cx.subject.pod.iter().flat_map(|pod| &pod.spec.volumes) {
        let VolumeSource::Claim(name) = &mounted.source else { continue };
        let path = || format!("spec.volumes[{}]", shown(&mounted.name, 63));
        match cx.facts.claim(&cx.namespace.name, name) {
            Ok(Some(fact)) => {
                let (class, volume) = (fact.class.as_deref(), fact.volume.as_deref());
                push(&path, class, volume, of_claim(class, volume, cx.facts));
            }
            Ok(None) => push(&path, None, None, Encrypted::Unknown(format!("claim \"{}\" is not known", shown(name, 63)))),
            Err(reason) => push(&path, None, None, Encrypted::Unknown(format!("claim \"{}\" is not known, claims cannot be read: {reason}", shown(name, 63)))),
        }
    }
    applies
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controls::{
            storage::tests::facts,
            testing::{judge, judge_in},
        },
        model::facts::{Facts, Namespace},
    };

    #[test]
    fn a_claim_is_judged_by_its_class() {
        for (spec, said) in [
            ("storageClassName: sealed", vec![]),
            ("storageClassName: plain", vec!["Violated spec.storageClassName plain"]),
            ("accessModes: [ReadWriteOnce]", vec!["Unknown spec.storageClassName"]),
            ("storageClassName: '', volumeName: vol-off", vec!["Violated spec.storageClassName"]),
        ] {
            let yaml = format!("{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: c}}, spec: {{{spec}}}}}");
            assert_eq!(judge(&CONTROL, &yaml, &Default::default(), &facts()), said, "{spec}");
        }
    }

    #[test]
    fn the_older_annotation_wins_over_the_field() {
        let meta = "metadata: {name: c, annotations: {volume.beta.kubernetes.io/storage-class: plain}}, spec: {storageClassName: sealed}";
        let pod = |volumes: &str| format!("spec: {{template: {{spec: {{containers: [{{name: c}}], volumes: [{volumes}]}}}}");
        for (yaml, path) in [
            (format!("{{apiVersion: v1, kind: PersistentVolumeClaim, {meta}}}"), "spec.storageClassName"),
            (
                format!("{{apiVersion: apps/v1, kind: StatefulSet, metadata: {{}}, {}, volumeClaimTemplates: [{{{meta}}}]}}}}", pod("")),
                "spec.volumeClaimTemplates[c].spec.storageClassName",
            ),
            (
                format!("{{apiVersion: apps/v1, kind: Deployment, metadata: {{}}, {}}}}}", pod(&format!("{{name: e, ephemeral: {{volumeClaimTemplate: {{{meta}}}}}}}"))),
                "spec.volumes[e].ephemeral.volumeClaimTemplate.spec.storageClassName",
            ),
        ] {
            assert_eq!(judge(&CONTROL, &yaml, &Default::default(), &facts()), [format!("Violated {path} plain")], "{yaml}");
        }
    }

    #[test]
    fn templates_ephemeral_volumes_and_mounted_claims_are_judged() {
        let set = "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s}, spec: {template: {spec: {containers: [{name: c}], volumes: [
            {name: e, ephemeral: {volumeClaimTemplate: {spec: {storageClassName: plain}}}}, {name: m, persistentVolumeClaim: {claimName: data-off}}, {name: t, emptyDir: {}},
            {name: u, persistentVolumeClaim: {claimName: gone}}]}},
            volumeClaimTemplates: [{metadata: {name: d}, spec: {storageClassName: plain}}]}}";
        let shop = Namespace { name: "shop".into(), ..Namespace::default() };
        assert_eq!(
            judge_in(&CONTROL, set, &shop, &Default::default(), None, &facts()),
            [
                "Violated spec.volumeClaimTemplates[d].spec.storageClassName plain",
                "Violated spec.volumes[e].ephemeral.volumeClaimTemplate.spec.storageClassName plain",
                "Violated spec.volumes[m] plain",
                "Unknown spec.volumes[u]",
            ]
        );
        let mounts = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c}], volumes: [{name: m, persistentVolumeClaim: {claimName: data-off}}]}}";
        assert_eq!(judge_in(&CONTROL, mounts, &shop, &Default::default(), None, &Facts::none("forbidden")), ["Unknown spec.volumes[m]"]);
        let plain = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c}], volumes: [{name: t, emptyDir: {}}]}}";
        assert_eq!(judge(&CONTROL, plain, &Default::default(), &Facts::none("forbidden")), ["-"]);
    }
}
