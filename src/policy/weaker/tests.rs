//! Tables of what weakens and what does not, with the party that answers for it.
//! What asks for the same or for more must be told of nobody.

use super::*;

fn ownership_of(spec: &str) -> Ownership {
    Ownership::new("default", serde_saphyr::from_str(&format!("{{serviceModel: PaaS, parties: {{customer: acme, provider: azure, mssp: shield}}, {spec}}}")).unwrap())
}

fn baseline_of(spec: &str) -> Baseline {
    Baseline::new("gold", serde_saphyr::from_str(&format!("{{namespaceSelector: {{}}, {spec}}}")).unwrap())
}

fn told(found: &[Weaker]) -> Vec<String> {
    let by = |w: &Weaker| if w.below.is_empty() { w.answers.iter().cloned().collect::<Vec<_>>().join("+") } else { format!("baseline {}", w.below.join("+")) };
    let mut said: Vec<String> = found.iter().map(|w| format!("{} by {}", w.path, by(w))).collect();
    said.sort();
    said.dedup();
    said
}

#[test]
fn a_change_of_an_ownership_is_told_where_it_weakens() {
    let entry = |rest: &str| format!("controls: [{{control: encryption-declared, {rest}}}]");
    let deny = entry("enforcement: Deny");
    for (old, new, said) in [
        (String::new(), String::new(), &[][..]),
        (String::new(), "mode: Warn".to_owned(), &["spec.mode by acme"]),
        (String::new(), "mode: Audit".to_owned(), &["spec.mode by acme"]),
        ("mode: Audit".to_owned(), String::new(), &[]),
        (deny.clone(), entry("enforcement: Warn"), &["spec.controls[0].enforcement by acme"]),
        (entry("enforcement: Warn"), deny.clone(), &[]),
        (entry("enforcement: Warn"), String::new(), &[]),
        (deny.clone(), String::new(), &[]),
        (String::new(), entry("enforcement: 'Off'"), &["spec.controls[0].enforcement by acme"]),
        (entry("accountable: vendor"), entry("accountable: vendor, enforcement: Warn"), &["spec.controls[0].enforcement by vendor"]),
        (String::new(), entry("owner: Provider"), &["spec.controls[0].accountable by acme", "spec.controls[0].owner by acme"]),
        (entry("owner: Provider"), entry("owner: Customer"), &[]),
        (entry("owner: Provider"), entry("owner: Customer, accountable: vendor"), &["spec.controls[0].accountable by azure"]),
        (entry("accountable: acme"), entry("accountable: vendor"), &["spec.controls[0].accountable by acme"]),
        (String::new(), "defaultOwner: team".to_owned(), &["spec.defaultOwner by acme"]),
        ("defaultOwner: team".to_owned(), String::new(), &[]),
        (String::new(), "existingWorkloads: {createdBefore: '2999-01-01T00:00:00Z'}".to_owned(), &["spec.existingWorkloads by acme"]),
        (String::new(), "existingWorkloads: {policy: Deny}".to_owned(), &[]),
        (String::new(), "policy: {exposure: {allow: [web]}}".to_owned(), &["spec.policy.exposure by acme"]),
        (String::new(), "policy: {podSecurity: {level: Restricted}}".to_owned(), &[]),
        (String::new(), entry("evidence: [{type: contract, ref: c-1, by: shield}]"), &["spec.controls[0].evidence by acme"]),
        (String::new(), "reviews: {}, escalation: {levels: []}".to_owned(), &[]),
    ] {
        assert_eq!(told(&ownership(Some(&ownership_of(&old)), &ownership_of(&new), None, &Arc::default(), &|_| false)), said, "{old} → {new}");
    }
    // The model decides whose most things are, and the parties who answers.
    let with = |spec: &str| Ownership::new("default", serde_saphyr::from_str(spec).unwrap());
    let saas = ownership(Some(&with("{serviceModel: PaaS}")), &with("{serviceModel: SaaS}"), None, &Arc::default(), &|_| false);
    assert!(!saas.is_empty() && saas.iter().all(|w| w.path == "spec.serviceModel" && w.answers.is_empty()), "{saas:?}");
    let other =
        ownership(Some(&with("{serviceModel: PaaS, parties: {customer: acme}}")), &with("{serviceModel: PaaS, parties: {customer: mine}}"), None, &Arc::default(), &|_| false);
    assert_eq!(told(&other), ["spec.parties by acme"]);
    let parties = |rest: &str| with(&format!("{{serviceModel: PaaS, parties: {{customer: acme, provider: azure{rest}}}}}"));
    let both = ", mssp: shield, thirdParties: [scan, guard]";
    for (old, new, said) in [
        (both, both, &[][..]),
        (both, ", thirdParties: [scan, guard]", &["spec.parties by acme"]),
        // The first is who answers for what is a third party's, where anything is; the second is named alone.
        (both, ", mssp: shield, thirdParties: [scan]", &["spec.parties by acme"]),
        (both, ", mssp: guard, thirdParties: [scan, shield]", &[]),
        ("", both, &[]),
    ] {
        assert_eq!(told(&ownership(Some(&parties(old)), &parties(new), None, &Arc::default(), &|_| false)), said, "{old} → {new}");
    }
    assert!(crate::controls::find(TRAINING).is_some());
    let named = ownership(Some(&with("{serviceModel: PaaS}")), &with("{serviceModel: PaaS, parties: {customer: mine}}"), None, &Arc::default(), &|_| false);
    assert_eq!(told(&named), ["spec.parties by "], "whoever is named where nobody was could weaken next");
}

