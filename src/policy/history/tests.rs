use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::{
    api::ownership::Ownership,
    model::facts::{Facts, Namespace},
    policy::{
        drift::report,
        enforcing::Proof,
        matrix::Matrix,
        objects::Room,
        status::{Observed, plan},
    },
};

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// An entry of managedFields that claims these fields of the spec; those of a control are written `mfa-enforced/owner`.
fn entry(manager: &str, operation: &str, time: &str, fields: &[&str]) -> Value {
    let mut spec = json!({});
    for field in fields {
        match field.split_once('/') {
            Some((control, field)) => spec["f:controls"][format!("k:{{\"control\":\"{control}\"}}")][format!("f:{field}")] = json!({}),
            None => spec[format!("f:{field}")] = json!({}),
        }
    }
    json!({"manager": manager, "operation": operation, "apiVersion": "demarc.dev/v1alpha1", "time": time, "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": spec}})
}

/// What the status becomes when the leader sees this; `None` when there is nothing to write.
fn step(old: Option<&OwnershipStatus>, generation: i64, spec: &str, fields: Value, now: &str) -> Option<OwnershipStatus> {
    let ownership = Ownership::new("default", serde_saphyr::from_str(spec).unwrap());
    let fields: Vec<ManagedFieldsEntry> = serde_json::from_value(fields).unwrap();
    let managers = Managers::read(&fields, &ownership.spec);
    let written = Some(Written { spec: &ownership.spec, managers: &managers });
    let observed = Observed { generation, enrolled: true, broken: None, critical: None, fault: None, proof: &Proof::Held, ending: None, note: None, written };
    let matrix = Matrix::resolve(&ownership);
    let report = report(&Namespace { name: "shop".into(), ..Namespace::default() }, &matrix, &Room::default(), &Facts::empty(), at(now));
    plan(old, &matrix, &report, &observed, at(now))
}

/// The rows in short.
fn rows(status: &OwnershipStatus) -> Vec<String> {
    let row = |c: &Change| {
        let text = |t: &Option<String>| t.clone().unwrap_or_else(|| "-".to_owned());
        let controls = match c.controls.as_slice() {
            [] => String::new(),
            [one] => format!(" of {one}"),
            many => format!(" of {}", many.len()),
        };
        let by = c
            .managed_fields
            .as_ref()
            .map_or("nobody knows".to_owned(), |m| format!("{} {} {}", m.manager, m.operation, m.time.as_ref().map_or("-".to_owned(), |t| t.0.to_string())));
        let through = c.through.map_or(String::new(), |t| format!(" through {t}"));
        format!("{}{controls}: {} to {}{through}, seen {}, by {by}", c.field, text(&c.from), text(&c.to), c.seen.0.strftime("%F"))
    };
    status.history.iter().filter(|c| c.field != Changed::Settings).map(row).collect()
}

const T1: &str = "2026-02-01T00:00:00Z";
const T2: &str = "2026-03-01T00:00:00Z";
const T3: &str = "2026-04-01T00:00:00Z";
const PLAIN: &str = "{serviceModel: PaaS, parties: {customer: acme}, controls: [{control: mfa-enforced, owner: Customer}]}";

/// As kubectl creates it.
fn created() -> Value {
    entry("kubectl-create", "Update", "2026-01-31T12:00:00Z", &["serviceModel", "mode", "parties", "policy", "mfa-enforced/owner"])
}

#[test]
fn what_is_seen_first_was_said_by_somebody_and_is_told_once() {
    let first = step(None, 1, PLAIN, json!([created()]), T1).unwrap();
    let by = "seen 2026-02-01, by kubectl-create Update 2026-01-31T12:00:00Z";
    assert_eq!(
        rows(&first),
        [
            format!("ServiceModel: - to PaaS, {by}"),
            format!("Mode: - to Enforce, {by}"),
            format!("Parties: - to customer=acme, {by}"),
            format!("Owner of mfa-enforced: - to Customer through Controls, {by}"),
        ]
    );
    assert_eq!(step(Some(&first), 1, PLAIN, json!([created()]), T2), None);
    // Other managers may come and go: nothing that counts has changed.
    assert_eq!(step(Some(&first), 1, PLAIN, json!([created(), entry("flux", "Apply", T2, &["serviceModel"])]), T2), None);
}

