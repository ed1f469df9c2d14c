//! rbac-departed-subject: no binding gives anything to somebody who has left.
//! The rosters say who has; who is in a group is known to the identity provider alone.

use jiff::Timestamp;

use super::{
    Applies, Check, Context, Control,
    cluster::is_built_in,
    people::{Who, who},
};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::{Finding, subject::Kind, text::shown},
};

pub const CONTROL: Control = Control {
    id: "rbac-departed-subject",
    title: "No role binding for people who have left",
    group: "identity",
    severity: Severity::Critical,
    enforcement: Enforcement::Deny,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Customer],
    references: &[("ISO 27001:2022", &["A.5.18", "A.6.5"]), ("SOC 2", &["CC6.2", "CC6.3"]), ("CCM 4.0.12", &["IAM-07", "HRS-06"]), ("NIST 800-53r5", &["AC-2(3)", "PS-4"])],
    why: "Somebody who has left may still have a token or a certificate, and nobody watches what they do with it.",
    checked: "No User in a RoleBinding stands in a Roster with departedOn that has come; names are compared without letter case and without a prefix such as oidc:. A binding that is older \
              than the departure is reported and may stay as it is. ClusterRoleBindings are judged once \
              for each Baseline and reported in its status; those that Kubernetes makes (system:) are left out.",
    unknown: "A user stands in no Roster, Rosters cannot be read, or a Group is bound: who is in it is not in the cluster. A ServiceAccount does not exist, so whoever makes it gets the role.",
    fix: "remove the subject from the binding, and revoke its tokens and certificates",
    kinds: &[Kind::RoleBinding, Kind::ClusterRoleBinding],
    root_only: false,
    confidential: false,
    check: Check::Object(check),
};

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    let Some(binding) = cx.subject.binding.as_ref().filter(|_| !is_built_in(cx.subject)) else { return Applies::No };
    let mut until: Option<Timestamp> = None;
    let mut strangers = false;
    for subject in &binding.subjects {
        let name = &*subject.name;
        // A user's name is a person's: neither path nor message says it.
        match &*subject.kind {
            "User" | "Group" if name.starts_with("system:") => {}
            "User" => match cx.facts.rosters.as_ref().map(|rosters| who(rosters, name, cx.now)) {
                Ok(Who::Gone(left)) => {
                    let finding = Finding::violated("subjects", name, "binds a user who has left", "remove the subject, and revoke its tokens and certificates");
                    out.push(finding.by_fact_of(Some(left)));
                }
                Ok(Who::Here(leaves)) => until = until.into_iter().chain(leaves).min(),
                Ok(Who::Stranger) => strangers = true,
                Err(reason) => out.push(Finding::unknown("subjects", format!("whether a user has left is not seen: {reason}"), "let Demarc read rosters")),
            },
            "Group" => {
                let path = format!("subjects[{}]", shown(name, 63));
                out.push(Finding::unknown(path, "who is in a group is not seen", "review the group at the identity provider; bind users, or attest it"));
            }
            "ServiceAccount" => {
                let namespace = if subject.namespace.is_empty() { &cx.namespace.name } else { &*subject.namespace };
                if cx.facts.accounts.as_ref().is_ok_and(|accounts| !accounts.contains_key(&format!("{namespace}/{name}"))) {
                    let path = format!("subjects[{}]", shown(name, 63));
                    out.push(Finding::unknown(path, "binds a service account that does not exist: whoever makes it gets the role", "remove the subject, or make the account"));
                }
            }
            _ => {}
        }
    }
    if strangers {
        out.push(Finding::unknown("subjects", "binds a user who stands in no roster", "add the person to a Roster"));
    }
    until.map_or(Applies::Yes, Applies::Until)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        controls::{people::testing::rosters, testing::judge_in},
        model::facts::{Account, Facts, Namespace},
    };

    #[test]
    fn nobody_who_has_left_is_bound() {
        let facts = Facts {
            rosters: Ok(rosters("{name: jo, departedOn: '2026-03-01'}, {name: kim}, {name: lee, departedOn: '2026-05-01'}")),
            accounts: Ok(Arc::new([("shop/web".to_owned(), Account::default())].into())),
            ..Facts::empty()
        };
        let said = |subjects: &str, facts: &Facts| {
            let yaml = format!("{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: b}}, roleRef: {{kind: Role, name: r}}, subjects: {subjects}}}");
            judge_in(&CONTROL, &yaml, &Namespace { name: "shop".into(), ..Namespace::default() }, &Default::default(), None, facts)
        };
        for (subjects, expected) in [
            ("[{kind: User, name: kim}, {kind: User, name: 'oidc:lee'}]", vec![]),
            ("[{kind: User, name: jo}]", vec!["Violated subjects jo"]),
            ("[{kind: User, name: 'oidc:JO'}, {kind: User, name: kim}]", vec!["Violated subjects oidc:JO"]),
            ("[{kind: User, name: ann}, {kind: User, name: bob}]", vec!["Unknown subjects"]),
            ("[{kind: User, name: 'system:kube-scheduler'}, {kind: Group, name: 'system:serviceaccounts'}]", vec![]),
            ("[{kind: Group, name: devs}]", vec!["Unknown subjects[devs]"]),
            ("[{kind: ServiceAccount, name: web, namespace: shop}]", vec![]),
            ("[{kind: ServiceAccount, name: web}]", vec![]),
            ("[{kind: ServiceAccount, name: jo, namespace: shop}]", vec!["Unknown subjects[jo]"]),
            ("[{kind: Robot, name: jo}]", vec![]),
            ("null", vec![]),
        ] {
            assert_eq!(said(subjects, &facts), expected, "{subjects}");
        }
        assert_eq!(said("[{kind: User, name: kim}]", &Facts::none("RBAC forbids reading them")), ["Unknown subjects"]);
        assert_eq!(said("[{kind: User, name: kim}]", &Facts::empty()), ["Unknown subjects"], "nobody keeps a roster");
    }
}
