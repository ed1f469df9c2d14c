//! Tables of Ownerships and what each comes to: enforcement under its ceilings, who owes, and who is spared.
//! How Baselines lie under them is tried beside the floor.

use super::*;

fn ownership(spec: &str) -> Ownership {
    Ownership::new("default", serde_saphyr::from_str(spec).unwrap())
}

#[test]
fn enforcement_is_the_weakest_of_entry_mode_and_owner() {
    let encryption = controls::find("encryption-declared").unwrap();
    for (spec, expected) in [
        ("{serviceModel: PaaS}", Enforcement::Deny),
        ("{serviceModel: SaaS}", Enforcement::Audit),
        ("{serviceModel: PaaS, mode: Warn}", Enforcement::Warn),
        ("{serviceModel: PaaS, mode: Audit}", Enforcement::Audit),
        ("{serviceModel: PaaS, controls: [{control: encryption-declared, enforcement: Warn}]}", Enforcement::Warn),
        ("{serviceModel: PaaS, controls: [{control: encryption-declared, enforcement: 'Off'}]}", Enforcement::Off),
        ("{serviceModel: PaaS, controls: [{control: encryption-declared, owner: Provider}]}", Enforcement::Audit),
        ("{serviceModel: SaaS, controls: [{control: encryption-declared, owner: Customer}]}", Enforcement::Deny),
        ("{serviceModel: SaaS, controls: [{control: encryption-declared, owner: ThirdParty}]}", Enforcement::Deny),
        ("{serviceModel: IaaS, controls: [{control: encryption-declared, owner: NotApplicable}]}", Enforcement::Audit),
    ] {
        assert_eq!(Matrix::resolve(&ownership(spec)).entries[encryption].enforcement, expected, "{spec}");
    }
    let mfa = controls::find("mfa-enforced").unwrap();
    let asks = "controls: [{control: mfa-enforced, enforcement: Deny}], serviceModel: PaaS";
    let told = "policy: {mfa: {extra: example.com/amr, values: [mfa]}}";
    for (spec, expected) in [(asks.to_owned(), Enforcement::Audit), (format!("{asks}, {told}"), Enforcement::Deny), (format!("serviceModel: PaaS, {told}"), Enforcement::Audit)] {
        assert_eq!(Matrix::resolve(&ownership(&format!("{{{spec}}}"))).entries[mfa].enforcement, expected, "{spec}: nobody is refused whom no request could show to be right");
    }
}

#[test]
fn who_owes_is_called_what_the_party_is_here() {
    let mfa = controls::find("mfa-enforced").unwrap();
    let parties = "parties: {customer: acme, provider: azure, thirdParties: [scan, guard]}";
    for (entry, expected) in [
        ("owner: Customer", "acme (customer)"),
        ("owner: Customer, accountable: acme", "acme (customer)"),
        ("owner: Customer, accountable: azure", "azure for the customer"),
        ("owner: SharedDependent", "acme (shared)"),
        ("owner: SharedDependent, accountable: azure", "azure for the shared part"),
        ("owner: Provider, accountable: acme", "acme for the provider"),
        ("owner: ThirdParty", "scan (third party)"),
        ("owner: ThirdParty, accountable: guard", "guard (third party)"),
        ("owner: ThirdParty, accountable: acme", "acme for the third party"),
    ] {
        let matrix = Matrix::resolve(&ownership(&format!("{{serviceModel: PaaS, {parties}, controls: [{{control: mfa-enforced, {entry}}}]}}")));
        assert_eq!(matrix.owed_by(mfa), expected, "{entry}");
    }
    assert_eq!(Matrix::resolve(&ownership("{serviceModel: IaaS}")).owed_by(mfa), "the customer");
}

#[test]
fn grace_ends_where_the_declaration_says() {
    let at = |s: &str| s.parse::<Timestamp>().unwrap();
    let (before, since, after) = (at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00Z"), at("2026-03-01T00:00:00Z"));
    let later = at("2026-03-02T00:00:00Z");
    for (existing, created, fact, expected) in [
        ("{}", Some(before), None, true),
        ("{}", Some(since), None, false),
        ("{}", Some(after), None, false),
        ("{}", None, None, false),
        ("{policy: Deny}", Some(before), None, false),
        ("{until: '2026-03-15T00:00:00Z'}", Some(before), None, false),
        ("{until: '2026-05-01T00:00:00Z'}", Some(before), None, true),
        ("{createdBefore: '2026-03-02T00:00:00Z'}", Some(after), None, true),
        ("{createdBefore: '2025-01-01T00:00:00Z'}", Some(before), None, true),
        // The fact is younger than the ban: what is older than the fact is spared, and nothing else.
        ("{}", Some(after), Some(later), true),
        ("{}", Some(later), Some(later), false),
        ("{}", None, Some(later), false),
        ("{policy: Deny}", Some(after), Some(later), false),
        ("{until: '2026-03-15T00:00:00Z'}", Some(after), Some(later), false),
        // It is older: the ban counts.
        ("{}", Some(before), Some(before), true),
        ("{}", Some(after), Some(before), false),
        ("{createdBefore: '2026-03-02T00:00:00Z'}", Some(after), Some(before), true),
    ] {
        let mut matrix = Matrix::resolve(&ownership(&format!("{{serviceModel: PaaS, existingWorkloads: {existing}}}")));
        matrix.forbid(0, Some(since));
        assert_eq!(matrix.grandfathers(0, created, fact, at("2026-04-01T00:00:00Z")), expected, "{existing} {created:?} {fact:?}");
    }
}
