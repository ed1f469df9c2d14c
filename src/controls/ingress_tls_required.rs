//! ingress-tls-required: external HTTP is encrypted in transit.
//! Every host that an Ingress serves must stand in one of its certificates' host lists; a Gateway listens by HTTPS or TLS, and an HTTPRoute is served there or redirects.

use super::{Applies, Check, Context, Control, routes::ways};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::{
        Finding,
        subject::{IngressTls, Kind, Listener, Route},
        text::shown,
    },
};

pub const CONTROL: Control = Control {
    id: "ingress-tls-required",
    title: "External HTTP traffic is encrypted in transit",
    group: "network",
    severity: Severity::High,
    enforcement: Enforcement::Deny,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::Provider],
    references: &[("ISO 27001:2022", &["A.8.20", "A.8.24"]), ("SOC 2", &["CC6.6", "CC6.7"]), ("CCM 4.0.12", &["CEK-03", "IVS-03"]), ("NIST 800-53r5", &["SC-8", "SC-8(1)"])],
    why: "Passwords and personal data that cross the network in the clear can be read and changed on the way.",
    checked: "Each rule's host of an Ingress is covered by a tls entry: the same name, a wildcard of exactly one label, or an entry without hosts. A rule without a host, and a default \
              backend, need a tls entry without hosts. A Gateway's listeners have protocol HTTPS or TLS. An HTTPRoute attaches to none of protocol HTTP, by host, \
              sectionName, port and allowedRoutes, unless a RequestRedirect to scheme https is each rule's only filter.",
    unknown: "A tls entry without secretName uses the ingress controller's own certificate, which the cluster does not show: name the secret. A Gateway's HTTP listener is fine as \
              far as its routes do nothing but redirect; those of other namespaces and kinds are not looked at from there: serve by HTTPS, or record evidence. An HTTPRoute's Gateway is not \
              there, or Gateways cannot be read.",
    fix: "add spec.tls with the host and a certificate secret",
    kinds: &[Kind::Ingress, Kind::Gateway, Kind::HTTPRoute],
    root_only: false,
    confidential: false,
    check: Check::Object(check),
};

fn check(cx: &Context<'_, '_>, out: &mut Vec<Finding>) -> Applies {
    if let Some(gateway) = &cx.subject.gateway {
        return check_listeners(&gateway.listeners, out);
    }
    if let Some(route) = &cx.subject.route {
        return check_route(cx, route, out);
    }
    let Some(ingress) = &cx.subject.ingress else { return Applies::No };
    let mut hosts: Vec<&str> = ingress.rules.iter().map(|r| &*r.host).collect();
    if ingress.default_backend.is_some() || hosts.is_empty() {
        hosts.push("");
    }
    hosts.sort_unstable();
    hosts.dedup();
    for host in hosts {
        let path = if host.is_empty() { "spec.rules[*]".to_owned() } else { format!("spec.rules[{}]", shown(host, 253)) };
        match ingress.tls.iter().filter(|tls| covers(tls, host)).map(|tls| !tls.secret_name.is_empty()).max() {
            Some(true) => {}
            Some(false) => out.push(Finding::unknown(path, "the certificate is the ingress controller's own", "name a certificate in spec.tls[].secretName")),
            None if host.is_empty() => {
                out.push(Finding::violated(path, "", "any host is served without TLS", "add a spec.tls entry with a secretName and no hosts, or name the hosts"));
            }
            None => {
                let fix = format!("add to spec.tls: {{hosts: [{}], secretName: <secret>}}", shown(host, 80));
                out.push(Finding::violated(path, "", "is served without TLS", fix));
            }
        }
    }
    Applies::Yes
}

/// TCP and UDP carry no HTTP that could be seen.
fn check_listeners(listeners: &[Listener], out: &mut Vec<Finding>) -> Applies {
    let mut applies = Applies::No;
    for listener in listeners.iter().filter(|l| matches!(&*l.protocol, "HTTP" | "HTTPS" | "TLS")) {
        applies = Applies::Yes;
        if &*listener.protocol == "HTTP" {
            out.push(Finding::unknown(
                format!("spec.listeners[{}]", shown(&listener.name, 63)),
                "listens without TLS; whether all its routes only redirect is not seen",
                "set protocol: HTTPS",
            ));
        }
    }
    applies
}

