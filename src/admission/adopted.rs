//! What a third-party controller that a Baseline lists makes for a custom resource. That is not judged itself, so its age alone says what is spared,
//! and what stands of the same sort says what may come back while it stands.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::{
    model::{Sameness, subject::Subject},
    policy::{
        matrix::Matrix,
        objects::{Objects, Record, Room},
        owners::{self, Known},
        verdict::Judged,
        waiver::let_in,
    },
};

use super::review::Request;

/// The owner that a listed controller names, or the one that an object has.
pub struct Adopted<'s> {
    uid: &'s str,
    /// What is known of it.
    pub owner: Known,
}

impl<'s> Adopted<'s> {
    /// The owner that a new object names, where whoever makes it is believed.
    pub fn by(subject: &'s Subject<'_>, request: &Request<'_>, objects: &Objects, room: Option<&Room>, matrix: &Matrix) -> Option<Self> {
        let reference = subject.controller().filter(|_| subject.kind.runs())?;
        let kind = matrix.controllers.believes(&request.username, reference)?;
        let owner = match room.and_then(|room| room.owner(&reference.uid, &matrix.controllers)) {
            Some(created) => Known::Made(created),
            None if objects.unseen(kind).is_some() => Known::Unseen,
            None => Known::NotYet,
        };
        Some(Self { uid: &reference.uid, owner })
    }

    /// The owner of an object that exists, whoever changes it: what is spared there it has already.
    pub fn of(subject: &'s Subject<'_>, room: Option<&Room>, matrix: &Matrix) -> Option<Self> {
        let reference = subject.controller().filter(|_| subject.kind.runs())?;
        let created = room?.owner(&reference.uid, &matrix.controllers)?;
        Some(Self { uid: &reference.uid, owner: Known::Made(created) })
    }

    /// Whether an object names such an owner, and whoever writes it is not the one who makes something for that.
    pub fn is_claimed(subject: &Subject<'_>, request: &Request<'_>, room: Option<&Room>, matrix: &Matrix) -> bool {
        let Some(reference) = subject.controller().filter(|_| subject.kind.runs()) else { return false };
        let known = || room.is_some_and(|room| room.owner(&reference.uid, &matrix.controllers).is_some());
        matrix.controllers.believes(&request.username, reference).is_none() && (matrix.controllers.lists(reference) || known())
    }

    /// Since when it stands. Of what cannot be seen the siblings alone tell.
    pub const fn stands_since(&self) -> Option<Timestamp> {
        match self.owner {
            Known::Made(created) => created,
            Known::NotYet => None,
            Known::Unseen => Some(Timestamp::MIN),
        }
    }

    /// What stands of the same sort violates, until that is `enough`.
    pub fn siblings(
        &self,
        subject: &Subject<'_>,
        room: Option<&Room>,
        enough: impl Fn(&HashSet<Sameness>) -> bool,
        violated: impl FnMut(&Subject<'_>, &Record) -> HashSet<Sameness>,
    ) -> Siblings {
        let found = owners::siblings(subject, room.into_iter().flat_map(|room| room.children(self.uid)), enough, violated);
        Siblings { found, needed: self.owner == Known::Unseen }
    }

    /// Whether what a sibling violates says that it stood before. Where nothing else tells, what a Waiver let in says nothing beyond its end.
    pub fn tells(&self, sibling: &Subject<'_>, record: &Record, judged: &Judged, matrix: &Matrix, now: Timestamp) -> bool {
        let stood = || matrix.grandfathers(judged.control, record.created, judged.finding.since, now);
        self.owner != Known::Unseen || stood() || record.created.is_none_or(|created| !let_in(&matrix.waivers, judged.control, sibling, created))
    }
}

/// What stands of the same sort.
pub struct Siblings {
    found: Option<HashSet<Sameness>>,
    /// Nothing else tells that it stood before.
    needed: bool,
}

impl Siblings {
    /// Whether they leave room for a violation.
    pub fn have(&self, judged: &Judged, matrix: &Matrix) -> bool {
        self.found.as_ref().map_or(!self.needed, |found| found.contains(&judged.sameness(matrix)))
    }

    /// Whether nothing but its owner's age spares a violation, and it is not recorded yet what that is held against: everything would be older.
    pub fn wait(&self, judged: &Judged, matrix: &Matrix) -> bool {
        self.found.is_none() && matrix.forbidden_since(judged.control).is_none()
    }
}
