//! Demarc's own program against a real API server, in one run: what it adds to a request, how it starts and stops, and what it costs to hold an estate.
//! Figures are this machine's; docs/benchmarks.md says what each line means. Words on the command line choose phases: start, requests, stop, estate, check.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../../tests/support/mod.rs"]
mod support;

mod beside;
mod changes;
mod check;
mod estate;
mod process;
mod requests;
mod start;
mod stop;
mod world;

use world::World;

fn main() {
    // Cargo itself passes `--bench`.
    let chosen: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    if chosen.iter().any(|c| c == requests::FIXED) {
        return requests::reply();
    }
    let asked = |phase: &str| chosen.is_empty() || chosen.iter().any(|c| c == phase);
    if asked("check") {
        check::measure();
    }
    if ["start", "requests", "stop", "estate"].into_iter().all(|phase| !asked(phase)) {
        return;
    }
    if std::env::var_os("KUBEBUILDER_ASSETS").is_none() {
        eprintln!("error: KUBEBUILDER_ASSETS is not set: run `make bench`, which builds the control plane and sets it");
        std::process::exit(2);
    }
    let mut world = World::start();
    if asked("start") {
        start::measure(&mut world);
    }
    if asked("requests") {
        requests::measure(&world);
    }
    if asked("stop") {
        stop::measure(&mut world);
    }
    if asked("estate") {
        estate::measure(&mut world);
    }
    world.step("done");
}
