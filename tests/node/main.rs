//! Demarc as it is installed: real Helm, real pods on a real node, the webhook through a real Service.
//! `make e2e` brings the cluster and says in the environment where it is. Without that these are ignored, and fail when they are asked for by name:
//! one that skipped itself would look like one that passed.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod certificates;
mod cluster;
mod grace;
mod hindered;
mod installed;
mod node;
