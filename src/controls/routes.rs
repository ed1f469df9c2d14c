//! Where an HTTPRoute is served: the listeners of Gateways that it attaches to, and the hosts that they and it agree on.
//! Read by whatever asks who may reach it and how.

use std::collections::BTreeMap;

use crate::model::subject::{Gateway, Listener, ParentRef, Route};

const GROUP: &str = "gateway.networking.k8s.io";

/// One way in.
pub struct Way<'r> {
    /// What it attaches to: `namespace/name`.
    pub parent: String,
    /// The Gateway and its listener; `None` where it is not known.
    pub at: Option<(&'r Gateway, &'r Listener)>,
    /// The hosts that are served; empty is any.
    pub hosts: Vec<&'r str>,
}

/// Every way in. A route of a mesh, which attaches to Services, has none.
pub fn ways<'r>(route: &'r Route<'_>, gateways: &'r BTreeMap<String, Gateway>, own_namespace: &str) -> Vec<Way<'r>> {
    let mut ways = Vec::new();
    for parent in &route.parent_refs {
        let namespace = if parent.namespace.is_empty() { own_namespace } else { &*parent.namespace };
        let key = format!("{namespace}/{}", &*parent.name);
        let is_gateway = parent.group.as_deref().unwrap_or(GROUP) == GROUP && parent.kind.as_deref().unwrap_or("Gateway") == "Gateway";
        match gateways.get(&key).filter(|_| is_gateway) {
            Some(gateway) => ways.extend(gateway.listeners.iter().filter(|listener| attaches(parent, listener, namespace == own_namespace)).filter_map(|listener| {
                let hosts = agreed(route, &listener.hostname);
                (!hosts.is_empty()).then(|| Way { parent: key.clone(), at: Some((gateway, listener)), hosts })
            })),
            None if parent.kind.as_deref() == Some("Service") => {}
            None => ways.push(Way { parent: key, at: None, hosts: agreed(route, "") }),
        }
    }
    ways
}

fn attaches(parent: &ParentRef<'_>, listener: &Listener, is_same_namespace: bool) -> bool {
    matches!(&*listener.protocol, "HTTP" | "HTTPS")
        && (parent.section_name.is_empty() || *parent.section_name == *listener.name)
        && parent.port.is_none_or(|port| port == listener.port)
        && (is_same_namespace || listener.takes_others())
}

/// Of each pair of hosts that go together the narrower one.
fn agreed<'r>(route: &'r Route<'_>, listener: &'r str) -> Vec<&'r str> {
    if route.hostnames.is_empty() {
        return vec![listener];
    }
    let narrower = |host: &'r str| {
        if within(host, listener) { Some(host) } else { within(listener, host).then_some(listener) }
    };
    route.hostnames.iter().filter_map(|host| narrower(host)).collect()
}

/// Whether every host that `inner` stands for is one of `outer`.
fn within(inner: &str, outer: &str) -> bool {
    match outer.strip_prefix('*') {
        _ if outer.is_empty() => true,
        Some(suffix) => inner.len() > suffix.len() && inner.is_char_boundary(inner.len() - suffix.len()) && inner[inner.len() - suffix.len()..].eq_ignore_ascii_case(suffix),
        None => inner.eq_ignore_ascii_case(outer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_served_where_listener_and_host_agree() {
        let gateway: Gateway = serde_saphyr::from_str(
            "{listeners: [{name: plain, protocol: HTTP, port: 80}, {name: own, protocol: HTTPS, port: 443, hostname: '*.a.example'}, {name: all, protocol: HTTPS, port: 444, hostname: b.example, \
             allowedRoutes: {namespaces: {from: All}}}, {name: raw, protocol: TCP, port: 9}]}",
        )
        .unwrap();
        let gateways = BTreeMap::from([("edge/front".to_owned(), gateway)]);
        for (namespace, route, served) in [
            ("edge", "parentRefs: [{name: front}]", "plain: own:*.a.example all:b.example"),
            ("edge", "parentRefs: [{name: front}], hostnames: [x.a.example, '*.example']", "plain:x.a.example,*.example own:x.a.example,*.a.example all:b.example"),
            ("edge", "parentRefs: [{name: front}], hostnames: [a.example]", "plain:a.example"),
            ("edge", "parentRefs: [{name: front, sectionName: own}]", "own:*.a.example"),
            ("edge", "parentRefs: [{name: front, sectionName: raw}]", ""),
            ("edge", "parentRefs: [{name: front, port: 80}], hostnames: [A.example]", "plain:A.example"),
            ("shop", "parentRefs: [{name: front, namespace: edge}]", "all:b.example"),
            ("shop", "parentRefs: [{name: front, namespace: edge}], hostnames: [c.example]", ""),
            ("shop", "parentRefs: [{name: front}]", "?:"),
            ("shop", "parentRefs: [{name: set, kind: ListenerSet}], hostnames: [a.example]", "?:a.example"),
            ("shop", "parentRefs: [{name: web, group: '', kind: Service}]", ""),
            ("shop", "parentRefs: null", ""),
        ] {
            let json = serde_saphyr::from_str::<serde_json::Value>(&format!("{{{route}}}")).unwrap().to_string();
            let route: Route<'_> = serde_json::from_str(&json).unwrap();
            let said: Vec<String> = ways(&route, &gateways, namespace).iter().map(|w| format!("{}:{}", w.at.map_or("?", |(_, l)| &l.name), w.hosts.join(","))).collect();
            assert_eq!(said.join(" "), served, "{namespace} {json}");
        }
        assert!(within("é", "*") && !within("aé", "*\u{a9}"), "whatever the letters");
    }
}
