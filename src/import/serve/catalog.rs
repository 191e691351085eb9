//! Everything that can be asked for: a closed map, made before the first request.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use carnet_bundle::{Bundle, Digest, Reference, derive, json, media};
use serde_json::{Value, json};

use super::error::ServeError;
use crate::{
    error::ImportError,
    members::Members,
    shipment::{Image, Shipment},
};

/// The repositories of all archives, with what passed.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    repositories: BTreeMap<String, Repository>,
    /// Why digests, and tags as `repository:tag`, are not served.
    withheld: BTreeMap<String, String>,
    notes: Vec<String>,
}

/// What is served under one name.
#[derive(Debug, Default)]
pub(crate) struct Repository {
    pub(crate) tags: BTreeMap<String, Digest>,
    /// Where each tag comes from.
    sources: BTreeMap<String, String>,
    pub(crate) manifests: BTreeMap<Digest, Document>,
    pub(crate) blobs: BTreeMap<Digest, Blob>,
    /// Descriptors of referrers, by subject and digest.
    pub(crate) referrers: BTreeMap<Digest, BTreeMap<Digest, Value>>,
}

/// A manifest or index, in memory since it was hashed.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
}

/// A blob in its archive.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) size: u64,
    pub(crate) members: Arc<Members>,
}

impl Catalog {
    /// Takes what passed. An image that did not pass in one archive is not served from
    /// another either: the evidence that speaks against it is there.
    pub(crate) fn of(shipments: Vec<(&Path, Shipment)>) -> Result<Self, ServeError> {
        let mut catalog = Self::default();
        let mut refused: BTreeMap<Digest, String> = BTreeMap::new();
        for image in shipments.iter().flat_map(|(_, shipment)| &shipment.images) {
            if let Some(reason) = &image.refusal {
                let reason = format!("{} did not pass: {reason}", image.subject.reference);
                catalog.withhold(image, &reason);
                refused.entry(image.subject.digest).or_insert(reason);
            }
        }
        for (archive, shipment) in shipments {
            let members = Arc::new(shipment.members);
            for image in shipment.images.iter().filter(|image| image.refusal.is_none()) {
                match refused.get(&image.subject.digest) {
                    Some(reason) => catalog.withhold(image, reason),
                    None => catalog.add(archive, &shipment.bundle, &members, image)?,
                }
            }
        }
        for (name, repository) in &mut catalog.repositories {
            catalog.notes.extend(repository.fallback_tags(name)?);
        }
        Ok(catalog)
    }

    /// Whether there is nothing to serve.
    pub(crate) fn is_empty(&self) -> bool {
        self.repositories.is_empty()
    }

    /// What the operator should know.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    pub(crate) fn repository(&self, name: &str) -> Option<&Repository> {
        self.repositories.get(name)
    }

    /// Names of repositories, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.repositories.keys().map(String::as_str)
    }

    /// Images that are served, each as a line for people.
    pub(crate) fn images(&self) -> impl Iterator<Item = String> {
        self.repositories.iter().flat_map(|(name, repository)| {
            let tags = repository.tags.iter().filter(|(tag, _)| !tag.starts_with("sha256-"));
            tags.map(move |(tag, digest)| format!("{name}:{tag} {digest}"))
        })
    }

    /// Why something is not served, as far as it is in an archive at all.
    pub(crate) fn reason(&self, name: &str, reference: &str) -> Option<&str> {
        let tag = format!("{name}:{reference}");
        self.withheld.get(reference).or_else(|| self.withheld.get(&tag)).map(String::as_str)
    }

    fn withhold(&mut self, image: &Image, reason: &str) {
        self.notes.push(format!("not served: {reason}"));
        let own = &image.belongings;
        let blobs = own.blobs.iter().map(|blob| blob.digest);
        let digests = own.manifests.iter().chain(&own.evidence).copied().chain(blobs);
        let mut keys: Vec<String> = digests.map(|digest| digest.to_string()).collect();
        if let Ok(reference) = image.subject.reference.parse::<Reference>() {
            let name = reference.repository();
            keys.extend(
                reference.tag().into_iter().chain(own.tags.keys().map(String::as_str)).map(|tag| format!("{name}:{tag}")),
            );
        }
        for key in keys {
            self.withheld.entry(key).or_insert_with(|| reason.to_owned());
        }
    }

    fn add(&mut self, archive: &Path, bundle: &Bundle, members: &Arc<Members>, image: &Image) -> Result<(), ServeError> {
        let text = &image.subject.reference;
        let reference: Reference = text.parse().map_err(|_| ServeError::Reference(text.clone()))?;
        let source = format!("{text} in {}", archive.display());
        if image.is_named() {
            let repository = self.content(reference.repository(), bundle, members, image)?;
            return repository.tags(&reference, reference.tag(), image, &source);
        }
        // Exported from a mirror: it is served as what the operator knows it as.
        for name in &image.repositories {
            let reference: Reference = name.parse().map_err(|_| ServeError::Reference(name.clone()))?;
            self.content(reference.repository(), bundle, members, image)?.tags(&reference, None, image, &source)?;
        }
        Ok(())
    }

    fn content(
        &mut self,
        name: &str,
        bundle: &Bundle,
        members: &Arc<Members>,
        image: &Image,
    ) -> Result<&mut Repository, ServeError> {
        let repository = self.repositories.entry(name.to_owned()).or_default();
        repository.content(bundle, members, image)?;
        Ok(repository)
    }
}

