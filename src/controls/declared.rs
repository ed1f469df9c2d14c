//! What a control about a namespace reads and says, and what such controls share: recurring duties, evidence, and the dates on which both lapse.
//! Every date that may turn a verdict is noted, so that nobody has to look again before it falls due.

use jiff::{SignedDuration, Timestamp};

use super::Applies;
use crate::{
    api::{
        ownership::{EscalationLevel, Evidence, OwnerClass, Parties, Policy, Review, Reviews},
        waiver::WaiverState,
    },
    model::{
        Finding,
        facts::{Facts, Namespace},
        text::shown,
    },
};

/// A namespace and what it declares, as resolved.
#[derive(Clone, Copy, Debug)]
pub struct Declared<'c> {
    /// The namespace.
    pub namespace: &'c Namespace,
    /// The settings of its Ownership, or of the Baseline for the cluster.
    pub policy: &'c Policy,
    /// Where these stand: `spec.policy`, or `spec.cluster` of a Baseline.
    pub settings: &'static str,
    /// Who is who.
    pub parties: &'c Parties,
    /// The recurring duties.
    pub reviews: &'c Reviews,
    /// Whom to call.
    pub escalation: &'c [EscalationLevel],
    /// Whose each control is that is asked for here.
    pub duties: &'c [Duty<'c>],
    /// Of these, the one that is judged.
    pub duty: &'c Duty<'c>,
    /// The Waivers of the namespace, and how each stands.
    pub exemptions: &'c [Exemption<'c>],
    /// The rest of the cluster.
    pub facts: &'c Facts,
    /// When it is judged.
    pub now: Timestamp,
}

impl Declared<'_> {
    /// The path of one of the settings.
    pub(super) fn setting(&self, name: &str) -> String {
        format!("{}.{name}", self.settings)
    }
}

/// Whose one control is.
#[derive(Clone, Copy, Debug)]
pub struct Duty<'c> {
    /// The control's id.
    pub control: &'c str,
    /// Its owner class.
    pub owner: OwnerClass,
    /// The party that answers for it, where one is named.
    pub accountable: Option<&'c str>,
    /// The parties that do the work, where they are named.
    pub performed_by: &'c [String],
    /// What shows that it holds.
    pub evidence: &'c [Evidence],
}

/// How one Waiver stands.
#[derive(Clone, Copy, Debug)]
pub struct Exemption<'c> {
    /// Its name.
    pub name: &'c str,
    /// Where it stands, by the one rule.
    pub state: WaiverState,
    /// When it ends.
    pub ends: Timestamp,
}

/// A date on which something lapses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// When it lapses.
    pub at: Timestamp,
    /// From when on that is worth saying.
    pub notice: Timestamp,
    /// What it is, in a few words.
    pub what: String,
}

/// What a control about a namespace says.
#[derive(Debug, Default)]
pub struct Notes {
    /// What does not hold or cannot be seen.
    pub findings: Vec<Finding>,
    /// What will lapse, or has, and when.
    pub dates: Vec<Due>,
}

impl Notes {
    pub(super) fn violated(&mut self, path: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) {
        self.findings.push(Finding::violated(path, "", message, fix));
    }

    pub(super) fn unknown(&mut self, path: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) {
        self.findings.push(Finding::unknown(path, message, fix));
    }

    pub(super) fn due(&mut self, what: String, at: Timestamp, days: i64) {
        let notice = at.checked_sub(SignedDuration::from_hours(24 * days)).unwrap_or(at);
        self.dates.push(Due { at, notice, what });
    }
}

/// A recurring duty.
pub(super) struct Duties {
    /// Its field below `spec.reviews`.
    pub field: &'static str,
    /// What it is called.
    pub what: &'static str,
    /// How many days it counts where the Ownership does not say.
    pub days: i64,
}

