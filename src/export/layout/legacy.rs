//! Legacy cosign manifests in a layout that has no tags: which image are they about?
//!
//! `cosign save` says so by `kind` annotations when it lists them at all; else the
//! signed content says it. Binding is all that the content is read for here; the
//! verifier reads it again.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_bundle::{Descriptor, Digest, Manifest, inventory::Method, json, media};
use serde_json::Value;

pub(super) const SIGNATURES: &str = "dev.cosignproject.cosign/sigs";
pub(super) const ATTESTATIONS: &str = "dev.cosignproject.cosign/atts";

/// Whether `cosign save` calls an entry the image it saved.
pub(super) fn is_image_kind(kind: &str) -> bool {
    matches!(kind, "dev.cosignproject.cosign/image" | "dev.cosignproject.cosign/imageIndex")
}

/// The method that would have found this manifest by its tag.
pub(super) fn method(manifest: &Manifest) -> Option<Method> {
    let has = |media_type: &str| manifest.layers().iter().any(|layer| layer.media_type == media_type);
    if has(media::SIMPLE_SIGNING) {
        Some(Method::CosignSig)
    } else if has(media::DSSE_ENVELOPE) {
        Some(Method::CosignAtt)
    } else {
        None
    }
}

/// Digests that the payloads of a legacy manifest name.
pub(super) fn subjects(
    manifest: &Manifest,
    read: impl Fn(&Descriptor) -> Result<Option<Vec<u8>>, String>,
) -> Result<BTreeSet<Digest>, String> {
    let mut subjects = BTreeSet::new();
    for layer in manifest.layers() {
        let Some(bytes) = read(layer)? else { continue };
        let Ok(document) = json::parse(&bytes) else { continue };
        match layer.media_type.as_str() {
            media::SIMPLE_SIGNING => subjects.extend(simple_signing(&document)),
            media::DSSE_ENVELOPE => subjects.extend(statement(&document)),
            _ => {}
        }
    }
    Ok(subjects)
}

fn simple_signing(payload: &Value) -> Option<Digest> {
    payload.pointer("/critical/image/docker-manifest-digest")?.as_str()?.parse().ok()
}

fn statement(envelope: &Value) -> Vec<Digest> {
    let payload = envelope.get("payload").and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
    let Some(statement) = payload.and_then(|bytes| json::parse(&bytes).ok()) else { return Vec::new() };
    let subjects = statement.get("subject").and_then(Value::as_array).into_iter().flatten();
    let hex = |subject: &Value| subject.pointer("/digest/sha256").and_then(Value::as_str).map(Digest::from_hex);
    subjects.filter_map(hex).filter_map(Result::ok).collect()
}
