//! The catalog as Control objects, so that `kubectl get controls` answers: the lease holder publishes what this binary knows, and takes away what it
//! does not know any more. One that somebody changed or deleted is put right, less and less often where they go on; nothing is written otherwise.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::{
    authority::{LAST_PAUSE, Repairs},
    index::Index,
    install::{MANAGED_BY, MANAGER},
    lease::{Mandate, leading},
    writes::WriteError,
};
use crate::{
    api::{
        API_VERSION,
        control::{CheckedBy, Control, ControlSpec, Owners, Reference},
    },
    controls::{self, CATALOG},
};

const CALL: Duration = Duration::from_secs(10);
/// How often what is known is looked at: some dozens of words in memory. A write has come back by the watch by then.
const EVERY: Duration = Duration::from_secs(1);

/// How a stored Control stands to the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// As this binary publishes it.
    Current,
    /// Built-in, and not as this binary publishes it.
    Changed,
    /// Built-in, and not of this binary's catalog: an older one's, or a newer one's.
    Gone {
        /// Its uid.
        uid: String,
    },
    /// Somebody's own, by a name that the catalog has by now. It stays, and judges nothing.
    Foreign,
}

/// How a stored object stands to the catalog; `None` where it has nothing to do with it.
pub fn found(name: &str, object: &DynamicObject) -> Option<Found> {
    let row = controls::find(name).map(|i| &CATALOG[i]);
    if object.data["spec"]["check"] != "built-in" {
        return row.map(|_| Found::Foreign);
    }
    let Some(row) = row else { return Some(Found::Gone { uid: object.metadata.uid.clone().unwrap_or_default() }) };
    let labelled = object.metadata.labels.as_ref().is_some_and(|labels| labels.get(MANAGED_BY).is_some_and(|by| by == MANAGER));
    let said = serde_json::from_value::<ControlSpec>(object.data["spec"].clone());
    Some(if labelled && said.is_ok_and(|said| said == spec(row)) { Found::Current } else { Found::Changed })
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A row of the catalog, by its position.
    Apply(usize),
    /// One that the catalog does not have.
    Remove {
        /// Its name.
        name: String,
        /// Its uid: another one by its name stays.
        uid: String,
    },
}

impl Action {
    fn name(&self) -> &str {
        match self {
            Self::Apply(row) => CATALOG[*row].id,
            Self::Remove { name, .. } => name,
        }
    }
}

/// What is to be done about what stands there.
pub fn plan(stored: &BTreeMap<String, Found>) -> Vec<Action> {
    let missing = |id: &str| match stored.get(id) {
        None | Some(Found::Changed) => true,
        Some(Found::Current | Found::Gone { .. } | Found::Foreign) => false,
    };
    let gone = stored.iter().filter_map(|(name, found)| match found {
        Found::Gone { uid } => Some(Action::Remove { name: name.clone(), uid: uid.clone() }),
        Found::Current | Found::Changed | Found::Foreign => None,
    });
    CATALOG.iter().enumerate().filter(|(_, c)| missing(c.id)).map(|(row, _)| Action::Apply(row)).chain(gone).collect()
}

/// A row of the catalog as it is declared.
pub fn spec(row: &controls::Control) -> ControlSpec {
    let [iaas, paas, saas] = row.owners;
    ControlSpec {
        title: row.title.to_owned(),
        check: CheckedBy::BuiltIn,
        group: row.group.to_owned(),
        severity: row.severity,
        owners: Owners { iaas, paas, saas },
        enforcement: row.enforcement,
        kinds: row.judges().into_iter().map(str::to_owned).collect(),
        validations: Vec::new(),
        why: Some(row.why.to_owned()),
        checked: Some(row.checked.to_owned()),
        unknown: Some(row.unknown.to_owned()),
        remediation: Some(row.fix.to_owned()),
        references: row.references.iter().map(|(framework, ids)| Reference { framework: (*framework).to_owned(), ids: ids.iter().map(|id| (*id).to_owned()).collect() }).collect(),
    }
}

/// The whole object, with nothing in it that is not ours.
pub fn object(row: &controls::Control) -> Value {
    json!({"apiVersion": API_VERSION, "kind": "Control", "metadata": {"name": row.id, "labels": {MANAGED_BY: MANAGER}}, "spec": spec(row)})
}

/// Keeps the catalog published.
pub struct Publisher {
    /// The index.
    pub index: Arc<Index>,
    /// The API server.
    pub client: Client,
    /// Whether this replica may write now.
    pub mandate: Mandate,
}

