//! The question by which the leader proves that the API server asks Demarc: a PodTemplate of a reserved name, and the words of its refusal.
//! Its name earns a refusal and nothing else, so it is of no use to whoever else takes it.

/// The name of the PodTemplate. One of that name is never admitted to an enrolled namespace.
pub const NAME: &str = "demarc-probe";
/// The webhook whose refusal counts.
pub const WEBHOOK: &str = "workloads.demarc.dev";
/// The cause that only the refusal of a probe has.
pub const CAUSE: &str = "DemarcProbe";
/// The cause that names the replica which refused.
pub const REPLICA: &str = "DemarcReplica";
/// The cause that tells by which generation of the Ownership it was decided.
pub const GENERATION: &str = "DemarcGeneration";
/// The Lease that holds the time of the last proof: in Demarc's namespace, with `--local` in kube-system.
pub const LEASE: &str = "demarc-proof";
/// Which namespace refused, on that Lease.
pub const LEASE_NAMESPACE: &str = "demarc.dev/namespace";
/// By which generation of its Ownership, on that Lease.
pub const LEASE_GENERATION: &str = "demarc.dev/generation";
