//! An OCI layout as a source: a directory, a tar of one, a `cosign save`
//! directory.
//!
//! `index.json` is where names come from and nothing else. Evidence is found in
//! the blobs: `cosign save` does not list what it saved, and other tools list a
//! part. So every blob that is a manifest is read once; the digest in its name is
//! checked then, and again whenever bytes are handed out.

mod legacy;
mod store;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    str::FromStr,
};

use bytes::Bytes;
use carnet_bundle::{Descriptor, Digest, Limits, Manifest, Reference, inventory::Method, json, media};
use carnet_registry::{Answer, BlobStream, Obstacle, ObstacleKind, Referrers, RemoteManifest};
use futures_util::{FutureExt, future::BoxFuture};
use serde_json::Value;

pub(crate) use self::store::Store;
use crate::{
    error::ExportError,
    source::{Kind, Local, Source, legacy_tag},
};

/// Value of `--from`: `[REPOSITORY=]oci:PATH` or `[REPOSITORY=]docker-archive:PATH`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct From {
    /// The repository that it stands for; without one, whatever it holds.
    pub(crate) repository: Option<String>,
    /// What it is.
    pub(crate) form: Form,
    /// A directory or a tar file.
    pub(crate) path: PathBuf,
}

/// What `--from` names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// What `docker save` writes.
    DockerArchive,
    /// An OCI layout.
    Layout,
}

impl Form {
    const ALL: [(&str, Self); 2] = [("oci:", Self::Layout), ("docker-archive:", Self::DockerArchive)];
}

/// An opened layout.
pub(crate) struct Layout {
    path: PathBuf,
    store: Store,
    entries: Vec<Entry>,
    manifests: BTreeMap<Digest, Held>,
    referrers: BTreeMap<Digest, Vec<Digest>>,
    legacy: BTreeMap<(Digest, Method), Vec<Digest>>,
}

/// An entry of `index.json`.
#[derive(Clone, Debug)]
struct Entry {
    digest: Digest,
    names: Vec<String>,
    kind: String,
}

/// A manifest among the blobs.
#[derive(Clone, Debug)]
struct Held {
    media_type: String,
    size: u64,
}

impl FromStr for From {
    type Err = ExportError;

    fn from_str(text: &str) -> Result<Self, ExportError> {
        let alone = |(prefix, form): (&str, Form)| Some((None, form, text.strip_prefix(prefix)?));
        let named = |(prefix, form): (&str, Form)| {
            let (repository, path) = text.split_once(&format!("={prefix}"))?;
            Some((Some(repository), form, path))
        };
        let read = Form::ALL.into_iter().find_map(alone).or_else(|| Form::ALL.into_iter().find_map(named));
        let Some((repository, form, path)) = read else {
            let reason = format!("--from {text}: neither an OCI layout nor a docker archive, nor one for a repository");
            return Err(ExportError::From(reason));
        };
        if path.is_empty() {
            return Err(ExportError::From(format!("--from {text}: the path is missing")));
        }
        let repository = repository.map(full_name).transpose()?;
        Ok(Self { repository, form, path: PathBuf::from(path) })
    }
}

fn full_name(repository: &str) -> Result<String, ExportError> {
    let reference: Reference = repository.parse()?;
    // The parser adds `latest`; a written tag or digest would be ignored.
    if reference.digest().is_some() || repository.rsplit('/').next().is_some_and(|last| last.contains(':')) {
        return Err(ExportError::From(format!("--from {repository}=…: a repository has neither tag nor digest")));
    }
    Ok(reference.name())
}

impl Layout {
    /// Opens the layout at `path` and reads all of its manifests.
    pub(crate) fn open(path: &Path) -> Result<Self, ExportError> {
        let error = |reason: String| ExportError::Layout { path: path.to_owned(), reason };
        let store = Store::open(path).map_err(error)?;
        let index = store.read_member("index.json", Limits::default().manifest_size).map_err(error)?;
        let index = index.ok_or_else(|| error("it has no index.json".to_owned()))?;
        let entries = entries(&index).map_err(error)?;
        let mut layout = Self {
            path: path.to_owned(),
            store,
            entries,
            manifests: BTreeMap::new(),
            referrers: BTreeMap::new(),
            legacy: BTreeMap::new(),
        };
        layout.scan().map_err(error)?;
        Ok(layout)
    }

    fn scan(&mut self) -> Result<(), String> {
        let mut legacy = Vec::new();
        for digest in self.store.blobs()? {
            let Some(bytes) = self.store.read_document(&digest)? else { continue };
            let Some((media_type, document)) = manifest_document(&bytes) else { continue };
            let got = Digest::of(&bytes);
            if got != digest {
                return Err(format!("digest mismatch in blobs/sha256: got {got}, want {digest}"));
            }
            let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            // Manifests that carnet cannot read are listed too: whoever asks for
            // them is told that they are there.
            let subject = document.pointer("/subject/digest").and_then(Value::as_str).and_then(|text| text.parse().ok());
            if let Some(subject) = subject {
                self.referrers.entry(subject).or_default().push(digest);
            } else if let Ok(manifest) = Manifest::parse(&bytes, &media_type) {
                legacy.push((digest, manifest));
            }
            self.manifests.insert(digest, Held { media_type, size });
        }
        self.bind_legacy(&legacy)
    }

