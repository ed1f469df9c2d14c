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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::{API_VERSION, Declaration},
        controller::{index::Source, watch::Change},
    };

    fn ownership(namespace: &str, uid: &str) -> Box<kube::api::DynamicObject> {
        let object = json!({"apiVersion": API_VERSION, "kind": "Ownership", "metadata": {"name": "default", "namespace": namespace, "uid": uid}, "spec": {"serviceModel": "PaaS"}});
        Box::new(serde_json::from_value(object).unwrap())
    }

    fn namespace(index: &Index, name: &str, leaves: bool) {
        let mut meta = json!({"name": name, "uid": format!("n-{name}")});
        if leaves {
            meta["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": meta});
        index.take(Source::Namespaces, &Change::Applied(Box::new(serde_json::from_value(object).unwrap())));
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_alone_is_told_once_and_not_long_after() {
        let source = Source::Declared(Declaration::Ownership);
        let index = Index::default();
        for name in ["shop", "vault", "brief", "gone"] {
            namespace(&index, name, false);
            index.take(source, &Change::Applied(ownership(name, name)));
        }
        let told = || index.drain_deleted().into_iter().map(|d| (d.namespace, d.uid)).collect::<Vec<_>>();
        let of = |name: &str| vec![(name.to_owned(), name.to_owned())];
        assert!(told().is_empty());
        index.take(source, &Change::Deleted(ownership("shop", "shop")));
        assert_eq!(told(), of("shop"));
        assert!(told().is_empty(), "once");
        index.take(source, &Change::Deleted(ownership("shop", "shop")));
        assert!(told().is_empty(), "what is gone does not go");
        // With its namespace, whether that is still there or not.
        namespace(&index, "brief", true);
        index.take(source, &Change::Deleted(ownership("brief", "brief")));
        index.take(source, &Change::Deleted(ownership("gone", "gone")));
        index.take(Source::Namespaces, &Change::Listed(["n-shop", "n-vault", "n-brief"].map(str::to_owned).into()));
        assert!(told().is_empty());
        // By a list that lacks it, as when nobody watched.
        index.take(source, &Change::Listed(HashSet::new()));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(told(), of("vault"));
        // Or that has another in its place.
        index.take(source, &Change::Applied(ownership("shop", "shop")));
        index.take(source, &Change::Applied(ownership("shop", "shop")));
        assert!(told().is_empty(), "it only changed");
        index.take(source, &Change::Applied(ownership("shop", "another")));
        index.take(source, &Change::Listed(["another".to_owned()].into()));
        assert_eq!(told(), of("shop"));
        index.take(source, &Change::Applied(ownership("vault", "2")));
        index.take(source, &Change::Deleted(ownership("vault", "2")));
        tokio::time::advance(KEPT).await;
        assert!(told().is_empty(), "another led, and told, or nobody did");
    }
}
