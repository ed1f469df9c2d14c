//! The subcommands that need no cluster: each reads, judges and writes to what it is handed.
//! Exit codes: 0 fine, 1 what was asked about is bad, 2 the input is.

mod baseline;
pub mod check;
pub mod cluster;
mod context;
mod declared;
pub mod explain;
mod github;
mod manifest;
mod sarif;
mod schema;
mod show;
mod tree;

/// How to say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs; the keys are stable.
    Json,
}
