//! Who changed what, and when: what a status said before is held against what it says now, and metadata.managedFields against both.
//! What cannot be known is left open, for an auditor is better off with a gap than with a guess; a row stays until the same changes again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time};
use serde_json::Value;

use crate::{
    api::ownership::{Change, Changed, Manager, MatrixRow, Operation, OwnershipSpec, OwnershipStatus, Parties, Through},
    model::text::shown,
};

/// A field that counts: of the whole spec, or of one of its entries.
type Leaf = (Changed, Option<usize>);

/// Which tool wrote each field that counts, last of all that claim it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Managers(BTreeMap<Leaf, Arc<Manager>>);

/// An Ownership as it is stored, and who wrote it.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// What it says.
    pub spec: &'a OwnershipSpec,
    /// Which tool said what.
    pub managers: &'a Managers,
}

impl Managers {
    /// Reads what managedFields say of the fields that are there; of any others they may say what they like.
    pub fn read(entries: &[ManagedFieldsEntry], spec: &OwnershipSpec) -> Self {
        let keys: Vec<String> = spec.controls.iter().map(|e| format!("k:{{\"control\":\"{}\"}}", e.control)).collect();
        let mut all = Self::default();
        for entry in entries.iter().filter(|e| e.subresource.as_deref().unwrap_or_default().is_empty()) {
            let operation = match entry.operation.as_deref() {
                Some("Apply") => Operation::Apply,
                Some("Update") => Operation::Update,
                _ => continue,
            };
            let (Some(manager), Some(fields)) = (&entry.manager, &entry.fields_v1) else { continue };
            let who = Arc::new(Manager { manager: shown(manager, 128), operation, time: entry.time.clone() });
            all.add(&fields.0["f:spec"], &keys, &who);
        }
        all
    }

    fn add(&mut self, fields: &Value, keys: &[String], who: &Arc<Manager>) {
        let has = |names: &[&str]| names.iter().any(|name| fields.get(name).is_some());
        let whole = [
            (Changed::ServiceModel, has(&["f:serviceModel"])),
            (Changed::Mode, has(&["f:mode"])),
            (Changed::Parties, has(&["f:parties"])),
            (Changed::Settings, has(&["f:policy", "f:defaultOwner"])),
        ];
        let mut claimed: Vec<Leaf> = whole.into_iter().filter(|(_, has)| *has).map(|(field, _)| (field, None)).collect();
        if let Value::Object(controls) = &fields["f:controls"] {
            let owns = |i: usize, name: &str| controls.get(&keys[i]).is_some_and(|entry| entry.get(name).is_some());
            let named = [(Changed::Owner, "f:owner"), (Changed::Accountable, "f:accountable"), (Changed::Enforcement, "f:enforcement")];
            claimed.extend((0..keys.len()).flat_map(|i| named.iter().filter(move |(_, name)| owns(i, name)).map(move |(field, _)| (*field, Some(i)))));
        }
        for leaf in claimed {
            let later = self.0.get(&leaf).is_none_or(|known| (&known.time, &known.manager) < (&who.time, &who.manager));
            if later {
                self.0.insert(leaf, who.clone());
            }
        }
    }

    /// A time that is yet to come was written by somebody who made it up.
    fn of(&self, leaf: Leaf, now: &Time) -> Option<Manager> {
        let mut who = self.0.get(&leaf).map(|who| Manager::clone(who))?;
        who.time = who.time.filter(|t| t.0.duration_since(now.0) <= SignedDuration::from_mins(1));
        Some(who)
    }
}

/// What makes one row: changes that share it are told together.
type Key = (Changed, Option<String>, Option<String>, Option<Through>, Option<Manager>);

