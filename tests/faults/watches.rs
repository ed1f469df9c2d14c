//! An API server, or something between it and us, that misbehaves towards the watches: nothing is asked hot, nothing stays wrong, and what is stale says so.
//! The loop is the real one, feeding the real index; minutes pass on the paused clock.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use demarc::controller::{
    index::{Index, Source},
    watch::{Health, follow},
};
use futures::{Stream, StreamExt, stream};
use kube::{
    Api,
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::api::{Call, Calls, Reply, Way, answer, client, error, error_event, page, throttled, watch};

struct Watched {
    start: Instant,
    calls: Calls,
    health: Arc<Health>,
    index: Arc<Index>,
}

fn namespaces(script: impl FnMut(&Call) -> Reply + Send + 'static) -> Watched {
    let start = Instant::now();
    let (client, calls) = client(script);
    let (health, index) = (Arc::<Health>::default(), Arc::<Index>::default());
    let api = Api::all_with(client, &ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Namespace"), "namespaces"));
    let sink = index.clone();
    tokio::spawn(follow(api, "namespaces", health.clone(), move |change| sink.take(Source::Namespaces, &change)));
    Watched { start, calls, health, index }
}

impl Watched {
    /// Lets time pass until so many seconds after the start.
    async fn at(&self, second: u64) {
        sleep_until(self.start + Duration::from_secs(second)).await;
    }

    /// Name and version of each namespace in the book.
    fn known(&self) -> BTreeMap<String, String> {
        self.index.settle();
        self.index.shared.book.load().namespaces.values().map(|n| (n.name.clone(), n.labels.get("v").unwrap().to_owned())).collect()
    }

    fn knows(&self, expected: &[(&str, u32)]) {
        assert_eq!(self.known(), expected.iter().map(|(n, v)| ((*n).to_owned(), v.to_string())).collect());
    }

    /// When lists began.
    fn lists(&self) -> Vec<Duration> {
        self.calls.lock().unwrap().iter().filter(|c| !c.is_watch() && c.page() == 1).map(|c| c.at).collect()
    }

    /// The longest time without a new list.
    fn longest_without_list(&self) -> Duration {
        gaps(&self.lists()).max().expect("it was listed once at most")
    }

    /// P7: the pages of one list apart, at most one request a second.
    fn is_paced(&self) {
        let begun: Vec<Duration> = self.calls.lock().unwrap().iter().filter(|c| c.page() == 1).map(|c| c.at).collect();
        assert!(gaps(&begun).all(|gap| gap >= Duration::from_secs(1)), "{begun:?}");
    }
}

fn gaps(times: &[Duration]) -> impl Iterator<Item = Duration> {
    times.windows(2).map(|w| w[1].abs_diff(w[0]))
}

fn namespace(name: &str, version: u32) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": name, "resourceVersion": version.to_string(), "labels": {"v": version.to_string()}}})
}

fn event(kind: &str, name: &str, version: u32) -> Value {
    json!({"type": kind, "object": namespace(name, version)})
}

/// The rest of a watch that says nothing and ends in order.
fn ends_after(seconds: u64) -> impl Stream<Item = String> + Send + 'static {
    stream::once(tokio::time::sleep(Duration::from_secs(seconds))).map(|()| "\n".to_owned())
}

#[tokio::test(start_paused = true)]
async fn watches_that_close_at_once_are_opened_once_a_second_and_the_list_is_read_anew_within_30_s() {
    let watched = namespaces(|call| if call.is_watch() { watch(&[], stream::empty()) } else { page(&[namespace("a", 1)], None) });
    watched.at(300).await;
    watched.is_paced();
    assert!(watched.longest_without_list() <= Duration::from_secs(30), "{:?}", watched.lists());
    assert!(watched.health.fresh());
}

