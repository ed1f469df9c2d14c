//! The status of an Ownership as it should be, and whether writing it changes anything.
//! `plan` returns `None` when nothing changed, so a steady cluster sees no writes; conditions of others are kept.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use sha2::{Digest, Sha256};

use super::{
    cluster::Standing,
    drift::{Drift, Report},
    enforcing::{ENFORCING, Fault, Proof, Said, enforcing, stands},
    expiry::Ending,
    history::{Written, history},
    matrix::Matrix,
};
use crate::{
    api::MEMBER_PREFIX,
    api::baseline::{Baseline, BaselineStatus},
    api::ownership::{Counts, Enforcement, FindingRow, MatrixRow, OwnershipStatus, Verdict},
    controls::Due,
    model::text::{hex, listed, shown},
};

/// The most findings that a status lists; the total says how many there are (H91).
pub const MAX_FINDINGS: usize = 100;

/// What the leader knows beside the report.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The generation of the stored declaration, readable or not.
    pub generation: i64,
    /// The namespace carries the enrolment label.
    pub enrolled: bool,
    /// Why the stored declaration cannot be read.
    pub broken: Option<&'a str>,
    /// Why the namespace must not be enrolled.
    pub critical: Option<&'a str>,
    /// What keeps the API server from asking as it should.
    pub fault: Option<&'a Fault>,
    /// What was tried.
    pub proof: &'a Proof,
    /// What ends soon, or has.
    pub ending: Option<Ending>,
    /// What is worth telling beside a proof.
    pub note: Option<&'a str>,
    /// The declaration as it is stored, where it can be read.
    pub written: Option<Written<'a>>,
}

/// The status to write, or `None` when the stored one says all of it.
pub fn plan(old: Option<&OwnershipStatus>, matrix: &Matrix, report: &Report, observed: &Observed<'_>, now: Timestamp) -> Option<OwnershipStatus> {
    let default = OwnershipStatus::default();
    let before = old.unwrap_or(&default);
    let mut new = OwnershipStatus { observed_generation: Some(observed.generation), settings: Some(settings(matrix)), ..OwnershipStatus::default() };
    new.matrix = rows(before, matrix, report, observed, now);
    new.counts = counts(matrix, report);
    new.findings_total = i64::try_from(report.drift.len()).unwrap_or(i64::MAX);
    new.findings = findings(&before.findings, matrix, &report.drift, now);
    new.digest = Some(digest(&new));
    new.conditions = conditions(before, matrix, report, observed, now);
    new.history = observed.written.map_or_else(|| before.history.clone(), |written| history(before, &new, written, &Time(whole_second(now))));
    (old != Some(&new)).then_some(new)
}

/// The status while the declaration cannot be read and nobody remembers a good one. What was known stays, for it says what stood before and since
/// when; the conditions tell what is wrong.
pub fn plan_unreadable(old: Option<&OwnershipStatus>, reason: &str, observed: &Observed<'_>, now: Timestamp) -> Option<OwnershipStatus> {
    let mut new = old.cloned().unwrap_or_default();
    new.observed_generation = Some(observed.generation);
    let why = shown(&format!("the stored declaration cannot be read: {reason}"), 500);
    let enforcing = enforcing(observed, true, true, stands(&new.conditions));
    let states = [
        ("Ready", Some(("False", "Unreadable", why.clone()))),
        ("Stalled", Some(("True", "Unreadable", why))),
        ("Compliant", Some(("Unknown", "Unreadable", "nothing is judged until the declaration can be read".to_owned()))),
        (ENFORCING, Some(enforcing)),
        ("UnknownControl", None),
    ];
    new.conditions = merged(&new.conditions, states, observed.generation, now);
    (old != Some(&new)).then_some(new)
}

/// Enforcement that is taken back for less than this launders nothing of what was made meanwhile; for longer, what runs by then is spared (P16).
const LAPSE: SignedDuration = SignedDuration::from_mins(10);

