//! Envelope + snapshot → answer. Total: every path ends in an answer with the request's uid, and only a finding, or something that cannot be
//! read, refuses.
//!
//! ```text
//! filter → subject → promise of the namespace → evaluate, and whoever asks → ratchet (what stood before, what a parent has) → answer
//! ```

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    adopted::{Adopted, Siblings},
    denial::{self, Cause},
    probe,
    ratchet::{Claim, Consequence, Grace, consequence, stood_before},
    review::Request,
};
use crate::{
    api::ownership::Enforcement,
    controls::{CATALOG, expression::Budget},
    model::{
        Sameness,
        facts::Namespace,
        subject::{Kind, Subject},
        text::shown,
    },
    policy::{
        book::{Book, Promise},
        matrix::Matrix,
        objects::{Objects, Record, Room},
        owners::Known,
        tally::{self, Tally},
        verdict::{Door, Evaluation, Judged, evaluate, evaluate_requester, evaluate_within},
        waiver::waived,
    },
};

/// What is answered. Built denied; `allow` is the only way to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The request's.
    pub uid: String,
    /// Whether the request may go on.
    pub allowed: bool,
    /// HTTP-like status of a refusal, always 4xx.
    pub code: u16,
    /// The text of a refusal.
    pub message: String,
    /// The same as data.
    pub causes: Vec<Cause>,
    /// Shown by kubectl.
    pub warnings: Vec<String>,
}

impl Answer {
    /// A refusal.
    pub fn deny(uid: &str, code: u16, message: impl Into<String>) -> Self {
        Self { uid: uid.to_owned(), allowed: false, code, message: message.into(), causes: Vec::new(), warnings: Vec::new() }
    }

    /// Lets the request go on.
    pub fn allow(uid: &str) -> Self {
        Self { uid: uid.to_owned(), allowed: true, code: 200, message: String::new(), causes: Vec::new(), warnings: Vec::new() }
    }

    /// As the API server reads it.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Review<'a> {
            api_version: &'static str,
            kind: &'static str,
            response: Response<'a>,
        }
        #[derive(Serialize)]
        struct Response<'a> {
            uid: &'a str,
            allowed: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            status: Option<Refusal<'a>>,
            #[serde(skip_serializing_if = "<[String]>::is_empty")]
            warnings: &'a [String],
        }
        #[derive(Serialize)]
        struct Refusal<'a> {
            status: &'static str,
            code: u16,
            reason: &'static str,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            details: Option<Details<'a>>,
        }
        #[derive(Serialize)]
        struct Details<'a> {
            causes: &'a [Cause],
        }
        let reason = match self.code {
            400 => "BadRequest",
            409 => "Conflict",
            422 => "Invalid",
            _ => "Forbidden",
        };
        let details = (!self.causes.is_empty()).then_some(Details { causes: &self.causes });
        let status = (!self.allowed).then_some(Refusal { status: "Failure", code: self.code, reason, message: &self.message, details });
        let response = Response { uid: &self.uid, allowed: self.allowed, status, warnings: &self.warnings };
        // Strings and numbers always serialize; were they not to, an empty body fails the call, which under Fail refuses.
        let mut json = Vec::with_capacity(256);
        let written = serde_json::to_writer(&mut json, &Review { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response });
        written.map_or_else(|_| Vec::new(), |()| json)
    }
}

