//! A watch of Ownerships beside Demarc's, with nothing of Demarc's in it: when anybody at all could know of a change.
//! What Demarc takes from then on is its own; what comes before that is the API server's.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use futures::{AsyncBufReadExt, TryStreamExt};
use kube::{
    Client, Config,
    api::WatchParams,
    config::{KubeConfigOptions, Kubeconfig},
    core::Request,
};
use serde::Deserialize;

use crate::world::{OURS, World};

/// When the first event came of each namespace.
#[derive(Clone, Default)]
pub struct Beside(Arc<Mutex<HashMap<String, Instant>>>);

#[derive(Deserialize)]
struct Event {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    namespace: String,
}

impl Beside {
    /// Watches from now on, on a thread of its own.
    pub fn start(world: &World) -> Self {
        let version = world.get(&format!("{OURS}/ownerships?limit=1"))["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        let (beside, kubeconfig) = (Self::default(), world.plane.kubeconfig());
        let heard = beside.clone();
        std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
                let config = Config::from_custom_kubeconfig(Kubeconfig::read_from(kubeconfig).unwrap(), &KubeConfigOptions::default()).await.unwrap();
                let request = Request::new(format!("{OURS}/ownerships")).watch(&WatchParams::default(), &version).unwrap();
                let mut lines = Client::try_from(config).unwrap().request_stream(request).await.unwrap().lines();
                // It ends with the API server, or with the run.
                while let Ok(Some(line)) = lines.try_next().await {
                    let now = Instant::now();
                    if let Ok(event) = serde_json::from_str::<Event>(&line) {
                        heard.0.lock().unwrap().entry(event.object.metadata.namespace).or_insert(now);
                    }
                }
            });
        });
        beside
    }

    /// When it heard of a namespace first.
    pub fn heard(&self, namespace: &str) -> Option<Instant> {
        self.0.lock().unwrap().get(namespace).copied()
    }
}
