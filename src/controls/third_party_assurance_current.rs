//! third-party-assurance-current: whoever the customer relies on shows, by evidence that still counts, that it does what it owes.
//! One finding a party, that names the controls: a report that has lapsed is renewed once, not once a control.
use std::collections::BTreeMap;

use super::{
    Applies, Check, Control, Declared, Notes,
    declared::{NOTICE_OF_EVIDENCE, Proof, day, party, proof},
};
use crate::api::{
    ownership::{Enforcement, OwnerClass, Severity},
    party::PartySpec,
};

pub const CONTROL: Control = Control {
    id: "third-party-assurance-current",
    title: "Providers and third parties have unexpired evidence for what they owe",
    group: "governance",
    severity: Severity::Medium,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::SharedDependent, OwnerClass::SharedDependent, OwnerClass::SharedDependent],
    references: &[
        ("ISO 27001:2022", &["A.5.20", "A.5.22"]),
        ("SOC 2", &["CC9.2"]),
        ("CCM 4.0.12", &["STA-09", "STA-12"]),
        ("NIST 800-53r5", &["SA-9", "SA-4"]),
        ("PCI DSS 4.0", &["12.8.1", "12.8.2", "12.8.4", "12.9.2"]),
    ],
    why: "What is left to others is still answered for; their word of last year proves nothing about this one.",
    checked: "Each control that is owned by the Provider or a ThirdParty holds evidence in the Ownership, and the validUntil of one piece lies ahead; or \
              the assurance of the Party of that name does, which then stands for all its controls. Where there is a Party, the validUntil of its agreement lies ahead.",
    unknown: "The evidence does not say until when it counts. Record its validUntil. The Party has no agreement with an end, or evidence is lacking and \
              Parties cannot be read.",
    fix: "ask the party for its current report or certificate, and record it as evidence with validUntil",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Namespace(check),
};

const PATH: &str = "spec.controls";

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    let mut parties: BTreeMap<&str, [Vec<&str>; 3]> = BTreeMap::new();
    for duty in cx.duties.iter().filter(|d| matches!(d.owner, OwnerClass::Provider | OwnerClass::ThirdParty)) {
        let nobody = if duty.owner == OwnerClass::Provider { "the provider" } else { "the third party" };
        let [missing, lapsed, endless] = parties.entry(duty.accountable.unwrap_or(nobody)).or_default();
        match proof(duty, cx.now, out) {
            Proof::Counts => {}
            Proof::None => missing.push(duty.control),
            Proof::Lapsed(_) => lapsed.push(duty.control),
            Proof::Endless => endless.push(duty.control),
        }
    }
    if parties.is_empty() {
        return Applies::No;
    }
    for (name, [mut missing, mut lapsed, mut endless]) in parties {
        let who = party(name);
        let known = cx.facts.parties.as_ref().map(|parties| parties.get(name));
        if let Ok(Some(spec)) = known {
            agreed(cx, &who, spec, out);
            if assured(cx, &who, spec, out) {
                (missing, lapsed, endless) = Default::default();
            }
        }
        if let (Err(reason), false) = (known, missing.is_empty() && lapsed.is_empty()) {
            missing.append(&mut lapsed);
            out.unknown(PATH, format!("{who} has no evidence that counts for {}, and Parties are not seen: {reason}", some(&missing)), "let Demarc read parties");
            continue;
        }
        let fix = format!("ask {who} for its current report, and record it as evidence with validUntil");
        if !missing.is_empty() {
            out.violated(PATH, format!("{who} has no evidence for {}", some(&missing)), fix.clone());
        }
        if !lapsed.is_empty() {
            out.violated(PATH, format!("{who} has expired evidence for {}", some(&lapsed)), fix);
        }
        if !endless.is_empty() {
            out.unknown(PATH, format!("{who} has evidence without an end for {}", some(&endless)), "record its validUntil");
        }
    }
    Applies::Yes
}

/// Whether something that the party shows of its own security still counts; of several the one that lasts longest.
fn assured(cx: &Declared<'_>, who: &str, spec: &PartySpec, out: &mut Notes) -> bool {
    let until = spec.assurance.iter().filter_map(|e| e.valid_until.as_ref()).map(|t| t.0).max();
    if let Some(until) = until {
        out.due(format!("assurance of {who}"), until, NOTICE_OF_EVIDENCE);
    }
    until.is_some_and(|until| until > cx.now)
}

