//! The lease holder's writes about Waivers: where each stands, and an Event once when it is about to end and once when it has.
//! No Event and no condition names a person: who asked and who approved stands in the Waiver alone.

use jiff::Timestamp;
use kube::Api;
use kube::runtime::events::{Event, EventType};

use super::{
    events::{Teller, about},
    reconcile::Reconciler,
    writes::WriteError,
};
use crate::{
    api::{
        Declaration,
        waiver::{Waiver, WaiverState, WaiverStatus},
    },
    controls,
    policy::{
        book::Promise,
        waiver::{MAX_DAYS, Permit, plan, turns},
    },
};

impl Reconciler {
    /// Writes what is new about the Waivers of a namespace; when time alone turns one.
    pub(super) async fn waivers(&self, namespace: &str, teller: &Teller) -> Result<Option<Timestamp>, WriteError> {
        let matrix = match self.index.shared.book.load().promises.get(namespace) {
            Some(Promise::Declared(matrix) | Promise::Broken { last_good: Some(matrix), .. }) => Some(matrix.clone()),
            Some(Promise::Broken { last_good: None, .. }) | None => None,
        };
        let days = matrix.as_ref().map_or(MAX_DAYS, |m| m.waiver_days);
        let find = |id: &str| matrix.as_ref().map_or_else(|| controls::find(id), |m| m.find(id));
        let now = Timestamp::now();
        let (mut permits, mut failed) = (Vec::new(), None);
        for waiver in self.index.waivers(namespace) {
            let permit = Permit::read(&waiver, days, find(&waiver.spec.control));
            if let Some(status) = plan(&waiver, &permit, now) {
                let (name, version) = (&permit.name, waiver.metadata.resource_version.as_deref().unwrap_or_default());
                // What cannot be written of one keeps nothing from the others.
                match self.write_status(&Api::<Waiver>::namespaced(self.client.clone(), namespace), name, version, &status).await {
                    Ok(()) => self.tell_end(teller, &waiver, &status).await,
                    Err(error) => failed = Some(error),
                }
            }
            permits.push(permit);
        }
        failed.map_or_else(|| Ok(turns(&permits, now)), Err)
    }

    async fn tell_end(&self, teller: &Teller, waiver: &Waiver, status: &WaiverStatus) {
        let (Some(state), was) = (status.state, waiver.status.as_ref().and_then(|s| s.state)) else { return };
        let kind = match state {
            WaiverState::Expiring => "Expiring",
            WaiverState::Expired => "Live",
            WaiverState::Requested | WaiverState::Live | WaiverState::Void => return,
        };
        if was == Some(state) {
            return;
        }
        let note = status.conditions.iter().find(|c| c.type_ == kind).map(|c| c.message.clone());
        let event = Event { type_: EventType::Warning, reason: state.to_string(), note, action: "Judge".to_owned(), secondary: None };
        let meta = &waiver.metadata;
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let about = about(Declaration::Waiver, &text(&meta.namespace), &text(&meta.name), &text(&meta.uid));
        teller.publish(&event, &about, self.patience()).await;
    }
}