/// The history as it should stand in `new`, whose matrix and settings are there already.
pub(super) fn history(before: &OwnershipStatus, new: &OwnershipStatus, written: Written<'_>, now: &Time) -> Vec<Change> {
    let Written { spec, managers } = written;
    let first = before.history.is_empty();
    let whole = [
        (Changed::ServiceModel, Some(spec.service_model.to_string())),
        (Changed::Mode, Some(spec.mode.to_string())),
        (Changed::Parties, parties(&spec.parties)),
        (Changed::Settings, new.settings.clone()),
    ];
    let mut found: BTreeMap<Key, BTreeSet<&str>> = BTreeMap::new();
    let mut turned: BTreeSet<Changed> = BTreeSet::new();
    for (field, to) in whole {
        let from = before.history.iter().find(|c| c.field == field).and_then(|c| c.to.clone());
        if from != to {
            turned.insert(field);
            found.insert((field, from, to, None, managers.of((field, None), now)), BTreeSet::new());
        }
    }
    let redeclared = before.observed_generation != new.observed_generation;
    for row in &new.matrix {
        let entry = spec.controls.iter().position(|e| e.control == row.control);
        let moved: Vec<(Changed, Option<String>, Option<String>)> = if first {
            // What the entry says itself was said by somebody, though nobody saw when.
            let says = entry.map(|i| &spec.controls[i]).map_or([false; 3], |e| [e.owner.is_some(), e.accountable.is_some(), e.enforcement.is_some()]);
            values(row).into_iter().zip(says).filter(|(_, says)| *says).map(|((field, to), _)| (field, None, to)).collect()
        } else {
            let Some(was) = before.matrix.iter().find(|r| r.control == row.control) else { continue };
            values(was).into_iter().zip(values(row)).filter(|((_, from), (_, to))| from != to).map(|((field, from), (_, to))| (field, from, to)).collect()
        };
        let owner_moved = moved.iter().any(|(field, ..)| *field == Changed::Owner);
        for (field, from, to) in moved {
            let says = |field| entry.is_some_and(|i| says(&spec.controls[i], field));
            let through = match (first, redeclared) {
                (true, _) => Through::Controls,
                (false, true) => through(field, &turned, says),
                (false, false) => Through::Elsewhere,
            };
            let by = match through {
                Through::Elsewhere => None,
                Through::ServiceModel => managers.of((Changed::ServiceModel, None), now),
                Through::Mode => managers.of((Changed::Mode, None), now),
                Through::Parties => managers.of((Changed::Parties, None), now),
                // With the owner moves who answers, and what can be asked. Who took a field away stands nowhere.
                Through::Controls => managers.of((field, entry), now).or_else(|| managers.of((Changed::Owner, entry), now).filter(|_| owner_moved)),
            };
            found.entry((field, from, to, Some(through), by)).or_default().insert(&row.control);
        }
    }
    if found.is_empty() {
        return before.history.clone();
    }
    told(&before.history, found, new, now)
}

/// The new rows before what is left of the old ones.
fn told(before: &[Change], found: BTreeMap<Key, BTreeSet<&str>>, new: &OwnershipStatus, now: &Time) -> Vec<Change> {
    let again: BTreeSet<(Changed, &str)> = found.iter().flat_map(|((field, ..), controls)| controls.iter().map(|c| (*field, *c))).collect();
    let whole: BTreeSet<Changed> = found.iter().filter(|(_, controls)| controls.is_empty()).map(|((field, ..), _)| *field).collect();
    let there: BTreeSet<&str> = new.matrix.iter().map(|r| r.control.as_str()).collect();
    let rest = before.iter().filter_map(|change| {
        let controls: Vec<String> = change.controls.iter().filter(|c| there.contains(c.as_str()) && !again.contains(&(change.field, c.as_str()))).cloned().collect();
        let stays = if change.controls.is_empty() { !whole.contains(&change.field) } else { !controls.is_empty() };
        stays.then(|| Change { controls, ..change.clone() })
    });
    let news = found.into_iter().map(|((field, from, to, through, managed_fields), controls)| Change {
        field,
        controls: controls.into_iter().map(str::to_owned).collect(),
        from,
        to,
        through,
        seen: now.clone(),
        managed_fields,
    });
    news.chain(rest).collect()
}

fn values(row: &MatrixRow) -> [(Changed, Option<String>); 3] {
    let MatrixRow { control: _, owner, accountable, enforcement, verdict: _, asks: _, forbidden_since: _, allowed_since: _, judged_by: _ } = row;
    [(Changed::Owner, Some(owner.to_string())), (Changed::Accountable, accountable.clone()), (Changed::Enforcement, Some(enforcement.to_string()))]
}

fn says(entry: &crate::api::ownership::ControlEntry, field: Changed) -> bool {
    match field {
        Changed::Owner => entry.owner.is_some(),
        Changed::Accountable => entry.accountable.is_some(),
        Changed::Enforcement => entry.enforcement.is_some(),
        Changed::ServiceModel | Changed::Mode | Changed::Parties | Changed::Settings => false,
    }
}

/// By which field a control moved, when the Ownership was written anew: what turned for all, unless its own entry says otherwise.
fn through(field: Changed, turned: &BTreeSet<Changed>, says: impl Fn(Changed) -> bool) -> Through {
    let model = turned.contains(&Changed::ServiceModel) && !says(Changed::Owner);
    match field {
        Changed::Accountable if says(field) => Through::Controls,
        Changed::Accountable if turned.contains(&Changed::Parties) => Through::Parties,
        // The mode is a ceiling over what an entry says, too.
        Changed::Enforcement if turned.contains(&Changed::Mode) => Through::Mode,
        _ if model => Through::ServiceModel,
        _ => Through::Controls,
    }
}

fn parties(parties: &Parties) -> Option<String> {
    let Parties { provider, customer, mssp, third_parties } = parties;
    let one = |role: &str, name: &Option<String>| name.as_ref().map(|name| format!("{role}={name}"));
    let many = (!third_parties.is_empty()).then(|| format!("thirdParties={}", third_parties.join(",")));
    let all: Vec<String> = [one("provider", provider), one("customer", customer), one("mssp", mssp), many].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join(" "))
}

#[cfg(test)]
mod tests;
