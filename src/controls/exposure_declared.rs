//! exposure-declared: what can be reached from outside the cluster was declared so before.
//! Load balancers, node ports and external addresses of Services; hosts and internal paths of Ingresses, Gateways and HTTPRoutes.

use std::collections::BTreeMap;

use super::{
    Applies, Check, Context, Control,
    routes::{Way, ways},
};
use crate::{
    api::ownership::{Enforcement, Exposure, OwnerClass, Severity},
    model::{
        Finding,
        map::Map,
        subject::{Gateway, IngressPath, IngressSpec, Kind, Route, RouteRule, ServiceSpec},
        text::{Str, shown},
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
              public. The same holds for the listeners of a Gateway, which asks for no address either unless it stands there, and for an HTTPRoute: it serves the hosts that it and its \
              listeners agree on, and what it rewrites a path to is served as well. GKE's internal Gateway classes (gke-l7-rilb and its like) are not public.",
    unknown: "An Ingress serves every path below one that lies above an internal path, or a pattern: whether the backend answers there is not seen. Serve the paths that are meant. Where Gateways \
              cannot be read, whether an HTTPRoute is public is not seen: let them be read.",
    fix: "add its name to policy.exposure.allow, or make it internal",
    kinds: &[Kind::Service, Kind::Ingress, Kind::Gateway, Kind::HTTPRoute],
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
    if let Some(gateway) = &cx.subject.gateway {
        if !allowed && !gateway.is_internal() {
            check_gateway(gateway, name, out);
        }
        return Applies::Yes;
    }
    if let Some(route) = &cx.subject.route {
        return check_route(cx, route, allowed, out);
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
        check_paths(&rule.http.paths, exposure, &format!("spec.rules[{host}].http.paths"), "serve the paths that are meant, by pathType Exact or Prefix", out);
    }
}

fn check_paths(paths: &[IngressPath<'_>], exposure: Option<&Exposure>, at: &str, narrow: &str, out: &mut Vec<Finding>) {
    for internal in exposure.iter().flat_map(|e| &e.internal_paths) {
        // The worst path that a rule serves tells of all.
        let worst = paths.iter().filter_map(|p| reach(p, internal).map(|r| (r, p))).max_by_key(|(r, _)| *r);
        match worst {
            Some((Reach::Serves, path)) => {
                let message = format!("serves {}, which is internal", shown(&path.path, 63));
                out.push(Finding::violated(at, &**internal, message, "remove the path, or serve it by an internal class"));
            }
            Some((Reach::May, path)) => {
                let message = format!("serves all below {}; whether the backend answers {} is not seen", shown(or_root(&path.path), 63), shown(internal, 63));
                out.push(Finding::unknown(at, message, narrow));
            }
            None => {}
        }
    }
}

/// What is said of a host that stands for more than one.
const fn wide(host: &str) -> Option<&'static str> {
    match host.as_bytes() {
        [] => Some("serves any host, not declared"),
        [b'*', ..] => Some("serves a wildcard host, not declared"),
        _ => None,
    }
}

fn check_gateway(gateway: &Gateway, name: &str, out: &mut Vec<Finding>) {
    for listener in &gateway.listeners {
        if let Some(message) = wide(&listener.hostname) {
            out.push(Finding::violated(format!("spec.listeners[{}]", shown(&listener.name, 63)), &*listener.hostname, message, format!("name the host, or {}", allow(name))));
        }
    }
    if !gateway.addresses.is_empty() {
        let mut addresses: Vec<&str> = gateway.addresses.iter().map(|a| &*a.value).collect();
        addresses.sort_unstable();
        out.push(Finding::violated("spec.addresses", addresses.join(","), "asks for addresses that are not declared", format!("{}, or remove addresses", allow(name))));
    }
}

fn check_route(cx: &Context<'_, '_>, route: &Route<'_>, allowed: bool, out: &mut Vec<Finding>) -> Applies {
    let none = BTreeMap::new();
    let (gateways, unseen) = match &cx.facts.gateways {
        Ok(gateways) => (&**gateways, None),
        Err(why) => (&none, Some(why)),
    };
    let ways = ways(route, gateways, &cx.namespace.name);
    if ways.is_empty() {
        return Applies::No;
    }
    // A Gateway that is not there yet may be anything: it is not known to be internal.
    let public: Vec<&Way<'_>> = ways.iter().filter(|way| way.at.is_none_or(|(gateway, _)| !gateway.is_internal())).collect();
    if public.is_empty() {
        return Applies::Yes;
    }
    let before = out.len();
    if !allowed {
        let mut hosts: Vec<&str> = public.iter().flat_map(|way| &way.hosts).copied().filter(|host| wide(host).is_some()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        for host in hosts {
            // Where the route names none, it is its listeners' host.
            let path = if route.hostnames.iter().any(|h| **h == *host) { format!("spec.hostnames[{}]", shown(host, 253)) } else { "spec.hostnames".to_owned() };
            out.push(Finding::violated(path, host, wide(host).unwrap_or_default(), format!("name the hosts, or {}", allow(&cx.subject.meta.name))));
        }
    }
    for (i, rule) in route.rules.iter().enumerate().filter(|(_, rule)| !rule.redirects(false)) {
        let at = format!("spec.rules[{i}].matches");
        check_paths(&paths(rule), cx.policy.exposure.as_ref(), &at, "serve the paths that are meant, by type Exact or PathPrefix", out);
    }
    if let Some(why) = unseen {
        for finding in &mut out[before..] {
            *finding = Finding::unknown(std::mem::take(&mut finding.path), format!("{}; whether its Gateway is public is not seen: {why}", finding.message), finding.fix.clone());
        }
    }
    Applies::Yes
}

/// The paths that a rule serves, and those that it asks its backends for instead, as an Ingress has them.
fn paths<'r>(rule: &'r RouteRule<'_>) -> Vec<IngressPath<'r>> {
    let path = |kind: &'static str, path: &'r str| IngressPath { path: Str(path.into()), path_type: Str(kind.into()) };
    let asked = rule.matches.iter().map(|m| {
        let (kind, value) = m.path.as_ref().map_or((None, None), |p| (p.kind.as_deref(), p.value.as_deref()));
        let kind = match kind {
            None | Some("PathPrefix") => "Prefix",
            Some("Exact") => "Exact",
            Some(_) => "",
        };
        path(kind, value.unwrap_or("/"))
    });
    let mut paths: Vec<_> = asked.collect();
    if paths.is_empty() {
        paths.push(path("Prefix", "/"));
    }
    for filter in rule.filters.iter().chain(rule.backend_refs.iter().flat_map(|b| &b.filters)).filter(|f| &*f.kind == "URLRewrite") {
        let to = &filter.url_rewrite.path;
        paths.extend(to.replace_full_path.as_deref().map(|to| path("Exact", to)));
        paths.extend(to.replace_prefix_match.as_deref().map(|to| path("Prefix", to)));
    }
    paths
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

    fn object(kind: &str, spec: &str) -> String {
        format!("{{apiVersion: gateway.networking.k8s.io/v1, kind: {kind}, metadata: {{name: web}}, spec: {{{spec}}}}}")
    }

    #[test]
    fn a_gateway_names_its_hosts() {
        for (spec, said) in [
            ("listeners: [{name: a, hostname: a.example, protocol: HTTPS}]", vec![]),
            (
                "listeners: [{name: a, hostname: '*.a.example'}, {name: b, hostname: b.example}, {name: c}, {name: d, hostname: ''}]",
                vec!["Violated spec.listeners[a] *.a.example", "Violated spec.listeners[c]", "Violated spec.listeners[d]"],
            ),
            ("addresses: [{value: 192.0.2.2}, {type: IPAddress, value: 192.0.2.1}]", vec!["Violated spec.addresses 192.0.2.1,192.0.2.2"]),
            ("addresses: [{}]", vec!["Violated spec.addresses"]),
            ("gatewayClassName: gke-l7-rilb, listeners: [{name: a}]", vec![]),
            ("gatewayClassName: gke-l7-rilb-x, listeners: [{name: a}]", vec!["Violated spec.listeners[a]"]),
            ("listeners: null, addresses: null, gatewayClassName: null", vec![]),
        ] {
            let yaml = object("Gateway", spec);
            assert_eq!(judge(&CONTROL, &yaml, &Default::default(), &Facts::empty()), said, "{spec}");
            assert!(judge(&CONTROL, &yaml, &policy("exposure: {allow: [web]}"), &Facts::empty()).is_empty(), "declared");
        }
    }

    #[test]
    fn a_route_serves_hosts_and_paths_that_are_meant() {
        let gateway = |yaml: &str| serde_saphyr::from_str::<Gateway>(yaml).unwrap();
        let mut facts = Facts::empty();
        facts.gateways = Ok(std::sync::Arc::new(
            [
                ("/any".to_owned(), gateway("{listeners: [{name: a, protocol: HTTPS}]}")),
                ("/one".to_owned(), gateway("{listeners: [{name: a, protocol: HTTPS, hostname: a.example}]}")),
                ("/in".to_owned(), gateway("{gatewayClassName: gke-l7-rilb, listeners: [{name: a, protocol: HTTPS}]}")),
            ]
            .into(),
        ));
        let blind = Facts { gateways: Err("forbidden".into()), ..Facts::empty() };
        for (spec, said) in [
            ("parentRefs: [{name: any}], hostnames: [a.example]", vec![]),
            ("parentRefs: [{name: any}]", vec!["Violated spec.hostnames"]),
            ("parentRefs: [{name: any}], hostnames: ['*.a.example']", vec!["Violated spec.hostnames[*.a.example] *.a.example"]),
            ("parentRefs: [{name: one}]", vec![]),
            ("parentRefs: [{name: one}], hostnames: ['*.example']", vec![]),
            ("parentRefs: [{name: one}], hostnames: [b.example]", vec!["-"]),
            ("parentRefs: [{name: in}]", vec![]),
            ("parentRefs: [{name: in}, {name: absent}]", vec!["Violated spec.hostnames"]),
            ("parentRefs: [{name: s, kind: Service, group: ''}]", vec!["-"]),
        ] {
            let yaml = object("HTTPRoute", spec);
            assert_eq!(judge(&CONTROL, &yaml, &Default::default(), &facts), said, "{spec}");
            assert!(judge(&CONTROL, &yaml, &policy("exposure: {allow: [web]}"), &facts).iter().all(|s| s == "-"), "declared");
            assert!(judge(&CONTROL, &yaml, &Default::default(), &blind).iter().all(|s| s == "-" || s.starts_with("Unknown")), "{spec}");
        }
        let settings = policy("exposure: {internalPaths: [/internal]}");
        let (serves, may) = ("Violated spec.rules[0].matches /internal", "Unknown spec.rules[0].matches");
        for (rule, said) in [
            ("matches: [{path: {type: PathPrefix, value: /shop}}]", vec![]),
            ("matches: [{path: {value: /shop}}, {path: {type: Exact, value: /internal/x}}]", vec![serves]),
            ("matches: [{path: {value: /}}]", vec![may]),
            ("matches: [{headers: [{name: a, value: b}]}]", vec![may]),
            ("backendRefs: []", vec![may]),
            ("matches: [{path: {type: RegularExpression, value: '/inter.*'}}]", vec![may]),
            ("filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]", vec![]),
            ("matches: [{path: {value: /shop}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /internal/x}}}]", vec![serves]),
            ("matches: [{path: {value: /shop}}], backendRefs: [{filters: [{type: URLRewrite, urlRewrite: {path: {replacePrefixMatch: /internal}}}]}]", vec![serves]),
            ("matches: [{path: {value: /shop}}], filters: [{type: URLRewrite, urlRewrite: {path: {replacePrefixMatch: /}}}]", vec![may]),
        ] {
            let yaml = object("HTTPRoute", &format!("parentRefs: [{{name: any}}], hostnames: [a.example], rules: [{{{rule}}}]"));
            assert_eq!(judge(&CONTROL, &yaml, &settings, &facts), said, "{rule}");
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
