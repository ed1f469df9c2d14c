//! The second webhook entry: our own kinds as they are declared. Refuses what the definitions let through and what could not be meant, with what
//! would be right. DELETE is never refused: a refused custom resource would leave its namespace Terminating.

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;

use super::{answer::Answer, review::Request};
use crate::{
    api::{
        Declaration, GROUP,
        control::{Control, ControlSpec},
        ownership::Ownership,
        waiver::Waiver,
    },
    controls::{self, custom},
    model::text::shown,
    policy::{
        book::{Book, Promise},
        floor::Floor,
        waiver::{MAX_DAYS, known_kind},
    },
};

/// Decides on a declaration.
pub fn decide(request: &Request<'_>, book: &Book, now: Timestamp) -> Answer {
    let uid = &*request.uid;
    match &*request.operation {
        "CREATE" | "UPDATE" => {}
        "DELETE" | "CONNECT" => return Answer::allow(uid),
        other => return Answer::deny(uid, 400, format!("operation {} is not one that this webhook answers", shown(other, 40))),
    }
    let found = match Declaration::find(&request.kind.kind).filter(|_| &*request.kind.group == GROUP) {
        None => return Answer::deny(uid, 400, format!("{} is not a declaration", shown(&request.kind.kind, 63))),
        Some(Declaration::Ownership) => read::<Ownership>(request).map(|(new, stored)| {
            let floor = book.floors.get(&*request.namespace).map(|floor| &**floor);
            objections(&new, stored.as_ref(), floor, &|id| book.controls.contains_key(id))
        }),
        Some(Declaration::Waiver) => read::<Waiver>(request).map(|(new, stored)| {
            let asked = Asked { user: &request.username, days: waiver_days(book, &request.namespace), now };
            waiver_objections(&new, stored.as_ref(), Some(&asked), &|id| book.controls.contains_key(id))
        }),
        // A policy in the API server lets nobody but Demarc write a built-in one, and whatever says that it is one is never run.
        Some(Declaration::Control) => read::<Control>(request)
            .map(|(new, _)| if new.spec.built_in() { Vec::new() } else { objections_to_control(new.metadata.name.as_deref().unwrap_or_default(), &new.spec) }),
        Some(Declaration::Baseline | Declaration::Party | Declaration::Roster) => return Answer::allow(uid),
    };
    match found.map(|objections| objections.into_iter().next()) {
        Err(refusal) => refusal,
        Ok(Some(Objection { path, what })) => Answer::deny(uid, 422, format!("{path}: {what}")),
        Ok(None) => Answer::allow(uid),
    }
}

/// The object and what is stored of it; what is stored and cannot be read is as good as absent.
fn read<K: DeserializeOwned>(request: &Request<'_>) -> Result<(K, Option<K>), Answer> {
    let uid = &*request.uid;
    let objects = request.objects();
    let Some(object) = objects.object else { return Err(Answer::deny(uid, 400, "malformed: no object")) };
    match serde_json::from_str(object.get()) {
        Ok(new) => Ok((new, objects.old_object.and_then(|old| serde_json::from_str(old.get()).ok()))),
        Err(error) => Err(Answer::deny(uid, 422, shown(&format!("malformed {}: {error}", request.kind.kind.to_lowercase()), 300))),
    }
}

