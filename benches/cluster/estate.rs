//! W8, W9, W10 and P10: 2,000 Ownerships and 10,000 Deployments through a real API server, and what it costs to know and judge them.
//! A start with everything there is the drift scan: every list is read, every workload judged, and nothing has changed that would be written.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    changes,
    common::{deployment, figure, line},
    process::{cpu, forget_peak, peak, resident},
    world::{OURS, World, Write, connect, deployments, namespace_of, ownership},
};

pub const OWNERSHIPS: usize = 2_000;
const WORKLOADS: usize = 10_000;
/// A second, for so many seconds.
const UPDATES: u32 = 500;
const SECONDS: u64 = 8;

pub fn namespace(i: usize) -> String {
    format!("estate-{i:04}")
}

/// What `--local` installs at each start, and what is renewed for ever, is no write about what was judged.
const NOT_OF_A_SCAN: [&str; 6] =
    ["leases", "customresourcedefinitions", "validatingwebhookconfigurations", "validatingadmissionpolicies", "validatingadmissionpolicybindings", "selfsubjectreviews"];

impl World {
    /// How many Ownerships have a status of an older declaration, or none.
    pub fn behind(&self) -> usize {
        let all = self.get(&format!("{OURS}/ownerships"));
        let items = all["items"].as_array().unwrap();
        items.iter().filter(|o| o["status"]["observedGeneration"] != o["metadata"]["generation"]).count()
    }

    /// What Demarc wrote: the lines of the audit log.
    fn written(&self) -> Vec<String> {
        let log = self.plane.audit_log();
        let others = ["bench", "kubectl", "kube-"].map(|other| format!("\"userAgent\":\"{other}"));
        let not_of_a_scan = NOT_OF_A_SCAN.map(|resource| format!("\"resource\":\"{resource}\""));
        let counts = |line: &&str| !others.iter().chain(&not_of_a_scan).any(|not| line.contains(not.as_str())) && !line.contains("dryRun=All");
        log.lines().filter(counts).map(str::to_owned).collect()
    }

    /// Waits until for three seconds Demarc neither writes nor works, and returns when it last did.
    pub fn rest(&self) -> Instant {
        let (pid, limit) = (self.demarc().pid(), Instant::now() + Duration::from_secs(240));
        let (mut since, mut before) = (Instant::now(), (0, cpu(pid)));
        while since.elapsed() < Duration::from_secs(3) {
            assert!(Instant::now() < limit, "it does not come to rest within 240 s");
            std::thread::sleep(Duration::from_millis(500));
            let now = (self.written().len(), cpu(pid));
            if now.0 > before.0 || now.1 - before.1 > 0.035 {
                since = Instant::now();
            }
            before = now;
        }
        since
    }

    fn make_workloads(&self, from: usize, to: usize) {
        self.write_all(to - from, |i| {
            let (i, namespace) = (from + i, namespace((from + i) % OWNERSHIPS));
            Write::create(deployments(&namespace), deployment(&namespace, &format!("payments-{i}"), 32))
        });
    }
}

/// One start with everything there.
struct Scan {
    cpu: f64,
    seconds: f64,
    resident: f64,
    peak: f64,
}

fn scan(world: &mut World) -> Scan {
    world.kill();
    let began = Instant::now();
    world.restart();
    let pid = world.demarc().pid();
    let rested = world.rest();
    Scan { cpu: cpu(pid), seconds: rested.saturating_duration_since(began).as_secs_f64(), resident: resident(pid), peak: peak(pid).unwrap() }
}

/// The first of them, as the API server was asked.
fn said(written: &[String]) -> String {
    let first = written.first().and_then(|line| serde_json::from_str::<Value>(line).ok());
    first.map_or_else(String::new, |e| format!("; the first: {} {}", e["verb"], e["requestURI"]))
}

pub fn measure(world: &mut World) {
    world.step(&format!("estate: {OWNERSHIPS} namespaces with Ownerships"));
    world.plane.stop_controllers();
    world.write_all(OWNERSHIPS, |i| namespace_of(&namespace(i), &json!({})));
    let declared = json!({"controls": [{"control": changes::CONTROL, "enforcement": "Audit"}]});
    world.write_all(OWNERSHIPS, |i| ownership(&namespace(i), &declared));
    world.step("estate: enrolling them, each proven");
    world.rest();
    assert_eq!(world.behind(), 0, "an Ownership has no status");

    changes::measure(world);

    let half = WORKLOADS / 2;
    let began = Instant::now();
    world.step(&format!("W8: making {half} Deployments"));
    world.make_workloads(0, half);
    let made = began.elapsed().as_secs_f64();
    world.rest();
    world.step("W8: scanning them");
    let first = scan(world);
    world.step(&format!("W8: making {half} more"));
    world.make_workloads(half, WORKLOADS);
    world.rest();
    assert_eq!(world.behind(), 0, "an Ownership has an older status");
    world.step("W8, W10: scanning them, with nothing changed");
    let before = world.written().len();
    let second = scan(world);
    let written = world.written();
    let rest = format!("{:.1} s from exec to rest, lists and {OWNERSHIPS} Ownerships included; made through the API server, {:.0} a second", second.seconds, half as f64 / made);
    figure("W8 scan of 10000", &format!("{:.2} s CPU", second.cpu), "<= 2 s", second.cpu <= 2.0, &rest);
    figure("W8, P10 memory", &format!("{:.1} MiB", second.resident), "<= 64 MiB", second.resident <= 64.0, &format!("resident, {:.1} MiB at most", second.peak));
    let each = (second.resident - first.resident) * 1024.0 / half as f64;
    figure("W8 each more", &format!("{each:.2} KiB"), "<= 1.5 KiB", each <= 1.5, &format!("a workload from {half} to {WORKLOADS}; {:.1} MiB before", first.resident));
    let new = &written[before..];
    figure("W10 second scan", &format!("{} writes", new.len()), "0", new.is_empty(), &format!("counted in the audit log, beside leases and what --local installs{}", said(new)));

    world.step(&format!("W9: {UPDATES} updates a second for {SECONDS} s, then the API server is killed and comes back"));
    let pid = world.demarc().pid();
    let steady = resident(pid);
    forget_peak(pid);
    let rate = update(world);
    let updated = peak(pid).unwrap();
    world.plane.restart_api_server(Duration::ZERO);
    std::thread::sleep(Duration::from_secs(5));
    world.rest();
    let highest = peak(pid).unwrap();
    let rest = format!("{steady:.1} MiB steady, {updated:.1} at most through {rate:.0} updates a second, {highest:.1} through the lists after that");
    line("W9 peak", highest / steady, "<= 2.00", highest <= 2.0 * steady, &rest);
}

/// As many a second as are reached.
fn update(world: &World) -> f64 {
    let (next, began, api) = (Cell::new(0_u32), Instant::now(), world.api());
    let (next, api) = (&next, &api);
    world.runtime.block_on(futures::future::join_all((0..16).map(|_| async move {
        let mut client = connect(api).await;
        loop {
            if began.elapsed() >= Duration::from_secs(SECONDS) {
                return;
            }
            let i = next.replace(next.get() + 1);
            tokio::time::sleep_until((began + Duration::from_secs(1) * i / UPDATES).into()).await;
            let workload = i as usize % WORKLOADS;
            let change = json!({"spec": {"template": {"metadata": {"annotations": {"restarted": i.to_string()}}}}});
            Write::patch(format!("{}/payments-{workload}", deployments(&namespace(workload % OWNERSHIPS))), change).by(&mut client).await;
        }
    })));
    f64::from(next.get()) / began.elapsed().as_secs_f64()
}
