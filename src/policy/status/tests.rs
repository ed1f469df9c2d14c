//! How a status follows from the one before it and from what was judged: what is written, and that nothing is where nothing changed.

use super::{super::enforcing::fold, *};
use crate::{
    api::ownership::Ownership,
    model::{
        facts::{Facts, Namespace},
        subject::Kind,
    },
    policy::{drift, objects::Objects},
};

const ENROLLED: Observed<'static> =
    Observed { generation: 0, enrolled: true, broken: None, critical: None, fault: None, proof: &Proof::Held, ending: None, note: None, written: None };

fn at(s: &str) -> Timestamp {
    s.parse().unwrap()
}

fn shop() -> (Matrix, Objects, Namespace) {
    let ownership = Ownership::new("default", serde_saphyr::from_str("{serviceModel: PaaS, parties: {customer: acme}}").unwrap());
    let mut objects = Objects::default();
    let template = serde_json::json!({"spec": {"containers": [{"name": "web", "image": "nginx", "env": [{"name": "PASSWORD", "value": "hunter2"}]}]}});
    objects.put(
        Kind::ReplicaSet,
        serde_json::json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u1", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"template": template}}),
    );
    objects.put(Kind::Pod, serde_json::json!({"metadata": {"name": "web-1", "namespace": "shop", "uid": "u2", "ownerReferences": [{"kind": "ReplicaSet", "name": "web", "uid": "u1", "controller": true}]}, "spec": template["spec"]}));
    (Matrix::resolve(&ownership), objects, Namespace { name: "shop".into(), ..Namespace::default() })
}

