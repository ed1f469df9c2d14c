//! The custom resources as on the wire, one kind a file. Types and schema only: what they mean is decided in `policy`.
//! A new kind is its file and one row of [`Declaration`].

pub mod baseline;
pub mod control;
mod history;
pub mod ownership;
pub mod party;
mod reviews;
pub mod roster;
mod selector;
mod settings;
mod terms;
pub mod waiver;
mod words;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use kube::CustomResourceExt;

/// The API group of every kind.
pub const GROUP: &str = "demarc.dev";
/// Group and version, as objects of every kind say them.
pub const API_VERSION: &str = "demarc.dev/v1alpha1";
/// The label that makes the API server ask Demarc about a namespace; set by the leader alone.
pub const ENROLLED_LABEL: &str = "demarc.dev/admission";
/// The value of [`ENROLLED_LABEL`] on an enrolled namespace.
pub const ENROLLED_VALUE: &str = "enabled";
/// Never enrolled: the cluster's own, by name, which the API server keeps true in `kubernetes.io/metadata.name`.
pub const SYSTEM_NAMESPACES: &[&str] = &["kube-system", "kube-public", "kube-node-lease"];
/// A namespace under a Baseline carries this and the Baseline's name; set by the leader alone, so that who drops the selecting label stays under it.
pub const MEMBER_PREFIX: &str = "baseline.demarc.dev/";
/// The value of such a label.
pub const MEMBER_VALUE: &str = "member";

macro_rules! declarations {
    ($($(#[$m:meta])* $kind:ident($plural:literal) = $type:path),+ $(,)?) => {
        /// A kind of ours, which people declare.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Declaration { $($(#[$m])* $kind),+ }
        impl Declaration {
            /// Every kind, in the order in which they are installed.
            pub const ALL: &[Self] = &[$(Self::$kind),+];
            /// Its name.
            pub const fn kind(self) -> &'static str { match self { $(Self::$kind => stringify!($kind)),+ } }
            /// As it stands in a path.
            pub const fn plural(self) -> &'static str { match self { $(Self::$kind => $plural),+ } }
            /// Its definition.
            pub fn crd(self) -> CustomResourceDefinition { match self { $(Self::$kind => crd::<$type>()),+ } }
        }
    };
}

declarations! {
    /// The floor for many namespaces.
    Baseline("baselines") = baseline::Baseline,
    /// A control of one's own.
    Control("controls") = control::Control,
    /// Who owns what in one namespace.
    Ownership("ownerships") = ownership::Ownership,
    /// An organisation or team.
    Party("parties") = party::Party,
    /// People.
    Roster("rosters") = roster::Roster,
    /// A permission with an end.
    Waiver("waivers") = waiver::Waiver,
}

impl Declaration {
    /// Whether it lives in a namespace.
    pub const fn namespaced(self) -> bool {
        match self {
            Self::Ownership | Self::Waiver => true,
            Self::Baseline | Self::Control | Self::Party | Self::Roster => false,
        }
    }

    /// The kind of that name.
    pub fn find(kind: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|d| d.kind() == kind)
    }
}

/// The definition of a kind, as it is applied, printed, and held against files. No field is nullable: the API server then drops a `null`, as
/// Go clients send it for what they leave out, and it would refuse one in a nullable enum.
fn crd<K: CustomResourceExt>() -> CustomResourceDefinition {
    let mut crd = K::crd();
    for schema in crd.spec.versions.iter_mut().filter_map(|v| v.schema.as_mut()?.open_api_v3_schema.as_mut()) {
        without_null(schema);
        // The status is Demarc's own.
        if let Some(spec) = schema.properties.as_mut().and_then(|p| p.get_mut("spec")) {
            bounded_dates(spec);
        }
    }
    crd
}

fn without_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(values) = &mut schema.enum_ {
        values.retain(|v| !v.0.is_null());
    }
    below(schema, without_null);
}

/// The last two days that RFC 3339 can write cannot be read, for in some time zone they are beyond it: "for ever" is said otherwise.
fn bounded_dates(schema: &mut JSONSchemaProps) {
    if schema.format.as_deref() == Some("date-time") {
        let message = Some("write a time before 9999-12-30".to_owned());
        let rule = ValidationRule { rule: "self < timestamp('9999-12-30T00:00:00Z')".to_owned(), message, ..ValidationRule::default() };
        schema.x_kubernetes_validations.get_or_insert_default().push(rule);
    }
    below(schema, bounded_dates);
}

/// The same for every schema right below this one.
fn below(schema: &mut JSONSchemaProps, each: fn(&mut JSONSchemaProps)) {
    schema.properties.iter_mut().flat_map(|p| p.values_mut()).for_each(each);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        each(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        each(values);
    }
}