#[test]
fn a_model_moves_many_and_one_row_tells_which() {
    let first = step(None, 1, PLAIN, json!([created()]), T1).unwrap();
    let edited = entry("kubectl-edit", "Update", "2026-03-01T00:00:00Z", &["serviceModel"]);
    let saas = PLAIN.replace("PaaS", "SaaS");
    let second = step(Some(&first), 2, &saas, json!([created(), edited]), T2).unwrap();
    let moved = second.history.iter().find(|c| c.field == Changed::Owner && c.through == Some(Through::ServiceModel)).unwrap();
    assert!(moved.controls.len() > 3 && moved.controls.iter().any(|c| c == "encryption-declared"), "{moved:?}");
    assert_eq!((moved.from.as_deref(), moved.to.as_deref(), moved.managed_fields.as_ref().unwrap().manager.as_str()), (Some("Customer"), Some("Provider"), "kubectl-edit"));
    for (was, is) in first.matrix.iter().zip(&second.matrix) {
        let told = second.history.iter().filter(|c| c.field == Changed::Owner && c.through == Some(Through::ServiceModel) && c.controls.contains(&was.control)).count();
        assert_eq!(told, usize::from(was.owner != is.owner), "{}", was.control);
        assert!(was.control != "mfa-enforced" || was.owner == is.owner, "its own entry says who owns it");
    }
    // Back again, in part: each control stands in the row of its last move alone.
    let third = step(Some(&second), 3, &PLAIN.replace("controls: [", "controls: [{control: encryption-declared, owner: Provider}, "), json!([created()]), T3).unwrap();
    let of = |status: &OwnershipStatus, control: &str| {
        status.history.iter().filter(|c| c.field == Changed::Owner && c.controls.iter().any(|c| c == control)).map(|c| format!("{:?} {}", c.to, c.seen.0)).collect::<Vec<_>>()
    };
    assert_eq!(of(&third, "encryption-declared"), [format!("Some(\"Provider\") {T2}")]);
    assert!(of(&third, "pvc-storage-encrypted").iter().all(|row| row.ends_with(T3)), "{:?}", of(&third, "pvc-storage-encrypted"));
}

#[test]
fn by_what_it_came_and_by_whom() {
    let base = "{serviceModel: PaaS, parties: {customer: acme, provider: azure}, controls: [{control: encryption-declared, enforcement: Deny}]}";
    let before = step(None, 1, base, json!([]), T1).unwrap();
    for (what, generation, spec, fields, said) in [
        (
            "an entry, by the tool that owns it",
            2,
            base.replace("Deny", "Warn"),
            json!([entry("flux", "Apply", T2, &["encryption-declared/enforcement"]), entry("other", "Update", T2, &["mfa-enforced/enforcement", "mode"])]),
            "Enforcement of encryption-declared: Deny to Warn through Controls, seen 2026-03-01, by flux Apply 2026-03-01T00:00:00Z",
        ),
        (
            "of two that own it, the one that wrote last",
            2,
            base.replace("Deny", "Warn"),
            json!([entry("a", "Apply", T2, &["encryption-declared/enforcement"]), entry("b", "Apply", T1, &["encryption-declared/enforcement"])]),
            "Enforcement of encryption-declared: Deny to Warn through Controls, seen 2026-03-01, by a Apply 2026-03-01T00:00:00Z",
        ),
        (
            "the mode",
            2,
            base.replace("serviceModel", "mode: Warn, serviceModel"),
            json!([entry("kubectl-patch", "Update", T2, &["mode"])]),
            ": Deny to Warn through Mode, seen 2026-03-01, by kubectl-patch Update 2026-03-01T00:00:00Z",
        ),
        (
            "who answers, with all that the party answers for",
            2,
            base.replace("customer: acme", "customer: evil"),
            json!([entry("kubectl-edit", "Update", T2, &["parties"])]),
            "through Parties, seen 2026-03-01, by kubectl-edit Update 2026-03-01T00:00:00Z",
        ),
        (
            "with the owner moves who answers",
            2,
            base.replace("enforcement: Deny", "owner: Provider"),
            json!([entry("kubectl-edit", "Update", T2, &["encryption-declared/owner"])]),
            "Accountable of encryption-declared: acme to azure through Controls, seen 2026-03-01, by kubectl-edit Update 2026-03-01T00:00:00Z",
        ),
        (
            "the same generation: not by this Ownership",
            1,
            base.replace("Deny", "Warn"),
            json!([entry("flux", "Apply", T2, &["encryption-declared/enforcement"])]),
            "Enforcement of encryption-declared: Deny to Warn through Elsewhere, seen 2026-03-01, by nobody knows",
        ),
        (
            "a time that is yet to come is not believed",
            2,
            base.replace("Deny", "Warn"),
            json!([entry("flux", "Apply", "2999-01-01T00:00:00Z", &["encryption-declared/enforcement"])]),
            "Enforcement of encryption-declared: Deny to Warn through Controls, seen 2026-03-01, by flux Apply -",
        ),
    ] {
        let after = step(Some(&before), generation, &spec, fields, T2);
        let rows = after.as_ref().map(rows).unwrap_or_default();
        let news: Vec<&String> = rows.iter().filter(|r| r.contains("seen 2026-03-01")).collect();
        assert!(news.iter().any(|r| r.contains(said)), "{what}: {news:#?}");
    }
    // Who took something away stands nowhere, and the tool that owns what is left did not.
    let weak = step(None, 1, &base.replace("Deny", "Warn"), json!([]), T1).unwrap();
    let left = base.replace("enforcement: Deny", "owner: Customer");
    let after = step(Some(&weak), 2, &left, json!([entry("flux", "Apply", T2, &["encryption-declared/owner"])]), T2).unwrap();
    assert!(rows(&after).contains(&"Enforcement of encryption-declared: Warn to Deny through Controls, seen 2026-03-01, by nobody knows".to_owned()), "{:#?}", rows(&after));
}

