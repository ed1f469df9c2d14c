//! What is of the whole cluster and in no namespace: roles and bindings that hold everywhere, nodes and the agents on them, judged once for each Baseline.
//! Nobody is asked before they are made, so what is found is reported and never refused.

use jiff::Timestamp;

use super::{
    drift::{Drift, asked_of, unreadable},
    matrix::Matrix,
    objects::Room,
    verdict::{Door, Judged, evaluate, evaluate_cluster},
};
use crate::{
    api::{
        baseline::{Baseline, ClusterSettings},
        ownership::{Enforcement, Mode, OwnerClass, Ownership, OwnershipSpec, Policy},
    },
    controls::{CATALOG, Check, Control, Due},
    model::facts::{Facts, Namespace},
};

/// As the settings of a namespace.
pub(super) fn policy(cluster: &ClusterSettings) -> Policy {
    let ClusterSettings { admins, tooling, platform } = cluster.clone();
    Policy { admins, tooling, platform, ..Policy::default() }
}

/// The controls about the cluster that a Baseline judges, by position.
pub(super) fn judged(baseline: &Baseline) -> impl Iterator<Item = usize> + '_ {
    let spec = &baseline.spec;
    let asks = |control: &Control| {
        let said = spec.controls.iter().find(|e| e.control == control.id);
        let owner = said.and_then(|e| e.owner).unwrap_or_else(|| control.owner(spec.service_model.unwrap_or_default()));
        said.and_then(|e| e.enforcement) != Some(Enforcement::Off) && owner != OwnerClass::NotApplicable
    };
    CATALOG.iter().enumerate().filter(move |(_, control)| matches!(control.check, Check::Cluster(..)) && asks(control)).map(|(i, _)| i)
}

/// Whether these settings are about the control at a position, one about the cluster.
pub(super) fn is_set(control: usize, policy: &Policy) -> bool {
    match CATALOG.get(control).map(|c| c.check) {
        Some(Check::Cluster(_, set)) => set(policy),
        None | Some(Check::Object(_) | Check::Existing(_) | Check::Namespace(_) | Check::Requester(..)) => false,
    }
}

/// How the cluster stands by one Baseline.
#[derive(Debug, Default)]
pub struct Standing {
    /// What does not hold, sorted.
    pub drift: Vec<Drift>,
    /// What was recorded and has lapsed or will, soonest first.
    pub dates: Vec<Due>,
}

/// What a Baseline asks of the cluster's own.
pub fn matrix(baseline: &Baseline) -> Matrix {
    let spec = &baseline.spec;
    let asked = OwnershipSpec {
        service_model: spec.service_model.unwrap_or_default(),
        parties: spec.parties.clone(),
        controls: spec.controls.clone(),
        mode: Mode::Audit,
        policy: policy(&spec.cluster),
        ..OwnershipSpec::default()
    };
    Matrix::resolve(&Ownership::new("cluster", asked))
}

