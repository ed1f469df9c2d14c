//! What a Party newly says of itself: who acts for it, what it is, what it promises and shows, and where it is reached. Others rely on it, so
//! it is the party's own to say; what is taken away, or counts for less long, anybody may write.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    Weaker,
    attested::{counts_as_long, duties},
    one,
};
use crate::{
    api::party::{Agreement, PartySpec},
    policy::matrix::Matrix,
};

/// Whether something in a namespace is said of a party or in its name, besides its place in `spec.parties`.
pub fn names(matrix: &Matrix, party: &str) -> bool {
    let is = |named: &String| named == party;
    matrix.entries.iter().any(|e| e.accountable.iter().chain(&e.performed_by).chain(e.evidence.iter().filter_map(|e| e.by.as_ref())).any(is))
        || duties(&matrix.reviews).iter().any(|(_, _, duty)| duty.is_some_and(|duty| duty.by.as_ref().is_some_and(is)))
        || matrix.escalation.iter().any(|level| is(&level.party))
}

/// What a Party says more than before. Who acts for it is always told, or whoever makes a Party could speak in its name; `named` is whether something
/// names it already: where nothing does and nobody acts for it, the rest turns nothing green, and whoever may write it sets it up.
pub fn party(name: &str, old: Option<&PartySpec>, new: &PartySpec, named: bool) -> Vec<Weaker> {
    let acts = old.is_some_and(|old| !old.subjects.is_empty());
    // Without subjects nobody acts for it, so the verb alone counts.
    let answers = acts.then(|| name.to_owned());
    let none = PartySpec { role: new.role, display_name: None, contacts: vec![], agreement: None, assurance: vec![], provides: vec![], subjects: vec![] };
    let was = old.unwrap_or(&none);
    let PartySpec { role, display_name: _, contacts, agreement, assurance, provides, subjects } = new;
    let says = [
        ("spec.role", "it would be another sort of party", was.role != *role),
        ("spec.contacts", "says where it is reached", more(&was.contacts, contacts)),
        ("spec.agreement", "attests what was agreed with it", agreement.as_ref().is_some_and(|is| !agreed_as_long(was.agreement.as_ref(), is))),
        ("spec.assurance", "attests its own security", assurance.iter().any(|is| !was.assurance.iter().any(|was| counts_as_long(was, is)))),
        ("spec.provides", "promises more to those who inherit from it", more(&was.provides, provides)),
    ];
    [
        ("spec.subjects", "others would act for it", more(&was.subjects, subjects)),
        // Then nobody would be asked in its name, an approval of a Waiver included.
        ("spec.subjects", "nobody would act for it", acts && subjects.is_empty()),
    ]
    .into_iter()
    .chain(says.into_iter().filter(|_| acts || named))
    .filter(|(_, _, told)| *told)
    .map(|(path, what, _)| one(path, what, answers.clone()))
    .collect()
}

fn more<T: PartialEq>(was: &[T], is: &[T]) -> bool {
    is.iter().any(|one| !was.contains(one))
}

