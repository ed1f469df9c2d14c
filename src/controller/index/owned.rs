//! The custom resources for which third-party controllers make Pods, as far as Baselines list their kinds.
//! They stand among the records, so that a decision finds them; that their kinds come and go is told to whoever watches them.

use std::{collections::BTreeSet, sync::Arc};

use super::Index;
use crate::controller::{owners, watch::Change};

impl Index {
    /// The kinds that the Baselines list, as `group/Kind`.
    pub fn owner_kinds(&self) -> BTreeSet<String> {
        let state = self.state();
        state.declared.baselines.values().flat_map(|(baseline, _)| &baseline.spec.controllers).flat_map(|c| c.kinds.iter().cloned()).collect()
    }

    /// Waits until Baselines may list others.
    pub async fn owner_kinds_changed(&self) {
        self.listed.notified().await;
    }

    /// Takes in what a watch says of such a kind. What is only written again concerns nobody.
    pub fn take_owner(&self, kind: &Arc<str>, change: &Change) {
        match change {
            Change::Applied(object) | Change::Deleted(object) => {
                let (namespace, uid) = (object.metadata.namespace.as_deref().unwrap_or_default(), object.metadata.uid.as_deref().unwrap_or_default());
                if matches!(change, Change::Deleted(_)) {
                    self.shared.objects_mut().disown(namespace, uid);
                } else if self.shared.objects_mut().own(namespace, uid, owners::read(kind, object)) {
                    self.mark(namespace);
                }
            }
            Change::Listed(uids) => self.shared.objects_mut().disown_all(kind, |uid| !uids.contains(uid)),
        }
    }

    /// Says why such a kind cannot be read, or that it can.
    pub fn see_owners(&self, kind: &str, unseen: Option<String>) {
        let is_news = self.shared.objects_mut().see(kind, unseen);
        if is_news {
            self.wake();
        }
    }
}
