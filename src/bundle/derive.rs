//! Documents whose bytes follow from the tree: the bundle index, the manifests
//! of carnet's own, `index.json` and the fallback indexes
//! (`bundle-spec/bundle.md` §2 and §4).
//!
//! The writer writes them, the reader computes them again and compares.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::{
    digest::Digest,
    inventory::{EvidenceEntry, Inventory, Method},
    json::{self as strict, JsonError},
    manifest::{Descriptor, Manifest},
    media,
    reference::Reference,
    tree::Tree,
};

/// Content of the member `oci-layout`.
pub const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

pub(crate) const TITLE: &str = "org.opencontainers.image.title";

/// A fallback index (OCI referrers tag schema) of one subject.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FallbackIndex {
    /// Digest of the subject.
    pub subject: Digest,
    /// Digest of [`Self::bytes`].
    pub digest: Digest,
    /// The index, RFC 8785.
    pub bytes: Vec<u8>,
}

/// Computes the bundle index: control, image roots, policy, evidence.
pub(crate) fn bundle_index(
    control: &Descriptor,
    roots: &[(Descriptor, String)],
    policy: Option<&Descriptor>,
    evidence: &[Descriptor],
) -> Result<Vec<u8>, JsonError> {
    let own = |d: &Descriptor, artifact_type: &str| with(plain(d), "artifactType", artifact_type.into());
    let mut manifests = vec![own(control, media::CONTROL)];
    for (root, reference) in roots {
        manifests.push(with(plain(root), "annotations", json!({ media::REF_NAME: reference })));
    }
    manifests.extend(policy.map(|d| own(d, media::POLICY)));
    manifests.extend(evidence.iter().map(|d| Value::Object(plain(d))));
    strict::canonical_value(json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_INDEX,
        "artifactType": media::BUNDLE,
        "manifests": manifests,
    }))
}

/// Computes the control or policy manifest over titled layers.
pub(crate) fn documents_manifest(artifact_type: &str, layers: &[(Descriptor, String)]) -> Result<Vec<u8>, JsonError> {
    let layers: Vec<Value> =
        layers.iter().map(|(layer, title)| with(plain(layer), "annotations", json!({ TITLE: title }))).collect();
    strict::canonical_value(json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": plain(&empty_config()),
        "layers": layers,
    }))
}

/// The descriptor of the empty config.
pub(crate) fn empty_config() -> Descriptor {
    Descriptor::of(media::OCI_EMPTY, media::EMPTY_JSON)
}

/// Computes the fallback index of every subject that has referrers, by subject.
///
/// # Errors
///
/// None for trees that were read from bytes; the type is [`JsonError`] because
/// serialisation is fallible.
pub fn fallback_indexes(tree: &Tree) -> Result<Vec<FallbackIndex>, JsonError> {
    tree.subjects_with_referrers()
        .into_iter()
        .map(|subject| {
            let manifests: Vec<Value> = tree.referrers(&subject).map(|(digest, m)| referrer_entry(tree, digest, m)).collect();
            let bytes = strict::canonical_value(json!({
                "schemaVersion": 2,
                "mediaType": media::OCI_INDEX,
                "manifests": manifests,
            }))?;
            Ok(FallbackIndex { subject, digest: Digest::of(&bytes), bytes })
        })
        .collect()
}

/// Computes `index.json` for readers that are not carnet.
///
/// # Errors
///
/// As [`fallback_indexes`].
pub fn index_json(
    id: &Descriptor,
    inventory: &Inventory,
    tree: &Tree,
    fallback: &[FallbackIndex],
    attachments: &[Descriptor],
) -> Result<Vec<u8>, JsonError> {
    let mut manifests = image_entries(inventory);
    for entry in &inventory.evidence {
        manifests.extend(evidence_entries(tree, entry));
    }
    for index in fallback {
        let tag = format!("sha256-{}", index.subject.to_hex());
        let plain = plain(&Descriptor::of(media::OCI_INDEX, &index.bytes));
        manifests.push(with(plain, "annotations", json!({ media::REF_NAME: tag })));
    }
    let attachments: BTreeMap<Digest, &Descriptor> = attachments.iter().map(|entry| (entry.digest, entry)).collect();
    manifests.extend(attachments.into_values().map(attachment_entry));
    manifests.push(with(plain(id), "artifactType", media::BUNDLE.into()));
    strict::canonical_value(json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_INDEX,
        "manifests": manifests,
    }))
}

