//! Leadership by a Lease (coordination.k8s.io/v1): one replica writes, the others watch.
//! `step` is pure and decides; every call has its own timeout, and a leader stops by its own clock before another may start.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

/// Another replica may take a Lease that has not moved for so long.
pub const DURATION: Duration = Duration::from_secs(10);
/// A leader that could not renew for so long stops writing: before [`DURATION`], and by its own clock (F27).
pub const DEADLINE: Duration = Duration::from_secs(7);
/// How often it tries. Failover is at most `DURATION` and one such step: below 15 s (P9).
pub const EVERY: Duration = Duration::from_secs(2);
const CALL: Duration = Duration::from_secs(3);
/// The Lease.
pub const NAME: &str = "demarc";

/// What the Lease said when it was last read, and since when it has said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Who holds it.
    pub holder: String,
    /// Changes with every renewal.
    pub version: String,
    /// When this version was first seen here: the clocks of two replicas are never compared.
    pub since: Instant,
}

/// What to do about the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is none: make it.
    Create,
    /// It is ours, or nobody has renewed it for [`DURATION`]: write our name.
    Claim,
    /// Somebody else holds it.
    Wait,
}

/// Decides, given what was seen.
pub fn step(seen: Option<&Seen>, me: &str, now: Instant) -> Step {
    match seen {
        None => Step::Create,
        Some(seen) if seen.holder == me || seen.holder.is_empty() => Step::Claim,
        Some(seen) if now.duration_since(seen.since) >= DURATION => Step::Claim,
        Some(_) => Step::Wait,
    }
}

/// Until when this replica may write; `None` or a past instant: not now.
pub type Mandate = watch::Receiver<Option<Instant>>;

/// Whether `mandate` allows writing now.
pub fn leading(mandate: &Mandate) -> bool {
    mandate.borrow().is_some_and(|until| Instant::now() < until)
}

/// Holds or waits for the Lease for ever; `mandate` says how it stands.
pub async fn run(api: Api<Lease>, me: String, mandate: watch::Sender<Option<Instant>>) {
    let mut seen: Option<Seen> = None;
    loop {
        let asked = Instant::now();
        match timeout(CALL, turn(&api, &me, &mut seen)).await {
            Ok(Ok(true)) => {
                if mandate.borrow().is_none_or(|until| until < asked) {
                    tracing::info!(holder = me, "leading: this replica writes");
                }
                mandate.send_replace(Some(asked + DEADLINE));
            }
            Ok(Ok(false)) => {
                mandate.send_replace(None);
            }
            Ok(Err(error)) => tracing::debug!(%error, "lease: the call failed"),
            Err(_) => tracing::debug!("lease: no answer"),
        }
        // From when it was asked: one call that is lost does not cost the lead.
        sleep_until(asked + EVERY).await;
    }
}

/// One read and, where it is due, one write; says whether the Lease is ours.
async fn turn(api: &Api<Lease>, me: &str, seen: &mut Option<Seen>) -> Result<bool, kube::Error> {
    let now = Instant::now();
    let stored = api.get_opt(NAME).await?;
    let current = stored.as_ref().map(|lease| Seen {
        holder: lease.spec.as_ref().and_then(|s| s.holder_identity.clone()).unwrap_or_default(),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        since: now,
    });
    *seen = match (seen.take(), current) {
        (Some(before), Some(current)) if before.version == current.version => Some(before),
        (_, current) => current,
    };
    let renew = MicroTime(jiff::Timestamp::now());
    match step(seen.as_ref(), me, now) {
        Step::Wait => Ok(false),
        Step::Create => {
            let spec = LeaseSpec { holder_identity: Some(me.to_owned()), lease_duration_seconds: Some(10), renew_time: Some(renew), ..LeaseSpec::default() };
            let lease = Lease { metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() }, spec: Some(spec) };
            conflict_is_no(api.create(&PostParams::default(), &lease).await)
        }
        Step::Claim => {
            let version = seen.as_ref().map(|s| s.version.clone());
            let patch = serde_json::json!({
                "metadata": {"resourceVersion": version},
                "spec": {"holderIdentity": me, "leaseDurationSeconds": 10, "renewTime": renew},
            });
            conflict_is_no(api.patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await)
        }
    }
}

fn conflict_is_no(result: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_taken_only_when_it_has_not_moved_for_its_whole_duration() {
        let since = Instant::now();
        let seen = |holder: &str| Seen { holder: holder.into(), version: "1".into(), since };
        assert_eq!(step(None, "a", since), Step::Create);
        assert_eq!(step(Some(&seen("a")), "a", since), Step::Claim);
        assert_eq!(step(Some(&seen("")), "a", since), Step::Claim, "given back");
        assert_eq!(step(Some(&seen("b")), "a", since), Step::Wait);
        tokio::time::advance(DURATION.checked_sub(Duration::from_millis(1)).unwrap()).await;
        assert_eq!(step(Some(&seen("b")), "a", Instant::now()), Step::Wait);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(step(Some(&seen("b")), "a", Instant::now()), Step::Claim);
    }

    #[tokio::test(start_paused = true)]
    async fn a_mandate_ends_by_the_own_clock_before_another_may_begin() {
        const { assert!(DEADLINE.as_secs() < DURATION.as_secs()) };
        let (sender, mandate) = watch::channel(None);
        assert!(!leading(&mandate));
        sender.send_replace(Some(Instant::now() + DEADLINE));
        assert!(leading(&mandate));
        tokio::time::advance(DEADLINE).await;
        assert!(!leading(&mandate));
    }
}
