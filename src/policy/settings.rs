//! What settings a control reads, and whether settings ask for less than others did. What cannot be shown to ask for as much counts as less, so a setting that somebody adds is
//! guarded before anybody has thought about it.

use serde_json::{Value, json};

use crate::api::ownership::{Admins, Classification, Encryption, ExistingWorkloads, Exposure, Images, Mfa, Network, Patch, Platform, PodSecurity, Policy, RequireFor};

/// The settings that a control of the catalog reads, as text: while that is the same, it asks for the same. Of one that is not listed here all of
/// them count, for a line that stands too long would stop what runs (P16).
pub(super) fn read_by(control: &str, policy: &Policy, default_owner: Option<&str>) -> String {
    let Policy { images, patch, exposure, classification, encryption, network, admins, tooling: _, platform: _, pod_security, mfa } = policy;
    let read = match control {
        "workload-named-owner" => json!(default_owner),
        "image-registry-allowed" => json!(images),
        "image-age-within-patch-policy" => json!(patch),
        "exposure-declared" => json!(exposure),
        "data-classification-declared" | "pvc-customer-managed-key" => json!(classification),
        "encryption-declared" => json!(encryption),
        "network-policy-present" => json!(network),
        "rbac-cluster-admin-restricted" => json!(admins),
        "pod-security-standard" => json!(pod_security),
        "mfa-enforced" => json!(mfa),
        "pvc-storage-encrypted"
        | "ingress-tls-required"
        | "image-pinned-by-digest"
        | "serviceaccount-token-restricted"
        | "secrets-not-in-plain-env"
        | "rbac-least-privilege"
        | "rbac-departed-subject"
        | "anonymous-access-forbidden" => Value::Null,
        _ => json!((policy, default_owner)),
    };
    read.to_string()
}

/// The paths below `spec` at which `new` asks for less than `old`, or may.
pub(super) fn looser(old: &Policy, new: &Policy) -> Vec<&'static str> {
    let Policy { images, patch, exposure, classification, encryption, network, admins, tooling, platform, pod_security, mfa } = new;
    let mut found = Vec::new();
    let mut unless = |path: &'static str, same: bool, as_strict: bool| {
        if !same && !as_strict {
            found.push(path);
        }
    };
    unless("spec.policy.images", *images == old.images, held(old.images.as_ref(), images.as_ref(), images_hold));
    unless("spec.policy.patch", *patch == old.patch, held(old.patch.as_ref(), patch.as_ref(), patch_holds));
    unless("spec.policy.exposure", *exposure == old.exposure, exposure_holds(&or_default(old.exposure.as_ref()), &or_default(exposure.as_ref())));
    unless("spec.policy.classification", *classification == old.classification, held(old.classification.as_ref(), classification.as_ref(), classification_holds));
    unless("spec.policy.encryption", *encryption == old.encryption, encryption_holds(&or_default(old.encryption.as_ref()), &or_default(encryption.as_ref())));
    let egress = |n: Option<&Network>| n.is_some_and(|n| n.require_egress);
    unless("spec.policy.network", *network == old.network, egress(network.as_ref()) >= egress(old.network.as_ref()));
    let admins_hold = |old: &Admins, new: &Admins| within(&new.allowed, &old.allowed);
    unless("spec.policy.admins", *admins == old.admins, admins_hold(&or_default(old.admins.as_ref()), &or_default(admins.as_ref())));
    // Another agent is another promise; one more is more.
    unless("spec.policy.tooling", *tooling == old.tooling, old.tooling.is_none());
    unless("spec.policy.platform", *platform == old.platform, held(old.platform.as_ref(), platform.as_ref(), platform_holds));
    let level = |p: Option<&PodSecurity>| p.cloned().unwrap_or_default().level;
    unless("spec.policy.podSecurity", *pod_security == old.pod_security, level(pod_security.as_ref()) >= level(old.pod_security.as_ref()));
    let mfa_holds = |old: &Mfa, new: &Mfa| new.extra == old.extra && within(&new.values, &old.values) && within(&new.machines, &old.machines);
    unless("spec.policy.mfa", *mfa == old.mfa, old.mfa.is_none() || held(old.mfa.as_ref(), mfa.as_ref(), mfa_holds));
    found
}

