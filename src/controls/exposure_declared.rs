//! exposure-declared: what can be reached from outside the cluster was declared so before.
//! Load balancers, node ports and external addresses of Services; hosts and internal paths of Ingresses.

use super::{Applies, Check, Context, Control};
use crate::{
    api::ownership::{Enforcement, Exposure, OwnerClass, Severity},
    model::{
        Finding,
        map::Map,
        subject::{IngressPath, IngressSpec, Kind, ServiceSpec},
        text::shown,
    },
};

pub const CONTROL: Control = Control {
    id: "exposure-declared",
    title: "Public exposure is declared before it happens",
    group: "network",
    severity: Severity::High,
    enforcement: Enforcement::Deny,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Provider],
    references: &[
        ("ISO 27001:2022", &["A.8.20", "A.8.21"]),
        ("SOC 2", &["CC6.6"]),
        ("CCM 4.0.12", &["IVS-03", "IVS-09"]),
        ("NIST 800-53r5", &["SC-7", "CM-7"]),
        ("CIS Kubernetes 2.0.1", &["1.2.3"]),
    ],
    why: "What anybody on the internet can reach is attacked within minutes; somebody must have wanted that, and it must be written down.",
    checked: "A Service of type LoadBalancer or NodePort, or with externalIPs, stands in policy.exposure.allow by its name, or its load balancer is internal by the cloud's own annotation \
              (azure-load-balancer-internal, networking.gke.io/load-balancer-type or cloud.google.com/load-balancer-type, aws-load-balancer-internal, aws-load-balancer-scheme). An Ingress \
              serves no wildcard and no empty host unless it stands there, and never a path of policy.exposure.internalPaths. The classes gce-internal, and alb with scheme internal, are not \
              public.",
    unknown: "An Ingress serves every path below one that lies above an internal path, or a pattern: whether the backend answers there is not seen. Serve the paths that are meant.",
    fix: "add its name to policy.exposure.allow, or make it internal",
    kinds: &[Kind::Service, Kind::Ingress],
    root_only: false,
    confidential: false,
    check: Check::Object(check),
};

/// A cloud makes a load balancer internal by one of these; letter case as the clouds' own controllers have it, which is any.
const INTERNAL: &[(&str, &str)] = &[
    ("service.beta.kubernetes.io/azure-load-balancer-internal", "true"),
    ("networking.gke.io/load-balancer-type", "internal"),
    ("cloud.google.com/load-balancer-type", "internal"),
    ("service.beta.kubernetes.io/aws-load-balancer-internal", "true"),
    ("service.beta.kubernetes.io/aws-load-balancer-scheme", "internal"),
];

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    let exposure = cx.policy.exposure.as_ref();
    let name = &*cx.subject.meta.name;
    let allowed = !name.is_empty() && exposure.is_some_and(|e| e.allow.iter().any(|a| a == name));
    if let Some(service) = &cx.subject.service {
        if !allowed {
            check_service(service, &cx.subject.meta.annotations, name, out);
        }
        return Applies::Yes;
    }
    let Some(ingress) = &cx.subject.ingress else { return Applies::No };
    if !is_internal(ingress, &cx.subject.meta.annotations) {
        check_ingress(ingress, exposure, allowed, name, out);
    }
    Applies::Yes
}

fn allow(name: &str) -> String {
    format!("add {} to policy.exposure.allow", if name.is_empty() { "its name".to_owned() } else { shown(name, 63) })
}

fn check_service(service: &ServiceSpec<'_>, annotations: &Map<'_>, name: &str, out: &mut Vec<Finding>) {
    let message = match &*service.kind {
        "LoadBalancer" if INTERNAL.iter().any(|(key, word)| annotations.get(key).is_some_and(|v| v.eq_ignore_ascii_case(word))) => None,
        "LoadBalancer" => Some("a public load balancer that is not declared"),
        "NodePort" => Some("a port of every node that is not declared"),
        _ => None,
    };
    if let Some(message) = message {
        let fix = format!("{}, or make it internal", allow(name));
        out.push(Finding::violated("spec.type", &*service.kind, message, fix));
    }
    if !service.external_ips.is_empty() {
        let mut addresses: Vec<&str> = service.external_ips.iter().map(|ip| &**ip).collect();
        addresses.sort_unstable();
        out.push(Finding::violated(
            "spec.externalIPs",
            addresses.join(","),
            "takes traffic of external addresses, not declared",
            format!("{}, or remove externalIPs", allow(name)),
        ));
    }
}

/// Whether the class of an Ingress is one that no stranger reaches. An annotation counts only beside the class whose controller obeys it.
fn is_internal(ingress: &IngressSpec<'_>, annotations: &Map<'_>) -> bool {
    let annotation = |key: &str| annotations.get(key);
    match ingress.ingress_class_name.as_deref().or_else(|| annotation("kubernetes.io/ingress.class")) {
        Some("gce-internal") => true,
        Some("alb") => annotation("alb.ingress.kubernetes.io/scheme") == Some("internal"),
        _ => false,
    }
}

