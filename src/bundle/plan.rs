//! The plan of an archive: every member with its place, known before a single
//! layer has been fetched.
//!
//! Sizes and digests of layers stand in their descriptors, so the exporter can
//! write each layer straight to its offset, in any order and in parallel, and the
//! archive still comes out as the one canonical sequence of bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    assembly::{Assembly, Document},
    attachment::{Attachment, MAX_ATTACHMENTS},
    container::{BLOCK, INDEX_MEMBER, LAYOUT_MEMBER, blob_name, header, padding},
    derive::{self, OCI_LAYOUT},
    digest::Digest,
    inventory::{ChildState, Inventory, Role, Subject},
    json::{self, JsonError},
    limits::Limits,
    manifest::{Descriptor, Manifest, ManifestError},
    media,
    open::{self, Bundle},
    tree::{Part, Tree, Visitor, Walk, count},
};

/// Everything that is to be written, in canonical order.
#[derive(Clone, Debug)]
pub struct Plan {
    id: Digest,
    content_id: Digest,
    inventory: Inventory,
    tree: Tree,
    members: Vec<PlannedMember>,
}

/// A member and its place in the archive.
#[derive(Clone, Debug)]
pub struct PlannedMember {
    /// Name in the archive.
    pub name: String,
    /// Digest of the data.
    pub digest: Digest,
    /// Size of the data in bytes.
    pub size: u64,
    /// Offset of the header in the archive; the data follows 512 bytes later.
    pub offset: u64,
    /// Where the data comes from.
    pub content: Content,
}

/// Where the data of a member comes from.
#[derive(Clone, Debug)]
pub enum Content {
    /// Known already.
    Bytes(Arc<[u8]>),
    /// An image layer, to be streamed from its source.
    Stream(Descriptor),
}

/// Why parts do not make a bundle that a verifier would open.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A document that cannot be written as canonical JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A bound of [`Limits`] was exceeded; a verifier would refuse the archive.
    #[error("{what} exceeds the limit of {bound}")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// The bound.
        bound: u64,
    },
    /// A manifest that cannot be read.
    #[error("{digest}: {source}")]
    Manifest {
        /// Digest of the manifest.
        digest: Digest,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// The tree names a blob that was neither handed over nor declared absent.
    #[error("{digest} is named by the tree, but was neither collected nor declared absent")]
    Missing {
        /// Digest of the blob.
        digest: Digest,
    },
    /// Two descriptors give one blob two sizes.
    #[error("{digest} is {} bytes by one descriptor and {} by another", sizes.0, sizes.1)]
    SizeConflict {
        /// Digest of the blob.
        digest: Digest,
        /// The two sizes.
        sizes: (u64, u64),
    },
    /// Nothing was asked for.
    #[error("a bundle needs at least one image")]
    NoSubjects,
}

impl Plan {
    /// Orders the parts and computes the bundle id.
    ///
    /// # Errors
    ///
    /// Returns a [`PlanError`] when the parts do not make a bundle that a verifier
    /// would open.
    pub fn new(assembly: Assembly) -> Result<Self, PlanError> {
        Self::with_limits(assembly, &Limits::default())
    }

    fn with_limits(mut assembly: Assembly, limits: &Limits) -> Result<Self, PlanError> {
        if assembly.subjects.is_empty() {
            return Err(PlanError::NoSubjects);
        }
        let inventory = inventory(&mut assembly);
        let carnet = OwnBlobs::new(&assembly, &inventory)?;
        if carnet.index.size > limits.bundle_index_size {
            return Err(PlanError::Limit { what: "bytes of the bundle index", bound: limits.bundle_index_size });
        }
        let collected = std::mem::take(&mut assembly.blobs);
        let mut held: BTreeMap<Digest, Arc<[u8]>> = collected.into_iter().map(|(digest, bytes)| (digest, bytes.into())).collect();
        held.extend(carnet.blobs.iter().map(|bytes| (Digest::of(bytes), Arc::clone(bytes))));
        Self::lay_out(&carnet, inventory, held, &[], limits)
    }

