//! The face of the product: the text of a denial and of a warning, and the same as data.
//! A denial is at most 1 KiB and a warning at most 120 characters, whatever the input is called (H61).

use serde::Serialize;

use crate::{
    controls::custom::OBJECT,
    model::{proof, subject::Subject, text::shown},
    policy::{matrix::Matrix, verdict::Judged, waiver::Permit},
};

/// The most bytes of a denial's text.
pub const MAX_DENIAL: usize = 1024;
/// The most bytes of one warning.
pub const MAX_WARNING: usize = 120;
/// The most warnings in one answer.
pub const MAX_WARNINGS: usize = 10;

/// One violation as data, as `metav1.StatusCause` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The control's id, or one of the words of `model::proof`.
    pub reason: String,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub field: String,
}

impl Cause {
    /// What is to be known beside the violations: there is no place to it.
    pub fn note(reason: &str, message: &str) -> Self {
        Self { reason: reason.to_owned(), message: message.to_owned(), field: String::new() }
    }
}

/// What asks for it.
fn by(namespace: &str, matrix: &Matrix) -> String {
    if matrix.declared {
        format!("ownership {}/default, generation {}", shown(namespace, 63), matrix.generation)
    } else {
        format!("baseline {}", shown(&matrix.baselines.join(", "), 130))
    }
}

/// The most violations that are told as data, unless more controls than that are violated.
const MAX_CAUSES: usize = 32;
/// A name that is longer is not shown where it could be pasted: half a name is nobody's.
const MAX_PASTED: usize = 80;

/// The text of a denial and its causes. Every violated control is in both, worst first; its further places come while there is room.
pub fn deny(subject: &Subject<'_>, namespace: &str, matrix: &Matrix, denied: &[&Judged]) -> (String, Vec<Cause>) {
    let mut violated: Vec<Violated<'_>> = Vec::new();
    for judged in denied {
        match violated.iter_mut().find(|v| v.control == judged.control) {
            Some(known) => known.places.push(judged),
            None => violated.push(Violated { control: judged.control, places: vec![judged], told: Told::Named }),
        }
    }
    let worst = denied.first().map_or(0, |j| j.control);
    let first = matrix.row(worst).id;
    // Of a control of users' own the catalog says nothing.
    let more = if matrix.asks(worst).is_some() { format!("kubectl get control {first} -o yaml") } else { format!("demarc explain {first}") };
    let (name, plural) = (subject.display_name(), if violated.len() == 1 { "" } else { "s" });
    let (kind, name) = name.split_once('/').unwrap_or((&name, ""));
    let head = |max: usize| {
        let (namespace, name, owes) = (shown(namespace, max), shown(name, max), shown(&matrix.owed_by(worst), max));
        format!("{kind} {namespace}/{name} lacks {} control{plural} that {owes} owes", violated.len())
    };
    let (mut text, mut tail) = (head(MAX_PASTED), {
        let (namespace, name) = (shown(namespace, 63), if name.len() > MAX_PASTED { "NAME" } else { name });
        format!("\nmore: {more}; exception: demarc waiver request {first} -n {namespace} --for {kind}/{name} … ({})", by(&namespace, matrix))
    });
    // The controls come before the names around them.
    if text.len() + tail.len() + violated.iter().map(|v| v.said(Told::Named, subject, matrix).len()).sum::<usize>() > MAX_DENIAL {
        (text, tail) = (head(24), format!("\nmore: {more}"));
    }
    let room = MAX_DENIAL.saturating_sub(text.len() + tail.len());
    text.extend(tell(&mut violated, subject, matrix, room));
    text.push_str(&tail);

    let mut further = MAX_CAUSES.saturating_sub(violated.len());
    let mut kept = |judged: &Judged| {
        let first = violated.iter().any(|v| std::ptr::eq(v.places[0], judged));
        let fits = first || further > 0;
        further -= usize::from(fits && !first);
        fits
    };
    let causes = denied
        .iter()
        .filter(|j| kept(j))
        .map(|j| Cause {
            reason: matrix.row(j.control).id.to_owned(),
            message: shown(&j.finding.message, 160),
            field: place(subject, matrix, j).map_or_else(String::new, |place| shown(&place, 253)),
        })
        .chain([Cause::note(proof::GENERATION, &matrix.generation.to_string())])
        .collect();
    (text, causes)
}

