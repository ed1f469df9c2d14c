//! The webhook's own certificate authority: what its Secret holds, what is due, and how that is made.
//! Nothing here has a clock or a source of keys: `now`, how long the cluster has agreed, and each new key are arguments, so two years pass in a test.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::ByteString;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, date_time_ymd};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::Value;
use tokio::time::Instant;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

use crate::policy::expiry::Validity;

const DAY: u64 = 24 * 60 * 60;
/// A certificate is valid from so long before it is made: the clocks of API servers are not ours (F36).
const BACKDATE: Duration = Duration::from_secs(10 * 60);
/// A caBundle is put right at once so many times; after that somebody else means it.
const AT_ONCE: u32 = 2;
/// The first pause after that. Each one is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause; and whoever kept the peace for so long is not fighting.
pub(super) const LAST_PAUSE: Duration = Duration::from_secs(10 * 60);

/// How long things last.
#[derive(Clone, Debug)]
pub struct Lifetimes {
    /// Of an authority. A third of it is left when its successor is made: more than a leaf's whole life, so that no leaf is cut short by it.
    pub authority: Duration,
    /// Of a leaf. A third of it, a month, is left when it is renewed: time to notice that it was not.
    pub leaf: Duration,
    /// So long must the configuration have held a new authority before a leaf of it is served: every API server has then heard of it, for their
    /// own watches take seconds at worst.
    pub known: Duration,
    /// So long must a new leaf have been in the Secret before its predecessor's authority is dropped: every replica has then taken it, for one
    /// that reaches no API server for 90 s is not ready, and is not called.
    pub served: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { authority: Duration::from_secs(365 * DAY), leaf: Duration::from_secs(90 * DAY), known: Duration::from_secs(60), served: Duration::from_secs(10 * 60) }
    }
}

/// Validity, in seconds since 1970, as a certificate has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    from: i64,
    until: i64,
}

impl Life {
    fn starting(now: i64, lasting: Duration) -> Self {
        Self { from: now - seconds(BACKDATE), until: now + seconds(lasting) }
    }

    fn holds(self, now: i64) -> bool {
        self.from <= now && now < self.until
    }

    /// Two thirds have gone since it was made.
    fn due(self, now: i64) -> bool {
        let made = self.from + seconds(BACKDATE);
        now >= made + (self.until - made) * 2 / 3
    }