fn rows(before: &OwnershipStatus, matrix: &Matrix, report: &Report, observed: &Observed<'_>, now: Timestamp) -> Vec<MatrixRow> {
    // One in the future was written by somebody else.
    let stood = |since: &Time| since.0 <= whole_second(now);
    matrix
        .entries
        .iter()
        .zip(&report.verdicts)
        .enumerate()
        .map(|(control, (entry, verdict))| {
            let id = matrix.row(control).id;
            let denied = observed.enrolled && entry.enforcement == Enforcement::Deny;
            // Tighter settings would else be held against what ran under the looser ones, and a Pod that is only moved to another node would not
            // come back (P16). Settings that this control does not read move nothing.
            let told = matrix.told(control);
            let row = before.matrix.iter().find(|r| r.control == id && r.asks.as_ref() == Some(&told));
            let allowed = row.and_then(|r| r.allowed_since.as_ref());
            let long = denied && allowed.is_some_and(|since| now.duration_since(since.0) >= LAPSE);
            let was = row.and_then(|r| r.forbidden_since.clone()).filter(|_| !long);
            // Of an Ownership that nobody has told of, the Baselines may have denied as much before it was there.
            let was = was.or_else(|| matrix.forbidden_since(control).filter(|_| denied && before.matrix.is_empty()).map(Time)).filter(stood);
            let forbidden_since = was.or_else(|| denied.then(|| Time(whole_second(now))));
            let asks = if forbidden_since.is_some() { Some(told) } else { matrix.asks(control).map(str::to_owned) };
            MatrixRow {
                control: id.to_owned(),
                owner: entry.owner,
                accountable: entry.accountable.clone(),
                enforcement: entry.enforcement,
                verdict: *verdict,
                judged_by: matrix.judged_by.get(&control).map(|by| by.iter().take(16).cloned().collect()).unwrap_or_default(),
                asks,
                allowed_since: forbidden_since.as_ref().filter(|_| !denied).map(|_| allowed.cloned().unwrap_or(Time(whole_second(now)))),
                forbidden_since,
            }
        })
        .collect()
}

/// All settings, in short, for whoever reads when they changed.
fn settings(matrix: &Matrix) -> String {
    // Plain data always serializes; were it not to, the empty text is as good as any.
    let text = serde_json::to_string(&(&matrix.policy, &matrix.default_owner)).unwrap_or_default();
    hex(&Sha256::digest(text), 6)
}

/// `metav1.Time` has whole seconds. Rounded up, so that an object made in this very second still counts as existing.
pub fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second() + i64::from(now.subsec_nanosecond() > 0)).unwrap_or(now)
}

fn counts(matrix: &Matrix, report: &Report) -> Counts {
    let of = |verdict| i32::try_from(report.verdicts.iter().filter(|v| **v == verdict).count()).unwrap_or(i32::MAX);
    let mut by_owner = BTreeMap::new();
    for entry in &matrix.entries {
        *by_owner.entry(entry.owner.to_string()).or_insert(0) += 1;
    }
    Counts {
        owed: i32::try_from(matrix.entries.iter().filter(|e| e.owner.owed_by_customer()).count()).unwrap_or(i32::MAX),
        violated: of(Verdict::Violated),
        unknown: of(Verdict::Unknown) + i32::try_from(matrix.unknown_controls.len()).unwrap_or(0),
        satisfied: of(Verdict::Satisfied),
        not_applicable: of(Verdict::NotApplicable),
        inherited: of(Verdict::Inherited),
        waived: of(Verdict::Waived),
        by_owner,
    }
}