/// One reason to refuse a declaration.
#[derive(Debug, PartialEq, Eq)]
pub struct Objection {
    /// `spec.controls[0].control`.
    pub path: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl Objection {
    fn new(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self { path: path.into(), what: what.into() }
    }
}

fn unknown(path: impl Into<String>, id: &str) -> Objection {
    Objection::new(path, format!("nobody knows \"{}\"; the nearest is {} (demarc explain lists them)", shown(id, 63), controls::nearest(id)))
}

/// All that speaks against an Ownership that the CRD's schema and rules let through; `demarc check` asks the same.
pub fn objections(ownership: &Ownership, stored: Option<&Ownership>, floor: Option<&Floor>, custom: &dyn Fn(&str) -> bool) -> Vec<Objection> {
    let mut found = Vec::new();
    // The CRD's rules see nothing of metadata but the name, so this stands here.
    if ownership.metadata.owner_references.as_ref().is_some_and(|r| !r.is_empty()) {
        found.push(Objection::new("metadata.ownerReferences", "an Ownership takes none, so that it does not vanish with another object"));
    }
    // An id that was stored by a newer version stays; only what this change brings is judged.
    let known = |id: &str| controls::find(id).is_some() || custom(id) || stored.is_some_and(|o| o.spec.controls.iter().any(|e| e.control == id));
    found.extend(ownership.spec.controls.iter().enumerate().filter(|(_, e)| !known(&e.control)).map(|(i, entry)| unknown(format!("spec.controls[{i}].control"), &entry.control)));
    // What was below the floor before there was one may stay while it is mended elsewhere: the floor holds anyhow.
    if let Some(floor) = floor {
        let before: Vec<String> = stored.map(|s| floor.under(s).below.into_iter().map(|b| b.what).collect()).unwrap_or_default();
        found.extend(floor.under(ownership).below.into_iter().filter(|b| !before.contains(&b.what)).map(|b| Objection::new(b.path, b.what)));
    }
    found
}

/// How a Waiver was asked for.
struct Asked<'a> {
    user: &'a str,
    days: u16,
    now: Timestamp,
}

fn waiver_days(book: &Book, namespace: &str) -> u16 {
    match book.promises.get(namespace) {
        Some(Promise::Declared(matrix) | Promise::Broken { last_good: Some(matrix), .. }) => matrix.waiver_days,
        Some(Promise::Broken { last_good: None, .. }) | None => MAX_DAYS,
    }
}

/// All that speaks against a Waiver in a file.
pub fn objections_to_waiver(waiver: &Waiver, custom: &dyn Fn(&str) -> bool) -> Vec<Objection> {
    waiver_objections(waiver, None, None, custom)
}

fn waiver_objections(waiver: &Waiver, stored: Option<&Waiver>, asked: Option<&Asked<'_>>, custom: &dyn Fn(&str) -> bool) -> Vec<Objection> {
    let spec = &waiver.spec;
    let mut found = Vec::new();
    if controls::find(&spec.control).is_none() && !custom(&spec.control) && stored.is_none_or(|s| s.spec.control != spec.control) {
        found.push(unknown("spec.control", &spec.control));
    }
    if let Some(kind) = spec.target.kind.as_deref().filter(|kind| !known_kind(kind)) {
        found.push(Objection::new("spec.target.kind", format!("\"{}\" is no kind that controls judge; write one such as Deployment", shown(kind, 63))));
    }
    let Some(asked) = asked else { return found };
    if stored.is_none() && spec.requested_by != asked.user {
        found.push(Objection::new("spec.requestedBy", format!("whoever creates a Waiver asks for it: write \"{}\"", shown(asked.user, 253))));
    }
    if stored.is_none_or(|s| s.spec.expires != spec.expires) {
        // A minute for the clocks of two machines.
        let made = waiver.metadata.creation_timestamp.as_ref().map_or(asked.now, |t| t.0);
        let latest = made.checked_add(SignedDuration::from_hours(24 * i64::from(asked.days)) + SignedDuration::from_mins(1)).unwrap_or(Timestamp::MAX);
        if spec.expires.0 <= asked.now {
            found.push(Objection::new("spec.expires", "is in the past"));
        } else if spec.expires.0 > latest {
            let what = format!("a Waiver here ends at most {} days after it was made, by {} at the latest; ask for a new one then", asked.days, latest.strftime("%FT%TZ"));
            found.push(Objection::new("spec.expires", what));
        }
    }
    found
}

/// All that speaks against a Control; `demarc check` asks the same.
pub fn objections_to_control(name: &str, spec: &ControlSpec) -> Vec<Objection> {
    custom::objections(name, spec).into_iter().map(|(path, what)| Objection::new(path, what)).collect()
}