/// Decides on a workload.
///
/// `trusted` are the usernames of controllers whose claim to make a child of a known parent is believed; `tally` counts what follows.
pub fn decide(request: &Request<'_>, book: &Book, objects: &Objects, trusted: &[String], tally: &Tally, now: Timestamp) -> Answer {
    let uid = &*request.uid;
    match &*request.operation {
        "CREATE" | "UPDATE" => {}
        "DELETE" | "CONNECT" => return Answer::allow(uid),
        other => return Answer::deny(uid, 400, format!("operation {} is not one that this webhook answers", shown(other, 40))),
    }
    // The rules name the subresources that can change a pod; whatever else reaches us by a wider rule cannot.
    if !matches!(&*request.sub_resource, "" | "ephemeralcontainers" | "resize") {
        return Answer::allow(uid);
    }
    let Some(kind) = Kind::find(&request.kind.group, &request.kind.kind) else { return Answer::allow(uid) };
    let namespace_name = &*request.namespace;
    let promise = book.promises.get(namespace_name);
    if probe::is_probe(kind, request) {
        return probe::refuse(uid, promise);
    }
    let matrix = match promise {
        // Enrolled and not declared: this replica has not heard of the Ownership yet, or the label outlives it for a moment. Which of the two
        // cannot be told from here, and what is not known is not admitted (H59).
        None => {
            let namespace = shown(namespace_name, 63);
            return Answer::deny(uid, 409, format!("namespace {namespace} is enrolled, and its declaration is not known here yet or no more: try again in a moment"));
        }
        Some(Promise::Declared(matrix) | Promise::Broken { last_good: Some(matrix), .. }) => matrix,
        Some(Promise::Broken { last_good: None, .. }) => {
            return Answer::deny(
                uid,
                403,
                format!("ownership {0}/default cannot be read, so nothing new is admitted to {0}: kubectl -n {0} describe ownership default", shown(namespace_name, 63)),
            );
        }
    };
    let Some(namespace) = book.namespaces.get(namespace_name) else {
        return Answer::deny(uid, 409, format!("namespace {} is not known here yet: try again in a moment", shown(namespace_name, 63)));
    };
    let Some(subject) = &request.subject else { return Answer::deny(uid, 400, "malformed: no object") };
    let room = objects.room(namespace_name);
    let parent = believed_parent(subject, request, objects, room, matrix, trusted);
    let owned = matches!(parent, Parent::Known(_) | Parent::Unknown);
    let evaluation = evaluate(subject, namespace, matrix, &book.facts, owned, Door::Webhook(&|| request.whole()), now)
        .and(evaluate_requester(matrix, &request.username, || request.user()), matrix);
    if evaluation.violations().next().is_none() {
        return Answer::allow(uid);
    }
    // What stood before matters to a denial alone; what merely warns does not cost a second reading.
    let may_deny = evaluation.violations().any(|j| matrix.entries[j.control].enforcement == Enforcement::Deny);
    let mut stood = match may_deny.then(|| stood_before(request, kind, matrix, namespace, book, owned, now)).transpose() {
        Ok(stood) => stood.flatten(),
        Err(answer) => return answer,
    };
    let siblings = match &parent {
        Parent::Adopted(adopted) if may_deny && stood.is_none() => Some(beside(adopted, subject, &evaluation, room, matrix, (namespace, book), now)),
        Parent::None | Parent::Unknown | Parent::Known(_) | Parent::Adopted(_) => None,
    };
    let claim = if may_deny && Adopted::is_claimed(subject, request, room, matrix) { Claim::of(subject, stood.as_mut()) } else { Claim::None };
    let grace = Grace { root: parent.stands_since(room, matrix).filter(|_| claim != Claim::New), siblings: siblings.as_ref(), stood: stood.as_ref() };
    let (mut denied, mut refused, mut warnings) = (Vec::new(), false, Vec::new());
    let count = |judged: &Judged, consequence| {
        let entry = &matrix.entries[judged.control];
        tally.decided(judged.control, entry.owner, entry.enforcement, consequence);
    };
    for judged in evaluation.violations() {
        let consequence = consequence(judged, matrix, &grace, now);
        if !matches!(consequence, Consequence::Nothing) {
            // Else what a Waiver lets in for a while would stay by an owner that is older than what is forbidden.
            let top = || if let Parent::Known(top) = &parent { top.subject().ok() } else { None };
            if !claim.bars(judged, matrix, stood.as_ref())
                && let Some(waiver) = waived(&matrix.waivers, judged.control, subject, top, now)
            {
                warnings.push(denial::waived(matrix, judged, waiver));
                count(judged, tally::Consequence::Waived);
                continue;
            }
        }
        match consequence {
            Consequence::Deny { later } => {
                count(judged, tally::Consequence::Denied);
                denied.push(judged);
                refused |= !later;
            }
            Consequence::Warn { grandfathered } => {
                count(judged, if grandfathered { tally::Consequence::Spared } else { tally::Consequence::Warned });
                warnings.push(denial::warn(subject, matrix, judged, grandfathered.then(|| grace.days(judged, matrix, now))));
            }
            Consequence::Nothing => count(judged, tally::Consequence::Passed),
        }
    }
    warnings.dedup();
    if claim != Claim::None && !denied.is_empty() {
        warnings.insert(0, denial::CLAIMED.to_owned());
    }
    warnings.truncate(denial::MAX_WARNINGS);
    let mut answer = if denied.is_empty() {
        Answer::allow(uid)
    } else if parent.comes() {
        // A child arrives some milliseconds after its parent; its controller tries again.
        Answer::deny(uid, 409, format!("the controller of {} is not known here yet: try again in a moment", subject.display_name()))
    } else if !refused {
        // The leader records it within moments of a new declaration.
        let id = matrix.row(denied[0].control).id;
        Answer::deny(uid, 409, format!("since when {id} is denied in {} is not recorded yet: try again in a moment", shown(namespace_name, 63)))
    } else {
        let (text, causes) = denial::deny(subject, namespace_name, matrix, &denied);
        Answer { causes, ..Answer::deny(uid, 403, text) }
    };
    answer.warnings = warnings;
    answer
}

