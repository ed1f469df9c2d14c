//! workload-named-owner: every workload names the team or person that answers for it.
//! An alert about a workload that nobody owns is an alert that nobody reads.

use super::{Applies, Check, Context, Control};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::{Finding, map::Map, subject::Kind},
};

pub const CONTROL: Control = Control {
    id: "workload-named-owner",
    title: "Workload names a human or team owner",
    group: "governance",
    severity: Severity::High,
    enforcement: Enforcement::Deny,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Provider],
    references: &[("ISO 27001:2022", &["A.5.2", "A.5.9"]), ("SOC 2", &["CC1.3", "CC2.1"]), ("CCM 4.0.12", &["GRC-06", "HRS-09"]), ("NIST 800-53r5", &["CM-8(4)"])],
    why: "Somebody must answer when the workload is attacked, breaks or has to be patched.",
    checked: "The first of: annotation a8r.io/owner; annotation or label owner; label team; label dt.owner or dt.owner-*; the same on the pod template; the same on \
              the Namespace; the Ownership's defaultOwner. Placeholders (none, no owner, unknown, todo, n/a) do not count.",
    unknown: "Never: the names are in the object.",
    fix: "kubectl annotate <kind> <name> a8r.io/owner=<team or e-mail>",
    kinds: &[Kind::Pod, Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::ReplicaSet, Kind::ReplicationController, Kind::Job, Kind::CronJob, Kind::Service],
    root_only: true,
    confidential: false,
    check: Check::Object(check),
};

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    let subject = cx.subject;
    if named_owner(cx).is_none() {
        // Half a name could not be pasted.
        let name = if (1..=80).contains(&subject.meta.name.len()) { &subject.meta.name } else { "<name>" };
        let fix = format!("kubectl annotate {} {} a8r.io/owner=<team or e-mail>", subject.kind.lower(), crate::model::text::shown(name, 253));
        out.push(Finding::violated("metadata", "", "nobody is named", fix));
    }
    Applies::Yes
}

/// The owner that is named, the object's own before its namespace's.
pub(super) fn named_owner<'c>(cx: &Context<'c, '_>) -> Option<&'c str> {
    let subject = cx.subject;
    owner_in(&subject.meta.annotations, &subject.meta.labels)
        .or_else(|| subject.pod.as_ref().and_then(|pod| owner_in(&pod.annotations, &pod.labels)))
        .or_else(|| owner_in(&cx.namespace.annotations, &cx.namespace.labels))
        .or_else(|| cx.default_owner.filter(|owner| is_name(owner)))
}

/// Of several keys the one that says it most plainly.
fn owner_in<'m>(annotations: &'m Map<'_>, labels: &'m Map<'_>) -> Option<&'m str> {
    let annotated = annotations.iter().filter_map(|(k, v)| match k {
        "a8r.io/owner" => Some((0, v)),
        "owner" => Some((1, v)),
        _ => None,
    });
    let labelled = labels.iter().filter_map(|(k, v)| match k {
        "owner" => Some((2, v)),
        "team" => Some((3, v)),
        "dt.owner" => Some((4, v)),
        _ if k.starts_with("dt.owner-") => Some((5, v)),
        _ => None,
    });
    annotated.chain(labelled).filter(|(_, v)| is_name(v)).min_by_key(|(rank, _)| *rank).map(|(_, v)| v)
}

/// Whether `value` could name somebody.
fn is_name(value: &str) -> bool {
    let trimmed = value.trim();
    !["", "none", "no owner", "no-owner", "unknown", "todo", "tbd", "n/a", "na", "null", "-"].iter().any(|p| trimmed.eq_ignore_ascii_case(p))
        && trimmed.chars().any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controls::testing::judge_in,
        model::facts::{Facts, Namespace},
    };

    #[test]
    fn an_owner_is_found_where_teams_write_it() {
        let missing = vec!["Violated metadata".to_owned()];
        for (meta, template, default, holds) in [
            ("", "", None, false),
            ("annotations: {a8r.io/owner: shop@acme.example}", "", None, true),
            ("annotations: {owner: shop}", "", None, true),
            ("labels: {owner: shop}", "", None, true),
            ("labels: {team: shop}", "", None, true),
            ("labels: {dt.owner: shop}", "", None, true),
            ("labels: {dt.owner-email: shop}", "", None, true),
            ("", "labels: {team: shop}", None, true),
            ("", "", Some("shop"), true),
            ("", "", Some("todo"), false),
            ("labels: {app.kubernetes.io/managed-by: helm}", "", None, false),
            ("annotations: {a8r.io/owner: ''}", "", None, false),
            ("annotations: {a8r.io/owner: ' None '}", "", None, false),
            ("annotations: {a8r.io/owner: N/A}", "", None, false),
            ("annotations: {a8r.io/owner: '??'}", "", None, false),
            ("annotations: {A8R.io/owner: shop}", "", None, false),
        ] {
            let yaml = format!(
                "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web, {meta}}}, spec: {{template: {{metadata: {{{template}}}, spec: {{containers: [{{name: c}}]}}}}}}}}"
            );
            let said = judge_in(&CONTROL, &yaml, &Namespace::default(), &Default::default(), default, &Facts::empty());
            assert_eq!(said, if holds { vec![] } else { missing.clone() }, "{yaml} {default:?}");
        }
    }

    #[test]
    fn the_namespace_may_name_the_owner() {
        let namespace = Namespace { labels: [("team".to_owned(), "shop".to_owned())].into_iter().collect(), ..Namespace::default() };
        let yaml = "{apiVersion: v1, kind: Service, metadata: {name: web}}";
        assert!(judge_in(&CONTROL, yaml, &namespace, &Default::default(), None, &Facts::empty()).is_empty());
    }
}