    /// The end.
    pub fn until(self) -> Timestamp {
        Timestamp::from_second(self.until).unwrap_or(Timestamp::MAX)
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

struct Ca {
    pem: String,
    der: Vec<u8>,
    life: Life,
}

/// What the webhook serves.
pub struct Leaf {
    /// `tls.crt`.
    pub certificate: String,
    /// `tls.key`.
    pub key: String,
    /// Its validity.
    pub life: Life,
    hosts: BTreeSet<String>,
}

/// The other authority in the bundle, while one follows the other.
enum Beside {
    /// It comes: known to the API servers first, then used.
    Next(Ca, Box<KeyPair>),
    /// It goes: no new leaf is from it, and a replica may still serve an old one.
    Last(Ca),
}

/// What the Secret holds, as far as it can be used. Neither `Debug` nor `Clone`: it has the keys.
pub struct Authority {
    current: Ca,
    /// Whoever loses it gets a new authority, in the same order as on any other day.
    key: Option<KeyPair>,
    beside: Option<Beside>,
    leaf: Option<Leaf>,
}

/// What is due in the Secret, one write each; a crash between two of them leaves a state that is as good as any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// There is nothing to go on from: an authority and a leaf.
    Start,
    /// A leaf of the same authority.
    Renew,
    /// A new authority beside the current one, which goes on signing.
    Announce,
    /// A leaf of the new authority, which takes over.
    Switch,
    /// The old authority is trusted no more.
    Retire,
}

/// Decides. `agreed` is how long the webhook configuration has held the very bundle of this Secret, and the Secret this leaf, as one leader saw it.
pub fn plan(held: Option<&Authority>, agreed: Option<Duration>, hosts: &BTreeSet<String>, now: Timestamp, lifetimes: &Lifetimes) -> Option<Action> {
    let Some(held) = held else { return Some(Action::Start) };
    let (now, agreed_for) = (now.as_second(), |long: Duration| agreed.is_some_and(|a| a >= long));
    match &held.beside {
        // Announced long ago, and never known to all.
        Some(Beside::Next(ca, _)) if ca.life.due(now) || !ca.life.holds(now) => return Some(Action::Announce),
        Some(Beside::Next(..)) if agreed_for(lifetimes.known) => return Some(Action::Switch),
        _ => {}
    }
    let can_sign = held.key.is_some() && held.current.life.holds(now);
    let ends = Life::starting(now, lifetimes.leaf).until.min(held.current.life.until);
    match &held.leaf {
        // No replica could start.
        None if !can_sign => return Some(Action::Start),
        None => return Some(Action::Renew),
        Some(leaf) => {
            let unfit = !leaf.life.holds(now) || leaf.hosts != *hosts;
            // Not for a leaf that would end no later: near the end of an authority that cannot be followed, that would be one a second.
            if can_sign && (unfit || leaf.life.due(now) && ends > leaf.life.until) {
                return Some(Action::Renew);
            }
        }
    }
    match &held.beside {
        Some(Beside::Last(_)) if agreed_for(lifetimes.served) => Some(Action::Retire),
        None if held.key.is_none() || held.current.life.due(now) || !held.current.life.holds(now) => Some(Action::Announce),
        _ => None,
    }
}

/// Does what is due; `fresh` gives a new key.
///
/// # Errors
/// When a key or a certificate cannot be made.
pub fn carry_out(
    action: Action,
    held: Option<Authority>,
    hosts: &BTreeSet<String>,
    now: Timestamp,
    lifetimes: &Lifetimes,
    fresh: &mut dyn FnMut() -> Result<KeyPair, rcgen::Error>,
) -> Result<Authority, rcgen::Error> {
    let now = now.as_second();
    match (action, held) {
        (Action::Start, _) | (_, None) => {
            let (current, key) = make_ca(now, lifetimes, fresh()?)?;
            let leaf = Some(make_leaf(&current, &key, hosts, now, lifetimes, &fresh()?)?);
            Ok(Authority { current, key: Some(key), beside: None, leaf })
        }
        (Action::Renew, Some(mut held)) => {
            if let Some(key) = &held.key {
                held.leaf = Some(make_leaf(&held.current, key, hosts, now, lifetimes, &fresh()?)?);
            }
            Ok(held)
        }
        (Action::Announce, Some(mut held)) => {
            let (ca, key) = make_ca(now, lifetimes, fresh()?)?;
            held.beside = Some(Beside::Next(ca, Box::new(key)));
            Ok(held)
        }
        (Action::Switch, Some(mut held)) => {
            if let Some(Beside::Next(ca, key)) = held.beside.take() {
                held.leaf = Some(make_leaf(&ca, &key, hosts, now, lifetimes, &fresh()?)?);
                held.beside = Some(Beside::Last(std::mem::replace(&mut held.current, ca)));
                held.key = Some(*key);
            }
            Ok(held)
        }
        (Action::Retire, Some(mut held)) => {
            held.beside = None;
            Ok(held)
        }
    }
}

impl Authority {
    /// From a Secret's data. What cannot be used is left out; without an authority there is nothing.
    pub fn read(data: &BTreeMap<String, ByteString>) -> Option<Self> {
        let text = |name: &str| data.get(name).and_then(|v| std::str::from_utf8(&v.0).ok());
        let mut authorities = text("ca.crt")?.split_inclusive("-----END CERTIFICATE-----").filter_map(read_ca);
        let current = authorities.next()?;
        let key_of = |ca: &Ca, name: &str| {
            let key = KeyPair::from_pem(text(name)?).ok()?;
            fits(&ca.der, &key).then_some(key)
        };
        let key = key_of(&current, "ca.key");
        let beside = authorities.next().map(|ca| match key_of(&ca, "next-ca.key") {
            Some(key) => Beside::Next(ca, Box::new(key)),
            None => Beside::Last(ca),
        });
        let leaf = text("tls.crt").zip(text("tls.key")).and_then(|(certificate, key)| read_leaf(&current, certificate, key));
        Some(Self { current, key, beside, leaf })
    }

