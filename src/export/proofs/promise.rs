//! Which log entries travel with a promise and without a proof?
//!
//! Legacy layers have them in an annotation, Sigstore bundles in `tlogEntries`.
//! What is malformed is passed over: the verifier says so.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_bundle::{Assembly, Digest, Manifest, inventory::EvidenceKind, json, media};
use serde_json::Value;

use super::{Promises, leaf_hash};

const BUNDLE: &str = "dev.sigstore.cosign/bundle";

/// What a log has promised to include.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Promise {
    pub(super) body: Vec<u8>,
    pub(super) log_index: u64,
    /// SHA-256 of the log's key, in hex.
    pub(super) log_id: String,
    /// Seconds since 1970.
    pub(super) integrated_time: i64,
    /// The signed entry timestamp.
    pub(super) signature: Vec<u8>,
}

/// Every promise without a proof in what was collected, by leaf.
pub(super) fn promises(assembly: &Assembly) -> Promises {
    let mut found = Promises::new();
    let mut bundles: Vec<&[u8]> =
        assembly.documents.iter().filter(|d| d.media_type == media::LOOSE_EVIDENCE).map(|d| d.bytes.as_slice()).collect();
    for entry in &assembly.evidence {
        let Some(manifest) = manifest(assembly, &entry.digest) else { continue };
        for layer in manifest.layers() {
            match entry.kind {
                EvidenceKind::Simplesigning | EvidenceKind::Dsse => {
                    let promise = layer.annotations.get(BUNDLE).and_then(|text| legacy(text));
                    found.extend(promise.map(|promise| (leaf_hash(&promise.body), promise)));
                }
                EvidenceKind::SigstoreBundle => bundles.extend(assembly.blobs.get(&layer.digest).map(Vec::as_slice)),
                _ => {}
            }
        }
    }
    for bundle in bundles {
        found.extend(entries(bundle).into_iter().map(|promise| (leaf_hash(&promise.body), promise)));
    }
    found
}

fn manifest(assembly: &Assembly, digest: &Digest) -> Option<Manifest> {
    let bytes = assembly.blobs.get(digest)?;
    let document = json::parse(bytes).ok()?;
    let media_type = document.get("mediaType").and_then(Value::as_str).unwrap_or(media::OCI_MANIFEST);
    Manifest::parse(bytes, media_type).ok()
}

/// The annotation of cosign's legacy layers.
fn legacy(text: &str) -> Option<Promise> {
    let value = json::parse(text.as_bytes()).ok()?;
    let payload = value.get("Payload")?;
    Some(Promise {
        body: bytes(payload.get("body"))?,
        log_index: payload.get("logIndex")?.as_u64()?,
        log_id: payload.get("logID")?.as_str()?.to_owned(),
        integrated_time: payload.get("integratedTime")?.as_i64()?,
        signature: bytes(value.get("SignedEntryTimestamp"))?,
    })
}

/// The entries of a Sigstore bundle that have a promise and no proof that leads to
/// a checkpoint.
fn entries(bundle: &[u8]) -> Vec<Promise> {
    let Ok(bundle) = json::parse(bundle) else { return Vec::new() };
    let entries = bundle.pointer("/verificationMaterial/tlogEntries").and_then(Value::as_array);
    entries.into_iter().flatten().filter_map(entry).collect()
}

fn entry(entry: &Value) -> Option<Promise> {
    let checkpoint = entry.pointer("/inclusionProof/checkpoint/envelope").and_then(Value::as_str);
    if checkpoint.is_some_and(|text| !text.is_empty()) {
        return None;
    }
    let id = bytes(entry.pointer("/logId/keyId"))?;
    Some(Promise {
        body: bytes(entry.get("canonicalizedBody"))?,
        log_index: number(entry.get("logIndex"))?,
        log_id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
        integrated_time: number(entry.get("integratedTime"))?.try_into().ok()?,
        signature: bytes(entry.pointer("/inclusionPromise/signedEntryTimestamp"))?,
    })
}

fn bytes(value: Option<&Value>) -> Option<Vec<u8>> {
    STANDARD.decode(value?.as_str()?).ok().filter(|bytes| !bytes.is_empty())
}

/// Protobuf's JSON writes 64-bit numbers as text and leaves zero out; readers take
/// numbers too.
fn number(value: Option<&Value>) -> Option<u64> {
    match value {
        None => Some(0),
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_u64(),
    }
}
