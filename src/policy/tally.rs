//! What is counted, for whoever asks `/metrics`. A review pays for it with a few additions: every cell is there from the start, nothing is locked,
//! and nothing is counted by the name of an object.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{drift::Drift, enforcing::Word};
use crate::{
    api::ownership::{Enforcement, OwnerClass, Verdict},
    controls::CATALOG,
    model::Outcome,
};

macro_rules! labels {
    ($(#[$m:meta])* $name:ident { $($variant:ident: $doc:literal),+ $(,)? }) => {
        $(#[$m])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $(#[doc = $doc] $variant),+ }
        impl $name {
            const ALL: &[Self] = &[$(Self::$variant),+];
            /// As a label.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => stringify!($variant)),+ } }
        }
    };
}

labels! {
    /// Which of the webhook's routes.
    Route { Workloads: "What runs, and what it needs.", Declarations: "Kinds of ours." }
}
labels! {
    /// How a review was answered.
    Answered {
        Allowed: "Without a word.",
        Warned: "Let through, with warnings.",
        Denied: "Refused for what it violates.",
        Retry: "Refused, to be tried again.",
        Malformed: "Not understood, and refused.",
        Probe: "The leader's own question.",
    }
}
labels! {
    /// What followed from one violation.
    Consequence {
        Denied: "It was refused.",
        Warned: "It is not enforced yet.",
        Spared: "It stood before.",
        Waived: "A Waiver lets it through.",
        Passed: "It is drift alone.",
    }
}
labels! {
    /// What a try to prove enforcement came to.
    Tried {
        Proven: "Demarc refused.",
        ReplicaBehind: "It refused by an older declaration.",
        FailingOpen: "Nobody refused.",
        Unreachable: "The API server could not ask.",
        ProbeMasked: "Somebody else refused first.",
        Unheard: "There was no answer.",
    }
}

labels! {
    /// Who has the conditions `Enforcing` and `ReviewDue`.
    Of { Namespace: "One that is declared, or that holds what a Baseline asks by itself.", Baseline: "Of the namespaces under it, and of its gate." }
}

const OWNERS: [OwnerClass; 6] =
    [OwnerClass::Provider, OwnerClass::Customer, OwnerClass::SharedIndependent, OwnerClass::SharedDependent, OwnerClass::ThirdParty, OwnerClass::NotApplicable];
const ENFORCEMENTS: [Enforcement; 4] = [Enforcement::Off, Enforcement::Audit, Enforcement::Warn, Enforcement::Deny];
const CONSEQUENCES: usize = Consequence::ALL.len();

/// Upper ends of the buckets of latency in microseconds: what a decision takes, up to the API server's patience.
pub const BUCKETS: [u64; 14] = [50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 250_000, 1_000_000, 5_000_000];

/// One control's decisions: what it was, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The control's id.
    pub control: &'static str,
    /// Who owns it.
    pub owner: OwnerClass,
    /// How a violation is met.
    pub enforcement: Enforcement,
    /// What followed.
    pub consequence: Consequence,
    /// How often.
    pub times: u64,
}

/// How one namespace or Baseline stands, in words of which there are but a few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stands {
    /// What `Enforcing` says.
    pub enforcing: Word,
    /// What `ReviewDue` says, while anything that was recorded lapses.
    pub due: Option<&'static str>,
}

/// By control, owner and verdict.
pub type Findings = Vec<(usize, OwnerClass, Verdict)>;

/// As a label. Names of users' own controls are theirs to choose, and are not.
fn id(control: usize) -> &'static str {
    CATALOG.get(control).map_or("own", |row| row.id)
}

/// The cells.
#[derive(Debug)]
pub struct Tally {
    reviews: [[AtomicU64; Answered::ALL.len()]; Route::ALL.len()],
    decisions: Box<[AtomicU64]>,
    buckets: [AtomicU64; BUCKETS.len() + 1],
    nanoseconds: AtomicU64,
    books: AtomicU64,
    departed: AtomicU64,
    tries: [AtomicU64; Tried::ALL.len()],
    proven: AtomicI64,
    /// Of each namespace as it was last judged; touched by the reconciler and by whoever asks, never by a review.
    findings: Mutex<HashMap<String, Findings>>,
    /// How each stands, by name; touched by the same.
    standing: Mutex<[HashMap<String, Stands>; Of::ALL.len()]>,
}

impl Default for Tally {
    fn default() -> Self {
        // One row more for all controls of users' own.
        let cells = (CATALOG.len() + 1) * OWNERS.len() * ENFORCEMENTS.len() * CONSEQUENCES;
        Self {
            reviews: Default::default(),
            decisions: (0..cells).map(|_| AtomicU64::new(0)).collect(),
            buckets: Default::default(),
            nanoseconds: AtomicU64::new(0),
            books: AtomicU64::new(0),
            departed: AtomicU64::new(0),
            tries: Default::default(),
            proven: AtomicI64::new(0),
            findings: Mutex::default(),
            standing: Mutex::default(),
        }
    }
}

