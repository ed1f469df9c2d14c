//! One list-and-watch loop a kind, that survives whatever an API server does.
//! kube's own `watcher` restarts without pause on a clean close and does not relist on an HTTP 410, so the loop is ours: at most one request a
//! second, a relist on 410, when watches keep closing at once and twice an hour, and a deadline on silence, which is how a half-open connection
//! shows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use kube::{
    Api,
    api::{DynamicObject, ListParams, PartialObjectMeta, WatchEvent, WatchParams},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::page::{Want, page};

/// The API server ends each watch after this; hearing its end proves the connection.
const WATCH: u32 = 50;
/// Longer silence than a whole watch means that nobody is there.
const SILENCE: Duration = Duration::from_secs(60);
/// One page of a list, and the opening of a watch.
const CALL: Duration = Duration::from_secs(10);
/// At most one request a second, whatever happens (P7).
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause after errors.
const MAX_PAUSE: Duration = Duration::from_secs(20);
/// So many watches in a row that end at once, without an event, and the list is read anew.
const MAX_SHORT: u32 = 15;
/// The list is read anew after so long in any case: an event that was lost on the way would else be missed for ever (F19).
const RELIST: Duration = Duration::from_secs(30 * 60);
/// A store that has heard nothing for so long is stale (P4).
pub const STALE: Duration = Duration::from_secs(90);

/// What a watch says of one kind.
#[derive(Debug)]
pub enum Change {
    /// An object is there, new or changed.
    Applied(Box<DynamicObject>),
    /// It is gone.
    Deleted(Box<DynamicObject>),
    /// A list is complete: what was not in it is gone. The uids that were in it.
    Listed(std::collections::HashSet<String>),
}

/// Whether a store is full and fresh.
#[derive(Debug)]
pub struct Health {
    start: Instant,
    heard: AtomicU64,
    full: AtomicBool,
    denied: AtomicBool,
    failing: AtomicBool,
    absent: AtomicBool,
    unserved: AtomicBool,
    anew: Notify,
    optional: bool,
    want: Want,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            heard: AtomicU64::new(0),
            full: AtomicBool::new(false),
            denied: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            absent: AtomicBool::new(false),
            unserved: AtomicBool::new(false),
            anew: Notify::new(),
            optional: false,
            want: Want::default(),
        }
    }
}

impl Health {
    /// Of a kind that a cluster may do without, such as the Gateway API: not served is as good as empty, and asked again from time to time.
    pub fn optional() -> Self {
        Self { optional: true, ..Self::default() }
    }

    /// The same, and of each object nothing but its metadata is read.
    pub fn of_metadata() -> Self {
        Self { want: Want::Metadata, ..Self::optional() }
    }

    /// Of a kind of which it is read as well who wrote what.
    pub fn with_origins() -> Self {
        Self { want: Want::Origins, ..Self::default() }
    }

    /// Asks for the list to be read anew: more is kept of its objects now.
    pub fn read_anew(&self) {
        self.anew.notify_one();
    }

    fn hear(&self) {
        self.heard.store(self.start.elapsed().as_secs(), Ordering::Release);
    }

    /// A list was complete once, and something was heard within [`STALE`].
    pub fn fresh(&self) -> bool {
        self.full.load(Ordering::Acquire) && self.start.elapsed().as_secs().saturating_sub(self.heard.load(Ordering::Acquire)) <= STALE.as_secs()
    }

    /// Seconds since it was last heard of; `None` where it never was.
    pub fn age(&self) -> Option<u64> {
        self.full.load(Ordering::Acquire).then(|| self.start.elapsed().as_secs().saturating_sub(self.heard.load(Ordering::Acquire)))
    }

    /// RBAC forbids the kind.
    pub fn denied(&self) -> bool {
        self.denied.load(Ordering::Acquire)
    }

    /// The cluster does not serve the kind, and may do without.
    pub fn absent(&self) -> bool {
        self.absent.load(Ordering::Acquire)
    }

    /// The cluster does not serve the kind, and may not do without.
    pub fn unserved(&self) -> bool {
        self.unserved.load(Ordering::Acquire)
    }

    /// How many objects a page of a list holds. Its text is in memory as a whole: an Ownership with its status is 20 KB of it, and a report of a
    /// vulnerability scan may be larger.
    fn page(&self) -> u32 {
        if self.optional && self.want != Want::Metadata { 20 } else { 100 }
    }

    /// Why what is known of the kind cannot be relied on, in words; `None` also while it is read for the first time.
    pub fn trouble(&self) -> Option<&'static str> {
        if self.denied() {
            Some("RBAC forbids reading them")
        } else if !self.fresh() && self.failing.load(Ordering::Acquire) {
            Some("the API server does not list them")
        } else {
            None
        }
    }
}

/// Spaces requests out: the pages of one list apart, none starts within [`PAUSE`] of the last.
struct Pace(Instant);

impl Pace {
    async fn turn(&mut self) {
        sleep_until(self.0).await;
        self.0 = Instant::now() + PAUSE;
    }
}