    /// The plan of a bundle that was opened, with `attachments` in place of those
    /// that it has. Neither its id nor any other member changes.
    ///
    /// # Errors
    ///
    /// Returns a [`PlanError`] for too many attachments, or when a blob of the
    /// bundle is damaged.
    pub fn of_bundle(bundle: &Bundle, attachments: &[Attachment]) -> Result<Self, PlanError> {
        let limits = Limits::default();
        if attachments.len() > MAX_ATTACHMENTS {
            return Err(PlanError::Limit { what: "attachments", bound: count(MAX_ATTACHMENTS) });
        }
        let index = bundle.descriptor();
        let digest = index.digest;
        let bytes = bundle.blob(&digest).ok_or(PlanError::Missing { digest })?;
        let named = Manifest::parse(bytes, media::OCI_INDEX).map_err(|source| PlanError::Manifest { digest, source })?;
        let (control, rest) = named.children().split_first().ok_or(PlanError::NoSubjects)?;
        let (roots, policy, evidence) = open::sections(rest);
        let own = OwnBlobs { index, control: control.clone(), policy, roots, evidence, blobs: Vec::new() };
        let plan = Self::lay_out(&own, bundle.inventory().clone(), bundle.blobs().clone(), attachments, &limits)?;
        let held = |member: &PlannedMember| if matches!(member.content, Content::Bytes(_)) { member.size } else { 0 };
        match plan.members.iter().map(held).sum::<u64>() > limits.memory {
            true => Err(PlanError::Limit { what: "evidence held in memory", bound: limits.memory }),
            false => Ok(plan),
        }
    }

    fn lay_out(
        carnet: &OwnBlobs,
        inventory: Inventory,
        held: BTreeMap<Digest, Arc<[u8]>>,
        attachments: &[Attachment],
        limits: &Limits,
    ) -> Result<Self, PlanError> {
        let absent = inventory.absent.iter().map(|absence| absence.digest).collect();
        let collector = Collector { held, absent, members: Vec::new() };
        let mut walk = Walk::new(collector, limits);
        walk.once(&carnet.index, Part::Manifest)?;
        walk.documents(&carnet.control)?;
        for (root, _) in &carnet.roots {
            walk.image(root)?;
        }
        if let Some(policy) = &carnet.policy {
            walk.documents(policy)?;
        }
        for evidence in &carnet.evidence {
            walk.evidence(evidence)?;
        }
        let fallback = derive::fallback_indexes(&walk.tree)?;
        for index in &fallback {
            let descriptor = Descriptor::of(media::OCI_INDEX, &index.bytes);
            walk.visitor.held.insert(descriptor.digest, index.bytes.clone().into());
            walk.once(&descriptor, Part::Manifest)?;
        }
        let entries = attach(&mut walk, attachments)?;
        walk.layers()?;
        let index_json = derive::index_json(&carnet.index, &inventory, &walk.tree, &fallback, &entries)?;

        let mut members = vec![member(LAYOUT_MEMBER, OCI_LAYOUT.into()), member(INDEX_MEMBER, index_json.into())];
        members.append(&mut walk.visitor.members);
        place(&mut members);
        let content_id = content_id(&inventory, &walk.tree)?;
        Ok(Self { id: carnet.index.digest, content_id, inventory, tree: walk.tree, members })
    }

    /// The bundle id: digest of the bundle index.
    pub fn id(&self) -> Digest {
        self.id
    }

    /// The content id: what two exports of the same things have in common.
    pub fn content_id(&self) -> Digest {
        self.content_id
    }

    /// The inventory as it will be written.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// What the walk over the parts reached: manifests, images, layers.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Every member in stored order, `oci-layout` first.
    pub fn members(&self) -> &[PlannedMember] {
        &self.members
    }

