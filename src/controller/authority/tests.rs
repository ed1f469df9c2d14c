//! Two years of certificates in a second, with leaders that die between any two writes and readers that lag behind.
//! What holds at each step is what an API server does: it verifies the leaf of whichever replica it meets, by the bundle that it has heard of.

use std::sync::Arc;

use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::ring::default_provider,
    pki_types::{ServerName, UnixTime},
};

use super::*;

const START: i64 = 1_800_000_000;
const HOST: &str = "demarc.demarc-system.svc";

fn hosts() -> BTreeSet<String> {
    BTreeSet::from([HOST.to_owned()])
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn key() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate()
}

fn act(action: Action, held: Option<Authority>, now: i64) -> Authority {
    carry_out(action, held, &hosts(), at(now), &Lifetimes::default(), &mut key).unwrap()
}

/// As an API server would: chain, dates, name and use. Go also looks at the dates of the authority, which webpki takes on trust.
fn verifies(leaf: &str, bundle: &str, now: i64) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    for der in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        let der = der.unwrap();
        if life_of(&parsed(&der).unwrap()).holds(now) {
            roots.add(der).unwrap();
        }
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider())).build().map_err(|e| e.to_string())?;
    let leaf = CertificateDer::from_pem_slice(leaf.as_bytes()).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.unsigned_abs()));
    verifier.verify_server_cert(&leaf, &[], &ServerName::try_from(HOST).unwrap(), &[], now).map(|_| ()).map_err(|e| e.to_string())
}

/// A Secret and a configuration, and for each whatever may still be read by somebody who lags.
struct World {
    now: i64,
    instant: Instant,
    secret: Option<BTreeMap<String, ByteString>>,
    configured: Option<String>,
    agreement: Agreement,
    /// Leaves with the time at which each was replaced.
    leaves: Vec<(String, i64)>,
    bundles: Vec<(String, i64)>,
    done: BTreeMap<String, u32>,
}

/// A replica takes a new leaf within this, and an API server a new bundle within that.
const LAG_OF_REPLICAS: i64 = 90;
const LAG_OF_SERVERS: i64 = 45;

impl World {
    fn new() -> Self {
        Self {
            now: START,
            instant: Instant::now(),
            secret: None,
            configured: Some(String::new()),
            agreement: Agreement::default(),
            leaves: Vec::new(),
            bundles: Vec::new(),
            done: BTreeMap::new(),
        }
    }

    fn held(&self) -> Option<Authority> {
        self.secret.as_ref().and_then(Authority::read)
    }

    /// What a leader does in one turn; it dies after so many writes.
    fn turn(&mut self, mut writes: u32) -> Option<Action> {
        let mut held = self.held();
        let same = held.as_ref().filter(|held| self.configured.as_ref().is_some_and(|c| held.is_bundle(c.as_bytes())));
        let agreed = self.agreement.note(same, self.instant);
        let action = plan(held.as_ref(), agreed, &hosts(), at(self.now), &Lifetimes::default());
        if let Some(action) = action {
            if writes == 0 {
                self.agreement = Agreement::default();
                return None;
            }
            writes -= 1;
            if let Some(leaf) = held.as_ref().and_then(Authority::leaf) {
                self.leaves.push((leaf.certificate.clone(), self.now));
            }
            let made = act(action, held, self.now);
            self.secret = Some(made.data());
            *self.done.entry(format!("{action:?}")).or_default() += 1;
            held = Some(made);
        }
        if let (Some(held), Some(configured)) = (held, self.configured.as_mut())
            && !held.is_bundle(configured.as_bytes())
        {
            if writes == 0 {
                self.agreement = Agreement::default();
            } else {
                let was = std::mem::replace(configured, held.bundle());
                self.bundles.push((was, self.now));
            }
        }
        action
    }

