//! What sort of evidence a manifest is.
//!
//! Decided by the manifest itself, never by the descriptor in a list: registries
//! fill those fields as they like (R1.9).

use carnet_bundle::{
    inventory::EvidenceKind,
    manifest::{Body, Descriptor, Manifest},
    media,
};

const COSIGN_SIGNATURE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
const BUILDKIT: &str = "application/vnd.docker.attestation.manifest.v1+json";
const SBOM: &[&str] = &[
    "application/spdx+json",
    "application/spdx+xml",
    "application/vnd.cyclonedx",
    "application/vnd.cyclonedx+json",
    "application/vnd.cyclonedx+xml",
    "application/vnd.spdx+json",
    "application/vnd.syft+json",
    "text/spdx",
    "text/spdx+json",
    "text/spdx+xml",
];

/// Annotation of a bundle referrer that hints at its predicate type.
const BUNDLE_PREDICATE: &str = "dev.sigstore.bundle.predicateType";
/// Annotation of a layer of cosign's `.att` images.
const COSIGN_PREDICATE: &str = "predicateType";
/// Annotation of a layer of a BuildKit attestation manifest.
const BUILDKIT_PREDICATE: &str = "in-toto.io/predicate-type";

/// The sort of an evidence manifest and a hint at what it says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Classification {
    /// The sort.
    pub kind: EvidenceKind,
    /// Predicate type that annotations claim; empty when they claim none or
    /// several. Unsigned: for display only.
    pub predicate_type: String,
}

/// Says what sort of evidence `manifest` is.
pub fn classify(manifest: &Manifest) -> Classification {
    let Body::Image { config, layers } = &manifest.body else {
        return Classification { kind: EvidenceKind::Other, predicate_type: String::new() };
    };
    Classification { kind: kind(manifest, config, layers), predicate_type: predicate_type(manifest, layers) }
}

/// Whether this layer is a cosign signature: its type says so, or the annotation
/// holds one. An envelope has its own, whatever its annotation says.
pub(crate) fn is_cosign_signature(layer: &Descriptor) -> bool {
    let signature = layer.annotations.get(crate::legacy::SIGNATURE).is_some_and(|signature| !signature.is_empty());
    layer.media_type == media::SIMPLE_SIGNING || signature && layer.media_type != media::DSSE_ENVELOPE
}

fn kind(manifest: &Manifest, config: &Descriptor, layers: &[Descriptor]) -> EvidenceKind {
    let own_type = manifest.artifact_type.as_deref().unwrap_or(&config.media_type);
    let all = |test: fn(&Descriptor) -> bool| !layers.is_empty() && layers.iter().all(test);
    let is_bundle = |layer: &Descriptor| layer.media_type.starts_with(media::SIGSTORE_BUNDLE_PREFIX);
    match layers {
        [layer] if is_bundle(layer) => EvidenceKind::SigstoreBundle,
        _ if own_type == media::NOTATION_SIGNATURE => EvidenceKind::Notation,
        _ if own_type == BUILDKIT => EvidenceKind::BuildkitAttestation,
        _ if own_type == COSIGN_SIGNATURE || layers.iter().any(is_cosign_signature) => EvidenceKind::Simplesigning,
        _ if layers.iter().any(|layer| layer.media_type == media::DSSE_ENVELOPE) => EvidenceKind::Dsse,
        _ if all(|layer| layer.media_type == media::IN_TOTO) => {
            // BuildKit before 0.20 has no artifactType but an image config.
            let image =
                matches!(config.media_type.as_str(), media::OCI_CONFIG | "application/vnd.docker.container.image.v1+json");
            if image { EvidenceKind::BuildkitAttestation } else { EvidenceKind::InToto }
        }
        _ if SBOM.contains(&own_type) || all(|layer| SBOM.contains(&layer.media_type.as_str())) => EvidenceKind::Sbom,
        _ => EvidenceKind::Other,
    }
}

fn predicate_type(manifest: &Manifest, layers: &[Descriptor]) -> String {
    if let Some(hint) = manifest.annotations.get(BUNDLE_PREDICATE) {
        return hint.clone();
    }
    let mut hints =
        layers.iter().map(|layer| [COSIGN_PREDICATE, BUILDKIT_PREDICATE].iter().find_map(|key| layer.annotations.get(*key)));
    match hints.next().flatten() {
        Some(first) if hints.all(|hint| hint == Some(first)) => first.clone(),
        _ => String::new(),
    }
}
