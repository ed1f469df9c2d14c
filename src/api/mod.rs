//! The custom resources as on the wire, one kind a file. Types and schema only: what they mean is decided in `policy`.

pub mod ownership;

/// The API group of every kind.
pub const GROUP: &str = "demarc.dev";
/// The label that makes the API server ask Demarc about a namespace; set by the leader alone.
pub const ENROLLED_LABEL: &str = "demarc.dev/admission";
/// The value of [`ENROLLED_LABEL`] on an enrolled namespace.
pub const ENROLLED_VALUE: &str = "enabled";
