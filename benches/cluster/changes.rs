//! P4: every Ownership of the estate is changed at once, and the webhook is asked until it enforces what the API server has accepted. A watch beside
//! Demarc's tells how much of that is the API server's. Asking takes processor time from what is asked, so the figures are on the high side.

use std::{
    cell::RefCell,
    collections::VecDeque,
    time::{Duration, Instant},
};

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::{
    beside::Beside,
    common::{Client, deployment, figure, quantile, review},
    estate::{OWNERSHIPS, namespace},
    process::cpu,
    world::{OURS, World, Write, connect},
};

/// What is enforced after the change, and reported before it.
pub const CONTROL: &str = "image-registry-allowed";
/// One of so many is asked about: asking of all would take the processor from what is asked.
const SAMPLE: usize = 8;
const CHANGERS: usize = 16;
const ASKERS: usize = 4;

fn violator(namespace: &str) -> Bytes {
    let mut object = deployment(namespace, "violator", 0);
    object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("docker.io/stranger/payments:1");
    object["metadata"]["creationTimestamp"] = json!(jiff::Timestamp::now().to_string());
    Bytes::from(review(&object, false))
}

async fn refuses(client: &mut Client, body: &Bytes) -> bool {
    let answer: Value = serde_json::from_slice(&client.ask("/workloads", body).await).unwrap();
    answer["response"]["allowed"] == false
}

/// What is Demarc's of that, and what is the API server's.
fn own(beside: &Beside, refused: &[(usize, Instant, Instant)]) {
    let millis = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64() * 1e3;
    let (mut told, mut own) = (Vec::new(), Vec::new());
    for (i, accepted, refused) in refused {
        // Whoever was faster than that watch has taken nothing.
        let heard = beside.heard(&namespace(*i)).unwrap_or(*refused);
        told.push(millis(*accepted, heard));
        own.push(millis(heard, *refused));
    }
    let [p50, p99, told50, told99] = [(&own, 0.5), (&own, 0.99), (&told, 0.5), (&told, 0.99)].map(|(of, share)| quantile(of.clone(), share));
    let rest = format!(
        "p50 {p50:.0} ms, from heard by a watch that has nothing of Demarc to refused by the webhook; that watch heard p50 {told50:.0} ms, p99 {told99:.0} ms after accepted"
    );
    figure("P4 of Demarc's own", &format!("p99 {p99:.0} ms"), "<= 1000 ms", p99 <= 1_000.0, &rest);
}

pub fn measure(world: &World) {
    world.step(&format!("P4: changing {OWNERSHIPS} Ownerships at once"));
    let (api, webhook, pid) = (world.api(), world.webhook(), world.demarc().pid());
    let bodies: Vec<Bytes> = (0..OWNERSHIPS).map(|i| violator(&namespace(i))).collect();
    let change = json!({"spec": {"controls": [{"control": CONTROL, "enforcement": "Deny"}]}});
    let (next, left) = (RefCell::new(0), RefCell::new(OWNERSHIPS.div_ceil(SAMPLE)));
    let waiting: RefCell<VecDeque<(usize, Instant)>> = RefCell::default();
    let millis = RefCell::new(Vec::new());
    let refused = RefCell::new(Vec::new());
    let beside = Beside::start(world);
    let (before, began) = (cpu(pid), Instant::now());
    let mut changed = Duration::ZERO;
    world.runtime.block_on(async {
        let mut client = Client::connect(&webhook).await;
        assert!(!refuses(&mut client, &bodies[0]).await, "it is enforced already");
        let changers = futures::future::join_all((0..CHANGERS).map(|_| async {
            let mut client = connect(&api).await;
            loop {
                let i = next.replace_with(|next| *next + 1);
                if i >= OWNERSHIPS {
                    return began.elapsed();
                }
                Write::patch(format!("{OURS}/namespaces/{}/ownerships/default", namespace(i)), change.clone()).by(&mut client).await;
                if i.is_multiple_of(SAMPLE) {
                    waiting.borrow_mut().push_back((i, Instant::now()));
                }
            }
        }));
        let askers = futures::future::join_all((0..ASKERS).map(|_| async {
            // Who connects and says nothing for five seconds is sent away.
            while waiting.borrow().is_empty() && *left.borrow() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let mut client = Client::connect(&webhook).await;
            while *left.borrow() > 0 {
                // Those first that could be known: of the others it is asked in vain.
                let known = waiting.borrow().iter().position(|(i, _)| beside.heard(&namespace(*i)).is_some()).unwrap_or_default();
                let first = waiting.borrow_mut().remove(known);
                let Some((i, accepted)) = first else {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                };
                if refuses(&mut client, &bodies[i]).await {
                    millis.borrow_mut().push(accepted.elapsed().as_secs_f64() * 1e3);
                    refused.borrow_mut().push((i, accepted, Instant::now()));
                    *left.borrow_mut() -= 1;
                } else {
                    assert!(accepted.elapsed() < Duration::from_secs(60), "{} is not enforced", namespace(i));
                    waiting.borrow_mut().push_back((i, accepted));
                    // One that waits is asked about again, and not without pause.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }));
        let (changers, _) = futures::join!(changers, askers);
        changed = changers.into_iter().max().unwrap();
    });
    let millis = millis.into_inner();
    let (p50, p99) = (quantile(millis.clone(), 0.5), quantile(millis, 0.99));
    let rest = format!(
        "p50 {p50:.0} ms, from accepted by the API server to refused by the webhook; asked of one in {SAMPLE}; {OWNERSHIPS} Ownerships changed within {:.1} s",
        changed.as_secs_f64()
    );
    figure("P4 changed at once", &format!("p99 {p99:.0} ms"), "<= 1000 ms", p99 <= 1_000.0, &rest);
    own(&beside, &refused.into_inner());
    world.step("P6: waiting for the statuses");
    let rested = world.rest().saturating_duration_since(began).as_secs_f64();
    let behind = world.behind();
    let rest = format!("until {OWNERSHIPS} statuses say it, {behind} do not; {:.1} s CPU in all", cpu(pid) - before);
    figure("P6 said in status", &format!("{rested:.1} s"), "<= 30 s", rested <= 30.0 && behind == 0, &rest);
}
