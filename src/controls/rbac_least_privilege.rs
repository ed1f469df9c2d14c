//! rbac-least-privilege: a role says which verbs on which resources, and hands out no secrets and no way to more rights.
//! Each offending rule is a finding of its own, with its position: rules have no names.

use super::{Applies, Check, Context, Control, cluster::is_built_in};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::{
        Finding,
        subject::{Kind, Rule},
    },
};

pub const CONTROL: Control = Control {
    id: "rbac-least-privilege",
    title: "Roles avoid wildcards, secret reads and escalation verbs",
    group: "identity",
    severity: Severity::High,
    enforcement: Enforcement::Warn,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Provider],
    references: &[
        ("ISO 27001:2022", &["A.8.2", "A.8.3"]),
        ("SOC 2", &["CC6.1", "CC6.3"]),
        ("CCM 4.0.12", &["IAM-05", "IAM-16"]),
        ("NIST 800-53r5", &["AC-6", "AC-3"]),
        ("CIS Kubernetes 2.0.1", &["5.1.2", "5.1.3", "5.1.8", "5.1.13"]),
    ],
    why: "A wildcard also gives what does not exist yet, a secret is somebody else's right, and some verbs are every right in one.",
    checked: "No rule of a Role has * among its verbs, resources or apiGroups; reads (get, list, watch) secrets without resourceNames; has the verbs escalate, bind or impersonate; or makes \
              tokens (create on serviceaccounts/token). ClusterRoles are judged once for each Baseline and reported in its status; those that \
              Kubernetes makes (system:, cluster-admin, admin, edit, view) are left out.",
    unknown: "Roles cannot be read.",
    fix: "name the verbs and resources that are used; add resourceNames for secrets",
    kinds: &[Kind::Role, Kind::ClusterRole],
    root_only: false,
    confidential: false,
    check: Check::Object(check),
};

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    if is_built_in(cx.subject) {
        return Applies::No;
    }
    for (i, rule) in cx.subject.rules.iter().enumerate() {
        for (field, what, message, fix) in offences(rule) {
            out.push(Finding::violated(format!("rules[{i}].{field}"), what, message, fix));
        }
    }
    Applies::Yes
}

type Offence = (&'static str, &'static str, &'static str, &'static str);

/// Field, fingerprint, message and fix of each.
fn offences(rule: &Rule<'_>) -> impl Iterator<Item = Offence> {
    let any = |list: &[crate::model::text::Str<'_>], words: &[&str]| list.iter().any(|w| words.contains(&&**w));
    let core = any(&rule.api_groups, &["", "*"]);
    [
        (any(&rule.verbs, &["*"]), ("verbs", "*", "allows every verb", "name the verbs that are used")),
        (any(&rule.resources, &["*", "*/*"]), ("resources", "*", "allows every resource", "name the resources that are used")),
        (any(&rule.api_groups, &["*"]), ("apiGroups", "*", "allows every API group", "name the API groups that are used")),
        (
            core && any(&rule.resources, &["secrets"]) && any(&rule.verbs, &["get", "list", "watch", "*"]) && rule.resource_names.is_empty(),
            ("resources", "secrets", "reads every Secret", "add resourceNames"),
        ),
        (any(&rule.verbs, &["escalate"]), ("verbs", "escalate", "may give itself more rights (escalate)", "remove the verb")),
        (any(&rule.verbs, &["bind"]), ("verbs", "bind", "may give itself any role (bind)", "remove the verb")),
        (any(&rule.verbs, &["impersonate"]), ("verbs", "impersonate", "may act as somebody else (impersonate)", "remove the verb")),
        (
            core && any(&rule.resources, &["serviceaccounts/token"]) && any(&rule.verbs, &["create", "*"]),
            ("resources", "serviceaccounts/token", "makes tokens of service accounts", "remove serviceaccounts/token"),
        ),
    ]
    .into_iter()
    .filter_map(|(offends, offence)| offends.then_some(offence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controls::testing::judge, model::facts::Facts};

    #[test]
    fn a_rule_says_what_is_used_and_no_more() {
        for (rule, said) in [
            ("apiGroups: [''], resources: [pods], verbs: [get, list]", vec![]),
            ("apiGroups: [''], resources: [pods], verbs: ['*']", vec!["Violated rules[0].verbs *"]),
            ("apiGroups: [''], resources: ['*'], verbs: [get]", vec!["Violated rules[0].resources *"]),
            ("apiGroups: ['*'], resources: [pods], verbs: [get]", vec!["Violated rules[0].apiGroups *"]),
            ("apiGroups: [''], resources: [secrets], verbs: [get]", vec!["Violated rules[0].resources secrets"]),
            ("apiGroups: [''], resources: [secrets], verbs: [watch], resourceNames: [db]", vec![]),
            ("apiGroups: [''], resources: [secrets], verbs: [create]", vec![]),
            ("apiGroups: [acme.example], resources: [secrets], verbs: [get]", vec![]),
            ("apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [escalate, bind]", vec!["Violated rules[0].verbs escalate", "Violated rules[0].verbs bind"]),
            ("apiGroups: [''], resources: [serviceaccounts], verbs: [impersonate]", vec!["Violated rules[0].verbs impersonate"]),
            ("apiGroups: [''], resources: [serviceaccounts/token], verbs: [create]", vec!["Violated rules[0].resources serviceaccounts/token"]),
            ("apiGroups: null, resources: null, verbs: null", vec![]),
        ] {
            let yaml = format!("{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: r}}, rules: [{{{rule}}}]}}");
            assert_eq!(judge(&CONTROL, &yaml, &Default::default(), &Facts::empty()), said, "{rule}");
        }
        let empty = "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r}, rules: null}";
        assert!(judge(&CONTROL, empty, &Default::default(), &Facts::empty()).is_empty());
    }
}
