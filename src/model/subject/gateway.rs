//! The Gateway API: where a Gateway listens, and what an HTTPRoute serves there.
//! A Gateway is a fact as well, for the routes that attach to it, so its record owns its words.

use serde::Deserialize;

use crate::model::{read::nullable, text::Str};

/// A Gateway's spec.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// The class of controller that serves it.
    #[serde(deserialize_with = "nullable")]
    pub gateway_class_name: String,
    /// Where it listens.
    #[serde(deserialize_with = "nullable")]
    pub listeners: Vec<Listener>,
    /// The addresses that it asks for.
    #[serde(deserialize_with = "nullable")]
    pub addresses: Vec<Address>,
}

impl Gateway {
    /// Whether its class is one that no stranger reaches.
    pub fn is_internal(&self) -> bool {
        matches!(&*self.gateway_class_name, "gke-l7-rilb" | "gke-l7-rilb-mc" | "gke-l7-cross-regional-internal-managed-mc")
    }
}

/// Where a Gateway listens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Listener {
    /// Unique within the Gateway.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// `HTTP`, `HTTPS`, `TLS`, `TCP`, `UDP`, or an implementation's own.
    #[serde(deserialize_with = "nullable")]
    pub protocol: String,
    /// Empty: every host.
    #[serde(deserialize_with = "nullable")]
    pub hostname: String,
    /// Its port.
    #[serde(deserialize_with = "nullable")]
    pub port: i64,
    /// Which routes may attach.
    #[serde(deserialize_with = "nullable")]
    allowed_routes: AllowedRoutes,
}

impl Listener {
    /// Whether routes of other namespaces than the Gateway's may attach to it.
    pub fn takes_others(&self) -> bool {
        matches!(&*self.allowed_routes.namespaces.from, "All" | "Selector")
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct AllowedRoutes {
    #[serde(deserialize_with = "nullable")]
    namespaces: RouteNamespaces,
}
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct RouteNamespaces {
    #[serde(deserialize_with = "nullable")]
    from: String,
}

/// An address that a Gateway asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Address {
    /// Empty: any of its type.
    #[serde(deserialize_with = "nullable")]
    pub value: String,
}

/// An HTTPRoute's spec.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Route<'a> {
    /// What it attaches to.
    #[serde(borrow, deserialize_with = "nullable")]
    pub parent_refs: Vec<ParentRef<'a>>,
    /// Empty: every host of the listeners.
    #[serde(borrow, deserialize_with = "nullable")]
    pub hostnames: Vec<Str<'a>>,
    /// What is served.
    #[serde(borrow, deserialize_with = "nullable")]
    pub rules: Vec<RouteRule<'a>>,
}

/// What a route attaches to.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ParentRef<'a> {
    /// Absent: the Gateway API's own.
    #[serde(borrow)]
    pub group: Option<Str<'a>>,
    /// Absent: `Gateway`.
    #[serde(borrow)]
    pub kind: Option<Str<'a>>,
    /// Empty: the route's own.
    #[serde(borrow, deserialize_with = "nullable")]
    pub namespace: Str<'a>,
    /// Its name.
    #[serde(borrow, deserialize_with = "nullable")]
    pub name: Str<'a>,
    /// A listener; empty: all of them.
    #[serde(borrow, deserialize_with = "nullable")]
    pub section_name: Str<'a>,
    /// The listeners of this port alone.
    pub port: Option<i64>,
}

/// Requests that are served alike.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteRule<'a> {
    /// Any of them matches; empty: every request.
    #[serde(borrow, deserialize_with = "nullable")]
    pub matches: Vec<RouteMatch<'a>>,
    /// What happens to the requests.
    #[serde(borrow, deserialize_with = "nullable")]
    pub filters: Vec<RouteFilter<'a>>,
    /// Where they go.
    #[serde(borrow, deserialize_with = "nullable")]
    pub backend_refs: Vec<Backend<'a>>,
}

/// Which requests.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RouteMatch<'a> {
    /// Absent: every path.
    #[serde(borrow)]
    pub path: Option<RoutePath<'a>>,
}

/// A path of requests.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RoutePath<'a> {
    /// `Exact`, `PathPrefix`, `RegularExpression`, or an implementation's own; absent: `PathPrefix`.
    #[serde(borrow, rename = "type")]
    pub kind: Option<Str<'a>>,
    /// Absent: `/`.
    #[serde(borrow)]
    pub value: Option<Str<'a>>,
}

/// Where requests go.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Backend<'a> {
    /// What happens to them on the way.
    #[serde(borrow, deserialize_with = "nullable")]
    pub filters: Vec<RouteFilter<'a>>,
}

/// What happens to requests.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteFilter<'a> {
    /// `RequestRedirect`, `URLRewrite` and others.
    #[serde(borrow, rename = "type", deserialize_with = "nullable")]
    pub kind: Str<'a>,
    /// Where the caller is sent.
    #[serde(borrow, deserialize_with = "nullable")]
    pub request_redirect: Redirect<'a>,
    /// What the backend is asked for instead.
    #[serde(borrow, deserialize_with = "nullable")]
    pub url_rewrite: Rewrite<'a>,
}

/// Where the caller is sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Redirect<'a> {
    /// Empty: the request's own.
    #[serde(borrow, deserialize_with = "nullable")]
    pub scheme: Str<'a>,
}

/// What the backend is asked for instead.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Rewrite<'a> {
    /// Its path.
    #[serde(borrow, deserialize_with = "nullable")]
    pub path: RewrittenPath<'a>,
}

/// The path that the backend is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RewrittenPath<'a> {
    /// All of it.
    #[serde(borrow)]
    pub replace_full_path: Option<Str<'a>>,
    /// What stands where the matched prefix stood.
    #[serde(borrow)]
    pub replace_prefix_match: Option<Str<'a>>,
}

impl RouteRule<'_> {
    /// Whether it sends every caller elsewhere, by `https` where that is asked.
    pub fn redirects(&self, by_tls: bool) -> bool {
        let is_redirect = |f: &RouteFilter<'_>| &*f.kind == "RequestRedirect" && (!by_tls || &*f.request_redirect.scheme == "https");
        matches!(&*self.filters, [only] if is_redirect(only))
    }
}
