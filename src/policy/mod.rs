//! What a namespace promises and whether it holds. One decision, `verdict::evaluate`, serves the webhook, drift and files.
//! No clock, no I/O: `now` is an argument.

pub mod book;
pub mod cluster;
pub mod drift;
pub mod enforcing;
pub mod expiry;
pub mod floor;
pub mod history;
pub mod mark;
pub mod matrix;
pub mod objects;
pub mod owners;
mod settings;
pub mod status;
pub mod tally;
pub mod verdict;
pub mod waiver;
pub mod weaker;
