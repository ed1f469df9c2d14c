//! What the Parties that an Ownership names must be, so that a responsibility lies with somebody: there, reachable, of a role that answers, and
//! bound by what it promises. Read by responsibility-declared.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Declared, Notes,
    declared::{Duty, party},
};
use crate::{
    api::{
        ownership::OwnerClass,
        party::{PartySpec, Role},
    },
    model::text::shown,
};

/// Judges the Parties by what is declared. Where the cluster has none at all, names are but names: nothing is violated, and nothing is known.
pub(super) fn judge(cx: &Declared<'_>, out: &mut Notes) {
    for duty in cx.duties {
        performed_by_one(duty, out);
    }
    let parties = match &cx.facts.parties {
        Ok(parties) if parties.is_empty() => return nobody_known(cx, out),
        Ok(parties) => parties,
        Err(reason) => return out.unknown("spec.parties", format!("the Parties are not seen: {reason}"), "let Demarc read parties, or give their files as well"),
    };
    for (field, name) in named(cx) {
        let path = format!("spec.parties.{field}");
        let Some(spec) = parties.get(name) else {
            out.violated(path, format!("there is no Party {}", party(name)), format!("apply Party {}, or correct the name", party(name)));
            continue;
        };
        if !may_be(field, spec.role) {
            let message = format!("{} is a Party of role {}, which does not answer for controls", party(name), spec.role);
            out.violated(path, message, "name the party that answers; an MSSP is spec.parties.mssp and performedBy");
        }
    }
    for (name, duties) in accountable(cx) {
        let Some(spec) = parties.get(name) else { continue };
        if spec.contacts.is_empty() {
            let message = format!("{} answers for controls, and its Party has no contact", party(name));
            out.violated(format!("parties[{}].contacts", party(name)), message, format!("add spec.contacts to Party {}", party(name)));
        }
        inherited(name, spec, &duties, out);
    }
}

/// Nobody keeps Parties here, so a name that is misspelt cannot be told from one that is right.
fn nobody_known(cx: &Declared<'_>, out: &mut Notes) {
    let names: BTreeSet<&str> = named(cx).map(|(_, name)| name).collect();
    if names.is_empty() {
        return;
    }
    let list: Vec<String> = names.iter().take(5).map(|name| party(name)).collect();
    let more = if names.len() > 5 { format!(" and {} more", names.len() - 5) } else { String::new() };
    let message = format!("there is no Party at all: who acts for {}{more}, and how they are reached, is not known", list.join(", "));
    out.unknown("spec.parties", message, "apply a Party for each that is named");
}

/// A control that is one side's alone is performed by one party: of two, each takes it for the other's.
fn performed_by_one(duty: &Duty<'_>, out: &mut Notes) {
    match duty.owner {
        OwnerClass::Provider | OwnerClass::Customer | OwnerClass::ThirdParty => {}
        OwnerClass::SharedIndependent | OwnerClass::SharedDependent | OwnerClass::NotApplicable => return,
    }
    let who: BTreeSet<&str> = duty.performed_by.iter().map(String::as_str).collect();
    if who.len() > 1 {
        let names: Vec<String> = who.iter().take(5).map(|w| party(w)).collect();
        let message = format!("{} is owned by {} alone, and several perform it: {}", duty.control, duty.owner, names.join(", "));
        out.violated(format!("spec.controls[{}].performedBy", duty.control), message, "name one party, or make the owner SharedIndependent or SharedDependent");
    }
}

/// What is owed by a provider or a third party is inherited by what it promises.
fn inherited(name: &str, spec: &PartySpec, duties: &[&Duty<'_>], out: &mut Notes) {
    let claimed: Vec<&str> = duties.iter().filter(|d| matches!(d.owner, OwnerClass::Provider | OwnerClass::ThirdParty)).map(|d| d.control).collect();
    if claimed.is_empty() {
        return;
    }
    let unpromised: Vec<&str> = claimed.into_iter().filter(|control| spec.provides.iter().all(|p| p != control)).collect();
    if !unpromised.is_empty() {
        let message = format!("{} does not promise what is inherited from it: {}", party(name), shown(&unpromised.join(", "), 400));
        let fix = format!("add them to spec.provides of Party {}, or give them another owner", party(name));
        out.violated(format!("parties[{}].provides", party(name)), message, fix);
    }
}

/// The fields of `spec.parties` and whom they name.
fn named<'c>(cx: &Declared<'c>) -> impl Iterator<Item = (&'static str, &'c str)> {
    let parties = cx.parties;
    [("provider", &parties.provider), ("customer", &parties.customer), ("mssp", &parties.mssp)]
        .into_iter()
        .filter_map(|(field, name)| Some((field, name.as_deref()?)))
        .chain(parties.third_parties.iter().map(|name| ("thirdParties", name.as_str())))
}

/// Whether a Party of that role may stand in that field.
fn may_be(field: &str, role: Role) -> bool {
    match role {
        Role::Provider | Role::Customer | Role::ThirdParty => true,
        Role::MSSP => matches!(field, "mssp" | "thirdParties"),
        Role::Regulator => false,
    }
}

