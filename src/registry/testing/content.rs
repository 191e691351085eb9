//! What a testing registry holds.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use carnet_bundle::{Descriptor, Digest, Limits, Manifest, json, media};
use serde_json::{Value, json};

/// Repositories with their tags, manifests and blobs.
#[derive(Clone, Debug, Default)]
pub struct Content {
    repositories: BTreeMap<String, Repository>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Repository {
    pub(super) tags: BTreeMap<String, Digest>,
    pub(super) manifests: BTreeMap<Digest, StoredManifest>,
    pub(super) blobs: BTreeMap<Digest, StoredBlob>,
}

#[derive(Clone, Debug)]
pub(super) struct StoredManifest {
    pub(super) media_type: String,
    pub(super) bytes: Bytes,
}

#[derive(Clone, Debug)]
pub(super) enum StoredBlob {
    Bytes(Bytes),
    File { path: PathBuf, size: u64 },
}

impl Content {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves the OCI layout in `directory` as `repository`: its `ref.name`s as
    /// tags, every blob that is a manifest as manifest, blobs from their files.
    ///
    /// # Errors
    ///
    /// Returns the system's error, or [`io::ErrorKind::InvalidData`] when the
    /// directory is not a layout.
    pub fn add_layout(&mut self, repository: &str, directory: &Path) -> io::Result<()> {
        let index = read_json(&directory.join("index.json"))?;
        let held = self.repositories.entry(repository.to_owned()).or_default();
        for entry in index.get("manifests").and_then(Value::as_array).into_iter().flatten() {
            let digest = entry.get("digest").and_then(Value::as_str).and_then(|text| text.parse().ok());
            let name = entry.get("annotations").and_then(|map| map.get(media::REF_NAME)).and_then(Value::as_str);
            if let (Some(digest), Some(name)) = (digest, name) {
                held.tags.insert(name.to_owned(), digest);
            }
        }
        for file in fs::read_dir(directory.join("blobs/sha256"))? {
            let file = file?;
            let Some(digest) = file.file_name().to_str().and_then(|hex| Digest::from_hex(hex).ok()) else { continue };
            let size = file.metadata()?.len();
            if size <= Limits::default().manifest_size {
                let bytes = fs::read(file.path())?;
                if let Some(media_type) = manifest_type(&bytes) {
                    held.manifests.insert(digest, StoredManifest { media_type, bytes: bytes.into() });
                }
            }
            held.blobs.insert(digest, StoredBlob::File { path: file.path(), size });
        }
        Ok(())
    }

    /// Adds a manifest, with a tag if one is given.
    pub fn add_manifest(&mut self, repository: &str, tag: Option<&str>, media_type: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let stored = StoredManifest { media_type: media_type.to_owned(), bytes: Bytes::copy_from_slice(bytes) };
        let held = self.repositories.entry(repository.to_owned()).or_default();
        held.manifests.insert(digest, stored);
        if let Some(tag) = tag {
            held.tags.insert(tag.to_owned(), digest);
        }
        digest
    }

    /// Adds a blob.
    pub fn add_blob(&mut self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let held = self.repositories.entry(repository.to_owned()).or_default();
        held.blobs.insert(digest, StoredBlob::Bytes(Bytes::copy_from_slice(bytes)));
        digest
    }

    /// Whether `repository` holds the blob.
    pub fn has_blob(&self, repository: &str, digest: &Digest) -> bool {
        self.repositories.get(repository).is_some_and(|held| held.blobs.contains_key(digest))
    }

    /// The manifest that `reference`, a tag or a digest, stands for in `repository`.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<(Digest, Bytes)> {
        let held = self.repositories.get(repository)?;
        let digest = held.resolve(reference)?;
        held.manifests.get(&digest).map(|stored| (digest, stored.bytes.clone()))
    }

