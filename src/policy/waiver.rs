//! Waivers: what they let pass, and until when. [`live`] is the one rule; the webhook, drift, `check` and the command line all ask it.
//! Each counts while it is live, whatever else was asked for or is over: a renewal takes over where the old one ends.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::waiver::{Waiver, WaiverState, WaiverStatus},
    controls::{self, CATALOG, Exemption},
    model::{
        selector::Selector,
        subject::{Kind, Subject},
        text::shown,
    },
    policy::status::merged,
};

/// The longest that a Waiver lasts, unless a Baseline says otherwise.
pub const MAX_DAYS: u16 = 90;
/// It is told so long before it ends.
const NOTICE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A Waiver as decisions read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Permit {
    /// Its name.
    pub name: String,
    /// Position of its control in the catalog.
    control: Option<usize>,
    kind: Option<String>,
    target: Target,
    approved: bool,
    void: Option<(&'static str, &'static str)>,
    made: Option<Timestamp>,
    /// Until when it may last at most.
    latest: Option<Timestamp>,
    /// Whichever comes first, what it says or what may be.
    ends: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
enum Target {
    Named(String),
    Selected(Selector),
    Nothing,
}

impl Permit {
    /// Reads a Waiver that may last for `max_days` from its creation; `control` is the position of its control.
    pub fn read(waiver: &Waiver, max_days: u16, control: Option<usize>) -> Self {
        let (meta, spec) = (&waiver.metadata, &waiver.spec);
        let target = match (&spec.target.name, &spec.target.selector) {
            (Some(name), None) => Target::Named(name.clone()),
            (None, Some(selector)) => serde_json::to_value(selector).ok().and_then(|s| Selector::read(&s)).map_or(Target::Nothing, Target::Selected),
            _ => Target::Nothing,
        };
        // The API server refuses these; what was stored while nobody looked is not believed either.
        let void = if spec.approval.as_ref().is_some_and(|a| a.by == spec.requested_by) {
            Some(("SelfApproved", "whoever asked for it approved it: it counts for nothing"))
        } else if control.is_none() {
            Some(("UnknownControl", "this version does not know its control"))
        } else if control.and_then(|i| CATALOG.get(i)).is_some_and(|row| !row.of_objects()) {
            Some(("NoObject", "its control judges no object, so nothing passes by it: delete it"))
        } else if target == Target::Nothing {
            Some(("NoTarget", "it says nothing that could be meant"))
        } else if meta.deletion_timestamp.is_some() {
            Some(("Deleted", "it is being deleted"))
        } else {
            None
        };
        // One that nobody knows the age of has none left.
        let latest = meta.creation_timestamp.as_ref().and_then(|t| t.0.checked_add(SignedDuration::from_hours(24 * i64::from(max_days))).ok());
        Self {
            name: meta.name.clone().unwrap_or_default(),
            control,
            kind: spec.target.kind.clone(),
            target,
            approved: spec.approval.is_some(),
            void,
            made: meta.creation_timestamp.as_ref().map(|t| t.0),
            latest,
            ends: latest.map_or(Timestamp::MIN, |latest| latest.min(spec.expires.0)),
        }
    }

    /// The same for whoever knows neither the Baselines of its namespace nor the Controls of its cluster: of these the leader says what they mean to it.
    /// That it is for no Control the webhook would have said.
    pub fn told(waiver: &Waiver) -> Self {
        let mut permit = Self::read(waiver, MAX_DAYS, Some(controls::find(&waiver.spec.control).unwrap_or(usize::MAX)));
        let Some(said) = &waiver.status else { return permit };
        if let Some(latest) = &said.latest {
            permit.ends = latest.0.min(waiver.spec.expires.0);
        }
        if permit.void.is_none() && said.state == Some(WaiverState::Void) && said.observed_generation == waiver.metadata.generation {
            permit.void = Some(("Void", "its condition Live says why"));
        }
        permit
    }

    /// Why it can never count.
    pub fn void(&self) -> Option<&'static str> {
        self.void.map(|(_, why)| why)
    }

    /// When it ends.
    pub fn ends(&self) -> Timestamp {
        self.ends
    }

    /// Whether it is for this violation; a `root` above the object counts as well.
    fn is_for(&self, control: usize, subject: &Subject<'_>, root: Option<&Subject<'_>>) -> bool {
        self.control == Some(control) && [Some(subject), root].into_iter().flatten().any(|s| self.names(s))
    }

    fn names(&self, subject: &Subject<'_>) -> bool {
        self.kind.as_ref().is_none_or(|kind| kind.eq_ignore_ascii_case(subject.kind.name()))
            && match &self.target {
                Target::Named(name) => *name == *subject.meta.name,
                Target::Selected(selector) => selector.matches(&subject.meta.labels) || subject.pod.as_ref().is_some_and(|pod| selector.matches(&pod.labels)),
                Target::Nothing => false,
            }
    }

    /// How it stands, for the control about Waivers.
    pub fn exemption(&self, now: Timestamp) -> Exemption<'_> {
        Exemption { name: &self.name, state: live(self, now), ends: self.ends }
    }

    /// Its last day, as a date.
    pub fn last_day(&self) -> String {
        last_day(self.ends)
    }
}