/// Whether less of what stood before is spared than was, or as much.
pub(super) fn spares_no_more(old: &ExistingWorkloads, new: &ExistingWorkloads) -> bool {
    let ends = |o: &ExistingWorkloads| o.until.as_ref().map(|t| t.0);
    let until = match (ends(old), ends(new)) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(old), Some(new)) => new <= old,
    };
    // None is before every instant.
    let before = |o: &ExistingWorkloads| o.created_before.as_ref().map(|t| t.0);
    new.policy >= old.policy && until && before(new) <= before(old)
}

fn or_default<T: Clone + Default>(setting: Option<&T>) -> T {
    setting.cloned().unwrap_or_default()
}

/// Unset asks for nothing, or for a default that a value may be below of: only `holds` of two values shows anything.
fn held<T>(old: Option<&T>, new: Option<&T>, holds: impl Fn(&T, &T) -> bool) -> bool {
    old.zip(new).is_some_and(|(old, new)| holds(old, new))
}

fn within(few: &[String], many: &[String]) -> bool {
    few.iter().all(|one| many.contains(one))
}

/// None allowed is all allowed.
fn images_hold(old: &Images, new: &Images) -> bool {
    old.allowed_prefixes.is_empty() || (!new.allowed_prefixes.is_empty() && within(&new.allowed_prefixes, &old.allowed_prefixes))
}

fn days(duration: Option<&String>) -> Option<u32> {
    duration?.strip_prefix('P')?.strip_suffix('D')?.parse().ok()
}

fn no_longer(old: Option<&String>, new: Option<&String>) -> bool {
    old == new || days(old).zip(days(new)).is_some_and(|(old, new)| new <= old)
}

fn patch_holds(old: &Patch, new: &Patch) -> bool {
    let remediation = |severity, days| new.remediation_days.get(severity).is_some_and(|new| new <= days);
    no_longer(old.max_image_age.as_ref(), new.max_image_age.as_ref())
        && new.remediation_days.keys().all(|severity| old.remediation_days.contains_key(severity))
        && old.remediation_days.iter().all(|(severity, days)| remediation(severity, days))
}

fn exposure_holds(old: &Exposure, new: &Exposure) -> bool {
    within(&new.allow, &old.allow) && within(&old.internal_paths, &new.internal_paths)
}

fn classification_holds(old: &Classification, new: &Classification) -> bool {
    let rest = |c: &Classification| Classification { cmk_required_for: Vec::new(), ..c.clone() };
    rest(old) == rest(new) && within(&old.cmk_required_for, &new.cmk_required_for)
}

fn encryption_holds(old: &Encryption, new: &Encryption) -> bool {
    let wide = |r: RequireFor| r == RequireFor::All;
    within(&new.annotation_keys, &old.annotation_keys) && within(&new.accepted_values, &old.accepted_values) && wide(new.require_for) >= wide(old.require_for)
}

