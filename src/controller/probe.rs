//! The proof of enforcement: the leader asks the API server for what Demarc must refuse, by dry run, and holds it to be proven only when Demarc did.
//! [`outcome`] reads an answer and [`Ledger`] knows what to ask next and what to tell; neither asks anybody. `Prober` does.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::api::{coordination::v1::Lease, core::v1::PodTemplate};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::Status,
};
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::{
    index::Index,
    lease::{Mandate, leading},
};
use crate::{
    model::{
        proof::{CAUSE, GENERATION, LEASE, LEASE_GENERATION, LEASE_NAMESPACE, NAME, REPLICA, WEBHOOK},
        text::shown,
    },
    policy::{
        enforcing::{Fault, Proof},
        tally::Tried,
    },
    traces::Traces,
};

/// What an answer to the probe says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Demarc refused it, by a declaration as new as was asked for.
    Proven {
        /// The replica that did.
        replica: String,
        /// By this generation of the Ownership.
        generation: i64,
    },
    /// Demarc refused it by an older declaration: reached, and not fresh.
    Behind {
        /// The replica that did.
        replica: String,
    },
    /// Nobody refused it.
    FailingOpen,
    /// The API server could not ask Demarc, and refused it: closed.
    Unreachable(String),
    /// Somebody else refused it first, which says nothing of Demarc.
    Masked(String),
    /// There was no answer.
    Unheard(String),
}

/// Reads an answer: `Ok` is that nobody refused. `wanted` is the generation that is known here; 0 asks for none.
pub fn outcome(answer: Result<(), &kube::Error>, wanted: i64) -> Outcome {
    match answer {
        Ok(()) => Outcome::FailingOpen,
        Err(kube::Error::Api(status)) => refused(status, wanted),
        Err(error) => Outcome::Unheard(shown(&error.to_string(), 200)),
    }
}

fn refused(status: &Status, wanted: i64) -> Outcome {
    let causes = status.details.as_ref().map(|d| d.causes.as_slice()).unwrap_or_default();
    let cause = |reason: &str| causes.iter().find(|c| c.reason == reason).map(|c| c.message.as_str());
    let said = |text: &str| status.message.contains(&format!("{text} \"{WEBHOOK}\""));
    // The API server writes the name of the webhook that refused, so that nobody else's causes count.
    if said("admission webhook") && cause(CAUSE).is_some() {
        let generation = cause(GENERATION).and_then(|g| g.parse().ok()).unwrap_or_default();
        let replica = shown(cause(REPLICA).unwrap_or_default(), 63);
        return if generation < wanted { Outcome::Behind { replica } } else { Outcome::Proven { replica, generation } };
    }
    let message = shown(&status.message, 200);
    if said("failed calling webhook") {
        return Outcome::Unreachable(message);
    }
    match status.code {
        _ if status.message.contains("webhook") => Outcome::Masked(message),
        401 | 404 | 429 | 500.. => Outcome::Unheard(message),
        _ => Outcome::Masked(message),
    }
}

impl Outcome {
    fn tried(&self) -> Tried {
        match self {
            Self::Proven { .. } => Tried::Proven,
            Self::Behind { .. } => Tried::ReplicaBehind,
            Self::FailingOpen => Tried::FailingOpen,
            Self::Unreachable(_) => Tried::Unreachable,
            Self::Masked(_) => Tried::ProbeMasked,
            Self::Unheard(_) => Tried::Unheard,
        }
    }