    fn pass(&mut self, seconds: i64) {
        self.now += seconds;
        self.instant += Duration::from_secs(seconds.unsigned_abs());
        let now = self.now;
        self.leaves.retain(|(_, replaced)| now - replaced <= LAG_OF_REPLICAS);
        self.bundles.retain(|(bundle, replaced)| now - replaced <= LAG_OF_SERVERS && !bundle.is_empty());
    }

    /// Every leaf that may be served, by every bundle that may be in use.
    fn all_verify(&self) {
        let Some(held) = self.held() else { return };
        let leaves = self.leaves.iter().map(|(leaf, _)| leaf.as_str()).chain(held.leaf().map(|l| l.certificate.as_str()));
        for leaf in leaves {
            for bundle in self.bundles.iter().map(|(bundle, _)| bundle).chain(&self.configured).filter(|b| !b.is_empty()) {
                verifies(leaf, bundle, self.now).unwrap_or_else(|e| panic!("at {}: {e}; {:?}", at(self.now), self.done));
            }
        }
    }

    fn settled(&self) -> bool {
        self.held().is_some_and(|held| held.beside.is_none() && self.configured.as_ref().is_some_and(|c| held.is_bundle(c.as_bytes()))) && self.leaves.is_empty()
    }
}

/// Two years; `dies(turn)` says after how many writes the leader of this turn dies.
fn two_years(mut dies: impl FnMut(u32) -> u32) -> World {
    let mut world = World::new();
    let mut turn = 0;
    while world.now < START + 2 * 365 * DAY.cast_signed() {
        turn += 1;
        if world.turn(dies(turn)).is_some() {
            world.all_verify();
        }
        // In the steady state the day counts, and while something changes the seconds.
        world.pass(if world.settled() { DAY.cast_signed() } else { 15 });
        world.all_verify();
    }
    world
}

#[test]
fn for_two_years_every_leaf_verifies_by_every_bundle_and_all_is_renewed_in_time() {
    let world = two_years(|_| u32::MAX);
    let count = |what: &str| world.done.get(what).copied().unwrap_or_default();
    // An authority each 243 days, a leaf each 60.
    assert_eq!((count("Start"), count("Announce"), count("Switch"), count("Retire")), (1, 2, 2, 2), "{:?}", world.done);
    assert!((10..=14).contains(&count("Renew")), "{:?}", world.done);
}

#[test]
fn a_leader_that_dies_before_after_or_between_any_writes_leaves_what_the_next_goes_on_from() {
    // Each third turn, each turn but few, and as a small generator has it.
    let mut seed = 7_u32;
    let mut random = move |_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if seed >> 28 == 0 { 0 } else { (seed >> 20) % 3 }
    };
    for world in [two_years(|turn| turn % 3), two_years(|turn| u32::from(turn % 50 != 0)), two_years(&mut random)] {
        let count = |what: &str| world.done.get(what).copied().unwrap_or_default();
        assert_eq!(count("Start"), 1, "{:?}", world.done);
        assert!(count("Switch") >= 2 && count("Retire") >= 2, "{:?}", world.done);
    }
}

#[test]
fn the_order_of_a_new_authority() {
    let lifetimes = Lifetimes::default();
    let due = |held: &Authority, agreed: Option<u64>, now: i64| plan(Some(held), agreed.map(Duration::from_secs), &hosts(), at(now), &lifetimes);
    assert_eq!(plan(None, None, &hosts(), at(START), &lifetimes), Some(Action::Start));
    let first = act(Action::Start, None, START);
    assert_eq!(due(&first, Some(1_000_000), START), None, "nothing to do");
    let month = 30 * DAY.cast_signed();
    assert_eq!(due(&first, None, START + 2 * month - 1), None);
    assert_eq!(due(&first, None, START + 2 * month), Some(Action::Renew));
    let later = START + 365 * DAY.cast_signed() * 2 / 3;
    let first = act(Action::Renew, Some(first), later - month);
    assert_eq!(due(&first, None, later - 1), None);
    assert_eq!(due(&first, None, later), Some(Action::Announce));

    let served = first.leaf().unwrap().certificate.clone();
    let both = act(Action::Announce, Some(first), later);
    assert_eq!(both.leaf().unwrap().certificate, served, "first the bundle");
    assert_eq!(both.bundle().matches("BEGIN").count(), 2);
    for (agreed, wanted) in [(None, None), (Some(59), None), (Some(60), Some(Action::Switch))] {
        assert_eq!(due(&both, agreed, later + 60), wanted, "{agreed:?}");
    }
    let switched = act(Action::Switch, Some(both), later + 60);
    assert_ne!(switched.leaf().unwrap().certificate, served, "then the leaf");
    for (agreed, wanted) in [(None, None), (Some(599), None), (Some(600), Some(Action::Retire))] {
        assert_eq!(due(&switched, agreed, later + 660), wanted, "{agreed:?}");
    }
    let alone = act(Action::Retire, Some(switched), later + 660);
    assert_eq!(alone.bundle().matches("BEGIN").count(), 1, "then the new one alone");
    assert_eq!(due(&alone, Some(1_000_000), later + 660), None);
}

