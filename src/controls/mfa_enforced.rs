//! mfa-enforced: people who change the cluster prove who they are by more than a password.
//! The cluster does not keep how somebody signed in, so of a namespace the identity provider's policy is attested, and without that it is Unknown. Of a single
//! request it may be shown, where the cluster maps a claim of the token; that says nothing of who asked before, or asks elsewhere.
use k8s_openapi::api::authentication::v1::UserInfo;

use super::{
    Applies, Check, Control, Declared, Notes,
    declared::{Duties, Proof, attested, proof, review},
};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Policy, Severity},
    model::{Finding, text::shown},
};

pub const CONTROL: Control = Control {
    id: "mfa-enforced",
    title: "Multi-factor authentication for people who change the cluster",
    group: "identity",
    severity: Severity::High,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::Customer, OwnerClass::SharedDependent, OwnerClass::SharedDependent],
    references: &[("ISO 27001:2022", &["A.8.5"]), ("SOC 2", &["CC6.1"]), ("CCM 4.0.12", &["IAM-14"]), ("NIST 800-53r5", &["IA-2(1)", "IA-2(2)"])],
    why: "A stolen password alone must not be enough to change what runs.",
    checked: "Somebody attested the identity provider's policy: spec.reviews.mfa of the Ownership was completed within its period, P365D unless it says otherwise, and names its \
              evidence; or the entry of this control holds evidence whose validUntil lies ahead. Where policy.mfa names the key of userInfo.extra to which the cluster's \
              authentication configuration maps a claim of the token, such as amr, and the enforcement is Warn or Deny, whoever writes what the webhook is asked about shows one \
              of its values there. ServiceAccounts and whatever else is called system: are not asked, nor who stands in policy.mfa.machines; a client certificate shows nothing, \
              and is no second factor. What requests have shown is no evidence of a namespace: only those are seen that write here.",
    unknown: "Nobody attested it, or without evidence: a cluster sees user names, not how they were proven. Record spec.reviews.mfa with evidence.",
    fix: "have the identity provider's policy checked, and record spec.reviews.mfa with lastCompleted and evidence",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Requester(check, asks),
};

const DUTY: Duties = Duties { field: "mfa", what: "check of the multi-factor policy", days: 365 };

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    let Some(mfa) = &cx.reviews.mfa else { return attested(cx, out) };
    if matches!(proof(cx.duty, cx.now, out), Proof::Counts) {
        return Applies::Yes;
    }
    if review(cx, &DUTY, Some(mfa), out).is_some() && mfa.evidence.as_deref().is_none_or(|e| e.trim().is_empty()) {
        out.unknown("spec.reviews.mfa", "the check of the multi-factor policy names no evidence", "record where its report lies as spec.reviews.mfa.evidence");
    }
    Applies::Yes
}

/// Missing is never compliant: who shows nothing has shown no second factor.
fn asks(policy: &Policy, user: &UserInfo) -> Option<Finding> {
    let mfa = policy.mfa.as_ref()?;
    if user.username.as_ref().is_some_and(|name| mfa.machines.contains(name)) {
        return None;
    }
    let shows = user.extra.as_ref().and_then(|extra| extra.get(&mfa.extra)).map(Vec::as_slice).unwrap_or_default();
    let message = match shows {
        [] => "the request does not show how whoever asks signed in",
        shows if shows.iter().any(|value| mfa.values.contains(value)) => return None,
        _ => "whoever asks signed in without a second factor",
    };
    Some(Finding::violated(format!("request.userInfo.extra[{}]", shown(&mfa.extra, 63)), "", message, "sign in by more than a password, and try again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_shows_a_second_factor_or_does_not_count() {
        let policy = |machines: &str| -> Policy { crate::controls::testing::policy(&format!("{{mfa: {{extra: example.com/amr, values: [mfa, hwk], machines: [{machines}]}}}}")) };
        let user = |extra: &str| -> UserInfo { serde_saphyr::from_str(&format!("{{username: jo, groups: ['system:masters'], extra: {extra}}}")).unwrap() };
        for (user, machines, said) in [
            (user("{example.com/amr: [pwd, mfa]}"), "", None),
            (user("{example.com/amr: [hwk]}"), "", None),
            (user("{example.com/amr: [pwd]}"), "", Some("whoever asks signed in without a second factor")),
            (user("{example.com/amr: [MFA, 'mfa ', '']}"), "", Some("whoever asks signed in without a second factor")),
            (user("{example.com/amr: []}"), "", Some("the request does not show how whoever asks signed in")),
            (user("{example.com/AMR: [mfa], amr: [mfa]}"), "", Some("the request does not show how whoever asks signed in")),
            (user("null"), "", Some("the request does not show how whoever asks signed in")),
            (user("{example.com/amr: [pwd]}"), "jo", None),
            (user("{example.com/amr: [pwd]}"), "joe, j", Some("whoever asks signed in without a second factor")),
            (UserInfo::default(), "''", Some("the request does not show how whoever asks signed in")),
        ] {
            assert_eq!(asks(&policy(machines), &user).map(|f| f.message).as_deref(), said, "{user:?}");
        }
        assert_eq!(asks(&Policy::default(), &UserInfo::default()), None);
    }
    use crate::{controls::declared::testing::stand, model::facts::Facts};

    #[test]
    fn it_is_attested_or_unknown() {
        let entry = |until: &str| format!("controls: [{{control: mfa-enforced, evidence: [{{type: policy, ref: x, validUntil: '{until}'}}]}}]");
        let (current, old) = (entry("2026-05-01T00:00:00Z"), entry("2026-04-01T00:00:00Z"));
        for (spec, said) in [
            (String::new(), vec!["Unknown spec.controls[mfa-enforced].evidence: no evidence is recorded"]),
            (current.clone(), vec![]),
            (old.clone(), vec!["Violated spec.controls[mfa-enforced].evidence: evidence expired 2026-04-01"]),
            ("reviews: {mfa: {lastCompleted: '2026-03-01T00:00:00Z', evidence: 'https://x'}}".to_owned(), vec![]),
            (
                "reviews: {mfa: {lastCompleted: '2026-03-01T00:00:00Z', evidence: ' '}}".to_owned(),
                vec!["Unknown spec.reviews.mfa: the check of the multi-factor policy names no evidence"],
            ),
            (
                "reviews: {mfa: {lastCompleted: '2025-03-01T00:00:00Z', evidence: 'https://x'}}".to_owned(),
                vec!["Violated spec.reviews.mfa.lastCompleted: the check of the multi-factor policy was due 2026-03-01"],
            ),
            ("reviews: {mfa: {evidence: 'https://x'}}".to_owned(), vec!["Unknown spec.reviews.mfa: no check of the multi-factor policy is recorded"]),
            (format!("reviews: {{mfa: {{}}}}, {current}"), vec![]),
        ] {
            assert_eq!(stand(&CONTROL, &spec, &Facts::empty()), said, "{spec}");
        }
    }
}
