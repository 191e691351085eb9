//! What an archive holds, without judging it: the views of `carnet inspect` and
//! `carnet tree`.
//!
//! Input is what gate 1 opened; nothing here verifies a signature, and nothing it
//! shows may be relied on beyond the digests. Text of the bundle is escaped before
//! it reaches a terminal.

mod text;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use carnet_bundle::{
    Attachment, AttachmentKind, Bundle, Digest, Finding, Opened, Platform,
    inventory::{Absence, EvidenceEntry, ProofEntry, Receipt, Subject},
    manifest::Body,
    media,
};
use carnet_evidence::tuf;
use serde::Serialize;

use crate::report::{render_json, render_yaml};

/// Everything that is shown of a bundle.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// The bundle id.
    pub id: Digest,
    /// The content id; absent when the bundle could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_id: Option<Digest>,
    /// What gate 1 found; empty for a sound archive.
    pub findings: Vec<Finding>,
    /// The images that were asked for.
    pub images: Vec<Image>,
    /// Every piece of evidence.
    pub evidence: Vec<EvidenceEntry>,
    /// Log entries that were fetched at export.
    pub proofs: Vec<ProofEntry>,
    /// Every place that was looked at.
    pub receipts: Vec<Receipt>,
    /// What the tree names and the archive does not hold.
    pub absent: Vec<Absence>,
    /// images.yaml, policy.yaml, lock, record, loose files, proofs.
    pub documents: Vec<Document>,
    /// Copies of trust roots and keys.
    pub trust_material: Vec<Document>,
    /// Sources of the policy.
    pub policy_sources: Vec<Document>,
    /// What was added later, about the bundle itself.
    pub attachments: Vec<Attached>,
}

/// Evidence about the bundle itself.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attached {
    /// Digest of its manifest.
    pub digest: Digest,
    /// The bundle that it is about.
    pub subject: Digest,
    /// What it is.
    pub artifact_type: String,
    /// Bytes of the evidence.
    pub size: usize,
    #[serde(skip)]
    kind: AttachmentKind,
}

/// An image that was asked for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// The reference as requested.
    pub reference: String,
    /// What it resolved to.
    pub digest: Digest,
    /// Media type of that manifest.
    pub media_type: String,
    /// Layers below it, each once.
    pub layers: usize,
    /// Bytes of these layers.
    pub layer_bytes: u64,
    /// Layers that the archive holds.
    pub layers_held: usize,
    /// Children of an index, attestations included.
    pub platforms: Vec<Child>,
}

/// One child of an index.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Child {
    /// Platform as the index gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Digest of the child.
    pub digest: Digest,
    /// Whether the archive holds it.
    pub held: bool,
}

/// A document that travels with the bundle.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// File name.
    pub title: String,
    /// Media type.
    pub media_type: String,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Size in bytes.
    pub size: usize,
}

impl Overview {
    /// Looks at what gate 1 opened.
    pub fn new(opened: &Opened) -> Self {
        let mut overview = Self {
            id: opened.id,
            content_id: None,
            findings: opened.findings.clone(),
            images: Vec::new(),
            evidence: Vec::new(),
            proofs: Vec::new(),
            receipts: Vec::new(),
            absent: Vec::new(),
            documents: Vec::new(),
            trust_material: Vec::new(),
            policy_sources: Vec::new(),
            attachments: Vec::new(),
        };
        if let Some(bundle) = &opened.bundle {
            overview.fill(bundle);
        }
        overview
    }

    fn fill(&mut self, bundle: &Bundle) {
        let inventory = bundle.inventory();
        self.content_id = Some(bundle.content_id());
        self.images = inventory.subjects.iter().map(|subject| image(bundle, subject)).collect();
        self.evidence = inventory.evidence.clone();
        self.proofs = inventory.proofs.clone();
        self.receipts = inventory.looked_for.clone();
        self.absent = inventory.absent.clone();
        let is_trust = |document: &Document| {
            [media::TRUSTED_ROOT, media::PUBLIC_KEY, tuf::MEDIA_TYPE].contains(&document.media_type.as_str())
        };
        (self.trust_material, self.documents) = bundle.documents().map(document).partition(is_trust);
        self.policy_sources = bundle.policy_documents().map(document).collect();
        self.attachments = bundle.attachments().iter().map(Attached::new).collect();
    }

    /// Renders it for people.
    pub fn to_text(&self) -> String {
        text::render(self)
    }

    /// Renders it as JSON.
    pub fn to_json(&self) -> String {
        render_json(&self.document())
    }

    /// Renders it as YAML.
    pub fn to_yaml(&self) -> String {
        render_yaml(&self.document())
    }

    fn document(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn held(&self, role: impl Fn(&Absence) -> bool) -> (usize, u64) {
        let absent: Vec<_> = self.absent.iter().filter(|absence| role(absence)).collect();
        (absent.len(), absent.iter().map(|absence| absence.size).fold(0, u64::saturating_add))
    }
}

impl Attached {
    /// Looks at an attachment, in an archive or detached.
    pub fn new(attachment: &Attachment) -> Self {
        Self {
            digest: attachment.digest(),
            subject: attachment.subject(),
            artifact_type: attachment.kind().artifact_type().to_owned(),
            size: attachment.payload().len(),
            kind: attachment.kind(),
        }
    }

    /// Renders it for people.
    pub fn to_text(&self) -> String {
        text::attached(self)
    }

    /// Renders it as JSON.
    pub fn to_json(&self) -> String {
        render_json(&self.document())
    }

    /// Renders it as YAML.
    pub fn to_yaml(&self) -> String {
        render_yaml(&self.document())
    }

    fn document(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// Renders the images with everything about them as a tree.
pub fn tree(opened: &Opened) -> String {
    match &opened.bundle {
        Some(bundle) => tree::render(bundle),
        None => String::new(),
    }
}

fn image(bundle: &Bundle, subject: &Subject) -> Image {
    let layers = layers(bundle, &subject.digest);
    Image {
        reference: subject.reference.clone(),
        digest: subject.digest,
        media_type: subject.media_type.clone(),
        layers: layers.len(),
        layer_bytes: layers.values().copied().fold(0, u64::saturating_add),
        layers_held: layers.keys().filter(|layer| bundle.has(layer)).count(),
        platforms: subject
            .children
            .iter()
            .map(|child| Child { platform: child.platform.clone(), digest: child.digest, held: bundle.has(&child.digest) })
            .collect(),
    }
}

/// The layers of an image and of everything below it, with their sizes.
/// Attestations beside the platforms have payloads, not layers.
fn layers(bundle: &Bundle, root: &Digest) -> BTreeMap<Digest, u64> {
    let mut layers = BTreeMap::new();
    let mut waiting = vec![*root];
    let mut seen = BTreeSet::new();
    while let Some(digest) = waiting.pop() {
        let manifest = bundle.manifest(&digest).filter(|_| bundle.tree().images().contains(&digest));
        let Some(manifest) = manifest.filter(|_| seen.insert(digest)) else { continue };
        match &manifest.body {
            Body::Image { layers: named, .. } => layers.extend(named.iter().map(|layer| (layer.digest, layer.size))),
            Body::Index { manifests } => waiting.extend(manifests.iter().map(|child| child.digest)),
        }
    }
    layers
}

fn document(carried: carnet_bundle::CarriedDocument<'_>) -> Document {
    Document {
        title: carried.title.to_owned(),
        media_type: carried.media_type.to_owned(),
        digest: carried.digest,
        size: carried.bytes.len(),
    }
}