    /// The Secret's data.
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let mut data = BTreeMap::new();
        let mut put = |name: &str, text: &str| {
            data.insert(name.to_owned(), ByteString(text.as_bytes().to_vec()));
        };
        put("ca.crt", &self.bundle());
        if let Some(key) = &self.key {
            put("ca.key", &key.serialize_pem());
        }
        if let Some(Beside::Next(_, key)) = &self.beside {
            put("next-ca.key", &key.serialize_pem());
        }
        if let Some(leaf) = &self.leaf {
            put("tls.crt", &leaf.certificate);
            put("tls.key", &leaf.key);
        }
        data
    }

    fn authorities(&self) -> impl Iterator<Item = &Ca> {
        let beside = self.beside.as_ref().map(|beside| match beside {
            Beside::Next(ca, _) | Beside::Last(ca) => ca,
        });
        std::iter::once(&self.current).chain(beside)
    }

    /// What the API servers are to trust, as PEM.
    pub fn bundle(&self) -> String {
        self.authorities().map(|ca| ca.pem.as_str()).collect()
    }

    /// Whether a caBundle holds just that, in any order.
    pub fn is_bundle(&self, configured: &[u8]) -> bool {
        let configured: Result<BTreeSet<Vec<u8>>, _> = CertificateDer::pem_slice_iter(configured).map(|der| der.map(|der| der.to_vec())).collect();
        configured.is_ok_and(|configured| configured == self.authorities().map(|ca| ca.der.clone()).collect())
    }

    /// What the webhook serves.
    pub fn leaf(&self) -> Option<&Leaf> {
        self.leaf.as_ref()
    }
}

fn parsed(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate)
}

fn life_of(certificate: &X509Certificate<'_>) -> Life {
    let validity = certificate.validity();
    Life { from: validity.not_before.timestamp(), until: validity.not_after.timestamp() }
}

/// Of the authority in a caBundle that ends last: the bundle holds an old and a new one while one takes the other's place. `bundle` is base64 of PEM, as in a
/// webhook configuration.
pub fn validity_of_bundle(bundle: Value) -> Option<Validity> {
    let bytes: ByteString = serde_json::from_value(bundle).ok()?;
    let all = CertificateDer::pem_slice_iter(&bytes.0).map_while(Result::ok);
    all.filter_map(|der| parsed(&der).map(|certificate| life_of(&certificate))).map(|life| (life.from, life.until)).max_by_key(|(_, until)| *until)
}

fn fits(der: &[u8], key: &KeyPair) -> bool {
    parsed(der).is_some_and(|certificate| certificate.public_key().raw == key.subject_public_key_info())
}

fn read_ca(pem: &str) -> Option<Ca> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?.to_vec();
    let life = life_of(&parsed(&der)?);
    Some(Ca { pem: format!("{}\n", pem.trim()), der, life })
}

fn read_leaf(ca: &Ca, certificate: &str, key: &str) -> Option<Leaf> {
    // As it is served: what comes after the first must be readable as well.
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>().ok()?;
    let der = chain.first()?;
    let (leaf, ca) = (parsed(der)?, parsed(&ca.der)?);
    leaf.verify_signature(Some(ca.public_key())).ok()?;
    if !fits(der, &KeyPair::from_pem(key).ok()?) {
        return None;
    }
    let names = leaf.subject_alternative_name().ok()??;
    let hosts = names.value.general_names.iter().filter_map(|name| if let GeneralName::DNSName(name) = name { Some((*name).to_owned()) } else { None }).collect();
    Some(Leaf { certificate: certificate.to_owned(), key: key.to_owned(), life: life_of(&leaf), hosts })
}

