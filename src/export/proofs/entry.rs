//! The answer of a log: the very entry, and a proof that holds.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_bundle::{Digest, json};
use serde_json::{Value, json};

use super::{Failed, log::Log, promise::Promise};

/// Longest checkpoint, in bytes.
const CHECKPOINT: usize = 64 * 1024;

/// Reads an answer of `GET /api/v1/log/entries/…` and returns it as the
/// `TransparencyLogEntry` (protobuf's JSON) that is stored.
///
/// The answer must be about the entry that was promised, byte for byte. The signed
/// entry timestamp in it may differ, because logs sign again at each request; the
/// one that travelled is kept.
pub(super) fn read(answer: &[u8], promise: &Promise, leaf: &Digest, log: &Log) -> Result<Value, Failed> {
    let malformed = |what: &str| Failed::reason(format!("{}: {what}", log.url));
    let document = json::parse(answer).map_err(|error| malformed(&error.to_string()))?;
    let entries = document.as_object().ok_or_else(|| malformed("the answer is not a list of entries"))?;
    let mut entries = entries.iter();
    let (Some((id, entry)), None) = (entries.next(), entries.next()) else {
        return Err(malformed("the answer is not one entry"));
    };
    same_entry(entry, promise, log)?;
    // A tree id may stand before the leaf.
    if !(matches!(id.len(), 64 | 80) && id.ends_with(&leaf.to_hex())) {
        return Err(malformed("the id of the entry is not its leaf"));
    }
    let proof = Proof::read(entry).ok_or_else(|| malformed("the entry has no inclusion proof with a checkpoint"))?;
    let entry = stored(promise, Some(&proof));
    match log.verify(&entry).map_err(|reason| malformed(&reason))?.by_proof {
        true => Ok(entry),
        false => Err(malformed("the entry has no inclusion proof with a checkpoint")),
    }
}

/// Another entry where the promised one should be is as bad as none.
fn same_entry(entry: &Value, promise: &Promise, log: &Log) -> Result<(), Failed> {
    let body = entry.get("body").and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
    let same = [
        ("body", body.as_deref() == Some(&promise.body)),
        ("log id", entry.get("logID").and_then(Value::as_str) == Some(&promise.log_id)),
        ("index", entry.get("logIndex").and_then(Value::as_u64) == Some(promise.log_index)),
        ("time", entry.get("integratedTime").and_then(Value::as_i64) == Some(promise.integrated_time)),
    ];
    match same.iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(Failed::alarm(format!("{} answers with an entry of another {what}", log.url))),
        None => Ok(()),
    }
}

/// An inclusion proof as logs answer with it.
pub(super) struct Proof {
    index: u64,
    size: u64,
    root: [u8; 32],
    hashes: Vec<[u8; 32]>,
    checkpoint: String,
}

impl Proof {
    fn read(entry: &Value) -> Option<Self> {
        let proof = entry.pointer("/verification/inclusionProof")?;
        let hash = |value: &Value| value.as_str().and_then(|text| Digest::from_hex(text).ok()).map(|digest| *digest.as_bytes());
        let checkpoint = proof.get("checkpoint")?.as_str().filter(|text| text.len() <= CHECKPOINT)?;
        Some(Self {
            index: proof.get("logIndex")?.as_u64()?,
            size: proof.get("treeSize")?.as_u64()?,
            root: hash(proof.get("rootHash")?)?,
            hashes: proof.get("hashes")?.as_array()?.iter().map(hash).collect::<Option<_>>()?,
            checkpoint: checkpoint.to_owned(),
        })
    }
}

/// An entry with what has been promised, and the proof if there is one yet.
pub(super) fn stored(promise: &Promise, proof: Option<&Proof>) -> Value {
    let kind = json::parse(&promise.body).unwrap_or_default();
    let text = |key: &str| kind.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let id = Digest::from_hex(&promise.log_id).map(|id| id.as_bytes().to_vec()).unwrap_or_default();
    let mut entry = json!({
        "logIndex": promise.log_index.to_string(),
        "logId": { "keyId": STANDARD.encode(id) },
        "kindVersion": { "kind": text("kind"), "version": text("apiVersion") },
        "integratedTime": promise.integrated_time.to_string(),
        "inclusionPromise": { "signedEntryTimestamp": STANDARD.encode(&promise.signature) },
        "canonicalizedBody": STANDARD.encode(&promise.body),
    });
    if let Some(proof) = proof {
        entry["inclusionProof"] = json!({
            "logIndex": proof.index.to_string(),
            "rootHash": STANDARD.encode(proof.root),
            "treeSize": proof.size.to_string(),
            "hashes": proof.hashes.iter().map(|hash| STANDARD.encode(hash)).collect::<Vec<_>>(),
            "checkpoint": { "envelope": proof.checkpoint },
        });
    }
    entry
}