/// A review is announced so long before it is due.
pub(super) const NOTICE_OF_REVIEW: i64 = 30;
/// Evidence is announced so long before it lapses: it takes others to renew it.
pub(super) const NOTICE_OF_EVIDENCE: i64 = 60;
/// A day is recorded as its midnight, or its noon, in UTC, and begins up to 14 hours earlier where the clocks are ahead of it; what is written a day
/// ahead may thus be done already. Not more: clocks do not differ by that.
pub(super) const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Judges one recurring duty: done within its period, and what it found closed in time. Returns when it was last done.
pub(super) fn review(cx: &Declared<'_>, duty: &Duties, review: Option<&Review>, out: &mut Notes) -> Option<Timestamp> {
    let at = |field: &str| format!("spec.reviews.{}{field}", duty.field);
    let record = format!("do it, and record spec.reviews.{}.lastCompleted in the Ownership", duty.field);
    let Some((review, done)) = review.and_then(|r| Some((r, r.last_completed.as_ref()?.0))) else {
        out.unknown(at(""), format!("no {} is recorded", duty.what), record);
        return None;
    };
    let period = match review.period.as_deref() {
        None => Some(SignedDuration::from_hours(24 * duty.days)),
        Some(period) => days(period),
    };
    let done_in_time = match period.map(|p| done.checked_add(p)) {
        None => {
            out.unknown(at(".period"), format!("the period of the {} is not a number of days", duty.what), format!("write it as P{}D", duty.days));
            return None;
        }
        Some(until) if done.duration_since(cx.now) <= AHEAD => until.ok(),
        Some(_) => {
            out.unknown(at(".lastCompleted"), format!("the {} is said to be done in the future", duty.what), "record the day on which it was done");
            out.dates.extend(done.checked_sub(AHEAD).map(|t| Due { at: t, notice: t, what: format!("{} that was recorded ahead", duty.what) }));
            return None;
        }
    };
    if let Some(until) = done_in_time {
        out.due(duty.what.to_owned(), until, NOTICE_OF_REVIEW);
        if until <= cx.now {
            out.violated(at(".lastCompleted"), format!("the {} was due {}", duty.what, day(until)), record);
        }
    }
    for (i, finding) in review.findings.iter().enumerate().filter(|(_, f)| f.closed.as_ref().is_none_or(|closed| closed.0 > cx.now)) {
        let at = at(&format!(".findings[{i}]"));
        let severity = finding.severity.lower();
        out.dates.extend(finding.closed.as_ref().map(|closed| Due { at: closed.0, notice: closed.0, what: format!("{severity} finding of the {} that closes", duty.what) }));
        let Some(due) = finding.due_date.as_ref().map(|t| t.0) else {
            out.unknown(at, format!("a {severity} finding of the {} is open and has no due date", duty.what), "set its dueDate, or close it");
            continue;
        };
        out.due(format!("{severity} finding of the {}", duty.what), due, NOTICE_OF_REVIEW);
        if due <= cx.now {
            out.violated(at, format!("a {severity} finding of the {} was due {}", duty.what, day(due)), "mend it, and record closed");
        }
    }
    Some(done)
}

/// How the evidence of a control stands.
pub(super) enum Proof {
    /// Some of it counts.
    Counts,
    /// It has lapsed, on that day.
    Lapsed(Timestamp),
    /// None of it says until when it counts.
    Endless,
    /// There is none.
    None,
}

/// Whether what was recorded as evidence of a control still counts; of several the one that lasts longest.
pub(super) fn proof(duty: &Duty<'_>, now: Timestamp, dates: &mut Notes) -> Proof {
    let Some(until) = duty.evidence.iter().filter_map(|e| e.valid_until.as_ref()).map(|t| t.0).max() else {
        return if duty.evidence.is_empty() { Proof::None } else { Proof::Endless };
    };
    dates.due(format!("evidence of {}", duty.control), until, NOTICE_OF_EVIDENCE);
    if until <= now { Proof::Lapsed(until) } else { Proof::Counts }
}