/// What one replica remembers between two turns.
#[derive(Debug, Default)]
struct Memory {
    /// By name: what was done about it, and when it last was not as it should be.
    repairs: HashMap<String, (Repairs, Option<Instant>)>,
    /// Turns in a row in which the API server took nothing, and when the next is worth trying.
    failures: u32,
    next: Option<Instant>,
    told: bool,
}

impl Memory {
    /// What of this is due. Who has kept the peace for long enough begins anew.
    fn due(&mut self, actions: Vec<Action>, now: Instant) -> Vec<Action> {
        self.repairs.retain(|_, (_, astray)| astray.is_none_or(|then| now.duration_since(then) < LAST_PAUSE));
        if self.next.is_some_and(|next| now < next) {
            return Vec::new();
        }
        let mut due = actions;
        due.retain(|action| {
            let (repairs, astray) = self.repairs.entry(action.name().to_owned()).or_default();
            *astray = Some(now);
            repairs.due("", now)
        });
        due
    }
}

impl Publisher {
    /// For ever.
    pub async fn run(self) {
        let mut memory = Memory::default();
        loop {
            sleep(EVERY).await;
            // From lists that are not full yet everything would seem to be missing.
            if leading(&self.mandate) && self.index.shared.ready() {
                self.turn(&mut memory).await;
            }
        }
    }

    async fn turn(&self, memory: &mut Memory) {
        for action in memory.due(self.index.unpublished(), Instant::now()) {
            let done = self.carry_out(&action).await;
            let (now, name) = (Instant::now(), action.name());
            let refused = match &done {
                Err(WriteError::Api(kube::Error::Api(status))) => (400..500).contains(&status.code),
                Ok(()) | Err(WriteError::Api(_) | WriteError::Unled | WriteError::Silent(_)) => false,
            };
            if let Err(error) = &done {
                if std::mem::replace(&mut memory.told, true) {
                    tracing::debug!(control = name, %error, "the catalog cannot be published");
                } else {
                    tracing::warn!(control = name, %error, "the catalog cannot be published, trying again");
                }
                // The webhook may not be reached yet: what holds for one holds for all.
                if !refused {
                    memory.failures = memory.failures.saturating_add(1);
                    memory.next = Some(now + EVERY.saturating_mul(1 << memory.failures.min(6)));
                    return;
                }
            }
            let repairs = &mut memory.repairs.entry(name.to_owned()).or_default().0;
            let pause = repairs.done(now);
            if done.is_ok() {
                (memory.failures, memory.next, memory.told) = (0, None, false);
                if repairs.contested() {
                    tracing::warn!(control = name, "somebody else keeps on changing what is published of the catalog; put right once more, and not again within {pause:?}");
                }
            }
        }
    }

