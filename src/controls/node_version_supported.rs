//! node-version-supported: nodes run a kubelet that is still mended, and are replaced before they grow old.
//! Nodes are the cluster's: one finding tells of all of them, and names the first few.
use super::{Applies, Check, Control, Declared, Notes, declared::days};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::{
        estate::{Node, Version},
        text::shown,
    },
};

pub const CONTROL: Control = Control {
    id: "node-version-supported",
    title: "Nodes run supported Kubernetes versions and are replaced in time",
    group: "platform",
    severity: Severity::High,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::Customer, OwnerClass::SharedDependent, OwnerClass::Provider],
    references: &[("ISO 27001:2022", &["A.8.8"]), ("SOC 2", &["CC7.1"]), ("CCM 4.0.12", &["TVM-03", "IVS-04"]), ("NIST 800-53r5", &["SI-2", "SA-22"])],
    why: "What nobody mends any more is open to whatever is found next, and a node that is never replaced is never patched either.",
    checked: "Every node's kubelet is at least platform.minKubelet, and not newer than the API server nor more than three minor versions older. Where \
              platform.maxNodeAge is set, no node joined longer ago. The operating system's own version is not looked at.",
    unknown: "Nodes cannot be read, one does not say its version, the API server does not say its own, or platform.minKubelet is not set: which versions are mended is \
              not in the cluster.",
    fix: "upgrade the node image, or replace the nodes; set spec.cluster.platform.minKubelet of the Baseline",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Cluster(check, |policy| policy.platform.is_some()),
};

