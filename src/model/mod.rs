//! The vocabulary that checks and decisions share: subjects, facts, findings.
//! Nothing here reads a clock, a file or the network.

pub mod credential;
pub mod estate;
pub mod facts;
pub mod map;
pub mod proof;
pub mod read;
pub mod selector;
pub mod strict;
pub mod subject;
pub mod text;

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;

/// One thing that a check found wrong, or could not see, in one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `Violated` or `Unknown`; a check returns nothing for what holds.
    pub outcome: Outcome,
    /// Where, relative to the pod template for whatever sits in one: `spec.containers[web].image`.
    pub path: String,
    /// The control's own view of the offending value: equal fingerprints at equal paths are the same violation (empty: absence).
    pub fingerprint: String,
    /// What is wrong, in a few words. Never a secret, an environment value or a person's name.
    pub message: String,
    /// A line to paste that mends it.
    pub fix: String,
    /// When the fact beside the object that makes it a violation came to be; `None` where the object alone does.
    pub since: Option<Timestamp>,
}

/// Whether a finding is a fact or a gap in what the cluster shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The cluster cannot show it: drift, never a denial.
    Unknown,
    /// It does not hold.
    Violated,
}

/// The identity of a violation across releases of the same workload: control, place and fingerprint, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sameness(u64);

impl Finding {
    /// A violation.
    pub fn violated(path: impl Into<String>, fingerprint: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { outcome: Outcome::Violated, path: path.into(), fingerprint: fingerprint.into(), message: message.into(), fix: fix.into(), since: None }
    }

    /// Something that the cluster cannot show.
    pub fn unknown(path: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unknown, path: path.into(), fingerprint: String::new(), message: message.into(), fix: fix.into(), since: None }
    }

    /// The same, by a fact that came to be at `since`.
    #[must_use]
    pub fn by_fact_of(self, since: Option<Timestamp>) -> Self {
        Self { since, ..self }
    }

    /// What makes this the same violation as another one of the same control.
    pub fn sameness(&self, control: &str) -> Sameness {
        // `DefaultHasher::new` is keyed with zeros: equal within a process, and nothing is stored beyond it.
        let mut hasher = DefaultHasher::new();
        (control, &self.path, &self.fingerprint).hash(&mut hasher);
        Sameness(hasher.finish())
    }
}
