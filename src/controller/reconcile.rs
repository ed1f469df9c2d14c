//! The lease holder's writes: the enrolment label, the status of an Ownership, and Events on transitions.
//! Everything is a function of the index, so a crash between any two calls loses nothing: the next pass plans the same writes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace as KubeNamespace;
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    core::ApiResource,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::Instant;

use super::{
    events::{Teller, about},
    index::Index,
    install::SYSTEM_NAMESPACES,
    lease::{Mandate, leading},
    writes::WriteError,
};
use crate::{
    api::{
        Declaration, ENROLLED_LABEL, ENROLLED_VALUE, MEMBER_PREFIX,
        ownership::{OwnerClass, Ownership, OwnershipStatus, Verdict},
    },
    model::facts::Namespace,
    policy::{
        book::{Book, Promise},
        drift,
        history::Written,
        mark,
        matrix::Matrix,
        objects::Room,
        status::{Observed, due, plan, plan_unreadable, whole_second},
    },
    traces::{self, Traces},
};

const CALL: Duration = Duration::from_secs(10);
/// A burst of changes becomes one pass.
const GATHER: Duration = Duration::from_millis(200);
/// So many namespaces are written at once: each waits for an answer most of the time.
const WRITERS: usize = 4;
/// Time passes without an event: a grace that ends, a date that falls due. So often the clock is looked at, and only what it turns is judged.
const CLOCK: Duration = Duration::from_secs(10);

/// What a pass needs.
pub struct Reconciler {
    /// The index.
    pub index: Arc<Index>,
    /// The API server.
    pub client: Client,
    /// Whether this replica may write now.
    pub mandate: Mandate,
    /// Never enrolled, beside the system's: where Demarc itself runs.
    pub own_namespace: Option<String>,
    /// Stands in Events.
    pub replica: String,
    /// Where it is told what was written.
    pub traces: Traces,
}

/// When to look at a namespace again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// When something changes.
    Change,
    /// And at this time, when time alone turns what was said.
    At(Timestamp),
    /// When declarations pause: nothing was said yet.
    Pause,
}

impl Next {
    fn at(turns: Option<Timestamp>) -> Self {
        turns.map_or(Self::Change, Self::At)
    }

    /// This, or sooner.
    fn or(self, turns: Option<Timestamp>) -> Self {
        match self {
            Self::Pause => Self::Pause,
            Self::Change => Self::at(turns),
            Self::At(then) => Self::At(turns.map_or(then, |turns| turns.min(then))),
        }
    }
}

/// Until a time; at once where there is none.
async fn sleep_until(then: Option<Instant>) {
    if let Some(then) = then {
        tokio::time::sleep_until(then).await;
    }
}

impl Reconciler {
    /// Judges, tells and writes for ever.
    pub async fn run(self) {
        let teller = Teller::new(self.client.clone(), &self.replica);
        tokio::select! {
            () = self.keep_judged(&teller) => {}
            () = self.keep_farewells(&teller) => {}
        }
    }