/// Where it is; `None` where a control of users' own says something of the whole object.
fn place(subject: &Subject<'_>, matrix: &Matrix, judged: &Judged) -> Option<String> {
    let whole = matrix.asks(judged.control).is_some() && judged.finding.path == OBJECT;
    (!whole).then(|| subject.full_path(&judged.finding.path))
}

/// A violated control with its places, and how much of it is told.
struct Violated<'j> {
    control: usize,
    places: Vec<&'j Judged>,
    told: Told,
}

/// Ever more words.
#[derive(Clone, Copy)]
enum Told {
    /// The control alone.
    Named,
    /// Its first place in short.
    Short,
    /// So many of its places whole, and how the first is mended.
    Whole(usize),
}

impl Violated<'_> {
    fn said(&self, told: Told, subject: &Subject<'_>, matrix: &Matrix) -> String {
        let control = matrix.row(self.control);
        let at = |judged: &Judged, max: usize| {
            let at = place(subject, matrix, judged).map_or_else(String::new, |place| format!(" at {}", shown(&place, max)));
            format!("{at}: {}", shown(&judged.finding.message, max))
        };
        let mut said = format!("\n  {} ({})", control.id, control.severity.lower());
        let whole = match told {
            Told::Named => 0,
            Told::Short => {
                said.push_str(&at(self.places[0], 60));
                1
            }
            Told::Whole(places) => {
                said.extend([&at(self.places[0], 160), "\n    fix: ", &shown(&self.places[0].finding.fix, 256)]);
                for judged in &self.places[1..places] {
                    said.extend(["\n    and", &at(judged, 160)]);
                }
                places
            }
        };
        let left = self.places.len() - whole;
        match (whole, left) {
            (_, 0) | (0, 1) => {}
            (0, _) => said.extend([": ", &left.to_string(), " places"]),
            (_, 1) => said.push_str("\n    and 1 more place"),
            (..) => said.extend(["\n    and ", &left.to_string(), " more places"]),
        }
        said
    }
}

/// What is said of each, within `room` bytes: each is named before any is told, each is told in short before any is told whole, and
/// only then come further places.
fn tell(violated: &mut [Violated<'_>], subject: &Subject<'_>, matrix: &Matrix, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = violated.iter().map(|v| v.said(Told::Named, subject, matrix)).collect();
    let mut length: usize = lines.iter().map(String::len).sum();
    if length > room {
        // Many with long names: what can be named is.
        let mut out = Vec::new();
        let (mut left, mut room) = (lines.len(), room.saturating_sub("\n  and 9999 more controls".len()));
        for line in lines {
            let Some(rest) = room.checked_sub(line.len()) else { break };
            (left, room) = (left - 1, rest);
            out.push(line);
        }
        out.push(format!("\n  and {left} more controls"));
        return out;
    }
    let mut longer = |v: &mut Violated<'_>, line: &mut String, told: Told| {
        let said = v.said(told, subject, matrix);
        let fits = length - line.len() + said.len() <= room;
        if fits {
            length = length - line.len() + said.len();
            (v.told, *line) = (told, said);
        }
        fits
    };
    for told in [Told::Short, Told::Whole(1)] {
        for (v, line) in violated.iter_mut().zip(&mut lines) {
            longer(v, line, told);
        }
    }
    for (v, line) in violated.iter_mut().zip(&mut lines) {
        if let Told::Whole(_) = v.told {
            let _ = (2..=v.places.len()).all(|places| longer(v, line, Told::Whole(places)));
        }
    }
    lines
}

/// The warning that something passes by a Waiver, and until when.
pub fn waived(matrix: &Matrix, judged: &Judged, waiver: &Permit) -> String {
    let id = matrix.row(judged.control).id;
    // The day before the name: whatever is too long loses its end.
    shown(&format!("{id}: violated, waived until {} by waiver {}", waiver.last_day(), waiver.name), MAX_WARNING)
}

/// The warning that an object names an owner, and that somebody else writes it than who makes something for that.
pub const CLAIMED: &str = "metadata.ownerReferences: not written by the owner's listed controller, so no waiver counts for what is new";

