//! Demarc on a real API server with the real controllers: sentences about what is accepted, what is rejected, and what a person sees.
//! The audit log is the oracle that no violator was ever persisted.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod baselines;
mod catalog;
mod cel;
mod certificates;
mod cleanup;
mod departures;
mod doctor;
mod drift;
mod enrolment;
mod estate;
mod examples;
mod extremes;
mod gateways;
mod grace;
mod guard;
mod hands;
mod history;
mod limits;
mod lookup;
mod operators;
mod people;
mod proof;
mod reach;
mod traces;
mod unnamed;
mod waivers;
mod workloads;
mod world;
