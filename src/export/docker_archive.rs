//! What `docker save` writes, as a source: images without manifests.
//!
//! Such an archive holds a config and unpacked layers, and nothing of what a
//! registry knows the image by. The manifest is made here, always the same for the
//! same content; its digest is not the one of any registry, so no evidence can be
//! about it. The operator is told.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use carnet_bundle::{Descriptor, Digest, Digester, Limits, Reference, inventory::Method, json, media};
use carnet_registry::{Answer, BlobStream, Obstacle, ObstacleKind, Referrers, RemoteManifest};
use futures_util::{FutureExt, future::BoxFuture};
use serde::Deserialize;
use serde_json::json;

use crate::{
    error::ExportError,
    layout::Store,
    source::{Kind, Local, Source},
};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// An opened docker archive.
pub(crate) struct DockerArchive {
    name: String,
    store: Store,
    images: Vec<Image>,
    /// Member of each blob.
    blobs: BTreeMap<Digest, String>,
}

struct Image {
    names: Vec<Reference>,
    digest: Digest,
    manifest: Bytes,
}

/// An entry of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl DockerArchive {
    /// Opens the archive at `path` and hashes its layers.
    pub(crate) fn open(path: &Path) -> Result<Self, ExportError> {
        let error = |reason: String| ExportError::Layout { path: path.to_owned(), reason };
        let store = Store::open(path).map_err(error)?;
        let list = store.read_member("manifest.json", Limits::default().manifest_size).map_err(error)?;
        let list = list.ok_or_else(|| error("it has no manifest.json: not what `docker save` writes".to_owned()))?;
        let list = json::parse(&list).map_err(|e| error(format!("manifest.json: {e}")))?;
        let entries: Vec<Entry> = serde_json::from_value(list).map_err(|e| error(format!("manifest.json: {e}")))?;
        let mut archive =
            Self { name: format!("docker-archive:{}", path.display()), store, images: Vec::new(), blobs: BTreeMap::new() };
        for entry in entries {
            let image = archive.read(entry).map_err(error)?;
            archive.images.push(image);
        }
        Ok(archive)
    }

    fn read(&mut self, entry: Entry) -> Result<Image, String> {
        let (config, _) = self.describe(entry.config, media::OCI_CONFIG)?;
        let layers: Vec<_> = entry
            .layers
            .into_iter()
            .map(|layer| self.describe(layer, LAYER).map(|(layer, _)| layer))
            .collect::<Result<_, _>>()?;
        let manifest = json!({ "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": layers });
        let manifest = json::canonical(&manifest).map_err(|error| error.to_string())?;
        let names = entry.repo_tags.unwrap_or_default();
        Ok(Image {
            names: names.iter().filter_map(|name| name.parse().ok()).collect(),
            digest: Digest::of(&manifest),
            manifest: manifest.into(),
        })
    }

    /// The descriptor of a member, by its bytes.
    fn describe(&mut self, member: String, media_type: &str) -> Result<(serde_json::Value, Digest), String> {
        let unreadable = |error: std::io::Error| format!("{member}: {error}");
        let extent = self.store.open_member(&member).map_err(unreadable)?;
        let extent = extent.ok_or_else(|| format!("the member {member} is missing, or is a link"))?;
        let mut digester = Digester::new();
        let mut size = 0;
        let mut packed = false;
        let mut rest = extent;
        while let Some((chunk, behind)) = rest.split_front().map_err(unreadable)? {
            packed |= size == 0 && chunk.starts_with(&GZIP_MAGIC);
            size += u64::try_from(chunk.len()).unwrap_or_default();
            digester.update(&chunk);
            rest = behind;
        }
        let digest = digester.finish();
        let media_type = if packed { format!("{media_type}+gzip") } else { media_type.to_owned() };
        self.blobs.insert(digest, member);
        Ok((json!({ "mediaType": media_type, "digest": digest, "size": size }), digest))
    }

    /// The image of that digest, or of that name, or the only one.
    fn find(&self, reference: &Reference) -> Option<&Image> {
        if let Some(digest) = reference.digest() {
            return self.images.iter().find(|image| image.digest == *digest);
        }
        let named = self.images.iter().find(|image| image.names.contains(reference));
        match self.images.as_slice() {
            [only] => Some(named.unwrap_or(only)),
            _ => named,
        }
    }

    fn answer(&self, reference: &Reference) -> Answer<RemoteManifest> {
        match self.find(reference) {
            Some(image) => Answer::Found(RemoteManifest {
                bytes: image.manifest.clone(),
                media_type: media::OCI_MANIFEST.to_owned(),
                digest: image.digest,
                status: None,
            }),
            None => Answer::None { status: None },
        }
    }
}

impl Local for DockerArchive {
    fn answers(&self, reference: &Reference) -> bool {
        self.find(reference).is_some()
    }

    fn is_nameless(&self) -> bool {
        self.images.len() == 1
    }
}

impl Source for DockerArchive {
    fn kind(&self) -> Kind {
        Kind::DockerArchive
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn remark(&self) -> Option<&'static str> {
        Some("a docker archive holds no manifest: the digest is made here, and no evidence can be about it")
    }

    fn resolve<'a>(&'a self, reference: &'a Reference) -> BoxFuture<'a, Answer<RemoteManifest>> {
        async move { self.answer(reference) }.boxed()
    }

    fn manifest<'a>(&'a self, reference: &'a Reference) -> BoxFuture<'a, Answer<RemoteManifest>> {
        // There are no tags but those of images.
        async move { reference.digest().map_or(Answer::NotOffered { status: None }, |_| self.answer(reference)) }.boxed()
    }

    fn legacy<'a>(
        &'a self,
        _reference: &'a Reference,
        _subject: &'a Digest,
        _method: Method,
        _prefix: &'a str,
    ) -> BoxFuture<'a, Answer<Vec<RemoteManifest>>> {
        async move { Answer::NotOffered { status: None } }.boxed()
    }

    fn referrers<'a>(&'a self, _reference: &'a Reference, _subject: &'a Digest) -> BoxFuture<'a, Answer<Referrers>> {
        async move { Answer::NotOffered { status: None } }.boxed()
    }

    fn blob<'a>(&'a self, _reference: &'a Reference, descriptor: &'a Descriptor) -> BoxFuture<'a, Answer<BlobStream>> {
        async move {
            let Some(member) = self.blobs.get(&descriptor.digest) else { return Answer::None { status: None } };
            match self.store.open_member(member) {
                Ok(Some(extent)) => Answer::Found(BlobStream::new(descriptor, extent.stream(self.name()))),
                Ok(None) => Answer::None { status: None },
                Err(error) => {
                    Answer::CouldNotLook(Obstacle::new(ObstacleKind::Unreachable, None, self.name(), error.to_string()))
                }
            }
        }
        .boxed()
    }
}
