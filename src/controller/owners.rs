//! Watches the custom resources for which third-party controllers make Pods, of the kinds that Baselines list: their metadata alone, from which only
//! is kept when each was made. Kinds come and go with the Baselines; none of them keeps a replica from being ready.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kube::{
    Api, Client,
    api::DynamicObject,
    core::ApiResource,
    discovery::{self, Scope},
};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

use super::{
    index::Index,
    watch::{Change, Health, follow},
};
use crate::{
    model::text::shown,
    policy::owners::{MAX_KINDS, Owner},
};

const CALL: Duration = Duration::from_secs(10);
/// How soon a kind that is not served is looked for again.
const AGAIN: Duration = Duration::from_secs(20);
/// How often it is looked at how a watch does.
const LOOK: Duration = Duration::from_millis(500);

/// Watches for ever what the Baselines list.
pub async fn run(client: Client, index: Arc<Index>) {
    let mut watches = JoinSet::new();
    let mut followed: BTreeMap<String, AbortHandle> = BTreeMap::new();
    loop {
        let listed = index.owner_kinds();
        for kind in listed.iter().skip(MAX_KINDS) {
            index.see_owners(kind, Some(format!("{MAX_KINDS} kinds are watched at most, and Baselines list more")));
        }
        followed.retain(|kind, watch| {
            let stays = listed.iter().take(MAX_KINDS).any(|listed| listed == kind);
            if !stays {
                watch.abort();
                index.take_owner(&kind.as_str().into(), &Change::Listed(std::collections::HashSet::new()));
                index.see_owners(kind, None);
            }
            stays
        });
        for kind in listed.iter().take(MAX_KINDS) {
            if !followed.contains_key(kind) {
                let handle = watches.spawn(watch(client.clone(), index.clone(), kind.clone()));
                followed.insert(kind.clone(), handle);
            }
        }
        tokio::select! {
            () = index.owner_kinds_changed() => {}
            // Those that were told to stop have ended; one that panicked ends the process.
            Some(ended) = watches.join_next() => if ended.is_err_and(|error| error.is_panic()) {
                return;
            },
        }
    }
}

/// Watches one kind for ever, under whichever version it is served.
async fn watch(client: Client, index: Arc<Index>, kind: String) {
    let name: Arc<str> = kind.as_str().into();
    loop {
        let resource = match discover(&client, &kind).await {
            Ok(resource) => resource,
            Err(why) => {
                index.see_owners(&kind, Some(why));
                sleep(AGAIN).await;
                continue;
            }
        };
        let health = Arc::new(Health::of_metadata());
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        tokio::select! {
            () = follow(api, &kind, health.clone(), |change| index.take_owner(&name, &change)) => {}
            () = served(&index, &kind, &resource, &health) => {
                // Discovery may go on listing what is not there: it is not asked again at once.
                index.see_owners(&kind, Some("the API server does not serve it any more".to_owned()));
                sleep(AGAIN).await;
            }
        }
    }
}

/// Tells how a watch does, until its resource is not served any more.
async fn served(index: &Index, kind: &str, resource: &ApiResource, health: &Health) {
    while !health.absent() {
        let why = health.trouble().map(|why| {
            let right = format!("{}.{}", resource.plural, resource.group);
            if health.denied() { format!("Demarc lacks the rights list and watch on {right}, which rbac.thirdPartyKinds of the chart grants") } else { why.to_owned() }
        });
        index.see_owners(kind, why);
        sleep(LOOK).await;
    }
}

/// The resource of a `group/Kind`; or why there is none.
async fn discover(client: &Client, kind: &str) -> Result<ApiResource, String> {
    let (group, name) = kind.split_once('/').unwrap_or_default();
    let served = match timeout(CALL, discovery::group(client, group)).await {
        Ok(Ok(served)) => served,
        Ok(Err(kube::Error::Discovery(_))) => return Err("the API server does not serve its group".to_owned()),
        Ok(Err(error)) => return Err(format!("the API server does not tell whether it is served: {}", shown(&error.to_string(), 200))),
        Err(_) => return Err("the API server does not tell whether it is served: no answer within 10 s".to_owned()),
    };
    match served.resources_by_stability().into_iter().find(|(resource, _)| resource.kind == name) {
        None => Err("the API server does not serve it".to_owned()),
        Some((_, capabilities)) if capabilities.scope == Scope::Cluster => Err("it is of the whole cluster: what it owns is spared by siblings alone".to_owned()),
        Some((resource, _)) => Ok(resource),
    }
}

/// When an owner was made, which is all that is kept of it.
pub fn read(kind: &Arc<str>, object: &DynamicObject) -> Owner {
    Owner { kind: kind.clone(), created: object.metadata.creation_timestamp.as_ref().map(|t| t.0) }
}