    /// Size of the archive in bytes, end mark included.
    pub fn total_size(&self) -> u64 {
        self.members.last().map_or(0, PlannedMember::end) + 2 * count(BLOCK)
    }
}

impl PlannedMember {
    /// The member's header block.
    pub fn header(&self) -> [u8; BLOCK] {
        header(&self.name, self.size)
    }

    /// Offset of the member's data in the archive.
    pub fn data_offset(&self) -> u64 {
        self.offset + count(BLOCK)
    }

    fn end(&self) -> u64 {
        self.data_offset() + self.size + padding(self.size)
    }
}

/// Computes the content id: SHA-256 of the RFC 8785 array of the digests of image
/// roots and evidence, sorted, each once (`bundle-spec/bundle.md` §2).
///
/// # Errors
///
/// None in practice; serialisation is fallible.
pub fn content_id(inventory: &Inventory, tree: &Tree) -> Result<Digest, JsonError> {
    let roots = inventory.subjects.iter().map(|subject| subject.digest);
    let evidence = inventory.evidence.iter().map(|entry| entry.digest).filter(|digest| !tree.buildkit().contains_key(digest));
    let digests: BTreeSet<Digest> = roots.chain(evidence).collect();
    Ok(Digest::of(&json::canonical(&digests)?))
}

/// The documents that carnet itself adds to what was collected.
struct OwnBlobs {
    index: Descriptor,
    control: Descriptor,
    policy: Option<Descriptor>,
    roots: Vec<(Descriptor, String)>,
    evidence: Vec<Descriptor>,
    blobs: Vec<Arc<[u8]>>,
}

impl OwnBlobs {
    fn new(assembly: &Assembly, inventory: &Inventory) -> Result<Self, PlanError> {
        let mut blobs: Vec<Arc<[u8]>> = vec![media::EMPTY_JSON.into()];
        let inventory_bytes = json::canonical(inventory)?;
        let mut control_layers = vec![(Descriptor::of(media::INVENTORY, &inventory_bytes), "inventory.json".to_owned())];
        blobs.push(inventory_bytes.into());
        control_layers.extend(layers(&assembly.documents, &mut blobs));
        let control = own_manifest(media::CONTROL, &control_layers, &mut blobs)?;

        let policy_layers = layers(&assembly.policy_layers, &mut blobs);
        let policy = match policy_layers.is_empty() {
            true => None,
            false => Some(own_manifest(media::POLICY, &policy_layers, &mut blobs)?),
        };
        let roots: Vec<_> = inventory.subjects.iter().map(root).collect();
        let evidence = sorted_evidence(&assembly.evidence_manifests);
        let index_bytes = derive::bundle_index(&control, &roots, policy.as_ref(), &evidence)?;
        let index = Descriptor::of(media::OCI_INDEX, &index_bytes);
        blobs.push(index_bytes.into());
        Ok(Self { index, control, policy, roots, evidence, blobs })
    }
}

fn own_manifest(
    artifact_type: &str,
    layers: &[(Descriptor, String)],
    blobs: &mut Vec<Arc<[u8]>>,
) -> Result<Descriptor, PlanError> {
    let bytes = derive::documents_manifest(artifact_type, layers)?;
    let descriptor = Descriptor::of(media::OCI_MANIFEST, &bytes);
    blobs.push(bytes.into());
    Ok(descriptor)
}

fn layers(documents: &[Document], blobs: &mut Vec<Arc<[u8]>>) -> Vec<(Descriptor, String)> {
    documents
        .iter()
        .map(|document| {
            blobs.push(document.bytes.as_slice().into());
            (Descriptor::of(&document.media_type, &document.bytes), document.title.clone())
        })
        .collect()
}

fn root(subject: &Subject) -> (Descriptor, String) {
    (Descriptor::new(&subject.media_type, subject.digest, subject.size), subject.reference.clone())
}