/// Follows one kind for ever.
pub async fn follow(api: Api<DynamicObject>, what: &str, health: Arc<Health>, mut sink: impl FnMut(Change) + Send) {
    let (mut failures, mut told) = (0_u32, false);
    let mut pace = Pace(Instant::now());
    loop {
        pace.turn().await;
        let worked = match list(&api, &health, &mut sink).await {
            Ok(version) => {
                told = false;
                watch(&api, what, version, &health, &mut pace, &mut sink).await
            }
            Err(Failure::Api(error)) if health.optional && is_code(&error, 404) => {
                sink(Change::Listed(std::collections::HashSet::new()));
                health.absent.store(true, Ordering::Release);
                // Whoever may not ask is told so before that.
                health.denied.store(false, Ordering::Release);
                health.hear();
                health.full.store(true, Ordering::Release);
                sleep(MAX_PAUSE).await;
                true
            }
            Err(error) => {
                health.failing.store(true, Ordering::Release);
                // Any other failure says nothing about RBAC: what was forbidden is so until a list is answered.
                if matches!(&error, Failure::Api(e) if is_code(e, 403)) {
                    health.denied.store(true, Ordering::Release);
                }
                health.unserved.store(matches!(&error, Failure::Api(e) if is_code(e, 404)), Ordering::Release);
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(kind = what, %error, "list failed, trying again");
                }
                false
            }
        };
        failures = if worked { 0 } else { failures.saturating_add(1) };
        if !worked {
            sleep(PAUSE.saturating_mul(1 << failures.min(5)).min(MAX_PAUSE)).await;
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Api(#[from] kube::Error),
    #[error("no answer within 10 s")]
    Silent(#[from] tokio::time::error::Elapsed),
}

fn is_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

async fn list(api: &Api<DynamicObject>, health: &Health, sink: &mut (impl FnMut(Change) + Send)) -> Result<String, Failure> {
    let mut uids = std::collections::HashSet::new();
    let mut params = ListParams::default().limit(health.page());
    loop {
        let mut told = |object: DynamicObject| {
            uids.extend(object.metadata.uid.clone());
            sink(Change::Applied(Box::new(object)));
        };
        let metadata = timeout(CALL, page(api, health.want, &params, &mut told)).await??;
        match metadata.continue_.filter(|c| !c.is_empty()) {
            Some(next) => params = params.continue_token(&next),
            None => {
                sink(Change::Listed(uids));
                // Not before: a list that never gets to its end says nothing about what has changed since the last one.
                health.hear();
                health.denied.store(false, Ordering::Release);
                health.absent.store(false, Ordering::Release);
                health.failing.store(false, Ordering::Release);
                health.unserved.store(false, Ordering::Release);
                health.full.store(true, Ordering::Release);
                return Ok(metadata.resource_version.unwrap_or_default());
            }
        }
    }
}

async fn events(
    api: &Api<DynamicObject>,
    health: &Health,
    params: &WatchParams,
    version: &str,
) -> Result<BoxStream<'static, Result<WatchEvent<DynamicObject>, kube::Error>>, kube::Error> {
    if health.want == Want::Metadata {
        let whole = |event| match event {
            WatchEvent::Added(object) => WatchEvent::Added(bare(object)),
            WatchEvent::Modified(object) => WatchEvent::Modified(bare(object)),
            WatchEvent::Deleted(object) => WatchEvent::Deleted(bare(object)),
            WatchEvent::Bookmark(mark) => WatchEvent::Bookmark(mark),
            WatchEvent::Error(status) => WatchEvent::Error(status),
        };
        return Ok(api.watch_metadata(params, version).await?.map_ok(whole).boxed());
    }
    Ok(api.watch(params, version).await?.boxed())
}

/// An object of which nothing but the metadata was read.
fn bare(object: PartialObjectMeta<DynamicObject>) -> DynamicObject {
    DynamicObject { types: object.types, metadata: object.metadata, data: serde_json::Value::Null }
}

/// Returns when the list must be read anew, and whether watching worked for a while: if not, the next list is not hurried.
async fn watch(api: &Api<DynamicObject>, what: &str, mut version: String, health: &Health, pace: &mut Pace, sink: &mut impl FnMut(Change)) -> bool {
    let (listed, mut short, mut worked) = (Instant::now(), 0, false);
    while short < MAX_SHORT && listed.elapsed() < RELIST {
        pace.turn().await;
        let opened = Instant::now();
        let mut heard_any = false;
        let params = WatchParams::default().timeout(WATCH);
        let mut stream = match timeout(CALL, events(api, health, &params, &version)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(kind = what, %error, "watch refused, listing anew");
                return worked;
            }
            Err(_) => return worked,
        };
        health.hear();
        loop {
            let event = tokio::select! {
                () = health.anew.notified() => return true,
                event = timeout(SILENCE, stream.try_next()) => event,
            };
            let event = match event {
                Ok(Ok(Some(event))) => event,
                Ok(Ok(None)) => break,
                Ok(Err(error)) => {
                    tracing::debug!(kind = what, %error, "watch broke off, listing anew");
                    return worked;
                }
                Err(_) => {
                    tracing::warn!(kind = what, "watch is silent for 60 s, listing anew");
                    // That was pause enough.
                    return true;
                }
            };
            if !matches!(event, WatchEvent::Error(_)) {
                (heard_any, worked) = (true, true);
                health.hear();
            }
            match event {
                WatchEvent::Added(mut object) | WatchEvent::Modified(mut object) => {
                    if health.want != Want::Origins {
                        object.metadata.managed_fields = None;
                    }
                    version = object.metadata.resource_version.clone().unwrap_or(version);
                    sink(Change::Applied(Box::new(object)));
                }
                WatchEvent::Deleted(object) => {
                    version = object.metadata.resource_version.clone().unwrap_or(version);
                    sink(Change::Deleted(Box::new(object)));
                }
                WatchEvent::Bookmark(mark) => version = mark.metadata.resource_version,
                WatchEvent::Error(status) => {
                    tracing::debug!(kind = what, code = status.code, "watch ended by the API server, listing anew");
                    return worked;
                }
            }
        }
        worked = true;
        short = if heard_any || opened.elapsed() > PAUSE { 0 } else { short + 1 };
    }
    true
}
