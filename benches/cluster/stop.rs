//! W7 and W13: one replica, run as a pod of the chart runs, is asked directly: the largest reviews and nonsense, far more than it can answer,
//! and SIGTERM in the midst of requests.

use std::{
    cell::Cell,
    process::Command,
    time::{Duration, Instant},
};

use axum::body::Bytes;
use hyper::Method;
use serde_json::json;

use crate::{
    common::{Client, Server, deployment, figure, quantile, review},
    process::{forget_peak, peak, resident},
    world::{JSON, World},
};

const MIB: usize = 1 << 20;
/// Below what four peers may have of the webhook's connections.
const FLOOD: usize = 200;

/// What came of asking for a while.
#[derive(Default)]
struct Asked {
    millis: Vec<f64>,
    failed: usize,
}

/// Each connection asks again as soon as it is answered, until `until`. A connection that an answer has ended is made anew; whatever was sent
/// and not answered has failed.
async fn ask_on(webhook: &Server, connections: usize, body: &Bytes, until: Instant) -> Asked {
    let failed = Cell::new(0);
    let failed_ref = &failed;
    let each = futures::future::join_all((0..connections).map(|_| async move {
        let mut millis = Vec::new();
        while Instant::now() < until {
            let Ok(mut client) = Client::try_connect(webhook).await else {
                failed_ref.set(failed_ref.get() + 1);
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            while Instant::now() < until && client.open().await {
                let began = Instant::now();
                match client.send(Method::POST, "/workloads", JSON, body.clone()).await {
                    Ok((status, _)) if status.is_success() => millis.push(began.elapsed().as_secs_f64() * 1e3),
                    // Never sent: the answer before had said that it is the last.
                    Err(error) if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled) => break,
                    Ok(_) | Err(_) => {
                        failed_ref.set(failed_ref.get() + 1);
                        break;
                    }
                }
            }
        }
        millis
    }));
    Asked { millis: each.await.concat(), failed: failed.get() }
}

fn small(namespace: &str) -> Bytes {
    Bytes::from(review(&deployment(namespace, "payments", 32), false))
}

pub fn measure(world: &mut World) {
    world.step("W7: the largest reviews, and nonsense");
    world.declare("stop", &json!({}));
    let (replica, webhook) = world.replica("two");
    large(world, &webhook, replica.pid());

    world.step("W13: more than can be answered, for 5 s");
    let body = small("stop");
    let (for_a_while, pid) = (|seconds| Instant::now() + Duration::from_secs(seconds), replica.pid());
    let calm = world.runtime.block_on(ask_on(&webhook, 8, &body, for_a_while(2)));
    let before = resident(pid);
    forget_peak(pid);
    let flood = world.runtime.block_on(ask_on(&webhook, FLOOD, &body, for_a_while(5)));
    let began = Instant::now();
    let mut client = world.runtime.block_on(Client::connect(&webhook));
    let usual = quantile(calm.millis.clone(), 0.99);
    let recovered = loop {
        let asked = Instant::now();
        world.runtime.block_on(client.ask("/workloads", &body));
        if asked.elapsed().as_secs_f64() * 1e3 <= usual {
            break began.elapsed().as_secs_f64() * 1e3;
        }
    };
    let rest = format!(
        "until answered as fast as before; {FLOOD} connections without pause: {} answered, {} failed, p99 {:.0} ms, {before:.1} MiB -> {:.1}; 8 connections: {:.0} a second, p99 {usual:.1} ms",
        flood.millis.len(),
        flood.failed,
        quantile(flood.millis.clone(), 0.99),
        peak(pid).unwrap(),
        calm.millis.len() as f64 / 2.0,
    );
    figure("W13 recovery", &format!("{recovered:.0} ms"), "< 1000 ms, 0 failed", recovered < 1_000.0 && flood.failed == 0, &rest);

    world.step("W13: SIGTERM under requests");
    let kill = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        assert!(Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap().success());
    });
    // An endpoint is gone everywhere some seconds after the Pod says that it leaves.
    let asked = world.runtime.block_on(ask_on(&webhook, 16, &body, for_a_while(5)));
    kill.join().unwrap();
    let ended = replica.ended(Duration::from_secs(20));
    let well = ended.is_some_and(|status| status.success());
    let rest = format!("{} answered, over 16 connections until 4 s after SIGTERM; it ended {}", asked.millis.len(), if well { "with 0" } else { "otherwise" });
    figure("W13 graceful stop", &format!("{} failed", asked.failed), "0", asked.failed == 0 && well, &rest);
}

/// W7: four at once, three times.
fn large(world: &World, webhook: &Server, pid: u32) {
    const AT_ONCE: usize = 4;
    let variables = 3 * MIB / json!({"name": "SETTING_10000", "value": "some-value-of-usual-length"}).to_string().len();
    let whole = review(&deployment("stop", "payments", variables), true);
    let nested = [b"{\"request\":{\"uid\":\"705ab4f5\",\"object\":".as_slice(), "[".repeat(3 * MIB).as_bytes()].concat();
    let truncated = whole[..whole.len() / 2].to_vec();
    let base = resident(pid);
    forget_peak(pid);
    let bytes = whole.len();
    let mut said = Vec::new();
    for (what, body) in [("whole", whole), ("truncated", truncated), ("nested", nested)] {
        let body = Bytes::from(body);
        let answers = world.runtime.block_on(futures::future::join_all((0..AT_ONCE).map(|_| async {
            let mut client = Client::connect(webhook).await;
            let mut last = 0;
            for _ in 0..3 {
                if !client.open().await {
                    client = Client::connect(webhook).await;
                }
                last = client.send(Method::POST, "/workloads", JSON, body.clone()).await.unwrap().0.as_u16();
            }
            last
        })));
        said.push(format!("{what} {}", answers[0]));
    }
    let highest = peak(pid).unwrap();
    let bar = base + (2 * AT_ONCE * bytes) as f64 / MIB as f64;
    let rest = format!("from {base:.1}, {AT_ONCE} reviews of {:.1} MiB at once; answered: {}", bytes as f64 / MIB as f64, said.join(", "));
    figure("W7 largest reviews", &format!("{highest:.1} MiB"), &format!("<= {bar:.1} MiB"), highest <= bar, &rest);
}
