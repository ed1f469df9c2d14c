//! What takes requests from outside, as far as TLS can be read from it.
//! Hosts and certificates only; who may reach it is the exposure control's.

use serde::{Deserialize, de::IgnoredAny};

use crate::model::{read::nullable, text::Str};

/// An Ingress's spec as far as TLS can be read from it.
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
}

/// Where a Gateway listens.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Listener<'a> {
    /// Unique within the Gateway.
    #[serde(borrow)]
    pub name: Str<'a>,
    /// `HTTP`, `HTTPS`, `TLS`, `TCP`, `UDP`, or an implementation's own.
    #[serde(borrow)]
    pub protocol: Str<'a>,
}