    /// What a namespace is told that was asked about so often; `None` where the answer says nothing new.
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::Proven { .. } | Self::Unheard(_) => None,
            Self::Behind { replica } => Some(Fault::unknown("ReplicaBehind", format!("replica {replica} decides by an older declaration than the one that is stored"))),
            Self::FailingOpen => Some(Fault::wrong("FailingOpen", "the API server admitted what Demarc must refuse: it did not ask")),
            Self::Unreachable(why) if why.contains("x509") => {
                Some(Fault::unknown("CaBundleForeign", "the API server does not trust Demarc's certificate, so nothing new is admitted: the caBundle is not of its authority"))
            }
            Self::Unreachable(_) => Some(Fault::unknown("Unreachable", "the API server cannot ask Demarc, so nothing new is admitted: closed")),
            Self::Masked(why) => Some(Fault::unknown("ProbeMasked", format!("somebody else refuses the probe first, so enforcement is not proven: {why}"))),
        }
    }
}

/// So many answers in a row are the truth: an API server hears of a label some milliseconds late, and a replica that leaves is missed once.
const TRIES: u32 = 3;
/// Between them.
const AGAIN: Duration = Duration::from_secs(1);
/// What is wrong is asked about more often than what is proven.
const SOON: Duration = Duration::from_secs(5);
/// A proof counts for so many rounds.
pub const ROUNDS: u32 = 3;
/// The most questions in one go.
const AT_ONCE: usize = 50;

#[derive(Debug)]
struct Entry {
    generation: i64,
    proof: Proof,
    tries: u32,
    due: Option<Instant>,
}

/// What was asked, when, and what came of it. One namespace is asked about each round, in turn; one that was enrolled, at once.
#[derive(Debug)]
pub struct Ledger {
    every: Duration,
    proven: Instant,
    turn: Instant,
    last: String,
    known: BTreeMap<String, Entry>,
    reach: Option<Fault>,
    news: Vec<(String, Option<Proof>)>,
}

impl Ledger {
    /// Nothing was asked yet; a round is `every`.
    pub fn new(every: Duration, now: Instant) -> Self {
        Self { every, proven: now, turn: now, last: String::new(), known: BTreeMap::new(), reach: None, news: Vec::new() }
    }

    /// Takes in which namespaces there are: name, generation, and whether an earlier leader has proven it.
    pub fn enrolled(&mut self, now: Instant, namespaces: impl IntoIterator<Item = (String, i64, bool)>) {
        let mut before = std::mem::take(&mut self.known);
        if before.is_empty() {
            self.proven = now;
        }
        for (namespace, generation, proven) in namespaces {
            let mut entry = before.remove(&namespace).unwrap_or_else(|| {
                let proof = if proven { Proof::Held } else { Proof::Awaited };
                self.news.push((namespace.clone(), Some(proof.clone())));
                Entry { generation, due: (!proven).then_some(now), proof, tries: 0 }
            });
            entry.generation = generation;
            self.known.insert(namespace, entry);
        }
        self.news.extend(before.into_keys().map(|gone| (gone, None)));
    }

    /// Begins the next round now: what the API server asks by was changed.
    pub fn hurry(&mut self, now: Instant) {
        self.turn = now;
    }

    /// Which to ask about now, each with the generation that is to be met.
    pub fn due(&mut self, now: Instant) -> Vec<(String, i64)> {
        if now >= self.turn {
            let held = |(_, entry): &(&String, &mut Entry)| entry.due.is_none();
            let last = self.last.clone();
            let next = self.known.iter_mut().filter(held).find(|(name, _)| **name > last).map(|(name, entry)| {
                entry.due = Some(now);
                name.clone()
            });
            let next = next.or_else(|| {
                self.known.iter_mut().find(held).map(|(name, entry)| {
                    entry.due = Some(now);
                    name.clone()
                })
            });
            self.last = next.unwrap_or_default();
            self.turn = now + self.every;
        }
        let due = self.known.iter().filter(|(_, e)| e.due.is_some_and(|due| due <= now));
        due.take(AT_ONCE).map(|(name, entry)| (name.clone(), entry.generation)).collect()
    }

