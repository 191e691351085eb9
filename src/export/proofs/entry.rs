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
    let (size, root) = log.verify_checkpoint(&proof.checkpoint).map_err(|reason| malformed(&reason))?;
    if (size, root) != (proof.size, proof.root) {
        return Err(malformed("the proof is for another tree head than its checkpoint"));
    }
    match root_of(leaf, proof.index, size, &proof.hashes) {
        Some(computed) if computed == root => {}
        _ => return Err(malformed("the inclusion proof does not lead to the signed root")),
    }
    Ok(stored(promise, &proof))
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

struct Proof {
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

fn stored(promise: &Promise, proof: &Proof) -> Value {
    let kind = json::parse(&promise.body).unwrap_or_default();
    let text = |key: &str| kind.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let id = Digest::from_hex(&promise.log_id).map(|id| id.as_bytes().to_vec()).unwrap_or_default();
    json!({
        "logIndex": promise.log_index.to_string(),
        "logId": { "keyId": STANDARD.encode(id) },
        "kindVersion": { "kind": text("kind"), "version": text("apiVersion") },
        "integratedTime": promise.integrated_time.to_string(),
        "inclusionPromise": { "signedEntryTimestamp": STANDARD.encode(&promise.signature) },
        "inclusionProof": {
            "logIndex": proof.index.to_string(),
            "rootHash": STANDARD.encode(proof.root),
            "treeSize": proof.size.to_string(),
            "hashes": proof.hashes.iter().map(|hash| STANDARD.encode(hash)).collect::<Vec<_>>(),
            "checkpoint": { "envelope": proof.checkpoint },
        },
        "canonicalizedBody": STANDARD.encode(&promise.body),
    })
}

/// The root that the path leads to (RFC 9162 §2.1.3.2), if it is as long as the
/// place of the leaf in the tree needs.
fn root_of(leaf: &Digest, index: u64, size: u64, hashes: &[[u8; 32]]) -> Option<[u8; 32]> {
    let mut node = index;
    let mut last = size.checked_sub(1).filter(|last| index <= *last)?;
    let mut hash = *leaf.as_bytes();
    let above = |left: &[u8; 32], right: &[u8; 32]| *Digest::of(&[&[1], left.as_slice(), right].concat()).as_bytes();
    for sibling in hashes {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            hash = above(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = above(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proofs::leaf_hash;

    #[test]
    fn paths_lead_to_the_root_of_rfc_6962() {
        let leaves: Vec<Digest> = (0_u8..3).map(|n| leaf_hash(&[n])).collect();
        let above = |a: &[u8; 32], b: &[u8; 32]| *Digest::of(&[&[1], a.as_slice(), b].concat()).as_bytes();
        let [a, b, c] = [0, 1, 2].map(|n: usize| *leaves[n].as_bytes());
        let left = above(&a, &b);
        let root = Some(above(&left, &c));
        assert_eq!(root_of(&leaves[0], 0, 3, &[b, c]), root);
        assert_eq!(root_of(&leaves[1], 1, 3, &[a, c]), root);
        assert_eq!(root_of(&leaves[2], 2, 3, &[left]), root);
        for (index, size, path) in [(3, 3, vec![left]), (2, 3, vec![left, left]), (0, 3, vec![b]), (0, 0, vec![])] {
            assert_eq!(root_of(&leaves[0], index, size, &path), None, "{index} of {size}");
        }
    }
}
