//! rbac-cluster-admin-restricted: only who is listed may do everything.
//! A binding of cluster-admin in one namespace gives all of that namespace; the group system:masters is beyond any RBAC, whatever it is bound to.

use super::{Applies, Check, Context, Control};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::{
        Finding,
        subject::{Grantee, Kind},
        text::shown,
    },
};

pub const CONTROL: Control = Control {
    id: "rbac-cluster-admin-restricted",
    title: "cluster-admin and system:masters only where allowed",
    group: "identity",
    severity: Severity::High,
    enforcement: Enforcement::Deny,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Provider],
    references: &[
        ("ISO 27001:2022", &["A.8.2"]),
        ("SOC 2", &["CC6.1", "CC6.3"]),
        ("CCM 4.0.12", &["IAM-05", "IAM-09", "IAM-10"]),
        ("NIST 800-53r5", &["AC-6", "AC-6(5)"]),
        ("CIS Kubernetes 2.0.1", &["5.1.1", "5.1.7"]),
    ],
    why: "Whoever may do everything may also undo every control.",
    checked: "A RoleBinding of the ClusterRole cluster-admin names only subjects that stand in policy.admins.allowed: users and groups by their name, ServiceAccounts as \
              system:serviceaccount:<namespace>:<name>. The group system:masters is in no RoleBinding. ClusterRoleBindings are judged \
              once for each Baseline, by its spec.cluster.admins, and reported in its status; Kubernetes' own, cluster-admin for system:masters, is fine.",
    unknown: "RoleBindings cannot be read.",
    fix: "bind a narrower role, or add the subject to policy.admins.allowed",
    kinds: &[Kind::RoleBinding, Kind::ClusterRoleBinding],
    root_only: false,
    confidential: false,
    check: Check::Object(check),
};

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    let Some(binding) = &cx.subject.binding else { return Applies::No };
    let allowed = cx.policy.admins.as_ref().map_or(&[][..], |a| &a.allowed);
    let admin = &*binding.role_ref.kind == "ClusterRole" && &*binding.role_ref.name == "cluster-admin";
    let is_built_in = cx.subject.kind == Kind::ClusterRoleBinding && &*cx.subject.meta.name == "cluster-admin" && admin;
    for subject in &binding.subjects {
        if &*subject.kind == "Group" && &*subject.name == "system:masters" {
            if is_built_in {
                continue;
            }
            out.push(Finding::violated("subjects[system:masters]", "system:masters", "binds system:masters, which may do everything anyhow", "bind another group"));
        } else if admin && !allowed.iter().any(|a| is(subject, a)) {
            // A user's name is a person's: the position tells which, and the message does not say it.
            let path = if &*subject.kind == "User" { "subjects".to_owned() } else { format!("subjects[{}]", shown(&subject.name, 63)) };
            let who = match &*subject.kind {
                "User" => "a user",
                "Group" => "a group",
                "ServiceAccount" => "a service account",
                _ => "somebody",
            };
            out.push(Finding::violated(
                path,
                format!("{} {} {}", &*subject.kind, &*subject.namespace, &*subject.name),
                format!("makes {who} cluster-admin that is not in policy.admins.allowed"),
                "bind a narrower role, or add the subject to policy.admins.allowed",
            ));
        }
    }
    Applies::Yes
}

/// Whether a name of the list is this subject's, as the API server spells it.
fn is(subject: &Grantee<'_>, name: &str) -> bool {
    match &*subject.kind {
        "ServiceAccount" => name.strip_prefix("system:serviceaccount:").and_then(|n| n.split_once(':')) == Some((&*subject.namespace, &*subject.name)),
        _ => *subject.name == *name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controls::testing::{judge, policy},
        model::facts::Facts,
    };

    #[test]
    fn only_who_is_listed_is_cluster_admin() {
        let settings = "admins: {allowed: [alice, ops, 'system:serviceaccount:ci:deployer']}";
        let admin = "{kind: ClusterRole, name: cluster-admin}";
        for (role, subjects, said) in [
            (admin, "[{kind: User, name: alice}, {kind: Group, name: ops}, {kind: ServiceAccount, name: deployer, namespace: ci}]", vec![]),
            (admin, "[{kind: User, name: bob}]", vec!["Violated subjects User  bob"]),
            (admin, "[{kind: Group, name: devs}]", vec!["Violated subjects[devs] Group  devs"]),
            (admin, "[{kind: ServiceAccount, name: deployer, namespace: shop}]", vec!["Violated subjects[deployer] ServiceAccount shop deployer"]),
            (admin, "[{kind: ServiceAccount, name: alice, namespace: shop}]", vec!["Violated subjects[alice] ServiceAccount shop alice"]),
            (admin, "null", vec![]),
            ("{kind: ClusterRole, name: view}", "[{kind: User, name: bob}]", vec![]),
            ("{kind: Role, name: cluster-admin}", "[{kind: User, name: bob}]", vec![]),
            ("{kind: ClusterRole, name: view}", "[{kind: Group, name: 'system:masters'}]", vec!["Violated subjects[system:masters] system:masters"]),
        ] {
            let yaml = format!("{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: b}}, roleRef: {role}, subjects: {subjects}}}");
            assert_eq!(judge(&CONTROL, &yaml, &policy(settings), &Facts::empty()), said, "{role} {subjects}");
        }
    }
}