impl Tally {
    /// A review was answered, and took so long from its last byte to the answer's.
    pub fn reviewed(&self, route: Route, answer: Answered, took: Duration) {
        self.reviews[route as usize][answer as usize].fetch_add(1, Relaxed);
        let micros = took.as_micros();
        let bucket = BUCKETS.iter().position(|end| micros <= u128::from(*end)).unwrap_or(BUCKETS.len());
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Something followed from a violation.
    pub fn decided(&self, control: usize, owner: OwnerClass, enforcement: Enforcement, consequence: Consequence) {
        let cell = ((control.min(CATALOG.len()) * OWNERS.len() + owner as usize) * ENFORCEMENTS.len() + enforcement as usize) * CONSEQUENCES + consequence as usize;
        if let Some(cell) = self.decisions.get(cell) {
            cell.fetch_add(1, Relaxed);
        }
    }

    /// A new book was made.
    pub fn booked(&self) {
        self.books.fetch_add(1, Relaxed);
    }

    /// An Ownership was deleted, and its namespace stays.
    pub fn departed(&self) {
        self.departed.fetch_add(1, Relaxed);
    }

    /// How many were.
    pub fn departures(&self) -> u64 {
        self.departed.load(Relaxed)
    }

    /// Enforcement was tried; `now` in seconds.
    pub fn tried(&self, tried: Tried, now: i64) {
        self.tries[tried as usize].fetch_add(1, Relaxed);
        if tried == Tried::Proven {
            self.proven.store(now, Relaxed);
        }
    }

    /// What was found in a namespace; `owner` tells whose a control is. Nothing forgets a namespace that is no longer declared.
    pub fn found(&self, namespace: &str, drift: &[Drift], owner: impl Fn(usize) -> OwnerClass) {
        let verdict = |d: &Drift| match (&d.waived, d.outcome) {
            (Some(_), _) => Verdict::Waived,
            (None, Outcome::Violated) => Verdict::Violated,
            (None, Outcome::Unknown) => Verdict::Unknown,
        };
        let findings: Findings = drift.iter().map(|d| (d.control, owner(d.control), verdict(d))).collect();
        let mut all = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        if findings.is_empty() {
            all.remove(namespace);
        } else {
            all.insert(namespace.to_owned(), findings);
        }
    }

    /// How a namespace stands by now; `None` forgets one.
    pub fn stands(&self, namespace: &str, stands: Option<Stands>) {
        let all = &mut self.standing.lock().unwrap_or_else(PoisonError::into_inner)[Of::Namespace as usize];
        match stands {
            Some(stands) => drop(all.insert(namespace.to_owned(), stands)),
            None => drop(all.remove(namespace)),
        }
    }

    /// How the Baselines stand by now, all of them.
    pub fn baselines_stand(&self, all: HashMap<String, Stands>) {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)[Of::Baseline as usize] = all;
    }

    /// Another replica leads, and it tells what is found and how it stands.
    pub fn forget(&self) {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = Default::default();
    }

    /// Reviews by route and answer.
    pub fn reviews(&self) -> impl Iterator<Item = (Route, Answered, u64)> {
        let of = |route: &Route| {
            Answered::ALL.iter().zip(&self.reviews[*route as usize]).map({
                let route = *route;
                move |(answer, times)| (route, *answer, times.load(Relaxed))
            })
        };
        Route::ALL.iter().flat_map(of)
    }

    /// What followed from violations, where anything did.
    pub fn decisions(&self) -> impl Iterator<Item = Decided> {
        self.decisions.iter().enumerate().map(|(i, cell)| (i, cell.load(Relaxed))).filter(|(_, times)| *times > 0).map(|(i, times)| {
            let (rest, consequence) = (i / CONSEQUENCES, Consequence::ALL[i % CONSEQUENCES]);
            let (rest, enforcement) = (rest / ENFORCEMENTS.len(), ENFORCEMENTS[rest % ENFORCEMENTS.len()]);
            Decided { control: id(rest / OWNERS.len()), owner: OWNERS[rest % OWNERS.len()], enforcement, consequence, times }
        })
    }

    /// How many reviews fell into each bucket, and the sum in seconds.
    #[allow(clippy::cast_precision_loss)] // After a hundred days of deciding, by some nanoseconds.
    pub fn latency(&self) -> ([u64; BUCKETS.len() + 1], f64) {
        (std::array::from_fn(|i| self.buckets[i].load(Relaxed)), self.nanoseconds.load(Relaxed) as f64 / 1e9)
    }

