//! backup-current: what a namespace keeps on volumes was backed up lately, and a restore was tried.
//! Velero's schedules and backups count, or a snapshot of each claim; whatever else makes backups is attested.
use jiff::{SignedDuration, Timestamp};

use super::{
    Applies, Check, Control, Declared, Notes,
    declared::{Duties, Proof, proof, review},
};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Severity},
    model::estate::{Backup, NOT_SERVED, Schedule, Snapshot, of_namespace},
};

pub const CONTROL: Control = Control {
    id: "backup-current",
    title: "Namespaces with volumes have a recent backup, and a restore was tried",
    group: "data",
    severity: Severity::High,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::Customer, OwnerClass::Customer, OwnerClass::SharedIndependent],
    references: &[("ISO 27001:2022", &["A.8.13"]), ("SOC 2", &["A1.2", "A1.3"]), ("CCM 4.0.12", &["BCR-08"]), ("NIST 800-53r5", &["CP-9", "CP-9(1)"])],
    why: "A volume is lost in a moment, by a fault or by somebody who wants a ransom; a backup that was never restored is a hope.",
    checked: "Where the namespace has a claim: a Schedule of Velero that is not paused and takes all of the namespace, volumes too, made a Backup that was Completed within two \
              days; or each claim has a VolumeSnapshot that is ready and not older; or the entry of this control holds evidence whose validUntil lies ahead. \
              spec.reviews.restoreTest was completed within its period, P365D unless it says otherwise. What a backup holds is not looked at.",
    unknown: "Claims cannot be read; or the cluster does not serve Velero's kinds, or RBAC forbids them, no snapshots show it, and nothing is attested; or no restore test is \
              recorded.",
    fix: "add the namespace to a backup schedule, try a restore, and record spec.reviews.restoreTest",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Namespace(check),
};

const RESTORE: Duties = Duties { field: "restoreTest", what: "restore test", days: 365 };
/// A backup that was missed once is noticed, one that is late is not.
const RECENT: SignedDuration = SignedDuration::from_hours(48);
const PATH: &str = "spec.controls[backup-current].evidence";
const ATTEST: &str = "record evidence of what makes the backups, with validUntil";
const FIX: &str = "add the namespace to a backup schedule";

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    let claims: Vec<&str> = match &cx.facts.claims {
        Ok(claims) => {
            let prefix = format!("{}/", cx.namespace.name);
            claims.range(prefix.clone()..).map(|(key, _)| key.as_str()).map_while(|key| key.strip_prefix(&prefix)).collect()
        }
        Err(reason) => {
            out.unknown(PATH, format!("claims are not seen: {reason}"), "let Demarc read persistentvolumeclaims");
            return Applies::Yes;
        }
    };
    if claims.is_empty() {
        return Applies::No;
    }
    review(cx, &RESTORE, cx.reviews.restore_test.as_ref(), out);
    if matches!(proof(cx.duty, cx.now, out), Proof::Counts) {
        return Applies::Yes;
    }
    let saved = [by_velero(cx), by_snapshots(cx, &claims)];
    if let Some(taken) = saved.iter().filter_map(|s| s.as_ref().ok()).filter_map(Saved::since).filter(|taken| is_recent(*taken, cx.now)).max() {
        return Applies::until(taken.checked_add(RECENT));
    }
    match saved {
        [Ok(Saved::Covered(_)), _] => out.violated(PATH, "no backup of the namespace was completed within two days", "look at Velero's backups of its schedule"),
        [_, Ok(Saved::Covered(_))] => out.violated(PATH, "a claim has no snapshot of the last two days", FIX),
        // Without Velero something else may make the backups; with it, a cluster that serves no snapshots has none.
        [Err(backups), _] => out.unknown(PATH, format!("backups are not seen: {backups}"), ATTEST),
        [Ok(Saved::Not), Err(snapshots)] if snapshots != NOT_SERVED => out.unknown(PATH, format!("snapshots are not seen: {snapshots}"), ATTEST),
        [Ok(Saved::Not), _] => out.violated(PATH, "its volumes are in no backup schedule", FIX),
    }
    Applies::Yes
}

