//! The walk: from the bundle index to every blob of a bundle, in member order
//! (`bundle-spec/bundle.md` §3).
//!
//! Writer and reader share this one walk, so they cannot disagree on what
//! belongs to a bundle or on the order of its members.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    digest::Digest,
    limits::Limits,
    manifest::{Body, Descriptor, Manifest, ManifestError},
};

/// What a blob is for; decides how much of it may be held in memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    /// The bundle index, a manifest or an index.
    Manifest,
    /// The config of an image.
    Config,
    /// A control document, a policy layer, an evidence payload.
    Payload,
    /// An image layer: streamed, never held.
    Layer,
}

/// Gives the walk its bytes.
pub(crate) trait Visitor {
    /// Why a walk cannot go on.
    type Error;

    /// Visits the blob that `descriptor` names, for the first and only time.
    /// `None` for a layer, and for a blob that is not there.
    fn blob(&mut self, descriptor: &Descriptor, part: Part) -> Result<Option<Arc<[u8]>>, Self::Error>;

    /// The bytes of a blob that was visited before, if they are held.
    fn held(&self, digest: &Digest) -> Option<Arc<[u8]>>;

    /// Takes note of a descriptor whose size differs from the one that the same
    /// blob was visited under.
    fn conflict(&mut self, descriptor: &Descriptor, first: u64) -> Result<(), Self::Error>;

    /// Takes note of a manifest that cannot be read.
    fn malformed(&mut self, digest: &Digest, error: ManifestError) -> Result<(), Self::Error>;

    /// Says that a bound was exceeded.
    fn limit(&mut self, what: &'static str, bound: u64) -> Self::Error;
}

/// What a walk from the bundle index reached, and on which way.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    manifests: BTreeMap<Digest, Manifest>,
    sizes: BTreeMap<Digest, u64>,
    buildkit: BTreeMap<Digest, Digest>,
    images: BTreeSet<Digest>,
    layers: Vec<Descriptor>,
}

impl Tree {
    /// The manifest of that digest, if the tree has it and it could be read.
    pub fn manifest(&self, digest: &Digest) -> Option<&Manifest> {
        self.manifests.get(digest)
    }

    /// Size in bytes of the manifest of that digest.
    pub fn manifest_size(&self, digest: &Digest) -> Option<u64> {
        self.sizes.get(digest).copied()
    }

    /// Every manifest of the tree, by digest.
    pub fn manifests(&self) -> impl Iterator<Item = (&Digest, &Manifest)> {
        self.manifests.iter()
    }

    /// BuildKit attestation manifests, each with the digest of the child that it
    /// names, or of the index when it names none.
    pub fn buildkit(&self) -> &BTreeMap<Digest, Digest> {
        &self.buildkit
    }

    /// Digests of the image roots and of every image or index below them,
    /// BuildKit attestation manifests excepted.
    pub fn images(&self) -> &BTreeSet<Digest> {
        &self.images
    }

    /// Image layers in walk order, each once.
    pub fn layers(&self) -> &[Descriptor] {
        &self.layers
    }

    /// Manifests that name `subject` in their `subject` field, by digest.
    pub fn referrers<'a>(&'a self, subject: &'a Digest) -> impl Iterator<Item = (&'a Digest, &'a Manifest)> {
        self.manifests.iter().filter(move |(_, m)| m.subject.as_ref().is_some_and(|s| s.digest == *subject))
    }

    /// Digests that some manifest of the tree names as its subject.
    pub fn subjects_with_referrers(&self) -> BTreeSet<Digest> {
        self.manifests.values().filter_map(|m| m.subject.as_ref()).map(|s| s.digest).collect()
    }
}

/// One walk over one bundle.
pub(crate) struct Walk<'a, V> {
    pub(crate) visitor: V,
    pub(crate) tree: Tree,
    visited: BTreeMap<Digest, u64>,
    limits: &'a Limits,
}

impl<'a, V: Visitor> Walk<'a, V> {
    pub(crate) fn new(visitor: V, limits: &'a Limits) -> Self {
        Self { visitor, tree: Tree::default(), visited: BTreeMap::new(), limits }
    }

    /// Visits a blob unless it was visited before.
    pub(crate) fn once(&mut self, descriptor: &Descriptor, part: Part) -> Result<Option<Arc<[u8]>>, V::Error> {
        match self.visited.insert(descriptor.digest, descriptor.size) {
            None => self.visitor.blob(descriptor, part),
            Some(first) if first != descriptor.size => self.visitor.conflict(descriptor, first).map(|()| None),
            Some(_) => Ok(None),
        }
    }

