//! Evidence: the unverified word.

use std::collections::BTreeMap;

use carnet_bundle::{
    Digest, Finding, Manifest,
    inventory::EvidenceKind,
    json,
    manifest::{Body, Descriptor},
    media,
};

use crate::{
    budget, codes,
    kind::{classify, is_cosign_signature},
    legacy, sigbundle,
    signed::{Refusal, Signed},
    statement,
};

/// One piece of evidence as it was found: what it is filed under and opaque bytes.
///
/// There is no getter for an identity, a predicate or a time: whoever needs one
/// needs a [`crate::Verified`].
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    subject: Digest,
    manifest: Option<Digest>,
    payload: Digest,
    layer: Option<usize>,
    kind: EvidenceKind,
    content: Content<'a>,
}

#[derive(Clone, Debug)]
enum Content<'a> {
    /// Of a kind that is carried and not verified.
    Carried,
    /// A DSSE envelope that came as a file.
    BareEnvelope(&'a [u8]),
    /// A Sigstore bundle.
    Bundle(&'a [u8]),
    /// A layer of a `.att` image.
    LegacyAttestation(&'a [u8], BTreeMap<String, String>),
    /// A layer of a `.sig` image.
    LegacySignature(&'a [u8], BTreeMap<String, String>),
    /// A statement without a signature.
    Unsigned(&'a [u8]),
}

/// Why a loose file is no evidence.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LooseError {
    /// Not strict JSON.
    #[error("not a Sigstore bundle or DSSE envelope: {0}")]
    Malformed(String),
    /// JSON of another sort.
    #[error("neither a Sigstore bundle nor a DSSE envelope")]
    Unknown,
}

/// Takes a manifest apart into its pieces of evidence.
///
/// `subject` is what the evidence is filed under: the manifest's `subject`, or
/// what the tag says. `blob` answers with bytes whose digest was compared with
/// the name they are asked under. Findings say what is not there or too much;
/// a manifest of many layers gives one piece per layer.
pub fn from_manifest<'a>(
    subject: &Digest,
    manifest_digest: &Digest,
    manifest: &Manifest,
    blob: &dyn Fn(&Digest) -> Option<&'a [u8]>,
) -> (Vec<Evidence<'a>>, Vec<Finding>) {
    let kind = classify(manifest).kind;
    let whole = |payload: Digest, content: Content<'a>| Evidence {
        subject: *subject,
        manifest: Some(*manifest_digest),
        payload,
        layer: None,
        kind,
        content,
    };
    let Body::Image { layers, .. } = &manifest.body else {
        return (vec![whole(*manifest_digest, Content::Carried)], Vec::new());
    };
    let carried = matches!(kind, EvidenceKind::Notation | EvidenceKind::Other | EvidenceKind::Sbom);
    if carried || layers.is_empty() {
        let payload = layers.first().map_or(*manifest_digest, |layer| layer.digest);
        return (vec![whole(payload, Content::Carried)], Vec::new());
    }
    let mut items = Vec::new();
    let mut findings = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let about = describe(Some(manifest_digest), Some(index), &layer.digest);
        if index >= budget::LAYERS {
            let message = format!("{} layers, at most {} are read", layers.len(), budget::LAYERS);
            findings.push(Finding::new(&codes::EVIDENCE_LIMIT_EXCEEDED, manifest_digest, message));
            break;
        }
        match blob(&layer.digest) {
            None => {
                let message = format!("layer {index} of {} bytes is not carried", layer.size);
                findings.push(Finding::new(&codes::EVIDENCE_NOT_CARRIED, about, message));
            }
            Some(bytes) => {
                let mut item = whole(layer.digest, content(kind, layer, bytes));
                item.layer = Some(index);
                items.push(item);
            }
        }
    }
    (items, findings)
}

