//! responsibility-declared: for every control that is asked for here, one party that is named answers.
//! The Ownership is there, or nothing would be judged; what it leaves open is told.
use std::collections::BTreeMap;

use super::{
    Applies, Check, Control, Declared, Notes,
    declared::{Duty, party},
    parties,
};
use crate::api::ownership::{Enforcement, OwnerClass, Severity};

pub const CONTROL: Control = Control {
    id: "responsibility-declared",
    title: "Every control of a namespace has a party that answers for it",
    group: "governance",
    severity: Severity::High,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::SharedIndependent, OwnerClass::SharedIndependent, OwnerClass::SharedIndependent],
    references: &[
        ("ISO 27001:2022", &["A.5.2", "A.5.23"]),
        ("SOC 2", &["CC1.3", "CC2.3"]),
        ("CCM 4.0.12", &["STA-04", "GRC-06"]),
        ("NIST 800-53r5", &["SA-9", "PL-2"]),
        ("PCI DSS 4.0", &["12.8.5"]),
    ],
    why: "What everybody is responsible for nobody does, and after an incident each points at the other.",
    checked: "Each control that is asked for has an accountable party: its entry's, or the one that spec.parties names for its owner class. Every accountable and performedBy \
              stands in spec.parties; the mssp performs, and answers only where the owner is ThirdParty. What is owned by one side alone is performed by one party. Where \
              there are Parties, each that is named is there, of a role that answers, and has a contact if it answers; what a provider or third party owes stands in its Party's \
              provides.",
    unknown: "Parties cannot be read, are not among the files, or there are none at all though some are named.",
    fix: "name the party in spec.parties of the Ownership, and let its Party say what it promises and where it is reached",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Namespace(check),
};

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    let named: Vec<&str> = cx.parties.named().map(String::as_str).collect();
    let mut nobody: BTreeMap<&str, usize> = BTreeMap::new();
    for duty in cx.duties {
        let at = |field: &str| format!("spec.controls[{}].{field}", duty.control);
        match duty.accountable {
            None => *nobody.entry(role(duty)).or_default() += 1,
            Some(who) if !named.contains(&who) => {
                out.violated(at("accountable"), format!("{} answers for {}, and is not in spec.parties", party(who), duty.control), "name it in spec.parties, or correct it");
            }
            Some(who) if cx.parties.mssp.as_deref() == Some(who) && duty.owner != OwnerClass::ThirdParty => {
                let message = format!("{} is the mssp, which performs {} and does not answer for it", party(who), duty.control);
                out.violated(at("accountable"), message, "make it performedBy, or the owner ThirdParty");
            }
            Some(_) => {}
        }
        for who in duty.performed_by.iter().filter(|who| !named.contains(&who.as_str())) {
            out.violated(at("performedBy"), format!("{} performs {}, and is not in spec.parties", party(who), duty.control), "name it in spec.parties, or correct it");
        }
    }
    for (role, count) in nobody {
        let controls = if count == 1 { "1 control".to_owned() } else { format!("{count} controls") };
        out.violated("spec.parties", format!("nobody is named as {role}, who owes {controls}"), format!("set spec.parties.{role} in the Ownership"));
    }
    parties::judge(cx, out);
    Applies::Yes
}

/// The field of `spec.parties` that would name who answers.
fn role(duty: &Duty<'_>) -> &'static str {
    match duty.owner {
        OwnerClass::Provider => "provider",
        OwnerClass::ThirdParty => "thirdParties",
        OwnerClass::Customer | OwnerClass::SharedIndependent | OwnerClass::SharedDependent | OwnerClass::NotApplicable => "customer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controls::declared::testing::stand, model::facts::Facts};

    #[test]
    fn every_control_has_somebody_who_is_known() {
        let entry = |rest: &str| format!("parties: {{customer: acme, provider: azure, mssp: guard, thirdParties: [backupco]}}, controls: [{{control: mfa-enforced, {rest}}}]");
        for (spec, said) in [
            ("parties: {customer: acme}".to_owned(), vec![]),
            (entry("owner: Provider"), vec![]),
            (entry("accountable: backupco, performedBy: [guard, acme]"), vec![]),
            (entry("accountable: acmee"), vec!["Violated spec.controls[mfa-enforced].accountable: acmee answers for mfa-enforced, and is not in spec.parties"]),
            (entry("performedBy: [guard, x]"), vec!["Violated spec.controls[mfa-enforced].performedBy: x performs mfa-enforced, and is not in spec.parties"]),
            (entry("accountable: guard"), vec!["Violated spec.controls[mfa-enforced].accountable: guard is the mssp, which performs mfa-enforced and does not answer for it"]),
            (entry("accountable: guard, owner: ThirdParty"), vec![]),
            (
                "parties: {customer: acme}, controls: [{control: mfa-enforced, owner: Provider}]".to_owned(),
                vec!["Violated spec.parties: nobody is named as provider, who owes 1 control"],
            ),
            (
                "parties: {customer: acme}, controls: [{control: mfa-enforced, owner: ThirdParty}]".to_owned(),
                vec!["Violated spec.parties: nobody is named as thirdParties, who owes 1 control"],
            ),
        ] {
            let found: Vec<String> =
                stand(&CONTROL, &spec, &Facts::empty()).into_iter().filter(|said| !said.starts_with("Unknown spec.parties: there is no Party at all")).collect();
            assert_eq!(found, said, "{spec}");
        }
        let nobody = stand(&CONTROL, "parties: {}", &Facts::empty());
        assert!(nobody.len() == 1 && nobody[0].starts_with("Violated spec.parties: nobody is named as customer, who owes"), "{nobody:?}");
    }
}