    /// Visits the control or policy manifest and every blob it names.
    pub(crate) fn documents(&mut self, descriptor: &Descriptor) -> Result<Option<Manifest>, V::Error> {
        let Some(manifest) = self.manifest(descriptor)? else { return Ok(None) };
        for blob in manifest.config().into_iter().chain(manifest.layers()) {
            self.once(blob, Part::Payload)?;
        }
        Ok(Some(manifest))
    }

    /// Visits an image or index and everything below it; layers wait.
    pub(crate) fn image(&mut self, descriptor: &Descriptor) -> Result<(), V::Error> {
        self.image_at(descriptor, 0)
    }

    fn image_at(&mut self, descriptor: &Descriptor, depth: usize) -> Result<(), V::Error> {
        self.tree.images.insert(descriptor.digest);
        let Some(manifest) = self.manifest(descriptor)? else { return Ok(()) };
        match &manifest.body {
            Body::Image { config, layers } => {
                self.once(config, Part::Config)?;
                self.tree.layers.extend_from_slice(layers);
            }
            Body::Index { manifests } => {
                self.nest(depth)?;
                for child in manifests {
                    self.child(child, &descriptor.digest, depth)?;
                }
            }
        }
        Ok(())
    }

    fn child(&mut self, child: &Descriptor, index: &Digest, depth: usize) -> Result<(), V::Error> {
        if !child.is_buildkit_attestation() {
            return self.image_at(child, depth + 1);
        }
        self.tree.buildkit.insert(child.digest, child.buildkit_subject().unwrap_or(*index));
        self.evidence_at(child, depth + 1)
    }

    /// Visits an evidence manifest and its payloads.
    pub(crate) fn evidence(&mut self, descriptor: &Descriptor) -> Result<(), V::Error> {
        self.evidence_at(descriptor, 0)
    }

    fn evidence_at(&mut self, descriptor: &Descriptor, depth: usize) -> Result<(), V::Error> {
        let Some(manifest) = self.manifest(descriptor)? else { return Ok(()) };
        match &manifest.body {
            Body::Image { config, layers } => {
                for blob in std::iter::once(config.as_ref()).chain(layers) {
                    self.once(blob, Part::Payload)?;
                }
            }
            Body::Index { manifests } => {
                self.nest(depth)?;
                for child in manifests {
                    self.evidence_at(child, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    /// Visits the image layers that nothing visited before.
    pub(crate) fn layers(&mut self) -> Result<(), V::Error> {
        let mut waiting = std::mem::take(&mut self.tree.layers);
        let mut kept = BTreeSet::new();
        waiting.retain(|layer| kept.insert(layer.digest));
        for layer in &waiting {
            self.once(layer, Part::Layer)?;
        }
        self.tree.layers = waiting;
        Ok(())
    }

    fn manifest(&mut self, descriptor: &Descriptor) -> Result<Option<Manifest>, V::Error> {
        if let Some(known) = self.tree.manifests.get(&descriptor.digest).cloned() {
            self.once(descriptor, Part::Manifest)?;
            if known.media_type != descriptor.media_type {
                let (document, descriptor_type) = (known.media_type.clone(), descriptor.media_type.clone());
                let error = ManifestError::MediaType { document, descriptor: descriptor_type };
                self.visitor.malformed(&descriptor.digest, error)?;
            }
            return Ok(Some(known));
        }
        if self.tree.manifests.len() >= self.limits.manifests {
            return Err(self.visitor.limit("manifests", count(self.limits.manifests)));
        }
        // A blob may have been visited as a document before; it is a manifest all
        // the same, or its children and layers would escape every check.
        let visited = self.once(descriptor, Part::Manifest)?;
        let Some(bytes) = visited.or_else(|| self.visitor.held(&descriptor.digest)) else { return Ok(None) };
        match Manifest::parse(&bytes, &descriptor.media_type) {
            Ok(manifest) => {
                self.tree.sizes.insert(descriptor.digest, count(bytes.len()));
                self.tree.manifests.insert(descriptor.digest, manifest.clone());
                Ok(Some(manifest))
            }
            Err(error) => {
                self.visitor.malformed(&descriptor.digest, error)?;
                Ok(None)
            }
        }
    }

    fn nest(&mut self, depth: usize) -> Result<(), V::Error> {
        if depth < self.limits.index_depth {
            return Ok(());
        }
        Err(self.visitor.limit("nested indexes", count(self.limits.index_depth)))
    }
}

/// A length as the 64-bit number that formats use.
pub(crate) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
