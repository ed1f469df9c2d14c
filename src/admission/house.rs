//! Who is let in at the webhook's port, and whose large bodies are: whoever holds much already waits, so that no peer keeps the others out.
//! A peer may hold as much as is free for everybody else: alone it has half of it all. Of connections, one slot each, as much is left as each of those has
//! that take what they can get, for the API server too. Large bodies are of several slots: it takes three peers to hold all of that, for some seconds each time.
//! A fixed share would be too small for one that speaks for several API servers, and four peers would fill it.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    time::{Duration, Instant},
};

/// The slots, who holds how many, and who waits for some: a `W` each.
pub struct House<W> {
    free: usize,
    held: HashMap<IpAddr, usize>,
    waiting: VecDeque<Waiting<W>>,
    room: usize,
    patience: Duration,
}

struct Waiting<W> {
    peer: IpAddr,
    slots: usize,
    since: Instant,
    who: W,
}

impl<W> House<W> {
    /// With so many slots, room for so many who wait, and for how long each does.
    pub fn new(slots: usize, room: usize, patience: Duration) -> Self {
        Self { free: slots, held: HashMap::new(), waiting: VecDeque::new(), room, patience }
    }

    /// Somebody asks for slots; a peer that has taken its part of the waiting room as well is turned away, so that it learns so at once.
    pub fn arrive(&mut self, peer: IpAddr, slots: usize, who: W, now: Instant) {
        self.forget(now);
        let waits = self.waiting.iter().filter(|w| w.peer == peer).count();
        if waits < self.room - self.waiting.len() {
            self.waiting.push_back(Waiting { peer, slots, since: now, who });
        }
    }

    /// The first of those who wait that may come in, if any may, with the slots that it has from then on.
    pub fn next(&mut self, now: Instant) -> Option<(IpAddr, usize, W)> {
        self.forget(now);
        let at = self.waiting.iter().position(|w| self.held.get(&w.peer).copied().unwrap_or_default() + w.slots <= self.free)?;
        let Waiting { peer, slots, who, .. } = self.waiting.remove(at)?;
        self.free -= slots;
        *self.held.entry(peer).or_default() += slots;
        Some((peer, slots, who))
    }

    /// One that came in has left.
    pub fn leave(&mut self, peer: IpAddr, slots: usize) {
        self.free += slots;
        if let Some(held) = self.held.get_mut(&peer) {
            *held -= slots;
            if *held == 0 {
                self.held.remove(&peer);
            }
        }
    }

    /// Whoever has waited too long has given up.
    fn forget(&mut self, now: Instant) {
        self.waiting.retain(|w| now.duration_since(w.since) < self.patience);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn peer(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    /// Each of these peers asks so often as there are slots, in turn; how many each got.
    fn greedy(house: &mut House<u32>, peers: u8, now: Instant) -> Vec<usize> {
        for round in 0..256 {
            for n in 0..peers {
                house.arrive(peer(n), 1, round, now);
                while house.next(now).is_some() {}
            }
        }
        (0..peers).map(|n| house.held.get(&peer(n)).copied().unwrap_or_default()).collect()
    }

    #[test]
    fn however_many_take_what_they_can_get_as_much_is_left_for_one_more() {
        let now = Instant::now();
        for peers in [1, 2, 3, 4, 10, 63] {
            let mut house = House::new(256, 512, PATIENCE);
            let held = greedy(&mut house, peers, now);
            let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
            assert!(most - least <= 1 && house.free >= *least && house.free + 1 >= 256 / (usize::from(peers) + 1), "{peers}: {held:?}, {} free", house.free);
            house.arrive(peer(200), 1, 7, now);
            assert_eq!(house.next(now), Some((peer(200), 1, 7)), "{peers}: one more is let in at once");
            assert_eq!(house.next(now), None);
        }
    }

    #[test]
    fn one_peer_has_half_and_its_next_comes_in_when_one_leaves() {
        let (mut house, now) = (House::new(8, 4, PATIENCE), Instant::now());
        assert_eq!(greedy(&mut house, 1, now), [4]);
        assert_eq!(house.waiting.len(), 2, "half of the waiting room, and the others are turned away");
        house.arrive(peer(1), 1, 1, now);
        assert_eq!(house.next(now), Some((peer(1), 1, 1)));
        house.leave(peer(0), 1);
        // Of those four there are three now, and four are free.
        assert_eq!(house.next(now).map(|(of, ..)| of), Some(peer(0)));
        assert_eq!(house.next(now), None);
        for of in [0, 0, 0, 0, 1] {
            house.leave(peer(of), 1);
        }
        assert_eq!((house.free, house.held.len()), (8, 0), "nobody who left is kept in mind");
    }

    #[test]
    fn who_waits_too_long_is_forgotten_and_makes_room() {
        let (mut house, now) = (House::new(1, 2, PATIENCE), Instant::now());
        house.arrive(peer(0), 1, 1, now);
        assert!(house.next(now).is_some());
        for n in [1, 2, 3] {
            house.arrive(peer(n), 1, u32::from(n), now);
        }
        assert_eq!((house.next(now), house.waiting.len()), (None, 2), "full, and so is the waiting room");
        let later = now + PATIENCE;
        house.arrive(peer(4), 1, 4, later);
        house.leave(peer(0), 1);
        assert_eq!((house.next(later), house.waiting.len()), (Some((peer(4), 1, 4)), 0));
    }

    #[test]
    fn what_is_large_counts_by_its_size() {
        let (mut house, now) = (House::new(32, 16, PATIENCE), Instant::now());
        for _ in 0..8 {
            house.arrive(peer(0), 7, 0, now);
        }
        let mut let_in = 0;
        while house.next(now).is_some() {
            let_in += 1;
        }
        assert_eq!((let_in, house.free), (2, 18), "a third would leave less than this one peer has");
        for (of, slots) in [(1, 7), (2, 5), (3, 1)] {
            house.arrive(peer(of), slots, 1, now);
            assert_eq!(house.next(now), Some((peer(of), slots, 1)), "who waits before it does not keep it waiting");
        }
        house.leave(peer(0), 7);
        house.leave(peer(1), 7);
        assert_eq!(house.next(now), Some((peer(0), 7, 0)));
    }
}
