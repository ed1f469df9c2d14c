//! The book: namespace → what it promises, and the facts that go with it. Rebuilt whole when a declaration or a fact changes, then shared;
//! a decision reads one consistent snapshot and never waits.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;

use super::{floor::Floor, matrix::Matrix, objects::Objects, tally::Tally};
use crate::{
    api::baseline::Baseline,
    controls::custom::Custom,
    model::facts::{Facts, Namespace},
};

/// What is known of one namespace's Ownership.
#[derive(Clone, Debug, PartialEq)]
pub enum Promise {
    /// Read and resolved.
    Declared(Arc<Matrix>),
    /// Stored, and no longer readable. The last good matrix goes on being enforced; after a restart there is none, and everything that
    /// would be judged is refused.
    Broken {
        /// What still holds.
        last_good: Option<Arc<Matrix>>,
        /// What is wrong with it.
        reason: String,
    },
}

impl Promise {
    /// The generation by which is decided, if by any.
    pub fn generation(&self) -> Option<i64> {
        match self {
            Self::Declared(matrix) | Self::Broken { last_good: Some(matrix), .. } => Some(matrix.generation),
            Self::Broken { last_good: None, .. } => None,
        }
    }
}

/// Everything that a decision reads, apart from the records of existing objects.
#[derive(Clone, Debug)]
pub struct Book {
    /// By namespace. A namespace that is absent has declared nothing, and no Baseline holds in it.
    pub promises: HashMap<String, Promise>,
    /// What the Baselines of a namespace ask together; absent where there are none.
    pub floors: HashMap<String, Arc<Floor>>,
    /// Baselines by name, of whichever namespaces.
    pub baselines: BTreeMap<String, Arc<Baseline>>,
    /// Controls of users' own, by name.
    pub controls: Arc<BTreeMap<String, Arc<Custom>>>,
    /// Labels and annotations by namespace.
    pub namespaces: HashMap<String, Arc<Namespace>>,
    /// The rest of the cluster.
    pub facts: Facts,
}

impl Book {
    /// Nothing is known yet.
    pub fn empty() -> Self {
        Self {
            promises: HashMap::new(),
            floors: HashMap::new(),
            baselines: BTreeMap::new(),
            controls: Arc::default(),
            namespaces: HashMap::new(),
            facts: Facts::none("not read yet"),
        }
    }
}

/// What the two doors share: the cluster door fills it, the webhook door reads it.
#[derive(Debug)]
pub struct Shared {
    /// The current book.
    pub book: ArcSwap<Book>,
    /// What is counted.
    pub tally: Tally,
    objects: RwLock<Objects>,
    ready: AtomicBool,
    leaving: AtomicBool,
}

impl Default for Shared {
    fn default() -> Self {
        Self { book: ArcSwap::from_pointee(Book::empty()), tally: Tally::default(), objects: RwLock::default(), ready: AtomicBool::new(false), leaving: AtomicBool::new(false) }
    }
}

impl Shared {
    /// The records, to read. A panic while they were being written leaves whole records behind, so poison is passed over.
    pub fn objects(&self) -> RwLockReadGuard<'_, Objects> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records, to write.
    pub fn objects_mut(&self) -> RwLockWriteGuard<'_, Objects> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether every store that decides is full and fresh.
    pub fn ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Says whether it is.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }
    /// Whether this replica is about to stop. It goes on deciding, and asks its callers to go elsewhere.
    pub fn leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Says that it is; there is no way back.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }
}