#[test]
fn a_first_ownership_is_held_against_what_holds_without_it() {
    let create = |floor: Option<&str>, spec: &str| {
        let floor = floor.and_then(|f| Floor::of([&baseline_of(f)], &Arc::default()));
        told(&ownership(None, &ownership_of(spec), floor.as_ref(), &Arc::default(), &|_| false))
    };
    for (floor, spec, said) in [
        (None, "mode: Audit, defaultOwner: me", &[][..]),
        (Some("undeclared: Audit"), "mode: Audit, defaultOwner: me", &[]),
        (Some("undeclared: Deny"), "", &[]),
        (Some("undeclared: Deny"), "mode: Audit", &["spec.mode by baseline gold"]),
        (Some("undeclared: Deny, parties: {customer: acme, provider: azure}"), "mode: Audit", &["spec.mode by baseline gold"]),
        (Some("undeclared: Deny, parties: {customer: globex}"), "", &["spec.parties by globex"]),
        (Some("undeclared: Audit, parties: {customer: globex}"), "mode: Audit", &["spec.parties by globex"]),
        (Some("undeclared: Deny, parties: {customer: acme}"), "existingWorkloads: {createdBefore: '2999-01-01T00:00:00Z'}", &["spec.existingWorkloads by baseline gold"]),
        (Some("undeclared: Deny, parties: {customer: acme}"), "policy: {exposure: {allow: [web]}}", &["spec.policy.exposure by acme"]),
    ] {
        assert_eq!(create(floor, spec), said, "{floor:?} {spec}");
    }
}