/// What was agreed with the party holds.
fn agreed(cx: &Declared<'_>, who: &str, spec: &PartySpec, out: &mut Notes) {
    let path = format!("party/{who}.spec.agreement");
    let Some(until) = spec.agreement.as_ref().and_then(|a| a.valid_until.as_ref()).map(|t| t.0) else {
        return out.unknown(path, "until when an agreement with it holds is not recorded", "record agreement.validUntil in the Party");
    };
    out.due(format!("agreement with {who}"), until, NOTICE_OF_EVIDENCE);
    if until <= cx.now {
        out.violated(path, format!("the agreement ended {}", day(until)), "renew it, and record agreement.validUntil in the Party");
    }
}

/// The first of them, and how many more.
fn some(controls: &[&str]) -> String {
    let shown = controls.iter().take(3).copied().collect::<Vec<_>>().join(", ");
    match controls.len() {
        0..=3 => shown,
        n => format!("{shown} and {} more", n - 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controls::declared::testing::stand, model::facts::Facts};

    #[test]
    fn whoever_owes_shows_it() {
        let entry = |control: &str, owner: &str, evidence: &str| format!("{{control: {control}, owner: {owner}, evidence: [{evidence}]}}");
        let (good, old, endless) =
            ("{type: soc2-report, ref: x, validUntil: '2027-01-01T00:00:00Z'}", "{type: soc2-report, ref: x, validUntil: '2026-01-01T00:00:00Z'}", "{type: contract, ref: x}");
        let spec = |entries: &[String]| format!("parties: {{provider: azure, thirdParties: [backupco]}}, controls: [{}]", entries.join(", "));
        for (entries, said) in [
            (vec![], vec!["-"]),
            (vec![entry("mfa-enforced", "Customer", "")], vec!["-"]),
            (vec![entry("mfa-enforced", "Provider", good)], vec![]),
            (vec![entry("mfa-enforced", "Provider", &format!("{old}, {good}"))], vec![]),
            (vec![entry("mfa-enforced", "Provider", "")], vec!["Violated spec.controls: azure has no evidence for mfa-enforced"]),
            (vec![entry("mfa-enforced", "ThirdParty", old)], vec!["Violated spec.controls: backupco has expired evidence for mfa-enforced"]),
            (vec![entry("mfa-enforced", "Provider", endless)], vec!["Unknown spec.controls: azure has evidence without an end for mfa-enforced"]),
            (
                vec![entry("mfa-enforced", "Provider", ""), entry("encryption-declared", "Provider", old), entry("access-review-current", "ThirdParty", good)],
                vec!["Violated spec.controls: azure has no evidence for mfa-enforced", "Violated spec.controls: azure has expired evidence for encryption-declared"],
            ),
        ] {
            assert_eq!(stand(&CONTROL, &spec(&entries), &Facts::empty()), said, "{entries:?}");
        }
        let owed = spec(&[entry("mfa-enforced", "Provider", ""), entry("encryption-declared", "Provider", old)]);
        let lacks = ["Violated spec.controls: azure has no evidence for mfa-enforced", "Violated spec.controls: azure has expired evidence for encryption-declared"];
        let agreement = "agreement: {ref: x, validUntil: '2027-01-01T00:00:00Z'}";
        for (party, said) in [
            (format!("{agreement}, assurance: [{old}, {good}]"), vec![]),
            (format!("{agreement}, assurance: [{old}]"), lacks.to_vec()),
            (format!("{agreement}, assurance: [{endless}]"), lacks.to_vec()),
            (format!("assurance: [{good}]"), vec!["Unknown party/azure.spec.agreement: until when an agreement with it holds is not recorded"]),
            (format!("agreement: {{ref: x}}, assurance: [{good}]"), vec!["Unknown party/azure.spec.agreement: until when an agreement with it holds is not recorded"]),
            (
                format!("agreement: {{ref: x, validUntil: '2026-04-01T00:00:00Z'}}, assurance: [{good}]"),
                vec!["Violated party/azure.spec.agreement: the agreement ended 2026-04-01"],
            ),
        ] {
            let azure: PartySpec = serde_saphyr::from_str(&format!("{{role: Provider, {party}}}")).unwrap();
            let facts = Facts { parties: Ok(std::sync::Arc::new([("azure".to_owned(), azure)].into())), ..Facts::empty() };
            assert_eq!(stand(&CONTROL, &owed, &facts), said, "{party}");
        }
        let blind = stand(&CONTROL, &owed, &Facts::none("forbidden"));
        assert_eq!(blind, ["Unknown spec.controls: azure has no evidence that counts for mfa-enforced, encryption-declared, and Parties are not seen: forbidden"]);
        assert_eq!(some(&["a", "b", "c", "d"]), "a, b, c and 1 more");
    }
}