/// How the cluster stands by the Baseline of this name. `room` is the one of what is in no namespace.
pub fn report(baseline: &str, matrix: &Matrix, room: &Room, facts: &Facts, now: Timestamp) -> Standing {
    let nowhere = Namespace::default();
    let declared = evaluate_cluster(matrix, facts, now);
    let mut drift: Vec<Drift> = Vec::new();
    for Judged { control, finding } in declared.judged {
        let message = format!("{}: {}", finding.path, finding.message);
        drift.push(Drift::new(matrix, control, finding.outcome, format!("baseline/{baseline}"), &message, false));
    }
    for (_, record) in room.iter() {
        let subject = match record.subject() {
            Ok(subject) => subject,
            Err(error) => {
                drift.extend(unreadable(record, matrix, &error));
                continue;
            }
        };
        for judged in evaluate(&subject, &nowhere, matrix, facts, false, Door::Cluster(&|| record.whole()), now).judged {
            let message = format!("{}: {}", judged.finding.path, judged.finding.message);
            drift.push(Drift::new(matrix, judged.control, judged.finding.outcome, subject.display_name(), &message, false));
        }
    }
    let unseen = facts.unseen.iter().filter(|(kind, _)| !kind.namespaced());
    drift.extend(unseen.flat_map(|(kind, why)| asked_of(*kind, matrix, kind.plural(), &format!("cannot be read: {why}"))));
    drift.sort_unstable();
    Standing { drift, dates: declared.dates }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        model::subject::Kind,
        policy::{
            enforcing::fold,
            objects::{CLUSTER, Objects},
            status::{Members, plan_baseline},
        },
    };

    fn baseline(spec: &str) -> Baseline {
        Baseline::new("floor", serde_saphyr::from_str(&format!("{{namespaceSelector: {{}}, parties: {{customer: acme}}, {spec}}}")).unwrap())
    }

    fn cluster() -> Objects {
        let mut objects = Objects::default();
        let subject = |kind: &str, name: &str| json!({"kind": kind, "name": name});
        let mut bind = |name: &str, role: &str, subjects: serde_json::Value| {
            let object = json!({"metadata": {"name": name, "uid": format!("b-{name}")}, "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": subjects});
            objects.put(Kind::ClusterRoleBinding, object);
        };
        bind("cluster-admin", "cluster-admin", json!([subject("Group", "system:masters")]));
        bind("system:discovery", "system:discovery", json!([subject("Group", "system:authenticated")]));
        bind("system:controller:x", "system:controller:x", json!([{"kind": "ServiceAccount", "name": "x", "namespace": "kube-system"}]));
        bind("ops", "cluster-admin", json!([subject("Group", "system:ops")]));
        bind("system:open", "view", json!([subject("Group", "system:unauthenticated")]));
        let every = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
        for name in ["cluster-admin", "system:node", "wide"] {
            objects.put(Kind::ClusterRole, json!({"metadata": {"name": name, "uid": format!("r-{name}")}, "rules": every}));
        }
        objects
    }

    /// Nothing is asked about nodes and what runs on them.
    const BARE: &str = "{control: node-version-supported, enforcement: 'Off'}, {control: runtime-detection-present, owner: NotApplicable}, {control: etcd-encryption-attested, enforcement: 'Off'}, {control: audit-logging-attested, enforcement: 'Off'}";

    fn said(baseline: &Baseline, facts: &Facts) -> Vec<String> {
        let (matrix, objects) = (matrix(baseline), cluster());
        let drift = report("floor", &matrix, objects.room(CLUSTER).unwrap(), facts, Timestamp::UNIX_EPOCH).drift;
        let mut said: Vec<String> = drift.iter().map(|d| format!("{} {} {:?}", matrix.row(d.control).id, d.object, d.outcome)).collect();
        said.dedup();
        said
    }

    #[test]
    fn what_is_of_the_whole_cluster_is_judged_but_for_kubernetes_own() {
        let (admin, open, wide) = (
            "rbac-cluster-admin-restricted clusterrolebinding/ops Violated",
            "anonymous-access-forbidden clusterrolebinding/system:open Violated",
            "rbac-least-privilege clusterrole/wide Violated",
        );
        assert_eq!(said(&baseline(&format!("controls: [{BARE}]")), &Facts::empty()), [open, admin, wide]);
        assert_eq!(said(&baseline(&format!("controls: [{BARE}], cluster: {{admins: {{allowed: ['system:ops']}}}}")), &Facts::empty()), [open, wide]);
        assert_eq!(
            said(
                &baseline(&format!("controls: [{BARE}, {{control: rbac-least-privilege, enforcement: 'Off'}}, {{control: anonymous-access-forbidden, owner: NotApplicable}}]")),
                &Facts::empty()
            ),
            [admin]
        );
        let unseen = [(Kind::ClusterRole, "RBAC forbids reading them".to_owned()), (Kind::Role, "x".to_owned())];
        let blind = Facts { unseen: Arc::new(unseen.into()), ..Facts::empty() };
        assert_eq!(said(&baseline(&format!("controls: [{BARE}]")), &blind), [open, admin, wide, "rbac-least-privilege clusterroles Unknown"]);
    }

    #[test]
    fn the_status_of_a_baseline_says_it_once() {
        let mut floor = baseline(&format!("controls: [{BARE}]"));
        let (matrix, objects) = (matrix(&floor), cluster());
        let members = Members { left: &[], declared: 1, undeclared: 2, drifting: 0, enforcing: fold([]), unseen: Vec::new() };
        let at = |s: &str| s.parse::<Timestamp>().unwrap();
        let drift = |objects: &Objects| objects.room(CLUSTER).map(|room| report("floor", &matrix, room, &Facts::empty(), Timestamp::UNIX_EPOCH)).unwrap_or_default();
        let state = |floor: &Baseline| floor.status.as_ref().unwrap().conditions.iter().find(|c| c.type_ == "ClusterCompliant").map(|c| format!("{} {}", c.status, c.reason));
        floor.status = plan_baseline(&floor, &members, &matrix, &drift(&objects), at("2026-01-01T00:00:00Z"));
        let status = floor.status.as_ref().unwrap();
        assert_eq!((status.findings_total, status.findings.len(), status.findings[0].owed_by.as_str()), (5, 5, "acme (customer)"));
        assert_eq!(state(&floor).as_deref(), Some("False Drift"));
        assert_eq!(plan_baseline(&floor, &members, &matrix, &drift(&objects), at("2026-02-01T00:00:00Z")), None);
        floor.status = plan_baseline(&floor, &members, &matrix, &drift(&Objects::default()), at("2026-02-01T00:00:00Z"));
        assert_eq!((state(&floor).as_deref(), floor.status.as_ref().unwrap().findings_total), (Some("True AllHold"), 0));
    }

    #[test]
    fn nodes_and_what_runs_on_them_are_judged_once_and_namespaces_refer_to_it() {
        use crate::{
            api::ownership::Verdict,
            controls::find,
            policy::{
                drift,
                enforcing::Proof,
                floor::Floor,
                status::{Observed, plan},
            },
        };
        let now: Timestamp = "2026-04-01T00:00:00Z".parse().unwrap();
        let asked = "cluster: {platform: {minKubelet: '1.35'}, tooling: {runtimeDetection: sec/falco}}";
        let attested = "controls: [{control: etcd-encryption-attested, evidence: [{type: a, ref: b, validUntil: '2026-05-01T00:00:00Z'}]}, {control: audit-logging-attested, enforcement: 'Off'}]";
        let node = crate::model::estate::Node { kubelet: crate::model::estate::Version::parse("1.34"), linux: true, created: None };
        let mut facts = Facts::empty();
        facts.estate.server = crate::model::estate::Version::parse("1.36");
        facts.estate.nodes = Ok(Arc::new([("n0".to_owned(), node)].into()));
        let floor = baseline(&format!("{asked}, {attested}"));
        let standing = report("floor", &matrix(&floor), &Room::default(), &facts, now);
        let told: Vec<String> = standing.drift.iter().map(|d| format!("{} {:?} {}", d.object, d.outcome, d.message)).collect();
        assert_eq!(
            told,
            [
                "baseline/floor Violated spec.cluster.platform.minKubelet: nodes run a kubelet older than 1.35: n0",
                "baseline/floor Violated spec.cluster.tooling.runtimeDetection: there is no DaemonSet sec/falco",
            ]
        );
        assert_eq!(standing.dates.len(), 1, "the evidence of etcd's encryption lapses: {:?}", standing.dates);

        let nodes = find("node-version-supported").unwrap();
        let shop = Namespace { name: "shop".into(), ..Namespace::default() };
        let ownership = |spec: &str| Ownership::new("default", serde_saphyr::from_str(&format!("{{serviceModel: PaaS, {spec}}}")).unwrap());
        let held = |spec: &str, baselines: &[&Baseline]| {
            let ownership = ownership(spec);
            let matrix = Floor::of(baselines.iter().copied(), &Arc::default()).map_or_else(|| Matrix::resolve(&ownership), |floor| floor.under(&ownership));
            let report = drift::report(&shop, &matrix, &Room::default(), &facts, now);
            let observed = Observed { generation: 0, enrolled: false, broken: None, critical: None, fault: None, proof: &Proof::Held, ending: None, note: None, written: None };
            (report.verdicts.clone(), plan(None, &matrix, &report, &observed, now).unwrap())
        };
        let own = "policy: {platform: {minKubelet: '1.35'}}";
        let off = baseline("controls: [{control: node-version-supported, enforcement: 'Off'}]");
        for (spec, baselines, verdict, by) in [
            ("", &[][..], Verdict::Unknown, &[][..]),
            (own, &[], Verdict::Violated, &[]),
            ("", &[&floor], Verdict::Inherited, &["floor"]),
            ("", &[&off], Verdict::Unknown, &[]),
            // Whoever asks for more is held to that, and whoever wants to know nothing is spared nothing but the copy.
            (own, &[&floor], Verdict::Violated, &[]),
            ("controls: [{control: node-version-supported, enforcement: 'Off'}]", &[&floor], Verdict::Inherited, &["floor"]),
            ("controls: [{control: node-version-supported, owner: NotApplicable}]", &[], Verdict::NotApplicable, &[]),
        ] {
            let (verdicts, status) = held(spec, baselines);
            assert_eq!((verdicts[nodes], status.matrix[nodes].judged_by.as_slice()), (verdict, &*by.iter().map(|b| (*b).to_owned()).collect::<Vec<_>>()), "{spec} {baselines:?}");
            let said = status.conditions.iter().find(|c| c.type_ == "Compliant").unwrap().message.clone();
            assert_eq!(said.ends_with("how the cluster stands is said by ClusterCompliant of baseline floor"), !baselines.is_empty(), "{said}");
        }
        let etcd = find("etcd-encryption-attested").unwrap();
        let lapsed = "controls: [{control: etcd-encryption-attested, evidence: [{type: a, ref: b, validUntil: '2026-03-01T00:00:00Z'}]}]";
        assert_eq!((held("", &[&floor]).0[etcd], held(lapsed, &[&floor]).0[etcd]), (Verdict::Inherited, Verdict::Violated), "evidence of one's own is looked at");
        let alone = Floor::of([&floor], &Arc::default()).unwrap().alone();
        assert_eq!(drift::report(&shop, &alone, &Room::default(), &facts, now).verdicts[etcd], Verdict::Inherited, "where nothing is declared nothing is copied");
    }
}
