//! Many declarations that change in a row: what enforces is written at once, and what tells of it when they pause, or have gone on for too long.
//! The reconciler is the real one on the real index and a paused clock; the script takes whatever is written, and plays the watch.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use axum::http::Method;
use demarc::{
    api::Declaration,
    controller::{
        index::{Index, Source},
        reconcile::Reconciler,
    },
};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::api::{Call, client, feed, object, ownership};

fn namespace(name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": format!("n-{name}"), "labels": labels}})
}

/// When each namespace was declared, labelled and told of for the first time.
struct Times {
    declared: Vec<Duration>,
    labelled: HashMap<String, Duration>,
    told: HashMap<String, Duration>,
    writes: usize,
}

/// One declaration each `apart`, so many; when the last was made, the lead is lost for so long.
async fn declare(many: usize, apart: Duration, unled: Duration) -> Times {
    let (index, start) = (Arc::<Index>::default(), Instant::now());
    for i in 0..many {
        feed(&index, Source::Namespaces, namespace(&format!("shop-{i}"), &json!({})));
    }
    index.shared.set_ready(true);
    let seen = index.clone();
    let (client, calls) = client(move |call: &Call| {
        let parts: Vec<&str> = call.path.split('/').collect();
        match (&call.method, parts.as_slice()) {
            (&Method::PATCH, [.., "namespaces", name]) => feed(&seen, Source::Namespaces, namespace(name, &call.body["metadata"]["labels"])),
            (&Method::PATCH, [.., name, "ownerships", "default", "status"]) => {
                feed(&seen, Source::Declared(Declaration::Ownership), ownership(name, 2, &call.body[1]["value"]));
            }
            _ => {}
        }
        object(&call.body)
    });
    let until = Instant::now() + Duration::from_secs(3600);
    let (mandate_sender, mandate) = watch::channel(Some(until));
    let reconciled = index.clone();
    tokio::spawn(async move {
        Reconciler { index: reconciled, client, mandate, own_namespace: None, replica: "demarc-1".to_owned(), traces: demarc::traces::Traces::default() }.run().await;
    });
    let mut declared = Vec::new();
    for i in 0..many {
        feed(&index, Source::Declared(Declaration::Ownership), ownership(&format!("shop-{i}"), 1, &Value::Null));
        declared.push(start.elapsed());
        sleep(apart).await;
    }
    if !unled.is_zero() {
        mandate_sender.send_replace(None);
        sleep(unled).await;
        mandate_sender.send_replace(Some(until));
    }
    sleep(Duration::from_secs(60)).await;
    let mut times = Times { declared, labelled: HashMap::new(), told: HashMap::new(), writes: 0 };
    for call in calls.lock().unwrap().iter().filter(|c| c.method == Method::PATCH) {
        let of = call.path.split('/').find(|part| part.starts_with("shop-")).unwrap_or_default().to_owned();
        let kind = if call.path.ends_with("/status") { &mut times.told } else { &mut times.labelled };
        kind.entry(of).or_insert(call.at);
        times.writes += usize::from(call.path.ends_with("/status"));
    }
    times
}

fn name(i: usize) -> String {
    format!("shop-{i}")
}

#[tokio::test(start_paused = true)]
async fn while_declarations_keep_coming_they_are_enforced_at_once_and_told_of_when_they_pause() {
    let times = declare(60, Duration::from_millis(100), Duration::ZERO).await;
    for (i, declared) in times.declared.iter().enumerate() {
        let took = times.labelled[&name(i)].saturating_sub(*declared);
        assert!(took <= Duration::from_secs(1), "{i} was labelled after {took:?}");
    }
    let last = times.declared[59];
    let early = times.told.values().filter(|at| **at < last).count();
    assert!(early < 16, "{early} were told before the last was declared");
    assert!(times.told.values().all(|at| *at <= last + Duration::from_secs(2)), "{:?}", times.told.values().max());
    assert_eq!((times.told.len(), times.writes), (60, 60), "each is told, once");
}

#[tokio::test(start_paused = true)]
async fn what_never_pauses_is_told_of_all_the_same() {
    let times = declare(400, Duration::from_millis(100), Duration::ZERO).await;
    let told: HashSet<&String> = times.told.iter().filter(|(_, at)| **at <= Duration::from_secs(18)).map(|(name, _)| name).collect();
    assert!((0..140).all(|i| told.contains(&name(i))), "{} within 18 s", told.len());
    for (i, declared) in times.declared.iter().enumerate().skip(160) {
        let took = times.told[&name(i)].saturating_sub(*declared);
        assert!(took <= Duration::from_secs(3), "{i} was told of after {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_when_the_lead_is_lost_is_told_by_whoever_leads_then_and_nobody_spins_meanwhile() {
    let times = declare(60, Duration::from_millis(100), Duration::from_secs(30)).await;
    let last = times.declared[59];
    let meanwhile = times.told.values().filter(|at| **at > last + Duration::from_millis(200) && **at < last + Duration::from_secs(30)).count();
    assert_eq!((meanwhile, times.told.len(), times.writes), (0, 60, 60));
}
