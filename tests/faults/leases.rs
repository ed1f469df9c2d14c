//! Two replicas and one Lease, while the API server fails one of them: never do both write, and soon one does.
//! The loops are the real ones; the Lease is kept by the script, with versions that conflict as an API server's do.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::http::Method;
use demarc::controller::lease::{self, Mandate, leading};
use kube::Api;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::api::{Call, Reply, Way, client, error, object, throttled};

/// The stored Lease and its version.
type Store = Arc<Mutex<Option<(Value, u64)>>>;

fn serve(store: &Store, call: &Call) -> Reply {
    let mut stored = store.lock().unwrap();
    let (holder, version) = match (&call.method, &*stored) {
        (&Method::GET, None) => return error(404),
        (&Method::GET, Some((holder, version))) => (holder.clone(), *version),
        (&Method::POST, None) => (call.body["spec"]["holderIdentity"].clone(), 1),
        (&Method::PATCH, Some((_, version))) if call.body["metadata"]["resourceVersion"].as_str() == Some(&version.to_string()) => {
            (call.body["spec"]["holderIdentity"].clone(), version + 1)
        }
        _ => return error(409),
    };
    *stored = Some((holder.clone(), version));
    object(&json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "demarc", "namespace": "demarc-system", "resourceVersion": version.to_string()},
        "spec": {"holderIdentity": holder},
    }))
}

/// A replica whose calls fail in this way while `cut`.
fn replica(name: &str, store: &Store, cut: &Arc<AtomicBool>, way: fn() -> Reply) -> Mandate {
    let (store, cut) = (store.clone(), cut.clone());
    let (client, _) = client(move |call| if cut.load(Ordering::Relaxed) { way() } else { serve(&store, call) });
    let (sender, mandate) = watch::channel(None);
    tokio::spawn(lease::run(Api::namespaced(client, "demarc-system"), name.to_owned(), sender));
    mandate
}

/// Lets time pass until this holds, and looks at every tenth of a second that not both lead.
async fn until(what: &str, limit: Duration, (a, b): (&Mandate, &Mandate), mut holds: impl FnMut(bool, bool) -> bool) {
    let start = Instant::now();
    loop {
        let (a, b) = (leading(a), leading(b));
        assert!(!(a && b), "{what}: both lead after {:?}", start.elapsed());
        if holds(a, b) {
            return;
        }
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_by_its_own_clock_and_the_other_takes_over_within_15_s() {
    let ways: [Way; 5] = [
        ("no answer", || Reply::Never),
        ("503, which the client repeats by itself", || error(503)),
        ("429 for an hour", || throttled(3600)),
        ("500", || error(500)),
        ("403", || error(403)),
    ];
    for (what, way) in ways {
        let (store, cut, whole) = (Store::default(), Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let a = replica("a", &store, &cut, way);
        sleep(Duration::from_secs(1)).await;
        let b = replica("b", &store, &whole, way);
        let both = (&a, &b);
        until(what, Duration::from_secs(5), both, |a, _| a).await;
        // A minute in which nothing is wrong: the leader stays.
        let start = Instant::now();
        until(what, Duration::from_secs(61), both, |a, _| {
            assert!(a, "{what}: lost without a reason");
            start.elapsed() >= Duration::from_secs(60)
        })
        .await;
        cut.store(true, Ordering::Relaxed);
        let start = Instant::now();
        until(what, lease::DEADLINE + Duration::from_millis(200), both, |a, _| !a).await;
        until(what, Duration::from_secs(15), both, |_, b| b).await;
        assert!(start.elapsed() <= Duration::from_secs(15), "{what}: {:?}", start.elapsed());
        // It comes back, and waits.
        cut.store(false, Ordering::Relaxed);
        let start = Instant::now();
        until(what, Duration::from_secs(61), both, |_, b| {
            assert!(b, "{what}: lost without a reason");
            start.elapsed() >= Duration::from_secs(60)
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_replicas_that_start_at_once_do_not_both_lead() {
    let (store, whole) = (Store::default(), Arc::<AtomicBool>::default());
    let (a, b) = (replica("a", &store, &whole, || Reply::Never), replica("b", &store, &whole, || Reply::Never));
    let start = Instant::now();
    until("from the start", Duration::from_secs(61), (&a, &b), |a, b| {
        assert!(a || b || start.elapsed() < Duration::from_secs(15), "nobody leads");
        start.elapsed() >= Duration::from_secs(60)
    })
    .await;
}
