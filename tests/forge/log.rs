//! Rekor logs of both versions: entries, promises, proofs, checkpoints.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::keys::{Key, sha256};

pub(crate) struct Log {
    pub(crate) host: &'static str,
    pub(crate) key: Key,
    /// Version 1 writes its tree id into the origin and counts over all trees.
    pub(crate) tree: Option<&'static str>,
    pub(crate) offset: u64,
}

/// An entry with everything its log says about it.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) body: Value,
    pub(crate) time: i64,
    pub(crate) with_promise: bool,
    pub(crate) with_proof: bool,
    /// Who cosigns the note.
    pub(crate) witnesses: &'static [&'static str],
}

impl Entry {
    pub(crate) fn new(body: Value, time: i64) -> Self {
        Self { body, time, with_promise: true, with_proof: true, witnesses: &[] }
    }
}

impl Log {
    pub(crate) fn id(&self) -> [u8; 32] {
        match &self.key {
            Key::P256(_) => sha256(&self.key.spki()),
            Key::Ed25519(_) => sha256(&[self.host.as_bytes(), &[b'\n', 1], &self.key.raw()].concat()),
        }
    }

    pub(crate) fn is_v2(&self) -> bool {
        self.tree.is_none()
    }

    /// The entry as a bundle holds it. It stands between two others in a tree of three.
    pub(crate) fn log(&self, entry: &Entry) -> Value {
        let body = canonical(&entry.body);
        let leaves = [b"before".to_vec(), body.clone(), b"after".to_vec()];
        let index = 1_u64;
        let global = index + self.offset;
        let mut out = json!({
            "logIndex": global.to_string(),
            "logId": {"keyId": STANDARD.encode(self.id())},
            "kindVersion": {"kind": entry.body["kind"], "version": entry.body["apiVersion"]},
            "canonicalizedBody": STANDARD.encode(&body),
        });
        if entry.with_promise && !self.is_v2() {
            out["integratedTime"] = json!(entry.time.to_string());
            out["inclusionPromise"] = json!({"signedEntryTimestamp": STANDARD.encode(self.promise(&body, entry.time, global))});
        }
        if entry.with_proof {
            let (first, second) = (leaf(&leaves[0]), leaf(&leaves[2]));
            let root = node(&node(&first, &leaf(&leaves[1])), &second);
            let note = self.checkpoint(3, &root);
            let time = u64::try_from(entry.time).unwrap();
            let lines: String = entry.witnesses.iter().map(|name| witness_line(name, &note, time)).collect();
            out["inclusionProof"] = json!({
                "logIndex": index.to_string(),
                "rootHash": STANDARD.encode(root),
                "treeSize": "3",
                "hashes": [STANDARD.encode(first), STANDARD.encode(second)],
                "checkpoint": {"envelope": note + &lines},
            });
        }
        out
    }

    /// The annotation of a legacy layer.
    pub(crate) fn annotation(&self, entry: &Entry) -> String {
        let body = canonical(&entry.body);
        let index = 1 + self.offset;
        let value = json!({
            "SignedEntryTimestamp": STANDARD.encode(self.promise(&body, entry.time, index)),
            "Payload": {
                "body": STANDARD.encode(&body),
                "integratedTime": entry.time,
                "logIndex": index,
                "logID": hex::encode(self.id()),
            },
        });
        value.to_string()
    }

    pub(crate) fn promise(&self, body: &[u8], time: i64, index: u64) -> Vec<u8> {
        let text = format!(
            r#"{{"body":"{}","integratedTime":{time},"logID":"{}","logIndex":{index}}}"#,
            STANDARD.encode(body),
            hex::encode(self.id())
        );
        self.key.sign(text.as_bytes())
    }

    pub(crate) fn checkpoint(&self, size: u64, root: &[u8; 32]) -> String {
        let origin = self.tree.map_or(self.host.to_owned(), |tree| format!("{} - {tree}", self.host));
        let body = format!("{origin}\n{size}\n{}\n", STANDARD.encode(root));
        let line = self.line(&body);
        format!("{body}\n{line}")
    }

    fn line(&self, body: &str) -> String {
        let bytes = [&self.id()[..4], &self.key.sign(body.as_bytes())].concat();
        format!("\u{2014} {} {}\n", self.host, STANDARD.encode(bytes))
    }
}

/// A cosignature of this witness over a note (c2sp.org/tlog-cosignature).
pub(crate) fn witness_line(name: &str, note: &str, time: u64) -> String {
    let key = Key::ed25519(name);
    let (body, _) = note.split_once("\n\n").unwrap();
    let signature = key.sign(format!("cosignature/v1\ntime {time}\n{body}\n").as_bytes());
    let bytes = [&witness_id(name)[..], &time.to_be_bytes(), &signature].concat();
    format!("\u{2014} {name} {}\n", STANDARD.encode(bytes))
}

/// The verifier key of a witness.
pub(crate) fn witness_key(name: &str) -> String {
    let key = [&[4], &Key::ed25519(name).raw()[..]].concat();
    format!("{name}+{}+{}", hex::encode(witness_id(name)), STANDARD.encode(key))
}

fn witness_id(name: &str) -> [u8; 4] {
    let digest = sha256(&[name.as_bytes(), b"\n\x04", &Key::ed25519(name).raw()].concat());
    digest[..4].try_into().unwrap()
}

/// RFC 8785 for what is written here: sorted keys, no space.
pub(crate) fn canonical(value: &Value) -> Vec<u8> {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let mut pairs: Vec<_> = members.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
                pairs.sort_by(|a, b| a.0.cmp(&b.0));
                Value::Object(pairs.into_iter().collect())
            }
            Value::Array(list) => list.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    serde_json::to_vec(&sorted(value)).unwrap()
}

fn leaf(bytes: &[u8]) -> [u8; 32] {
    sha256(&[&[0], bytes].concat())
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    sha256(&[&[1][..], left, right].concat())
}
