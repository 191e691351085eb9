//! What an exporter hands over: everything a bundle is made of, before it has
//! an identity.

use std::collections::BTreeMap;

use crate::{
    digest::Digest,
    inventory::{Absence, EvidenceEntry, ProofEntry, Receipt, Subject},
    manifest::Descriptor,
};

/// The parts of a bundle. [`crate::plan::Plan::new`] gives them an order and an id.
#[derive(Clone, Debug, Default)]
pub struct Assembly {
    /// The images asked for, in the order asked. Equal references are one subject.
    pub subjects: Vec<Subject>,
    /// Every piece of evidence with where it was found. An entry is either a
    /// manifest (then it stands in [`Self::evidence_manifests`] or is the BuildKit
    /// child of an index) or a loose file (then it is one of
    /// [`Self::documents`]).
    pub evidence: Vec<EvidenceEntry>,
    /// Evidence manifests that the bundle index lists. BuildKit children are
    /// reached through their index and are not repeated here.
    pub evidence_manifests: Vec<Descriptor>,
    /// Log entries fetched at export; each document is one of [`Self::documents`].
    pub proofs: Vec<ProofEntry>,
    /// Every place looked at, with its answer.
    pub receipts: Vec<Receipt>,
    /// Blobs that the tree names and the container will not hold.
    pub absent: Vec<Absence>,
    /// Control documents in the order they are to stand: images.yaml,
    /// policy.yaml, trust material, lock, record, loose evidence, proofs.
    pub documents: Vec<Document>,
    /// Opaque layers of the policy manifest.
    pub policy_layers: Vec<Document>,
    /// Bytes of every manifest, config and evidence payload, by digest. Image
    /// layers are not here; they are streamed.
    pub blobs: BTreeMap<Digest, Vec<u8>>,
}

/// A named document of the control or policy manifest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Document {
    /// Media type of its layer descriptor.
    pub media_type: String,
    /// File name (`org.opencontainers.image.title`), such as `images.yaml`.
    pub title: String,
    /// The bytes as given.
    pub bytes: Vec<u8>,
}