/// Judges a control that the cluster cannot show: somebody has attested it, and that still counts.
pub(super) fn attested(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    let path = format!("spec.controls[{}].evidence", cx.duty.control);
    let fix = format!("record current evidence for {} in the Ownership, with validUntil", cx.duty.control);
    match proof(cx.duty, cx.now, out) {
        Proof::Counts => {}
        Proof::Lapsed(on) => out.violated(path, format!("evidence expired {}", day(on)), fix),
        Proof::Endless => out.unknown(path, "the evidence does not say until when it counts", fix),
        Proof::None => out.unknown(path, "no evidence is recorded", fix),
    }
    Applies::Yes
}

/// What was recorded for a control of the provider's, or of a third party's, and counts no more: drift of the control itself, whatever its check sees.
pub fn lapsed(duty: &Duty<'_>, now: Timestamp, out: &mut Notes) {
    match duty.owner {
        OwnerClass::Provider | OwnerClass::ThirdParty => {}
        OwnerClass::Customer | OwnerClass::SharedIndependent | OwnerClass::SharedDependent | OwnerClass::NotApplicable => return,
    }
    if let Proof::Lapsed(on) = proof(duty, now, out) {
        let fix = format!("record current evidence for {} in the Ownership, with validUntil", duty.control);
        out.violated(format!("spec.controls[{}].evidence", duty.control), format!("evidence expired {}", day(on)), fix);
    }
}

/// Judges whether a DaemonSet, as `namespace/name` or by name, runs on every Linux node.
pub(super) fn runs_everywhere(cx: &Declared<'_>, wanted: &str, setting: &str, out: &mut Notes) {
    let path = &cx.setting(setting);
    let estate = &cx.facts.estate;
    let agents = match &estate.agents {
        Ok(agents) => agents,
        Err(reason) => return out.unknown(path, format!("DaemonSets are not seen: {reason}"), "let Demarc read daemonsets"),
    };
    let is_it = |key: &str| key == wanted || !wanted.contains('/') && key.split_once('/').is_some_and(|(_, name)| name == wanted);
    let mut found = agents.iter().filter(|(key, _)| is_it(key));
    let shown_name = |name: &str| shown(name, 120);
    let Some((key, agent)) = found.next() else {
        return out.violated(path, format!("there is no DaemonSet {}", shown_name(wanted)), "install the agent, or correct the name");
    };
    if found.next().is_some() {
        return out.unknown(path, format!("more than one DaemonSet is called {}", shown_name(wanted)), "name it as <namespace>/<name>");
    }
    let nodes = match &estate.nodes {
        Ok(nodes) => nodes.values().filter(|node| node.linux).count(),
        Err(reason) => return out.unknown(path, format!("nodes are not seen: {reason}"), "let Demarc read nodes"),
    };
    let name = shown_name(key);
    // No numbers: they change with every node, and the finding would be a new one each time.
    if agent.desired <= 0 {
        out.violated(path, format!("DaemonSet {name} runs on no node"), "let it run");
    } else if usize::try_from(agent.desired).is_ok_and(|desired| desired < nodes) {
        out.violated(path, format!("DaemonSet {name} is not meant for every Linux node"), "let it tolerate every taint, and select every node");
    } else if agent.ready < agent.desired {
        out.violated(path, format!("DaemonSet {name} is not ready on every node that it is meant for"), "look at the pods that are not ready");
    }
}

/// A day, for a message: the same finding reads the same tomorrow.
pub(super) fn day(at: Timestamp) -> String {
    at.strftime("%F").to_string()
}

/// A name for a message.
pub(super) fn party(name: &str) -> String {
    shown(name, 63)
}

/// The days of an ISO 8601 duration such as `P90D`.
pub(super) fn days(period: &str) -> Option<SignedDuration> {
    let days: i64 = period.strip_prefix('P')?.strip_suffix('D')?.parse().ok()?;
    (1..=99_999).contains(&days).then(|| SignedDuration::from_hours(days * 24))
}