fn check_route(cx: &Context<'_, '_>, route: &Route<'_>, out: &mut Vec<Finding>) -> Applies {
    const ATTACH: &str = "attach it to an HTTPS listener by sectionName, or let its only filter be a RequestRedirect with scheme https";
    let in_clear = || route.rules.iter().enumerate().filter(|(_, rule)| !rule.redirects(true));
    let unseen = |what: String| Finding::unknown("spec.parentRefs", what, "let its Gateway be seen, and attach it to an HTTPS listener");
    let gateways = match &cx.facts.gateways {
        Ok(gateways) => gateways,
        // A redirect is fine wherever it is served.
        Err(_) if in_clear().next().is_none() => return Applies::Yes,
        Err(why) => {
            out.push(unseen(format!("whether its Gateway listens by TLS is not seen: {why}")));
            return Applies::Yes;
        }
    };
    let ways = ways(route, gateways, &cx.namespace.name);
    if ways.is_empty() {
        return Applies::No;
    }
    for way in &ways {
        let Some((_, listener)) = way.at else {
            // A redirect is fine wherever it is served.
            if in_clear().next().is_some() {
                out.push(unseen(format!("whether {} listens by TLS is not seen: it is not there", shown(&way.parent, 127))));
            }
            continue;
        };
        if listener.protocol == "HTTP" {
            let at = format!("{}/{}", shown(&way.parent, 127), shown(&listener.name, 63));
            out.extend(in_clear().map(|(i, _)| Finding::violated(format!("spec.rules[{i}]"), &*at, format!("is served without TLS by listener {at}"), ATTACH)));
        }
    }
    Applies::Yes
}