/// What stands of the same sort as what is made for an adopted owner.
fn beside(
    adopted: &Adopted<'_>,
    subject: &Subject<'_>,
    evaluation: &Evaluation,
    room: Option<&Room>,
    matrix: &Matrix,
    (namespace, book): (&Namespace, &Book),
    now: Timestamp,
) -> Siblings {
    let enough = |found: &HashSet<Sameness>| evaluation.violations().all(|j| found.contains(&j.sameness(matrix)));
    // The records are held meanwhile, so all siblings together may cost what one object may.
    let mut budget = Budget::default();
    adopted.siblings(subject, room, enough, |sibling, record| {
        let judged = evaluate_within(&mut budget, sibling, namespace, matrix, &book.facts, (false, Door::Webhook(&|| record.whole())), now);
        // One that costs too much to judge is no proof that it violates the same.
        let counts = |j: &&Judged| (j.control < CATALOG.len() || !budget.is_spent()) && adopted.tells(sibling, record, j, matrix, now);
        judged.violations().filter(counts).map(|j| j.sameness(matrix)).collect()
    })
}

/// Whose child an object is, as far as that can be believed.
enum Parent<'o> {
    /// Nobody's, or somebody's who is not believed.
    None,
    /// Made by a trusted controller for a parent that has no record yet.
    Unknown,
    /// The root above it.
    Known(&'o Record),
    /// A custom resource for which a third-party controller makes it, and which is not judged itself.
    Adopted(Adopted<'o>),
}

impl Parent<'_> {
    /// Since when what is above it stands.
    fn stands_since(&self, records: Option<&Room>, matrix: &Matrix) -> Option<Timestamp> {
        match self {
            Self::None | Self::Unknown => None,
            Self::Known(root) => records.and_then(|records| records.stands_since(root, &matrix.controllers)),
            Self::Adopted(adopted) => adopted.stands_since(),
        }
    }

    /// It is named, and not known yet.
    const fn comes(&self) -> bool {
        match self {
            Self::Unknown => true,
            Self::Adopted(adopted) => matches!(adopted.owner, Known::NotYet),
            Self::None | Self::Known(_) => false,
        }
    }
}

fn believed_parent<'o>(subject: &'o Subject<'_>, request: &Request<'_>, objects: &Objects, room: Option<&'o Room>, matrix: &Matrix, trusted: &[String]) -> Parent<'o> {
    let controller = subject.controller().map(|r| &*r.uid);
    let parent = room.and_then(|room| Some(room.root(room.parent(subject.kind, &subject.meta.name, controller)?.1)));
    if &*request.operation == "UPDATE" {
        // The reference of an object that exists may be anybody's words, and of the right kind it says nothing that its own pods would not.
        return match parent {
            Some(known) => Parent::Known(known),
            None => Adopted::of(subject, room, matrix).map_or(Parent::None, Parent::Adopted),
        };
    }
    // Only a controller makes a child; and only its own word makes a parent.
    if !trusted.iter().any(|t| **t == *request.username) {
        return Adopted::by(subject, request, objects, room, matrix).map_or(Parent::None, Parent::Adopted);
    }
    match parent {
        Some(known) => Parent::Known(known),
        // A claim of a set names no owner, and neither does what a controller makes for itself.
        None if controller.is_none() && subject.kind != Kind::PersistentVolumeClaim => Parent::None,
        None => Parent::Unknown,
    }
}
