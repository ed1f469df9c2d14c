//! What is watched, and what becomes of a replica that cannot read it: decide without, or not be ready.
//! Each watch is one of these.

use super::{Backing, Guard, Kept};
use crate::{api::Declaration, model::subject::Kind};

/// What a watch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A kind of ours.
    Declared(Declaration),
    /// Namespaces.
    Namespaces,
    /// A kind of facts.
    StorageClasses,
    /// A kind of facts.
    Volumes,
    /// What the API server itself depends on, for critical namespaces.
    Backing(Backing),
    /// Policies in the API server: whether Demarc's own stand.
    Guards(Guard),
    /// What stands around the workloads.
    Estate(Kept),
    /// A kind that is judged.
    Subjects(Kind),
}

impl Source {
    /// Whether a cluster may do without it: it comes with a CRD.
    pub const fn optional(self) -> bool {
        match self {
            Self::Subjects(kind) => kind.optional(),
            Self::Estate(kept) => kept.optional(),
            Self::Declared(_) | Self::Namespaces | Self::StorageClasses | Self::Volumes | Self::Backing(_) | Self::Guards(_) => false,
        }
    }

    /// A kind that only informs checks, or is only judged itself: without it verdicts are Unknown, and the replica still decides.
    pub const fn is_fact(self) -> bool {
        match self {
            Self::StorageClasses | Self::Volumes | Self::Backing(_) | Self::Guards(_) | Self::Estate(_) | Self::Declared(Declaration::Party | Declaration::Roster) => true,
            Self::Subjects(kind) => !kind.decides(),
            Self::Declared(Declaration::Ownership | Declaration::Baseline | Declaration::Control | Declaration::Waiver) | Self::Namespaces => false,
        }
    }
}
