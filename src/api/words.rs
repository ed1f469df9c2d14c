//! The words that every kind shares, each an enum whose text is its name.
//! Their order is from weak to strong, or from mild to bad, wherever there is one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! word {
    ($(#[$m:meta])* $name:ident { $($(#[$v:meta])* $variant:ident),+ $(,)? }) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
        $(#[$m])*
        pub enum $name { $($(#[$v])* $variant),+ }
        impl $name {
            /// The word as the API, messages and reports spell it.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => stringify!($variant)),+ } }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.as_str()) }
        }
    };
}
pub(super) use word;

word! {
    /// How the service is bought. IaaS: the customer runs Kubernetes itself on rented machines. PaaS: a managed control plane; nodes partly managed.
    /// SaaS: provider, MSSP or vendor runs the application in the namespace.
    ServiceModel { IaaS, PaaS, SaaS }
}
impl Default for ServiceModel {
    fn default() -> Self {
        Self::PaaS
    }
}

word! {
    /// Who owns a control. Provider: the cloud or platform does it and answers for it. Customer: whoever runs the workload does.
    /// SharedIndependent: each side does its own part. SharedDependent: the customer's part needs the provider's (it ships the switch, you turn it).
    /// ThirdParty: outsourced to somebody else, acting for the customer. NotApplicable: nobody owes it here.
    OwnerClass { Provider, Customer, SharedIndependent, SharedDependent, ThirdParty, NotApplicable }
}
impl OwnerClass {
    /// Whether the customer's side answers for the control, so that it may deny at admission.
    pub const fn owed_by_customer(self) -> bool {
        match self {
            Self::Customer | Self::SharedIndependent | Self::SharedDependent | Self::ThirdParty => true,
            Self::Provider | Self::NotApplicable => false,
        }
    }
}

word! {
    /// What happens when a control that the customer owes is violated, weakest first. Off: not judged. Audit: reported as drift.
    /// Warn: also a warning to whoever applies. Deny: refused at admission.
    Enforcement { Off, Audit, Warn, Deny }
}

word! {
    /// A ceiling over every control's own enforcement in one namespace.
    Mode { Audit, Warn, Enforce }
}
impl Default for Mode {
    fn default() -> Self {
        Self::Enforce
    }
}
impl Mode {
    /// The strongest enforcement that this mode lets through.
    pub const fn ceiling(self) -> Enforcement {
        match self {
            Self::Audit => Enforcement::Audit,
            Self::Warn => Enforcement::Warn,
            Self::Enforce => Enforcement::Deny,
        }
    }
    /// Whether the API server asks about the namespace at all.
    pub const fn enrolled(self) -> bool {
        match self {
            Self::Audit => false,
            Self::Warn | Self::Enforce => true,
        }
    }
}

word! {
    /// How bad a violation is, mildest first.
    #[serde(rename_all = "lowercase")]
    Severity { Low, Medium, High, Critical }
}
impl Severity {
    /// The word in lower case, as messages have it.
    pub const fn lower(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

word! {
    /// How a control stands, best first.
    Verdict { NotApplicable, Satisfied, Inherited, Waived, Unknown, Violated }
}
