//! The second webhook entry: our own kinds as they are declared. Refuses an Ownership that names a control nobody knows, with the nearest one.
//! DELETE is never refused: a refused custom resource would leave its namespace Terminating.

use super::{answer::Answer, review::Request};
use crate::{api::ownership::Ownership, controls, model::text::shown};

/// Decides on a declaration.
pub fn decide(request: &Request<'_>) -> Answer {
    let uid = &*request.uid;
    match &*request.operation {
        "CREATE" | "UPDATE" => {}
        "DELETE" | "CONNECT" => return Answer::allow(uid),
        other => return Answer::deny(uid, 400, format!("operation {} is not one that this webhook answers", shown(other, 40))),
    }
    if &*request.kind.kind != "Ownership" || &*request.kind.group != crate::api::GROUP {
        return Answer::deny(uid, 400, format!("{} is not a declaration", shown(&request.kind.kind, 63)));
    }
    let objects = request.objects();
    let Some(object) = objects.object else { return Answer::deny(uid, 400, "malformed: no object") };
    let ownership: Ownership = match serde_json::from_str(object.get()) {
        Ok(ownership) => ownership,
        Err(error) => return Answer::deny(uid, 422, shown(&format!("malformed ownership: {error}"), 300)),
    };
    let stored: Option<Ownership> = objects.old_object.and_then(|old| serde_json::from_str(old.get()).ok());
    match objections(&ownership, stored.as_ref()).into_iter().next() {
        Some(Objection { path, what }) => Answer::deny(uid, 422, format!("{path}: {what}")),
        None => Answer::allow(uid),
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

/// All that speaks against a declaration that the CRD's schema and rules let through; `demarc check` asks the same.
pub fn objections(ownership: &Ownership, stored: Option<&Ownership>) -> Vec<Objection> {
    let mut found = Vec::new();
    // The CRD's rules see nothing of metadata but the name, so this stands here.
    if ownership.metadata.owner_references.as_ref().is_some_and(|r| !r.is_empty()) {
        found.push(Objection { path: "metadata.ownerReferences".to_owned(), what: "an Ownership takes none, so that it does not vanish with another object".to_owned() });
    }
    // An id that was stored by a newer version stays; only what this change brings is judged.
    let known = |id: &str| controls::find(id).is_some() || stored.is_some_and(|o| o.spec.controls.iter().any(|e| e.control == id));
    found.extend(ownership.spec.controls.iter().enumerate().filter(|(_, e)| !known(&e.control)).map(|(i, entry)| Objection {
        path: format!("spec.controls[{i}].control"),
        what: format!("nobody knows \"{}\"; the nearest is {} (demarc explain lists them)", shown(&entry.control, 63), controls::nearest(&entry.control)),
    }));
    found
}