#[tokio::test(start_paused = true)]
async fn watches_that_are_refused_for_ever_lead_to_lists_ever_more_slowly_but_within_30_s() {
    let refusals: [Way; 4] = [
        ("HTTP 410", || error(410)),
        ("410 in the stream", || watch(&[error_event(410)], stream::empty())),
        ("not an event", || watch(&[json!({"type": "NONSENSE", "object": 1})], stream::empty())),
        ("HTTP 403", || error(403)),
    ];
    for (what, refusal) in refusals {
        let watched = namespaces(move |call| if call.is_watch() { refusal() } else { page(&[namespace("a", 1)], None) });
        watched.at(600).await;
        watched.is_paced();
        let gaps: Vec<Duration> = gaps(&watched.lists()).collect();
        assert!(gaps.iter().all(|gap| *gap <= Duration::from_secs(30)), "{what}: {gaps:?}");
        assert!(*gaps.last().unwrap() >= Duration::from_secs(15), "{what}: no back-off: {gaps:?}");
        assert!(watched.health.fresh(), "{what}: the lists keep it fresh");
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_open_watch_is_noticed_within_60_s_of_silence() {
    let watched = namespaces(|call| {
        let version = if call.at < Duration::from_secs(20) { 1 } else { 2 };
        if call.is_watch() { watch(&[], stream::pending()) } else { page(&[namespace("a", version)], None) }
    });
    watched.at(20).await;
    watched.knows(&[("a", 1)]);
    watched.at(70).await;
    watched.knows(&[("a", 2)]);
    watched.at(600).await;
    watched.is_paced();
    assert!(watched.longest_without_list() <= Duration::from_secs(70), "{:?}", watched.lists());
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_never_answered_are_given_up_after_10_s() {
    for watches in [false, true] {
        let watched = namespaces(move |call| if call.is_watch() == watches { Reply::Never } else { page(&[namespace("a", 1)], None) });
        watched.at(100).await;
        watched.is_paced();
        assert!(watched.longest_without_list() <= Duration::from_secs(32), "{:?}", watched.lists());
        assert_eq!(watched.health.fresh(), watches, "a list that was never read is not fresh");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_on_page_3_of_5_is_begun_anew_and_counts_only_when_it_is_whole() {
    let failures: [Way; 5] = [
        ("500", || error(500)),
        ("malformed JSON", || answer(200, "{\"items\": [")),
        ("410, the token is too old", || error(410)),
        ("no answer", || Reply::Never),
        ("429 for an hour", || throttled(3600)),
    ];
    for (what, failure) in failures {
        let watched = namespaces(move |call| match (call.is_watch(), call.page()) {
            (true, _) => watch(&[], stream::pending()),
            (false, 3) if call.at < Duration::from_secs(100) => failure(),
            (false, n) => page(&[namespace(&format!("n{n}"), n)], (n < 5).then_some(n + 1)),
        });
        watched.at(100).await;
        watched.is_paced();
        assert!(!watched.health.fresh(), "{what}: not whole yet");
        assert!((3..=50).contains(&watched.lists().len()), "{what}: {:?}", watched.lists());
        assert!(watched.longest_without_list() <= Duration::from_secs(32), "{what}: {:?}", watched.lists());
        watched.at(140).await;
        assert!(watched.health.fresh(), "{what}: {:?}", watched.lists());
        watched.knows(&[("n1", 1), ("n2", 2), ("n3", 3), ("n4", 4), ("n5", 5)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_can_never_again_be_read_to_the_end_is_stale_after_90_s_and_recovers() {
    let watched = namespaces(|call| {
        let broken = (10..200).contains(&call.at.as_secs());
        match (call.is_watch(), call.page()) {
            // The watch hears its end every 5 s, until it is refused.
            (true, _) if broken => error(410),
            (true, _) => watch(&[], ends_after(5)),
            (false, 1) => page(&[namespace("a", 1)], Some(2)),
            (false, _) if broken => error(500),
            (false, _) => page(&[namespace("b", 1)], None),
        }
    });
    watched.at(80).await;
    assert!(watched.health.fresh());
    watched.at(120).await;
    assert!(!watched.health.fresh(), "the first page of a list proves nothing");
    watched.at(240).await;
    assert!(watched.health.fresh());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hears_nothing_is_stale_after_90_s_and_recovers() {
    let watched = namespaces(|call| match (5..200).contains(&call.at.as_secs()) {
        true => Reply::Never,
        false if call.is_watch() => watch(&[], stream::pending()),
        false => page(&[namespace("a", 1)], None),
    });
    watched.at(85).await;
    assert!(watched.health.fresh());
    watched.at(100).await;
    assert!(!watched.health.fresh());
    watched.knows(&[("a", 1)]);
    watched.at(240).await;
    assert!(watched.health.fresh());
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_list_is_told_and_allowed_again_is_told_too() {
    let watched = namespaces(|call| match call.is_watch() {
        true => watch(&[], stream::empty()),
        // Forbidden in every other minute; a failure of another kind does not change that.
        false if (call.at.as_secs() / 60).is_multiple_of(2) => error(if call.at.as_secs() % 60 < 20 { 403 } else { 500 }),
        false => page(&[namespace("a", 1)], None),
    });
    for minute in 0..4 {
        watched.at(minute * 60 + 50).await;
        let forbidden = minute.is_multiple_of(2);
        assert_eq!(watched.health.denied(), forbidden, "minute {minute}");
        assert!(forbidden || watched.health.fresh(), "minute {minute}");
    }
    watched.is_paced();
}

#[tokio::test(start_paused = true)]
async fn events_that_came_twice_out_of_order_or_never_are_put_right_by_the_next_list() {
    let watched = namespaces(|call| match (call.is_watch(), call.at < Duration::from_millis(500)) {
        (false, true) => page(&[namespace("a", 1), namespace("b", 1)], None),
        // What is true from then on: a was changed twice, b is gone, c and d are new.
        (false, false) => page(&[namespace("a", 3), namespace("c", 5), namespace("d", 6)], None),
        (true, _) if call.at < Duration::from_secs(10) => {
            let wrong = [("MODIFIED", "a", 3), ("MODIFIED", "a", 2), ("DELETED", "b", 4), ("MODIFIED", "b", 2), ("ADDED", "c", 5), ("ADDED", "c", 5)];
            let events: Vec<Value> = wrong.iter().map(|(kind, name, version)| event(kind, name, *version)).collect();
            let ends = stream::once(tokio::time::sleep(Duration::from_secs(20))).map(|()| format!("{}\n", error_event(410)));
            watch(&events, ends)
        }
        (true, _) => watch(&[], stream::pending()),
    });
    watched.at(10).await;
    watched.knows(&[("a", 2), ("b", 2), ("c", 5)]);
    watched.at(30).await;
    watched.knows(&[("a", 3), ("c", 5), ("d", 6)]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_never_came_is_put_right_though_every_watch_ends_well() {
    let watched = namespaces(|call| {
        let version = if call.at < Duration::from_secs(1) { 1 } else { 2 };
        if call.is_watch() { watch(&[], ends_after(50)) } else { page(&[namespace("a", version)], None) }
    });
    watched.at(60).await;
    watched.knows(&[("a", 1)]);
    watched.at(32 * 60).await;
    watched.knows(&[("a", 2)]);
    assert_eq!(watched.lists().len(), 2, "and not listed more often than that");
}
