//! The webhook door. All but the edge is pure: bytes and a snapshot in, an answer out; `server`, `bodies`, `assign` and `tls` are the edge.
//! Anything unexpected refuses: an answer starts denied and becomes allowed only at the one place that says so.

mod adopted;
pub mod answer;
pub mod assign;
mod bodies;
pub mod declarations;
pub mod denial;
pub mod guard;
mod house;
pub mod probe;
mod ratchet;
pub mod review;
pub mod server;
pub mod tls;