fn last_day(ends: Timestamp) -> String {
    ends.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(ends).strftime("%F").to_string()
}

/// The last day of a Waiver as far as anybody has said: what it says itself, which the webhook held to the longest there, or what the leader says since.
pub fn told_last_day(waiver: &Waiver) -> String {
    let expires = waiver.spec.expires.0;
    last_day(waiver.status.as_ref().and_then(|s| s.latest.as_ref()).map_or(expires, |latest| latest.0.min(expires)))
}

/// Where a Waiver stands at `now`: the one rule.
pub fn live(waiver: &Permit, now: Timestamp) -> WaiverState {
    if waiver.void.is_some() {
        WaiverState::Void
    } else if waiver.ends <= now {
        WaiverState::Expired
    } else if !waiver.approved {
        WaiverState::Requested
    } else if waiver.ends.duration_since(now) <= NOTICE {
        WaiverState::Expiring
    } else {
        WaiverState::Live
    }
}

/// The Waiver by which a violation passes now; of several that are live the one that ends first, so that nobody is told a longer time than the
/// shortest that was given. `root` is asked for only where some Waiver is for the control.
pub fn waived<'w, 's>(waivers: &'w [Permit], control: usize, subject: &Subject<'_>, root: impl FnOnce() -> Option<Subject<'s>>, now: Timestamp) -> Option<&'w Permit> {
    if !waivers.iter().any(|w| w.control == Some(control)) {
        return None;
    }
    let root = root();
    let counts = |waiver: &&Permit| match live(waiver, now) {
        WaiverState::Live | WaiverState::Expiring => waiver.is_for(control, subject, root.as_ref()),
        WaiverState::Requested | WaiverState::Expired | WaiverState::Void => false,
    };
    waivers.iter().filter(counts).min_by_key(|waiver| waiver.ends)
}

/// Whether one of these may be what let in an object that was made at `created`: it was there by then, was not over, and is approved.
pub fn let_in(waivers: &[Permit], control: usize, subject: &Subject<'_>, created: Timestamp) -> bool {
    let counts = |waiver: &Permit| match live(waiver, created) {
        WaiverState::Live | WaiverState::Expiring => waiver.made.is_some_and(|made| made <= created) && waiver.is_for(control, subject, None),
        WaiverState::Requested | WaiverState::Expired | WaiverState::Void => false,
    };
    waivers.iter().any(counts)
}

/// When time alone changes what one of these lets pass.
pub fn turns(waivers: &[Permit], now: Timestamp) -> Option<Timestamp> {
    let of = |w: &Permit| [w.ends.checked_sub(NOTICE).ok(), Some(w.ends)].into_iter().flatten().filter(|t| *t > now).min();
    waivers.iter().filter(|w| w.void.is_none()).filter_map(of).min()
}

/// Kind and name, or that there is a selector.
fn target(waiver: &Waiver) -> String {
    let target = &waiver.spec.target;
    let kind = target.kind.as_deref().map_or("*".to_owned(), str::to_lowercase);
    shown(&format!("{kind}/{}", target.name.as_deref().unwrap_or("(selected)")), 320)
}

/// Whether a kind of that name is judged, so that a Waiver may be for it.
pub fn known_kind(kind: &str) -> bool {
    Kind::ALL.iter().any(|k| k.namespaced() && k.name().eq_ignore_ascii_case(kind))
}

/// Why no Waiver can be for a control of the catalog, where none can, and what to do instead.
pub fn no_object(control: &str) -> Option<String> {
    let row = controls::find(control).map(|i| &CATALOG[i]).filter(|row| !row.of_objects())?;
    let judges = if row.judges() == ["Cluster"] { "the cluster" } else { "what is declared" };
    Some(format!(
        "{} judges {judges} and no object, so no Waiver can let anything pass: meet it, or have whoever answers for it change its owner or its enforcement in the Ownership",
        row.id
    ))
}

/// What the end of a Waiver means, or the loss of its approval: a permission that is over brings nothing back.
pub const AFTERWARDS: &str = "from then on the pods that it let in are not replaced";

/// The status of a Waiver as it should be, or `None` when the stored one says all of it.
pub fn plan(waiver: &Waiver, permit: &Permit, now: Timestamp) -> Option<WaiverStatus> {
    let old = waiver.status.clone().unwrap_or_default();
    let generation = waiver.metadata.generation.unwrap_or_default();
    let state = live(permit, now);
    let capped = if permit.ends < waiver.spec.expires.0 { ", which is as long as a Waiver may last here" } else { "" };
    let (status, reason, message) = match state {
        WaiverState::Live | WaiverState::Expiring => ("True", "Approved", format!("it counts until and including {}{capped}", permit.last_day())),
        WaiverState::Requested => ("False", "NotApproved", "somebody who may approve it, and did not ask for it, has to: demarc waiver approve".to_owned()),
        WaiverState::Expired => ("False", "Expired", format!("its last day was {}{capped}", permit.last_day())),
        WaiverState::Void => {
            let (reason, why) = permit.void.unwrap_or_default();
            ("False", reason, why.to_owned())
        }
    };
    let expiring = match state {
        WaiverState::Expiring => ("True", "EndsSoon", format!("its last day is {}; {AFTERWARDS}", permit.last_day())),
        WaiverState::Requested | WaiverState::Live => ("False", "NotSoon", "it does not end within a week".to_owned()),
        WaiverState::Expired | WaiverState::Void => ("False", "Over", "it does not count".to_owned()),
    };
    let new = WaiverStatus {
        observed_generation: Some(generation),
        state: Some(state),
        latest: permit.latest.map(Time),
        target: Some(target(waiver)),
        conditions: merged(&old.conditions, [("Live", Some((status, reason, message))), ("Expiring", Some(expiring))], generation, now),
    };
    (waiver.status.as_ref() != Some(&new)).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: &str = "encryption-declared";

    fn at(s: &str) -> Timestamp {
        s.parse().unwrap()
    }

    fn waiver(spec: &str) -> Waiver {
        let yaml = format!(
            "{{apiVersion: demarc.dev/v1alpha1, kind: Waiver, metadata: {{name: w, namespace: shop, generation: 1, creationTimestamp: '2026-01-01T00:00:00Z'}}, spec: {{reason: a, requestedBy: jo, {spec}}}}}"
        );
        serde_saphyr::from_str(&yaml).unwrap()
    }

    fn permit(spec: &str) -> Permit {
        Permit::read(&waiver(spec), MAX_DAYS, controls::find(&waiver(spec).spec.control))
    }

    const NAMED: &str = "control: encryption-declared, target: {kind: Deployment, name: web}, approval: {by: sam, at: '2026-01-01T00:00:00Z'}";

    #[test]
    fn it_lives_from_approval_to_its_end_and_never_longer_than_it_may() {
        use WaiverState::{Expired, Expiring, Live, Requested, Void};
        let asked = "control: encryption-declared, target: {kind: Deployment, name: web}";
        for (spec, expires, now, said) in [
            (asked, "2026-03-01T00:00:00Z", "2026-01-02T00:00:00Z", Requested),
            (asked, "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", Expired),
            (NAMED, "2026-03-01T00:00:00Z", "2026-01-02T00:00:00Z", Live),
            (NAMED, "2026-03-01T00:00:00Z", "2026-02-21T23:59:59Z", Live),
            (NAMED, "2026-03-01T00:00:00Z", "2026-02-22T00:00:00Z", Expiring),
            (NAMED, "2026-03-01T00:00:00Z", "2026-02-28T23:59:59Z", Expiring),
            (NAMED, "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", Expired),
            // The cap: 90 days from its creation, whatever it says.
            (NAMED, "9999-01-01T00:00:00Z", "2026-03-31T23:59:59Z", Expiring),
            (NAMED, "9999-01-01T00:00:00Z", "2026-04-01T00:00:00Z", Expired),
            (NAMED, "0001-01-01T00:00:00Z", "2026-01-02T00:00:00Z", Expired),
            (
                "control: encryption-declared, target: {kind: Deployment, name: web}, approval: {by: jo, at: '2026-01-01T00:00:00Z'}",
                "2026-03-01T00:00:00Z",
                "2026-01-02T00:00:00Z",
                Void,
            ),
            ("control: nobody-knows, target: {kind: Deployment, name: web}", "2026-03-01T00:00:00Z", "2026-01-02T00:00:00Z", Void),
            ("control: encryption-declared, target: {}", "2026-03-01T00:00:00Z", "2026-01-02T00:00:00Z", Void),
            ("control: penetration-test-current, target: {kind: Deployment, name: web}", "2026-03-01T00:00:00Z", "2026-01-02T00:00:00Z", Void),
            ("control: audit-logging-attested, target: {kind: Deployment, name: web}", "2026-03-01T00:00:00Z", "2026-01-02T00:00:00Z", Void),
            ("control: mfa-enforced, target: {kind: Deployment, name: web}", "2026-03-01T00:00:00Z", "2026-01-02T00:00:00Z", Requested),
        ] {
            assert_eq!(live(&permit(&format!("{spec}, expires: '{expires}'")), at(now)), said, "{spec} {expires} {now}");
        }
        let mut ageless = waiver(&format!("{NAMED}, expires: '2026-03-01T00:00:00Z'"));
        ageless.metadata.creation_timestamp = None;
        assert_eq!(live(&Permit::read(&ageless, MAX_DAYS, Some(0)), at("2026-01-02T00:00:00Z")), Expired);
        let long = Permit::read(&waiver(&format!("{NAMED}, expires: '9999-01-01T00:00:00Z'")), 180, Some(0));
        assert_eq!((live(&long, at("2026-06-01T00:00:00Z")), long.last_day().as_str()), (Live, "2026-06-29"));
    }

    #[test]
    fn it_is_for_what_it_names_and_each_counts_while_it_is_live() {
        let subject = |json: &'static str| Subject::parse(Kind::Deployment, json).unwrap();
        let web = subject(
            r#"{"metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {"template": {"metadata": {"labels": {"tier": "front"}}, "spec": {"containers": [{"name": "c"}]}}}}"#,
        );
        let control = controls::find(CONTROL).unwrap();
        let (until, long) = ("expires: '2026-02-01T00:00:00Z'", "expires: '2026-03-01T00:00:00Z'");
        let approved = |target: &str, until: &str| permit(&format!("control: {CONTROL}, target: {target}, approval: {{by: sam, at: '2026-01-01T00:00:00Z'}}, {until}"));
        let passes = |waivers: &[Permit], now: &str| waived(waivers, control, &web, || None, at(now)).map(Permit::last_day);
        for (target, said) in [
            ("{kind: Deployment, name: web}", true),
            ("{kind: deployment, name: web}", true),
            ("{kind: StatefulSet, name: web}", false),
            ("{kind: Deployment, name: we}", false),
            ("{selector: {matchLabels: {app: web}}}", true),
            ("{selector: {matchLabels: {tier: front}}}", true),
            ("{kind: Pod, selector: {matchLabels: {tier: front}}}", false),
            ("{selector: {matchExpressions: [{key: app, operator: In, values: [api]}]}}", false),
        ] {
            assert_eq!(passes(&[approved(target, until)], "2026-01-02T00:00:00Z").is_some(), said, "{target}");
        }
        assert!(waived(&[approved("{kind: Deployment, name: web}", until)], control + 1, &web, || None, at("2026-01-02T00:00:00Z")).is_none(), "another control");
        let both = [approved("{selector: {matchLabels: {app: web}}}", long), approved("{kind: Deployment, name: web}", until)];
        assert_eq!(passes(&both, "2026-01-02T00:00:00Z").unwrap(), "2026-01-31", "the one that ends first is told");
        assert_eq!(passes(&both, "2026-02-01T00:00:00Z").unwrap(), "2026-02-28", "what was renewed goes on when the old one is over");
        assert_eq!(passes(&both[1..], "2026-02-01T00:00:00Z"), None);
        assert_eq!(passes(&both, "2026-03-01T00:00:00Z"), None);
        let asked = permit(&format!("control: {CONTROL}, target: {{kind: Deployment, name: web}}, {until}"));
        assert_eq!(passes(std::slice::from_ref(&asked), "2026-01-02T00:00:00Z"), None);
        assert!(passes(&[both[0].clone(), asked], "2026-02-02T00:00:00Z").is_some(), "what was only asked for takes nothing away");
    }

    #[test]
    fn what_judges_no_object_takes_no_waiver_and_says_what_to_do() {
        let refused: Vec<&str> = CATALOG.iter().map(|c| c.id).filter(|id| no_object(id).is_some()).collect();
        let without: Vec<&str> = CATALOG.iter().filter(|c| c.kinds.is_empty() && c.id != "mfa-enforced").map(|c| c.id).collect();
        assert_eq!(refused, without, "who asks without a second factor may be let pass, an object at a time");
        assert_eq!(no_object("two-replicas"), None, "one of one's own");
        for (control, judges) in [("escalation-contact-declared", "what is declared and no object"), ("node-version-supported", "the cluster and no object")] {
            assert!(no_object(control).unwrap().contains(&format!("{control} judges {judges}")), "{control}");
        }
    }

    #[test]
    fn a_child_passes_by_what_its_root_was_given() {
        let pod = Subject::parse(Kind::Pod, r#"{"metadata": {"name": "web-1"}, "spec": {"containers": [{"name": "c"}]}}"#).unwrap();
        let root = || Subject::parse(Kind::Deployment, r#"{"metadata": {"name": "web"}, "spec": {"template": {"spec": {"containers": [{"name": "c"}]}}}}"#).ok();
        let (control, now) = (controls::find(CONTROL).unwrap(), at("2026-01-02T00:00:00Z"));
        let waivers = [permit(&format!("{NAMED}, expires: '2026-03-01T00:00:00Z'"))];
        assert!(waived(&waivers, control, &pod, root, now).is_some() && waived(&waivers, control, &pod, || None, now).is_none());
    }

    #[test]
    fn its_status_is_written_when_it_turns_and_not_again() {
        let mut waiver = waiver(&format!("{NAMED}, expires: '2026-03-01T00:00:00Z'"));
        let mut now = at("2026-01-02T00:00:00Z");
        let mut told = Vec::new();
        loop {
            let permit = Permit::read(&waiver, MAX_DAYS, Some(0));
            let status = plan(&waiver, &permit, now).expect("something turned");
            told.push(status.state.unwrap());
            assert_eq!(status.target.as_deref(), Some("deployment/web"));
            let end = status.conditions.iter().any(|c| c.type_ == "Expiring" && c.message.ends_with(AFTERWARDS));
            assert_eq!(end, status.state == Some(WaiverState::Expiring), "what the end means is said before it");
            waiver.status = Some(status);
            assert_eq!(plan(&waiver, &permit, now), None);
            match turns(&[permit], now) {
                Some(then) => now = then,
                None => break,
            }
        }
        assert_eq!(told, [WaiverState::Live, WaiverState::Expiring, WaiverState::Expired]);
    }
}
