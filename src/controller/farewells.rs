//! The lease holder's word about Ownerships that were deleted. Nobody is kept from deleting one, for its namespace must be able to go; but nobody
//! does it unheard: a line in the log, a count, and an Event where it was and at each Baseline that holds there now.

use std::time::Duration;

use kube::runtime::events::{Event, EventType};

use super::{
    events::{Teller, about},
    index::Deleted,
    lease::leading,
    reconcile::Reconciler,
};
use crate::{api::Declaration, model::text::shown};

/// So many are told by Events at once, each of which waits for its answer. Of more at once the log and the count tell.
const MOST: usize = 20;

/// How often it is looked for them: beside what is judged, for a pass over thousands of namespaces may take longer than they are kept.
const EVERY: Duration = Duration::from_millis(500);

impl Reconciler {
    /// Tells of them for ever, while this replica leads.
    pub(super) async fn keep_farewells(&self, teller: &Teller) {
        loop {
            tokio::time::sleep(EVERY).await;
            if leading(&self.mandate) && self.index.shared.ready() {
                self.farewells(teller).await;
            }
        }
    }

    /// Tells of those that were deleted since it was last asked.
    async fn farewells(&self, teller: &Teller) {
        let gone = self.index.drain_deleted();
        if gone.is_empty() {
            return;
        }
        let (book, baselines) = (self.index.shared.book.load_full(), self.index.baselines());
        for (before, Deleted { namespace, uid }) in gone.into_iter().enumerate() {
            let holding = book.floors.get(&namespace).map(|floor| floor.baselines.as_slice()).unwrap_or_default();
            let made_anew = self.index.stored(&namespace).is_some();
            self.index.shared.tally.departed();
            tracing::warn!(namespace, baselines = ?holding, made_anew, "an ownership was deleted");
            if before >= MOST {
                continue;
            }
            let rest = match (made_anew, holding) {
                (true, _) => "another was made since".to_owned(),
                (false, []) => "no Baseline holds here, so nothing is asked any more".to_owned(),
                (false, names) => format!("what holds here now is asked by {}", names.join(", ")),
            };
            let tell = |note: String| Event {
                type_: EventType::Warning,
                reason: "OwnershipDeleted".to_owned(),
                note: Some(shown(&note, 500)),
                action: "Delete".to_owned(),
                secondary: None,
            };
            let place = about(Declaration::Ownership, &namespace, "default", &uid);
            teller.publish(&tell(format!("the Ownership was deleted; {rest}")), &place, self.patience()).await;
            for baseline in baselines.iter().filter(|b| b.metadata.name.as_ref().is_some_and(|name| holding.contains(name))) {
                let text = |field: &Option<String>| field.clone().unwrap_or_default();
                let place = about(Declaration::Baseline, "", &text(&baseline.metadata.name), &text(&baseline.metadata.uid));
                teller.publish(&tell(format!("the Ownership of namespace {namespace} was deleted; {rest}")), &place, self.patience()).await;
            }
        }
    }
}
