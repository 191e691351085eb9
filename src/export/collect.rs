//! The collection: images with everything below them, and all evidence about
//! each of them.
//!
//! A tag is resolved once; from then on everything is asked for by digest, so a
//! tag that moves cannot pair one image with the evidence of another. Evidence is
//! looked for in every store of every manifest, never in one because another
//! looked empty (`bundle-spec/evidence.md`, "Collection").

mod evidence;
mod images;
mod look;
mod payloads;

use std::collections::{BTreeMap, BTreeSet};

use carnet_bundle::{
    Assembly, Descriptor, Digest, Limits, Reference,
    inventory::{Absence, AbsenceReason, EvidenceEntry, Method, Place, Role},
};
use carnet_registry::Obstacle;

use self::{evidence::Subject, payloads::Payload};
use crate::{error::ExportError, platforms::Platforms, progress::Progress, source::Origin};

/// Requests that are prepared at the same time; the client bounds what one host
/// sees.
const PARALLEL: usize = 8;

/// What was collected, before layers.
#[derive(Default)]
pub(crate) struct Collection {
    /// The parts of the bundle without documents.
    pub(crate) assembly: Assembly,
    /// Who is asked for the layers.
    pub(crate) layers: BTreeMap<Digest, Origin>,
    /// What stood in the way; empty for a complete collection.
    pub(crate) gaps: Vec<Gap>,
}

/// A question that got no answer.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    /// What was asked for, such as `cosign-sig of sha256:…`.
    pub(crate) question: String,
    pub(crate) obstacle: Obstacle,
}

/// What of the images is wanted, and where else evidence may be.
#[derive(Clone, Default)]
pub(crate) struct Wanted {
    /// Whether layers are.
    pub(crate) layers: bool,
    /// Whether layers are that registries need not serve.
    pub(crate) foreign: bool,
    /// Platforms of an index; all of them when empty.
    pub(crate) platforms: Platforms,
    /// Repositories that are looked at besides the image's own.
    pub(crate) evidence: Vec<Origin>,
    /// What may stand before cosign's legacy tags, besides nothing.
    pub(crate) tag_prefixes: Vec<String>,
}

/// Collects from all origins.
pub(crate) struct Collector<'a> {
    limits: Limits,
    wanted: Wanted,
    progress: &'a Progress,
    collection: Collection,
    evidence: BTreeMap<(Digest, Digest), EvidenceEntry>,
    evidence_manifests: BTreeMap<Digest, Descriptor>,
    payloads: BTreeMap<Digest, Payload>,
    layers: BTreeMap<Digest, Layer>,
    subjects: Vec<Subject>,
    seen: BTreeSet<(Digest, String)>,
    held: u64,
}

/// An image layer and who may have it.
struct Layer {
    size: u64,
    origin: Option<Origin>,
    reason: AbsenceReason,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(wanted: Wanted, progress: &'a Progress) -> Self {
        Self {
            limits: Limits::default(),
            wanted,
            progress,
            collection: Collection::default(),
            evidence: BTreeMap::new(),
            evidence_manifests: BTreeMap::new(),
            payloads: BTreeMap::new(),
            layers: BTreeMap::new(),
            subjects: Vec::new(),
            seen: BTreeSet::new(),
            held: 0,
        }
    }

    /// Collects the images that `origins` ask for, with their evidence.
    pub(crate) async fn collect(mut self, origins: &[Origin]) -> Result<Collection, ExportError> {
        let mut asked = BTreeSet::new();
        for origin in origins.iter().filter(|origin| asked.insert(origin.reference.clone())) {
            self.image(origin).await?;
        }
        self.all_evidence().await?;
        self.all_payloads().await?;
        Ok(self.finish())
    }

    fn finish(mut self) -> Collection {
        let assembly = &mut self.collection.assembly;
        assembly.evidence = self.evidence.into_values().collect();
        assembly.evidence_manifests = self.evidence_manifests.into_values().collect();
        for (digest, layer) in self.layers {
            match layer.origin {
                // A blob that is config or evidence as well is there already.
                _ if assembly.blobs.contains_key(&digest) => {}
                Some(origin) => {
                    self.collection.layers.insert(digest, origin);
                }
                None => {
                    assembly.absent.push(Absence { digest, size: layer.size, role: Role::Layer, reason: layer.reason });
                }
            }
        }
        assembly.absent.retain(|absence| !assembly.blobs.contains_key(&absence.digest));
        self.collection
    }

    /// Keeps a manifest or payload.
    fn hold(&mut self, digest: Digest, bytes: Vec<u8>) -> Result<(), ExportError> {
        if self.collection.assembly.blobs.contains_key(&digest) {
            return Ok(());
        }
        self.held = self.held.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.bound("bytes of manifests and evidence", self.held, self.limits.memory)?;
        self.collection.assembly.blobs.insert(digest, bytes);
        let manifests = u64::try_from(self.collection.assembly.blobs.len()).unwrap_or(u64::MAX);
        self.bound("manifests, configs and pieces of evidence", manifests, self.limits.members)
    }

    fn bound(&self, what: &'static str, count: u64, bound: u64) -> Result<(), ExportError> {
        match count > bound {
            true => Err(ExportError::Limit { subject: "the bundle".to_owned(), what, bound }),
            false => Ok(()),
        }
    }

    /// Notes a piece of evidence, or one more place of a known one.
    fn note_evidence(&mut self, entry: EvidenceEntry) {
        let known = self.evidence.entry((entry.digest, entry.subject));
        let places = entry.found_in.clone();
        known.or_insert(EvidenceEntry { found_in: Vec::new(), ..entry }).found_in.extend(places);
    }

    fn gap(&mut self, question: String, obstacle: Obstacle) {
        self.collection.gaps.push(Gap { question, obstacle });
    }
}

fn place(reference: &Reference, method: Method, tag: impl Into<String>) -> Place {
    Place { repository: reference.name(), method, tag: tag.into() }
}