    async fn carry_out(&self, action: &Action) -> Result<(), WriteError> {
        if !leading(&self.mandate) {
            return Err(WriteError::Unled);
        }
        // A write ends with the mandate: one that outlasted it could cross with the next holder's.
        let left = self.mandate.borrow().map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        let api: Api<Control> = Api::all(self.client.clone());
        match action {
            Action::Apply(row) => {
                let params = PatchParams::apply(MANAGER).force();
                timeout(left.min(CALL), api.patch(CATALOG[*row].id, &params, &Patch::Apply(object(&CATALOG[*row])))).await??;
            }
            Action::Remove { name, uid } => {
                let only = DeleteParams { preconditions: Some(Preconditions { uid: Some(uid.clone()), resource_version: None }), ..DeleteParams::default() };
                match timeout(left.min(CALL), api.delete(name, &only)).await? {
                    Ok(_) => tracing::info!(control = name, "this version's catalog does not have it: removed"),
                    Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(object: Value) -> DynamicObject {
        let mut object = object;
        object["metadata"]["uid"] = json!("u");
        serde_json::from_value(object).unwrap()
    }

    /// One that the API server does not take would be tried for ever, and never stand.
    #[test]
    fn what_each_row_judges_is_a_word_that_the_definition_takes() {
        for row in CATALOG {
            let kinds = spec(row).kinds;
            assert!(
                !kinds.is_empty() && kinds.iter().all(|k| k.starts_with(|c: char| c.is_ascii_uppercase()) && k.bytes().all(|b| b.is_ascii_alphabetic())),
                "{}: {kinds:?}",
                row.id
            );
        }
    }

    #[test]
    fn what_stands_is_held_against_the_catalog() {
        type Change = fn(&mut Value);
        let row = &CATALOG[0];
        let gone = Found::Gone { uid: "u".into() };
        let cases: &[(&str, &str, Change, Option<Found>)] = &[
            ("as it was published", row.id, |_| {}, Some(Found::Current)),
            ("with a label of somebody else's", row.id, |o| o["metadata"]["labels"]["team"] = json!("a"), Some(Found::Current)),
            ("other words", row.id, |o| o["spec"]["why"] = json!("because"), Some(Found::Changed)),
            ("a word less", row.id, |o| drop(o["spec"].as_object_mut().unwrap().remove("unknown")), Some(Found::Changed)),
            ("without the label", row.id, |o| drop(o["metadata"].as_object_mut().unwrap().remove("labels")), Some(Found::Changed)),
            ("not to be read", row.id, |o| o["spec"]["severity"] = json!({}), Some(Found::Changed)),
            ("an older version's", "no-longer", |_| {}, Some(gone.clone())),
            ("of a version to come", "not-yet", |o| o["spec"]["severity"] = json!("dreadful"), Some(gone)),
            ("somebody's own", "two-replicas", |o| o["spec"]["check"] = json!("cel"), None),
            ("somebody's own that says nothing of it", "two-replicas", |o| drop(o["spec"].as_object_mut().unwrap().remove("check")), None),
            ("somebody's own by that name", row.id, |o| o["spec"]["check"] = json!("cel"), Some(Found::Foreign)),
            ("nonsense", "two-replicas", |o| o["spec"] = json!([1]), None),
        ];
        for (what, name, change, expected) in cases {
            let mut object = object(row);
            change(&mut object);
            assert_eq!(found(name, &stored(object)), *expected, "{what}");
        }
    }

    #[test]
    fn what_is_published_is_no_control_of_ones_own() {
        use crate::controller::{index::Source, watch::Change};
        let index = Index::default();
        let take = |object: Value| index.take(Source::Declared(crate::api::Declaration::Control), &Change::Applied(Box::new(stored(object))));
        let own = || {
            index.settle();
            index.shared.book.load().controls.keys().cloned().collect::<Vec<_>>()
        };
        for row in CATALOG {
            take(object(row));
        }
        assert_eq!((own(), index.unpublished()), (vec![], vec![]));
        let mut mine = object(&CATALOG[0]);
        mine["spec"]["check"] = json!("cel");
        take(mine);
        assert_eq!((own(), index.unpublished()), (vec![CATALOG[0].id.to_owned()], vec![]), "told as one that judges nothing");
        take(object(&CATALOG[0]));
        assert_eq!((own(), index.unpublished()), (vec![], vec![]));
    }

    #[test]
    fn only_what_is_not_as_it_should_be_is_written() {
        let current: BTreeMap<String, Found> = CATALOG.iter().map(|c| (c.id.to_owned(), Found::Current)).collect();
        assert_eq!(plan(&current), []);
        assert_eq!(plan(&BTreeMap::new()).len(), CATALOG.len());
        let with = |name: &str, found: Found| plan(&current.clone().into_iter().chain([(name.to_owned(), found)]).collect());
        assert_eq!(with(CATALOG[3].id, Found::Changed), [Action::Apply(3)]);
        assert_eq!(with(CATALOG[3].id, Found::Foreign), [], "what is somebody's own stays theirs");
        assert_eq!(with("no-longer", Found::Gone { uid: "u".into() }), [Action::Remove { name: "no-longer".into(), uid: "u".into() }]);
    }

    #[test]
    fn whoever_goes_on_changing_it_is_not_fought() {
        let (start, mut memory, mut writes) = (Instant::now(), Memory::default(), Vec::new());
        // Changed again by the second, for half an hour.
        for second in 0..1800 {
            let now = start + Duration::from_secs(second);
            for action in memory.due(vec![Action::Apply(0)], now) {
                memory.repairs.get_mut(action.name()).unwrap().0.done(now);
                writes.push(second);
            }
        }
        assert_eq!(writes, [0, 1, 11, 31, 71, 151, 311, 631, 1231]);
        // Left in peace for ten minutes, it begins anew.
        let later = start + Duration::from_secs(1799 + 600);
        assert_eq!(memory.due(vec![Action::Apply(0)], later), [Action::Apply(0)]);
    }
}