/// One warning. `spared`: it stood before, and for how many days what it violates has been forbidden.
pub fn warn(subject: &Subject<'_>, matrix: &Matrix, judged: &Judged, spared: Option<i64>) -> String {
    let control = matrix.row(judged.control);
    let text = if let Some(days) = spared {
        let drift = match days {
            ..1 => String::new(),
            1 => "; 1 day in drift".to_owned(),
            days => format!("; {days} days in drift"),
        };
        format!("{}: still violated, stood before enforcement (allowed as it is){drift}", control.id)
    } else {
        // What it means for the reader comes first: whatever is too long loses its end.
        let place = place(subject, matrix, judged).map_or_else(String::new, |place| format!(", at {place}"));
        format!("{} ({}), not enforced yet: {}{place}; owed by {}", control.id, control.severity.lower(), judged.finding.message, matrix.owed_by(judged.control))
    };
    shown(&text, MAX_WARNING)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use crate::{
        api::ownership::Ownership,
        controls::{CATALOG, custom::Custom},
        model::{Finding, subject::Kind},
    };

    /// However long everything is called and however much is violated, every control is named while ids alone fit, and stands among the causes.
    #[test]
    fn every_violated_control_is_told() {
        let ownership: Ownership = serde_json::from_value(serde_json::json!({"apiVersion": "demarc.dev/v1alpha1", "kind": "Ownership", "metadata": {"name": "default"},
            "spec": {"serviceModel": "PaaS", "parties": {"customer": "c".repeat(63)}}}))
        .unwrap();
        let own = |i: usize| {
            let id = format!("{}{i:02}", "x".repeat(61));
            let spec = serde_json::json!({"title": "t", "severity": "low", "enforcement": "Deny", "kinds": ["Pod"], "validations": [{"expression": "true", "message": "m"}]});
            let control = Custom::new(&id, serde_json::from_value(spec).unwrap());
            (id, Arc::new(control))
        };
        let matrix = Matrix::resolve_with(&ownership, &(0..40).map(own).collect::<BTreeMap<_, _>>());
        for (controls, places, long, all) in
            [(0..1, 1, 1, true), (0..1, 40, 253, true), (0..6, 30, 10, true), (0..12, 1, 253, true), (0..12, 40, 253, true), (CATALOG.len()..matrix.entries.len(), 2, 253, false)]
        {
            let json = serde_json::json!({"metadata": {"name": "n".repeat(long)}, "spec": {"containers": [{"name": "c"}]}}).to_string();
            let subject = Subject::parse(Kind::Pod, &json).unwrap();
            let path = |place: usize| format!("spec.containers[{place}{}].image", "p".repeat(long));
            let violated = |control: usize, place: usize| Judged { control, finding: Finding::violated(path(place), "", "m".repeat(long), "f".repeat(long)) };
            let judged: Vec<Judged> = controls.clone().flat_map(|control| (0..places).map(move |place| violated(control, place))).collect();
            let (text, causes) = deny(&subject, &"s".repeat(63), &matrix, &judged.iter().collect::<Vec<_>>());
            assert!(text.len() <= MAX_DENIAL, "{text}");
            let ids: Vec<&str> = controls.clone().map(|c| matrix.row(c).id).collect();
            assert!(ids.iter().all(|id| causes.iter().any(|c| c.reason == *id)), "{causes:?}");
            assert_eq!(causes.len(), judged.len().min(MAX_CAUSES.max(ids.len())) + 1);
            let named = ids.iter().filter(|id| text.contains(&format!("\n  {id} ("))).count();
            let left = if all { ids.len() == named } else { named > 5 && text.contains(&format!("\n  and {} more controls\nmore: kubectl get control x", ids.len() - named)) };
            assert!(left, "{text}");
            let warning = warn(&subject, &matrix, &judged[0], None);
            assert!(warning.len() <= MAX_WARNING && warning.starts_with(ids[0]) && warning.contains("not enforced yet"), "{warning}");
            let left = judged.len() - ids.len();
            assert!(controls.len() != 1 || left == 0 || text.contains(" more places\nmore: "), "{text}");
        }
    }
}
