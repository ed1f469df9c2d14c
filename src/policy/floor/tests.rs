//! Tables of floors and what is declared on them: the strictest holds, in any order, and what is below it is told.

use super::*;
use crate::controls::{CATALOG, find};

fn baseline(name: &str, spec: &str) -> Baseline {
    Baseline::new(name, serde_saphyr::from_str(&format!("{{namespaceSelector: {{}}, {spec}}}")).unwrap())
}

fn ownership(spec: &str) -> Ownership {
    Ownership::new("default", serde_saphyr::from_str(&format!("{{serviceModel: PaaS, {spec}}}")).unwrap())
}

fn floor_of<'b>(baselines: impl IntoIterator<Item = &'b Baseline>) -> Option<Floor> {
    Floor::of(baselines, &Arc::default())
}

const ID: &str = "encryption-declared";

#[test]
fn an_ownership_tightens_and_never_weakens() {
    use Enforcement::{Audit, Deny, Warn};
    for (floor, declared, enforcement, below) in [
        ("enforcement: Deny", "", Deny, None),
        ("enforcement: Warn", "", Deny, None),
        ("enforcement: Deny", "controls: [{control: encryption-declared, enforcement: Warn}]", Deny, Some("spec.controls[0].enforcement")),
        ("enforcement: Deny", "controls: [{control: encryption-declared, enforcement: 'Off'}]", Deny, Some("spec.controls[0].enforcement")),
        ("enforcement: Warn", "controls: [{control: encryption-declared, enforcement: Warn}]", Warn, None),
        ("enforcement: Warn", "controls: [{control: encryption-declared, enforcement: Deny}]", Deny, None),
        ("enforcement: Deny", "mode: Audit", Deny, Some("spec.mode")),
        ("enforcement: Audit", "mode: Audit", Audit, None),
        ("enforcement: Deny", "controls: [{control: encryption-declared, owner: Provider}]", Deny, Some("spec.controls[0].owner")),
        ("owner: Customer", "controls: [{control: encryption-declared, owner: NotApplicable, enforcement: Warn}]", Warn, Some("spec.controls[0].owner")),
        ("owner: Customer", "controls: [{control: encryption-declared, owner: SharedDependent}]", Deny, None),
        ("owner: Provider, enforcement: Deny", "controls: [{control: encryption-declared, owner: Provider}]", Audit, None),
        ("owner: Provider", "controls: [{control: encryption-declared, owner: Customer, enforcement: Warn}]", Warn, None),
    ] {
        let floor = floor_of([&baseline("gold", &format!("controls: [{{control: {ID}, {floor}}}]"))]).unwrap();
        let matrix = floor.under(&ownership(declared));
        let said: Vec<&str> = matrix.below.iter().map(|b| b.path.as_str()).collect();
        assert_eq!((matrix.entries[find(ID).unwrap()].enforcement, said), (enforcement, below.into_iter().collect()), "{floor:?} {declared}");
        assert!(enforcement <= Audit || matrix.mode.enrolled(), "{declared}");
        assert!(matrix.below.iter().all(|b| b.what.starts_with(ID) && b.what.contains("baseline gold")), "{:?}", matrix.below);
    }
    let saas = Ownership::new("default", serde_saphyr::from_str("{serviceModel: SaaS}").unwrap());
    let floor = floor_of([&baseline("gold", &format!("serviceModel: PaaS, controls: [{{control: {ID}, enforcement: Deny}}]"))]).unwrap();
    let matrix = floor.under(&saas);
    assert_eq!((matrix.entries[find(ID).unwrap()].enforcement, matrix.below.len()), (Deny, 0), "who declares another model is held to the floor, and has said nothing of it");
}

