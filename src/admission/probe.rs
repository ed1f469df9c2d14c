//! The answer to the leader's question whether the API server asks at all: always a refusal, whatever the namespace's matrix says.
//! Nobody gains by asking the same, so nothing tells the leader from others.

use super::{answer::Answer, denial::Cause, review::Request};
use crate::{
    model::{proof, subject::Kind},
    policy::book::Promise,
};

/// Whether this is the question.
pub fn is_probe(kind: Kind, request: &Request<'_>) -> bool {
    kind == Kind::PodTemplate && request.subject.as_ref().is_some_and(|s| &*s.meta.name == proof::NAME) && &*request.operation == "CREATE"
}

/// The refusal; it names the generation by which this replica would decide, if any.
pub fn refuse(uid: &str, promise: Option<&Promise>) -> Answer {
    let message = "a PodTemplate of this name is how Demarc proves that it is asked: it is always refused";
    let mut causes = vec![Cause::note(proof::CAUSE, message)];
    causes.extend(promise.and_then(Promise::generation).map(|generation| Cause::note(proof::GENERATION, &generation.to_string())));
    Answer { causes, ..Answer::deny(uid, 403, format!("{}: {message}", proof::NAME)) }
}
