//! An API server that refuses what the lease holder writes: it is written again, once what changed has been seen, and no more than needed.
//! The reconciler is the real one on the real index; the script plays the watch, too.

use std::{sync::Arc, time::Duration};

use axum::http::Method;
use demarc::{
    api::Declaration,
    api::{ENROLLED_LABEL, ENROLLED_VALUE},
    controller::{
        index::{Index, Source},
        reconcile::Reconciler,
        watch::Change,
    },
    policy::tally::Of,
};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::api::{Call, Calls, Reply, Way, client, error, feed, object, ownership};

/// What becomes of a status write.
enum Fate {
    Taken,
    /// Taken, and the answer is lost on the way.
    Unanswered,
    Refused(Reply),
}

/// A reconciler that leads, over one namespace that is declared and enrolled; `fate` is told the number of each status write, from 1.
fn reconcile(mut fate: impl FnMut(usize) -> Fate + Send + 'static) -> Calls {
    let index = Arc::<Index>::default();
    feed(&index, Source::Namespaces, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "uid": "n", "labels": {ENROLLED_LABEL: ENROLLED_VALUE}}}));
    feed(&index, Source::Declared(Declaration::Ownership), ownership("shop", 1, &Value::Null));
    index.shared.set_ready(true);
    let (mut version, mut writes) = (1, 0);
    let seen = index.clone();
    let (client, calls) = client(move |call: &Call| {
        if !is_status_write(call) {
            return object(&call.body);
        }
        writes += 1;
        let fate = fate(writes);
        if let Fate::Refused(refusal) = fate {
            if matches!(&refusal, Reply::Answer(r) if r.status() == 422) {
                // Somebody else wrote in between, and the watch says so.
                version += 1;
                feed(&seen, Source::Declared(Declaration::Ownership), ownership("shop", version, &Value::Null));
            }
            return refusal;
        }
        if call.body[0]["value"] != json!(version.to_string()) {
            return error(422);
        }
        version += 1;
        let stored = ownership("shop", version, &call.body[1]["value"]);
        feed(&seen, Source::Declared(Declaration::Ownership), stored.clone());
        if matches!(fate, Fate::Unanswered) { Reply::Never } else { object(&stored) }
    });
    lead(index, client);
    calls
}

/// The reconciler, which leads until it is aborted.
fn lead(index: Arc<Index>, client: kube::Client) -> JoinHandle<()> {
    let (mandate_sender, mandate) = watch::channel(Some(Instant::now() + Duration::from_secs(3600)));
    tokio::spawn(async move {
        Reconciler { index, client, mandate, own_namespace: None, replica: "demarc-1".to_owned(), traces: demarc::traces::Traces::default() }.run().await;
        drop(mandate_sender);
    })
}

fn is_status_write(call: &Call) -> bool {
    call.method == Method::PATCH && call.path == "/apis/demarc.dev/v1alpha1/namespaces/shop/ownerships/default/status"
}

fn writes(calls: &Calls) -> Vec<Call> {
    calls.lock().unwrap().iter().filter(|c| is_status_write(c)).cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn a_status_that_conflicts_is_written_again_with_the_new_version_and_then_left_alone() {
    let calls = reconcile(|n| if n <= 3 { Fate::Refused(error(422)) } else { Fate::Taken });
    sleep(Duration::from_secs(15)).await;
    let first = writes(&calls);
    assert_eq!(first.len(), 4, "three conflicts and one success: {first:#?}");
    let versions: Vec<&Value> = first.iter().map(|c| &c.body[0]["value"]).collect();
    assert_eq!(versions, ["1", "2", "3", "4"], "each with the version that was read last");
    assert!(first[3].body[1]["value"]["conditions"].is_array());
    let events = calls.lock().unwrap().iter().filter(|c| c.path.contains("/events")).count();
    assert!(events > 0 && calls.lock().unwrap().iter().filter(|c| c.at < first[3].at).all(is_status_write), "an Event tells what was written, not what was tried");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(writes(&calls).len(), 4, "nothing changed, nothing is written");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_or_is_never_answered_is_tried_again_about_once_a_second() {
    let ways: [Way; 2] = [("no answer", || Reply::Never), ("500", || error(500))];
    for (what, way) in ways {
        let calls = reconcile(move |n| if n <= 5 { Fate::Refused(way()) } else { Fate::Taken });
        sleep(Duration::from_secs(120)).await;
        let times: Vec<Duration> = writes(&calls).iter().map(|c| c.at).collect();
        assert_eq!(times.len(), 6, "{what}: {times:?}");
        // One of them may be the clock's.
        let took = times[5].abs_diff(times[0]);
        assert!(took >= Duration::from_secs(4) && took <= Duration::from_secs(70), "{what}: {times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_lost_is_not_written_twice() {
    let calls = reconcile(|_| Fate::Unanswered);
    sleep(Duration::from_secs(300)).await;
    assert_eq!(writes(&calls).len(), 1, "the watch showed that it was taken");
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_enrolled_is_counted_as_declared_and_not_enforced_as_long_as_that_is_so() {
    let index = Arc::<Index>::default();
    for (namespace, mode) in [("shop", "Enforce"), ("quiet", "Audit")] {
        feed(&index, Source::Namespaces, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "uid": namespace}}));
        let mut declared = ownership(namespace, 1, &Value::Null);
        declared["spec"]["mode"] = json!(mode);
        feed(&index, Source::Declared(Declaration::Ownership), declared);
    }
    index.shared.set_ready(true);
    let (client, _) = client(|call: &Call| if call.path.starts_with("/api/v1/namespaces/") { error(403) } else { object(&call.body) });
    lead(index.clone(), client);
    sleep(Duration::from_secs(30)).await;
    let of = |status, reason| ((Of::Namespace, (status, reason)), 1);
    assert_eq!(index.shared.tally.enforcing(), [of("False", "NotEnrolled"), of("False", "ModeAudit")].into());
    // Somebody who may has set the label: that it is asked about is yet to be proven.
    let labels = json!({ENROLLED_LABEL: ENROLLED_VALUE});
    feed(&index, Source::Namespaces, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "uid": "shop", "labels": labels}}));
    sleep(Duration::from_secs(30)).await;
    assert_eq!(index.shared.tally.enforcing(), [of("Unknown", "NotProvenYet"), of("False", "ModeAudit")].into());
    let gone = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "uid": "shop"}});
    index.take(Source::Namespaces, &Change::Deleted(Box::new(serde_json::from_value(gone).unwrap())));
    sleep(Duration::from_secs(30)).await;
    assert_eq!(index.shared.tally.enforcing(), [of("False", "ModeAudit")].into());
}