fn sorted_evidence(manifests: &[Descriptor]) -> Vec<Descriptor> {
    let by_digest: BTreeMap<Digest, &Descriptor> = manifests.iter().map(|m| (m.digest, m)).collect();
    by_digest.into_values().cloned().collect()
}

/// Brings the parts into the one order that an inventory has.
fn inventory(assembly: &mut Assembly) -> Inventory {
    let mut inventory = Inventory::new();
    inventory.subjects = std::mem::take(&mut assembly.subjects);
    inventory.evidence = std::mem::take(&mut assembly.evidence);
    inventory.proofs = std::mem::take(&mut assembly.proofs);
    inventory.looked_for = std::mem::take(&mut assembly.receipts);
    inventory.absent = std::mem::take(&mut assembly.absent);
    let omitted: BTreeSet<Digest> =
        inventory.absent.iter().filter(|absence| absence.role == Role::Child).map(|absence| absence.digest).collect();
    for child in inventory.subjects.iter_mut().flat_map(|subject| &mut subject.children) {
        child.state = if omitted.contains(&child.digest) { ChildState::Omitted } else { child.state };
    }
    inventory.sort();
    inventory
}

/// Visits attachments in the order in which they are stored.
fn attach(walk: &mut Walk<'_, Collector>, attachments: &[Attachment]) -> Result<Vec<Descriptor>, PlanError> {
    let sorted: BTreeMap<Digest, &Attachment> = attachments.iter().map(|one| (one.digest(), one)).collect();
    for attachment in sorted.values() {
        walk.visitor.held.extend(attachment.blobs().map(|(digest, bytes)| (digest, bytes.into())));
        walk.once(attachment.entry(), Part::Manifest)?;
        walk.once(&derive::empty_config(), Part::Payload)?;
        walk.once(attachment.layer(), Part::Payload)?;
    }
    Ok(sorted.into_values().map(|attachment| attachment.entry().clone()).collect())
}

fn member(name: &str, bytes: Arc<[u8]>) -> PlannedMember {
    PlannedMember {
        name: name.to_owned(),
        digest: Digest::of(&bytes),
        size: count(bytes.len()),
        offset: 0,
        content: Content::Bytes(bytes),
    }
}

fn place(members: &mut [PlannedMember]) {
    let mut offset = 0;
    for member in members {
        member.offset = offset;
        offset = member.end();
    }
}

/// Turns the walk into members.
struct Collector {
    held: BTreeMap<Digest, Arc<[u8]>>,
    absent: BTreeSet<Digest>,
    members: Vec<PlannedMember>,
}

impl Visitor for Collector {
    type Error = PlanError;

    fn blob(&mut self, descriptor: &Descriptor, part: Part) -> Result<Option<Arc<[u8]>>, PlanError> {
        let digest = descriptor.digest;
        if self.absent.contains(&digest) {
            return Ok(None);
        }
        let name = blob_name(&digest);
        if part == Part::Layer {
            let content = Content::Stream(descriptor.clone());
            self.members.push(PlannedMember { name, digest, size: descriptor.size, offset: 0, content });
            return Ok(None);
        }
        let bytes = self.held.get(&digest).cloned().ok_or(PlanError::Missing { digest })?;
        self.members.push(PlannedMember { digest, ..member(&name, Arc::clone(&bytes)) });
        Ok(Some(bytes))
    }

    fn held(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        self.held.get(digest).filter(|_| !self.absent.contains(digest)).cloned()
    }

    fn conflict(&mut self, descriptor: &Descriptor, first: u64) -> Result<(), PlanError> {
        Err(PlanError::SizeConflict { digest: descriptor.digest, sizes: (first, descriptor.size) })
    }

    fn malformed(&mut self, digest: &Digest, source: ManifestError) -> Result<(), PlanError> {
        Err(PlanError::Manifest { digest: *digest, source })
    }

    fn limit(&mut self, what: &'static str, bound: u64) -> PlanError {
        PlanError::Limit { what, bound }
    }
}