impl Repository {
    /// Manifest that a tag or digest stands for.
    pub(crate) fn manifest(&self, reference: &str) -> Option<(Digest, &Document)> {
        let digest = self.tags.get(reference).copied().or_else(|| reference.parse().ok())?;
        self.manifests.get(&digest).map(|document| (digest, document))
    }

    fn content(&mut self, bundle: &Bundle, members: &Arc<Members>, image: &Image) -> Result<(), ServeError> {
        let own = &image.belongings;
        for digest in own.manifests.iter().chain(&own.evidence) {
            let missing = || ImportError::Changed(format!("{digest} is not there any more"));
            let (manifest, bytes) = bundle.manifest(digest).zip(bundle.blob(digest)).ok_or_else(missing)?;
            let document = || Document { media_type: manifest.media_type.clone(), bytes: Bytes::copy_from_slice(bytes) };
            self.manifests.entry(*digest).or_insert_with(document);
        }
        for blob in &own.blobs {
            self.blobs.entry(blob.digest).or_insert_with(|| Blob { size: blob.size, members: Arc::clone(members) });
        }
        for list in derive::fallback_indexes(bundle.tree()).map_err(ImportError::from)? {
            let index = json::parse(&list.bytes).map_err(ImportError::from)?;
            for entry in index.get("manifests").and_then(Value::as_array).into_iter().flatten() {
                let digest = entry.get("digest").and_then(Value::as_str).and_then(|text| text.parse::<Digest>().ok());
                if let Some(digest) = digest.filter(|digest| self.manifests.contains_key(digest)) {
                    self.referrers.entry(list.subject).or_default().insert(digest, entry.clone());
                }
            }
        }
        Ok(())
    }

    /// Sets the tag of an image and those of its legacy evidence. A tag names one thing:
    /// whoever comes through the configuration of a mirror asks for a path alone, and
    /// must not be given what another registry, or another archive, has under it.
    fn tags(&mut self, name: &Reference, tag: Option<&str>, image: &Image, source: &str) -> Result<(), ServeError> {
        let own = tag.map(|tag| (tag, &image.subject.digest));
        let legacy = image.belongings.tags.iter().map(|(tag, digest)| (tag.as_str(), digest));
        for (tag, digest) in own.into_iter().chain(legacy) {
            let one = *self.tags.entry(tag.to_owned()).or_insert(*digest);
            let first = self.sources.entry(tag.to_owned()).or_insert_with(|| source.to_owned());
            if one != *digest {
                return Err(ServeError::TagTwice {
                    tag: format!("{}:{tag}", name.repository()),
                    one: format!("{one} ({first})"),
                    other: format!("{digest} ({source})"),
                });
            }
        }
        Ok(())
    }

    /// Adds the tags by which clients without the referrers API find referrers.
    fn fallback_tags(&mut self, name: &str) -> Result<Vec<String>, ServeError> {
        let mut notes = Vec::new();
        for (subject, referrers) in &self.referrers {
            let entries: Vec<&Value> = referrers.values().collect();
            let bytes = index(&entries)?;
            let digest = Digest::of(&bytes);
            match self.tags.entry(format!("sha256-{}", subject.to_hex())) {
                Entry::Vacant(free) => {
                    free.insert(digest);
                    self.manifests.insert(digest, Document { media_type: media::OCI_INDEX.to_owned(), bytes: bytes.into() });
                }
                Entry::Occupied(taken) => notes.push(format!("{name}:{} is an image's own tag: no fallback tag", taken.key())),
            }
        }
        Ok(notes)
    }
}

/// An index of referrers, RFC 8785: the bytes that the archive has for it, too.
pub(crate) fn index(entries: &[&Value]) -> Result<Vec<u8>, ServeError> {
    Ok(json::canonical(&json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": entries }))?)
}
