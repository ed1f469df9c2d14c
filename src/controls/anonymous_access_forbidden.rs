//! anonymous-access-forbidden: nothing is given to who has not said who they are, nor to everybody who has.
//! Group membership is read from the name alone: the API server puts every request into these groups.

use super::{Applies, Check, Context, Control};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::{Finding, subject::Kind},
};

pub const CONTROL: Control = Control {
    id: "anonymous-access-forbidden",
    title: "No grants to anonymous or all-authenticated groups",
    group: "identity",
    severity: Severity::Critical,
    enforcement: Enforcement::Deny,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Provider],
    references: &[
        ("ISO 27001:2022", &["A.5.15", "A.8.3"]),
        ("SOC 2", &["CC6.1", "CC6.3"]),
        ("CCM 4.0.12", &["IAM-16"]),
        ("NIST 800-53r5", &["AC-14", "AC-3"]),
        ("CIS Kubernetes 2.0.1", &["1.2.1"]),
    ],
    why: "A right of everybody is a right of whoever reaches the API server, with a stolen token or with none.",
    checked: "No subject of a RoleBinding is the user system:anonymous or one of the groups system:unauthenticated, system:authenticated and system:serviceaccounts. ClusterRoleBindings are \
              judged once for each Baseline and reported in its status; the five that Kubernetes makes for these groups (system:basic-user, system:discovery, system:public-info-viewer, \
              system:service-account-issuer-discovery, system:cluster-trust-bundle-discovery, each of the ClusterRole of that name) are left out.",
    unknown: "RoleBindings cannot be read.",
    fix: "bind a named group or a ServiceAccount instead",
    kinds: &[Kind::RoleBinding, Kind::ClusterRoleBinding],
    root_only: false,
    confidential: false,
    check: Check::Object(check),
};

/// What Kubernetes gives everybody. A binding's role cannot be changed, and who may change such a role has all that is in it.
const OWN: &[&str] = &["system:basic-user", "system:discovery", "system:public-info-viewer", "system:service-account-issuer-discovery", "system:cluster-trust-bundle-discovery"];

const EVERYBODY: &[(&str, &str)] = &[("User", "system:anonymous"), ("Group", "system:unauthenticated"), ("Group", "system:authenticated"), ("Group", "system:serviceaccounts")];

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    let Some(binding) = &cx.subject.binding else { return Applies::No };
    let name = &*cx.subject.meta.name;
    if cx.subject.kind == Kind::ClusterRoleBinding && OWN.contains(&name) && &*binding.role_ref.name == name {
        return Applies::No;
    }
    for (_, name) in EVERYBODY.iter().filter(|(kind, name)| binding.subjects.iter().any(|s| &*s.kind == *kind && &*s.name == *name)) {
        out.push(Finding::violated(format!("subjects[{name}]"), *name, format!("gives rights to {name}"), "bind a named group or a ServiceAccount instead"));
    }
    Applies::Yes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controls::testing::judge, model::facts::Facts};

    #[test]
    fn nothing_is_given_to_everybody() {
        for (subjects, said) in [
            ("[{kind: User, name: alice}, {kind: Group, name: devs}, {kind: ServiceAccount, name: web, namespace: shop}]", vec![]),
            ("[{kind: User, name: 'system:anonymous'}]", vec!["Violated subjects[system:anonymous] system:anonymous"]),
            ("[{kind: Group, name: devs}, {kind: Group, name: 'system:unauthenticated'}]", vec!["Violated subjects[system:unauthenticated] system:unauthenticated"]),
            ("[{kind: Group, name: 'system:authenticated'}]", vec!["Violated subjects[system:authenticated] system:authenticated"]),
            ("[{kind: Group, name: 'system:serviceaccounts'}]", vec!["Violated subjects[system:serviceaccounts] system:serviceaccounts"]),
            ("[{kind: Group, name: 'system:serviceaccounts:shop'}]", vec![]),
            ("[{kind: User, name: 'system:authenticated'}]", vec![]),
            ("null", vec![]),
        ] {
            let yaml = format!("{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: b}}, roleRef: {{kind: Role, name: r}}, subjects: {subjects}}}");
            assert_eq!(judge(&CONTROL, &yaml, &Default::default(), &Facts::empty()), said, "{subjects}");
        }
    }
}