fn findings(before: &[FindingRow], matrix: &Matrix, drift: &[Drift], now: Timestamp) -> Vec<FindingRow> {
    drift
        .iter()
        .take(MAX_FINDINGS)
        .map(|d| {
            let control = matrix.row(d.control).id;
            let verdict = d.verdict();
            let known = before.iter().find(|f| f.control == control && f.object == d.object && f.message == d.message && f.verdict == verdict);
            FindingRow {
                control: control.to_owned(),
                object: d.object.clone(),
                verdict,
                message: d.message.clone(),
                since: known.map_or(Time(whole_second(now)), |f| f.since.clone()),
                owed_by: shown(&matrix.owed_by(d.control), 63),
                grandfathered: d.grandfathered,
            }
        })
        .collect()
}

/// Short and stable: the same matrix and findings give the same digest, whatever the time.
fn digest(status: &OwnershipStatus) -> String {
    let mut hash = Sha256::new();
    for row in &status.matrix {
        hash.update(format!("{} {} {} {}\n", row.control, row.owner, row.enforcement, row.verdict));
    }
    for f in &status.findings {
        hash.update(format!("{} {} {} {}\n", f.control, f.object, f.verdict, f.message));
    }
    hash.update(status.findings_total.to_le_bytes());
    hex(&hash.finalize(), 6)
}

/// A condition's type, and its status, reason and message; `None` when it does not stand.
pub(super) type State = (&'static str, Option<Said>);

fn conditions(before: &OwnershipStatus, matrix: &Matrix, report: &Report, observed: &Observed<'_>, now: Timestamp) -> Vec<Condition> {
    let violated = report.verdicts.iter().filter(|v| **v == Verdict::Violated).count();
    let unknown = report.verdicts.iter().filter(|v| **v == Verdict::Unknown).count();
    let unknown = unknown + matrix.unknown_controls.len();
    let cluster = elsewhere(matrix);
    let compliant = match (violated, unknown) {
        (0, 0) => ("True", "AllHold", format!("every control that applies here holds{cluster}")),
        (0, n) => ("Unknown", "NotVisible", format!("nothing is violated; controls that cannot be seen: {n}{cluster}")),
        (v, n) => ("False", "Drift", format!("controls violated: {v}, not visible: {n}{cluster}")),
    };
    let enforcing = enforcing(observed, matrix.mode.enrolled(), false, stands(&before.conditions));
    let (ready, stalled) = match observed.broken {
        None => (("True", "Resolved", "the declaration is read and judged".to_owned()), None),
        Some(why) => {
            let why = shown(&format!("the stored declaration cannot be read; the last good one holds: {why}"), 500);
            (("False", "Unreadable", why.clone()), Some(("True", "Unreadable", why)))
        }
    };
    let broken = matrix.custom.iter().find_map(|asked| Some((&asked.control.id, asked.control.fault()?)));
    let unknown_control = match (matrix.unknown_controls.first(), broken) {
        (Some(id), _) => Some(("True", "NotInCatalog", format!("this version does not know {}; it is shown, not denied", shown(id, 63)))),
        (None, Some((id, why))) => Some(("True", "DoesNotCompile", shown(&format!("control {id} judges nothing: {why}"), 500))),
        (None, None) => None,
    };
    // Written only when the label could not be: else it is there before the status is.
    let waits = matrix.mode.enrolled() && !observed.enrolled && observed.critical.is_none();
    let reconciling = waits.then(|| ("True", "Enrolling", "the enrolment label is not on the namespace yet; the log of the replica that leads says why".to_owned()));
    let states = [
        ("Ready", Some(ready)),
        ("Stalled", stalled),
        ("Reconciling", reconciling),
        ("Compliant", Some(compliant)),
        (ENFORCING, Some(enforcing)),
        ("UnknownControl", unknown_control),
        ("BelowBaseline", below_baseline(matrix)),
        ("LeftBaseline", left_baseline(matrix)),
        ("OwnersMoved", owners_moved(before, matrix, observed.generation)),
        ("ReviewDue", Some(review_due(&report.dates, now))),
    ];
    merged(&before.conditions, states, observed.generation, now)
}

/// Where to look for what is not judged here.
fn elsewhere(matrix: &Matrix) -> String {
    let by: BTreeSet<&str> = matrix.judged_by.iter().filter(|(control, _)| matrix.entries[**control].judged()).flat_map(|(_, by)| by.iter().map(String::as_str)).collect();
    if by.is_empty() {
        return String::new();
    }
    let names = by.into_iter().collect::<Vec<_>>().join(", ");
    format!("; how the cluster stands is said by ClusterCompliant of baseline {}", shown(&names, 400))
}

/// How the namespaces under a Baseline stand.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    /// Those that it no longer selects and has not released, by name.
    pub left: &'a [&'a str],
    /// With an Ownership.
    pub declared: i32,
    /// Without one.
    pub undeclared: i32,
    /// With something violated.
    pub drifting: i32,
    /// What is proven of those that ask for admission.
    pub enforcing: Said,
    /// Kinds of its controllers that cannot be read, each with the reason.
    pub unseen: Vec<String>,
}

