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
pub mod explain;
mod github;
mod manifest;
mod sarif;
mod schema;
mod show;
mod tree;
pub mod waiver;

use crate::model::text::shown;

/// How to say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs; the keys are stable.
    Json,
}

/// What an API server said, or why it said nothing, in one sentence.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => shown(&status.message, 300),
        other => shown(&other.to_string(), 300),
    }
}
