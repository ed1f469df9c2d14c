//! What the watches have said, turned into the book. A burst of changes rebuilds the book once; whatever a change touches is marked dirty.
//! What is kept stands apart: declarations, facts, and what the API server itself depends on.

mod alike;
mod backing;
mod declared;
mod deleted;
mod estate;
mod facts;
mod guarded;
mod owned;
mod packed;
mod source;
mod state;
mod stored;
mod tide;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::api::DynamicObject;
use serde_json::Value;
use tokio::{sync::Notify, time::Instant};

pub use self::{
    backing::Backing,
    deleted::Deleted,
    estate::Kept,
    guarded::{Enrolled, Guard, Standing},
    source::Source,
    stored::Stored,
};
use self::{
    facts::Unreadable,
    guarded::Guarded,
    state::{State, Touched},
};
use super::{
    audit::Expected,
    publish::{Action, plan},
    watch::{Change, Health},
};
use crate::{
    api::{Declaration, baseline::Baseline, waiver::Waiver},
    model::{estate::Version, subject::Kind},
    policy::book::{Book, Shared},
};

/// The index: fed by the watches, read by the reconciler, and the only writer of the book.
#[derive(Debug, Default)]
pub struct Index {
    state: Mutex<State>,
    /// The book, the records and readiness.
    pub shared: Arc<Shared>,
    changed: Notify,
    unsettled: Notify,
    lists: Mutex<Vec<(Kind, Arc<Health>)>>,
    listed: Notify,
}

impl Index {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty index; what should stand in the API server is held against what does.
    pub fn new(expected: Expected) -> Self {
        Self { state: Mutex::new(State { guarded: Guarded::new(expected), ..State::default() }), ..Self::default() }
    }

    /// Takes in one change. The book shows it after [`Index::settle`].
    pub fn take(&self, source: Source, change: &Change) {
        let judged = match source {
            Source::Subjects(kind) => Some(kind),
            Source::Backing(Backing::ClusterRoleBindings) => Some(Kind::ClusterRoleBinding),
            Source::Declared(_) | Source::Namespaces | Source::StorageClasses | Source::Volumes | Source::Backing(_) | Source::Guards(_) | Source::Estate(_) => None,
        };
        if let Some(kind) = judged {
            let touched = self.put(kind, change);
            self.state().dirty.extend(touched);
        }
        // Of what is judged, some kinds are facts as well.
        let unsettled = match source {
            Source::Estate(kept) => self.keep(kept, change),
            Source::Subjects(Kind::DaemonSet) => self.keep(Kept::Agents, change),
            Source::Subjects(kind) if !kind.informs() => false,
            Source::Declared(Declaration::Control) => {
                let mut state = self.state();
                state.take(source, change);
                state.stale = true;
                let whole = state.declared.whole();
                drop(state);
                self.keep_whole(whole);
                true
            }
            Source::Declared(_) | Source::Namespaces | Source::StorageClasses | Source::Volumes | Source::Backing(_) | Source::Guards(_) | Source::Subjects(_) => {
                let mut state = self.state();
                if source == Source::Declared(Declaration::Ownership) && state.declared.is_news(change) {
                    state.tide.comes(Instant::now());
                }
                state.take(source, change);
                state.stale = true;
                drop(state);
                if source == Source::Declared(Declaration::Baseline) {
                    self.listed.notify_one();
                }
                true
            }
        };
        if unsettled {
            self.unsettled.notify_one();
        }
        self.changed.notify_one();
    }

    /// Takes in what stands around the workloads; whether it is another now.
    fn keep(&self, kept: Kept, change: &Change) -> bool {
        let mut state = self.state();
        let touched = state.estate.take(kept, change);
        let is_news = touched != Touched::default();
        state.mark(touched);
        state.stale |= is_news;
        is_news
    }

    /// The API server is of this version, as far as that is known.
    pub fn serve(&self, version: Option<Version>) {
        let mut state = self.state();
        if state.estate.serve(version) {
            state.mark(Touched::all());
            state.stale = true;
            drop(state);
            self.unsettled.notify_one();
            self.changed.notify_one();
        }
    }