    /// Binds cosign's legacy manifests that no tag names to their subjects.
    fn bind_legacy(&mut self, manifests: &[(Digest, Manifest)]) -> Result<(), String> {
        let one_image = self.one_image();
        for (digest, manifest) in manifests {
            let entry = self.entries.iter().find(|entry| entry.digest == *digest);
            if entry.is_some_and(|entry| !entry.names.is_empty()) {
                continue;
            }
            let Some(method) = legacy::method(manifest) else { continue };
            let listed = entry.is_some_and(|entry| matches!(entry.kind.as_str(), legacy::SIGNATURES | legacy::ATTESTATIONS));
            let subjects = match one_image.filter(|_| listed) {
                Some(image) => [image].into(),
                None => legacy::subjects(manifest, |layer| self.store.read_blob(layer))?,
            };
            for subject in subjects {
                self.legacy.entry((subject, method)).or_default().push(*digest);
            }
        }
        Ok(())
    }

    /// The image of a layout without names that lists one.
    fn one_image(&self) -> Option<Digest> {
        let mut images = self.entries.iter().filter(|entry| legacy::is_image_kind(&entry.kind));
        let image = images.next()?.digest;
        (self.is_nameless() && images.next().is_none()).then_some(image)
    }

    fn find_root(&self, reference: &Reference) -> Option<Digest> {
        if let Some(digest) = reference.digest() {
            return self.manifests.contains_key(digest).then_some(*digest);
        }
        self.find_tag(reference).or_else(|| self.one_image())
    }

    /// Finds the full name, else the tag.
    fn find_tag(&self, reference: &Reference) -> Option<Digest> {
        let is_full = |name: &String| name.contains('/') && name.parse().is_ok_and(|name: Reference| name == *reference);
        let is_tag = |name: &String| reference.tag() == Some(name);
        let find = |test: &dyn Fn(&String) -> bool| self.entries.iter().find(|entry| entry.names.iter().any(test));
        find(&is_full).or_else(|| find(&is_tag)).map(|entry| entry.digest)
    }

    fn read_manifest(&self, digest: &Digest) -> Answer<RemoteManifest> {
        let Some(held) = self.manifests.get(digest) else { return Answer::None { status: None } };
        let descriptor = descriptor(digest, held);
        match self.store.read_blob(&descriptor) {
            Ok(Some(bytes)) => Answer::Found(RemoteManifest {
                bytes: Bytes::from(bytes),
                media_type: held.media_type.clone(),
                digest: *digest,
                status: None,
            }),
            Ok(None) => Answer::None { status: None },
            Err(reason) => Answer::CouldNotLook(self.obstacle(ObstacleKind::Malformed, reason)),
        }
    }

    fn list_referrers(&self, subject: &Digest) -> Answer<Referrers> {
        let Some(digests) = self.referrers.get(subject) else { return Answer::None { status: None } };
        let manifests = digests.iter().filter_map(|digest| Some(descriptor(digest, self.manifests.get(digest)?))).collect();
        Answer::Found(Referrers { manifests, answer: None, status: None })
    }

    fn list_legacy(&self, reference: &Reference, subject: &Digest, method: Method, prefix: &str) -> Answer<Vec<RemoteManifest>> {
        let Some(tag) = legacy_tag(subject, method) else { return Answer::NotOffered { status: None } };
        let tagged = self.find_tag(&reference.tagged(format!("{prefix}{tag}")));
        // Content names its subject whatever the tag.
        let bound = self.legacy.get(&(*subject, method)).filter(|_| prefix.is_empty()).into_iter().flatten().copied();
        let mut found = Vec::new();
        for digest in tagged.into_iter().chain(bound) {
            match self.read_manifest(&digest) {
                Answer::Found(manifest) => found.push(manifest),
                Answer::None { .. } | Answer::NotOffered { .. } => {}
                Answer::CouldNotLook(obstacle) => return Answer::CouldNotLook(obstacle),
            }
        }
        if found.is_empty() { Answer::None { status: None } } else { Answer::Found(found) }
    }

    fn obstacle(&self, kind: ObstacleKind, reason: impl AsRef<str>) -> Obstacle {
        Obstacle::new(kind, None, self.name(), reason)
    }
}

impl Local for Layout {
    fn answers(&self, reference: &Reference) -> bool {
        self.find_root(reference).is_some()
    }

    fn is_nameless(&self) -> bool {
        self.entries.iter().all(|entry| entry.names.is_empty())
    }
}