/// How far something saves the namespace.
enum Saved {
    /// It does not.
    Not,
    /// It is meant to, and did last then.
    Covered(Option<Timestamp>),
}

impl Saved {
    fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Not => None,
            Self::Covered(since) => *since,
        }
    }
}

fn is_recent(taken: Timestamp, now: Timestamp) -> bool {
    now.duration_since(taken) < RECENT
}

fn by_velero<'c>(cx: &Declared<'c>) -> Result<Saved, &'c String> {
    let (schedules, backups) = (cx.facts.estate.schedules.as_ref()?, cx.facts.estate.backups.as_ref()?);
    let covering: Vec<&String> = schedules.iter().filter(|(_, s): &(&String, &Schedule)| s.covers(&cx.namespace.name)).map(|(key, _)| key).collect();
    let last = backups.values().filter(|b: &&Backup| covering.contains(&&b.schedule)).filter_map(|b| b.completed).max();
    Ok(if covering.is_empty() { Saved::Not } else { Saved::Covered(last) })
}

/// As old as the claim that was saved longest ago.
fn by_snapshots<'c>(cx: &Declared<'c>, claims: &[&str]) -> Result<Saved, &'c String> {
    let snapshots: Vec<&Snapshot> = of_namespace(cx.facts.estate.snapshots.as_ref()?, &cx.namespace.name).collect();
    let last = |claim: &&str| snapshots.iter().filter(|s| s.claim == **claim).filter_map(|s| s.taken).max();
    let all: Option<Vec<Timestamp>> = claims.iter().map(last).collect();
    Ok(if snapshots.is_empty() { Saved::Not } else { Saved::Covered(all.and_then(|all| all.into_iter().min())) })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use serde_json::json;

    use super::*;
    use crate::{
        controls::declared::testing::stand,
        model::{
            estate::Estate,
            facts::{ClaimFact, Facts},
        },
    };

    const TESTED: &str = "reviews: {restoreTest: {lastCompleted: '2026-01-01T00:00:00Z'}}";
    const NONE: &[(&str, &str)] = &[];

    fn claims(names: &[&str]) -> Arc<BTreeMap<String, ClaimFact>> {
        Arc::new(names.iter().map(|name| ((*name).to_owned(), ClaimFact::default())).collect())
    }

    fn facts(schedules: &[(&str, &str)], backups: &[(&str, &str)], snapshots: &[(&str, &str)]) -> Facts {
        let schedule = |(name, namespace): &(&str, &str)| (format!("velero/{name}"), Schedule::from_json(&json!({"spec": {"template": {"includedNamespaces": [namespace]}}})));
        let backup = |(of, done): &(&str, &str)| (format!("velero/{of}-{done}"), Backup { schedule: format!("velero/{of}"), completed: done.parse().ok() });
        let snapshot = |(claim, taken): &(&str, &str)| (format!("shop/{claim}-{taken}"), Snapshot { claim: (*claim).to_owned(), taken: taken.parse().ok() });
        let estate = Estate {
            schedules: Ok(Arc::new(schedules.iter().map(schedule).collect())),
            backups: Ok(Arc::new(backups.iter().map(backup).collect())),
            snapshots: Ok(Arc::new(snapshots.iter().map(snapshot).collect())),
            ..Estate::empty()
        };
        Facts { estate, claims: Ok(claims(&["shop/data", "shop/logs", "shopping/other"])), ..Facts::empty() }
    }

    /// Velero's kinds cannot be read.
    fn without(why: &str, snapshot: Option<&str>) -> Facts {
        let taken: Vec<(&str, &str)> = snapshot.iter().flat_map(|taken| [("data", *taken), ("logs", *taken)]).collect();
        let seen = facts(NONE, NONE, &taken);
        Facts { estate: Estate { schedules: Err(why.to_owned()), backups: Err(why.to_owned()), ..seen.estate }, ..seen }
    }

    #[test]
    fn what_is_kept_is_saved() {
        let (new, old) = ("2026-03-31T00:00:00Z", "2026-03-30T00:00:00Z");
        let (none, late, snap) = (
            vec![format!("Violated {PATH}: its volumes are in no backup schedule")],
            vec![format!("Violated {PATH}: no backup of the namespace was completed within two days")],
            vec![format!("Violated {PATH}: a claim has no snapshot of the last two days")],
        );
        for (facts, said) in [
            (facts(&[("daily", "shop")], &[("daily", new)], NONE), vec![]),
            (facts(&[("daily", "*")], &[("daily", old), ("daily", new)], NONE), vec![]),
            (facts(&[("daily", "shop")], &[("daily", old)], NONE), late.clone()),
            (facts(&[("daily", "shop")], &[("daily", "")], NONE), late.clone()),
            (facts(&[("daily", "shop")], &[("other", new)], NONE), late),
            (facts(&[("daily", "shopping")], &[("daily", new)], NONE), none.clone()),
            (facts(NONE, NONE, NONE), none.clone()),
            (facts(NONE, NONE, &[("data", new), ("logs", new)]), vec![]),
            (facts(NONE, NONE, &[("data", new)]), snap.clone()),
            (facts(NONE, NONE, &[("data", new), ("logs", old)]), snap),
            (facts(&[("daily", "shop")], &[("daily", old)], &[("data", new), ("logs", new)]), vec![]),
            (Facts { claims: Ok(claims(&["shopping/other"])), ..facts(NONE, NONE, NONE) }, vec!["-".to_owned()]),
            (Facts { claims: Err("x".into()), ..facts(NONE, NONE, NONE) }, vec![format!("Unknown {PATH}: claims are not seen: x")]),
            (Facts { claims: Ok(claims(&["shop/data"])), ..Facts::none("x") }, vec![format!("Unknown {PATH}: backups are not seen: x")]),
            (without("x", None), vec![format!("Unknown {PATH}: backups are not seen: x")]),
            (without(NOT_SERVED, None), vec![format!("Unknown {PATH}: backups are not seen: {NOT_SERVED}")]),
            (
                Facts { estate: Estate { snapshots: Err("x".into()), ..facts(NONE, NONE, NONE).estate }, ..facts(NONE, NONE, NONE) },
                vec![format!("Unknown {PATH}: snapshots are not seen: x")],
            ),
            (Facts { estate: Estate { snapshots: Err(NOT_SERVED.into()), ..facts(NONE, NONE, NONE).estate }, ..facts(NONE, NONE, NONE) }, none),
            (without("x", Some("2026-03-31T00:00:00Z")), vec![]),
        ] {
            assert_eq!(stand(&CONTROL, TESTED, &facts), said, "{:?}", facts.estate);
        }
        let attested = format!("{TESTED}, controls: [{{control: backup-current, evidence: [{{type: a, ref: b, validUntil: '2026-05-01T00:00:00Z'}}]}}]");
        assert!(stand(&CONTROL, &attested, &Facts { claims: Ok(claims(&["shop/data"])), ..Facts::none("x") }).is_empty());
    }

    #[test]
    fn a_restore_is_tried() {
        let saved = facts(&[("daily", "shop")], &[("daily", "2026-03-31T00:00:00Z")], NONE);
        assert_eq!(stand(&CONTROL, "", &saved), ["Unknown spec.reviews.restoreTest: no restore test is recorded"]);
        let late = stand(&CONTROL, "reviews: {restoreTest: {lastCompleted: '2025-01-01T00:00:00Z'}}", &saved);
        assert_eq!(late, ["Violated spec.reviews.restoreTest.lastCompleted: the restore test was due 2026-01-01"]);
    }
}