/// How many minor versions a kubelet may be behind its API server, as Kubernetes has it since 1.28.
const SKEW: u32 = 3;

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    let platform = |field: &str| cx.setting(&format!("platform{field}"));
    let nodes = match &cx.facts.estate.nodes {
        Ok(nodes) if nodes.is_empty() => return Applies::No,
        Ok(nodes) => nodes,
        Err(reason) => {
            out.unknown(platform(""), format!("nodes are not seen: {reason}"), "let Demarc read nodes, or record evidence");
            return Applies::Yes;
        }
    };
    let which = |bad: &dyn Fn(&Node) -> bool| -> Option<String> {
        let named: Vec<String> = nodes.iter().filter(|(_, node)| bad(node)).map(|(name, _)| shown(name, 63)).collect();
        let more = if named.len() > 3 { " and others" } else { "" };
        (!named.is_empty()).then(|| format!("{}{more}", named.iter().take(3).cloned().collect::<Vec<_>>().join(", ")))
    };
    let asked = cx.policy.platform.as_ref();
    let upgrade = "upgrade the node image, or replace the nodes";
    if let Some(which) = which(&|node| node.kubelet.is_none()) {
        out.unknown(platform(""), format!("a kubelet's version cannot be read: {which}"), "look at the node");
    }
    match asked.and_then(|p| p.min_kubelet.as_deref()).map(Version::parse) {
        Some(Some(oldest)) => {
            if let Some(which) = which(&|node| node.kubelet.is_some_and(|v| v < oldest)) {
                out.violated(platform(".minKubelet"), format!("nodes run a kubelet older than {oldest}: {which}"), upgrade);
            }
        }
        Some(None) => out.unknown(platform(".minKubelet"), "minKubelet is no version", "write it as 1.35"),
        None => out.unknown(platform(""), "no policy says which kubelet is still mended", format!("set {}", platform(".minKubelet"))),
    }
    match cx.facts.estate.server {
        Some(server) => {
            let skewed = |v: Version| v.major != server.major || v.minor > server.minor || server.minor - v.minor > SKEW;
            if let Some(which) = which(&|node| node.kubelet.is_some_and(skewed)) {
                out.violated(platform(""), format!("nodes are too far from the API server's version {server}: {which}"), upgrade);
            }
        }
        None => out.unknown(platform(""), "the API server's own version is not seen", "let Demarc ask for /version"),
    }
    let Some(age) = asked.and_then(|p| p.max_node_age.as_deref()) else { return Applies::Yes };
    let Some(allowed) = days(age) else {
        out.unknown(platform(".maxNodeAge"), "maxNodeAge is not a number of days", "write it as P30D");
        return Applies::Yes;
    };
    let until = |node: &Node| node.created.and_then(|created| created.checked_add(allowed).ok());
    if let Some(which) = which(&|node| until(node).is_some_and(|until| until <= cx.now)) {
        out.violated(platform(".maxNodeAge"), format!("nodes are older than {age}: {which}"), "replace the nodes");
    }
    nodes.values().filter_map(until).filter(|until| *until > cx.now).min().map_or(Applies::Yes, Applies::Until)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        controls::declared::testing::stand,
        model::{estate::Estate, facts::Facts},
    };

    fn facts(server: &str, nodes: &[(&str, &str)]) -> Facts {
        let node = |(kubelet, created): &(&str, &str)| Node { kubelet: Version::parse(kubelet), linux: true, created: created.parse().ok() };
        let nodes = nodes.iter().enumerate().map(|(i, n)| (format!("n{i}"), node(n))).collect();
        Facts { estate: Estate { server: Version::parse(server), nodes: Ok(Arc::new(nodes)), ..Estate::empty() }, ..Facts::empty() }
    }

    #[test]
    fn nodes_are_young_and_of_a_version_that_is_mended() {
        let new = "2026-03-20T00:00:00Z";
        let policy = "policy: {platform: {minKubelet: '1.35', maxNodeAge: P30D}}";
        for (spec, facts, said) in [
            (policy, facts("1.37", &[]), vec!["-"]),
            (policy, facts("1.37", &[("v1.37.0", new), ("v1.35.9-eks-1", new)]), vec![]),
            (policy, facts("1.37", &[("v1.34.9", new), ("v1.35.0", new)]), vec!["Violated spec.policy.platform.minKubelet: nodes run a kubelet older than 1.35: n0"]),
            (policy, facts("1.36", &[("v1.37.0", new)]), vec!["Violated spec.policy.platform: nodes are too far from the API server's version 1.36: n0"]),
            (policy, facts("1.38", &[("v1.35.0", new)]), vec![]),
            (
                policy,
                facts("1.39", &[("v1.35.0", new), ("v1.35.0", new), ("v1.35.0", new), ("v1.35.0", new)]),
                vec!["Violated spec.policy.platform: nodes are too far from the API server's version 1.39: n0, n1, n2 and others"],
            ),
            (policy, facts("1.37", &[("v1.37.0", "2026-03-02T00:00:00Z")]), vec!["Violated spec.policy.platform.maxNodeAge: nodes are older than P30D: n0"]),
            (policy, facts("1.37", &[("v1.37.0", "2026-03-02T00:00:01Z")]), vec![]),
            (policy, facts("1.37", &[("", new)]), vec!["Unknown spec.policy.platform: a kubelet's version cannot be read: n0"]),
            (policy, facts("", &[("v1.37.0", new)]), vec!["Unknown spec.policy.platform: the API server's own version is not seen"]),
            ("", facts("1.37", &[("v1.37.0", "2020-01-01T00:00:00Z")]), vec!["Unknown spec.policy.platform: no policy says which kubelet is still mended"]),
            ("policy: {platform: {minKubelet: new}}", facts("1.37", &[("v1.37.0", new)]), vec!["Unknown spec.policy.platform.minKubelet: minKubelet is no version"]),
            (
                "policy: {platform: {minKubelet: '1.35', maxNodeAge: P0D}}",
                facts("1.37", &[("v1.37.0", new)]),
                vec!["Unknown spec.policy.platform.maxNodeAge: maxNodeAge is not a number of days"],
            ),
            (policy, Facts::none("RBAC forbids reading them"), vec!["Unknown spec.policy.platform: nodes are not seen: RBAC forbids reading them"]),
        ] {
            assert_eq!(stand(&CONTROL, spec, &facts), said, "{spec}");
        }
    }
}
