//! The keeper of the certificates and an API server that fails it: what is served stays, and two leaders at once end up with one authority.
//! The loop is the real one; Secret and webhook configuration are kept by the script, with versions that conflict as an API server's do.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::Method;
use demarc::controller::{
    authority::Lifetimes,
    certificates::{CertificateError, Certificates, Keeper, hosts},
};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::api::{Call, Calls, Reply, client, error, object};

/// What is stored. `way` is how every call fails, while it does.
#[derive(Default)]
struct Store {
    secret: Option<Value>,
    configuration: Option<Value>,
    version: u64,
    way: Option<fn() -> Reply>,
}

type Shared = Arc<Mutex<Store>>;

fn configuration() -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "demarc", "resourceVersion": "1"},
        "webhooks": [{"name": "a.demarc.dev", "clientConfig": {"service": {"namespace": "n", "name": "s"}}, "sideEffects": "None", "admissionReviewVersions": ["v1"]}],
    })
}

fn serve(store: &mut Store, call: &Call) -> Reply {
    if let Some(way) = store.way {
        return way();
    }
    let version = |stored: &Option<Value>| stored.as_ref().map(|s| s["metadata"]["resourceVersion"].clone());
    let found = |stored: &Option<Value>| stored.as_ref().map_or_else(|| error(404), object);
    store.version += 1;
    let next = json!(store.version.to_string());
    if call.path.contains("/secrets") {
        match call.method {
            Method::GET => return found(&store.secret),
            Method::POST if store.secret.is_none() => {}
            Method::PUT if version(&store.secret) == Some(call.body["metadata"]["resourceVersion"].clone()) => {}
            _ => return error(409),
        }
        let mut secret = call.body.clone();
        secret["metadata"]["resourceVersion"] = next;
        store.secret = Some(secret);
        return found(&store.secret);
    }
    if call.method == Method::PATCH {
        if version(&store.configuration) != Some(call.body[0]["value"].clone()) {
            return error(422);
        }
        let configuration = store.configuration.as_mut().unwrap();
        configuration["metadata"]["resourceVersion"] = next;
        configuration["webhooks"][0]["clientConfig"]["caBundle"] = call.body[1]["value"].clone();
    }
    found(&store.configuration)
}

/// The last pair that was taken.
type Taken = Arc<Mutex<Option<(String, String)>>>;

struct Running {
    taken: Taken,
    report: watch::Receiver<Certificates>,
    calls: Calls,
    task: JoinHandle<Result<(), CertificateError>>,
    mandate: watch::Sender<Option<Instant>>,
}

fn replica(store: &Shared, leads: bool) -> Running {
    let store = store.clone();
    let (client, calls) = client(move |call| serve(&mut store.lock().unwrap(), call));
    let (mandate, allowed) = watch::channel(leads.then(|| Instant::now() + Duration::from_secs(100_000_000)));
    let (sender, report) = watch::channel(Certificates::default());
    let keeper = Keeper {
        client,
        namespace: "demarc-system".to_owned(),
        secret: "own".to_owned(),
        configuration: "demarc".to_owned(),
        hosts: hosts("demarc", "demarc-system"),
        lifetimes: Lifetimes::default(),
        mandate: allowed,
        report: sender,
    };
    let taken = Taken::default();
    let last = taken.clone();
    let task = tokio::spawn(keeper.run(move |certificate, key| {
        let pair = Some((certificate.to_owned(), key.to_owned()));
        let mut last = last.lock().unwrap();
        let new = *last != pair;
        *last = pair;
        Ok::<_, String>(new)
    }));
    Running { taken, report, calls, task, mandate }
}

impl Running {
    fn certificate(&self) -> Option<String> {
        self.taken.lock().unwrap().as_ref().map(|(certificate, _)| certificate.clone())
    }

    fn writes(&self) -> usize {
        self.calls.lock().unwrap().iter().filter(|c| c.method != Method::GET).count()
    }
}

fn stored(store: &Shared, name: &str) -> Value {
    store.lock().unwrap().secret.as_ref().unwrap()["data"][name].clone()
}

#[test]
fn the_names_of_a_service() {
    let wanted = ["guard.here", "guard.here.svc", "guard.here.svc.cluster.local"].map(str::to_owned);
    assert_eq!(hosts("guard", "here"), BTreeSet::from(wanted));
}