    async fn keep_judged(&self, teller: &Teller) {
        let mut mandate = self.mandate.clone();
        // When time alone turns what was reported of a namespace.
        let mut turns: HashMap<String, Timestamp> = HashMap::new();
        // Where something is violated, for the Baselines' counts.
        let drifting: Mutex<BTreeSet<String>> = Mutex::default();
        // Whose status waits until declarations pause.
        let mut held: BTreeSet<String> = BTreeSet::new();
        let mut clock = tokio::time::interval(CLOCK);
        // What went wrong last about Baselines, to say it once.
        let mut told = String::new();
        loop {
            tokio::select! {
                () = self.index.changed() => tokio::time::sleep(GATHER).await,
                () = sleep_until(self.index.holds(Instant::now())), if !held.is_empty() => {}
                _ = clock.tick() => self.ring(&mut turns, Timestamp::now()),
                changed = mandate.changed() => match changed {
                    Ok(()) => {}
                    Err(_) => return,
                },
            }
            // The dirty marks stay until this replica leads and its stores are full.
            if !leading(&self.mandate) || !self.index.shared.ready() {
                for namespace in std::mem::take(&mut held) {
                    self.index.mark(&namespace);
                }
                continue;
            }
            let mut due = self.index.drain_dirty();
            if self.index.holds(Instant::now()).is_none() {
                due.append(&mut held);
            }
            for (namespace, next) in self.namespaces(due, teller, &drifting).await {
                match next {
                    Ok(Next::At(then)) => drop(turns.insert(namespace, then)),
                    Ok(Next::Change) => drop(turns.remove(&namespace)),
                    Ok(Next::Pause) => drop(held.insert(namespace)),
                    Err(error) => {
                        tracing::debug!(namespace, %error, "write failed, trying again");
                        self.retry(namespace);
                    }
                }
            }
            let drifts = drifting.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let failed = self.baselines(&drifts, teller).await.err();
            let why = failed.as_ref().filter(|error| !error.passing()).map(ToString::to_string).unwrap_or_default();
            if why != told {
                if !why.is_empty() {
                    tracing::warn!(error = why, "what a baseline asks for cannot be written, trying again");
                }
                told = why;
            }
            if failed.is_some() {
                let index = self.index.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    index.wake();
                });
            }
        }
    }

    /// Marks the namespaces whose time has come.
    fn ring(&self, turns: &mut HashMap<String, Timestamp>, now: Timestamp) {
        turns.retain(|namespace, then| {
            let waits = *then > now;
            if !waits {
                self.index.mark(namespace);
            }
            waits
        });
    }

    fn retry(&self, namespace: String) {
        let index = self.index.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            index.mark(&namespace);
        });
    }

    /// Writes what is new about each, a few at a time.
    async fn namespaces(&self, due: BTreeSet<String>, teller: &Teller, drifting: &Mutex<BTreeSet<String>>) -> Vec<(String, Result<Next, WriteError>)> {
        let judge = |name: String| async move {
            let next = self.traces.judged(&name, WriteError::sort, Box::pin(self.namespace(&name, teller, drifting))).await;
            (name, next)
        };
        stream::iter(due).map(judge).buffer_unordered(WRITERS).collect().await
    }

    /// Writes what is new about one namespace, and says when to look again.
    async fn namespace(&self, name: &str, teller: &Teller, drifting: &Mutex<BTreeSet<String>>) -> Result<Next, WriteError> {
        // Each by itself: what cannot be written of one holds up nothing of the other.
        let (judged, waivers) = (self.judge(name, teller, drifting).await, self.waivers(name, teller).await);
        Ok(judged?.or(waivers?))
    }

    /// Judges one namespace by its declaration.
    async fn judge(&self, name: &str, teller: &Teller, drifting: &Mutex<BTreeSet<String>>) -> Result<Next, WriteError> {
        let book = self.index.shared.book.load_full();
        let drifts = |drifts: bool| {
            let mut drifting = drifting.lock().unwrap_or_else(PoisonError::into_inner);
            if drifts { drifting.insert(name.to_owned()) } else { drifting.remove(name) }
        };
        let nothing = || self.index.shared.tally.found(name, &[], |_| OwnerClass::NotApplicable);
        let Some(namespace) = book.namespaces.get(name) else {
            nothing();
            self.count(&book, name, None);
            drifts(false);
            return Ok(Next::Change);
        };
        let (matrix, broken) = match book.promises.get(name) {
            None => (None, None),
            Some(Promise::Declared(matrix)) => (Some(matrix.clone()), None),
            Some(Promise::Broken { last_good, reason }) => (last_good.clone(), Some(reason.clone())),
        };
        let labelled = namespace.labels.get(ENROLLED_LABEL).is_some_and(|v| v == ENROLLED_VALUE);
        let critical = self.spared(&book, name, labelled);
        // A declaration that cannot be read leaves the label as it is: fail closed, and only here.
        let wanted = match (&matrix, &broken) {
            (_, Some(_)) => None,
            (Some(matrix), None) => Some(matrix.mode.enrolled() && critical.is_none()),
            (None, None) => Some(false),
        };
        let denied = if labelled && critical.is_none() { self.denied(&book, namespace, matrix.as_deref()) } else { None };
        let now = Timestamp::now();
        let mut labels = self.marks(&book, namespace, denied.as_deref(), now);
        if let Some(wanted) = wanted.filter(|wanted| *wanted != labelled)
            && (wanted || namespace.labels.contains_key(ENROLLED_LABEL))
        {
            labels.insert(ENROLLED_LABEL.to_owned(), wanted.then(|| ENROLLED_VALUE.to_owned()));
        }
        let mut enrolment = Ok(());
        if !labels.is_empty() {
            enrolment = self.label(name, &labels).await;
            if enrolment.is_ok() {
                // The label comes back by the watch, and the status is written once, with what is true then.
                return Ok(Next::Change);
            }
        }
        // What is enforced waits for nothing, and is by now; what is told of it waits until declarations pause.
        if self.index.holds(Instant::now()).is_some() {
            return enrolment.map(|()| Next::Pause);
        }
        // A copy of the references: what is judged for long holds up no decision.
        let room = self.index.shared.objects().room(name).cloned().unwrap_or_default();
        let report = matrix.as_ref().map(|matrix| drift::report(namespace, matrix, &room, &book.facts, now));
        self.count(&book, name, report.as_ref().and_then(|report| due(&report.dates, now)));
        match matrix.as_ref().zip(report.as_ref()) {
            Some((matrix, report)) => self.index.shared.tally.found(name, &report.drift, |control| matrix.entries[control].owner),
            None if broken.is_none() => nothing(),
            None => {}
        }
        drifts(report.as_ref().is_some_and(|r| r.verdicts.contains(&Verdict::Violated)));
        let Some(stored) = self.index.stored(name) else { return enrolment.map(|()| Next::at(report.and_then(|r| r.turns))) };
        let declared = stored.ownership();
        let (old, generation) = match &declared {
            Some(ownership) => (stored.status(), ownership.metadata.generation.unwrap_or_default()),
            None => self.status_of_unreadable(name).await?,
        };
        // Another came since the book was made: it is marked, and judged by the next.
        if declared.is_some() && matrix.as_ref().is_some_and(|matrix| matrix.generation != generation) {
            return enrolment.map(|()| Next::Change);
        }
        let standing = self.index.standing(namespace);
        let observed = Observed {
            generation,
            enrolled: labelled,
            broken: broken.as_deref(),
            critical: critical.as_deref(),
            fault: standing.fault.as_ref(),
            proof: &standing.proof,
            ending: standing.ending,
            note: standing.note.as_deref(),
            written: declared.as_ref().map(|ownership| Written { spec: &ownership.spec, managers: &stored.managers }),
        };
        let (new, turns) = match (matrix.as_ref().zip(report.as_ref()), &broken) {
            (Some((matrix, report)), _) => (plan(old.as_ref(), matrix, report, &observed, now), report.turns),
            (None, Some(reason)) => (plan_unreadable(old.as_ref(), reason, &observed, now), None),
            (None, None) => (None, None),
        };
        if let Some(new) = &new {
            self.write_status(&Api::<Ownership>::namespaced(self.client.clone(), name), "default", &stored.version, new).await?;
        }
        let more = match new.as_ref().or(old.as_ref()) {
            Some(status) => {
                let place = about(Declaration::Ownership, name, "default", &stored.uid);
                let before = old.as_ref().map(|old| old.conditions.as_slice()).unwrap_or_default();
                teller.tell(&place, before, new.is_some(), &status.conditions, self.patience()).await
            }
            None => None,
        };
        // An enrolment that failed is tried again, and its Ownership has said so.
        enrolment.map(|()| Next::at([turns, more].into_iter().flatten().min()))
    }

    /// The index keeps nothing of what it cannot read, and yet its status must be known: conditions of others stay, `forbiddenSince` does not
    /// move, and a status that says it all is not written again.
    async fn status_of_unreadable(&self, name: &str) -> Result<(Option<OwnershipStatus>, i64), WriteError> {
        let resource = ApiResource::erase::<Ownership>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), name, &resource);
        let object = tokio::time::timeout(CALL, api.get("default")).await??;
        let status = object.data.get("status").and_then(|status| serde_json::from_value(status.clone()).ok());
        Ok((status, object.metadata.generation.unwrap_or_default()))
    }

    /// Why a namespace is not enrolled, whatever is declared. A Baseline may ask for it all the same, but for the cluster's own and Demarc's.
    pub(super) fn spared(&self, book: &Book, name: &str, labelled: bool) -> Option<String> {
        let asked_for = book.floors.get(name).is_some_and(|floor| floor.enrols(name));
        self.critical(name, labelled || asked_for, asked_for)
    }

    /// Why a namespace must not wait for Demarc.
    fn critical(&self, name: &str, enrolled: bool, asked_for: bool) -> Option<String> {
        if SYSTEM_NAMESPACES.contains(&name) || self.own_namespace.as_deref() == Some(name) {
            return Some(format!("{name} is the cluster's own or Demarc's: it is never enrolled, so an outage of Demarc cannot hold it up"));
        }
        // What a workload's author can write keeps a namespace from being enrolled, which its condition says, but takes none out again.
        let runs = || (!enrolled).then(|| self.index.shared.objects().room(name).and_then(Room::runs_the_node)).flatten();
        let backs = || (!asked_for).then(|| self.index.backs(name)).flatten();
        backs().or_else(runs).map(|why| format!("{name} is not enrolled, so an outage of Demarc cannot hold up the cluster: {why}"))
    }

    /// A write ends with the mandate: one that outlasted it could cross with the next holder's.
    pub(super) fn patience(&self) -> Duration {
        let left = self.mandate.borrow().map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        left.min(CALL)
    }

    /// What its Baselines deny by themselves in a namespace that the API server asks about, as long as nothing that is declared there denies less.
    fn denied(&self, book: &Book, namespace: &Namespace, matrix: Option<&Matrix>) -> Option<String> {
        let alone = book.floors.get(&namespace.name)?.alone();
        let denied = mark::denied(&alone).filter(|_| alone.mode.enrolled())?;
        // Until its first status is written, a declaration takes over what the marks say.
        let untold = || self.index.stored(&namespace.name).is_some_and(|s| s.untold());
        let stays = matrix.is_some_and(|m| !m.declared || mark::covers(m, &alone)) || untold() && mark::since(&namespace.labels, &denied).is_some();
        stays.then_some(denied)
    }

    /// The marks that a namespace lacks of the Baselines that hold in it or that say something else, and those that it has of Baselines that are
    /// gone. `denied` is what is denied there by Baselines alone.
    fn marks(&self, book: &Book, namespace: &Namespace, denied: Option<&str>, now: Timestamp) -> BTreeMap<String, Option<String>> {
        let holding = book.floors.get(&namespace.name).map(|f| &*f.baselines).unwrap_or_default();
        let key = |baseline: &str| format!("{MEMBER_PREFIX}{baseline}");
        // A time that is yet to come was written by a clock that ran ahead, and would spare what comes until then.
        let since = |denied| mark::since(&namespace.labels, denied).unwrap_or(Timestamp::MAX).min(whole_second(now));
        let value = mark::value(denied.map(|denied| (since(denied), denied)));
        let lacks = holding.iter().map(|b| key(b)).filter(|mark| namespace.labels.get(mark).is_none_or(|v| *v != value)).map(|mark| (mark, Some(value.clone())));
        let gone = mark::members(&namespace.labels).filter(|b| !self.index.has_baseline(b)).map(|b| (key(b), None));
        lacks.chain(gone).collect()
    }

    /// Sets labels of a namespace, and takes away those without a value.
    async fn label(&self, name: &str, labels: &BTreeMap<String, Option<String>>) -> Result<(), WriteError> {
        if !leading(&self.mandate) {
            return Err(WriteError::Unled);
        }
        let api: Api<KubeNamespace> = Api::all(self.client.clone());
        let patch = json!({"metadata": {"labels": labels}});
        traces::wrote();
        tokio::time::timeout(self.patience(), api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(&patch))).await??;
        tracing::info!(namespace = name, ?labels, "labelled");
        Ok(())
    }

    /// With the version that was read: a status that somebody else wrote since is never overwritten, and the watch brings it here.
    pub(super) async fn write_status<K: Clone + DeserializeOwned + Debug>(&self, api: &Api<K>, name: &str, version: &str, status: &impl Serialize) -> Result<(), WriteError> {
        if !leading(&self.mandate) {
            return Err(WriteError::Unled);
        }
        let patch = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/status", "value": status},
        ]);
        let patch: kube::api::Patch<()> = Patch::Json(serde_json::from_value(patch).map_err(kube::Error::SerdeError)?);
        traces::wrote();
        // The answer may not parse as this version's type; that it was taken is enough.
        match tokio::time::timeout(self.patience(), api.patch_status(name, &PatchParams::default(), &patch)).await? {
            Ok(_) | Err(kube::Error::SerdeError(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