#[test]
fn what_a_secret_has_lost_is_made_again_with_the_least_change() {
    let whole = act(Action::Start, None, START).data();
    let changed = |name: &str, value: Option<&[u8]>| {
        let mut data = whole.clone();
        match value {
            Some(value) => data.insert(name.to_owned(), ByteString(value.to_vec())),
            None => data.remove(name),
        };
        data
    };
    let other = act(Action::Start, None, START).data();
    let foreign = |name: &str| changed(name, Some(&other[name].0));
    for (what, data, wanted) in [
        ("whole", whole.clone(), None),
        ("no data", BTreeMap::new(), Some(Action::Start)),
        ("no authority", changed("ca.crt", None), Some(Action::Start)),
        ("nonsense for an authority", changed("ca.crt", Some(b"\xff\x00nonsense")), Some(Action::Start)),
        ("no leaf", changed("tls.crt", None), Some(Action::Renew)),
        ("an empty leaf", changed("tls.crt", Some(b"")), Some(Action::Renew)),
        ("no key of the leaf", changed("tls.key", None), Some(Action::Renew)),
        ("another key", foreign("tls.key"), Some(Action::Renew)),
        ("another leaf", foreign("tls.crt"), Some(Action::Renew)),
        ("no key of the authority", changed("ca.key", None), Some(Action::Announce)),
        ("another key of the authority", foreign("ca.key"), Some(Action::Announce)),
        ("a next key and no next authority", changed("next-ca.key", Some(&other["ca.key"].0)), None),
    ] {
        let held = Authority::read(&data);
        assert_eq!(plan(held.as_ref(), Some(Duration::MAX), &hosts(), at(START), &Lifetimes::default()), wanted, "{what}");
        if let Some(action) = wanted {
            let made = Authority::read(&act(action, held, START).data()).unwrap();
            verifies(&made.leaf().unwrap().certificate, &made.bundle(), START).unwrap();
        }
    }
    let neither = changed("ca.key", None).into_iter().filter(|(name, _)| name != "tls.key").collect();
    assert_eq!(plan(Authority::read(&neither).as_ref(), None, &hosts(), at(START), &Lifetimes::default()), Some(Action::Start));
}

#[test]
fn a_leaf_follows_the_name_of_the_service_and_the_clock() {
    let lifetimes = Lifetimes::default();
    let held = act(Action::Start, None, START);
    let renamed = BTreeSet::from(["guard.elsewhere.svc".to_owned()]);
    assert_eq!(plan(Some(&held), None, &renamed, at(START), &lifetimes), Some(Action::Renew));
    let leaf = carry_out(Action::Renew, Some(held), &renamed, at(START), &lifetimes, &mut key).unwrap();
    assert_eq!(plan(Some(&leaf), None, &renamed, at(START), &lifetimes), None);

    let held = act(Action::Start, None, START);
    let (leaf, bundle) = (held.leaf().unwrap().certificate.clone(), held.bundle());
    verifies(&leaf, &bundle, START - 600).expect("a clock that is ten minutes slow");
    verifies(&leaf, &bundle, START - 601).unwrap_err();
    verifies(&leaf, &bundle, START + 90 * DAY.cast_signed() + 1).unwrap_err();
    assert_eq!(plan(Some(&held), None, &hosts(), at(START - 600), &lifetimes), None);
    // By a clock that is a day slow neither is valid yet: a successor, in the usual order, for it may be this clock that is wrong.
    assert_eq!(plan(Some(&held), None, &hosts(), at(START - DAY.cast_signed()), &lifetimes), Some(Action::Announce));
}