/// Computes the `index.json` of an attachment that travels by itself.
pub(crate) fn detached_index(entry: &Descriptor) -> Result<Vec<u8>, JsonError> {
    strict::canonical_value(json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_INDEX,
        "manifests": [attachment_entry(entry)],
    }))
}

fn attachment_entry(entry: &Descriptor) -> Value {
    with(plain(entry), "artifactType", entry.artifact_type.as_deref().unwrap_or_default().into())
}

fn image_entries(inventory: &Inventory) -> Vec<Value> {
    let references: Vec<Option<Reference>> = inventory.subjects.iter().map(|s| s.reference.parse().ok()).collect();
    let first = references.first().and_then(Option::as_ref).map(Reference::name);
    let one_repository = references.iter().all(|r| r.as_ref().map(Reference::name) == first);
    inventory
        .subjects
        .iter()
        .zip(&references)
        .map(|(subject, reference)| {
            let tag = reference.as_ref().and_then(Reference::tag).map_or_else(|| subject.digest.to_hex(), str::to_owned);
            let kind = if media::is_index(&subject.media_type) { "imageIndex" } else { "image" };
            let entry = json!({ "mediaType": subject.media_type, "digest": subject.digest, "size": subject.size });
            let annotations = json!({
                media::REF_NAME: if one_repository { tag } else { subject.reference.clone() },
                media::CONTAINERD_NAME: subject.reference,
                media::COSIGN_KIND: format!("dev.cosignproject.cosign/{kind}"),
            });
            with(object(entry), "annotations", annotations)
        })
        .collect()
}

/// One entry for each tag that cosign's legacy tools look for, else one without a name.
fn evidence_entries(tree: &Tree, entry: &EvidenceEntry) -> Vec<Value> {
    let Some(manifest) = tree.manifest(&entry.digest).filter(|_| !tree.buildkit().contains_key(&entry.digest)) else {
        return Vec::new();
    };
    let plain = || {
        object(json!({
            "mediaType": manifest.media_type,
            "digest": entry.digest,
            "size": tree.manifest_size(&entry.digest),
        }))
    };
    let suffixes: BTreeSet<(&str, Option<&str>)> =
        entry.found_in.iter().filter_map(|place| legacy_suffix(place.method)).collect();
    if suffixes.is_empty() {
        return vec![Value::Object(plain())];
    }
    suffixes
        .into_iter()
        .map(|(suffix, kind)| {
            let mut annotations = Map::new();
            annotations.insert(media::REF_NAME.to_owned(), format!("sha256-{}.{suffix}", entry.subject.to_hex()).into());
            if let Some(kind) = kind {
                annotations.insert(media::COSIGN_KIND.to_owned(), format!("dev.cosignproject.cosign/{kind}").into());
            }
            with(plain(), "annotations", annotations.into())
        })
        .collect()
}

fn legacy_suffix(method: Method) -> Option<(&'static str, Option<&'static str>)> {
    match method {
        Method::CosignAtt => Some(("att", Some("atts"))),
        Method::CosignSbom => Some(("sbom", None)),
        Method::CosignSig => Some(("sig", Some("sigs"))),
        Method::FallbackTag | Method::IndexChildren | Method::LogProof | Method::LooseFile | Method::ReferrersApi => None,
    }
}

fn referrer_entry(tree: &Tree, digest: &Digest, manifest: &Manifest) -> Value {
    let mut entry = object(json!({
        "mediaType": manifest.media_type,
        "digest": digest,
        "size": tree.manifest_size(digest),
    }));
    if let Some(artifact_type) = manifest.effective_artifact_type() {
        entry.insert("artifactType".to_owned(), artifact_type.into());
    }
    if !manifest.annotations.is_empty() {
        entry.insert("annotations".to_owned(), json!(manifest.annotations));
    }
    Value::Object(entry)
}

/// The three members that every descriptor has.
pub(crate) fn plain(descriptor: &Descriptor) -> Map<String, Value> {
    object(json!({ "mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn with(mut entry: Map<String, Value>, key: &str, value: Value) -> Value {
    entry.insert(key.to_owned(), value);
    Value::Object(entry)
}
