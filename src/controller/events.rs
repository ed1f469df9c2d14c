//! Events on transitions of the conditions of Ownerships and Baselines: at most one a minute for each condition, however it flaps, and never without the last word.
//! What may be told, and when, is decided without a client; `Teller` writes it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use crate::{
    api::{API_VERSION, Declaration},
    model::text::shown,
    policy::enforcing::ENFORCING,
};

/// Between two Events about one condition of one object (H92).
const DISTANCE: SignedDuration = SignedDuration::from_mins(1);
/// The conditions whose transitions people want to hear of.
const TOLD: [&str; 5] = ["Ready", "Compliant", "ClusterCompliant", ENFORCING, "ReviewDue"];

/// What was told of one condition.
#[derive(Clone, Debug)]
struct Said {
    at: Timestamp,
    state: (String, String),
    /// It was another one since, and that was not told yet.
    owes: bool,
}

/// What to do about the conditions of one object.
#[derive(Debug, Default)]
struct Tidings {
    /// To be told now.
    now: Vec<Condition>,
    /// When there may be more to tell.
    then: Option<Timestamp>,
}

/// What was told of late, by object and condition.
#[derive(Debug, Default)]
struct Memory(HashMap<(String, String), Said>);

impl Memory {
    /// `wrote` says that `stands` was written just now, and `before` what it replaced.
    fn tidings(&mut self, uid: &str, before: &[Condition], wrote: bool, stands: &[Condition], now: Timestamp) -> Tidings {
        // What is long told, and owes nothing, is forgotten.
        self.0.retain(|_, said| said.owes || now < said.at + DISTANCE);
        let mut tidings = Tidings::default();
        for condition in stands.iter().filter(|c| TOLD.contains(&c.type_.as_str())) {
            let key = (uid.to_owned(), condition.type_.clone());
            let state = (condition.status.clone(), condition.reason.clone());
            let known = self.0.get(&key);
            let was = match known {
                Some(said) => Some(said.state.clone()),
                None if !wrote => continue,
                None => before.iter().find(|c| c.type_ == condition.type_).map(|c| (c.status.clone(), c.reason.clone())),
            };
            if !is_transition(&condition.type_, was.as_ref(), &state) {
                if let Some(said) = self.0.get_mut(&key) {
                    said.owes = false;
                }
                continue;
            }
            match known.map(|said| said.at + DISTANCE).filter(|due| now < *due) {
                Some(due) => {
                    tidings.then = [tidings.then, Some(due)].into_iter().flatten().min();
                    if let Some(said) = self.0.get_mut(&key) {
                        said.owes = true;
                    }
                }
                None => {
                    tidings.now.push(condition.clone());
                    self.0.insert(key, Said { at: now, state, owes: false });
                }
            }
        }
        tidings
    }
}

fn is_transition(kind: &str, was: Option<&(String, String)>, (status, reason): &(String, String)) -> bool {
    match was {
        // That nothing is due yet is no transition.
        None => reason != "NothingDue",
        // What is wrong with enforcement may become another thing, and what is due soon overdue.
        Some((old, why)) => old != status || why != reason && (kind == ENFORCING && status != "True" || kind == "ReviewDue" && status == "True"),
    }
}

/// Tells.
pub struct Teller {
    recorder: Recorder,
    memory: Mutex<Memory>,
}

impl Teller {
    /// `replica` stands in the Events.
    pub fn new(client: Client, replica: &str) -> Self {
        // One for all: it counts what repeats into one Event.
        let recorder = Recorder::new(client, Reporter { controller: "demarc".to_owned(), instance: Some(replica.to_owned()) });
        Self { recorder, memory: Mutex::default() }
    }

    /// Tells what became of the conditions of one of ours; when there may be more to tell. An Event that cannot be written is not tried again:
    /// the status says it all.
    pub async fn tell(&self, about: &ObjectReference, before: &[Condition], wrote: bool, stands: &[Condition], patience: Duration) -> Option<Timestamp> {
        let uid = about.uid.as_deref().unwrap_or_default();
        let tidings = self.memory.lock().unwrap_or_else(PoisonError::into_inner).tidings(uid, before, wrote, stands, Timestamp::now());
        for condition in &tidings.now {
            let event = Event {
                // Of all conditions this one alone is good news while it is False.
                type_: if (condition.status == "False") == (condition.type_ == "ReviewDue") { EventType::Normal } else { EventType::Warning },
                reason: condition.reason.clone(),
                note: Some(shown(&format!("{}: {}", condition.type_, condition.message), 500)),
                action: "Judge".to_owned(),
                secondary: None,
            };
            self.publish(&event, about, patience).await;
        }
        tidings.then
    }

