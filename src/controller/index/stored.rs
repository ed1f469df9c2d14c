//! One stored Ownership: what every look at the index needs as values, and the rest packed, for it is read only when its namespace is resolved or judged.

use std::sync::Arc;

use kube::{ResourceExt, api::DynamicObject};

use super::packed::{Packed, Packer};
use crate::{
    api::ownership::{Ownership, OwnershipStatus},
    policy::{enforcing::stands, history::Managers},
};

/// One stored Ownership.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The last that could be read, but for its status, of which only what decides is kept.
    last_good: Option<Packed<Ownership>>,
    /// What is wrong with what is stored since.
    pub(super) broken: Option<String>,
    status: Option<Packed<OwnershipStatus>>,
    /// Its place in history, for writes that must not clobber.
    pub version: String,
    /// Its uid, for Events.
    pub uid: String,
    /// Of what could be read.
    pub generation: Option<i64>,
    /// Its status says that enforcement is proven.
    pub proven: bool,
    /// Which tool wrote what of it.
    pub managers: Arc<Managers>,
}

/// What all of them are packed against.
#[derive(Debug, Default)]
pub(super) struct Packers {
    declared: Packer<Ownership>,
    status: Packer<OwnershipStatus>,
}

impl Stored {
    /// What was read, or why it could not be; `before` is what was stored in its place.
    pub(super) fn new(object: &DynamicObject, read: Result<Ownership, String>, before: Option<&Self>, packers: &mut Packers) -> Self {
        let fields = object.metadata.managed_fields.as_deref().unwrap_or_default();
        let of_any = Self {
            last_good: before.and_then(|before| before.last_good.clone()),
            broken: None,
            status: None,
            version: object.resource_version().unwrap_or_default(),
            uid: object.uid().unwrap_or_default(),
            generation: None,
            proven: false,
            managers: Arc::default(),
        };
        let mut ownership = match read {
            Ok(ownership) => ownership,
            Err(reason) => return Self { broken: Some(reason), ..of_any },
        };
        let status = ownership.status.as_ref().map(|status| packers.status.pack(status));
        let proven = ownership.status.as_ref().is_some_and(|status| stands(&status.conditions));
        ownership.status = ownership.status.map(deciding);
        Self {
            last_good: Some(packers.declared.pack(&ownership)),
            generation: ownership.metadata.generation,
            proven,
            status,
            managers: Arc::new(Managers::read(fields, &ownership.spec)),
            ..of_any
        }
    }

    /// As read, but for its status, of which only what decides is kept; `None` when it does not parse.
    pub fn ownership(&self) -> Option<Ownership> {
        if self.broken.is_some() { None } else { self.holds() }
    }

    /// The status as it was read; `None` where there was none.
    pub fn status(&self) -> Option<OwnershipStatus> {
        self.status.as_ref().map(|status| status.read().unwrap_or_default())
    }

    /// Nobody has told of it yet, as far as can be read.
    pub fn untold(&self) -> bool {
        self.status.is_none()
    }

    /// What holds: as read, or the last that could be.
    pub(super) fn holds(&self) -> Option<Ownership> {
        self.last_good.as_ref()?.read()
    }

    /// Whether it is this very declaration, whatever its status.
    pub(super) fn is(&self, object: &DynamicObject) -> bool {
        self.broken.is_none() && (Some(&self.uid), self.generation) == (object.metadata.uid.as_ref(), object.metadata.generation)
    }
}

/// What of a status decides: since when what is denied is denied.
fn deciding(status: OwnershipStatus) -> OwnershipStatus {
    let matrix = status.matrix.into_iter().filter(|row| row.forbidden_since.is_some()).collect();
    OwnershipStatus { matrix, ..OwnershipStatus::default() }
}
