//! Demarc: a Kubernetes admission controller and operator for the security shared-responsibility model.
//! Both doors judge by one decision, `policy::verdict::evaluate`; ARCHITECTURE.md draws the two flows.
//!
//! ```text
//! webhook:  bytes → envelope (uid first) → subject → book[namespace] → evaluate → ratchet → answer
//! drift:    watch → subject → record → evaluate against book and facts → report → status plan → patch (lease holder)
//! ```
//! Imports run one way: api → model → controls → policy → admission ‖ controller → cli, run → main; traces stand between model and the two.

pub mod admission;
pub mod api;
pub mod cli;
pub mod controller;
pub mod controls;
pub mod metrics;
pub mod model;
pub mod policy;
pub mod run;
pub mod traces;
