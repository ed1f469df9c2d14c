//! W11: from exec to ready as a pod of the chart starts, in a cluster that has declared nothing, and what it holds when it has nothing to do.
//! Lists are within: of every kind, from an API server that answers at once.

use std::time::{Duration, Instant};

use crate::{
    common::{figure, median},
    process::resident,
    world::{World, binary},
};

pub fn measure(world: &mut World) {
    world.step("W11: starting five times, then idle for 10 s");
    world.kill();
    let mut millis = Vec::new();
    let mut last = None;
    for round in 0..5 {
        if let Some(before) = last.take() {
            crate::support::Demarc::kill(before);
        }
        let began = Instant::now();
        let demarc = world.plane.demarc_in_cluster(binary(), &format!("start-{round}"), &world.plane.kubeconfig());
        while demarc.readyz() != 200 {
            assert!(began.elapsed() < Duration::from_secs(30), "not ready: {}", demarc.log());
            std::thread::sleep(Duration::from_millis(2));
        }
        millis.push(began.elapsed().as_secs_f64() * 1e3);
        last = Some(demarc);
    }
    let each: Vec<String> = millis.iter().map(|m| format!("{m:.0}")).collect();
    let start = median(millis);
    figure(
        "W11 start",
        &format!("{start:.0} ms"),
        "<= 250 ms",
        start <= 250.0,
        &format!("p50 of {} ms, from exec to /readyz 200, the lists of every kind included", each.join(", ")),
    );
    std::thread::sleep(Duration::from_secs(10));
    let demarc = last.unwrap();
    let idle = resident(demarc.pid());
    figure("W11 idle", &format!("{idle:.1} MiB"), "<= 25 MB", idle * 1.048_576 <= 25.0, "resident, 10 s later");
    demarc.kill();
    world.restart();
}