#[tokio::test(start_paused = true)]
async fn two_that_both_believe_to_lead_end_up_with_one_authority_and_a_follower_writes_nothing() {
    for _ in 0..5 {
        let store = Shared::default();
        store.lock().unwrap().configuration = Some(configuration());
        let replicas = [replica(&store, true), replica(&store, true), replica(&store, false)];
        sleep(Duration::from_secs(10)).await;
        let served: BTreeSet<Option<String>> = replicas.iter().map(Running::certificate).collect();
        assert!(served.len() == 1 && !served.contains(&None), "all serve the same: {served:?}");
        let bundle = store.lock().unwrap().configuration.as_ref().unwrap()["webhooks"][0]["clientConfig"]["caBundle"].clone();
        assert_eq!(bundle, stored(&store, "ca.crt"));
        assert_eq!(replicas[2].writes(), 0);
        // And then there is peace.
        let writes = || replicas.iter().map(Running::writes).sum::<usize>();
        let before = writes();
        sleep(Duration::from_secs(60)).await;
        assert_eq!(writes(), before, "a steady state has no writes");
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_what_is_served_stays_and_afterwards_it_goes_on() {
    let ways: [fn() -> Reply; 4] = [|| Reply::Never, || error(500), || error(403), || error(404)];
    for (n, way) in ways.into_iter().enumerate() {
        let store = Shared::default();
        store.lock().unwrap().configuration = Some(configuration());
        let leader = replica(&store, true);
        sleep(Duration::from_secs(5)).await;
        let before = leader.certificate().unwrap();
        // Nobody may take a lost answer for an empty Secret; 404 is one that somebody deleted.
        if n < 3 {
            store.lock().unwrap().way = Some(way);
            sleep(Duration::from_secs(300)).await;
            assert_eq!(leader.certificate(), Some(before.clone()));
            assert!(!leader.report.borrow().wanting && leader.report.borrow().not_after.is_some());
            assert!(leader.calls.lock().unwrap().len() < 300, "at most one call a second");
            store.lock().unwrap().way = None;
        } else {
            store.lock().unwrap().secret = None;
        }
        sleep(Duration::from_secs(20)).await;
        assert_eq!(leader.certificate() == Some(before), n < 3, "way {n}");
        let bundle = store.lock().unwrap().configuration.as_ref().unwrap()["webhooks"][0]["clientConfig"]["caBundle"].clone();
        assert_eq!(bundle, stored(&store, "ca.crt"));
        assert!(!leader.task.is_finished());
    }
}

#[tokio::test(start_paused = true)]
async fn a_strangers_secret_ends_the_start_and_later_changes_nothing() {
    let strange = || json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own", "resourceVersion": "7"}, "data": {"tls.crt": "eA==", "tls.key": "eA=="}});
    let store = Shared::default();
    store.lock().unwrap().secret = Some(strange());
    let said = replica(&store, true).task.await.unwrap().unwrap_err().to_string();
    assert!(said.contains("demarc-system/own is not Demarc's") && said.contains("--tls-dir"), "{said}");
    assert_eq!(store.lock().unwrap().secret, Some(strange()));

    // Empty is not strange: a chart may make it so, and its labels stay.
    let empty = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": "own", "resourceVersion": "7", "labels": {"app": "demarc"}}});
    store.lock().unwrap().secret = Some(empty);
    let leader = replica(&store, true);
    sleep(Duration::from_secs(5)).await;
    let before = leader.certificate().unwrap();
    let secret = store.lock().unwrap().secret.clone().unwrap();
    assert_eq!((&secret["type"], &secret["metadata"]["labels"]), (&json!("Opaque"), &json!({"app": "demarc", "app.kubernetes.io/managed-by": "demarc"})));

    store.lock().unwrap().secret = Some(strange());
    let writes = leader.writes();
    sleep(Duration::from_secs(300)).await;
    assert_eq!((leader.certificate(), leader.writes(), leader.task.is_finished()), (Some(before), writes, false));
}

#[tokio::test(start_paused = true)]
async fn who_leads_no_more_writes_no_more() {
    let store = Shared::default();
    let follower = replica(&store, false);
    sleep(Duration::from_secs(60)).await;
    assert!(follower.report.borrow().wanting, "somebody must lead");
    assert_eq!(follower.writes(), 0);
    follower.mandate.send_replace(Some(Instant::now() + Duration::from_secs(7)));
    sleep(Duration::from_secs(3)).await;
    assert!(follower.certificate().is_some() && !follower.report.borrow().wanting);
    // Without a configuration nobody calls; when it comes, and the mandate has ended, it stays as it is.
    sleep(Duration::from_secs(5)).await;
    store.lock().unwrap().configuration = Some(configuration());
    let writes = follower.writes();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(follower.writes(), writes);
    follower.mandate.send_replace(Some(Instant::now() + Duration::from_secs(7)));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(follower.writes(), writes + 1);
}
