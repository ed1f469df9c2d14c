//! escalation-contact-declared: it is written down whom to call, in which order, and somebody is there at any hour.
//! A contact must be one that can be called; it may be a person's, so no message repeats it.
use std::collections::BTreeSet;

use super::{Applies, Check, Control, Declared, Notes, declared::party};
use crate::api::{
    ownership::{Enforcement, OwnerClass, Severity},
    party::Contact,
};

pub const CONTROL: Control = Control {
    id: "escalation-contact-declared",
    title: "Escalation path is declared and complete",
    group: "governance",
    severity: Severity::High,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::SharedIndependent, OwnerClass::SharedIndependent, OwnerClass::SharedIndependent],
    references: &[("ISO 27001:2022", &["A.5.24"]), ("SOC 2", &["CC2.2", "CC7.4"]), ("CCM 4.0.12", &["SEF-03"]), ("NIST 800-53r5", &["IR-8"])],
    why: "At three in the morning nobody has time to find out whose the service is.",
    checked: "spec.escalation of the Ownership has at least two levels, each with a party of spec.parties and a contact that is an e-mail address, a phone number or a link; one \
              at least has coverage 24x7, itself or by a contact of the Party of that name, whose contacts also count where the level's own is none; every party that answers for a control stands in one.",
    unknown: "Parties cannot be read, and the Ownership alone does not say enough.",
    fix: "add a level to spec.escalation with party, contact and coverage: 24x7",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Namespace(check),
};

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    const PATH: &str = "spec.escalation.levels";
    let levels = cx.escalation;
    let add = "add a level to spec.escalation with party, contact and coverage";
    match levels.len() {
        0 => {
            out.violated("spec.escalation", "nobody is named to call", add);
            return Applies::Yes;
        }
        1 => out.violated(PATH, "there is nobody to call when the first does not answer", add),
        _ => {}
    }
    let contacts = |party: &str| -> &[Contact] { cx.facts.parties.as_ref().ok().and_then(|parties| parties.get(party)).map_or(&[], |party| &party.contacts) };
    // Without Parties what they would say is not known.
    let lacking = |out: &mut Notes, path: String, message: String, fix: &str| match &cx.facts.parties {
        Ok(_) => out.violated(path, message, fix),
        Err(reason) => out.unknown(path, format!("{message}, and Parties are not seen: {reason}"), fix),
    };
    let by_party = |party: &str| contacts(party).iter().any(|c| c.coverage.as_deref().is_some_and(is_always) && can_be_called(&c.address));
    if !levels.iter().any(|l| l.coverage.as_deref().is_some_and(is_always) || by_party(&l.party)) {
        lacking(out, PATH.to_owned(), "no level is staffed at any hour".to_owned(), "set coverage: 24x7 on the level that is");
    }
    for (i, level) in levels.iter().enumerate() {
        let parties = cx.parties;
        let known = parties.named().any(|p| *p == level.party);
        if !known {
            out.violated(format!("{PATH}[{i}].party"), format!("{} is not in spec.parties", party(&level.party)), "name it in spec.parties, or correct it");
        }
        if !can_be_called(&level.contact) && !contacts(&level.party).iter().any(|c| can_be_called(&c.address)) {
            let message = format!("the contact of level {} is no e-mail address, phone number or link", i + 1);
            lacking(out, format!("{PATH}[{i}].contact"), message, "write an address that somebody answers");
        }
    }
    let accountable: BTreeSet<&str> = cx.duties.iter().filter_map(|d| d.accountable).collect();
    for who in accountable.into_iter().filter(|who| levels.iter().all(|l| l.party != *who)) {
        out.violated(PATH, format!("{} answers for controls, and is in no level", party(who)), "add a level with its contact");
    }
    Applies::Yes
}

/// However it is spelt: 24x7, 24/7, 24×7, 7x24.
fn is_always(coverage: &str) -> bool {
    let letters: String = coverage.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    matches!(letters.as_str(), "24x7" | "247" | "7x24" | "724" | "24h7d")
}

