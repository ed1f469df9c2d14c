//! What goes wrong, on purpose: strangers at the TLS port, an API server that misbehaves, a program that is started wrongly or told to stop.
//! The server and the binary run for real on loopback; where only time passes, it passes on tokio's paused clock.

#![allow(clippy::unwrap_used)]

mod api;
mod assigns;
mod certificates;
mod edge;
mod leases;
mod program;
mod quiet;
#[path = "../support/receiver.rs"]
mod receiver;
mod tide;
mod tls;
mod traces;
mod waivers;
mod watches;
mod writes;