    /// Writes one Event, or leaves it.
    pub async fn publish(&self, event: &Event, about: &ObjectReference, patience: Duration) {
        if let Ok(Err(error)) = tokio::time::timeout(patience, self.recorder.publish(event, about)).await {
            tracing::debug!(namespace = about.namespace, name = about.name, %error, "event not written");
        }
    }
}

/// One of ours, for an Event to be about.
pub fn about(declaration: Declaration, namespace: &str, name: &str, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(API_VERSION.to_owned()),
        kind: Some(declaration.kind().to_owned()),
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()).filter(|_| declaration.namespaced()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn conditions(states: &[(&str, &str, &str)]) -> Vec<Condition> {
        let condition = |(kind, status, reason): &(&str, &str, &str)| Condition {
            type_: (*kind).to_owned(),
            status: (*status).to_owned(),
            reason: (*reason).to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        };
        states.iter().map(condition).collect()
    }

    #[test]
    fn a_transition_is_told_once_and_the_last_word_of_a_flapping_one_a_minute_later() {
        let (holds, drifts) = (conditions(&[("Compliant", "True", "AllHold")]), conditions(&[("Compliant", "False", "Drift")]));
        let mut memory = Memory::default();
        let mut at = |second: i64, before: Option<&Vec<Condition>>, stands: &[Condition]| {
            let tidings = memory.tidings("o", before.map_or(&[], Vec::as_slice), before.is_some(), stands, Timestamp::from_second(second).unwrap());
            (tidings.now.len(), tidings.then.map(Timestamp::as_second))
        };
        assert_eq!(at(0, None, &holds), (0, None), "nothing was written");
        assert_eq!(at(0, Some(&holds), &drifts), (1, None));
        assert_eq!(at(1, None, &drifts), (0, None));
        assert_eq!(at(2, Some(&drifts), &holds), (0, Some(60)));
        assert_eq!(at(3, Some(&holds), &drifts), (0, None), "as it was told");
        assert_eq!(at(4, Some(&drifts), &holds), (0, Some(60)));
        assert_eq!(at(59, None, &holds), (0, Some(60)));
        assert_eq!(at(60, None, &holds), (1, None), "the last word");
        assert_eq!(at(200, Some(&holds), &drifts), (1, None));
        assert_eq!(at(500, None, &drifts), (0, None));
    }

    #[test]
    fn what_is_told_is_news() {
        let news = |before: &[Condition], states: &[(&str, &str, &str)]| {
            Memory::default().tidings("o", before, true, &conditions(states), Timestamp::UNIX_EPOCH).now.iter().map(|c| c.type_.clone()).collect::<Vec<_>>()
        };
        let first = [("Ready", "True", "Resolved"), ("Compliant", "Unknown", "NotVisible"), ("ReviewDue", "False", "NothingDue"), ("OwnersMoved", "True", "Redeclared")];
        assert_eq!(news(&[], &first), ["Ready", "Compliant"]);
        let off = conditions(&[("Enforcing", "False", "WebhookMissing")]);
        assert_eq!(news(&off, &[("Enforcing", "False", "FailingOpen")]), ["Enforcing"]);
        assert!(news(&off, &[("Enforcing", "False", "WebhookMissing")]).is_empty());
        let soon = conditions(&[("ReviewDue", "True", "DueSoon")]);
        assert_eq!(news(&[], &[("ReviewDue", "True", "DueSoon")]), ["ReviewDue"]);
        assert!(news(&soon, &[("ReviewDue", "True", "DueSoon")]).is_empty());
        assert_eq!(news(&soon, &[("ReviewDue", "True", "Overdue")]), ["ReviewDue"], "once that it is due soon, and once that it is overdue");
        let on = conditions(&[("Enforcing", "True", "Proven"), ("Compliant", "False", "Drift")]);
        assert!(news(&on, &[("Enforcing", "True", "Enrolled"), ("Compliant", "False", "Other")]).is_empty());
    }
}
