//! What belongs to an image: its manifests, its evidence, and every blob that they
//! name, in the order in which a registry wants them.

use std::collections::{BTreeMap, BTreeSet};

use carnet_bundle::{
    Bundle, Descriptor, Digest, Reference,
    inventory::{EvidenceEntry, Method},
    manifest::Body,
    media,
};

/// Everything that belongs to one image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Belongings {
    /// The image itself and everything below it, children before what lists them.
    pub(crate) manifests: Vec<Digest>,
    /// Evidence manifests, each behind what it is about.
    pub(crate) evidence: Vec<Digest>,
    /// Blobs of all of these that the archive holds, each once.
    pub(crate) blobs: Vec<Descriptor>,
    /// What they name and the archive does not hold.
    pub(crate) absent: Vec<Absent>,
    /// Tags by which cosign's legacy tools find evidence.
    pub(crate) tags: BTreeMap<String, Digest>,
    /// Evidence that no registry can hold as it is.
    pub(crate) left_behind: Vec<(Digest, &'static str)>,
    /// Images below it that a runtime may choose and that the archive holds.
    pub(crate) platforms: BTreeSet<Digest>,
    named: BTreeSet<Digest>,
    listed: BTreeSet<Digest>,
}

/// A blob or child that the archive does not hold.
#[derive(Clone, Debug)]
pub(crate) struct Absent {
    pub(crate) descriptor: Descriptor,
    /// The manifest that names it.
    pub(crate) owner: Digest,
    pub(crate) is_manifest: bool,
}

impl Belongings {
    /// Collects what belongs to the image `root`.
    pub(crate) fn of(bundle: &Bundle, root: &Digest) -> Self {
        let mut all = Self::default();
        if bundle.manifest(root).is_some() {
            all.walk(bundle, root, false);
        }
        // Evidence may be about evidence; a pass that finds nothing ends it.
        loop {
            let about = |entry: &&EvidenceEntry| all.listed.contains(&entry.subject);
            let new: Vec<EvidenceEntry> =
                bundle.inventory().evidence.iter().filter(about).filter(|entry| !all.is_done(entry)).cloned().collect();
            if new.is_empty() {
                return all;
            }
            new.iter().for_each(|entry| all.evidence(bundle, entry));
        }
    }

    /// Whether that blob or manifest is one of these.
    pub(crate) fn holds(&self, digest: &Digest) -> bool {
        self.named.contains(digest) || self.listed.contains(digest)
    }

    /// Takes in what belongs to another image for the same place.
    pub(crate) fn merge(&mut self, other: Self) {
        let new = |digest: &Digest| !self.listed.contains(digest);
        let manifests: Vec<_> = other.manifests.into_iter().filter(new).collect();
        let evidence: Vec<_> = other.evidence.into_iter().filter(new).collect();
        self.manifests.extend(manifests);
        self.evidence.extend(evidence);
        self.blobs.extend(other.blobs.into_iter().filter(|blob| !self.named.contains(&blob.digest)));
        self.absent.extend(other.absent);
        self.left_behind.extend(other.left_behind);
        self.left_behind.sort_unstable();
        self.left_behind.dedup();
        self.platforms.extend(other.platforms);
        self.listed.extend(other.listed);
        self.tags.extend(other.tags);
        self.named.extend(other.named);
    }

    fn is_done(&self, entry: &EvidenceEntry) -> bool {
        let tagged = legacy_tags(entry).all(|tag| self.tags.contains_key(&tag));
        let left = self.left_behind.iter().any(|(digest, _)| *digest == entry.digest);
        (self.listed.contains(&entry.digest) && tagged) || left
    }

    fn evidence(&mut self, bundle: &Bundle, entry: &EvidenceEntry) {
        if bundle.manifest(&entry.digest).is_none() {
            self.left_behind.push((entry.digest, "a loose file: no manifest holds it, and nothing is converted"));
            return;
        }
        self.walk(bundle, &entry.digest, true);
        for tag in legacy_tags(entry) {
            if *self.tags.entry(tag).or_insert(entry.digest) != entry.digest {
                self.left_behind.push((entry.digest, "its tag stands for other evidence of the same image already"));
            }
        }
    }

    fn walk(&mut self, bundle: &Bundle, digest: &Digest, is_evidence: bool) {
        if !self.listed.insert(*digest) {
            return;
        }
        let Some(manifest) = bundle.manifest(digest) else { return };
        match &manifest.body {
            Body::Image { config, layers } => {
                std::iter::once(config.as_ref()).chain(layers).for_each(|blob| self.blob(bundle, blob, digest));
            }
            Body::Index { manifests } => {
                for child in manifests {
                    if bundle.manifest(&child.digest).is_some() {
                        if !is_evidence && runs(child) {
                            self.platforms.insert(child.digest);
                        }
                        self.walk(bundle, &child.digest, is_evidence);
                    } else {
                        self.absent.push(Absent { descriptor: child.clone(), owner: *digest, is_manifest: true });
                    }
                }
            }
        }
        if is_evidence { self.evidence.push(*digest) } else { self.manifests.push(*digest) }
    }

    fn blob(&mut self, bundle: &Bundle, blob: &Descriptor, owner: &Digest) {
        if !self.named.insert(blob.digest) {
            return;
        }
        if bundle.has(&blob.digest) {
            self.blobs.push(blob.clone());
        } else if !media::is_nondistributable(&blob.media_type) {
            self.absent.push(Absent { descriptor: blob.clone(), owner: *owner, is_manifest: false });
        }
    }
}

/// Whether a runtime may choose this child. BuildKit gives its attestations the platform
/// `unknown/unknown`; one that claims another is an image, whatever it is called.
fn runs(child: &Descriptor) -> bool {
    let unknown = |architecture: &str| matches!(architecture, "" | "unknown");
    !child.is_buildkit_attestation() || child.platform.as_ref().is_some_and(|platform| !unknown(&platform.architecture))
}

/// The tags under which a piece of evidence was found, or would have been.
fn legacy_tags(entry: &EvidenceEntry) -> impl Iterator<Item = String> {
    entry.found_in.iter().filter_map(|place| {
        let suffix = match place.method {
            Method::CosignAtt => "att",
            Method::CosignSbom => "sbom",
            Method::CosignSig => "sig",
            _ => return None,
        };
        let tag = format!("sha256-{}.{suffix}", entry.subject.to_hex());
        // With a prefix, where it was exported with one.
        let prefixed = place.tag.ends_with(&tag) && format!("a/b:{}", place.tag).parse::<Reference>().is_ok();
        Some(if prefixed { place.tag.clone() } else { tag })
    })
}