/// What each party answers for.
fn accountable<'c>(cx: &Declared<'c>) -> BTreeMap<&'c str, Vec<&'c Duty<'c>>> {
    let mut by_party: BTreeMap<&str, Vec<&Duty<'_>>> = BTreeMap::new();
    for duty in cx.duties {
        if let Some(who) = duty.accountable {
            by_party.entry(who).or_default().push(duty);
        }
    }
    by_party
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{
        controls::{declared::testing::stand, responsibility_declared::CONTROL},
        model::facts::Facts,
    };

    fn facts(parties: &[(&str, &str)]) -> Facts {
        let parties = parties.iter().map(|(name, spec)| ((*name).to_owned(), serde_saphyr::from_str(spec).unwrap())).collect();
        Facts { parties: Ok(Arc::new(parties)), ..Facts::empty() }
    }

    const ACME: (&str, &str) = ("acme", "{role: Customer, contacts: [{address: soc@acme.example}]}");
    const GUARD: (&str, &str) = ("guard", "{role: MSSP, contacts: [{address: soc@guard.example}]}");

    /// A provider that promises whatever PaaS leaves to it.
    fn azure() -> String {
        let ids: Vec<&str> = crate::controls::CATALOG.iter().filter(|c| c.owner(crate::api::ownership::ServiceModel::PaaS) == super::OwnerClass::Provider).map(|c| c.id).collect();
        format!("{{role: Provider, contacts: [{{address: a@azure.example}}], provides: [{}]}}", [&ids[..], &["mfa-enforced"]].concat().join(", "))
    }

    #[test]
    fn who_is_named_is_there_reachable_and_of_a_role_that_answers() {
        let azure = azure();
        let azure = ("azure", azure.as_str());
        let all = "parties: {customer: acme, provider: azure, mssp: guard}";
        for (spec, parties, said) in [
            (all, vec![], vec!["Unknown spec.parties: there is no Party at all: who acts for acme, azure, guard, and how they are reached, is not known"]),
            (
                "parties: {customer: a, thirdParties: [b, c, d, e, f, a]}",
                vec![],
                vec!["Unknown spec.parties: there is no Party at all: who acts for a, b, c, d, e and 1 more, and how they are reached, is not known"],
            ),
            (all, vec![ACME, GUARD, azure], vec![]),
            (all, vec![ACME, azure], vec!["Violated spec.parties.mssp: there is no Party guard"]),
            (all, vec![("acme", "{role: Customer}"), GUARD, azure], vec!["Violated parties[acme].contacts: acme answers for controls, and its Party has no contact"]),
            (all, vec![ACME, ("guard", "{role: MSSP}"), azure], vec![]),
            ("parties: {customer: guard}", vec![GUARD], vec!["Violated spec.parties.customer: guard is a Party of role MSSP, which does not answer for controls"]),
            (
                "parties: {customer: acme, thirdParties: [guard, watch]}",
                vec![ACME, GUARD, ("watch", "{role: Regulator}")],
                vec!["Violated spec.parties.thirdParties: watch is a Party of role Regulator, which does not answer for controls"],
            ),
        ] {
            assert_eq!(stand(&CONTROL, spec, &facts(&parties)), said, "{spec} {parties:?}");
        }
        let unseen = Facts { parties: Err("RBAC forbids reading them".to_owned()), ..Facts::empty() };
        assert_eq!(stand(&CONTROL, "parties: {customer: acme}", &unseen), ["Unknown spec.parties: the Parties are not seen: RBAC forbids reading them"]);
    }

    #[test]
    fn what_is_inherited_is_promised() {
        let spec = "parties: {customer: acme, provider: azure}, controls: [{control: mfa-enforced, owner: Provider}]";
        let said = |azure: &str| stand(&CONTROL, spec, &facts(&[ACME, ("azure", azure)]));
        assert_eq!(said(&azure()), Vec::<String>::new());
        assert_eq!(
            said(&azure().replace(", mfa-enforced]", "]").replace("[mfa-enforced]", "[]")),
            ["Violated parties[azure].provides: azure does not promise what is inherited from it: mfa-enforced"]
        );
        let nothing = said("{role: Provider, contacts: [{address: a}]}");
        assert!(nothing.len() == 1 && nothing[0].contains("inherited from it: ") && nothing[0].contains("mfa-enforced"), "{nothing:?}");
        // Of what the customer owes itself nothing need be promised.
        assert_eq!(stand(&CONTROL, "parties: {customer: acme}, controls: [{control: mfa-enforced, owner: Customer}]", &facts(&[ACME])), Vec::<String>::new());
    }

    #[test]
    fn what_is_one_sides_alone_is_performed_by_one() {
        let two = |owner: &str| {
            let spec = format!(
                "parties: {{customer: acme, provider: azure, mssp: guard, thirdParties: [co]}}, controls: [{{control: mfa-enforced, owner: {owner}, performedBy: [guard, acme, guard]}}]"
            );
            stand(&CONTROL, &spec, &Facts::empty()).into_iter().filter(|said| !said.starts_with("Unknown")).collect::<Vec<_>>()
        };
        for owner in ["Provider", "Customer", "ThirdParty"] {
            assert_eq!(two(owner), [format!("Violated spec.controls[mfa-enforced].performedBy: mfa-enforced is owned by {owner} alone, and several perform it: acme, guard")]);
        }
        for owner in ["SharedIndependent", "SharedDependent"] {
            assert_eq!(two(owner), Vec::<String>::new(), "{owner}");
        }
    }
}
