//! The subcommands, a file each: most need no cluster, and read, judge and write to what they are handed.
//! Exit codes: 0 fine, 1 what was asked about is bad, 2 the input is.

mod baseline;
pub mod check;
pub mod cleanup;
pub mod cluster;
mod connect;
mod context;
mod declared;
pub mod doctor;
mod document;
pub mod explain;
mod github;
mod manifest;
mod places;
mod report;
mod sarif;
mod schema;
mod show;
mod texts;
mod tree;
pub mod waiver;
mod words;

pub use connect::no_cluster;

/// How to say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs; the keys are stable.
    Json,
}