/// Whether it is the same agreement, and no later an end is claimed. One without an end is not known to hold.
fn agreed_as_long(was: Option<&Agreement>, is: &Agreement) -> bool {
    let end = |of: &Option<Time>| of.as_ref().map(|t| t.0);
    was.is_some_and(|was| was.reference == is.reference && end(&is.valid_until) <= end(&was.valid_until))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(spec: &str) -> PartySpec {
        serde_saphyr::from_str(&format!("{{role: Customer, {spec}}}")).unwrap()
    }

    fn told(old: Option<&str>, new: &str, named: bool) -> Vec<(String, Option<String>)> {
        party("acme", old.map(of).as_ref(), &of(new), named).into_iter().map(|w| (w.path, w.answers.into_iter().next())).collect()
    }

    const JO: &str = "subjects: [{kind: User, name: jo}]";

    #[test]
    fn whoever_comes_to_act_for_a_party_is_told() {
        let both = "subjects: [{kind: User, name: jo}, {kind: Group, name: jo}]";
        for (old, new, answers) in
            [(None, JO, Some(None)), (None, "", None), (Some(""), JO, Some(None)), (Some(JO), both, Some(Some("acme"))), (Some(both), JO, None), (Some(JO), "", Some(Some("acme")))]
        {
            let expected: Vec<_> = answers.into_iter().map(|by: Option<&str>| ("spec.subjects".to_owned(), by.map(str::to_owned))).collect();
            for named in [true, false] {
                assert_eq!(told(old, new, named), expected, "{old:?} → {new}");
            }
        }
    }

    #[test]
    fn what_a_party_says_more_of_itself_is_for_it_to_say() {
        let agreed = |rest: &str| format!("agreement: {{ref: c-1{rest}}}");
        let shown = |rest: &str| format!("assurance: [{{type: soc2, ref: r-1{rest}}}]");
        let (early, late) = (", validUntil: '2026-01-01T00:00:00Z'", ", validUntil: '2027-01-01T00:00:00Z'");
        let contact = "contacts: [{address: soc@acme.example}]";
        for (old, new, path) in [
            (String::new(), "displayName: A".to_owned(), None),
            (String::new(), contact.to_owned(), Some("spec.contacts")),
            (contact.to_owned(), contact.replace("acme", "other"), Some("spec.contacts")),
            (contact.to_owned(), String::new(), None),
            (String::new(), agreed(""), Some("spec.agreement")),
            (agreed(""), agreed(early), Some("spec.agreement")),
            (agreed(early), agreed(late), Some("spec.agreement")),
            (agreed(late), agreed(early), None),
            (agreed(late), agreed(""), None),
            (agreed(early), agreed(early).replace("c-1", "c-2"), Some("spec.agreement")),
            (agreed(early), String::new(), None),
            (String::new(), shown(early), Some("spec.assurance")),
            (shown(early), shown(late), Some("spec.assurance")),
            (shown(late), shown(early), None),
            (shown(late), String::new(), None),
            (String::new(), "provides: [mfa-enforced]".to_owned(), Some("spec.provides")),
            ("provides: [mfa-enforced]".to_owned(), String::new(), None),
        ] {
            // Who acts for it stays as it was.
            let (was, is) = (format!("{JO}, {old}"), format!("{JO}, {new}"));
            let expected = |answers: Option<&str>| path.into_iter().map(|path| (path.to_owned(), answers.map(str::to_owned))).collect::<Vec<_>>();
            for named in [true, false] {
                assert_eq!(told(Some(&was), &is, named), expected(Some("acme")), "{was} → {is}");
            }
            // Nobody acts for it: for whoever holds the verb where something relies on it, and nothing to guard where nothing does.
            assert_eq!(told(Some(&old), &new, true), expected(None), "{old} → {new}");
            assert_eq!(told(Some(&old), &new, false), [], "{old} → {new}");
            if old.is_empty() {
                assert_eq!(told(None, &new, true), expected(None), "{new}");
                assert_eq!(told(None, &new, false), [], "{new}");
            }
        }
    }

    #[test]
    fn whoever_attests_or_is_called_is_named() {
        use crate::api::ownership::Ownership;
        for spec in [
            "controls: [{control: mfa-enforced, accountable: acme}]",
            "controls: [{control: mfa-enforced, performedBy: [acme]}]",
            "controls: [{control: mfa-enforced, evidence: [{type: contract, ref: c-1, by: acme}]}]",
            "reviews: {accessReview: {by: acme}}",
            "escalation: {levels: [{party: acme, contact: a@acme.example}]}",
        ] {
            let ownership = Ownership::new("default", serde_saphyr::from_str(&format!("{{serviceModel: PaaS, {spec}}}")).unwrap());
            let matrix = Matrix::resolve(&ownership);
            assert_eq!((names(&matrix, "acme"), names(&matrix, "acm")), (true, false), "{spec}");
        }
    }

    #[test]
    fn what_sort_of_party_it_is_does_not_change_under_those_who_rely_on_it() {
        let mssp = PartySpec { role: crate::api::party::Role::MSSP, ..of(JO) };
        let paths = |old: &PartySpec, new: &PartySpec| party("acme", Some(old), new, false).into_iter().map(|w| w.path).collect::<Vec<_>>();
        assert_eq!((paths(&mssp, &of(JO)), paths(&of(JO), &mssp)), (vec!["spec.role".to_owned()], vec!["spec.role".to_owned()]));
        assert_eq!(paths(&mssp, &mssp), [""; 0]);
    }
}
