//! data-classification-declared: what keeps data says how sensitive it is, or its namespace does.
//! An object may be stricter than its namespace, never milder. Other controls ask here which class an object is of.

use super::{Applies, Check, Context, Control};
use crate::{
    api::ownership::{Classification, Enforcement, OwnerClass, Severity},
    model::{Finding, map::Map, subject::Kind, text::shown},
};

pub const CONTROL: Control = Control {
    id: "data-classification-declared",
    title: "Namespace or workload states its data classification",
    group: "data",
    severity: Severity::Medium,
    enforcement: Enforcement::Warn,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Customer],
    references: &[("ISO 27001:2022", &["A.5.12", "A.5.13"]), ("SOC 2", &["C1.1", "CC2.1"]), ("CCM 4.0.12", &["DSP-04"]), ("NIST 800-53r5", &["RA-2"])],
    why: "Keys, backups and access are chosen by how sensitive the data is; where nobody says it, everybody guesses.",
    checked: "The first of policy.classification.keys (data-classification, dataclassification, data-sensitivity) that is a label or an annotation of the object, then of its namespace, \
              then policy.classification.default. The value is one of policy.classification.values (public, internal, confidential, restricted), mildest first, and the object's is not \
              milder than the namespace's.",
    unknown: "Never: the words are in the object, its namespace and its Ownership.",
    fix: "kubectl label namespace <namespace> data-classification=<public|internal|confidential|restricted>",
    kinds: &[Kind::Deployment, Kind::StatefulSet, Kind::PersistentVolumeClaim],
    root_only: true,
    confidential: false,
    check: Check::Object(check),
};

const KEYS: [&str; 3] = ["data-classification", "dataclassification", "data-sensitivity"];
const VALUES: [&str; 4] = ["public", "internal", "confidential", "restricted"];

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    let settings = cx.policy.classification.as_ref();
    let namespace = &*cx.namespace.name;
    let fix = || {
        let name = if namespace.is_empty() { "<namespace>" } else { namespace };
        let key = settings.and_then(|s| s.keys.first()).map_or(KEYS[0], String::as_str);
        format!("kubectl label namespace {} {}=<{}>", shown(name, 63), shown(key, 63), shown(&values(settings).collect::<Vec<_>>().join("|"), 60))
    };
    let (own, around) = stated(cx, settings);
    match own.or(around).or_else(|| default_of(settings)) {
        None => out.push(Finding::violated("metadata", "", "nobody states how sensitive its data is", fix())),
        Some(class) => match (rank(class, settings), around.and_then(|a| rank(a, settings))) {
            // The word itself is not repeated: it may be anything.
            (None, _) => out.push(Finding::violated("metadata", class, "its data classification is not one of the allowed words", fix())),
            (Some(own), Some(around)) if own < around => {
                out.push(Finding::violated("metadata", class, "its data classification is milder than its namespace's", "remove the object's own, or state a stricter one"));
            }
            (Some(_), _) => {}
        },
    }
    Applies::Yes
}

/// The class of an object's data: the allowed word as the policy spells it, `None` when nothing usable is stated. A milder word than the
/// namespace's does not count.
pub(super) fn class_of<'c>(cx: &Context<'c, '_>) -> Option<&'c str> {
    let settings = cx.policy.classification.as_ref();
    let (own, around) = stated(cx, settings);
    let ranked = |word: Option<&str>| word.map(|w| rank(w, settings));
    let best = match (ranked(own), ranked(around)) {
        // A word that nobody knows may mean the strictest.
        (Some(None), _) | (_, Some(None)) => None,
        (Some(own), Some(around)) => own.max(around),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => default_of(settings).and_then(|d| rank(d, settings)),
    };
    values(settings).nth(best?)
}

/// What the object states, and what its namespace does.
fn stated<'c>(cx: &Context<'c, '_>, settings: Option<&'c Classification>) -> (Option<&'c str>, Option<&'c str>) {
    let meta = &cx.subject.meta;
    let own = keys(settings).find_map(|key| find(&meta.labels, key).or_else(|| find(&meta.annotations, key)));
    let around = keys(settings).find_map(|key| find(&cx.namespace.labels, key).or_else(|| find(&cx.namespace.annotations, key)));
    (own, around)
}

fn find<'m>(map: &'m Map<'_>, key: &str) -> Option<&'m str> {
    map.get(key).map(str::trim)
}

fn keys(settings: Option<&Classification>) -> impl Iterator<Item = &str> {
    let own = settings.map_or(&[][..], |s| &s.keys);
    own.iter().map(String::as_str).chain(KEYS.into_iter().filter(|_| own.is_empty()))
}

fn values(settings: Option<&Classification>) -> impl Iterator<Item = &str> {
    let own = settings.map_or(&[][..], |s| &s.values);
    own.iter().map(String::as_str).chain(VALUES.into_iter().filter(|_| own.is_empty()))
}

fn default_of(settings: Option<&Classification>) -> Option<&str> {
    settings.and_then(|s| s.default_value.as_deref())
}

/// How sensitive a word says it is; letter case does not matter, as people write both.
fn rank(word: &str, settings: Option<&Classification>) -> Option<usize> {
    values(settings).position(|v| v.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controls::testing::{judge_in, policy},
        model::facts::{Facts, Namespace},
    };

    fn judged(meta: &str, namespace: &[(&str, &str)], settings: &str) -> Vec<String> {
        let labels = namespace.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let shop = Namespace { name: "shop".into(), labels, ..Namespace::default() };
        let yaml = format!("{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: c, {meta}}}, spec: {{}}}}");
        judge_in(&CONTROL, &yaml, &shop, &policy(settings), None, &Facts::empty())
    }

    #[test]
    fn the_object_its_namespace_or_the_ownership_states_a_class() {
        let (label, other) = (&[("data-classification", "confidential")][..], &[("tier", "gold")][..]);
        let own = "classification: {keys: [tier], values: [silver, gold]}";
        for (meta, namespace, settings, said) in [
            ("", &[][..], "{}", vec!["Violated metadata"]),
            ("", label, "{}", vec![]),
            ("labels: {data-classification: internal}", &[], "{}", vec![]),
            ("annotations: {dataclassification: internal}", &[], "{}", vec![]),
            ("labels: {data-sensitivity: Restricted}", &[], "{}", vec![]),
            ("labels: {data-classification: secret}", &[], "{}", vec!["Violated metadata secret"]),
            ("labels: {data-classification: ''}", label, "{}", vec!["Violated metadata"]),
            ("labels: {data-classification: internal}", label, "{}", vec!["Violated metadata internal"]),
            ("labels: {data-classification: restricted}", label, "{}", vec![]),
            ("", &[], "classification: {default: internal}", vec![]),
            ("", &[], "classification: {default: odd}", vec!["Violated metadata odd"]),
            ("", label, own, vec!["Violated metadata"]),
            ("", other, own, vec![]),
            ("labels: {tier: silver}", other, own, vec!["Violated metadata silver"]),
            ("labels: {data-classification: internal}", other, own, vec![]),
        ] {
            assert_eq!(judged(meta, namespace, settings), said, "{meta} {namespace:?} {settings}");
        }
    }
}