#[test]
fn after_an_outage_of_years_it_recovers_in_the_usual_order() {
    let mut world = World::new();
    world.turn(9);
    world.pass(1000 * DAY.cast_signed());
    assert_eq!(world.turn(9), Some(Action::Announce), "the authority has ended");
    world.pass(30);
    assert_eq!(world.turn(9), None);
    world.pass(60);
    assert_eq!(world.turn(9), Some(Action::Switch));
    world.pass(100);
    world.all_verify();
    world.turn(9);
    world.pass(600);
    assert_eq!(world.turn(9), Some(Action::Retire));
    world.all_verify();
}

#[test]
fn where_the_bundle_is_fought_over_leaves_are_renewed_to_the_end_and_not_one_a_turn() {
    let mut world = World::new();
    world.turn(9);
    // The first bundle comes back after each change.
    let first = world.configured.clone();
    let mut writes = 0;
    while world.now < START + 400 * DAY.cast_signed() {
        writes += u32::from(world.turn(9).is_some());
        world.configured.clone_from(&first);
        world.bundles.clear();
        if world.now < START + 365 * DAY.cast_signed() {
            world.all_verify();
        }
        world.pass(6 * 3600);
    }
    assert!(writes <= 12, "{writes}: {:?}", world.done);
    // They give way: what follows is what follows on any other day.
    for _ in 0..2 {
        assert_eq!(world.turn(9), None);
        world.pass(60);
    }
    assert_eq!(world.turn(9), Some(Action::Switch), "{:?}", world.done);
}

#[test]
fn a_bundle_is_compared_by_what_is_in_it() {
    let held = act(Action::Start, None, START);
    let bundle = held.bundle();
    let held = act(Action::Announce, Some(held), START);
    let both = held.bundle();
    assert!(held.is_bundle(both.as_bytes()) && held.is_bundle(format!("# ours\n\n{}", both.replace('\n', "\r\n")).as_bytes()));
    let (one, two) = both.split_at(bundle.len());
    assert!(held.is_bundle(format!("{two}{one}").as_bytes()), "in any order");
    let stranger = act(Action::Start, None, START).bundle();
    for other in ["", "nonsense", &bundle, &stranger, &format!("{both}{stranger}")] {
        assert!(!held.is_bundle(other.as_bytes()), "{other}");
    }
}

#[test]
fn a_cabundle_is_put_right_at_once_and_then_ever_more_slowly() {
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let mut repairs = Repairs::default();
    // Whoever reverts it at once, for an hour.
    let mut at = Vec::new();
    for n in 0..3600_u32 {
        let now = start + second * n;
        if repairs.due("ours", now) {
            repairs.done(now);
            at.push(n);
        }
    }
    assert_eq!(at, [0, 1, 11, 31, 71, 151, 311, 631, 1231, 1831, 2431, 3031]);
    assert!(repairs.contested());
    // Another bundle is no repair.
    assert!(repairs.due("next", start + second * 3600));
    repairs.done(start + second * 3600);
    assert!(!repairs.contested());
    // It stood for ten minutes: peace.
    for n in 0..5 {
        repairs.done(start + second * 3600 * n);
    }
    repairs.stood(second * 599);
    assert!(repairs.contested());
    repairs.stood(second * 600);
    assert!(!repairs.contested() && repairs.due("next", start));
}
