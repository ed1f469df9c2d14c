//! Whether what a namespace promises is enforced, as the condition `Enforcing`: from what was looked at in the API server and from what was tried.
//! Unknown is never green: True needs a proof, and what is wrong comes before it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{expiry::Ending, status::Observed};
use crate::model::proof;

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

/// The condition's status, reason and message. `enrolls` is the mode's word, `unreadable` that nothing new is admitted for want of a readable
/// declaration; `before` are the conditions as they stand.
pub fn enforcing(observed: &Observed<'_>, enrolls: bool, unreadable: bool, before: &[Condition]) -> (&'static str, &'static str, String) {
    let fault = |f: &Fault| (f.status, f.reason, f.message.clone());
    if let Some(why) = observed.critical {
        return ("False", "CriticalNamespace", why.to_owned());
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
    let stood = || before.iter().any(|c| c.type_ == "Enforcing" && c.status == "True");
    match observed.proof {
        Proof::Missing(found) => fault(found),
        Proof::Awaited if !stood() => ("Unknown", "NotProvenYet", "the namespace is enrolled; that the API server asks about it is yet to be proven".to_owned()),
        Proof::Awaited | Proof::Held if unreadable => ("True", "FailClosed", "nothing new is admitted until the declaration can be read".to_owned()),
        Proof::Awaited | Proof::Held => {
            let note: String = [observed.ending.map(|ending| ending.message()), observed.note.map(str::to_owned)].into_iter().flatten().map(|note| format!("; {note}")).collect();
            let reason = observed.ending.map_or("Proven", |ending| ending.reason());
            ("True", reason, format!("the API server asks Demarc about this namespace; Lease {} tells when that was last proven{note}", proof::LEASE))
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::policy::expiry::Whose;

    #[test]
    fn what_is_wrong_comes_first_and_true_needs_a_proof() {
        let (gone, masked) = (Fault::wrong("WebhookMissing", "gone"), Fault::unknown("ProbeMasked", "another"));
        let missing = Proof::Missing(masked.clone());
        let base = Observed { generation: 1, enrolled: true, broken: None, critical: None, fault: None, proof: &Proof::Held, ending: None, note: None };
        let now: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let near = Some(Ending { whose: Whose::Authority, until: now, days: 7 });
        let over = Some(Ending { whose: Whose::Certificate, until: now, days: 0 });
        let stood = [Condition {
            type_: "Enforcing".into(),
            status: "True".into(),
            reason: "Proven".into(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(now),
        }];
        let said = |observed: &Observed<'_>, enrolls, unreadable, before: &[Condition]| {
            let (status, reason, _) = enforcing(observed, enrolls, unreadable, before);
            format!("{status} {reason}")
        };
        for (what, observed, enrolls, unreadable, before, expected) in [
            ("proven", Observed { ..base }, true, false, &[][..], "True Proven"),
            ("and closed", Observed { ..base }, true, true, &[], "True FailClosed"),
            ("not tried", Observed { proof: &Proof::Awaited, ..base }, true, false, &[], "Unknown NotProvenYet"),
            ("not tried, closed", Observed { proof: &Proof::Awaited, ..base }, true, true, &[], "Unknown NotProvenYet"),
            ("proven by the last leader", Observed { proof: &Proof::Awaited, ..base }, true, false, &stood, "True Proven"),
            ("tried in vain", Observed { proof: &missing, ..base }, true, false, &stood, "Unknown ProbeMasked"),
            ("tampered with", Observed { fault: Some(&gone), ..base }, true, false, &stood, "False WebhookMissing"),
            ("both", Observed { fault: Some(&gone), proof: &missing, ..base }, true, false, &stood, "False WebhookMissing"),
            ("without the label", Observed { enrolled: false, fault: Some(&gone), ..base }, true, false, &stood, "False NotEnrolled"),
            ("near its end", Observed { ending: near, ..base }, true, false, &stood, "True CAExpiring"),
            ("near its end, and closed", Observed { ending: near, ..base }, true, true, &stood, "True FailClosed"),
            ("near its end, and not tried", Observed { ending: near, proof: &Proof::Awaited, ..base }, true, false, &[], "Unknown NotProvenYet"),
            ("near its end, and not proven", Observed { ending: near, proof: &missing, ..base }, true, false, &stood, "Unknown ProbeMasked"),
            ("over", Observed { ending: over, ..base }, true, false, &stood, "False CertificateExpired"),
            ("over, and so not proven", Observed { ending: over, proof: &missing, ..base }, true, false, &stood, "False CertificateExpired"),
            ("over, and tampered with", Observed { ending: over, fault: Some(&gone), ..base }, true, false, &stood, "False WebhookMissing"),
            ("audited", Observed { enrolled: false, ..base }, false, false, &stood, "False ModeAudit"),
            ("critical", Observed { critical: Some("x"), fault: Some(&gone), ..base }, true, true, &stood, "False CriticalNamespace"),
        ] {
            assert_eq!(said(&observed, enrolls, unreadable, before), expected, "{what}");
        }
        let noted = Observed { note: Some("it also excludes"), ending: near, ..base };
        let (_, _, message) = enforcing(&noted, true, false, &[]);
        assert!(message.ends_with("; it also excludes") && message.contains("; the authority in the webhook's caBundle ends on 2026-01-01"), "{message}");
    }
}
