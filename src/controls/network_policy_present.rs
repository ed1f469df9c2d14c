//! network-policy-present: a NetworkPolicy of the namespace selects every pod, so that not everybody can talk to it.
//! Ingress always, egress where the Ownership asks for it; a pod on the node's network is beyond any policy, and is told apart.

use super::{Applies, Check, Context, Control, WORKLOADS};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::Finding,
};

pub const CONTROL: Control = Control {
    id: "network-policy-present",
    title: "Every pod is selected by network policy",
    group: "network",
    severity: Severity::High,
    enforcement: Enforcement::Warn,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Provider],
    references: &[
        ("ISO 27001:2022", &["A.8.22"]),
        ("SOC 2", &["CC6.1", "CC6.6"]),
        ("CCM 4.0.12", &["IVS-03", "IVS-06"]),
        ("NIST 800-53r5", &["SC-7(5)", "AC-4"]),
        ("CIS Kubernetes 2.0.1", &["5.3.2"]),
    ],
    why: "Without a policy every pod of the cluster may talk to every other, so whoever is in one is in front of all.",
    checked: "The pod template's labels against the podSelector (matchLabels and matchExpressions) of each NetworkPolicy of the namespace whose policyTypes, or their default, name \
              Ingress, and Egress where policy.network.requireEgress is true. A pod with hostNetwork: true is a violation of its own. Whether the network plugin enforces policies, and \
              policies of its own kinds, are not looked at.",
    unknown: "NetworkPolicies cannot be read.",
    fix: "apply a NetworkPolicy with podSelector: {} that denies by default, and allow what is needed",
    kinds: WORKLOADS,
    root_only: false,
    confidential: false,
    check: Check::Object(check),
};

const FIX: &str = "apply a NetworkPolicy with podSelector: {} and policyTypes";

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    let Some(pod) = &cx.subject.pod else { return Applies::No };
    if pod.spec.host_network {
        out.push(Finding::violated("spec.hostNetwork", "hostNetwork", "on the node's network, which no policy reaches", "set hostNetwork: false"));
        return Applies::Yes;
    }
    let policies = match &cx.facts.network_policies {
        Ok(policies) => policies.get(&cx.namespace.name),
        Err(reason) => {
            out.push(Finding::unknown("metadata.labels", format!("network policies are not seen: {reason}"), "let Demarc read networkpolicies, or add them to the files"));
            return Applies::Yes;
        }
    };
    let egress_asked = cx.policy.network.as_ref().is_some_and(|n| n.require_egress);
    let (mut ingress, mut egress) = (false, !egress_asked);
    for policy in policies.into_iter().flat_map(|p| p.values()) {
        // The labels are looked at only by a policy that could add something.
        if (!ingress && policy.ingress || !egress && policy.egress) && policy.pods.matches(&pod.labels) {
            ingress |= policy.ingress;
            egress |= policy.egress;
        }
    }
    for (covered, direction) in [(ingress, "Ingress"), (egress, "Egress")] {
        if !covered {
            out.push(Finding::violated("metadata.labels", direction, format!("no NetworkPolicy selects it for {direction}"), format!("{FIX}: [{direction}]")));
        }
    }
    Applies::Yes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        controls::testing::{judge_in, policy},
        model::facts::{Facts, Namespace, NetworkPolicy},
    };

    fn facts(specs: &[&str]) -> Facts {
        let read = |spec: &&str| NetworkPolicy::read(&serde_saphyr::from_str(spec).unwrap());
        let policies = specs.iter().enumerate().filter_map(|(i, spec)| Some((format!("p{i}"), read(spec)?))).collect();
        Facts { network_policies: Ok(Arc::new([("shop".to_owned(), policies)].into())), ..Facts::empty() }
    }

    #[test]
    fn a_pod_is_selected_for_each_direction_that_is_asked() {
        let (ingress, egress) = ("Violated metadata.labels Ingress", "Violated metadata.labels Egress");
        let both = "network: {requireEgress: true}";
        for (policies, settings, said) in [
            (vec![], "{}", vec![ingress]),
            (vec![], both, vec![ingress, egress]),
            (vec!["{podSelector: {}}"], "{}", vec![]),
            (vec!["{podSelector: {}}"], both, vec![egress]),
            (vec!["{podSelector: {}, egress: []}"], both, vec![]),
            (vec!["{podSelector: {}, egress: [{}]}"], both, vec![]),
            (vec!["{podSelector: {}, policyTypes: [Egress]}"], "{}", vec![ingress]),
            (vec!["{podSelector: {}, policyTypes: [Egress], ingress: [{}]}"], "{}", vec![ingress]),
            (vec!["{podSelector: {}, policyTypes: [Egress]}", "{podSelector: {matchLabels: {app: web}}}"], both, vec![]),
            (vec!["{podSelector: {}, policyTypes: [Ingress, Egress]}"], both, vec![]),
            (vec!["{podSelector: {matchLabels: {app: web}}}"], "{}", vec![]),
            (vec!["{podSelector: {matchLabels: {app: api}}}"], "{}", vec![ingress]),
            (vec!["{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [api]}]}}"], "{}", vec![]),
            (vec!["{podSelector: {matchExpressions: [{key: app, operator: Near}]}}"], "{}", vec![ingress]),
            (vec!["{podSelector: {}, policyTypes: null}"], "{}", vec![]),
            (vec!["{}"], "{}", vec![]),
        ] {
            let yaml = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}}}";
            let said_in = |namespace: &str| judge_in(&CONTROL, yaml, &Namespace { name: namespace.into(), ..Namespace::default() }, &policy(settings), None, &facts(&policies));
            assert_eq!(said_in("shop"), said, "{policies:?} {settings}");
            assert!(said_in("elsewhere").contains(&ingress.to_owned()), "a policy is its namespace's own");
        }
    }

    #[test]
    fn the_nodes_network_is_beyond_policies_and_what_is_not_seen_is_unknown() {
        let pod = |spec: &str| format!("{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{containers: [{{name: c}}], {spec}}}}}");
        let shop = Namespace { name: "shop".into(), ..Namespace::default() };
        let said = |spec: &str, facts: &Facts| judge_in(&CONTROL, &pod(spec), &shop, &Default::default(), None, facts);
        assert_eq!(said("hostNetwork: true", &facts(&["{podSelector: {}}"])), ["Violated spec.hostNetwork hostNetwork"]);
        assert_eq!(said("", &Facts::none("no")), ["Unknown metadata.labels"]);
        assert!(said("", &facts(&["{podSelector: {}}"])).is_empty());
    }
}
