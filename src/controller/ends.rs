//! Looks at when the served certificate and the caBundle end, wherever they come from, and tells of it before: in the log of each replica, in
//! `Enforcing`, and by the leader in one Event at each notice. What is worth a word is decided in `policy::expiry`.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType},
};

use super::{
    events::Teller,
    index::Index,
    lease::{self, Mandate, leading},
};
use crate::policy::expiry::{Ending, Validity, Whose};

const EVERY: Duration = Duration::from_secs(10);
const CALL: Duration = Duration::from_secs(5);

/// Looks for ever.
pub struct Lookout<F> {
    /// Where the webhook configuration is known, and what is found goes.
    pub index: Arc<Index>,
    /// The API server.
    pub client: Client,
    /// Whether this replica may write now.
    pub mandate: Mandate,
    /// What is served.
    pub served: F,
    /// Where the Lease is, at which the Event stands.
    pub namespace: String,
    /// Stands in Events.
    pub replica: String,
}

/// What was told last of one certificate: its end, and the days.
#[derive(Debug, Default)]
struct Told(Option<(Timestamp, i64)>);

impl Told {
    /// Whether this is news: another certificate, or fewer days.
    fn news(&mut self, ending: &Ending) -> bool {
        let new = self.0.is_none_or(|(until, days)| until != ending.until || days > ending.days);
        if new {
            self.0 = Some((ending.until, ending.days));
        }
        new
    }
}

impl<F: Fn() -> Option<Validity>> Lookout<F> {
    /// A new leader tells once more what still holds: of an Event nothing is left after an hour.
    pub async fn run(self) {
        let teller = Teller::new(self.client.clone(), &self.replica);
        let (mut logged, mut told) = ([Told::default(), Told::default()], [Told::default(), Told::default()]);
        let mut clock = tokio::time::interval(EVERY);
        loop {
            clock.tick().await;
            let now = Timestamp::now();
            let found = [(Whose::Certificate, (self.served)()), (Whose::Authority, self.index.trusted())];
            let found = found.map(|(whose, validity)| Ending::of(whose, validity?, now));
            self.index.set_ending(found.into_iter().flatten().min_by_key(|ending| ending.until));
            for (at, ending) in found.iter().enumerate() {
                let Some(ending) = ending else { continue };
                if logged[at].news(ending) {
                    tracing::warn!(not_after = %ending.until, "{}: look for what keeps it from being renewed", ending.message());
                }
                if leading(&self.mandate) && told[at].news(ending) {
                    self.tell(&teller, ending).await;
                }
            }
        }
    }

    async fn tell(&self, teller: &Teller, ending: &Ending) {
        let left = if ending.over() { String::new() } else { format!(" (within {} days)", ending.days) };
        let event =
            Event { type_: EventType::Warning, reason: ending.reason().to_owned(), note: Some(format!("{}{left}", ending.message())), action: "Renew".to_owned(), secondary: None };
        let about = ObjectReference {
            api_version: Some("coordination.k8s.io/v1".to_owned()),
            kind: Some("Lease".to_owned()),
            name: Some(lease::NAME.to_owned()),
            namespace: Some(self.namespace.clone()),
            ..ObjectReference::default()
        };
        teller.publish(&event, &about, CALL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_notice_is_told_once_and_a_new_certificate_begins_anew() {
        let mut told = Told::default();
        let ending = |until: i64, days| Ending { whose: Whose::Certificate, until: Timestamp::from_second(until).unwrap(), days };
        for (until, days, news) in [(9, 30, true), (9, 30, false), (9, 7, true), (9, 7, false), (9, 1, true), (9, 0, true), (9, 0, false), (99, 30, true), (99, 1, true)] {
            assert_eq!(told.news(&ending(until, days)), news, "{until} {days}");
        }
    }
}