#[test]
fn what_is_below_what_holds_undeclared_is_told_and_holds() {
    for (undeclared, declared, told) in [
        ("Audit", "mode: Audit", None),
        ("Deny", "", None),
        ("Deny", "policy: {exposure: {allow: [web]}}", None),
        ("Deny", "controls: [{control: encryption-declared, owner: SharedDependent}]", None),
        ("Deny", "controls: [{control: node-version-supported, owner: Provider}]", None),
        ("Deny", "controls: [{control: node-version-supported, owner: NotApplicable}]", Some("node-version-supported: less than holds")),
        ("Deny", "controls: [{control: encryption-declared, owner: Provider}]", Some("encryption-declared: less than holds")),
        ("Deny", "controls: [{control: encryption-declared, enforcement: Warn}]", Some("encryption-declared: less than holds where nothing is declared (baseline gold)")),
        ("Warn", "controls: [{control: encryption-declared, enforcement: Warn}]", None),
        ("Warn", "controls: [{control: encryption-declared, owner: NotApplicable}]", Some("encryption-declared: less than holds")),
        ("Deny", "mode: Warn", Some(" more: less than holds where nothing is declared (baseline gold)")),
        ("Deny", "existingWorkloads: {createdBefore: '2999-01-01T00:00:00Z'}", Some("existingWorkloads: less than holds")),
    ] {
        let floor = floor_of([&baseline("gold", &format!("undeclared: {undeclared}"))]).unwrap();
        let (matrix, plain) = (floor.under(&ownership(declared)), Matrix::resolve(&ownership(declared)));
        let said: Vec<&str> = matrix.below.iter().map(|b| b.what.as_str()).collect();
        assert!(said.len() == usize::from(told.is_some()) && said.iter().all(|s| s.contains(told.unwrap())), "{undeclared} {declared}: {said:?}");
        assert_eq!(matrix.entries, plain.entries, "whoever may assign it gets it");
    }
}

#[test]
fn who_drops_the_label_stays_until_the_mark_is_gone() {
    let gold = baseline("gold", "undeclared: Deny");
    let selector = Selector::read(&serde_json::json!({"matchLabels": {"tier": "gold"}})).unwrap();
    let custom = Arc::default();
    let floor = |labels: &[(&str, &str)], selector: Option<&Selector>| {
        let labels: Map<'_> = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Floor::over(&labels, [(&gold, selector)], &custom).map(|f| (f.baselines.len(), f.left.len()))
    };
    let (tier, mark) = (("tier", "gold"), ("baseline.demarc.dev/gold", "member"));
    for (labels, wanted) in [
        (&[tier][..], Some((1, 0))),
        (&[tier, mark], Some((1, 0))),
        (&[mark], Some((1, 1))),
        (&[("baseline.demarc.dev/gold", "")], Some((1, 1))),
        (&[("baseline.demarc.dev/silver", "member")], None),
        (&[("baseline.demarc.dev/", "gold")], None),
        (&[("demarc.dev/gold", "member")], None),
        (&[], None),
    ] {
        assert_eq!(floor(labels, Some(&selector)), wanted, "{labels:?}");
    }
    assert_eq!(floor(&[tier, mark], None), Some((1, 1)), "a selector that cannot be read releases nobody");
    let labels: Map<'_> = [("baseline.demarc.dev/gold".to_owned(), "member".to_owned())].into_iter().collect();
    let floor = Floor::over(&labels, [(&gold, None)], &custom).unwrap();
    assert_eq!([floor.alone(), floor.under(&ownership("mode: Audit"))].map(|matrix| matrix.left.clone()), [["gold"], ["gold"]]);
}