/// An e-mail address, a link or a phone number, by its form.
fn can_be_called(contact: &str) -> bool {
    let contact = contact.trim();
    let mail = contact.split_once('@').is_some_and(|(who, host)| !who.is_empty() && host.contains('.') && !contact.contains(char::is_whitespace));
    let link = contact.split_once("://").is_some_and(|(scheme, rest)| !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric()) && !rest.is_empty());
    let number = contact.strip_prefix("tel:").unwrap_or(contact);
    let phone = number.chars().filter(char::is_ascii_digit).count() >= 5 && number.chars().all(|c| c.is_ascii_digit() || "+-()/. ".contains(c));
    mail || link || phone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controls::declared::testing::stand, model::facts::Facts};

    #[test]
    fn somebody_can_be_called_at_any_hour() {
        let levels = |levels: &str| format!("parties: {{customer: acme, mssp: guard}}, escalation: {{levels: [{levels}]}}");
        let (acme, guard) = ("{party: acme, contact: ops@acme.example}", "{party: guard, contact: '+49 30 1234567', coverage: 24x7}");
        for (spec, said) in [
            (levels(&format!("{acme}, {guard}")), vec![]),
            (levels(""), vec!["Violated spec.escalation: nobody is named to call"]),
            ("parties: {customer: acme}".to_owned(), vec!["Violated spec.escalation: nobody is named to call"]),
            (
                levels(acme),
                vec!["Violated spec.escalation.levels: there is nobody to call when the first does not answer", "Violated spec.escalation.levels: no level is staffed at any hour"],
            ),
            (levels(&format!("{guard}, {guard}")), vec!["Violated spec.escalation.levels: acme answers for controls, and is in no level"]),
            (
                levels(&format!("{acme}, {guard}, {{party: x, contact: todo}}")),
                vec![
                    "Violated spec.escalation.levels[2].party: x is not in spec.parties",
                    "Violated spec.escalation.levels[2].contact: the contact of level 3 is no e-mail address, phone number or link",
                ],
            ),
        ] {
            assert_eq!(stand(&CONTROL, &spec, &Facts::empty()), said, "{spec}");
        }
    }

    #[test]
    fn a_party_says_how_it_is_reached() {
        let spec = "parties: {customer: acme, mssp: guard}, escalation: {levels: [{party: acme, contact: ops@acme.example}, {party: guard, contact: as its Party says}]}";
        let (hours, reach) =
            ("spec.escalation.levels: no level is staffed at any hour", "spec.escalation.levels[1].contact: the contact of level 2 is no e-mail address, phone number or link");
        for (contacts, said) in [
            ("{address: soc@guard.example, coverage: 24/7}", vec![]),
            ("{address: soc@guard.example}", vec![format!("Violated {hours}")]),
            ("{address: nobody, coverage: 24x7}", vec![format!("Violated {hours}"), format!("Violated {reach}")]),
            ("", vec![format!("Violated {hours}"), format!("Violated {reach}")]),
        ] {
            let guard = serde_saphyr::from_str(&format!("{{role: MSSP, contacts: [{contacts}]}}")).unwrap();
            let facts = Facts { parties: Ok(std::sync::Arc::new([("guard".to_owned(), guard)].into())), ..Facts::empty() };
            assert_eq!(stand(&CONTROL, spec, &facts), said, "{contacts}");
        }
        let unseen = |what: &str| format!("Unknown {what}, and Parties are not seen: forbidden");
        assert_eq!(stand(&CONTROL, spec, &Facts::none("forbidden")), [unseen(hours), unseen(reach)]);
    }

    #[test]
    fn words_are_read_as_people_write_them() {
        for (coverage, always) in [("24x7", true), ("24/7", true), ("24×7", true), ("7x24", true), ("24X7", true), ("business-hours", false), ("", false), ("8x5", false)] {
            assert_eq!(is_always(coverage), always, "{coverage}");
        }
        for (contact, can) in [
            ("a@b.example", true),
            ("https://pager.example/x", true),
            ("tel:+1-555-0100", true),
            ("0800 123456", true),
            ("none", false),
            ("@b.example", false),
            ("a@b", false),
            ("://x", false),
            ("12", false),
            ("call 555 0100 now", false),
            ("", false),
        ] {
            assert_eq!(can_be_called(contact), can, "{contact}");
        }
    }
}
