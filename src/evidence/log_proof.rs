//! Log proofs that were fetched when the bundle was made: they turn a promise into
//! an inclusion proof (`bundle-spec/evidence.md` §5).
//!
//! A proof is bound to an entry by the hash of the entry's own body alone. Whoever
//! wrote the bundle chose which proofs it holds; what they prove is verified with
//! the log's key like any other.

use std::collections::BTreeMap;

use carnet_bundle::{Digest, json};

use crate::{
    budget, log, merkle,
    public_key::PublicKey,
    sigbundle,
    signed::{InclusionProof, LogEntry, Refusal},
    trust_root::{Log, TrustRoot},
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
    /// The log does not answer for it.
    #[error("{reason}")]
    Refused {
        /// Name of the finding code, such as `inclusion-proof-invalid`.
        code: &'static str,
        /// Both sides of what disagrees.
        reason: String,
    },
}

/// A transparency log that a trust root lists, for whoever asks that log for
/// entries.
#[derive(Clone, Debug)]
pub struct KnownLog(Log);

/// How a log has answered for an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Vouched {
    /// By a promise, the signed entry timestamp.
    pub by_promise: bool,
    /// By a path to a tree head that it signed.
    pub by_proof: bool,
}

/// The RFC 6962 leaf of an entry with this body: its lookup key at the log, and what
/// a proof is bound to.
pub fn log_leaf(body: &[u8]) -> Digest {
    Digest::from_bytes(merkle::leaf_hash(body))
}

impl KnownLog {
    /// The transparency logs of `root`.
    pub fn of(root: &TrustRoot) -> Vec<Self> {
        root.logs().iter().cloned().map(Self).collect()
    }

    /// The address that the trust root gives; empty when it gives none.
    pub fn url(&self) -> &str {
        &self.0.base_url
    }

    /// The id by which entries name the log, in hex.
    pub fn id(&self) -> String {
        hex::encode(self.0.id)
    }

    /// Whether `key` is the log's.
    pub fn has_key(&self, key: &PublicKey) -> bool {
        self.0.key.fingerprint() == key.fingerprint()
    }

    /// Verifies everything in the JSON of a Sigstore `TransparencyLogEntry` that the
    /// log has to answer for: promise, inclusion proof and checkpoint (V8.5 to V8.8).
    ///
    /// Nothing is said of what the entry describes.
    ///
    /// # Errors
    ///
    /// Returns a [`LogProofError`] for another document, an entry of another log, and
    /// one that the log does not answer for.
    pub fn verify(&self, document: &[u8]) -> Result<Vouched, LogProofError> {
        let entry = read(document)?;
        if entry.log_id != self.0.id {
            let reason = format!("log id mismatch: the entry is of {}, the log is {}", hex::encode(entry.log_id), self.id());
            return Err(LogProofError::Malformed(reason));
        }
        let logged = log::verify(&entry, &self.0)
            .map_err(|Refusal { code, message }| LogProofError::Refused { code: code.name, reason: message })?;
        Ok(Vouched { by_promise: logged.has_promise, by_proof: logged.has_proof })
    }
}

impl LogProofs {
    /// Adds the JSON of a Sigstore `TransparencyLogEntry` with its proof. Of two for
    /// one leaf the first stays.
    ///
    /// # Errors
    ///
    /// Returns a [`LogProofError`] for another document.
    pub fn add(&mut self, document: &[u8]) -> Result<(), LogProofError> {
        let entry = read(document)?;
        if entry.proof.as_ref().is_none_or(|proof| proof.checkpoint.is_empty()) {
            return Err(LogProofError::Malformed("no inclusion proof with a checkpoint".to_owned()));
        }
        self.0.entry(merkle::leaf_hash(&entry.body)).or_insert(entry);
        Ok(())
    }

    /// The proof for an entry that has none: of the same log, index and time.
    pub(crate) fn proof_of(&self, entry: &LogEntry) -> Option<&InclusionProof> {
        if self.0.is_empty() {
            return None;
        }
        let fetched = self.0.get(&merkle::leaf_hash(&entry.body))?;
        let same = fetched.log_id == entry.log_id
            && fetched.log_index == entry.log_index
            && fetched.integrated_time == entry.integrated_time
            && fetched.body == entry.body;
        fetched.proof.as_ref().filter(|_| same)
    }
}

fn read(document: &[u8]) -> Result<LogEntry, LogProofError> {
    let malformed = |reason: String| LogProofError::Malformed(reason);
    if document.len() > budget::ENTRY_BODY {
        return Err(malformed(format!("longer than {} bytes", budget::ENTRY_BODY)));
    }
    let value = json::parse(document).map_err(|e| malformed(e.to_string()))?;
    sigbundle::log_entry(&value, "log entry").map_err(|e| malformed(e.to_string()))
}
