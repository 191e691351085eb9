//! Which log entries travel with a promise and without a proof?
//!
//! Legacy layers have them in an annotation, Sigstore bundles in `tlogEntries`.
//! What is malformed is passed over: the verifier says so.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_bundle::{Assembly, Digest, Manifest, inventory::EvidenceKind, json, media};
use carnet_evidence::log_leaf;
use serde_json::Value;

use super::Promises;

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
    let material = Material::of(assembly);
    let bundles = material.bundles.iter().flat_map(|bundle| log_entries(bundle)).filter_map(|entry| promise(&entry));
    let found = material.annotations.iter().filter_map(|text| legacy(text)).chain(bundles);
    found.map(|promise| (log_leaf(&promise.body), promise)).collect()
}

/// The id of the log of every entry in what was collected, in hex.
pub(super) fn log_ids(assembly: &Assembly) -> Vec<String> {
    let material = Material::of(assembly);
    let bundles = material.bundles.iter().flat_map(|bundle| log_entries(bundle)).filter_map(|entry| log_id(&entry));
    material.annotations.iter().filter_map(|text| legacy(text)).map(|promise| promise.log_id).chain(bundles).collect()
}

/// Where log entries can stand.
#[derive(Default)]
struct Material<'a> {
    annotations: Vec<String>,
    bundles: Vec<&'a [u8]>,
}

impl<'a> Material<'a> {
    fn of(assembly: &'a Assembly) -> Self {
        let loose = assembly.documents.iter().filter(|document| document.media_type == media::LOOSE_EVIDENCE);
        let mut material = Self { bundles: loose.map(|document| document.bytes.as_slice()).collect(), ..Self::default() };
        for entry in &assembly.evidence {
            let Some(manifest) = manifest(assembly, &entry.digest) else { continue };
            for layer in manifest.layers() {
                match entry.kind {
                    EvidenceKind::Simplesigning | EvidenceKind::Dsse => {
                        material.annotations.extend(layer.annotations.get(BUNDLE).cloned());
                    }
                    EvidenceKind::SigstoreBundle => {
                        material.bundles.extend(assembly.blobs.get(&layer.digest).map(Vec::as_slice));
                    }
                    _ => {}
                }
            }
        }
        material
    }
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

/// The log entries of a Sigstore bundle.
fn log_entries(bundle: &[u8]) -> Vec<Value> {
    let bundle = json::parse(bundle).unwrap_or_default();
    bundle.pointer("/verificationMaterial/tlogEntries").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn log_id(entry: &Value) -> Option<String> {
    let id = bytes(entry.pointer("/logId/keyId"))?;
    Some(id.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// An entry that has a promise, and no proof that leads to a checkpoint.
fn promise(entry: &Value) -> Option<Promise> {
    let checkpoint = entry.pointer("/inclusionProof/checkpoint/envelope").and_then(Value::as_str);
    if checkpoint.is_some_and(|text| !text.is_empty()) {
        return None;
    }
    Some(Promise {
        body: bytes(entry.get("canonicalizedBody"))?,
        log_index: number(entry.get("logIndex"))?,
        log_id: log_id(entry)?,
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
