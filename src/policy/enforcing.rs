//! Whether what a namespace promises is enforced, as the condition `Enforcing`: from what was looked at in the API server and from what was tried.
//! Unknown is never green: True needs a proof, and what is wrong comes before it.

use std::{cmp::Reverse, collections::BTreeMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{expiry::Ending, status::Observed};
use crate::model::{
    proof,
    text::{listed, shown},
};

/// What keeps the API server from asking as it should, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `False`: something is wrong. `Unknown`: it may be.
    pub status: &'static str,
    /// In one word, distinct for each way in which it can go wrong.
    pub reason: &'static str,
    /// In a sentence, without anything that changes from try to try: a status is written when it changes.
    pub message: String,
}

impl Fault {
    /// Something is wrong.
    pub fn wrong(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: "False", reason, message: message.into() }
    }

    /// It cannot be told.
    pub fn unknown(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: "Unknown", reason, message: message.into() }
    }
}

/// What the leader's tries say of one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// This leader has not tried yet; what an earlier one proved stands.
    #[default]
    Awaited,
    /// A dry run was refused by Demarc.
    Held,
    /// It was not.
    Missing(Fault),
}

/// The condition's type.
pub const ENFORCING: &str = "Enforcing";

/// Whether the condition stands among these.
pub fn stands(conditions: &[Condition]) -> bool {
    conditions.iter().any(|c| c.type_ == ENFORCING && c.status == "True")
}

/// A condition's status, reason and message.
pub type Said = (&'static str, &'static str, String);

/// What of it is counted: status and reason.
pub type Word = (&'static str, &'static str);

/// Why a namespace is left out, whatever is declared.
const CRITICAL: &str = "CriticalNamespace";

/// The condition's status, reason and message. `enrolls` is the mode's word, `unreadable` that nothing new is admitted for want of a readable
/// declaration; `stood` that an earlier leader proved it.
pub fn enforcing(observed: &Observed<'_>, enrolls: bool, unreadable: bool, stood: bool) -> Said {
    let fault = |f: &Fault| (f.status, f.reason, f.message.clone());
    if let Some(why) = observed.critical {
        return ("False", CRITICAL, why.to_owned());
    }
    if !enrolls {
        return ("False", "ModeAudit", "mode Audit: drift is reported and nothing is refused".to_owned());
    }
    if !observed.enrolled {
        return ("False", "NotEnrolled", "the namespace does not carry the enrolment label yet".to_owned());
    }
    if let Some(found) = observed.fault {
        return fault(found);
    }
    if let Some(ending) = observed.ending.filter(Ending::over) {
        return ("False", ending.reason(), ending.message());
    }
    match observed.proof {
        Proof::Missing(found) => fault(found),
        Proof::Awaited if !stood => ("Unknown", "NotProvenYet", "the namespace is enrolled; that the API server asks about it is yet to be proven".to_owned()),
        Proof::Awaited | Proof::Held if unreadable => ("True", "FailClosed", "nothing new is admitted until the declaration can be read".to_owned()),
        Proof::Awaited | Proof::Held => {
            let note: String = [observed.ending.map(|ending| ending.message()), observed.note.map(str::to_owned)].into_iter().flatten().map(|note| format!("; {note}")).collect();
            let reason = observed.ending.map_or("Proven", |ending| ending.reason());
            ("True", reason, format!("the API server asks Demarc, as was proven; Lease {} tells when last{note}", proof::LEASE))
        }
    }
}

/// The condition of a Baseline whose gate could not be written: what is made together with its namespace slips in.
pub fn no_gate(why: &str) -> Said {
    let message = format!("the gate's binding is not written, so what is created together with a namespace is admitted before it is enrolled: {}", shown(why, 400));
    ("False", "GateMissing", message)
}

/// The most names in one sentence.
const NAMES: usize = 10;

