//! An Ownership and its status as they were read last, packed: by far the most of what is known of one, and asked for only when its namespace is resolved
//! or judged. They are much alike, so each is kept as what it has beyond the first that was packed: of a status of 13 KB that is half a kilobyte (P10).

use std::{marker::PhantomData, sync::Arc};

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde::{Serialize, de::DeserializeOwned};

/// What is packed is held against the first.
#[derive(Debug)]
pub struct Packer<T>(Option<Arc<[u8]>>, PhantomData<fn(T)>);

impl<T> Default for Packer<T> {
    fn default() -> Self {
        Self(None, PhantomData)
    }
}

impl<T: Serialize> Packer<T> {
    /// Packs one.
    pub fn pack(&mut self, it: &T) -> Packed<T> {
        // Plain data always serializes. Whole, before it is packed: pieces of a few bytes cost the packer more than all else.
        let text = serde_json::to_vec(it).unwrap_or_default();
        let first = self.0.get_or_insert_with(|| text.as_slice().into()).clone();
        Packed { beyond: compress_prepend_size_with_dict(&text, &first).into(), first, of: PhantomData }
    }
}

/// One of them, packed.
#[derive(Debug)]
pub struct Packed<T> {
    beyond: Arc<[u8]>,
    first: Arc<[u8]>,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Packed<T> {
    fn clone(&self) -> Self {
        Self { beyond: self.beyond.clone(), first: self.first.clone(), of: PhantomData }
    }
}

impl<T: DeserializeOwned> Packed<T> {
    /// As it was packed; nothing in between can change it.
    pub fn read(&self) -> Option<T> {
        let text = decompress_size_prepended_with_dict(&self.beyond, &self.first).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ownership::OwnershipStatus;

    fn status(party: &str) -> OwnershipStatus {
        let rows: Vec<_> = crate::controls::CATALOG
            .iter()
            .map(|c| serde_json::json!({"control": c.id, "owner": "Customer", "accountable": party, "enforcement": "Deny", "verdict": "Unknown"}))
            .collect();
        let findings: Vec<_> =
            crate::controls::CATALOG.iter().map(|c| serde_json::json!({"control": c.id, "object": "deployment/payments", "verdict": "Unknown", "message": c.unknown, "since": "2026-04-01T00:00:00Z", "owedBy": format!("{party} (customer)")})).collect();
        serde_json::from_value(serde_json::json!({"observedGeneration": 3, "matrix": rows, "findings": findings, "findingsTotal": 36})).unwrap()
    }

    #[test]
    fn it_comes_out_as_it_went_in_and_takes_little() {
        let bytes = |status: &OwnershipStatus| serde_json::to_vec(status).unwrap().len();
        let mut packer = Packer::default();
        for (party, at_least) in [("acme", 50), ("acme", 50), ("umbrella", 8)] {
            let status = status(party);
            let it = packer.pack(&status);
            assert_eq!(it.read().as_ref(), Some(&status));
            assert!(it.beyond.len() * at_least < bytes(&status), "{} of {}", it.beyond.len(), bytes(&status));
        }
    }

    #[test]
    fn a_first_that_is_like_no_other_costs_no_more_than_there_being_none() {
        let mut packer = Packer::default();
        assert_eq!(packer.pack(&OwnershipStatus::default()).read(), Some(OwnershipStatus::default()));
        let status = status("acme");
        let it = packer.pack(&status);
        assert_eq!(it.read().as_ref(), Some(&status));
        assert!(it.beyond.len() * 3 < serde_json::to_vec(&status).unwrap().len(), "{}", it.beyond.len());
    }

    #[test]
    fn the_largest_come_out_as_they_went_in() {
        let long = |c: char| {
            (0..400).map(move |i| serde_json::json!({"control": c, "object": i.to_string(), "verdict": "Violated", "message": format!("{i}").repeat(90), "since": "2026-04-01T00:00:00Z", "owedBy": ""}))
        };
        let status = |c| serde_json::from_value(serde_json::json!({"findings": long(c).collect::<Vec<_>>()})).unwrap();
        let (mut packer, first, second): (_, OwnershipStatus, OwnershipStatus) = (Packer::default(), status('a'), status('b'));
        let all = [&first, &second, &OwnershipStatus::default()].map(|status| packer.pack(status));
        assert!(all[0].first.len() > 100_000, "longer than what the packer looks back");
        assert_eq!(all.map(|one| one.read()), [Some(first), Some(second), Some(OwnershipStatus::default())]);
    }
}
