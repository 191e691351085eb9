//! Log proofs that were fetched when the bundle was made: they turn a promise into
//! an inclusion proof (`bundle-spec/evidence.md` §5).
//!
//! A proof is bound to an entry by the hash of the entry's own body alone. Whoever
//! wrote the bundle chose which proofs it holds; what they prove is verified with
//! the log's key like any other.

use std::collections::BTreeMap;

use carnet_bundle::json;

use crate::{
    budget, merkle, sigbundle,
    signed::{InclusionProof, LogEntry},
};

/// Fetched proofs by the leaf they prove.
#[derive(Clone, Debug, Default)]
pub struct LogProofs(BTreeMap<[u8; 32], LogEntry>);

/// Why a document is no log proof.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LogProofError {
    /// Not the JSON of a log entry with an inclusion proof.
    #[error("not a log entry: {0}")]
    Malformed(String),
}

impl LogProofs {
    /// Adds the JSON of a Sigstore `TransparencyLogEntry` with its proof. Of two for
    /// one leaf the first stays.
    ///
    /// # Errors
    ///
    /// Returns a [`LogProofError`] for another document.
    pub fn add(&mut self, document: &[u8]) -> Result<(), LogProofError> {
        let malformed = |reason: String| LogProofError::Malformed(reason);
        if document.len() > budget::ENTRY_BODY {
            return Err(malformed(format!("longer than {} bytes", budget::ENTRY_BODY)));
        }
        let value = json::parse(document).map_err(|e| malformed(e.to_string()))?;
        let entry = sigbundle::log_entry(&value, "log entry").map_err(|e| malformed(e.to_string()))?;
        if entry.proof.as_ref().is_none_or(|proof| proof.checkpoint.is_empty()) {
            return Err(malformed("no inclusion proof with a checkpoint".to_owned()));
        }
        self.0.entry(merkle::leaf_hash(&entry.body)).or_insert(entry);
        Ok(())
    }

    /// The proof for an entry that has none: of the same log, index and time.
    pub(crate) fn proof_of(&self, entry: &LogEntry) -> Option<&InclusionProof> {
        let fetched = self.0.get(&merkle::leaf_hash(&entry.body))?;
        let same = fetched.log_id == entry.log_id
            && fetched.log_index == entry.log_index
            && fetched.integrated_time == entry.integrated_time
            && fetched.body == entry.body;
        fetched.proof.as_ref().filter(|_| same)
    }
}
