//! What is of the whole cluster and in no namespace: roles and bindings that hold everywhere, judged once for each Baseline.
//! Nobody is asked before they are made, so what is found is reported and never refused.

use jiff::Timestamp;

use super::{
    drift::{Drift, asked_of, unreadable},
    matrix::Matrix,
    objects::Room,
    verdict::{Door, evaluate},
};
use crate::{
    api::{
        baseline::Baseline,
        ownership::{Mode, Ownership, OwnershipSpec, Policy},
    },
    model::facts::{Facts, Namespace},
};

/// What a Baseline asks of the cluster's own.
pub fn matrix(baseline: &Baseline) -> Matrix {
    let spec = &baseline.spec;
    let asked = OwnershipSpec {
        service_model: spec.service_model.unwrap_or_default(),
        parties: spec.parties.clone(),
        controls: spec.controls.clone(),
        mode: Mode::Audit,
        policy: Policy { admins: spec.cluster.admins.clone(), ..Policy::default() },
        ..OwnershipSpec::default()
    };
    Matrix::resolve(&Ownership::new("cluster", asked))
}

/// What does not hold of the cluster's own, sorted. `room` is the one of what is in no namespace.
pub fn report(matrix: &Matrix, room: &Room, facts: &Facts, now: Timestamp) -> Vec<Drift> {
    let nowhere = Namespace::default();
    let mut drift = Vec::new();
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
    drift
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

    fn said(baseline: &Baseline, facts: &Facts) -> Vec<String> {
        let (matrix, objects) = (matrix(baseline), cluster());
        let drift = report(&matrix, objects.room(CLUSTER).unwrap(), facts, Timestamp::UNIX_EPOCH);
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
        assert_eq!(said(&baseline("serviceModel: PaaS"), &Facts::empty()), [open, admin, wide]);
        assert_eq!(said(&baseline("cluster: {admins: {allowed: ['system:ops']}}"), &Facts::empty()), [open, wide]);
        assert_eq!(
            said(&baseline("controls: [{control: rbac-least-privilege, enforcement: 'Off'}, {control: anonymous-access-forbidden, owner: NotApplicable}]"), &Facts::empty()),
            [admin]
        );
        let unseen = [(Kind::ClusterRole, "RBAC forbids reading them".to_owned()), (Kind::Role, "x".to_owned())];
        let blind = Facts { unseen: Arc::new(unseen.into()), ..Facts::empty() };
        assert_eq!(said(&baseline("serviceModel: PaaS"), &blind), [open, admin, wide, "rbac-least-privilege clusterroles Unknown"]);
    }

    #[test]
    fn the_status_of_a_baseline_says_it_once() {
        let mut floor = baseline("serviceModel: PaaS");
        let (matrix, objects) = (matrix(&floor), cluster());
        let members = Members { left: &[], declared: 1, undeclared: 2, drifting: 0, enforcing: fold([]) };
        let at = |s: &str| s.parse::<Timestamp>().unwrap();
        let drift = |objects: &Objects| objects.room(CLUSTER).map(|room| report(&matrix, room, &Facts::empty(), Timestamp::UNIX_EPOCH)).unwrap_or_default();
        let state = |floor: &Baseline| floor.status.as_ref().unwrap().conditions.iter().find(|c| c.type_ == "ClusterCompliant").map(|c| format!("{} {}", c.status, c.reason));
        floor.status = plan_baseline(&floor, &members, &matrix, &drift(&objects), at("2026-01-01T00:00:00Z"));
        let status = floor.status.as_ref().unwrap();
        assert_eq!((status.findings_total, status.findings.len(), status.findings[0].owed_by.as_str()), (5, 5, "acme (customer)"));
        assert_eq!(state(&floor).as_deref(), Some("False Drift"));
        assert_eq!(plan_baseline(&floor, &members, &matrix, &drift(&objects), at("2026-02-01T00:00:00Z")), None);
        floor.status = plan_baseline(&floor, &members, &matrix, &drift(&Objects::default()), at("2026-02-01T00:00:00Z"));
        assert_eq!((state(&floor).as_deref(), floor.status.as_ref().unwrap().findings_total), (Some("True AllHold"), 0));
    }
}