fn check_ingress(ingress: &IngressSpec<'_>, exposure: Option<&Exposure>, allowed: bool, name: &str, out: &mut Vec<Finding>) {
    let any = |path: &str, out: &mut Vec<Finding>| out.push(Finding::violated(path, "", "serves any host, not declared", format!("name the host, or {}", allow(name))));
    if !allowed && ingress.default_backend.is_some() {
        any("spec.defaultBackend", out);
    }
    let mut seen_any = false;
    for rule in &ingress.rules {
        let host = if rule.host.is_empty() { "*".to_owned() } else { shown(&rule.host, 253) };
        if !allowed && rule.host.is_empty() {
            if !std::mem::replace(&mut seen_any, true) {
                any("spec.rules[*]", out);
            }
        } else if !allowed && rule.host.starts_with('*') {
            out.push(Finding::violated(format!("spec.rules[{host}]"), "", "serves a wildcard host, not declared", format!("name the hosts, or {}", allow(name))));
        }
        for internal in exposure.iter().flat_map(|e| &e.internal_paths) {
            // The worst path that a rule serves tells of all.
            let worst = rule.http.paths.iter().filter_map(|p| reach(p, internal).map(|r| (r, p))).max_by_key(|(r, _)| *r);
            let at = || format!("spec.rules[{host}].http.paths");
            match worst {
                Some((Reach::Serves, path)) => {
                    let message = format!("serves {}, which is internal", shown(&path.path, 63));
                    out.push(Finding::violated(at(), &**internal, message, "remove the path, or serve it by an internal ingress class"));
                }
                Some((Reach::May, path)) => {
                    let message = format!("serves all below {}; whether the backend answers {} is not seen", shown(or_root(&path.path), 63), shown(internal, 63));
                    out.push(Finding::unknown(at(), message, "serve the paths that are meant, by pathType Exact or Prefix"));
                }
                None => {}
            }
        }
    }
}

fn or_root(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

/// How far a path reaches into an internal one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// It lies above, or is a pattern that might match.
    May,
    /// It is the internal path, or lies below.
    Serves,
}

