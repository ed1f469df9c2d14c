//! serviceaccount-token-restricted: a pod holds a token of the API server only when it has a use for it.
//! The pod's own word goes before its ServiceAccount's; whether there is a use is read from the bindings.

use std::collections::BTreeSet;

use super::{Applies, Check, Context, Control};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::{
        Finding,
        facts::ALL_ACCOUNTS,
        subject::{Kind, VolumeSource},
        text::shown,
    },
};

pub const CONTROL: Control = Control {
    id: "serviceaccount-token-restricted",
    title: "Service-account tokens mounted only where needed",
    group: "identity",
    severity: Severity::Medium,
    enforcement: Enforcement::Warn,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Provider],
    references: &[
        ("ISO 27001:2022", &["A.8.2"]),
        ("SOC 2", &["CC6.1", "CC6.3"]),
        ("CCM 4.0.12", &["IAM-05"]),
        ("NIST 800-53r5", &["AC-6"]),
        ("CIS Kubernetes 2.0.1", &["5.1.5", "5.1.6"]),
    ],
    why: "Whoever breaks into a container finds the token in it, and can do whatever its account may, now or after the next binding.",
    checked: "automountServiceAccountToken of the pod, else of its ServiceAccount, else true; and projected tokens without an audience of their own. A token whose account no RoleBinding or \
              ClusterRoleBinding names, by itself or as a group of service accounts, has no use. The account default has no binding at all, and pods with a use for a token name another.",
    unknown: "The ServiceAccount or the bindings cannot be read, or the account does not exist yet: say automountServiceAccountToken in the pod.",
    fix: "set automountServiceAccountToken: false, or name a ServiceAccount of its own",
    kinds: workloads_and!(ServiceAccount),
    root_only: false,
    confidential: false,
    check: Check::Object(check),
};

const PATH: &str = "spec.automountServiceAccountToken";
const NO_TOKEN: &str = "set automountServiceAccountToken: false";
/// What a pod runs as that names no account.
const DEFAULT: &str = "default";

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    let Some(pod) = &cx.subject.pod else { return account(cx, out) };
    let spec = &pod.spec;
    let projected = spec.volumes.iter().find(|v| matches!(v.source, VolumeSource::ApiToken));
    if spec.automount_token == Some(false) && projected.is_none() {
        return Applies::Yes;
    }
    let name = if spec.service_account.is_empty() { DEFAULT } else { &*spec.service_account };
    let key = format!("{}/{name}", cx.namespace.name);
    let account = cx.facts.accounts.as_ref().map(|accounts| accounts.get(&key));
    let mounted = match (spec.automount_token, &account) {
        (Some(said), _) => Some(said),
        (None, Ok(Some(account))) => Some(account.automount.unwrap_or(true)),
        (None, Ok(None) | Err(_)) => None,
    };
    let path = match (mounted, projected) {
        (Some(false), None) => return Applies::Yes,
        (Some(true), _) | (None, None) => PATH.to_owned(),
        // Mounted by hand: the account's word does not matter.
        (Some(false) | None, Some(volume)) => format!("spec.volumes[{}]", shown(&volume.name, 63)),
    };
    let bindings = match (&cx.facts.grants, &account) {
        (Ok(grants), Ok(Some(_))) => grants,
        // An account that is bound already is known well enough.
        (Ok(grants), Ok(None)) if name != DEFAULT && mounted == Some(true) && is_bound(grants, &key, &cx.namespace.name) => return Applies::Yes,
        (Ok(_), Ok(None)) => {
            out.push(Finding::unknown(path, format!("mounts a token unless its account says no, and account {} does not exist yet", shown(name, 63)), NO_TOKEN));
            return Applies::Yes;
        }
        (Err(reason), _) => {
            out.push(Finding::unknown(path, format!("whether its token has a use is not seen: {reason}"), NO_TOKEN));
            return Applies::Yes;
        }
        (_, Err(reason)) => {
            out.push(Finding::unknown(path, format!("whether its token has a use is not seen: {reason}"), NO_TOKEN));
            return Applies::Yes;
        }
    };
    if name == DEFAULT && bindings.contains_key(&key) {
        out.push(Finding::violated(path, name, "runs as the account default, which has rights", "name a ServiceAccount of its own in serviceAccountName"));
    } else if !is_bound(bindings, &key, &cx.namespace.name) {
        out.push(Finding::violated(path, name, format!("mounts the token of {}, which no binding gives a use", shown(name, 63)), NO_TOKEN));
    }
    Applies::Yes
}

/// Of accounts themselves only `default` is judged: any pod that names none runs as it.
fn account(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    if cx.subject.kind != Kind::ServiceAccount || &*cx.subject.meta.name != DEFAULT {
        return Applies::No;
    }
    match &cx.facts.grants {
        Ok(grants) if grants.contains_key(&format!("{}/{DEFAULT}", cx.namespace.name)) => {
            out.push(Finding::violated("metadata", "", "the account default has rights that every pod without another shares", "bind a ServiceAccount of its own instead"));
        }
        Ok(_) => {}
        Err(reason) => out.push(Finding::unknown("metadata", format!("its bindings are not seen: {reason}"), "let Demarc read rolebindings and clusterrolebindings")),
    }
    Applies::Yes
}