    /// Takes in what came of asking; says whether it is told for the first time.
    pub fn heard(&mut self, namespace: &str, outcome: &Outcome, now: Instant) -> bool {
        let Some(entry) = self.known.get_mut(namespace) else { return false };
        let soon = self.every.min(SOON);
        let mut tell = |entry: &mut Entry, proof: Proof| {
            // What is told stands as long as its reason does: details change from try to try.
            let same = match (&entry.proof, &proof) {
                (Proof::Missing(a), Proof::Missing(b)) => a.reason == b.reason,
                (a, b) => a == b,
            };
            if !same {
                entry.proof = proof.clone();
                self.news.push((namespace.to_owned(), Some(proof)));
            }
            !same
        };
        if let Outcome::Proven { .. } = outcome {
            (entry.tries, entry.due) = (0, None);
            (self.proven, self.reach) = (now, None);
            return tell(entry, Proof::Held);
        }
        entry.tries = entry.tries.saturating_add(1);
        if entry.tries < TRIES {
            entry.due = Some(now + AGAIN.min(self.every));
            return false;
        }
        let Some(fault) = outcome.fault() else {
            entry.due = Some(now + soon);
            return false;
        };
        entry.due = Some(now + soon);
        match outcome {
            // It was proven once, and that another is asked first takes nothing away, until the proof is old.
            Outcome::Masked(_) if entry.proof == Proof::Held => {
                (entry.tries, entry.due) = (0, None);
                false
            }
            Outcome::Masked(_) => {
                entry.due = Some(now + self.every);
                tell(entry, Proof::Missing(fault))
            }
            Outcome::FailingOpen => {
                let first = tell(entry, Proof::Missing(fault));
                // Here, so maybe everywhere.
                if first {
                    self.known.values_mut().filter(|e| e.due.is_none()).for_each(|e| e.due = Some(now));
                }
                first
            }
            Outcome::Unreachable(_) => {
                self.reach = Some(fault.clone());
                tell(entry, Proof::Missing(fault))
            }
            Outcome::Behind { .. } | Outcome::Proven { .. } | Outcome::Unheard(_) => tell(entry, Proof::Missing(fault)),
        }
    }

    /// What every namespace is to be told.
    pub fn reach(&self, now: Instant) -> Option<Fault> {
        if let Some(reach) = &self.reach {
            return Some(reach.clone());
        }
        let old = !self.known.is_empty() && now.duration_since(self.proven) > self.every * ROUNDS;
        old.then(|| Fault::unknown("ProofOld", format!("enforcement has not been proven for {ROUNDS} rounds: Lease {LEASE} tells when it last was")))
    }

    /// What namespaces are to be told that were told otherwise before; `None` is one that is gone.
    pub fn news(&mut self) -> Vec<(String, Option<Proof>)> {
        std::mem::take(&mut self.news)
    }
}

/// The leader's loop.
pub struct Prober {
    /// Which namespaces there are, and where what comes of it goes.
    pub index: Arc<Index>,
    /// The API server.
    pub client: Client,
    /// Whether this replica may write now.
    pub mandate: Mandate,
    /// Where each try is told.
    pub traces: Traces,
    /// Where the Lease is that holds the time of the last proof.
    pub leases: Api<Lease>,
    /// A round.
    pub every: Duration,
}

/// The API server waits 5 s for the webhook.
const CALL: Duration = Duration::from_secs(10);
/// How soon a new label is seen here.
const LOOK: Duration = Duration::from_millis(500);

/// Asks, by dry run: nothing is stored, whoever lets it through.
pub async fn ask(client: &Client, namespace: &str, wanted: i64) -> Outcome {
    let api: Api<PodTemplate> = Api::namespaced(client.clone(), namespace);
    // As harmless as can be, so that nobody else has a reason to refuse it.
    let question = json!({
        "metadata": {"name": NAME},
        "template": {"metadata": {"labels": {"app.kubernetes.io/name": NAME}}, "spec": {
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "probe", "image": "registry.invalid/demarc/probe:0",
                "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1m", "memory": "1Mi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}}],
        }},
    });
    let Ok(question) = serde_json::from_value(question) else { return Outcome::Unheard("the probe cannot be written".to_owned()) };
    let params = PostParams { dry_run: true, ..PostParams::default() };
    match timeout(CALL, api.create(&params, &question)).await {
        Ok(answer) => outcome(answer.as_ref().map(|_| ()), wanted),
        Err(_) => Outcome::Unheard("no answer within 10 s".to_owned()),
    }
}

