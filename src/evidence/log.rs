//! Transparency-log entries: was this signature really logged?
//!
//! A log vouches in two ways: by a promise, the signed entry timestamp, which
//! also fixes the time; and by an inclusion proof that leads to a signed tree
//! head. Both are verified with the key that the trust root lists for the log
//! that the entry names. Follows RFC 6962 and the Rekor documents.

use jiff::Timestamp;

use crate::{
    checkpoint::Checkpoint,
    codes,
    encoding::to_base64,
    merkle, signature,
    signed::{InclusionProof, LogEntry, Refusal},
    trust_root::Log,
};

/// What an entry has shown.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    /// When the log promised the entry; authenticated by the promise.
    pub(crate) time: Option<Timestamp>,
    pub(crate) has_promise: bool,
    pub(crate) has_proof: bool,
    /// RFC 6962 hash of the entry.
    pub(crate) leaf: [u8; 32],
}

/// Verifies everything in `entry` that `log` has to answer for.
pub(crate) fn verify(entry: &LogEntry, log: &Log) -> Result<Logged, Refusal> {
    let mut logged = Logged { time: None, has_promise: false, has_proof: false, leaf: merkle::leaf_hash(&entry.body) };
    if let Some(promise) = &entry.promise {
        let time = verify_promise(entry, promise, log)?;
        // Rekor version 2 signs no times; whatever stands there is not its word.
        logged.time = time.filter(|_| !entry.is_rekor_v2());
        logged.has_promise = true;
    }
    match &entry.proof {
        // Useless, and harmless beside a promise: releases of CPython have it.
        Some(proof) if proof.checkpoint.is_empty() && logged.has_promise && !entry.is_rekor_v2() => {}
        Some(proof) => {
            verify_proof(entry, &logged.leaf, proof, log)?;
            logged.has_proof = true;
        }
        None => {}
    }
    if !logged.has_proof && (!logged.has_promise || entry.is_rekor_v2()) {
        let message = format!("log entry {} has neither promise nor proof of its log", entry.log_index);
        return Err(Refusal::new(&codes::LOG_EVIDENCE_MISSING, message));
    }
    Ok(logged)
}

/// V8.5: the signature over body, time, log id and index (RFC 8785 text of the
/// four members; every value has one form, so it is put together here).
fn verify_promise(entry: &LogEntry, promise: &[u8], log: &Log) -> Result<Option<Timestamp>, Refusal> {
    let seconds = entry.integrated_time.unwrap_or(0);
    let text = format!(
        r#"{{"body":"{}","integratedTime":{seconds},"logID":"{}","logIndex":{}}}"#,
        to_base64(&entry.body),
        hex::encode(entry.log_id),
        entry.log_index,
    );
    if !signature::verify(&log.key, text.as_bytes(), promise) {
        let message = format!("signed entry timestamp of entry {} does not verify under log {}", entry.log_index, log.name());
        return Err(Refusal::new(&codes::SET_INVALID, message));
    }
    let Some(time) = Timestamp::from_second(seconds).ok().filter(|_| entry.integrated_time.is_some()) else {
        return Ok(None);
    };
    if !log.window.contains(time) {
        let message = format!("entry {} was logged at {time}, log {} is trusted {}", entry.log_index, log.name(), log.window);
        return Err(Refusal::new(&codes::LOG_NOT_VALID_AT_TIME, message));
    }
    Ok(Some(time))
}

/// V8.6, V8.7: the path from the body to the root, and the log's signature on it.
fn verify_proof(entry: &LogEntry, leaf: &[u8; 32], proof: &InclusionProof, log: &Log) -> Result<(), Refusal> {
    let checkpoint = Checkpoint::parse(&proof.checkpoint)?;
    // What stands in the proof and in the note must not disagree (R2.3).
    if proof.root_hash != checkpoint.root || proof.tree_size != checkpoint.size {
        let message = format!(
            "tree head mismatch: the proof is for {} leaves and root {}, the checkpoint for {} leaves and root {}",
            proof.tree_size,
            hex::encode(proof.root_hash),
            checkpoint.size,
            hex::encode(checkpoint.root)
        );
        return Err(Refusal::new(&codes::INCLUSION_PROOF_INVALID, message));
    }
    // Rekor version 1 counts over all its trees outside and per tree inside.
    if entry.is_rekor_v2() && proof.log_index != entry.log_index {
        let message = format!("index mismatch: the entry says {}, its proof {}", entry.log_index, proof.log_index);
        return Err(Refusal::new(&codes::INCLUSION_PROOF_INVALID, message));
    }
    merkle::verify_inclusion(leaf, proof.log_index, checkpoint.size, &proof.hashes, &checkpoint.root)
        .map_err(|e| Refusal::new(&codes::INCLUSION_PROOF_INVALID, format!("inclusion proof: {e}")))?;
    checkpoint.verify(log)
}