    /// How many books were made.
    pub fn books(&self) -> u64 {
        self.books.load(Relaxed)
    }

    /// Tries by what they came to, and the time of the last proof; 0 is never.
    pub fn tries(&self) -> (Vec<(Tried, u64)>, i64) {
        (Tried::ALL.iter().map(|tried| (*tried, self.tries[*tried as usize].load(Relaxed))).collect(), self.proven.load(Relaxed))
    }

    /// Findings of all namespaces by control, owner and verdict.
    pub fn findings(&self) -> HashMap<(&'static str, OwnerClass, Verdict), u64> {
        let mut sums = HashMap::new();
        for (control, owner, verdict) in self.findings.lock().unwrap_or_else(PoisonError::into_inner).values().flatten() {
            *sums.entry((id(*control), *owner, *verdict)).or_insert(0) += 1;
        }
        sums
    }

    /// Of how many `Enforcing` says what.
    pub fn enforcing(&self) -> HashMap<(Of, Word), u64> {
        self.standing(|stands| Some(stands.enforcing))
    }

    /// Of how many something that was recorded lapses, and how far it is.
    pub fn due(&self) -> HashMap<(Of, &'static str), u64> {
        self.standing(|stands| stands.due)
    }

    fn standing<W: Eq + Hash>(&self, word: impl Fn(&Stands) -> Option<W>) -> HashMap<(Of, W), u64> {
        let mut sums = HashMap::new();
        for (of, all) in Of::ALL.iter().zip(&*self.standing.lock().unwrap_or_else(PoisonError::into_inner)) {
            for word in all.values().filter_map(&word) {
                *sums.entry((*of, word)).or_insert(0) += 1;
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cell_is_read_as_what_was_counted() {
        let tally = Tally::default();
        let mut expected = Vec::new();
        for (control, row) in CATALOG.iter().enumerate() {
            for owner in OWNERS {
                for enforcement in ENFORCEMENTS {
                    for consequence in Consequence::ALL.iter().copied() {
                        tally.decided(control, owner, enforcement, consequence);
                        expected.push(Decided { control: row.id, owner, enforcement, consequence, times: 1 });
                    }
                }
            }
        }
        assert_eq!(tally.decisions().collect::<Vec<_>>(), expected, "no two share a cell");
        tally.decided(CATALOG.len() + 7, OwnerClass::Customer, Enforcement::Deny, Consequence::Denied);
        assert_eq!(tally.decisions().last().map(|d| d.control), Some("own"), "of users' own, whichever it is");
        for route in Route::ALL {
            for (i, answer) in Answered::ALL.iter().enumerate() {
                for _ in 0..=i {
                    tally.reviewed(*route, *answer, Duration::from_micros(60));
                }
            }
        }
        assert_eq!(tally.reviews().map(|(.., n)| n).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6]);
        for (i, tried) in Tried::ALL.iter().enumerate() {
            tally.tried(*tried, 40 + i64::try_from(i).unwrap());
        }
        assert_eq!(tally.tries(), (Tried::ALL.iter().map(|t| (*t, 1)).collect(), 40), "the time is that of the proof");
    }

    #[test]
    fn who_stands_how_is_counted_by_word_and_forgotten_with_the_lead() {
        let tally = Tally::default();
        let (bare, proven) = (("False", "NotEnrolled"), ("True", "Proven"));
        let stands = |enforcing, due| Stands { enforcing, due };
        for (namespace, word) in [("a", Some(bare)), ("b", Some(bare)), ("c", Some(proven)), ("a", Some(proven)), ("c", None), ("never", None)] {
            tally.stands(namespace, word.map(|word| stands(word, Some("Overdue").filter(|_| word == bare))));
        }
        tally.baselines_stand([("gone".to_owned(), stands(bare, Some("Overdue")))].into());
        tally.baselines_stand([("gold".to_owned(), stands(proven, Some("DueSoon")))].into());
        assert_eq!(tally.enforcing(), [((Of::Namespace, bare), 1), ((Of::Namespace, proven), 1), ((Of::Baseline, proven), 1)].into());
        assert_eq!(tally.due(), [((Of::Namespace, "Overdue"), 1), ((Of::Baseline, "DueSoon"), 1)].into());
        tally.forget();
        assert!(tally.enforcing().is_empty() && tally.due().is_empty());
    }

    #[test]
    fn latency_falls_into_the_bucket_whose_end_it_does_not_pass() {
        let tally = Tally::default();
        for (micros, bucket) in [(0, 0), (50, 0), (51, 1), (5_000_000, 13), (5_000_001, 14)] {
            let before = tally.latency().0[bucket];
            tally.reviewed(Route::Workloads, Answered::Allowed, Duration::from_micros(micros));
            assert_eq!(tally.latency().0[bucket], before + 1, "{micros} µs");
        }
    }
}