#[test]
fn several_combine_to_the_strictest_in_any_order() {
    // Every way in which two or three of these meet, in every order.
    let some = |i: usize| {
        let enforcement = ["'Off'", "Audit", "Warn", "Deny"][i % 4];
        let owner = ["Provider", "Customer", "SharedDependent", "NotApplicable", "ThirdParty"][i % 5];
        let control = [ID, "pod-security-standard"][i % 2];
        let undeclared = ["Audit", "Warn", "Deny"][i % 3];
        let model = ["IaaS", "PaaS", "SaaS"][(i / 2) % 3];
        baseline(
            &format!("b{i}"),
            &format!(
                "serviceModel: {model}, undeclared: {undeclared}, waivers: {{maxDays: {}}}, controls: [{{control: {control}, owner: {owner}, enforcement: {enforcement}}}], parties: {{customer: c{i}}}",
                10 + i * 7 % 50
            ),
        )
    };
    let all: Vec<Baseline> = (0..12).map(some).collect();
    let declared = ownership("mode: Audit, controls: [{control: encryption-declared, owner: Provider, enforcement: 'Off'}]");
    for (a, b, c) in (0..12).flat_map(|a| (0..12).flat_map(move |b| (0..12).map(move |c| (a, b, c)))).filter(|(a, b, c)| a < b && b < c) {
        let orders = [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]];
        let floors: Vec<Floor> = orders.iter().map(|o| floor_of(o.iter().map(|i| &all[*i])).unwrap()).collect();
        assert!(floors.iter().all(|f| *f == floors[0]), "{a} {b} {c}");
        let together = floors[0].under(&declared);
        for one in [a, b, c] {
            let alone = floor_of([&all[one]]).unwrap();
            let by_one = alone.under(&declared);
            for (control, (all, one)) in CATALOG.iter().zip(together.entries.iter().zip(&by_one.entries)) {
                let owes = |e: &super::super::matrix::Entry| e.owner.owed_by_customer();
                assert!(all.enforcement >= one.enforcement && (owes(all) || !owes(one)), "{} of {a} {b} {c}", control.id);
            }
            assert!(together.waiver_days <= by_one.waiver_days && together.mode >= by_one.mode && floors[0].alone().mode >= alone.alone().mode);
        }
    }
}

#[test]
fn what_holds_alone_is_the_baselines_own_matrix_under_what_it_says_of_the_undeclared() {
    for (undeclared, enforcement, enrolled) in [("Audit", Enforcement::Audit, false), ("Warn", Enforcement::Warn, true), ("Deny", Enforcement::Deny, true)] {
        let matrix = floor_of([&baseline("gold", &format!("undeclared: {undeclared}, parties: {{customer: acme}}"))]).unwrap().alone();
        let entry = &matrix.entries[find(ID).unwrap()];
        assert_eq!((entry.enforcement, entry.accountable.as_deref(), matrix.mode.enrolled(), matrix.declared), (enforcement, Some("acme"), enrolled, false));
    }
    assert!(floor_of([]).is_none());
}

#[test]
fn the_params_that_a_baseline_says_hold_whatever_an_ownership_says() {
    let control = "{title: t, group: workload, severity: high, kinds: [Deployment], validations: [{expression: 'true', message: m}]}";
    let custom = Arc::new([("ours".to_owned(), Arc::new(Custom::new("ours", serde_saphyr::from_str(control).unwrap())))].into());
    let says = |least: &str| format!("controls: [{{control: mfa-enforced}}, {{control: ours, enforcement: Deny{least}}}]");
    let (three, two) = (", params: {least: ['3']}", ", params: {least: ['2']}");
    let (silent, gold, zinc) = (baseline("bronze", &says("")), baseline("gold", &says(three)), baseline("zinc", &says(two)));
    for (baselines, said, least, below) in [
        (vec![&gold], says(two), "3", true),
        (vec![&gold], says(three), "3", false),
        (vec![&gold], says(""), "3", false),
        (vec![&gold], "mode: Enforce".to_owned(), "3", false),
        (vec![&silent], says(two), "2", false),
        // Of two Baselines the first by name that says any, in either order.
        (vec![&gold, &zinc], says(""), "3", false),
        (vec![&zinc, &gold], says(""), "3", false),
        (vec![&gold, &silent], says(""), "3", false),
    ] {
        let floor = Floor::of(baselines, &custom).unwrap();
        let matrix = floor.under(&ownership(&said));
        assert_eq!(matrix.custom[0].params, serde_json::json!({"least": [least]}), "{said}");
        let told: Vec<_> = matrix.below.iter().map(|b| (&*b.path, b.assigned)).collect();
        assert_eq!(told, if below { vec![("spec.controls[1].params", false)] } else { vec![] }, "{said}");
        assert_eq!((matrix.unknown_controls.len(), matrix.asks(crate::controls::CATALOG.len())), (0, Some(&*matrix.custom[0].asks)));
    }
    // What nobody knows is not made known by its params.
    let unknown = Floor::of([&gold], &Arc::default()).unwrap().under(&ownership("mode: Enforce"));
    assert_eq!(unknown.unknown_controls, [""; 0]);
}

