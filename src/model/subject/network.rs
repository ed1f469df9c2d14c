//! What takes requests from outside: who may reach it, where, and whether by TLS.
//! Hosts, paths and certificates of an Ingress, the ways into a Service.

use serde::{Deserialize, de::IgnoredAny};

use crate::model::{read::nullable, text::Str};

/// An Ingress's spec.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressSpec<'a> {
    /// Certificates.
    #[serde(borrow, deserialize_with = "nullable")]
    pub tls: Vec<IngressTls<'a>>,
    /// Hosts.
    #[serde(borrow, deserialize_with = "nullable")]
    pub rules: Vec<IngressRule<'a>>,
    /// Where unmatched requests go; present or not.
    pub default_backend: Option<IgnoredAny>,
    /// The class of controller that serves it.
    #[serde(borrow)]
    pub ingress_class_name: Option<Str<'a>>,
}

/// A certificate and the hosts that it is for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressTls<'a> {
    /// Empty: every host.
    #[serde(borrow, deserialize_with = "nullable")]
    pub hosts: Vec<Str<'a>>,
    /// Empty: the ingress controller's own certificate.
    #[serde(borrow, deserialize_with = "nullable")]
    pub secret_name: Str<'a>,
}

/// A host.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct IngressRule<'a> {
    /// Empty: every host.
    #[serde(borrow, deserialize_with = "nullable")]
    pub host: Str<'a>,
    /// What is served there.
    #[serde(borrow, deserialize_with = "nullable")]
    pub http: IngressHttp<'a>,
}

/// What a host serves.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct IngressHttp<'a> {
    /// Its paths.
    #[serde(borrow, deserialize_with = "nullable")]
    pub paths: Vec<IngressPath<'a>>,
}

/// A path.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressPath<'a> {
    /// Empty: every path.
    #[serde(borrow, deserialize_with = "nullable")]
    pub path: Str<'a>,
    /// `Exact`, `Prefix` or `ImplementationSpecific`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub path_type: Str<'a>,
}

/// The ways into a Service.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec<'a> {
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`; empty is the first.
    #[serde(borrow, rename = "type", deserialize_with = "nullable")]
    pub kind: Str<'a>,
    /// Addresses at which nodes take its traffic.
    #[serde(borrow, rename = "externalIPs", deserialize_with = "nullable")]
    pub external_ips: Vec<Str<'a>>,
}
