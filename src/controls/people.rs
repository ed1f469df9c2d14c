//! Who is who in the rosters: whether a name that stands in a binding or an annotation is somebody's who is still there.
//! A roster is personal data: nothing here returns a name, and no finding repeats one.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};

use crate::api::roster::{Person, RosterSpec};

/// What the rosters say of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Somebody who left then.
    Gone(Timestamp),
    /// Somebody who is there, and will leave then if that is known.
    Here(Option<Timestamp>),
    /// Nobody whom they know.
    Stranger,
}

/// Looks a name up in every roster; whoever stands in several is there while one says so.
pub(super) fn who(rosters: &BTreeMap<String, RosterSpec>, name: &str, now: Timestamp) -> Who {
    let wanted = bare(name);
    if wanted.is_empty() {
        return Who::Stranger;
    }
    let is_it = |person: &&Person| std::iter::once(&person.name).chain(&person.aliases).any(|own| bare(own).eq_ignore_ascii_case(wanted));
    let mut found = Who::Stranger;
    for person in rosters.values().flat_map(|roster| &roster.people).filter(is_it) {
        let leaves = person.departed_on.as_ref().and_then(|day| day.0.to_zoned(TimeZone::UTC).ok()).map(|day| day.timestamp());
        found = match (found, leaves) {
            (Who::Stranger, Some(left)) if left <= now => Who::Gone(left),
            (Who::Gone(other), Some(left)) if left <= now => Who::Gone(left.max(other)),
            (Who::Here(_), Some(left)) if left <= now => found,
            // Without an end in one roster there is none.
            (Who::Here(other), leaves) => Who::Here(other.zip(leaves).map(|(a, b)| a.max(b))),
            (Who::Stranger | Who::Gone(_), leaves) => Who::Here(leaves),
        };
    }
    found
}

/// A name without what tools put before it: `mailto:jo@acme.example`, `oidc:jo@acme.example`, `https://issuer.example#jo`, `@jo`.
fn bare(name: &str) -> &str {
    let name = name.trim();
    name.rsplit_once(['#', ':']).map_or(name, |(_, rest)| rest).trim_start_matches('@').trim()
}

#[cfg(test)]
pub(crate) mod testing {
    use std::sync::Arc;

    use super::*;

    /// One roster of these people: `{name: jo, departedOn: '2026-01-01'}`.
    pub fn rosters(people: &str) -> Arc<BTreeMap<String, RosterSpec>> {
        let roster: RosterSpec = serde_saphyr::from_str(&format!("{{party: acme, people: [{people}]}}")).unwrap();
        Arc::new([("acme".to_owned(), roster)].into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: &str) -> Timestamp {
        s.parse().unwrap()
    }

    #[test]
    fn a_name_is_found_however_it_is_written() {
        let (now, left) = (at("2026-04-01T00:00:00Z"), at("2026-04-01T00:00:00Z"));
        let all = testing::rosters(
            "{name: jo@acme.example, aliases: [jo], departedOn: '2026-04-01'}, {name: sam, departedOn: '2026-04-02'}, {name: kim}, {name: lee, departedOn: '2020-01-01'}, {name: lee}",
        );
        for (name, said) in [
            ("jo@acme.example", Who::Gone(left)),
            ("JO@Acme.Example", Who::Gone(left)),
            ("mailto:jo@acme.example", Who::Gone(left)),
            ("oidc:jo", Who::Gone(left)),
            ("https://issuer.example#jo", Who::Gone(left)),
            ("@jo", Who::Gone(left)),
            ("jo2", Who::Stranger),
            ("sam", Who::Here(Some(at("2026-04-02T00:00:00Z")))),
            ("kim", Who::Here(None)),
            ("lee", Who::Here(None)),
            ("", Who::Stranger),
            ("oidc:", Who::Stranger),
            ("@", Who::Stranger),
        ] {
            assert_eq!(who(&all, name, now), said, "{name}");
        }
    }
}
