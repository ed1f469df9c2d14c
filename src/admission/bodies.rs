//! The room for large bodies, which `house` shares among peers, for whoever can wait for some of it.
//! What was given is given back when it is dropped, also where nobody heard any more that it was given.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::timeout};

use super::house::House;

/// All of the room, and who waits for some.
pub struct Bodies {
    house: Mutex<House<oneshot::Sender<Room>>>,
    patience: Duration,
}

impl Bodies {
    /// So many slots, and how many may wait for some, each for so long.
    pub fn new(slots: usize, waiting: usize, patience: Duration) -> Arc<Self> {
        Arc::new(Self { house: Mutex::new(House::new(slots, waiting, patience)), patience })
    }

    /// So many slots, when there are some for this peer; none where it is turned away, or was kept waiting.
    pub async fn enter(self: &Arc<Self>, peer: IpAddr, slots: usize) -> Option<Room> {
        let (told, heard) = oneshot::channel();
        self.house().arrive(peer, slots, told, Instant::now());
        self.settle();
        timeout(self.patience, heard).await.ok()?.ok()
    }

    fn settle(self: &Arc<Self>) {
        loop {
            let Some((peer, slots, told)) = self.house().next(Instant::now()) else { return };
            drop(told.send(Room { bodies: self.clone(), peer, slots }));
        }
    }

    fn house(&self) -> MutexGuard<'_, House<oneshot::Sender<Room>>> {
        self.house.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one large body takes until it is answered.
pub struct Room {
    bodies: Arc<Bodies>,
    peer: IpAddr,
    slots: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.bodies.house().leave(self.peer, self.slots);
        self.bodies.settle();
    }
}