fn platform_holds(old: &Platform, new: &Platform) -> bool {
    let version = |v: &Option<String>| v.as_ref().and_then(|v| v.split_once('.')).and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    let kubelet = old.min_kubelet == new.min_kubelet || version(&old.min_kubelet).zip(version(&new.min_kubelet)).is_some_and(|(old, new)| new >= old);
    kubelet && no_longer(old.max_node_age.as_ref(), new.max_node_age.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::ownership::Enforcement, controls::CATALOG};

    /// By what its source names, without its tests: what it reads and does not count would stop what runs.
    #[test]
    fn every_setting_that_a_control_names_counts_for_it() {
        let some = [
            ("images", "{allowedPrefixes: [a]}"),
            ("patch", "{maxImageAge: P30D}"),
            ("exposure", "{allow: [a]}"),
            ("classification", "{values: [a]}"),
            ("encryption", "{requireFor: All}"),
            ("network", "{requireEgress: true}"),
            ("admins", "{allowed: [a]}"),
            ("tooling", "{logging: a}"),
            ("platform", "{minKubelet: '1.30'}"),
            ("podSecurity", "{level: Restricted}"),
            ("mfa", "{extra: a/b, values: [a]}"),
        ];
        let read = |section: &str, value: &str| serde_saphyr::from_str::<Policy>(&format!("{{{section}: {value}}}")).unwrap();
        let none = Policy::default();
        let all = serde_json::to_value(&none).unwrap().as_object().unwrap().len().max(some.len());
        assert_eq!(all, some.len(), "a setting that is new");
        for control in CATALOG.iter().filter(|c| c.ceiling() == Enforcement::Deny) {
            let file = format!("src/controls/{}.rs", control.id.replace('-', "_"));
            let source = std::fs::read_to_string(&file).unwrap();
            let source = source.split("#[cfg(test)]").next().unwrap();
            let of = |policy: &Policy, owner| read_by(control.id, policy, owner);
            for (section, value) in some {
                let snake = section.replace("podSecurity", "pod_security");
                let named = source.contains(&format!("policy.{section}")) || source.contains(&format!("policy.{snake}"));
                let counts = of(&none, None) != of(&read(section, value), None);
                assert_eq!(named, counts, "{file}: policy.{section}");
            }
            assert_eq!(source.contains("default_owner"), of(&none, None) != of(&none, Some("a")), "{file}: defaultOwner");
        }
        // What they share is told by who calls it.
        for shared in ["storage", "routes", "people", "parties", "mod"] {
            let source = std::fs::read_to_string(format!("src/controls/{shared}.rs")).unwrap();
            assert!(!source.split("#[cfg(test)]").next().unwrap().contains("cx.policy"), "{shared}: name the setting where it is read");
        }
        assert_ne!(read_by("a-new-one", &none, None), read_by("a-new-one", &read("mfa", "{extra: a/b, values: [a]}"), None), "of what is not listed all count");
    }

    #[test]
    fn less_is_told_at_its_path_and_as_much_is_not() {
        for (old, new, path) in [
            ("{}", "{}", None),
            ("{images: {allowedPrefixes: [a, b]}}", "{images: {allowedPrefixes: [a]}}", None),
            ("{images: {allowedPrefixes: [a]}}", "{images: {allowedPrefixes: [a, b]}}", Some("spec.policy.images")),
            ("{images: {allowedPrefixes: [a]}}", "{images: {allowedPrefixes: []}}", Some("spec.policy.images")),
            ("{images: {allowedPrefixes: [a]}}", "{}", Some("spec.policy.images")),
            ("{patch: {maxImageAge: P90D}}", "{patch: {maxImageAge: P30D}}", None),
            ("{patch: {maxImageAge: P30D}}", "{patch: {maxImageAge: P90D}}", Some("spec.policy.patch")),
            ("{}", "{patch: {maxImageAge: P9000D}}", Some("spec.policy.patch")),
            ("{patch: {remediationDays: {high: 7}}}", "{patch: {remediationDays: {high: 5}}}", None),
            ("{patch: {remediationDays: {high: 7}}}", "{patch: {remediationDays: {high: 9}}}", Some("spec.policy.patch")),
            ("{patch: {remediationDays: {high: 7}}}", "{patch: {remediationDays: {}}}", Some("spec.policy.patch")),
            ("{exposure: {allow: [a]}}", "{}", None),
            ("{}", "{exposure: {allow: [a]}}", Some("spec.policy.exposure")),
            ("{exposure: {internalPaths: [/a]}}", "{exposure: {internalPaths: [/a, /b]}}", None),
            ("{exposure: {internalPaths: [/a]}}", "{}", Some("spec.policy.exposure")),
            ("{classification: {values: [low]}}", "{classification: {values: [low], cmkRequiredFor: [low]}}", None),
            ("{classification: {values: [low]}}", "{classification: {values: [low, high]}}", Some("spec.policy.classification")),
            ("{encryption: {requireFor: Storage}}", "{encryption: {requireFor: All}}", None),
            ("{encryption: {requireFor: All}}", "{}", Some("spec.policy.encryption")),
            ("{}", "{encryption: {acceptedValues: [none]}}", Some("spec.policy.encryption")),
            ("{}", "{network: {requireEgress: true}}", None),
            ("{network: {requireEgress: true}}", "{}", Some("spec.policy.network")),
            ("{admins: {allowed: [a, b]}}", "{admins: {allowed: [b]}}", None),
            ("{}", "{admins: {allowed: [b]}}", Some("spec.policy.admins")),
            ("{}", "{tooling: {logging: fluent-bit}}", None),
            ("{tooling: {logging: fluent-bit}}", "{tooling: {logging: other}}", Some("spec.policy.tooling")),
            ("{platform: {minKubelet: '1.9'}}", "{platform: {minKubelet: '1.10'}}", None),
            ("{platform: {minKubelet: '1.10'}}", "{platform: {minKubelet: '1.9'}}", Some("spec.policy.platform")),
            ("{platform: {maxNodeAge: P30D}}", "{platform: {}}", Some("spec.policy.platform")),
            ("{}", "{podSecurity: {level: Restricted}}", None),
            ("{}", "{mfa: {extra: a/b, values: [mfa]}}", None),
            ("{mfa: {extra: a/b, values: [mfa, hwk]}}", "{mfa: {extra: a/b, values: [hwk]}}", None),
            ("{mfa: {extra: a/b, values: [mfa]}}", "{mfa: {extra: a/b, values: [mfa, pwd]}}", Some("spec.policy.mfa")),
            ("{mfa: {extra: a/b, values: [mfa]}}", "{mfa: {extra: a/b, values: [mfa], machines: [jo]}}", Some("spec.policy.mfa")),
            ("{mfa: {extra: a/b, values: [mfa]}}", "{mfa: {extra: c/d, values: [mfa]}}", Some("spec.policy.mfa")),
            ("{mfa: {extra: a/b, values: [mfa]}}", "{}", Some("spec.policy.mfa")),
            ("{podSecurity: {level: Restricted}}", "{podSecurity: {level: Baseline}}", Some("spec.policy.podSecurity")),
            ("{podSecurity: {level: Restricted}}", "{}", Some("spec.policy.podSecurity")),
        ] {
            let read = |s: &str| serde_saphyr::from_str::<Policy>(s).unwrap();
            assert_eq!(looser(&read(old), &read(new)), path.into_iter().collect::<Vec<_>>(), "{old} → {new}");
        }
    }

    #[test]
    fn what_stood_before_is_spared_no_longer_and_no_wider() {
        for (old, new, as_strict) in [
            ("{}", "{policy: Deny}", true),
            ("{policy: Deny}", "{}", false),
            ("{}", "{until: '2026-05-01T00:00:00Z'}", true),
            ("{until: '2026-05-01T00:00:00Z'}", "{}", false),
            ("{until: '2026-05-01T00:00:00Z'}", "{until: '2026-06-01T00:00:00Z'}", false),
            ("{until: '2026-05-01T00:00:00Z'}", "{until: '2026-04-01T00:00:00Z'}", true),
            ("{}", "{createdBefore: '2999-01-01T00:00:00Z'}", false),
            ("{createdBefore: '2999-01-01T00:00:00Z'}", "{}", true),
        ] {
            let read = |s: &str| serde_saphyr::from_str::<ExistingWorkloads>(s).unwrap();
            assert_eq!(spares_no_more(&read(old), &read(new)), as_strict, "{old} → {new}");
        }
    }
}