/// The status of a Baseline as it should be, or `None` when the stored one says all of it. `cluster` is how the cluster stands, by
/// the matrix that the Baseline makes of it.
pub fn plan_baseline(baseline: &Baseline, members: &Members<'_>, matrix: &Matrix, cluster: &Standing, now: Timestamp) -> Option<BaselineStatus> {
    let old = baseline.status.clone().unwrap_or_default();
    let generation = baseline.metadata.generation.unwrap_or_default();
    let of = |verdict| cluster.drift.iter().filter(|d| d.verdict() == verdict).count();
    let compliant = match (of(Verdict::Violated), of(Verdict::Unknown)) {
        (0, 0) => ("True", "AllHold", "what is the cluster's holds".to_owned()),
        (0, n) => ("Unknown", "NotVisible", format!("nothing of the cluster is violated; findings that cannot be seen: {n}")),
        (v, n) => ("False", "Drift", format!("findings about the cluster: {v} violated, {n} not visible")),
    };
    let Members { left, declared, undeclared, drifting, enforcing, unseen } = members;
    let ready = ("True", "Resolved", "it is read, and holds in the namespaces that it selects".to_owned());
    let states = [
        ("Ready", Some(ready)),
        (ENFORCING, Some(enforcing.clone())),
        ("LeftBaseline", left_by(left)),
        ("OwnersUnseen", owners_unseen(unseen)),
        ("ClusterCompliant", Some(compliant)),
        ("ReviewDue", Some(review_due(&cluster.dates, now))),
    ];
    let new = BaselineStatus {
        observed_generation: Some(generation),
        conditions: merged(&old.conditions, states, generation, now),
        declared: *declared,
        undeclared: *undeclared,
        drifting: *drifting,
        findings: findings(&old.findings, matrix, &cluster.drift, now),
        findings_total: i64::try_from(cluster.drift.len()).unwrap_or(i64::MAX),
    };
    (baseline.status.as_ref() != Some(&new)).then_some(new)
}

/// What the declaration asks below its floor: the floor holds, whatever was stored before there was one.
fn below_baseline(matrix: &Matrix) -> Option<(&'static str, &'static str, String)> {
    let of = |assigned: bool| matrix.below.iter().filter(|b| b.assigned == assigned).map(|b| b.what.as_str()).collect::<Vec<_>>().join("; ");
    let (held, assigned) = (of(false), of(true));
    match (held.as_str(), assigned.as_str()) {
        ("", "") => None,
        ("", _) => Some(("True", "Assigned", shown(&format!("what is declared holds, and was assigned or stood before: {assigned}"), 1000))),
        (_, "") => Some(("True", "FloorHolds", shown(&format!("the floor holds instead of what is declared: {held}"), 1000))),
        // The shorter one first, which is never cut off.
        (..) => Some(("True", "FloorHolds", shown(&format!("{assigned}; the floor holds instead of what else is declared: {held}"), 1000))),
    }
}