#[test]
fn nonsense_in_managed_fields_claims_nothing() {
    let spec: OwnershipSpec = serde_saphyr::from_str(PLAIN).unwrap();
    let read = |entries: Value| Managers::read(&serde_json::from_value::<Vec<ManagedFieldsEntry>>(entries).unwrap(), &spec).0;
    let of = |fields: Value| read(json!([{"manager": "m", "operation": "Update", "time": T1, "fieldsType": "FieldsV1", "fieldsV1": fields}]));
    for fields in [
        json!(7),
        json!("f:spec"),
        json!(null),
        json!([]),
        json!({"f:spec": []}),
        json!({"f:spec": "f:mode"}),
        json!({"f:spec": {"f:controls": 7}}),
        json!({"f:spec": {"f:controls": ["f:owner"]}}),
        json!({"f:spec": {"f:controls": {"k:{\"control\":\"mfa-enforced\"}": []}}}),
        json!({"f:spec": {"f:controls": {"mfa-enforced": {"f:owner": {}}}}}),
        json!({"f:spec": {"f:controls": {"k:{\"control\":\"of-nobody\"}": {"f:owner": {}}}}}),
        json!({"f:status": {"f:mode": {}}}),
    ] {
        assert!(of(fields.clone()).is_empty(), "{fields}");
    }
    for (what, entry) in [
        ("a status's", json!({"subresource": "status", "operation": "Update", "manager": "m"})),
        ("no operation", json!({"manager": "m"})),
        ("an operation of tomorrow", json!({"manager": "m", "operation": "Merge"})),
        ("no manager", json!({"operation": "Update"})),
    ] {
        let mut entry = entry;
        entry["fieldsV1"] = json!({"f:spec": {"f:mode": {}}});
        assert!(read(json!([entry])).is_empty(), "{what}");
    }
    // A thousand that claim all of it, with names that would move a cursor: one of them for each field that is there.
    let many: Vec<Value> = (0..1000).map(|i| entry(&format!("\u{202e}{}{i}", "m".repeat(200)), "Apply", T1, &["mode", "mfa-enforced/owner", "of-nobody/owner"])).collect();
    let all = read(Value::Array(many));
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), [(Changed::Mode, None), (Changed::Owner, Some(0))]);
    assert!(all.values().all(|who| who.manager.len() <= 128 && !who.manager.contains('\u{202e}')));
}

#[test]
fn each_control_stands_once_for_each_field_however_often_it_turns() {
    let spec = |i: usize| {
        let control = |(at, control): (usize, &crate::controls::Control)| {
            format!(
                "{{control: {}, owner: {}, accountable: p{}, enforcement: {}}}",
                control.id,
                ["Customer", "SharedDependent"][(i + at) % 2],
                (i * at) % 5,
                ["Warn", "Audit"][(i / 2) % 2]
            )
        };
        let all: Vec<String> = crate::controls::CATALOG.iter().enumerate().map(control).collect();
        format!("{{serviceModel: PaaS, mode: {}, controls: [{}]}}", ["Enforce", "Warn", "Audit"][i % 3], all.join(", "))
    };
    let mut status: Option<OwnershipStatus> = None;
    for i in 0..40 {
        let now = format!("2026-02-01T00:00:{i:02}Z");
        let generation = i64::try_from(i).unwrap();
        status = Some(step(status.as_ref(), generation, &spec(i), json!([]), &now).unwrap());
        let history = &status.as_ref().unwrap().history;
        let mut told: Vec<(Changed, &String)> = history.iter().flat_map(|c| c.controls.iter().map(|control| (c.field, control))).collect();
        let all = told.len();
        told.sort_unstable();
        told.dedup();
        assert_eq!(all, told.len());
        assert!(history.len() <= 400 && history.is_sorted_by(|a, b| a.seen.0 >= b.seen.0));
    }
}