#[test]
fn below_what_holds_undeclared_no_party_of_the_namespace_may_go() {
    let entry = |rest: &str| format!("controls: [{{control: encryption-declared, {rest}}}]");
    let saas = Ownership::new("default", serde_saphyr::from_str("{serviceModel: SaaS, parties: {customer: acme, provider: azure, mssp: shield}}").unwrap());
    let floor_of = |undeclared: &str| Floor::of([&baseline_of(&format!("undeclared: {undeclared}, serviceModel: PaaS"))], &Arc::default()).unwrap();
    let change = |undeclared: &str, old: &Ownership, new: &Ownership| told(&ownership(Some(old), new, Some(&floor_of(undeclared)), &Arc::default(), &|_| false));
    for (undeclared, old, new, said) in [
        // Only of those who declare something is anything asked there.
        ("Audit", String::new(), "mode: Warn".to_owned(), &["spec.mode by acme"][..]),
        ("Warn", String::new(), "mode: Warn".to_owned(), &["spec.mode by acme"]),
        ("Deny", String::new(), "mode: Warn".to_owned(), &["spec.mode by baseline gold"]),
        ("Warn", String::new(), "mode: Audit".to_owned(), &["spec.mode by baseline gold"]),
        ("Deny", "mode: Audit".to_owned(), "mode: Audit, defaultOwner: jo".to_owned(), &["spec.defaultOwner by acme"]),
        ("Deny", "mode: Audit".to_owned(), "mode: Warn".to_owned(), &[]),
        ("Deny", String::new(), entry("enforcement: Warn"), &["spec.controls[0].enforcement by baseline gold"]),
        ("Warn", String::new(), entry("enforcement: Warn"), &["spec.controls[0].enforcement by acme"]),
        ("Deny", entry("enforcement: Audit"), entry("enforcement: 'Off'"), &["spec.controls[0].enforcement by baseline gold"]),
        ("Deny", String::new(), entry("owner: NotApplicable"), &["spec.controls[0].accountable by acme", "spec.controls[0].owner by baseline gold"]),
        ("Deny", entry("owner: Provider"), entry("owner: NotApplicable"), &["spec.controls[0].accountable by azure", "spec.controls[0].owner by baseline gold"]),
        ("Deny", String::new(), entry("owner: Provider"), &["spec.controls[0].accountable by acme", "spec.controls[0].owner by baseline gold"]),
        // Owed by the customer's side it is as much as it was.
        ("Deny", String::new(), entry("owner: SharedDependent"), &["spec.controls[0].owner by acme"]),
        ("Deny", String::new(), "existingWorkloads: {createdBefore: '2999-01-01T00:00:00Z'}".to_owned(), &["spec.existingWorkloads by baseline gold"]),
    ] {
        assert_eq!(change(undeclared, &ownership_of(&old), &ownership_of(&new)), said, "{undeclared}: {old} → {new}");
    }
    let said = change("Deny", &ownership_of(""), &saas);
    // Some stay the customer's, who is held to less of them.
    assert_eq!(said, ["spec.parties by acme", "spec.serviceModel by acme", "spec.serviceModel by baseline gold"]);
    assert!(change("Deny", &saas, &saas).is_empty(), "what stood before stays");
    assert_eq!(change("Audit", &ownership_of(""), &saas), ["spec.parties by acme", "spec.serviceModel by acme"]);
}

#[test]
fn the_params_of_a_baseline_are_the_baselines_to_change() {
    let control = "{title: t, group: workload, severity: high, kinds: [Deployment], validations: [{expression: 'true', message: m}]}";
    let custom: Customs = Arc::new([("ours".to_owned(), Arc::new(Custom::new("ours", serde_saphyr::from_str(control).unwrap())))].into());
    let entry = |least: &str| format!("controls: [{{control: ours, enforcement: Deny, owner: Customer, params: {{least: [{least}]}}}}]");
    let change = |floor: &str, old: &str, new: &str| {
        let floor = Floor::of([&baseline_of(&format!("undeclared: Deny, {floor}"))], &custom).unwrap();
        told(&ownership(Some(&ownership_of(&entry(old))), &ownership_of(&entry(new)), Some(&floor), &custom, &|_| false))
    };
    for (floor, old, new, said) in [
        // They hold whatever is said, so nothing is weakened: what says others is refused besides.
        (entry("'3'"), "'3'", "'2'", &[][..]),
        (entry("'3'"), "'2'", "'3'", &[]),
        ("waivers: {maxDays: 9}".to_owned(), "'3'", "'2'", &["spec.controls[0].params by acme"]),
    ] {
        assert_eq!(change(&floor, old, new), said, "{floor}: {old} → {new}");
    }
}