/// By whole segments, whatever the letter case: some controllers do not look at it.
fn reach(served: &IngressPath<'_>, internal: &str) -> Option<Reach> {
    let literal = match &*served.path_type {
        "Exact" | "Prefix" => &*served.path,
        // A pattern, for some controllers: what stands before its first special letter is certain.
        _ => served.path.split(['(', '[', '.', '*', '+', '?', '^', '$', '|', '\\', '{']).next().unwrap_or_default(),
    };
    let is_pattern = literal.len() < served.path.len();
    let mut own = literal.split('/').filter(|s| !s.is_empty()).peekable();
    let mut inner = internal.split('/').filter(|s| !s.is_empty()).peekable();
    while let (Some(a), Some(b)) = (own.peek(), inner.peek()) {
        if !a.eq_ignore_ascii_case(b) {
            // The last segment of a pattern may be the beginning of one.
            let begins = is_pattern && a.len() < b.len() && b.as_bytes()[..a.len()].eq_ignore_ascii_case(a.as_bytes());
            own.next();
            return (begins && own.peek().is_none()).then_some(Reach::May);
        }
        own.next();
        inner.next();
    }
    match (inner.peek(), &*served.path_type) {
        (None, _) => Some(Reach::Serves),
        (Some(_), "Exact") => None,
        (Some(_), _) => Some(Reach::May),
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
    fn a_service_is_public_only_if_it_was_declared() {
        for (annotation, spec, said) in [
            ("", "ports: [{port: 80}]", vec![]),
            ("", "type: ClusterIP", vec![]),
            ("", "type: null, externalIPs: null", vec![]),
            ("", "type: ExternalName, externalName: a.example", vec![]),
            ("", "type: LoadBalancer", vec!["Violated spec.type LoadBalancer"]),
            ("", "type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8]", vec!["Violated spec.type LoadBalancer"]),
            ("", "type: NodePort", vec!["Violated spec.type NodePort"]),
            ("", "externalIPs: [192.0.2.2, 192.0.2.1]", vec!["Violated spec.externalIPs 192.0.2.1,192.0.2.2"]),
            ("", "type: LoadBalancer, externalIPs: [192.0.2.1]", vec!["Violated spec.type LoadBalancer", "Violated spec.externalIPs 192.0.2.1"]),
            ("service.beta.kubernetes.io/azure-load-balancer-internal: 'true'", "type: LoadBalancer", vec![]),
            ("service.beta.kubernetes.io/azure-load-balancer-internal: 'false'", "type: LoadBalancer", vec!["Violated spec.type LoadBalancer"]),
            ("networking.gke.io/load-balancer-type: Internal", "type: LoadBalancer", vec![]),
            ("cloud.google.com/load-balancer-type: internal", "type: LoadBalancer", vec![]),
            ("service.beta.kubernetes.io/aws-load-balancer-internal: 'true'", "type: LoadBalancer", vec![]),
            ("service.beta.kubernetes.io/aws-load-balancer-scheme: internal", "type: LoadBalancer", vec![]),
            ("service.beta.kubernetes.io/aws-load-balancer-scheme: internet-facing", "type: LoadBalancer", vec!["Violated spec.type LoadBalancer"]),
            ("networking.gke.io/load-balancer-type: Internal", "type: NodePort", vec!["Violated spec.type NodePort"]),
            ("networking.gke.io/load-balancer-type: Internal", "type: LoadBalancer, externalIPs: [192.0.2.1]", vec!["Violated spec.externalIPs 192.0.2.1"]),
            ("networking.gke.io/Load-Balancer-Type: Internal", "type: LoadBalancer", vec!["Violated spec.type LoadBalancer"]),
        ] {
            let yaml = format!("{{apiVersion: v1, kind: Service, metadata: {{name: web, annotations: {{{annotation}}}}}, spec: {{{spec}}}}}");
            assert_eq!(judge(&CONTROL, &yaml, &Default::default(), &Facts::empty()), said, "{annotation} {spec}");
            assert!(judge(&CONTROL, &yaml, &policy("exposure: {allow: [web]}"), &Facts::empty()).is_empty(), "declared");
            assert_eq!(judge(&CONTROL, &yaml, &policy("exposure: {allow: [web-2, we]}"), &Facts::empty()), said, "another is declared");
        }
    }

    #[test]
    fn an_ingress_names_its_hosts() {
        for (meta, spec, said) in [
            ("", "rules: [{host: a.example}]", vec![]),
            ("", "rules: [{host: '*.a.example'}]", vec!["Violated spec.rules[*.a.example]"]),
            ("", "rules: [{}, {host: ''}]", vec!["Violated spec.rules[*]"]),
            ("", "defaultBackend: {service: {name: s}}", vec!["Violated spec.defaultBackend"]),
            ("", "rules: null", vec![]),
            ("", "ingressClassName: gce-internal, rules: [{}]", vec![]),
            ("kubernetes.io/ingress.class: gce-internal", "rules: [{}]", vec![]),
            ("alb.ingress.kubernetes.io/scheme: internal", "ingressClassName: alb, rules: [{}]", vec![]),
            ("alb.ingress.kubernetes.io/scheme: internal", "ingressClassName: nginx, rules: [{}]", vec!["Violated spec.rules[*]"]),
            ("kubernetes.io/ingress.class: gce-internal", "ingressClassName: nginx, rules: [{}]", vec!["Violated spec.rules[*]"]),
        ] {
            let yaml = format!("{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: web, annotations: {{{meta}}}}}, spec: {{{spec}}}}}");
            assert_eq!(judge(&CONTROL, &yaml, &Default::default(), &Facts::empty()), said, "{meta} {spec}");
            assert!(judge(&CONTROL, &yaml, &policy("exposure: {allow: [web]}"), &Facts::empty()).is_empty(), "declared");
        }
    }

    #[test]
    fn an_internal_path_is_never_public() {
        let settings = policy("exposure: {allow: [web], internalPaths: [/internal/admin]}");
        let (serves, may) = ("Violated spec.rules[a.example].http.paths /internal/admin", "Unknown spec.rules[a.example].http.paths");
        for (path, kind, said) in [
            ("/internal/admin", "Prefix", vec![serves]),
            ("/internal/admin", "Exact", vec![serves]),
            ("/internal/admin/", "Prefix", vec![serves]),
            ("//internal//admin/x", "Exact", vec![serves]),
            ("/Internal/Admin", "Prefix", vec![serves]),
            ("/internal/admin/.*", "ImplementationSpecific", vec![serves]),
            ("/internal/administration", "Prefix", vec![]),
            ("/internal", "Exact", vec![]),
            ("/internal", "Prefix", vec![may]),
            ("/", "Prefix", vec![may]),
            ("", "ImplementationSpecific", vec![may]),
            ("/internal/adm.*", "ImplementationSpecific", vec![may]),
            ("/(internal|x)", "ImplementationSpecific", vec![may]),
            ("/shop", "Prefix", vec![]),
            ("/shop/.*", "ImplementationSpecific", vec![]),
        ] {
            let yaml = format!(
                "{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: web}}, spec: {{rules: [{{host: a.example, http: {{paths: [{{path: '{path}', pathType: {kind}}}]}}}}]}}}}"
            );
            assert_eq!(judge(&CONTROL, &yaml, &settings, &Facts::empty()), said, "{path} {kind}");
        }
    }
}