/// The condition of a Baseline: what is said of the namespaces under it that ask for admission, told together and the worst first. Those that the
/// cluster depends on are left out by design, and named.
pub fn fold<'s>(asking: impl IntoIterator<Item = (&'s str, &'s Said)>) -> Said {
    let mut spared: Vec<&str> = Vec::new();
    let mut groups: BTreeMap<(u8, &str), Vec<(&str, &Said)>> = BTreeMap::new();
    for (namespace, said) in asking {
        let rank = match said.0 {
            _ if said.1 == CRITICAL => {
                spared.push(namespace);
                continue;
            }
            "False" => 0,
            "True" => 2,
            _ => 1,
        };
        groups.entry((rank, said.1)).or_default().push((namespace, said));
    }
    spared.sort_unstable();
    let left_out = if spared.is_empty() { String::new() } else { format!("; left out, for the cluster depends on them: {}", listed(&spared, NAMES)) };
    let total: usize = groups.values().map(Vec::len).sum();
    let worst = groups.into_iter().min_by_key(|((rank, reason), of)| (*rank, Reverse(of.len()), *reason));
    let Some((_, mut worst)) = worst else { return ("False", "NothingAsked", shown(&format!("no namespace under it asks for admission{left_out}"), 1000)) };
    worst.sort_unstable();
    // What is told of one stands for all of the same reason.
    let Some((_, (status, reason, message))) = worst.first() else { return ("Unknown", "NothingAsked", String::new()) };
    let names: Vec<&str> = worst.iter().map(|(namespace, _)| *namespace).collect();
    let which = if names.len() < total { format!(" ({})", listed(&names, NAMES)) } else { String::new() };
    let many = if total == 1 { "namespace" } else { "namespaces" };
    (status, reason, shown(&format!("{} of {total} {many}: {reason}{which}: {message}{left_out}", names.len()), 1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::expiry::Whose;

    #[test]
    fn what_is_wrong_comes_first_and_true_needs_a_proof() {
        let (gone, masked) = (Fault::wrong("WebhookMissing", "gone"), Fault::unknown("ProbeMasked", "another"));
        let missing = Proof::Missing(masked.clone());
        let base = Observed { generation: 1, enrolled: true, broken: None, critical: None, fault: None, proof: &Proof::Held, ending: None, note: None, written: None };
        let now: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let near = Some(Ending { whose: Whose::Authority, until: now, days: 7 });
        let over = Some(Ending { whose: Whose::Certificate, until: now, days: 0 });
        let said = |observed: &Observed<'_>, enrolls, unreadable, stood| {
            let (status, reason, _) = enforcing(observed, enrolls, unreadable, stood);
            format!("{status} {reason}")
        };
        for (what, observed, enrolls, unreadable, stood, expected) in [
            ("proven", Observed { ..base }, true, false, false, "True Proven"),
            ("and closed", Observed { ..base }, true, true, false, "True FailClosed"),
            ("not tried", Observed { proof: &Proof::Awaited, ..base }, true, false, false, "Unknown NotProvenYet"),
            ("not tried, closed", Observed { proof: &Proof::Awaited, ..base }, true, true, false, "Unknown NotProvenYet"),
            ("proven by the last leader", Observed { proof: &Proof::Awaited, ..base }, true, false, true, "True Proven"),
            ("tried in vain", Observed { proof: &missing, ..base }, true, false, true, "Unknown ProbeMasked"),
            ("tampered with", Observed { fault: Some(&gone), ..base }, true, false, true, "False WebhookMissing"),
            ("both", Observed { fault: Some(&gone), proof: &missing, ..base }, true, false, true, "False WebhookMissing"),
            ("without the label", Observed { enrolled: false, fault: Some(&gone), ..base }, true, false, true, "False NotEnrolled"),
            ("near its end", Observed { ending: near, ..base }, true, false, true, "True CAExpiring"),
            ("near its end, and closed", Observed { ending: near, ..base }, true, true, true, "True FailClosed"),
            ("near its end, and not tried", Observed { ending: near, proof: &Proof::Awaited, ..base }, true, false, false, "Unknown NotProvenYet"),
            ("near its end, and not proven", Observed { ending: near, proof: &missing, ..base }, true, false, true, "Unknown ProbeMasked"),
            ("over", Observed { ending: over, ..base }, true, false, true, "False CertificateExpired"),
            ("over, and so not proven", Observed { ending: over, proof: &missing, ..base }, true, false, true, "False CertificateExpired"),
            ("over, and tampered with", Observed { ending: over, fault: Some(&gone), ..base }, true, false, true, "False WebhookMissing"),
            ("audited", Observed { enrolled: false, ..base }, false, false, true, "False ModeAudit"),
            ("critical", Observed { critical: Some("x"), fault: Some(&gone), ..base }, true, true, true, "False CriticalNamespace"),
        ] {
            assert_eq!(said(&observed, enrolls, unreadable, stood), expected, "{what}");
        }
        let noted = Observed { note: Some("it also excludes"), ending: near, ..base };
        let (_, _, message) = enforcing(&noted, true, false, false);
        assert!(message.ends_with("; it also excludes") && message.contains("; the authority in the webhook's caBundle ends on 2026-01-01"), "{message}");
    }

    #[test]
    fn of_many_namespaces_the_worst_is_told_and_how_many() {
        let proven: Said = ("True", "Proven", "asked".into());
        let ending: Said = ("True", "CAExpiring", "asked; ends".into());
        let bare: Said = ("False", "NotEnrolled", "no label".into());
        let open: Said = ("False", "FailingOpen", "admitted".into());
        let (old, new): (Said, Said) = (("Unknown", "ProofOld", "old".into()), ("Unknown", "NotProvenYet", "yet".into()));
        let critical: Said = ("False", "CriticalNamespace", "of the cluster".into());
        let names: Vec<String> = (0..12).map(|i| format!("n{i:02}")).collect();
        for (namespaces, expected) in [
            (vec![], "False NothingAsked no namespace under it asks for admission"),
            (vec![&critical], "False NothingAsked no namespace under it asks for admission; left out, for the cluster depends on them: n00"),
            (vec![&proven], "True Proven 1 of 1 namespace: Proven: asked"),
            (vec![&proven, &critical, &proven], "True Proven 2 of 2 namespaces: Proven: asked; left out, for the cluster depends on them: n01"),
            (vec![&ending, &ending], "True CAExpiring 2 of 2 namespaces: CAExpiring: asked; ends"),
            (vec![&proven, &bare, &bare, &proven], "False NotEnrolled 2 of 4 namespaces: NotEnrolled (n01, n02): no label"),
            (vec![&old, &proven, &old, &open], "False FailingOpen 1 of 4 namespaces: FailingOpen (n03): admitted"),
            (vec![&bare, &open, &open], "False FailingOpen 2 of 3 namespaces: FailingOpen (n01, n02): admitted"),
            (vec![&bare, &open], "False FailingOpen 1 of 2 namespaces: FailingOpen (n01): admitted"),
            (vec![&proven, &new], "Unknown NotProvenYet 1 of 2 namespaces: NotProvenYet (n01): yet"),
            (vec![&old; 12], "Unknown ProofOld 12 of 12 namespaces: ProofOld: old"),
        ] {
            let told = |namespaces: Vec<(&str, &Said)>| {
                let (status, reason, message) = fold(namespaces);
                format!("{status} {reason} {message}")
            };
            let members: Vec<(&str, &Said)> = names.iter().map(String::as_str).zip(namespaces).collect();
            assert_eq!(told(members.clone()), expected);
            assert_eq!(told(members.into_iter().rev().collect()), expected, "in whatever order they come");
        }
        let members = names.iter().map(String::as_str).zip(std::iter::repeat(&bare)).chain([("z", &proven)]);
        assert!(fold(members).2.starts_with("12 of 13 namespaces: NotEnrolled (n00, n01, n02, n03, n04, n05, n06, n07, n08, n09 and 2 more): "));
    }
}
