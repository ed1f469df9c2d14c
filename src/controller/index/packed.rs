//! The status of an Ownership as it was read last, packed: by far the most of what is known of one, and asked for only when its namespace is judged.
//! A matrix of 36 rows and what was found take some 20 KB as values; packed they take a tenth (P10).

use std::io;

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};

use crate::api::ownership::OwnershipStatus;

/// One status, packed.
#[derive(Clone, Debug)]
pub struct Packed(std::sync::Arc<[u8]>);

impl Packed {
    /// # Errors
    /// None that memory can have: it is for the types.
    pub fn new(status: &OwnershipStatus) -> io::Result<Self> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        serde_json::to_writer(&mut encoder, status)?;
        Ok(Self(encoder.finish()?.into()))
    }

    /// As it was packed.
    ///
    /// # Errors
    /// As above: what was packed can be read.
    pub fn status(&self) -> io::Result<OwnershipStatus> {
        let mut text = Vec::new();
        io::copy(&mut DeflateDecoder::new(&*self.0), &mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_out_as_it_went_in_and_takes_a_tenth() {
        let rows: Vec<_> = crate::controls::CATALOG
            .iter()
            .map(|c| serde_json::json!({"control": c.id, "owner": "Customer", "accountable": "acme", "enforcement": "Deny", "verdict": "Unknown"}))
            .collect();
        let findings: Vec<_> =
            crate::controls::CATALOG.iter().map(|c| serde_json::json!({"control": c.id, "object": "deployment/payments", "verdict": "Unknown", "message": c.unknown, "since": "2026-04-01T00:00:00Z", "owedBy": "acme (customer)"})).collect();
        let status = serde_json::json!({"observedGeneration": 3, "matrix": rows, "findings": findings, "findingsTotal": 36});
        let status: OwnershipStatus = serde_json::from_value(status).unwrap();
        let packed = Packed::new(&status).unwrap();
        assert_eq!(packed.status().unwrap(), status);
        assert!(packed.0.len() * 3 < serde_json::to_vec(&status).unwrap().len(), "{} bytes", packed.0.len());
    }
}
