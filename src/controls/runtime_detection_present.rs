//! runtime-detection-present: an agent that notices an intruder runs on every node.
//! Which one it is the Baseline says, or the Ownership; a detection without an agent is attested.
use super::{
    Applies, Check, Control, Declared, Notes,
    declared::{Proof, day, proof, runs_everywhere},
};
use crate::api::ownership::{Enforcement, OwnerClass, Policy, Severity};

pub const CONTROL: Control = Control {
    id: "runtime-detection-present",
    title: "Intrusion detection runs on every node",
    group: "platform",
    severity: Severity::Medium,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::Customer, OwnerClass::SharedDependent, OwnerClass::Provider],
    references: &[("ISO 27001:2022", &["A.8.7", "A.8.16"]), ("SOC 2", &["CC6.8", "CC7.2"]), ("CCM 4.0.12", &["LOG-03", "IVS-09"]), ("NIST 800-53r5", &["SI-4", "SI-3"])],
    why: "An intruder on a node that nobody watches has all the time there is.",
    checked: "The DaemonSet of tooling.runtimeDetection is meant for every Linux node, and ready on all that it is meant for. Where none is named, the entry of this \
              control holds evidence whose validUntil lies ahead, as for a detection that needs no agent.",
    unknown: "No agent is named and nothing is attested, more than one DaemonSet has the name, or DaemonSets or nodes cannot be read. Name it in tooling.runtimeDetection \
              as namespace/name.",
    fix: "let the agent tolerate every taint; name it in spec.cluster.tooling.runtimeDetection of the Baseline",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Cluster(check, |policy| agent(policy).is_some()),
};

/// DaemonSets that are such agents, by the name that their own charts give them: a hint, for anybody may call one so.
const KNOWN: &[&str] = &[
    "falco",
    "tetragon",
    "kubearmor",
    "sysdig-agent",
    "falcon-node-sensor",
    "twistlock-defender-ds",
    "aqua-enforcer",
    "neuvector-enforcer-pod",
    "microsoft-defender-collector-ds",
    "sentinelone-agent",
    "lacework-agent",
    "wazuh-agent",
];

fn agent(policy: &Policy) -> Option<&str> {
    policy.tooling.as_ref()?.runtime_detection.as_deref().filter(|a| !a.is_empty())
}

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    if let Some(agent) = agent(cx.policy) {
        runs_everywhere(cx, agent, "tooling.runtimeDetection", out);
        return Applies::Yes;
    }
    let path = cx.setting("tooling");
    match proof(cx.duty, cx.now, out) {
        Proof::Counts => {}
        Proof::Lapsed(on) => out.violated(&path, format!("evidence expired {}", day(on)), format!("renew it, or name the agent in {path}.runtimeDetection")),
        Proof::Endless | Proof::None => {
            let seen = cx.facts.estate.agents.as_ref().ok().and_then(|agents| agents.keys().find(|key| key.split_once('/').is_some_and(|(_, name)| KNOWN.contains(&name))));
            let fix = format!("set {path}.runtimeDetection: {}", seen.map_or("<namespace>/<name>", String::as_str));
            out.unknown(path, "no agent is named, and nobody attests another detection", fix);
        }
    }
    Applies::Yes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        controls::declared::testing::{notes, stand},
        model::{
            estate::{Agent, Estate, Node},
            facts::Facts,
        },
    };

    fn facts(nodes: &[bool], agents: &[(&str, i64, i64)]) -> Facts {
        let nodes = nodes.iter().enumerate().map(|(i, linux)| (format!("n{i}"), Node { linux: *linux, ..Node::default() })).collect();
        let agents = agents.iter().map(|(key, desired, ready)| ((*key).to_owned(), Agent { desired: *desired, ready: *ready })).collect();
        Facts { estate: Estate { nodes: Ok(Arc::new(nodes)), agents: Ok(Arc::new(agents)), ..Estate::empty() }, ..Facts::empty() }
    }

    #[test]
    fn the_agent_that_is_named_runs_everywhere() {
        let path = "spec.policy.tooling.runtimeDetection";
        let (short, long) = ("policy: {tooling: {runtimeDetection: falco}}", "policy: {tooling: {runtimeDetection: sec/falco}}");
        for (spec, facts, said) in [
            (short, facts(&[true, true], &[("sec/falco", 2, 2)]), vec![]),
            (long, facts(&[true, true], &[("sec/falco", 2, 2), ("shop/falco", 0, 0)]), vec![]),
            (long, facts(&[true, false], &[("sec/falco", 1, 1)]), vec![]),
            (short, facts(&[true, true], &[("sec/falco", 2, 2), ("shop/falco", 2, 2)]), vec![format!("Unknown {path}: more than one DaemonSet is called falco")]),
            (short, facts(&[true], &[("sec/falco-2", 1, 1)]), vec![format!("Violated {path}: there is no DaemonSet falco")]),
            (long, facts(&[true], &[("shop/falco", 1, 1)]), vec![format!("Violated {path}: there is no DaemonSet sec/falco")]),
            (short, facts(&[true], &[("sec/falco", 1, 0)]), vec![format!("Violated {path}: DaemonSet sec/falco is not ready on every node that it is meant for")]),
            (short, facts(&[true, true], &[("sec/falco", 1, 1)]), vec![format!("Violated {path}: DaemonSet sec/falco is not meant for every Linux node")]),
            (short, facts(&[], &[("sec/falco", 0, 0)]), vec![format!("Violated {path}: DaemonSet sec/falco runs on no node")]),
            (short, Facts::none("x"), vec![format!("Unknown {path}: DaemonSets are not seen: x")]),
        ] {
            assert_eq!(stand(&CONTROL, spec, &facts), said, "{spec}");
        }
        let blind = Facts { estate: Estate { nodes: Err("x".into()), ..facts(&[], &[("sec/falco", 1, 1)]).estate }, ..Facts::empty() };
        assert_eq!(stand(&CONTROL, short, &blind), [format!("Unknown {path}: nodes are not seen: x")]);
    }

    #[test]
    fn without_an_agent_it_is_attested_or_unknown() {
        let entry = |until: &str| format!("controls: [{{control: runtime-detection-present, evidence: [{{type: a, ref: b, validUntil: '{until}'}}]}}]");
        for (spec, said) in [
            (String::new(), vec!["Unknown spec.policy.tooling: no agent is named, and nobody attests another detection"]),
            ("policy: {tooling: {runtimeDetection: ''}}".to_owned(), vec!["Unknown spec.policy.tooling: no agent is named, and nobody attests another detection"]),
            (entry("2026-05-01T00:00:00Z"), vec![]),
            (entry("2026-03-01T00:00:00Z"), vec!["Violated spec.policy.tooling: evidence expired 2026-03-01"]),
        ] {
            assert_eq!(stand(&CONTROL, &spec, &Facts::empty()), said, "{spec}");
        }
        let hint = notes(&CONTROL, "", &facts(&[true], &[("sec/falco", 1, 1)])).unwrap();
        assert_eq!(hint.findings[0].fix, "set spec.policy.tooling.runtimeDetection: sec/falco", "a name alone proves nothing");
    }
}