/// Whether any binding reaches the account, by its name or by a group that it is in.
fn is_bound(bindings: &std::collections::BTreeMap<String, BTreeSet<String>>, key: &str, namespace: &str) -> bool {
    bindings.contains_key(key) || bindings.contains_key(ALL_ACCOUNTS) || bindings.contains_key(&format!("{ALL_ACCOUNTS}:{namespace}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        controls::testing::judge_in,
        model::facts::{Account, Facts, Namespace, grantees},
    };

    fn facts() -> Facts {
        let accounts =
            [("default", None), ("bound", None), ("idle", None), ("shy", Some(false)), ("named", None)].map(|(n, automount)| (format!("shop/{n}"), Account { automount }));
        Facts { accounts: Ok(Arc::new(accounts.into())), grants: bound_to(&["shop/bound", "shop/early", "shop/named"]), ..Facts::empty() }
    }

    #[allow(clippy::unnecessary_wraps)] // A store, as facts have it.
    fn bound_to(accounts: &[&str]) -> crate::model::facts::Store<BTreeSet<String>> {
        Ok(Arc::new(accounts.iter().map(|a| ((*a).to_owned(), BTreeSet::from(["RoleBinding/shop/r".to_owned()]))).collect()))
    }

    fn judged(spec: &str, facts: &Facts) -> Vec<String> {
        let yaml = format!("{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d}}, spec: {{template: {{spec: {{containers: [{{name: c}}], {spec}}}}}}}}}");
        judge_in(&CONTROL, &yaml, &Namespace { name: "shop".into(), ..Namespace::default() }, &Default::default(), None, facts)
    }

    #[test]
    fn a_token_is_mounted_only_by_who_has_a_use_for_it() {
        let token = "volumes: [{name: t, projected: {sources: [{configMap: {name: c}}, {serviceAccountToken: {path: token}}]}}]";
        for (spec, said) in [
            ("automountServiceAccountToken: false", vec![]),
            ("", vec!["Violated spec.automountServiceAccountToken default"]),
            ("automountServiceAccountToken: true", vec!["Violated spec.automountServiceAccountToken default"]),
            ("automountServiceAccountToken: null", vec!["Violated spec.automountServiceAccountToken default"]),
            ("serviceAccountName: ''", vec!["Violated spec.automountServiceAccountToken default"]),
            ("serviceAccountName: bound", vec![]),
            ("serviceAccount: bound", vec![]),
            ("serviceAccountName: bound, serviceAccount: idle", vec![]),
            ("serviceAccountName: idle", vec!["Violated spec.automountServiceAccountToken idle"]),
            ("serviceAccountName: shy", vec![]),
            ("serviceAccountName: shy, automountServiceAccountToken: true", vec!["Violated spec.automountServiceAccountToken shy"]),
            ("serviceAccountName: missing", vec!["Unknown spec.automountServiceAccountToken"]),
            ("serviceAccountName: early, automountServiceAccountToken: true", vec![]),
            (&format!("automountServiceAccountToken: false, {token}"), vec!["Violated spec.volumes[t] default"]),
            (&format!("serviceAccountName: bound, automountServiceAccountToken: false, {token}"), vec![]),
            ("automountServiceAccountToken: false, volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: token, audience: vault}}]}}]", vec![]),
            ("automountServiceAccountToken: false, volumes: [{name: t, projected: null}, {name: u, projected: {sources: null}}]", vec![]),
        ] {
            assert_eq!(judged(spec, &facts()), said, "{spec}");
        }
        for group in ["system:serviceaccounts", "system:serviceaccounts:shop"] {
            assert!(judged("serviceAccountName: idle", &Facts { grants: bound_to(&[group]), ..facts() }).is_empty(), "{group}");
        }
        let elsewhere = Facts { grants: bound_to(&["system:serviceaccounts:other"]), ..facts() };
        assert_eq!(judged("serviceAccountName: idle", &elsewhere), ["Violated spec.automountServiceAccountToken idle"]);
        let shared = Facts { grants: bound_to(&["shop/default"]), ..facts() };
        assert_eq!(judged("", &shared), ["Violated spec.automountServiceAccountToken default"], "default with rights");
        for blind in [Facts { accounts: Err("no".into()), ..facts() }, Facts { grants: Err("no".into()), ..facts() }, Facts::none("no")] {
            assert_eq!(judged("", &blind), ["Unknown spec.automountServiceAccountToken"]);
            assert!(judged("automountServiceAccountToken: false", &blind).is_empty(), "nothing else need be known");
        }
    }

    #[test]
    fn the_default_account_has_no_rights() {
        let shop = Namespace { name: "shop".into(), ..Namespace::default() };
        let said = |name: &str, facts: &Facts| {
            judge_in(&CONTROL, &format!("{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}}}}}"), &shop, &Default::default(), None, facts)
        };
        assert_eq!(said("default", &Facts { grants: bound_to(&["shop/default"]), ..facts() }), ["Violated metadata"]);
        assert!(said("default", &facts()).is_empty());
        assert_eq!(said("default", &Facts::none("no")), ["Unknown metadata"]);
        assert_eq!(said("bound", &facts()), ["-"]);
    }

    #[test]
    fn a_binding_names_accounts_in_three_ways() {
        let binding = serde_json::json!({"metadata": {"name": "b"}, "subjects": [
            {"kind": "ServiceAccount", "name": "a", "namespace": "shop"}, {"kind": "User", "name": "system:serviceaccount:shop:b"}, {"kind": "User", "name": "alice"},
            {"kind": "Group", "name": "system:serviceaccounts:shop"}, {"kind": "Group", "name": "devs"}, {"kind": "ServiceAccount", "name": "no-namespace"}, null, 1]});
        assert_eq!(grantees(&binding), ["shop/a", "shop/b", "system:serviceaccounts:shop"]);
        let own = serde_json::json!({"metadata": {"name": "system:service-account-issuer-discovery"}, "subjects": [{"kind": "Group", "name": "system:serviceaccounts"}]});
        assert!(grantees(&own).is_empty() && grantees(&serde_json::json!({"subjects": null})).is_empty());
    }
}