#[test]
fn a_change_of_a_baseline_is_told_where_it_asks_for_less() {
    let mssp = "parties: {mssp: shield}";
    for (old, new, said) in [
        ("", "", &[][..]),
        ("undeclared: Warn", "undeclared: Deny", &[]),
        ("undeclared: Deny", "undeclared: Audit", &["spec.controls by shield", "spec.undeclared by shield"]),
        ("waivers: {maxDays: 30}", "waivers: {maxDays: 10}", &[]),
        ("waivers: {maxDays: 30}", "", &["spec.waivers.maxDays by shield"]),
        ("", "controls: [{control: encryption-declared, enforcement: Deny}]", &[]),
        ("controls: [{control: encryption-declared, enforcement: Deny}]", "", &["spec.controls by shield"]),
        ("controls: [{control: encryption-declared, enforcement: Warn}]", "controls: [{control: encryption-declared, enforcement: Deny}]", &[]),
        ("undeclared: Deny", "undeclared: Deny, controls: [{control: encryption-declared, enforcement: 'Off'}]", &["spec.controls by shield"]),
        ("serviceModel: IaaS", "serviceModel: PaaS", &["spec.controls by shield", "spec.serviceModel by shield"]),
        // Unset, it is the Ownership's own, under which more may be the customer's.
        ("", "serviceModel: PaaS", &["spec.serviceModel by shield"]),
        ("serviceModel: PaaS", "", &["spec.serviceModel by shield"]),
        ("", "serviceModel: IaaS", &[]),
        ("criticalNamespaces: [a]", "", &["spec.criticalNamespaces by shield"]),
        ("cluster: {platform: {minKubelet: '1.35'}}", "cluster: {platform: {minKubelet: '1.36'}}", &[]),
        ("cluster: {platform: {minKubelet: '1.35'}}", "", &["spec.cluster.platform by shield"]),
        ("", "cluster: {admins: {allowed: [devs]}}", &["spec.cluster.admins by shield"]),
        ("", "criticalNamespaces: [a]", &[]),
        ("", "controllers: [{serviceAccount: {namespace: pg, name: op}, kinds: [pg.example/Cluster]}]", &["spec.controllers by shield"]),
        (
            "controllers: [{serviceAccount: {namespace: pg, name: op}, kinds: [pg.example/Cluster]}]",
            "controllers: [{serviceAccount: {namespace: pg, name: op}, kinds: [pg.example/Cluster, pg.example/Pooler]}]",
            &["spec.controllers by shield"],
        ),
        (
            "controllers: [{serviceAccount: {namespace: pg, name: op}, kinds: [pg.example/Cluster, pg.example/Pooler]}]",
            "controllers: [{serviceAccount: {namespace: pg, name: op}, kinds: [pg.example/Pooler]}]",
            &[],
        ),
    ] {
        let found = told(&baseline(Some(&baseline_of(&format!("{mssp}, {old}"))), Some(&baseline_of(&format!("{mssp}, {new}"))), &Arc::default(), &|_| false));
        assert_eq!(found, said, "{old} → {new}");
    }
    let gold = baseline_of(mssp);
    let params = baseline_of(&format!("{mssp}, controls: [{{control: ours, params: {{a: [b]}}}}]"));
    assert_eq!(told(&baseline(Some(&gold), Some(&params), &Arc::default(), &|_| false)), ["spec.controls by shield"], "also of a control that nobody has declared yet");
    assert_eq!(told(&baseline(Some(&gold), None, &Arc::default(), &|_| false)), ["spec by shield"]);
    assert_eq!(told(&baseline(None, Some(&gold), &Arc::default(), &|_| false)), ["spec.parties by "]);
    for (new, said) in [
        ("undeclared: Deny", None),
        ("undeclared: Deny, waivers: {maxDays: 90}, controls: [{control: mfa-enforced, owner: Customer, enforcement: 'Off'}]", None),
        ("waivers: {maxDays: 91}", Some("spec.waivers.maxDays by ")),
        ("controls: [{control: ours, params: {a: [b]}}]", Some("spec.controls by ")),
        ("controls: [{control: mfa-enforced, evidence: [{type: contract, ref: c-1}]}]", Some("spec.controls by ")),
        ("controls: [{control: mfa-enforced, accountable: acme}]", Some("spec.parties by ")),
        ("controllers: [{serviceAccount: {namespace: pg, name: op}, kinds: [pg.example/Cluster]}]", Some("spec.controllers by ")),
    ] {
        assert_eq!(told(&baseline(None, Some(&baseline_of(new)), &Arc::default(), &|_| false)), said.into_iter().collect::<Vec<_>>(), "{new}");
    }
    let mut wider = gold.clone();
    wider.spec.namespace_selector = serde_saphyr::from_str("{matchLabels: {a: b}}").unwrap();
    assert_eq!(told(&baseline(Some(&gold), Some(&wider), &Arc::default(), &|_| false)), ["spec.namespaceSelector by shield"]);
}
