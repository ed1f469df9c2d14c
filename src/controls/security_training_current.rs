//! security-training-current: the people who work on the namespace were trained within the agreed period.
//! The Ownership says when for all of them together, the Rosters of its parties for each; no message repeats a name.
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::{
    Applies, Check, Control, Declared, Notes,
    declared::{AHEAD, Duties, NOTICE_OF_REVIEW, days, review},
};
use crate::{
    api::{
        ownership::{Enforcement, OwnerClass, Severity},
        roster::{Day, RosterSpec},
    },
    model::text::shown,
};

pub const CONTROL: Control = Control {
    id: "security-training-current",
    title: "People who work on the namespace have current security training",
    group: "governance",
    severity: Severity::Low,
    enforcement: Enforcement::Audit,
    owners: [OwnerClass::SharedIndependent, OwnerClass::SharedIndependent, OwnerClass::SharedIndependent],
    references: &[("ISO 27001:2022", &["A.6.3"]), ("SOC 2", &["CC1.4", "CC2.2"]), ("CCM 4.0.12", &["HRS-11"]), ("NIST 800-53r5", &["AT-2", "AT-3"])],
    why: "Most break-ins begin with somebody who was asked nicely.",
    checked: "spec.reviews.training.lastCompleted of the Ownership is not longer ago than its period, P365D unless it says otherwise, and none of its findings is open past its \
              dueDate. Whoever is there in a Roster of a party of spec.parties, or of no party, was trained (trainedOn) within the same period; where all of them say so, the Ownership need \
              not.",
    unknown: "No date is recorded, it lies ahead, or the period is no number of days; a finding is open without a due date. Record spec.reviews.training, or trainedOn of \
              everybody in the Rosters.",
    fix: "do it, and record spec.reviews.training.lastCompleted in the Ownership",
    kinds: &[],
    root_only: false,
    confidential: false,
    check: Check::Namespace(check),
};

const DUTY: Duties = Duties { field: "training", what: "security training", days: 365 };

fn check(cx: &Declared<'_>, out: &mut Notes) -> Applies {
    let recorded = cx.reviews.training.as_ref();
    let for_all = recorded.is_some_and(|r| r.last_completed.is_some());
    let Some(period) = recorded.and_then(|r| r.period.as_deref()).map_or(Some(SignedDuration::from_hours(24 * DUTY.days)), days) else {
        review(cx, &DUTY, recorded, out);
        return Applies::Yes;
    };
    let (mut anybody, mut until) = (false, None);
    for (name, roster) in cx.facts.rosters.iter().flat_map(|rosters| rosters.iter()).filter(|(_, roster)| works_here(cx, roster)) {
        anybody |= people(cx, name, roster, period, for_all, &mut until, out);
    }
    if for_all || !anybody {
        review(cx, &DUTY, recorded, out);
    }
    until.map_or(Applies::Yes, Applies::Until)
}

fn works_here(cx: &Declared<'_>, roster: &RosterSpec) -> bool {
    roster.party.as_ref().is_none_or(|of| cx.parties.named().any(|p| p == of))
}

/// Whether anybody is there; `until` is when the first leaves of those who make a difference, or a training that was recorded ahead counts.
fn people(cx: &Declared<'_>, name: &str, roster: &RosterSpec, period: SignedDuration, for_all: bool, until: &mut Option<Timestamp>, out: &mut Notes) -> bool {
    let at = |day: &Day| day.0.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp());
    let (mut anybody, mut stale, mut untold, mut next) = (false, false, false, None::<Timestamp>);
    for person in &roster.people {
        let leaves = person.departed_on.as_ref().and_then(at);
        if leaves.is_some_and(|left| left <= cx.now) {
            continue;
        }
        anybody = true;
        let said = person.trained_on.as_ref().and_then(at);
        let trained = said.filter(|day| day.duration_since(cx.now) <= AHEAD);
        let is_fine = match trained.map(|day| day.checked_add(period)) {
            Some(Ok(due)) if due <= cx.now => {
                stale = true;
                false
            }
            Some(Ok(due)) => {
                next = Some(next.map_or(due, |next| next.min(due)));
                true
            }
            // Beyond all time.
            Some(Err(_)) => true,
            None => {
                untold |= !for_all;
                for_all
            }
        };
        if !is_fine {
            let comes = said.filter(|_| trained.is_none()).and_then(|day| day.checked_sub(AHEAD).ok());
            *until = until.iter().copied().chain(leaves).chain(comes).min();
        }
    }
    let path = format!("roster/{}", shown(name, 63));
    if let Some(next) = next {
        out.due(format!("security training of {path}"), next, NOTICE_OF_REVIEW);
    }
    if stale {
        out.violated(path.clone(), "somebody was last trained too long ago", "train them, and record trainedOn in the Roster");
    }
    if untold {
        out.unknown(path, "it is not recorded when everybody was last trained", "record trainedOn in the Roster, or spec.reviews.training in the Ownership");
    }
    anybody
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controls::{
            declared::testing::{notes, recurs, stand},
            people::testing::rosters,
        },
        model::facts::Facts,
    };

    #[test]
    fn everybody_in_the_rosters_was_trained() {
        let of = |people: &str| Facts { rosters: Ok(rosters(people)), ..Facts::empty() };
        let nobody = "Unknown spec.reviews.training: no security training is recorded";
        let (stale, untold) = ("Violated roster/acme: somebody was last trained too long ago", "Unknown roster/acme: it is not recorded when everybody was last trained");
        let all = "reviews: {training: {lastCompleted: '2026-03-01T00:00:00Z', period: P90D}}";
        let (fresh, old) = ("{name: jo, trainedOn: '2026-03-01'}", "{name: kim, trainedOn: '2025-04-01'}");
        for (spec, people, said) in [
            ("", String::new(), vec![nobody]),
            ("", fresh.to_owned(), vec![]),
            ("", format!("{fresh}, {old}"), vec![stale]),
            ("", format!("{fresh}, {{name: lee}}"), vec![untold]),
            ("", "{name: lee, trainedOn: '2027-01-01'}".to_owned(), vec![untold]),
            ("", "{name: lee, departedOn: '2026-03-01'}".to_owned(), vec![nobody]),
            (all, format!("{fresh}, {{name: lee}}"), vec![]),
            (all, "{name: lee, trainedOn: '2026-01-01'}".to_owned(), vec![stale]),
        ] {
            assert_eq!(stand(&CONTROL, &format!("parties: {{customer: acme}}, {spec}"), &of(&people)), said, "{spec} {people}");
        }
        assert_eq!(stand(&CONTROL, "parties: {customer: other}", &of(old)), [nobody], "they work elsewhere");
        let due = notes(&CONTROL, "parties: {customer: acme}", &of(fresh)).unwrap().dates;
        assert_eq!((due.len(), due[0].at.to_string().as_str()), (1, "2027-03-01T00:00:00Z"));
    }

    #[test]
    fn it_recurs() {
        recurs(&CONTROL, &DUTY);
    }
}
