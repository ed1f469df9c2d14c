//! The face of the product: the text of a denial and of a warning, and the same as data.
//! A denial is at most 1 KiB and a warning at most 120 characters, whatever the input is called (H61).

use serde::Serialize;

use crate::{
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

/// The text of a denial and its causes.
pub fn deny(subject: &Subject<'_>, namespace: &str, matrix: &Matrix, denied: &[&Judged]) -> (String, Vec<Cause>) {
    let mut controls: Vec<usize> = denied.iter().map(|j| j.control).collect();
    controls.sort_unstable();
    controls.dedup();
    let owes = matrix.owed_by(denied.first().map_or(0, |j| j.control));
    let name = subject.display_name();
    let (kind, name) = name.split_once('/').unwrap_or((&name, ""));
    let plural = if controls.len() == 1 { "" } else { "s" };
    let mut text = format!("{kind} {}/{} lacks {} control{plural} that {} owes", shown(namespace, 63), shown(name, 80), controls.len(), shown(&owes, 80));
    let first = matrix.row(denied.first().map_or(0, |j| j.control)).id;
    let tail = format!(
        "\nmore: demarc explain {first}; exception: demarc waiver request {first} -n {0} --for {kind}/{1} … ({2})",
        shown(namespace, 63),
        shown(name, 80),
        by(namespace, matrix)
    );
    for (shown_so_far, judged) in denied.iter().enumerate() {
        let control = matrix.row(judged.control);
        let line = format!(
            "\n  {} ({}) at {}: {}\n    fix: {}",
            control.id,
            control.severity.lower(),
            shown(&subject.full_path(&judged.finding.path), 160),
            shown(&judged.finding.message, 160),
            shown(&judged.finding.fix, 160)
        );
        let rest = format!("\n  and {} more", denied.len() - shown_so_far);
        if text.len() + line.len() + rest.len() + tail.len() > MAX_DENIAL {
            text.push_str(&rest);
            break;
        }
        text.push_str(&line);
    }
    text.push_str(&tail);
    let causes = denied
        .iter()
        .take(32)
        .map(|j| Cause { reason: matrix.row(j.control).id.to_owned(), message: shown(&j.finding.message, 160), field: shown(&subject.full_path(&j.finding.path), 253) })
        .chain([Cause::note(proof::GENERATION, &matrix.generation.to_string())])
        .collect();
    (text, causes)
}

/// The warning that something passes by a Waiver, and until when.
pub fn waived(matrix: &Matrix, judged: &Judged, waiver: &Permit) -> String {
    let id = matrix.row(judged.control).id;
    // The day before the name: whatever is too long loses its end.
    shown(&format!("{id}: violated, waived until {} by waiver {}", waiver.last_day(), waiver.name), MAX_WARNING)
}

/// The warning that an object names an owner, and that somebody else writes it than who makes something for that.
pub const CLAIMED: &str = "metadata.ownerReferences: not written by the owner's listed controller, so no waiver counts for what is new";

/// One warning.
pub fn warn(subject: &Subject<'_>, matrix: &Matrix, judged: &Judged, grandfathered: bool) -> String {
    let control = matrix.row(judged.control);
    let text = if grandfathered {
        format!("{}: still violated, stood before enforcement (allowed as it is)", control.id)
    } else {
        let place = subject.full_path(&judged.finding.path);
        format!("{} ({}): {}, at {place}; owed by {}, not enforced yet", control.id, control.severity.lower(), judged.finding.message, matrix.owed_by(judged.control))
    };
    shown(&text, MAX_WARNING)
}