/// Takes a loose file, a Sigstore bundle or a DSSE envelope, as evidence about
/// `subject`.
///
/// # Errors
///
/// Returns a [`LooseError`] for any other file.
pub fn from_loose_file<'a>(subject: &Digest, bytes: &'a [u8]) -> Result<Evidence<'a>, LooseError> {
    let value = json::parse(bytes).map_err(|e| LooseError::Malformed(e.to_string()))?;
    let (kind, content) = if sigbundle::is_bundle(&value) {
        (EvidenceKind::SigstoreBundle, Content::Bundle(bytes))
    } else if value.get("payload").is_some() && value.get("signatures").is_some() {
        (EvidenceKind::Dsse, Content::BareEnvelope(bytes))
    } else {
        return Err(LooseError::Unknown);
    };
    Ok(Evidence { subject: *subject, manifest: None, payload: Digest::of(bytes), layer: None, kind, content })
}

/// The subjects that the statement of a loose file names, so that an exporter
/// knows what to file it under. Nobody vouches for them.
pub fn claimed_subjects(bytes: &[u8]) -> Vec<Digest> {
    let parsed = sigbundle::parse(bytes).or_else(|_| legacy::read_bare_envelope(bytes));
    match parsed.map(|signed| signed.content) {
        Ok(crate::signed::Content::Envelope { payload, .. }) => {
            statement::parse(&payload).map(|statement| statement.digests()).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

impl<'a> Evidence<'a> {
    /// The digest that it is filed under.
    pub fn subject(&self) -> &Digest {
        &self.subject
    }

    /// The manifest that holds it; `None` for loose files.
    pub fn manifest(&self) -> Option<&Digest> {
        self.manifest.as_ref()
    }

    /// The blob that holds it.
    pub fn payload(&self) -> &Digest {
        &self.payload
    }

    /// Which layer of the manifest it is.
    pub fn layer(&self) -> Option<usize> {
        self.layer
    }

    /// What sort of evidence it is.
    pub fn kind(&self) -> EvidenceKind {
        self.kind
    }

    /// How findings name it.
    pub fn describe(&self) -> String {
        describe(self.manifest.as_ref(), self.layer, &self.payload)
    }

    /// The bytes of a statement without a signature.
    pub(crate) fn unsigned_statement(&self) -> Option<&'a [u8]> {
        match self.content {
            Content::Unsigned(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Reads it in full.
    pub(crate) fn read(&self) -> Result<Signed<'a>, Refusal> {
        match &self.content {
            Content::Bundle(bytes) => sigbundle::parse(bytes),
            Content::LegacySignature(bytes, annotations) => legacy::read_signature(bytes, annotations),
            Content::LegacyAttestation(bytes, annotations) => legacy::read_attestation(bytes, annotations),
            Content::BareEnvelope(bytes) => legacy::read_bare_envelope(bytes),
            Content::Unsigned(_) => Err(Refusal::new(&codes::UNSIGNED_STATEMENT, "an in-toto statement without a signature")),
            Content::Carried => {
                let message = format!("present, not verified: {}", name_of(self.kind));
                Err(Refusal::new(&codes::NOT_VERIFIED_KIND, message))
            }
        }
    }
}

fn content<'a>(kind: EvidenceKind, layer: &Descriptor, bytes: &'a [u8]) -> Content<'a> {
    match kind {
        EvidenceKind::SigstoreBundle => Content::Bundle(bytes),
        EvidenceKind::Simplesigning | EvidenceKind::Dsse if is_cosign_signature(layer) => {
            Content::LegacySignature(bytes, layer.annotations.clone())
        }
        EvidenceKind::Simplesigning | EvidenceKind::Dsse if layer.media_type == media::DSSE_ENVELOPE => {
            Content::LegacyAttestation(bytes, layer.annotations.clone())
        }
        EvidenceKind::BuildkitAttestation | EvidenceKind::InToto => Content::Unsigned(bytes),
        _ => Content::Carried,
    }
}

fn describe(manifest: Option<&Digest>, layer: Option<usize>, payload: &Digest) -> String {
    match (manifest, layer) {
        (Some(manifest), Some(layer)) => format!("{manifest} layer {layer}"),
        (Some(manifest), None) => manifest.to_string(),
        (None, _) => payload.to_string(),
    }
}

fn name_of(kind: EvidenceKind) -> &'static str {
    match kind {
        EvidenceKind::Notation => "a Notary Project signature",
        EvidenceKind::Sbom => "a bill of materials without a signature",
        _ => "evidence of an unknown sort",
    }
}