    /// Of these kinds the whole object is kept from now on. What is known of a new one among them is not whole, so its list is read anew.
    fn keep_whole(&self, kinds: BTreeSet<Kind>) {
        let new = self.shared.objects_mut().keep_whole(kinds);
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, health) in lists.iter() {
            if new.contains(kind) {
                health.read_anew();
            }
        }
    }

    /// Whose list is read anew when more of its objects must be kept.
    pub fn heed(&self, kind: Kind, health: Arc<Health>) {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).push((kind, health));
    }

    /// The records of what exists; returns the namespaces concerned.
    fn put(&self, kind: Kind, change: &Change) -> Vec<String> {
        match change {
            Change::Applied(object) => as_json(object).and_then(|value| self.shared.objects_mut().put(kind, value)).into_iter().collect(),
            Change::Deleted(object) => {
                let namespace = object.metadata.namespace.clone().unwrap_or_default();
                self.shared.objects_mut().remove(&namespace, object.metadata.uid.as_deref().unwrap_or_default());
                vec![namespace]
            }
            Change::Listed(uids) => self.shared.objects_mut().retain(kind, uids),
        }
    }

    /// Rebuilds the book if anything changed that it does not show.
    pub fn settle(&self) {
        self.rebuild(&mut self.state());
    }

    fn rebuild(&self, state: &mut State) {
        if !std::mem::take(&mut state.stale) {
            return;
        }
        let mut book = Book { namespaces: state.namespaces.clone(), facts: state.facts.facts(&state.estate, &state.unreadable), ..Book::empty() };
        state.declared.write(&mut book);
        // Stored under the lock, so that an older book never replaces a newer one.
        self.shared.book.store(Arc::new(book));
        self.shared.tally.booked();
    }

    /// Keeps the book as new as the watches, at most every `BURST`: a list of thousands is not thousands of books.
    pub async fn keep_settled(&self) {
        loop {
            self.unsettled.notified().await;
            self.settle();
            tokio::time::sleep(BURST).await;
        }
    }

    /// Says which kinds of facts cannot be read, and why; a change is judged everywhere.
    pub fn set_unreadable(&self, unreadable: Unreadable) {
        let mut state = self.state();
        if state.unreadable != unreadable {
            state.guarded.unseen(unreadable.iter().find(|(of, _)| matches!(of, Source::Guards(_))).map(|(_, why)| *why));
            state.unreadable = unreadable;
            state.stale = true;
            drop(state);
            self.settle();
            self.mark_all();
        }
    }

    /// Waits until something changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The namespaces to judge again, and forgets them. The book shows what made them so: nothing comes between the two.
    pub fn drain_dirty(&self) -> BTreeSet<String> {
        let mut state = self.state();
        self.rebuild(&mut state);
        std::mem::take(&mut state.dirty)
    }

    /// Until when statuses wait, because declarations keep coming.
    pub fn holds(&self, now: Instant) -> Option<Instant> {
        self.state().tide.holds(now)
    }

    /// Marks every declared or labelled namespace to be judged again: time passes without an event.
    pub fn mark_all(&self) {
        let mut state = self.state();
        state.mark(Touched::all());
        self.changed.notify_one();
    }

    /// Lets whoever waits for a change look again.
    pub fn wake(&self) {
        self.changed.notify_one();
    }

    /// Marks one namespace to be judged again.
    pub fn mark(&self, namespace: &str) {
        self.state().dirty.insert(namespace.to_owned());
        self.changed.notify_one();
    }

    /// Why the cluster depends on a namespace, as far as objects of the whole cluster say so.
    pub fn backs(&self, namespace: &str) -> Option<String> {
        self.state().backing.of(namespace)
    }

    /// The stored Baselines.
    pub fn baselines(&self) -> Vec<Arc<Baseline>> {
        self.state().declared.baselines.values().map(|(baseline, _)| baseline.clone()).collect()
    }

    /// Whether such a Baseline is stored, readable or not.
    pub fn has_baseline(&self, name: &str) -> bool {
        let state = self.state();
        state.declared.baselines.contains_key(name) || state.declared.unread_baselines.contains(name)
    }

    /// What is to be done so that the catalog is published as it is.
    pub fn unpublished(&self) -> Vec<Action> {
        plan(&self.state().declared.published)
    }

    /// The stored Waivers of a namespace.
    pub fn waivers(&self, namespace: &str) -> Vec<Arc<Waiver>> {
        self.state().declared.waivers.get(namespace).into_iter().flat_map(|w| w.values().cloned()).collect()
    }

    /// The stored Ownership of a namespace.
    pub fn stored(&self, namespace: &str) -> Option<Stored> {
        self.state().declared.ownerships.get(namespace).cloned()
    }
}

/// A copy of an object as JSON, most of which it is already.
fn as_json(object: &DynamicObject) -> Option<Value> {
    let Value::Object(mut all) = object.data.clone() else { return None };
    all.insert("metadata".to_owned(), serde_json::to_value(&object.metadata).ok()?);
    if let Some(types) = &object.types {
        all.insert("apiVersion".to_owned(), types.api_version.clone().into());
        all.insert("kind".to_owned(), types.kind.clone().into());
    }
    Some(Value::Object(all))
}

/// A change is in the book within this; a twentieth of what P4 promises.
const BURST: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
