//! What `demarc check` has to tell: findings, and how many objects stand how.
//! Each way of saying it (text, JSON, SARIF, GitHub) reads this and nothing else.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    tree::Place,
    words::{Word, Words},
};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::{Outcome, text::shown},
    policy::waiver::Permit,
};

/// What `-o json` says; the keys are stable.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub checked_at: Timestamp,
    pub findings: Vec<Finding>,
    pub summary: Summary,
    /// Namespaces of objects that no Ownership among the files speaks for.
    pub undeclared_namespaces: BTreeSet<String>,
    /// Kinds among the files that no control is about and no check looks up.
    pub kinds_not_judged: BTreeSet<String>,
    #[serde(skip)]
    pub words: Words,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub files: usize,
    /// Objects judged.
    pub objects: usize,
    /// Of these, without a violation.
    pub clean: usize,
    /// Of these, refused by a cluster.
    pub denied: usize,
    /// Of these, violating something that is not enforced.
    pub warned: usize,
    /// Findings that manifests cannot settle.
    pub unknown: usize,
    /// Objects not judged, because nothing is declared for their namespace.
    pub undeclared: usize,
    /// Objects not judged, because no control is about their kind.
    pub not_judged: usize,
    /// Findings of the baseline that stand still.
    pub known: usize,
    /// Findings of the baseline that are gone.
    pub gone: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Error,
    Warning,
    Note,
}

impl Level {
    pub fn of(outcome: Outcome, enforcement: Enforcement) -> Self {
        match (outcome, enforcement) {
            (Outcome::Unknown, _) => Self::Note,
            // Whatever is in a file is new, so nothing is grandfathered.
            (Outcome::Violated, Enforcement::Deny) => Self::Error,
            (Outcome::Violated, Enforcement::Off | Enforcement::Audit | Enforcement::Warn) => Self::Warning,
        }
    }
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waived {
    pub name: String,
    pub last_day: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The same in each run, whatever moves around it.
    pub id: String,
    pub level: Level,
    pub control: Word,
    pub severity: Severity,
    pub file: Word,
    pub line: u32,
    pub column: u32,
    pub namespace: Word,
    pub object: Word,
    pub path: Word,
    pub message: Word,
    pub fix: Word,
    pub owner: OwnerClass,
    pub owed_by: Word,
    pub enforcement: Enforcement,
    pub outcome: &'static str,
    /// It stands in the baseline.
    pub known: bool,
    /// The Waiver that lets it pass, and the last day on which it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiver: Option<Waived>,
    #[serde(skip)]
    pub at: (usize, Place),
    #[serde(skip)]
    pub confidential: bool,
}

impl Finding {
    pub fn violated(&self) -> bool {
        self.level != Level::Note
    }

    /// The same, with what others say as well kept once.
    fn with(self, words: &mut Words) -> Self {
        let mut once = |word| words.once(word);
        Self {
            control: once(self.control),
            file: once(self.file),
            namespace: once(self.namespace),
            object: once(self.object),
            path: once(self.path),
            message: once(self.message),
            fix: once(self.fix),
            owed_by: once(self.owed_by),
            ..self
        }
    }

    /// The same, let pass by a Waiver.
    pub fn waived_by(self, waiver: Option<&Permit>) -> Self {
        let Some(waiver) = waiver else { return self };
        Self { level: Level::Warning, outcome: "Waived", waiver: Some(Waived { name: shown(&waiver.name, 253), last_day: waiver.last_day() }), ..self }
    }
}

impl Report {
    /// Counts one object by the worst that was found in it.
    pub fn take(&mut self, mut findings: Vec<Finding>, known: &BTreeSet<String>, show_unknown: bool) {
        for finding in &mut findings {
            finding.known = known.contains(&finding.id);
        }
        let has = |level| findings.iter().any(|f| !f.known && f.level == level);
        let summary = &mut self.summary;
        summary.objects += 1;
        summary.unknown += findings.iter().filter(|f| f.level == Level::Note).count();
        if has(Level::Error) {
            summary.denied += 1;
        } else if has(Level::Warning) {
            summary.warned += 1;
        } else {
            summary.clean += 1;
        }
        let words = &mut self.words;
        self.findings.extend(findings.into_iter().filter(|f| f.level != Level::Note || show_unknown).map(|f| f.with(words)));
    }
}
