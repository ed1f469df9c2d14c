//! The leader's marks on a namespace, one for each Baseline that holds in it. They tell as well since when what the Baselines deny by themselves is
//! denied there, whatever is declared meanwhile, for a declaration comes and goes with its status; nobody else may write them.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::matrix::Matrix;
use crate::{
    api::{MEMBER_PREFIX, MEMBER_VALUE, ownership::Enforcement},
    model::{map::Map, text::hex},
};

/// The Baselines of which a namespace of these labels is marked as a member.
pub fn members<'l>(labels: &'l Map<'_>) -> impl Iterator<Item = &'l str> {
    labels.iter().filter_map(|(key, _)| key.strip_prefix(MEMBER_PREFIX))
}

/// What is denied, in short: where that is another, it is forbidden anew, for what ran under the other must go on (P16). `None` where nothing is.
pub fn denied(matrix: &Matrix) -> Option<String> {
    let denied: Vec<_> = (0..matrix.entries.len()).filter(|i| matrix.entries[*i].enforcement == Enforcement::Deny).map(|i| (matrix.row(i).id, matrix.asks(i))).collect();
    // Plain data always serializes; were it not to, the empty text is as good as any.
    let text = serde_json::to_string(&(&denied, &matrix.policy, &matrix.default_owner)).unwrap_or_default();
    (!denied.is_empty()).then(|| hex(&Sha256::digest(text), 6))
}

/// A mark that says since when that is denied; without it, that the namespace is a member.
pub fn value(since: Option<(Timestamp, &str)>) -> String {
    since.map_or_else(|| MEMBER_VALUE.to_owned(), |(since, denied)| format!("{MEMBER_VALUE}.{}.{denied}", since.as_second()))
}

/// Since when just that is denied, by the marks.
pub fn since(labels: &Map<'_>, denied: &str) -> Option<Timestamp> {
    let read = |value: &str| {
        let (since, what) = value.strip_prefix(MEMBER_VALUE)?.strip_prefix('.')?.split_once('.')?;
        Timestamp::from_second(since.parse().ok()?).ok().filter(|_| what == denied)
    };
    labels.iter().filter(|(key, _)| key.starts_with(MEMBER_PREFIX)).filter_map(|(_, value)| read(value)).max()
}

/// The matrix of a namespace that declares nothing, with what its marks say.
#[must_use]
pub fn recorded(mut matrix: Matrix, labels: &Map<'_>) -> Matrix {
    let since = denied(&matrix).and_then(|denied| since(labels, &denied));
    for control in 0..matrix.entries.len() {
        if matrix.entries[control].enforcement == Enforcement::Deny {
            matrix.forbid(control, since);
        }
    }
    matrix
}

/// Whether a control that the Baselines deny by themselves is denied as well where something is declared, and asks for the same.
fn holds(matrix: &Matrix, alone: &Matrix, control: usize) -> bool {
    let denies = |matrix: &Matrix| matrix.entries.get(control).is_some_and(|e| e.enforcement == Enforcement::Deny);
    denies(alone) && denies(matrix) && matrix.told(control) == alone.told(control)
}

/// Whether all that is so, and as much is spared: then what the marks tell goes on.
pub fn covers(matrix: &Matrix, alone: &Matrix) -> bool {
    matrix.existing == alone.existing && (0..alone.entries.len()).all(|i| alone.entries[i].enforcement != Enforcement::Deny || holds(matrix, alone, i))
}

/// A declared matrix without a status, with what the marks say of what the Baselines deny by themselves.
#[must_use]
pub fn inherited(mut matrix: Matrix, alone: &Matrix, labels: &Map<'_>) -> Matrix {
    let Some(since) = denied(alone).and_then(|denied| since(labels, &denied)) else { return matrix };
    for i in 0..matrix.entries.len() {
        if holds(&matrix, alone, i) {
            matrix.forbid(i, Some(since));
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ownership::Ownership;

    #[test]
    fn what_is_declared_takes_over_the_line_of_what_was_denied_before_it() {
        let matrix = |spec: &str| Matrix::resolve(&Ownership::new("default", serde_saphyr::from_str(&format!("{{serviceModel: PaaS, {spec}}}")).unwrap()));
        let alone = matrix("");
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let marked = |what: &str| [("baseline.demarc.dev/gold".to_owned(), value(Some((at, what))))].into_iter().collect::<Map<'static>>();
        let known = marked(&denied(&alone).unwrap());
        for (spec, all, security, images) in [
            ("", true, Some(at), Some(at)),
            ("parties: {customer: acme}", true, Some(at), Some(at)),
            ("controls: [{control: image-pinned-by-digest, enforcement: Deny}]", true, Some(at), Some(at)),
            ("policy: {images: {allowedPrefixes: [a]}}", false, Some(at), None),
            ("controls: [{control: pod-security-standard, enforcement: Warn}]", false, None, Some(at)),
            ("mode: Warn", false, None, None),
            ("existingWorkloads: {createdBefore: '2027-03-01T00:00:00Z'}", false, Some(at), Some(at)),
        ] {
            let declared = matrix(spec);
            assert_eq!(covers(&declared, &alone), all, "{spec}");
            let told = inherited(declared.clone(), &alone, &known);
            let since = |id: &str| told.forbidden_since(told.find(id).unwrap());
            assert_eq!((since("pod-security-standard"), since("image-registry-allowed"), since("image-pinned-by-digest")), (security, images, None), "{spec}");
            assert_eq!(inherited(declared.clone(), &alone, &marked("another")), declared, "{spec}: other things were denied then");
        }
    }

    #[test]
    fn a_mark_tells_since_when_for_as_long_as_the_same_is_denied() {
        let matrix = |spec: &str| Matrix::resolve(&Ownership::new("default", serde_saphyr::from_str(&format!("{{serviceModel: PaaS, {spec}}}")).unwrap()));
        let of = matrix("");
        let same = denied(&of).unwrap();
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        assert_eq!(value(Some((at, &same))), format!("member.1800000000.{same}"));
        for (spec, stays) in [
            ("parties: {customer: acme}", true),
            ("controls: [{control: image-pinned-by-digest, enforcement: Deny}]", false),
            ("controls: [{control: encryption-declared, enforcement: Warn}]", false),
            ("policy: {podSecurity: {level: Restricted}}", false),
        ] {
            assert_eq!(denied(&matrix(spec)).unwrap() == same, stays, "{spec}");
        }
        assert_eq!(denied(&matrix("mode: Warn")), None);
        let long = "9".repeat(40);
        for (mark, expected) in [
            (value(Some((at, &same))), Some(at)),
            (value(Some((at, "another"))), None),
            (value(None), None),
            (String::new(), None),
            ("member.".to_owned(), None),
            (format!("member.soon.{same}"), None),
            (format!("member.{long}.{same}"), None),
            (format!("member.1800000000.{same}.x"), None),
        ] {
            let marked = |key: &str| [(key.to_owned(), mark.clone())].into_iter().collect::<Map<'static>>();
            assert_eq!(since(&marked("baseline.demarc.dev/gold"), &same), expected, "{mark:?}");
            assert_eq!(since(&marked("tier"), &same), None, "it is no mark");
            let recorded = &recorded(of.clone(), &marked("baseline.demarc.dev/gold"));
            let since = |enforcement| (0..recorded.entries.len()).filter(move |i| recorded.entries[*i].enforcement == enforcement).map(|i| recorded.forbidden_since(i));
            assert!(since(Enforcement::Deny).all(|since| since == expected) && since(Enforcement::Warn).all(|since| since.is_none()), "{mark:?}");
        }
    }
}