#[tokio::test(start_paused = true)]
async fn what_turns_at_a_baseline_is_told_once_when_its_status_is_written_and_not_again_by_who_leads_next() {
    const STATUS: &str = "/apis/demarc.dev/v1alpha1/baselines/gold/status";
    let index = Arc::<Index>::default();
    let baseline = |version: u32, status: &Value| {
        json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Baseline", "metadata": {"name": "gold", "uid": "b", "resourceVersion": version.to_string(), "generation": 1},
            "spec": {"namespaceSelector": {"matchLabels": {"tier": "gold"}}, "undeclared": "Warn"}, "status": status})
    };
    // As an earlier leader left it; what became of the label by now, nobody has told yet.
    let proven = json!({"type": "Enforcing", "status": "True", "reason": "Proven", "message": "", "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"});
    feed(&index, Source::Namespaces, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bare", "uid": "n", "labels": {"tier": "gold"}}}));
    feed(&index, Source::Declared(Declaration::Baseline), baseline(1, &json!({"conditions": [proven]})));
    index.shared.set_ready(true);
    let (mut version, mut tries) = (1, 0);
    let seen = index.clone();
    let (client, calls) = client(move |call: &Call| {
        if call.path != STATUS {
            return if call.path == "/api/v1/namespaces/bare" { error(403) } else { object(&call.body) };
        }
        tries += 1;
        version += 1;
        let status = if tries == 1 { json!({"conditions": [proven]}) } else { call.body[1]["value"].clone() };
        feed(&seen, Source::Declared(Declaration::Baseline), baseline(version, &status));
        if tries == 1 { error(422) } else { object(&call.body) }
    });
    let told = || {
        let of = |c: &&Call| c.path.contains("/events") && c.body["regarding"]["kind"] == "Baseline" && c.body["note"].as_str().is_some_and(|n| n.starts_with("Enforcing: "));
        calls.lock().unwrap().iter().filter(of).cloned().collect::<Vec<_>>()
    };
    let written = || calls.lock().unwrap().iter().filter(|c| c.path == STATUS).cloned().collect::<Vec<_>>();
    let first = lead(index.clone(), client.clone());
    sleep(Duration::from_secs(30)).await;
    let (events, writes) = (told(), written());
    assert_eq!((events.len(), writes.len()), (1, 2), "one that was refused tells nothing: {events:#?}");
    let event = &events[0].body;
    assert_eq!(
        (&event["reason"], &event["type"], &event["regarding"]["name"], &event["regarding"]["uid"]),
        (&json!("NotEnrolled"), &json!("Warning"), &json!("gold"), &json!("b"))
    );
    assert!(events[0].at >= writes[1].at);
    // Whoever leads next has marked everything meanwhile.
    first.abort();
    index.mark_all();
    lead(index.clone(), client);
    sleep(Duration::from_secs(600)).await;
    assert_eq!((told().len(), written().len()), (1, 2));
}

/// Five are due, of which four are written at once. While they are, the fifth is declared anew, and no book shows that yet.
#[tokio::test(start_paused = true)]
async fn a_declaration_that_came_since_the_book_was_made_is_judged_by_one_that_shows_it() {
    let index = Arc::<Index>::default();
    let declared = |namespace: &str, generation: u32, model: &str| {
        let mut stored = ownership(namespace, generation, &Value::Null);
        stored["metadata"]["generation"] = json!(generation);
        stored["spec"]["serviceModel"] = json!(model);
        stored
    };
    for namespace in ["a", "b", "c", "d", "e"] {
        let labels = json!({ENROLLED_LABEL: ENROLLED_VALUE});
        feed(&index, Source::Namespaces, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "uid": namespace, "labels": labels}}));
        feed(&index, Source::Declared(Declaration::Ownership), declared(namespace, 1, "PaaS"));
    }
    index.shared.set_ready(true);
    let (seen, mut anew) = (index.clone(), false);
    let (client, calls) = client(move |call: &Call| {
        if !std::mem::replace(&mut anew, true) {
            feed(&seen, Source::Declared(Declaration::Ownership), declared("e", 2, "SaaS"));
        }
        object(&call.body)
    });
    lead(index, client);
    sleep(Duration::from_secs(5)).await;
    let first = calls.lock().unwrap().iter().find(|c| c.path == "/apis/demarc.dev/v1alpha1/namespaces/e/ownerships/default/status").cloned().unwrap();
    let status = &first.body[1]["value"];
    let row = status["matrix"].as_array().unwrap().iter().find(|row| row["control"] == "etcd-encryption-attested").unwrap();
    assert_eq!((&status["observedGeneration"], &row["owner"]), (&json!(2), &json!("Provider")), "{status}");
}