#[test]
fn a_baseline_tells_whom_it_has_not_released() {
    let now = at("2026-06-01T00:00:00Z");
    let mut baseline = Baseline::new("gold", serde_saphyr::from_str("{namespaceSelector: {}}").unwrap());
    let names: Vec<String> = (0..12).map(|i| format!("n{i:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let matrix = super::super::cluster::matrix(&baseline);
    let members = |left| Members { left, declared: 0, undeclared: 12, drifting: 0, enforcing: fold([]), unseen: Vec::new() };
    let status = plan_baseline(&baseline, &members(&names), &matrix, &Standing::default(), now).unwrap();
    let left = |status: &BaselineStatus| status.conditions.iter().find(|c| c.type_ == "LeftBaseline").map(|c| c.message.clone());
    let said = left(&status).unwrap();
    assert!(said.contains("n00, n01") && said.ends_with("n09 and 2 more"), "{said}");
    baseline.status = Some(status);
    assert_eq!(plan_baseline(&baseline, &members(&names), &matrix, &Standing::default(), now), None, "it is written once");
    assert_eq!(left(&plan_baseline(&baseline, &members(&[]), &matrix, &Standing::default(), now).unwrap()), None);
}

#[test]
fn nothing_changed_is_nothing_to_write_and_since_stays() {
    let (matrix, mut objects, shop) = shop();
    let report = |objects: &Objects, now| drift::report(&shop, &matrix, &objects.room("shop").cloned().unwrap_or_default(), &Facts::empty(), now);
    let (t1, t2) = (at("2026-02-01T00:00:00Z"), at("2026-03-01T00:00:00Z"));
    let first = plan(None, &matrix, &report(&objects, t1), &ENROLLED, t1).unwrap();
    assert!(first.findings.iter().all(|f| f.object != "pod/web-1"), "the pod adds nothing to its set: {:?}", first.findings);
    assert_eq!(first.findings.iter().filter(|f| f.control == "workload-named-owner").count(), 1);
    assert_eq!(plan(Some(&first), &matrix, &report(&objects, t2), &ENROLLED, t2), None);
    objects.remove("shop", "u1");
    objects.remove("shop", "u2");
    let clean = plan(Some(&first), &matrix, &report(&objects, t2), &ENROLLED, t2).unwrap();
    assert!(clean.findings.iter().all(|f| f.object == "ownership/default"), "{:?}", clean.findings);
    assert_eq!(clean.matrix[0].forbidden_since, first.matrix[0].forbidden_since, "it moves only when enforcement is switched on anew");
    assert_ne!(clean.digest, first.digest);
}

#[test]
fn what_is_allowed_for_a_moment_launders_nothing_and_what_is_allowed_for_long_is_spared() {
    let (matrix, objects, shop) = shop();
    let report = |matrix: &Matrix, now| drift::report(&shop, matrix, objects.room("shop").unwrap(), &Facts::empty(), now);
    let resolve = |spec: &str| Matrix::resolve(&Ownership::new("default", serde_saphyr::from_str(spec).unwrap()));
    let row = |status: &OwnershipStatus| {
        let row = status.matrix.iter().find(|r| r.control == "pod-security-standard").unwrap();
        [&row.forbidden_since, &row.allowed_since].map(|t| t.as_ref().map(|t| t.0))
    };
    let t1 = at("2026-02-01T00:00:00Z");
    let first = plan(None, &matrix, &report(&matrix, t1), &ENROLLED, t1).unwrap();
    assert_eq!(row(&first), [Some(t1), None]);
    for spec in ["{serviceModel: PaaS, mode: Audit}", "{serviceModel: PaaS, controls: [{control: pod-security-standard, enforcement: Warn}]}", "{serviceModel: SaaS}"] {
        let (loose, t2) = (resolve(spec), at("2026-03-01T00:00:00Z"));
        let second = plan(Some(&first), &loose, &report(&loose, t2), &ENROLLED, t2).unwrap();
        assert_eq!(row(&second), [Some(t1), Some(t2)], "{spec}");
        let later = at("2026-03-01T00:09:59Z");
        assert_eq!(plan(Some(&second), &loose, &report(&loose, later), &ENROLLED, later), None, "{spec}: nothing to write as time goes by");
        for (back, since) in [("2026-03-01T00:00:05Z", t1), ("2026-03-01T00:09:59Z", t1), ("2026-03-01T00:10:00Z", at("2026-03-01T00:10:00Z"))] {
            let third = plan(Some(&second), &matrix, &report(&matrix, at(back)), &ENROLLED, at(back)).unwrap();
            assert_eq!(row(&third), [Some(since), None], "{spec} until {back}");
        }
        // Until the leader has said, nothing is spared less than it was.
        let mut ownership = Ownership::new("default", serde_saphyr::from_str("{serviceModel: PaaS, parties: {customer: acme}}").unwrap());
        ownership.status = Some(second);
        let resolved = Matrix::resolve(&ownership);
        assert_eq!(resolved.forbidden_since(resolved.find("pod-security-standard").unwrap()), None);
    }
}

#[test]
fn new_settings_forbid_anew_and_the_hands_that_a_control_passes_through_are_told() {
    let (matrix, objects, shop) = shop();
    let (t1, t2, t3) = (at("2026-02-01T00:00:00Z"), at("2026-03-01T00:00:00Z"), at("2026-04-01T00:00:00Z"));
    let report = |matrix: &Matrix, now| drift::report(&shop, matrix, objects.room("shop").unwrap(), &Facts::empty(), now);
    let first = plan(None, &matrix, &report(&matrix, t1), &ENROLLED, t1).unwrap();
    let resolve = |spec: &str| Matrix::resolve(&Ownership::new("default", serde_saphyr::from_str(spec).unwrap()));
    let tight = resolve("{serviceModel: PaaS, parties: {customer: acme}, policy: {podSecurity: {level: Restricted}}}");
    let second = plan(Some(&first), &tight, &report(&tight, t2), &ENROLLED, t2).unwrap();
    let since = |status: &OwnershipStatus, id: &str| status.matrix.iter().find(|r| r.control == id).and_then(|r| r.forbidden_since.clone()).map(|t| t.0);
    for (id, moved) in [("pod-security-standard", t2), ("workload-named-owner", t1), ("image-registry-allowed", t1), ("pvc-storage-encrypted", t1)] {
        assert_eq!((since(&first, id), since(&second, id)), (Some(t1), Some(moved)), "{id}: what a control does not read moves nothing");
    }
    let mut forged = second.clone();
    forged.matrix[0].forbidden_since = Some(Time(at("2030-01-01T00:00:00Z")));
    let put_right = plan(Some(&forged), &tight, &report(&tight, t3), &ENROLLED, t3).unwrap();
    assert_eq!(put_right.matrix[0].forbidden_since.clone().unwrap().0, t3, "nobody is spared what is yet to come");
    // What a replica reads of it: the line of what is asked for now, and none of what was not written yet.
    let read = |spec: &str| {
        let mut ownership = Ownership::new("default", serde_saphyr::from_str(spec).unwrap());
        ownership.status = Some(second.clone());
        let matrix = Matrix::resolve(&ownership);
        ["pod-security-standard", "workload-named-owner"].map(|id| matrix.forbidden_since(matrix.find(id).unwrap()))
    };
    assert_eq!(read("{serviceModel: PaaS, policy: {podSecurity: {level: Restricted}}}"), [Some(t2), Some(t1)]);
    assert_eq!(read("{serviceModel: PaaS}"), [None, Some(t1)]);
    assert_eq!(read("{serviceModel: PaaS, policy: {podSecurity: {level: Restricted}}, defaultOwner: jo}"), [Some(t2), None]);

    let moved = |status: &OwnershipStatus| status.conditions.iter().find(|c| c.type_ == "OwnersMoved").map(|c| c.message.clone());
    assert_eq!(moved(&second), None);
    let saas = resolve("{serviceModel: SaaS, parties: {customer: acme}}");
    let third = plan(Some(&second), &saas, &report(&saas, t3), &ENROLLED, t3).unwrap();
    assert!(moved(&third).unwrap().contains("encryption-declared: Customer to Provider"), "{:?}", moved(&third));
    assert_eq!(plan(Some(&third), &saas, &report(&saas, t3), &ENROLLED, t3), None, "told until the next generation");
    let next = Observed { generation: 1, ..ENROLLED };
    assert_eq!(moved(&plan(Some(&third), &saas, &report(&saas, t3), &next, t3).unwrap()), None);
}

#[test]
fn conditions_of_others_are_kept() {
    let (matrix, objects, shop) = shop();
    let now = at("2026-02-01T00:00:00Z");
    let foreign =
        Condition { type_: "Audited".into(), status: "True".into(), reason: "By".into(), message: String::new(), observed_generation: None, last_transition_time: Time(now) };
    let old = OwnershipStatus { conditions: vec![foreign.clone()], ..OwnershipStatus::default() };
    let new = plan(Some(&old), &matrix, &drift::report(&shop, &matrix, objects.room("shop").unwrap(), &Facts::empty(), now), &ENROLLED, now).unwrap();
    assert!(new.conditions.contains(&foreign));
    for kind in ["Ready", "Compliant", "Enforcing"] {
        assert_eq!(new.conditions.iter().filter(|c| c.type_ == kind).count(), 1, "{kind}");
    }
}

#[test]
fn a_declaration_that_nobody_can_read_is_told_and_what_was_known_stays() {
    let (matrix, objects, shop) = shop();
    let (t1, t2) = (at("2026-02-01T00:00:00Z"), at("2026-03-01T00:00:00Z"));
    let foreign =
        Condition { type_: "Audited".into(), status: "True".into(), reason: "By".into(), message: String::new(), observed_generation: None, last_transition_time: Time(t1) };
    let mut good = plan(None, &matrix, &drift::report(&shop, &matrix, objects.room("shop").unwrap(), &Facts::empty(), t1), &ENROLLED, t1).unwrap();
    good.conditions.push(foreign.clone());
    let state = |status: &OwnershipStatus, kind: &str| status.conditions.iter().find(|c| c.type_ == kind).map(|c| format!("{} {}", c.status, c.reason));
    for (enrolled, enforcing) in [(true, "True FailClosed"), (false, "False NotEnrolled")] {
        let observed = Observed { generation: 7, enrolled, ..ENROLLED };
        for old in [None, Some(&good)] {
            let broken = plan_unreadable(old, "unknown variant `Mainframe`", &observed, t2).unwrap();
            for (kind, said) in [("Ready", "False Unreadable"), ("Stalled", "True Unreadable"), ("Compliant", "Unknown Unreadable"), ("Enforcing", enforcing)] {
                assert_eq!(state(&broken, kind).as_deref(), Some(said), "{kind}");
            }
            assert!(broken.conditions.iter().any(|c| c.message.contains("Mainframe")), "the reason is there");
            assert_eq!(broken.observed_generation, Some(7));
            assert_eq!(plan_unreadable(Some(&broken), "unknown variant `Mainframe`", &observed, at("2026-04-01T00:00:00Z")), None, "told once");
        }
    }
    let broken = plan_unreadable(Some(&good), "x", &ENROLLED, t2).unwrap();
    assert!(broken.conditions.contains(&foreign));
    assert_eq!((&broken.matrix, &broken.findings), (&good.matrix, &good.findings), "what stood before is still known");
    let mended = plan(Some(&broken), &matrix, &drift::report(&shop, &matrix, objects.room("shop").unwrap(), &Facts::empty(), t2), &ENROLLED, t2).unwrap();
    assert_eq!((state(&mended, "Ready").as_deref(), state(&mended, "Stalled")), (Some("True Resolved"), None));
    assert_eq!(mended.matrix[0].forbidden_since, good.matrix[0].forbidden_since, "nothing is spared that was not before");
}

#[test]
fn the_last_good_declaration_is_judged_on_and_the_status_says_so_once() {
    let (matrix, objects, shop) = shop();
    let now = at("2026-02-01T00:00:00Z");
    let report = drift::report(&shop, &matrix, objects.room("shop").unwrap(), &Facts::empty(), now);
    let observed = Observed { generation: 2, broken: Some("unknown variant"), ..ENROLLED };
    let told = plan(None, &matrix, &report, &observed, now).unwrap();
    let state = |kind: &str| told.conditions.iter().find(|c| c.type_ == kind).map(|c| (c.status.as_str(), c.observed_generation));
    assert_eq!((state("Ready"), state("Stalled")), (Some(("False", Some(2))), Some(("True", Some(2)))));
    assert_eq!(plan(Some(&told), &matrix, &report, &observed, now), None);
}
