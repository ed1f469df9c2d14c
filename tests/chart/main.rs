//! The chart, by real Helm 3 and Helm 4: what it renders, what it refuses, and its life on a real API server.
//! What the code knows (rules, policies, definitions, what is watched) is compared with what the chart says.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code)] // Its `main` is for the command line.
#[path = "../../examples/chart.rs"]
mod generate;

mod alerts;
mod gitops;
mod helm;
mod life;
mod metrics;
mod names;
mod pod;
mod rights;
mod shape;
mod traces;
mod values;