/// Whether `tls` is for `host`. An entry without hosts is for all of them.
fn covers(tls: &IngressTls<'_>, host: &str) -> bool {
    tls.hosts.is_empty()
        || !host.is_empty()
            && tls.hosts.iter().any(|h| {
                h.eq_ignore_ascii_case(host)
                    || h.strip_prefix("*.")
                        .is_some_and(|parent| host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && label != "*" && rest.eq_ignore_ascii_case(parent)))
            })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controls::testing::judge, model::facts::Facts};

    #[test]
    fn every_host_needs_a_certificate() {
        for (spec, said) in [
            ("rules: [{host: a.example}]", vec!["Violated spec.rules[a.example]"]),
            ("rules: [{host: a.example}], tls: [{hosts: [a.example], secretName: s}]", vec![]),
            ("rules: [{host: A.example}], tls: [{hosts: [a.example], secretName: s}]", vec![]),
            ("rules: [{host: a.b.example}], tls: [{hosts: ['*.b.example'], secretName: s}]", vec![]),
            ("rules: [{host: x.a.b.example}], tls: [{hosts: ['*.b.example'], secretName: s}]", vec!["Violated spec.rules[x.a.b.example]"]),
            ("rules: [{host: b.example}], tls: [{hosts: ['*.b.example'], secretName: s}]", vec!["Violated spec.rules[b.example]"]),
            ("rules: [{host: '*.b.example'}], tls: [{hosts: ['*.b.example'], secretName: s}]", vec![]),
            ("rules: [{host: '*.b.example'}], tls: [{hosts: ['*.example'], secretName: s}]", vec!["Violated spec.rules[*.b.example]"]),
            ("rules: [{host: a.example}, {host: b.example}], tls: [{hosts: [a.example], secretName: s}]", vec!["Violated spec.rules[b.example]"]),
            ("rules: [{}]", vec!["Violated spec.rules[*]"]),
            ("rules: [{}], tls: [{hosts: [a.example], secretName: s}]", vec!["Violated spec.rules[*]"]),
            ("rules: [{}], tls: [{secretName: s}]", vec![]),
            ("rules: [{host: a.example}], tls: [{hosts: [a.example]}]", vec!["Unknown spec.rules[a.example]"]),
            ("defaultBackend: {service: {name: s}}", vec!["Violated spec.rules[*]"]),
            ("rules: null, tls: null", vec!["Violated spec.rules[*]"]),
        ] {
            let yaml = format!("{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: i}}, spec: {{{spec}}}}}");
            assert_eq!(judge(&CONTROL, &yaml, &Default::default(), &Facts::empty()), said, "{spec}");
        }
    }

    #[test]
    fn a_route_is_served_by_tls_or_redirects() {
        let mut facts = Facts::empty();
        let gateway = |yaml: &str| serde_saphyr::from_str(yaml).unwrap();
        facts.gateways = Ok(std::sync::Arc::new(
            [
                ("/g".to_owned(), gateway("{listeners: [{name: p, protocol: HTTP, port: 80}, {name: t, protocol: HTTPS, port: 443}]}")),
                ("/t".to_owned(), gateway("{listeners: [{name: t, protocol: HTTPS}]}")),
            ]
            .into(),
        ));
        let blind = Facts { gateways: Err("forbidden".into()), ..Facts::empty() };
        let redirect = "{filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]}";
        for (spec, said) in [
            ("parentRefs: [{name: t}], rules: [{}]".to_owned(), vec![]),
            ("parentRefs: [{name: g, sectionName: t}], rules: [{}]".to_owned(), vec![]),
            ("parentRefs: [{name: g, port: 443}], rules: [{}]".to_owned(), vec![]),
            ("parentRefs: [{name: g}], rules: [{}]".to_owned(), vec!["Violated spec.rules[0] /g/p"]),
            (format!("parentRefs: [{{name: g}}], rules: [{redirect}]"), vec![]),
            (format!("parentRefs: [{{name: g}}], rules: [{redirect}, {{}}]"), vec!["Violated spec.rules[1] /g/p"]),
            ("parentRefs: [{name: g}], rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: x}}]}]".to_owned(), vec!["Violated spec.rules[0] /g/p"]),
            (
                "parentRefs: [{name: g}], rules: [{filters: [{type: RequestMirror}, {type: RequestRedirect, requestRedirect: {scheme: https}}]}]".to_owned(),
                vec!["Violated spec.rules[0] /g/p"],
            ),
            ("parentRefs: [{name: absent}], rules: [{}, {}]".to_owned(), vec!["Unknown spec.parentRefs"]),
            (format!("parentRefs: [{{name: absent}}], rules: [{redirect}, {{}}]"), vec!["Unknown spec.parentRefs"]),
            ("parentRefs: [{name: web, group: '', kind: Service}], rules: [{}]".to_owned(), vec!["-"]),
            (format!("parentRefs: [{{name: absent}}], rules: [{redirect}]"), vec![]),
        ] {
            let yaml = format!("{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: r}}, spec: {{{spec}}}}}");
            assert_eq!(judge(&CONTROL, &yaml, &Default::default(), &facts), said, "{spec}");
            assert!(judge(&CONTROL, &yaml, &Default::default(), &blind).iter().all(|s| s == "Unknown spec.parentRefs"), "{spec}");
        }
    }

    #[test]
    fn a_gateway_listens_by_tls() {
        for (listeners, said) in [
            ("[{name: a, protocol: HTTPS}, {name: b, protocol: TLS}]", vec![]),
            ("[{name: a, protocol: HTTP}, {name: b, protocol: HTTPS}]", vec!["Unknown spec.listeners[a]"]),
            ("[{name: a, protocol: TCP}]", vec!["-"]),
            ("[]", vec!["-"]),
        ] {
            let yaml = format!("{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: g}}, spec: {{listeners: {listeners}}}}}");
            assert_eq!(judge(&CONTROL, &yaml, &Default::default(), &Facts::empty()), said, "{listeners}");
        }
    }
}