impl Prober {
    /// Asks for ever, while this replica leads.
    pub async fn run(self) {
        let mut clock = tokio::time::interval(LOOK);
        let (mut ledger, mut noted) = (None, None);
        loop {
            clock.tick().await;
            if !leading(&self.mandate) || !self.index.shared.ready() {
                ledger = None;
                // Whoever leads tells it.
                self.index.shared.tally.forget();
                continue;
            }
            let first = ledger.is_none();
            let ledger = ledger.get_or_insert_with(|| {
                // What was told before is told anew, or not at all.
                self.index.forget_proofs();
                self.index.mark_all();
                Ledger::new(self.every, Instant::now())
            });
            // A Baseline tells of the namespaces that were there: of one that comes later it tells nothing.
            ledger.enrolled(Instant::now(), self.index.enrolled().into_iter().map(|e| (e.namespace, e.generation, e.proven && (e.declared || first))));
            if self.index.stirred() {
                ledger.hurry(Instant::now());
            }
            for (namespace, wanted) in ledger.due(Instant::now()) {
                let begun = self.traces.start();
                let outcome = ask(&self.client, &namespace, wanted).await;
                if let Some(begun) = begun {
                    begun.tried(&namespace, wanted, outcome.tried().as_str());
                }
                let now = Instant::now();
                self.index.shared.tally.tried(outcome.tried(), jiff::Timestamp::now().as_second());
                if ledger.heard(&namespace, &outcome, now) {
                    tell(&namespace, &outcome);
                }
                let due = noted.is_none_or(|noted| now.duration_since(noted) >= self.every / 2);
                if let Outcome::Proven { replica, generation } = &outcome
                    && due
                    && self.note(&namespace, replica, *generation).await
                {
                    noted = Some(now);
                }
            }
            let news = ledger.news();
            if !news.is_empty() {
                self.index.set_proofs(news);
            }
            self.index.set_reach(ledger.reach(Instant::now()));
        }
    }

    /// The time of the proof stands in one Lease, so that a dead leader is not a green light. Says whether it does.
    async fn note(&self, namespace: &str, replica: &str, generation: i64) -> bool {
        if !leading(&self.mandate) {
            return false;
        }
        let seconds = i32::try_from(self.every.as_secs().saturating_mul(u64::from(ROUNDS))).unwrap_or(i32::MAX).max(1);
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": LEASE, "annotations": {LEASE_NAMESPACE: namespace, LEASE_GENERATION: generation.to_string()}},
            "spec": {"holderIdentity": replica, "leaseDurationSeconds": seconds, "renewTime": k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(jiff::Timestamp::now())},
        });
        match timeout(CALL, self.leases.patch(LEASE, &PatchParams::apply("demarc").force(), &Patch::Apply(lease))).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the time of the proof is not written");
                false
            }
            Err(_) => false,
        }
    }
}

fn tell(namespace: &str, outcome: &Outcome) {
    match outcome {
        Outcome::Proven { replica, generation } => tracing::info!(namespace, replica, generation, "enforcement is proven"),
        Outcome::Behind { replica } => tracing::warn!(namespace, replica, "enforcement is not proven: a replica is behind"),
        Outcome::FailingOpen => tracing::error!(namespace, "failing open: the API server did not ask"),
        Outcome::Unreachable(why) => tracing::error!(namespace, why, "the API server cannot ask: nothing new is admitted"),
        Outcome::Masked(why) | Outcome::Unheard(why) => tracing::warn!(namespace, why, "enforcement is not proven"),
    }
}

#[cfg(test)]
mod tests;