fn params(name: &str, life: Life) -> CertificateParams {
    let at = |second: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs(second.unsigned_abs());
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (at(life.from), at(life.until));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn make_ca(now: i64, lifetimes: &Lifetimes, key: KeyPair) -> Result<(Ca, KeyPair), rcgen::Error> {
    let life = Life::starting(now, lifetimes.authority);
    let mut params = params(&format!("Demarc webhook authority {now}"), life);
    // It signs leaves, and no authority below it.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    Ok((Ca { pem: certificate.pem(), der: certificate.der().to_vec(), life }, key))
}

fn make_leaf(ca: &Ca, ca_key: &KeyPair, hosts: &BTreeSet<String>, now: i64, lifetimes: &Lifetimes, key: &KeyPair) -> Result<Leaf, rcgen::Error> {
    let mut life = Life::starting(now, lifetimes.leaf);
    life.until = life.until.min(ca.life.until);
    let mut params = params("demarc-webhook", life);
    params.subject_alt_names = CertificateParams::new(hosts.iter().cloned().collect::<Vec<_>>())?.subject_alt_names;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(key, &Issuer::from_ca_cert_der(&ca.der.as_slice().into(), ca_key)?)?;
    Ok(Leaf { certificate: certificate.pem(), key: key.serialize_pem(), life, hosts: hosts.clone() })
}

/// Since when the Secret and the configuration have said the same. By one leader's own clock, of what it saw itself: after a change of leaders the
/// waiting begins anew.
#[derive(Debug, Default)]
pub struct Agreement(Option<(String, Instant)>);

impl Agreement {
    /// Takes note of what they say now, which is the authorities and the leaf, or that they differ; says how long it has been so.
    pub fn note(&mut self, held: Option<&Authority>, now: Instant) -> Option<Duration> {
        let what = held.map(|held| held.bundle() + held.leaf().map_or("", |leaf| leaf.certificate.as_str()));
        self.0 = what.map(|what| match self.0.take() {
            Some((was, since)) if was == what => (was, since),
            _ => (what, now),
        });
        self.0.as_ref().map(|(_, since)| now.duration_since(*since))
    }
}

/// When a caBundle, or a Control of the catalog, that somebody else has changed may be put right: nothing is fought over (H124).
#[derive(Debug, Default)]
pub struct Repairs {
    bundle: String,
    done: u32,
    next: Option<Instant>,
}

impl Repairs {
    /// Whether this bundle may be written now. A new one always may: that is no repair.
    pub fn due(&mut self, bundle: &str, now: Instant) -> bool {
        if self.bundle != bundle {
            *self = Self { bundle: bundle.to_owned(), done: 0, next: None };
        }
        self.next.is_none_or(|next| now >= next)
    }

    /// It was written; says how long the next must wait.
    pub fn done(&mut self, now: Instant) -> Duration {
        self.done = self.done.saturating_add(1);
        let pause = match self.done.checked_sub(AT_ONCE) {
            None => Duration::ZERO,
            Some(doublings) => FIRST_PAUSE.saturating_mul(1 << doublings.min(10)).min(LAST_PAUSE),
        };
        self.next = Some(now + pause);
        pause
    }

    /// It has stood for so long.
    pub fn stood(&mut self, agreed: Duration) {
        if agreed >= LAST_PAUSE {
            (self.done, self.next) = (0, None);
        }
    }

    /// Whether somebody else keeps on changing it.
    pub fn contested(&self) -> bool {
        self.done > AT_ONCE
    }
}

#[cfg(test)]
mod tests;
