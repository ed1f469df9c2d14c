//! encryption-declared: a workload that keeps data says how it is encrypted.
//! The statement is compared with what the cluster shows: one that the real storage class contradicts is a violation.

use super::{
    Applies, Check, Context, Control, WORKLOADS,
    storage::{Encrypted, of_claim, offending},
};
use crate::{
    api::ownership::{Enforcement, OwnerClass, RequireFor, Severity},
    model::{
        Finding,
        subject::{ClaimSource, VolumeSource},
        text::shown,
    },
};

const KEY: &str = "demarc.dev/encryption-at-rest";

/// Volumes that keep nothing of their own beyond the pod; without a field the API server makes an `emptyDir`. Every other may, also one that
/// Kubernetes does not have yet.
const VANISHING: &[&str] = &["", "emptyDir", "configMap", "secret", "projected", "downwardAPI", "image"];

pub const CONTROL: Control = Control {
    id: "encryption-declared",
    title: "Workload that keeps data says how it is encrypted",
    group: "data",
    severity: Severity::High,
    enforcement: Enforcement::Deny,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Provider],
    references: &[("ISO 27001:2022", &["A.8.24"]), ("SOC 2", &["CC6.1"]), ("CCM 4.0.12", &["CEK-03"]), ("NIST 800-53r5", &["SC-28"])],
    why: "Whoever decides on encryption must say so where the next person looks, and the cluster must bear it out.",
    checked: "Annotation demarc.dev/encryption-at-rest, or one of policy.encryption.annotationKeys, on the pod template (of a Pod, on itself) of a workload that keeps data, in any \
              volume but emptyDir, configMap, secret, projected, downwardAPI and image: csi, application or kms, optionally followed by a colon and a key reference. One on the \
              workload's own metadata does not reach its pods, and does not count. csi and kms beside a storage class that is not encrypted are a violation.",
    unknown: "Never: the statement is in the object. Whether storage is encrypted is pvc-storage-encrypted's to say.",
    fix: "annotate spec.template.metadata.annotations demarc.dev/encryption-at-rest: csi",
    kinds: WORKLOADS,
    root_only: false,
    confidential: false,
    check: Check::Object(check),
};

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    let Some(pod) = &cx.subject.pod else { return Applies::No };
    let settings = cx.policy.encryption.as_ref();
    let claimed = || cx.subject.claims.iter().filter(|c| c.from == ClaimSource::StatefulSet);
    let mounted = || pod.spec.volumes.iter().filter(|v| !VANISHING.contains(&&*v.field));
    let required_for_all = settings.is_some_and(|s| s.require_for == RequireFor::All);
    if claimed().next().is_none() && mounted().next().is_none() && !required_for_all {
        return Applies::No;
    }

    let keys = || std::iter::once(KEY).chain(settings.into_iter().flat_map(|s| s.annotation_keys.iter().map(String::as_str)));
    // Pods carry their template's annotations alone, and are judged by them.
    let said = keys().find_map(|k| pod.annotations.get(k));
    let fix = || format!("annotate {} {KEY}: csi", cx.subject.full_path("metadata.annotations"));
    let Some(value) = said else {
        // One a place: a volume more is a violation more, and a volume less is none.
        if required_for_all {
            out.push(Finding::violated("metadata.annotations", "", "no encryption declared", fix()));
        }
        let places = claimed().map(|c| c.path.clone()).chain(mounted().map(|v| format!("spec.volumes[{}]", shown(&v.name, 63))));
        out.extend(places.map(|path| Finding::violated(path, "", "persistent storage, no encryption declared", fix())));
        return Applies::Yes;
    };
    let (word, key) = value.split_once(':').map_or((value, None), |(w, k)| (w, Some(k)));
    let builtin = matches!(word, "csi" | "application" | "kms") && key.is_none_or(|k| !k.trim().is_empty());
    if !builtin && !settings.is_some_and(|s| s.accepted_values.iter().any(|a| a == value)) {
        // Never the annotation's body in a message: it may hold a key.
        out.push(Finding::violated("metadata.annotations", "malformed", "the encryption declaration is not csi, application or kms[:key]", fix()));
        return Applies::Yes;
    }
    if matches!(word, "csi" | "kms") {
        let mut compare = |path: &dyn Fn() -> String, class: Option<&str>, volume: Option<&str>| {
            if let Encrypted::No(why, since) = of_claim(class, volume, cx.facts) {
                let fingerprint = format!("contradicted {}", offending(class, volume));
                out.push(Finding::violated(path(), fingerprint, format!("declared {word}, but {why}"), "use a StorageClass with encryption switched on").by_fact_of(since));
            }
        };
        for own in &cx.subject.claims {
            compare(&|| own.path.clone(), own.class.as_deref(), own.volume.as_deref());
        }
        for volume in &pod.spec.volumes {
            let VolumeSource::Claim(name) = &volume.source else { continue };
            if let Ok(Some(fact)) = cx.facts.claim(&cx.namespace.name, name) {
                compare(&|| format!("spec.volumes[{}]", shown(&volume.name, 63)), fact.class.as_deref(), fact.volume.as_deref());
            }
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
    fn what_keeps_data_must_say_how_it_is_encrypted() {
        let shop = Namespace { name: "shop".into(), ..Namespace::default() };
        let claim = "{name: d, persistentVolumeClaim: {claimName: data}}";
        let contradicted = "{name: d, persistentVolumeClaim: {claimName: data-off}}";
        for (annotations, volume, settings, said) in [
            ("{}", "{name: t, emptyDir: {}}", "{}", vec!["-"]),
            ("{}", "{name: t, emptyDir: {}}", "encryption: {requireFor: All}", vec!["Violated metadata.annotations"]),
            ("{}", claim, "{}", vec!["Violated spec.volumes[d]"]),
            ("{}", claim, "encryption: {requireFor: All}", vec!["Violated metadata.annotations", "Violated spec.volumes[d]"]),
            ("{}", "{name: a, iscsi: {}}, {name: t}, {name: b, csi: {driver: x}}", "{}", vec!["Violated spec.volumes[a]", "Violated spec.volumes[b]"]),
            ("{demarc.dev/encryption-at-rest: csi}", "{name: a, iscsi: {}}, {name: b, rbd: {}}", "{}", vec![]),
            ("{}", "{name: h, hostPath: {path: /x}}", "{}", vec!["Violated spec.volumes[h]"]),
            ("{demarc.dev/encryption-at-rest: csi}", claim, "{}", vec![]),
            ("{demarc.dev/encryption-at-rest: 'kms:alias/a'}", claim, "{}", vec![]),
            ("{demarc.dev/encryption-at-rest: 'kms:'}", claim, "{}", vec!["Violated metadata.annotations malformed"]),
            ("{demarc.dev/encryption-at-rest: ''}", claim, "{}", vec!["Violated metadata.annotations malformed"]),
            ("{demarc.dev/encryption-at-rest: 'yes'}", claim, "{}", vec!["Violated metadata.annotations malformed"]),
            ("{demarc.dev/encryption-at-rest: luks}", claim, "encryption: {acceptedValues: [luks]}", vec![]),
            ("{acme.example/enc: application}", claim, "encryption: {annotationKeys: [acme.example/enc]}", vec![]),
            ("{acme.example/enc: application}", claim, "{}", vec!["Violated spec.volumes[d]"]),
            ("{demarc.dev/encryption-at-rest: csi}", contradicted, "{}", vec!["Violated spec.volumes[d] contradicted plain"]),
            ("{demarc.dev/encryption-at-rest: application}", contradicted, "{}", vec![]),
        ] {
            let yaml = format!(
                "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: w}}, spec: {{template: {{metadata: {{annotations: {annotations}}}, spec: {{containers: [{{name: c}}], volumes: [{volume}]}}}}}}}}"
            );
            assert_eq!(judge_in(&CONTROL, &yaml, &shop, &policy(settings), None, &facts()), said, "{annotations} {volume} {settings}");
        }
    }

    #[test]
    fn what_vanishes_with_the_pod_needs_no_word_and_all_else_does() {
        let of = |field: &str| {
            let yaml = format!("{{apiVersion: v1, kind: Pod, metadata: {{}}, spec: {{containers: [{{name: c}}], volumes: [{{name: d, {field}: {{}}}}]}}}}");
            judge_in(&CONTROL, &yaml, &Namespace::default(), &policy("{}"), None, &facts())
        };
        for field in ["emptyDir", "configMap", "secret", "projected", "downwardAPI", "image"] {
            assert_eq!(of(field), ["-"], "{field}");
        }
        let in_tree =
            ["awsElasticBlockStore", "gcePersistentDisk", "azureDisk", "azureFile", "cinder", "vsphereVolume", "portworxVolume", "iscsi", "fc", "rbd", "cephfs", "glusterfs"];
        for field in in_tree.into_iter().chain(["flexVolume", "nfs", "hostPath", "csi", "ephemeral", "fromTheFuture"]) {
            assert_eq!(of(field), ["Violated spec.volumes[d]"], "{field}");
        }
        let set = "{apiVersion: apps/v1, kind: StatefulSet, metadata: {}, spec: {template: {spec: {containers: [{name: c}], volumes: [{name: share, nfs: {}}]}},
            volumeClaimTemplates: [{metadata: {name: a}}, {metadata: {name: b}}]}}";
        let said = ["Violated spec.volumeClaimTemplates[a]", "Violated spec.volumeClaimTemplates[b]", "Violated spec.volumes[share]"];
        assert_eq!(judge_in(&CONTROL, set, &Namespace::default(), &policy("{}"), None, &facts()), said);
    }

    #[test]
    fn only_what_the_pods_carry_counts() {
        let spec = "{containers: [{name: c}], volumes: [{name: d, persistentVolumeClaim: {claimName: data}}]}";
        let (yes, no) = ("{annotations: {demarc.dev/encryption-at-rest: csi}}", "{}");
        for (own, template, said) in [(yes, no, vec!["Violated spec.volumes[d]"]), (no, yes, vec![])] {
            for yaml in [
                format!("{{apiVersion: apps/v1, kind: Deployment, metadata: {own}, spec: {{template: {{metadata: {template}, spec: {spec}}}}}}}"),
                format!(
                    "{{apiVersion: batch/v1, kind: CronJob, metadata: {own}, spec: {{jobTemplate: {{metadata: {own}, spec: {{template: {{metadata: {template}, spec: {spec}}}}}}}}}}}"
                ),
                format!("{{apiVersion: v1, kind: Pod, metadata: {template}, spec: {spec}}}"),
            ] {
                assert_eq!(judge_in(&CONTROL, &yaml, &Namespace::default(), &policy("{}"), None, &facts()), said, "{yaml}");
            }
        }
    }
}
