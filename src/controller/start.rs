//! What keeps a replica from its start that no waiting mends: said in one sentence, with which the process ends, so that the pod's termination message has it.
//! A replica that was ready once is never ended by it.

use std::{sync::Arc, time::Duration};

use super::watch::Health;

/// The oldest API server with the policies that Demarc installs.
pub const OLDEST: u32 = 30;
/// Rights and definitions that are installed beside the pods may come after them.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// That the API server is too old.
pub fn too_old(version: &str, minor: u32) -> Option<String> {
    (minor < OLDEST).then(|| format!("API server {version} is older than 1.{OLDEST}, the oldest that has ValidatingAdmissionPolicies"))
}

/// Ends when there was time enough and what decides cannot be read, with the reason; never while it may only take longer.
pub async fn hindered(deciding: &[(String, Arc<Health>)], user: &str) -> String {
    tokio::time::sleep(PATIENCE).await;
    loop {
        if let Some(reason) = reason(deciding, user) {
            return format!("not ready after {} s: {reason}", PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn reason(deciding: &[(String, Arc<Health>)], user: &str) -> Option<String> {
    let those = |which: fn(&Health) -> bool| deciding.iter().filter(|(_, health)| which(health)).map(|(name, _)| name.as_str()).collect::<Vec<_>>();
    match (&those(Health::denied)[..], &those(Health::unserved)[..]) {
        ([], []) => None,
        ([], unserved) => Some(format!("the API server does not serve {}: install the custom resource definitions, by crds.install or from crds/", some(unserved))),
        (denied, _) => Some(format!("RBAC forbids {user} to list {}: bind it to the chart's ClusterRole, as rbac.create does", some(denied))),
    }
}

/// The first of them, for a termination message is short.
fn some(names: &[&str]) -> String {
    match names {
        [first, second, third, rest @ ..] if !rest.is_empty() => format!("{first}, {second}, {third} and {} more", rest.len()),
        few => few.join(", "),
    }
}
