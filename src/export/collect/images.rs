//! The images: from a reference down to configs and layers.

use std::collections::BTreeSet;

use carnet_bundle::{
    Descriptor, Digest, Manifest,
    inventory::{Absence, AbsenceReason, EvidenceEntry, EvidenceKind, Method, Role, Subject as Requested},
    manifest::Body,
    media,
};
use carnet_registry::{Answer, RemoteManifest};
use futures_util::{StreamExt, stream};

use super::{Collector, Layer, PARALLEL, place};
use crate::{
    error::ExportError,
    source::{Kind, Origin},
};

impl Collector<'_> {
    /// Resolves the reference of `origin` and collects the image below it.
    pub(super) async fn image(&mut self, origin: &Origin) -> Result<(), ExportError> {
        let reference = origin.reference.to_string();
        self.progress.step(format_args!("resolving {reference}"));
        let resolved = match origin.source.resolve(&origin.reference).await {
            Answer::Found(resolved) => resolved,
            Answer::None { .. } | Answer::NotOffered { .. } => {
                let place = match origin.source.kind() {
                    Kind::Registry => String::new(),
                    _ => format!(" in {}", origin.source.name()),
                };
                return Err(ExportError::NotFound { reference, place });
            }
            Answer::CouldNotLook(obstacle) => return Err(ExportError::Unreachable { reference, obstacle }),
        };
        self.progress.line(format_args!("{reference} is {} (from {})", resolved.digest, origin.source.name()));
        if let Some(remark) = origin.source.remark() {
            self.progress.line(format_args!("warning: {}: {remark}", origin.source.name()));
        }
        self.tell_moved_tag(origin).await;
        let root = described(&resolved);
        let manifest = self.walk(origin, root.clone(), resolved).await?;
        let assembly = &mut self.collection.assembly;
        let included = |child: &Digest| assembly.blobs.contains_key(child);
        let subject = Requested::new(reference, &root, &manifest, included);
        assembly.subjects.push(subject);
        Ok(())
    }

    /// The digest of a reference decides; that its tag is elsewhere by now is told.
    async fn tell_moved_tag(&self, origin: &Origin) {
        let (Some(tag), Some(digest)) = (origin.reference.tag(), origin.reference.digest()) else { return };
        let tagged = origin.source.manifest(&origin.reference.tagged(tag.to_owned())).await;
        if let Answer::Found(now) = tagged
            && now.digest != *digest
        {
            self.progress.line(format_args!("warning: {}: the tag {tag} is {} now", origin.reference, now.digest));
        }
    }

    /// Collects everything below `root` and returns its manifest.
    async fn walk(&mut self, origin: &Origin, root: Descriptor, resolved: RemoteManifest) -> Result<Manifest, ExportError> {
        let top = self.parse(origin, &root, &resolved)?;
        self.hold(root.digest, resolved.bytes.to_vec())?;
        let mut waiting = vec![(root, top.clone(), 0)];
        let mut walked = BTreeSet::new();
        let mut images = 0;
        while let Some((descriptor, manifest, depth)) = waiting.pop() {
            if !walked.insert(descriptor.digest) {
                continue;
            }
            self.bound("manifests in one image", u64::try_from(walked.len()).unwrap_or(u64::MAX), count(self.limits.manifests))?;
            self.subject(descriptor.digest, origin);
            match &manifest.body {
                Body::Image { config, layers } => {
                    images += 1;
                    self.want(config, Role::Config, origin);
                    layers.iter().for_each(|layer| self.layer(layer, origin));
                }
                Body::Index { manifests } => {
                    self.bound("nested indexes", count(depth + 1), count(self.limits.index_depth))?;
                    let (manifests, omitted) = self.wanted.platforms.split(manifests);
                    self.collection.assembly.absent.extend(omitted.into_iter().map(not_requested));
                    for (child, fetched) in self.children(origin, &manifests).await {
                        let Some(below) = self.child(origin, &child, fetched)? else { continue };
                        match child.is_buildkit_attestation() {
                            true => self.buildkit(origin, &child, &below),
                            false => waiting.push((child, below, depth + 1)),
                        }
                    }
                }
            }
        }
        if images == 0 && !self.wanted.platforms.is_empty() {
            let reference = origin.reference.to_string();
            return Err(ExportError::NoSuchPlatform { reference, asked: self.wanted.platforms.to_string() });
        }
        Ok(top)
    }

    async fn children(&self, origin: &Origin, children: &[Descriptor]) -> Vec<(Descriptor, Answer<RemoteManifest>)> {
        let mut fetched = BTreeSet::new();
        let children: Vec<Descriptor> = children.iter().filter(|child| fetched.insert(child.digest)).cloned().collect();
        let fetch = |child: Descriptor| async move {
            let answer = origin.source.manifest(&origin.reference.pinned(child.digest)).await;
            (child, answer)
        };
        stream::iter(children).map(fetch).buffered(PARALLEL).collect().await
    }

    /// Keeps a child. `None` when the source does not hold it.
    fn child(
        &mut self,
        origin: &Origin,
        child: &Descriptor,
        fetched: Answer<RemoteManifest>,
    ) -> Result<Option<Manifest>, ExportError> {
        let reason = match fetched {
            Answer::Found(fetched) => {
                let manifest = self.parse(origin, child, &fetched)?;
                self.hold(child.digest, fetched.bytes.to_vec())?;
                return Ok(Some(manifest));
            }
            Answer::None { .. } | Answer::NotOffered { .. } => AbsenceReason::NotInSource,
            Answer::CouldNotLook(obstacle) => {
                self.gap(format!("manifest {}", child.digest), obstacle);
                AbsenceReason::Unreachable
            }
        };
        let absence = Absence { digest: child.digest, size: child.size, role: Role::Child, reason };
        self.collection.assembly.absent.push(absence);
        Ok(None)
    }

    /// A BuildKit attestation manifest is evidence about a sibling. When it does
    /// not say about which, it is a child that nothing is known of.
    fn buildkit(&mut self, origin: &Origin, child: &Descriptor, manifest: &Manifest) {
        for blob in manifest.config().into_iter().chain(manifest.layers()) {
            self.want(blob, Role::Evidence, origin);
        }
        self.subject(child.digest, origin);
        let named = child.annotations.get(media::DOCKER_REFERENCE_DIGEST).and_then(|text| text.parse().ok());
        if let Some(subject) = named {
            self.note_evidence(EvidenceEntry {
                digest: child.digest,
                subject,
                kind: EvidenceKind::BuildkitAttestation,
                predicate_type: carnet_evidence::classify(manifest).predicate_type,
                found_in: vec![place(&origin.reference, Method::IndexChildren, "")],
            });
        }
    }

    fn layer(&mut self, layer: &Descriptor, origin: &Origin) {
        let foreign = media::is_nondistributable(&layer.media_type) || !layer.urls.is_empty();
        let reason = match (self.wanted.layers, foreign) {
            (false, _) => Some(AbsenceReason::LayersNotRequested),
            (true, true) if !self.wanted.foreign => Some(AbsenceReason::Foreign),
            (true, _) => origin.source.lacks(layer).then_some(AbsenceReason::NotInSource),
        };
        let known = self.layers.entry(layer.digest).or_insert_with(|| Layer {
            size: layer.size,
            origin: None,
            reason: reason.unwrap_or(AbsenceReason::NotInSource),
        });
        if reason.is_none() && known.origin.is_none() {
            known.origin = Some(origin.clone());
        }
    }

    fn parse(&self, origin: &Origin, descriptor: &Descriptor, fetched: &RemoteManifest) -> Result<Manifest, ExportError> {
        Manifest::parse(&fetched.bytes, &descriptor.media_type).map_err(|source| ExportError::Manifest {
            reference: origin.reference.to_string(),
            digest: descriptor.digest,
            source,
        })
    }
}

fn not_requested(child: Descriptor) -> Absence {
    Absence { digest: child.digest, size: child.size, role: Role::Child, reason: AbsenceReason::PlatformNotRequested }
}

/// The descriptor of a manifest that was fetched.
pub(super) fn described(manifest: &RemoteManifest) -> Descriptor {
    Descriptor::new(&manifest.media_type, manifest.digest, count(manifest.bytes.len()))
}

pub(super) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
