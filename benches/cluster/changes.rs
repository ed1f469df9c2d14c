//! P4: every Ownership of the estate is changed at once, and the webhook is asked until it enforces what the API server has accepted.
//! Asking takes processor time from what is asked, so the figure is on the high side.

use std::{
    cell::RefCell,
    collections::VecDeque,
    time::{Duration, Instant},
};

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::{
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

pub fn measure(world: &World) {
    world.step(&format!("P4: changing {OWNERSHIPS} Ownerships at once"));
    let (api, webhook, pid) = (world.api(), world.webhook(), world.demarc().pid());
    let bodies: Vec<Bytes> = (0..OWNERSHIPS).map(|i| violator(&namespace(i))).collect();
    let change = json!({"spec": {"controls": [{"control": CONTROL, "enforcement": "Deny"}]}});
    let (next, left) = (RefCell::new(0), RefCell::new(OWNERSHIPS.div_ceil(SAMPLE)));
    let waiting: RefCell<VecDeque<(usize, Instant)>> = RefCell::default();
    let millis = RefCell::new(Vec::new());
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
            let mut client = Client::connect(&webhook).await;
            while *left.borrow() > 0 {
                let first = waiting.borrow_mut().pop_front();
                let Some((i, accepted)) = first else {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                };
                if refuses(&mut client, &bodies[i]).await {
                    millis.borrow_mut().push(accepted.elapsed().as_secs_f64() * 1e3);
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
    world.step("P6: waiting for the statuses");
    let rested = world.rest().saturating_duration_since(began).as_secs_f64();
    let behind = world.behind();
    let rest = format!("until {OWNERSHIPS} statuses say it, {behind} do not; {:.1} s CPU in all", cpu(pid) - before);
    figure("P6 said in status", &format!("{rested:.1} s"), "<= 30 s", rested <= 30.0 && behind == 0, &rest);
}