/// The Baselines that no longer select the namespace and hold in it all the same.
fn left_baseline(matrix: &Matrix) -> Option<(&'static str, &'static str, String)> {
    (!matrix.left.is_empty()).then(|| {
        let names = shown(&matrix.left.join(", "), 400);
        (
            "True",
            "NotReleased",
            format!("no longer selected, and not released: {names}; whoever holds the verb release on a Baseline takes its label {MEMBER_PREFIX}NAME off the namespace"),
        )
    })
}

/// The namespaces that a Baseline no longer selects and holds in all the same.
fn left_by(namespaces: &[&str]) -> Option<(&'static str, &'static str, String)> {
    (!namespaces.is_empty()).then(|| ("True", "NotReleased", format!("no longer selected, and not released: {}", listed(namespaces, 10))))
}

/// The kinds for which controllers make Pods and of which nobody can tell when they were made.
fn owners_unseen(unseen: &[String]) -> Option<(&'static str, &'static str, String)> {
    let message = || format!("what is made for these comes back only while others of its sort stand: {}", unseen.join("; "));
    (!unseen.is_empty()).then(|| ("True", "NotRead", shown(&message(), 1000)))
}

/// How far what lapses first is, in a word; `None` while nothing is worth saying.
pub fn due(dates: &[Due], now: Timestamp) -> Option<&'static str> {
    let first = dates.iter().find(|due| due.notice <= now)?;
    Some(if first.at <= now { "Overdue" } else { "DueSoon" })
}

/// What has lapsed, or will before long. Days and no countdown: the same state is written once.
fn review_due(dates: &[Due], now: Timestamp) -> (&'static str, &'static str, String) {
    let Some(reason) = due(dates, now) else { return ("False", "NothingDue", "nothing that was recorded lapses soon".to_owned()) };
    let due: Vec<_> = dates.iter().filter(|due| due.notice <= now).collect();
    // One reason for all of them: what is only due soon says so.
    let soon = |due: &Due| if reason == "Overdue" && due.at > now { " (due soon)" } else { "" };
    let list: Vec<String> = due.iter().take(10).map(|due| format!("{} {}{}", due.at.strftime("%F"), due.what, soon(due))).collect();
    let more = due.len() - list.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    ("True", reason, shown(&format!("{}{more}", list.join("; ")), 1000))
}

/// The controls that changed hands with this generation of the declaration, as a changed service model makes many do.
fn owners_moved(before: &OwnershipStatus, matrix: &Matrix, generation: i64) -> Option<(&'static str, &'static str, String)> {
    let owner_of = |id: &str| matrix.find(id).map(|i| matrix.entries[i].owner);
    let moved: Vec<String> = before
        .matrix
        .iter()
        .filter_map(|row| Some((row, owner_of(&row.control)?)))
        .filter(|(row, now)| row.owner != *now)
        .map(|(row, now)| format!("{}: {} to {now}", row.control, row.owner))
        .collect();
    if !moved.is_empty() {
        return Some(("True", "Redeclared", shown(&format!("changed hands: {}", moved.join(", ")), 1000)));
    }
    let said = before.conditions.iter().find(|c| c.type_ == "OwnersMoved" && c.observed_generation == Some(generation))?;
    Some(("True", "Redeclared", said.message.clone()))
}

/// Our own conditions beside those of others; the time of a transition stays while the status does.
pub(super) fn merged<const N: usize>(before: &[Condition], ours: [State; N], generation: i64, now: Timestamp) -> Vec<Condition> {
    let mut conditions: Vec<Condition> = before.iter().filter(|c| ours.iter().all(|(kind, _)| *kind != c.type_)).cloned().collect();
    for (kind, state) in ours {
        let Some((status, reason, message)) = state else { continue };
        let was = before.iter().find(|c| c.type_ == kind && c.status == status);
        conditions.push(Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: Some(generation),
            last_transition_time: was.map_or(Time(whole_second(now)), |c| c.last_transition_time.clone()),
        });
    }
    conditions
}

#[cfg(test)]
mod tests;