#[cfg(test)]
pub(crate) mod testing {
    //! One line a case: an Ownership's spec in YAML, what the control says of it.
    use super::*;
    use crate::{
        api::ownership::OwnershipSpec,
        controls::{CATALOG, Check, Control, testing::NOW},
    };

    /// Runs `control` over a spec under PaaS; each finding as `Violated path: message`, or `[-]` when nothing applies.
    pub fn stand(control: &Control, spec: &str, facts: &Facts) -> Vec<String> {
        told(notes(control, spec, facts))
    }

    /// What it says, dates and all; `None` when nothing applies.
    pub fn notes(control: &Control, spec: &str, facts: &Facts) -> Option<Notes> {
        noted(control, spec, facts, &[])
    }

    /// The same of a namespace with these Waivers.
    pub fn with_exemptions(control: &Control, exemptions: &[Exemption<'_>]) -> Vec<String> {
        told(noted(control, "", &Facts::empty(), exemptions))
    }

    fn told(notes: Option<Notes>) -> Vec<String> {
        notes.map_or_else(|| vec!["-".to_owned()], |notes| notes.findings.iter().map(|f| format!("{:?} {}: {}", f.outcome, f.path, f.message)).collect())
    }

    fn noted(control: &Control, spec: &str, facts: &Facts, exemptions: &[Exemption<'_>]) -> Option<Notes> {
        let spec: OwnershipSpec = serde_saphyr::from_str(&format!("{{serviceModel: PaaS, {spec}}}")).unwrap();
        let duties: Vec<Duty<'_>> = CATALOG
            .iter()
            .map(|c| {
                let entry = spec.controls.iter().find(|e| e.control == c.id);
                let owner = entry.and_then(|e| e.owner).unwrap_or_else(|| c.owner(spec.service_model));
                let role = match owner {
                    OwnerClass::Provider => spec.parties.provider.as_deref(),
                    OwnerClass::ThirdParty => spec.parties.third_parties.first().map(String::as_str),
                    _ => spec.parties.customer.as_deref(),
                };
                Duty {
                    control: c.id,
                    owner,
                    accountable: entry.and_then(|e| e.accountable.as_deref()).or(role),
                    performed_by: entry.map_or(&[], |e| &e.performed_by),
                    evidence: entry.map_or(&[], |e| &e.evidence),
                }
            })
            .collect();
        let declared = Declared {
            namespace: &Namespace { name: "shop".to_owned(), ..Namespace::default() },
            policy: &spec.policy,
            settings: "spec.policy",
            parties: &spec.parties,
            reviews: &spec.reviews.clone().unwrap_or_default(),
            escalation: spec.escalation.as_ref().map_or(&[], |e| &e.levels),
            duties: &duties,
            duty: duties.iter().find(|d| d.control == control.id).unwrap(),
            exemptions,
            facts,
            now: NOW.parse().unwrap(),
        };
        let (Check::Namespace(check) | Check::Requester(check, _) | Check::Cluster(check, _)) = control.check else { panic!("{} judges no namespace", control.id) };
        let mut notes = Notes::default();
        (check(&declared, &mut notes) != Applies::No).then_some(notes)
    }

    /// The table of a control that is a recurring duty and nothing else.
    pub fn recurs(control: &Control, duty: &Duties) {
        let (field, what) = (duty.field, duty.what);
        let now: Timestamp = NOW.parse().unwrap();
        let ago = |days: i64| now.checked_sub(SignedDuration::from_hours(24 * days)).unwrap();
        let overdue = |on: Timestamp| vec![format!("Violated spec.reviews.{field}.lastCompleted: the {what} was due {}", day(on))];
        let at = |path: &str, said: String| vec![format!("Unknown spec.reviews.{field}{path}: {said}")];
        let ahead = || at(".lastCompleted", format!("the {what} is said to be done in the future"));
        let finding = |rest: &str| format!("lastCompleted: '{}', findings: [{{title: x, severity: high, {rest}}}]", ago(1));
        let due = vec![format!("Violated spec.reviews.{field}.findings[0]: a high finding of the {what} was due 2026-04-01")];
        for (review, said) in [
            (String::new(), at("", format!("no {what} is recorded"))),
            ("period: P10D, findings: []".to_owned(), at("", format!("no {what} is recorded"))),
            (format!("lastCompleted: '{}'", ago(1)), vec![]),
            (format!("lastCompleted: '{}'", ago(duty.days - 1)), vec![]),
            (format!("lastCompleted: '{}'", ago(duty.days)), overdue(now)),
            (format!("lastCompleted: '{}', period: P10D", ago(11)), overdue(ago(1))),
            (format!("lastCompleted: '{}', period: P99999D", ago(duty.days)), vec![]),
            (format!("lastCompleted: '{}', period: soon", ago(1)), at(".period", format!("the period of the {what} is not a number of days"))),
            (format!("lastCompleted: '{}', period: P0D", ago(1)), at(".period", format!("the period of the {what} is not a number of days"))),
            ("lastCompleted: '2026-04-01T12:00:00Z'".to_owned(), vec![]),
            ("lastCompleted: '2026-05-01T00:00:00Z'".to_owned(), ahead()),
            ("lastCompleted: '9999-12-30T00:00:00Z', period: P99999D".to_owned(), ahead()),
            (finding("dueDate: '2026-04-01T00:00:00Z'"), due.clone()),
            (finding("dueDate: '2026-04-01T00:00:00Z', closed: '2026-05-01T00:00:00Z'"), due),
            (finding("dueDate: '2026-04-01T00:00:00Z', closed: '2026-03-31T00:00:00Z'"), vec![]),
            (finding("dueDate: '2026-04-01T00:00:01Z'"), vec![]),
            (finding(""), at(".findings[0]", format!("a high finding of the {what} is open and has no due date"))),
        ] {
            assert_eq!(stand(control, &format!("reviews: {{{field}: {{{review}}}}}"), &Facts::empty()), said, "{review}");
        }
        assert_eq!(stand(control, "", &Facts::empty()), at("", format!("no {what} is recorded")));
        let done = notes(control, &format!("reviews: {{{field}: {{lastCompleted: '{}', period: P40D}}}}", ago(1)), &Facts::empty()).unwrap();
        let at = ago(-39);
        assert_eq!(done.dates, [Due { at, notice: ago(-9), what: what.to_owned() }]);
    }

    /// The table of a control that is attested and nothing else.
    pub fn is_attested(control: &Control) {
        let id = control.id;
        let path = format!("spec.controls[{id}].evidence");
        let (old, good) = ("{type: a, ref: b, validUntil: '2026-04-01T00:00:00Z'}", "{type: a, ref: b, validUntil: '2026-04-01T00:00:01Z'}");
        for (evidence, said) in [
            (String::new(), vec![format!("Unknown {path}: no evidence is recorded")]),
            ("{type: a, ref: b}".to_owned(), vec![format!("Unknown {path}: the evidence does not say until when it counts")]),
            (old.to_owned(), vec![format!("Violated {path}: evidence expired 2026-04-01")]),
            (good.to_owned(), vec![]),
            (format!("{old}, {good}"), vec![]),
            (format!("{old}, {{type: a, ref: b}}"), vec![format!("Violated {path}: evidence expired 2026-04-01")]),
        ] {
            for owner in ["Provider", "Customer"] {
                assert_eq!(stand(control, &format!("controls: [{{control: {id}, owner: {owner}, evidence: [{evidence}]}}]"), &Facts::empty()), said, "{evidence}");
            }
        }
        assert_eq!(stand(control, "", &Facts::empty()), vec![format!("Unknown {path}: no evidence is recorded")]);
        let dates = notes(control, &format!("controls: [{{control: {id}, evidence: [{good}]}}]"), &Facts::empty()).unwrap().dates;
        assert_eq!(dates.len(), 1);
        assert_eq!(dates[0].notice.to_string(), "2026-01-31T00:00:01Z", "two months before");
    }
}