#[test]
fn two_ask_for_the_stricter_of_what_each_asks_alone_and_for_no_more() {
    let pool: Vec<Baseline> = ["", "serviceModel: SaaS", "serviceModel: IaaS", "waivers: {maxDays: 365}"]
        .iter()
        .flat_map(|says| ["Audit", "Warn", "Deny"].map(|undeclared| format!("undeclared: {undeclared}{}{says}", if says.is_empty() { "" } else { ", " })))
        .flat_map(|says| ["", "{}", "enforcement: 'Off'", "enforcement: Deny", "owner: Provider", "owner: NotApplicable, enforcement: Warn"].map(|of| (says.clone(), of)))
        .enumerate()
        .map(|(i, (says, of))| {
            let controls = match of {
                "" => String::new(),
                "{}" => format!(", controls: [{{control: {ID}}}]"),
                of => format!(", controls: [{{control: {ID}, {of}}}]"),
            };
            baseline(&format!("b{i}"), &format!("{says}{controls}"))
        })
        .collect();
    let declared = [ownership("mode: Audit"), ownership("controls: [{control: encryption-declared, owner: Provider, enforcement: 'Off'}]")];
    let met = |matrix: &Matrix| matrix.entries.iter().map(|e| (e.enforcement, e.owner.owed_by_customer())).collect::<Vec<_>>();
    let stricter = |one: Vec<(Enforcement, bool)>, other: Vec<(Enforcement, bool)>| one.into_iter().zip(other).map(|(a, b)| (a.0.max(b.0), a.1 || b.1)).collect::<Vec<_>>();
    for (one, other) in pool.iter().flat_map(|one| pool.iter().map(move |other| (one, other))).filter(|(one, other)| one.metadata.name < other.metadata.name) {
        let [one_alone, other_alone, both] = [vec![one], vec![other], vec![one, other]].map(|of| floor_of(of).unwrap());
        let said = || format!("{:?} and {:?}", one.spec, other.spec);
        // What one says of how a control is met, it says of namespaces that the other's `undeclared` holds as well.
        let beside = |one: &Baseline, other: &Baseline| {
            let mut holds = met(&floor_of([one]).unwrap().alone());
            if one.spec.controls.iter().any(|entry| entry.enforcement.is_some()) {
                let mut one = one.clone();
                one.spec.undeclared = one.spec.undeclared.max(other.spec.undeclared);
                let id = find(ID).unwrap();
                holds[id] = met(&floor_of([&one]).unwrap().alone())[id];
            }
            holds
        };
        assert_eq!(met(&both.alone()), stricter(beside(one, other), beside(other, one)), "undeclared: {}", said());
        assert_eq!(both.alone().mode, one_alone.alone().mode.max(other_alone.alone().mode));
        for ownership in &declared {
            let [of_one, of_other, of_both] = [&one_alone, &other_alone, &both].map(|floor| floor.under(ownership));
            assert_eq!(met(&of_both), stricter(met(&of_one), met(&of_other)), "{:?}: {}", ownership.spec, said());
            assert_eq!(of_both.waiver_days, of_one.waiver_days.min(of_other.waiver_days));
        }
    }
}

#[test]
fn a_baseline_that_says_nothing_of_a_control_does_not_say_by_which_model_it_is_read() {
    let saas = baseline("a", "serviceModel: SaaS, controls: [{control: encryption-declared, enforcement: Deny}]");
    let declared = Ownership::new("default", serde_saphyr::from_str("{serviceModel: IaaS, controls: [{control: encryption-declared, owner: Provider}]}").unwrap());
    for (beside, below) in [
        ("", 0),
        ("controls: [{control: image-pinned-by-digest, enforcement: Deny}]", 0),
        ("controls: [{control: encryption-declared, enforcement: Warn}]", 1),
        ("serviceModel: SaaS, controls: [{control: encryption-declared, enforcement: Warn}]", 0),
    ] {
        let other = baseline("b", beside);
        let matrix = floor_of([&saas, &other]).unwrap().under(&declared);
        assert_eq!(matrix.below.len(), below, "{beside}: {:?}", matrix.below);
    }
}