    /// Every tag of `repository`.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        self.repositories.get(repository).map(|held| held.tags.keys().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn mount(&mut self, from: &str, to: &str, digest: &Digest) -> bool {
        let Some(blob) = self.repositories.get(from).and_then(|held| held.blobs.get(digest)).cloned() else { return false };
        self.repositories.entry(to.to_owned()).or_default().blobs.insert(*digest, blob);
        true
    }

    /// Whether everything that `manifest` names is in `repository`.
    pub(super) fn holds(&self, repository: &str, manifest: &Manifest) -> bool {
        let Some(held) = self.repositories.get(repository) else { return false };
        let mut blobs = manifest.config().into_iter().chain(manifest.layers());
        blobs.all(|blob| held.blobs.contains_key(&blob.digest))
            && manifest.children().iter().all(|child| held.manifests.contains_key(&child.digest))
    }

    /// Points `tag` at a manifest.
    pub fn tag(&mut self, repository: &str, tag: &str, digest: Digest) {
        self.repositories.entry(repository.to_owned()).or_default().tags.insert(tag.to_owned(), digest);
    }

    /// Forgets a blob.
    pub fn remove_blob(&mut self, repository: &str, digest: &Digest) {
        self.repositories.entry(repository.to_owned()).or_default().blobs.remove(digest);
    }

    /// Forgets a manifest; tags that point at it stay.
    pub fn remove_manifest(&mut self, repository: &str, digest: &Digest) {
        self.repositories.entry(repository.to_owned()).or_default().manifests.remove(digest);
    }

    /// Writes the fallback tag (`sha256-<hex>`) of every subject that has
    /// referrers in `repository`, as clients of a registry without the API do.
    pub fn write_fallback_tags(&mut self, repository: &str) {
        let held = self.repositories.entry(repository.to_owned()).or_default();
        let mut subjects: BTreeMap<Digest, Vec<Value>> = BTreeMap::new();
        for (digest, stored) in &held.manifests {
            if let Some(subject) = stored.parse().and_then(|manifest| manifest.subject) {
                subjects.entry(subject.digest).or_default().push(stored.entry(digest));
            }
        }
        for (subject, manifests) in subjects {
            let index = json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": manifests });
            let bytes = index.to_string();
            self.add_manifest(repository, Some(&format!("sha256-{}", subject.to_hex())), media::OCI_INDEX, bytes.as_bytes());
        }
    }

    pub(super) fn repository(&self, name: &str) -> Option<&Repository> {
        self.repositories.get(name)
    }
}

impl Repository {
    pub(super) fn resolve(&self, reference: &str) -> Option<Digest> {
        reference.parse().ok().or_else(|| self.tags.get(reference).copied())
    }

    /// Entries of the referrers list of `subject`.
    pub(super) fn referrers(&self, subject: &Digest) -> Vec<Value> {
        let names_it = |manifest: Manifest| manifest.subject.is_some_and(|named| named.digest == *subject);
        let found = self.manifests.iter().filter(|(_, stored)| stored.parse().is_some_and(names_it));
        found.map(|(digest, stored)| stored.entry(digest)).collect()
    }
}

impl StoredManifest {
    fn parse(&self) -> Option<Manifest> {
        Manifest::parse(&self.bytes, &self.media_type).ok()
    }

    fn entry(&self, digest: &Digest) -> Value {
        let manifest = self.parse();
        json!({
            "mediaType": self.media_type,
            "digest": digest,
            "size": self.bytes.len(),
            "artifactType": manifest.as_ref().and_then(Manifest::effective_artifact_type),
            "annotations": manifest.as_ref().map(|manifest| &manifest.annotations),
        })
    }
}

impl StoredBlob {
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::File { size, .. } => *size,
        }
    }
}

/// Media type of bytes that are a manifest.
pub(super) fn manifest_type(bytes: &[u8]) -> Option<String> {
    let document = json::parse(bytes).ok()?;
    document.get("schemaVersion")?;
    let guess = if document.get("manifests").is_some() { media::OCI_INDEX } else { media::OCI_MANIFEST };
    let media_type = document.get("mediaType").and_then(Value::as_str).unwrap_or(guess);
    let parsed = Manifest::parse(bytes, media_type).ok()?;
    // Configs of images have neither children nor layers.
    let described: Vec<&Descriptor> = parsed.children().iter().chain(parsed.config()).collect();
    (parsed.is_index() || !described.is_empty()).then(|| media_type.to_owned())
}

fn read_json(path: &Path) -> io::Result<Value> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()));
    json::parse(&fs::read(path)?).map_err(invalid)
}
