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
    // The CRD's rules see nothing of metadata but the name, so this stands here.
    if ownership.metadata.owner_references.as_ref().is_some_and(|r| !r.is_empty()) {
        return Answer::deny(uid, 422, "metadata.ownerReferences: an Ownership takes none, so that it does not vanish with another object");
    }
    // An id that was stored by a newer version stays; only what this change brings is judged.
    let stored: Option<Ownership> = objects.old_object.and_then(|old| serde_json::from_str(old.get()).ok());
    let known = |id: &str| controls::find(id).is_some() || stored.as_ref().is_some_and(|o| o.spec.controls.iter().any(|e| e.control == id));
    match ownership.spec.controls.iter().enumerate().find(|(_, e)| !known(&e.control)) {
        Some((i, entry)) => Answer::deny(
            uid,
            422,
            format!("spec.controls[{i}].control: nobody knows \"{}\"; the nearest is {} (demarc explain lists them)", shown(&entry.control, 63), controls::nearest(&entry.control)),
        ),
        None => Answer::allow(uid),
    }
}
