//! The cluster door: watches fill the index, the index builds the book, and the lease holder writes labels and status.
//! Every replica watches; leadership gates writes only.

pub mod audit;
pub mod authority;
mod baselines;
pub mod certificates;
pub mod ends;
mod events;
mod farewells;
pub mod index;
pub mod install;
pub mod lease;
pub mod owners;
mod page;
mod permits;
pub mod probe;
pub mod publish;
pub mod reconcile;
pub mod rival;
mod standing;
pub mod start;
pub mod watch;
mod writes;
