//! Ownerships that were deleted. Every replica sees it and one tells, so each keeps it for as long as another may take to lead.
//! With its namespace an Ownership goes unsaid: that is seen anyhow, and nothing is left there that it was for.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::Index;

/// Longer than a new leader takes; after that it was told, or nobody led.
const KEPT: Duration = Duration::from_secs(60);
/// More at once are told by the log of whoever leads no sooner than the oldest are forgotten.
const MAX: usize = 4096;

/// An Ownership that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Where it was.
    pub namespace: String,
    /// Of the one that is gone, for Events.
    pub uid: String,
}

#[derive(Debug, Default)]
pub(super) struct Departures {
    gone: VecDeque<(Instant, Deleted)>,
    /// Namespaces that are being deleted themselves.
    leaving: HashSet<String>,
}

impl Departures {
    pub fn ownership(&mut self, namespace: &str, uid: &str) {
        if self.gone.len() == MAX {
            self.gone.pop_front();
        }
        self.gone.push_back((Instant::now(), Deleted { namespace: namespace.to_owned(), uid: uid.to_owned() }));
    }

    pub fn namespace(&mut self, name: &str, leaves: bool) {
        if leaves {
            self.leaving.insert(name.to_owned());
        } else {
            self.leaving.remove(name);
        }
    }
}

impl Index {
    /// The Ownerships that were deleted in namespaces that stay, and forgets them.
    pub fn drain_deleted(&self) -> Vec<Deleted> {
        let mut state = self.state();
        let gone = std::mem::take(&mut state.departures.gone);
        let stays = |d: &Deleted| state.namespaces.contains_key(&d.namespace) && !state.departures.leaving.contains(&d.namespace);
        gone.into_iter().filter(|(at, _)| at.elapsed() < KEPT).map(|(_, deleted)| deleted).filter(stays).collect()
    }
}