impl Source for Layout {
    fn kind(&self) -> Kind {
        Kind::Layout
    }

    fn name(&self) -> String {
        format!("oci:{}", self.path.display())
    }

    fn resolve<'a>(&'a self, reference: &'a Reference) -> BoxFuture<'a, Answer<RemoteManifest>> {
        let found = self.find_root(reference);
        async move { found.map_or(Answer::None { status: None }, |digest| self.read_manifest(&digest)) }.boxed()
    }

    fn manifest<'a>(&'a self, reference: &'a Reference) -> BoxFuture<'a, Answer<RemoteManifest>> {
        let found = reference.digest().copied().or_else(|| self.find_tag(reference));
        async move { found.map_or(Answer::None { status: None }, |digest| self.read_manifest(&digest)) }.boxed()
    }

    fn legacy<'a>(
        &'a self,
        reference: &'a Reference,
        subject: &'a Digest,
        method: Method,
        prefix: &'a str,
    ) -> BoxFuture<'a, Answer<Vec<RemoteManifest>>> {
        async move { self.list_legacy(reference, subject, method, prefix) }.boxed()
    }

    fn referrers<'a>(&'a self, _reference: &'a Reference, subject: &'a Digest) -> BoxFuture<'a, Answer<Referrers>> {
        async move { self.list_referrers(subject) }.boxed()
    }

    fn blob<'a>(&'a self, _reference: &'a Reference, descriptor: &'a Descriptor) -> BoxFuture<'a, Answer<BlobStream>> {
        async move {
            match self.store.open_blob(&descriptor.digest) {
                Ok(Some(extent)) => Answer::Found(BlobStream::new(descriptor, extent.stream(self.name()))),
                Ok(None) => Answer::None { status: None },
                Err(error) => Answer::CouldNotLook(self.obstacle(ObstacleKind::Unreachable, error.to_string())),
            }
        }
        .boxed()
    }

    fn lacks(&self, descriptor: &Descriptor) -> bool {
        matches!(self.store.open_blob(&descriptor.digest), Ok(None))
    }
}

fn entries(index: &[u8]) -> Result<Vec<Entry>, String> {
    let index = json::parse(index).map_err(|error| format!("index.json: {error}"))?;
    let manifests = index.get("manifests").and_then(Value::as_array).ok_or("index.json has no list of manifests")?;
    let mut entries = Vec::new();
    for entry in manifests {
        let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str);
        let annotation = |key: &str| entry.get("annotations").and_then(|map| map.get(key)).and_then(Value::as_str);
        let digest = text("/digest").unwrap_or_default().parse().map_err(|error| format!("index.json: {error}"))?;
        let names = [media::REF_NAME, media::CONTAINERD_NAME].into_iter().filter_map(annotation).map(str::to_owned).collect();
        let kind = annotation(media::COSIGN_KIND).unwrap_or_default().to_owned();
        entries.push(Entry { digest, names, kind });
    }
    Ok(entries)
}

/// Media type of bytes that have the shape of a manifest, and the document.
fn manifest_document(bytes: &[u8]) -> Option<(String, Value)> {
    let document = json::parse(bytes).ok()?;
    document.get("schemaVersion")?.as_u64().filter(|version| *version == 2)?;
    let guess = match (document.get("manifests"), document.get("layers").or(document.get("subject"))) {
        (Some(_), _) => media::OCI_INDEX,
        (None, Some(_)) => media::OCI_MANIFEST,
        (None, None) => return None,
    };
    let media_type = document.get("mediaType").and_then(Value::as_str).unwrap_or(guess).to_owned();
    Some((media_type, document))
}

fn descriptor(digest: &Digest, held: &Held) -> Descriptor {
    Descriptor::new(&held.media_type, *digest, held.size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_names_a_layout_and_maybe_a_repository() {
        for (text, repository, path) in [
            ("oci:dir", None, "dir"),
            ("oci:/a/b=oci:c.tar", None, "/a/b=oci:c.tar"),
            ("ghcr.io/org/app=oci:./x", Some("ghcr.io/org/app"), "./x"),
            ("alpine=oci:x", Some("docker.io/library/alpine"), "x"),
            ("localhost:5000/a=oci:x", Some("localhost:5000/a"), "x"),
        ] {
            let want = From { repository: repository.map(str::to_owned), form: Form::Layout, path: path.into() };
            assert_eq!(text.parse::<From>().unwrap(), want, "{text}");
        }
        let docker: From = "alpine=docker-archive:a.tar".parse().unwrap();
        assert_eq!((docker.form, docker.path), (Form::DockerArchive, "a.tar".into()));
        for text in ["dir", "oci:", "docker:x", "ghcr.io/a:v1=oci:x", "UPPER/x y=oci:x", "=oci:x"] {
            assert!(text.parse::<From>().is_err(), "{text}");
        }
    }
}
