//! What a bundle carries of an image besides its evidence: config, parent, and
//! the manifests of an OLM bundle.

use std::collections::BTreeMap;

use carnet_bundle::{Bundle, Digest, Manifest, Reference, json::JsonError};
use serde_json::{Value, json};

use super::config;
use crate::yaml::{self, Reading};

const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
const OLM_MANIFESTS: &str = "operators.operatorframework.io.bundle.manifests.v1";

/// What is known of an image itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageFacts {
    /// The `config` object of the image config.
    pub config: Option<Value>,
    /// The image that it was built on.
    pub parent: Option<Parent>,
    /// The manifests of an OLM bundle by path, as JSON.
    pub files: BTreeMap<String, Value>,
    /// What the image has and the bundle does not show. A rule that asks for it
    /// sees nothing, which is not the same as nothing being there.
    pub gaps: Vec<Gap>,
}

/// The image that an image was built on.
#[derive(Clone, Debug, PartialEq)]
pub struct Parent {
    /// Reference by digest, with the tag as the builder wrote it.
    pub reference: String,
    /// The `config` object of its config.
    pub config: Option<Value>,
}

/// Something that rules may ask for and that is not at hand.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Gap {
    /// A config blob that cannot be read.
    #[error("image config of {of}: {source}")]
    ConfigMalformed {
        /// The image.
        of: Digest,
        /// What is wrong with it.
        source: JsonError,
    },
    /// A config blob that does not travel.
    #[error("the image config {config} of {of} is not carried")]
    ConfigNotCarried {
        /// The image.
        of: Digest,
        /// The config.
        config: Digest,
    },
    /// The files of an OLM bundle were not read from its layers.
    #[error("the files under {directory} of {of} were not read from its layers")]
    FilesNotRead {
        /// The image.
        of: Digest,
        /// The directory that its label names.
        directory: String,
    },
    /// An index of whose images none is what rules see.
    #[error("no image for linux/amd64 of the index {of} is carried, and rules see the config of that one")]
    PlatformNotCarried {
        /// The index.
        of: Digest,
    },
    /// A parent that does not travel.
    #[error("the parent image {reference} is not carried")]
    ParentNotCarried {
        /// Its reference.
        reference: String,
    },
}

impl ImageFacts {
    /// Reads what `bundle` carries of `image`; for an index, of its child for
    /// linux/amd64. Files of an OLM bundle stand in layers, which are not held in
    /// memory: see [`ImageFacts::add_file`].
    pub fn read(bundle: &Bundle, image: &Digest) -> Self {
        let mut facts = Self::default();
        let Some((digest, manifest)) = platform(bundle, image) else {
            if bundle.manifest(image).is_some() {
                facts.gaps.push(Gap::PlatformNotCarried { of: *image });
            }
            return facts;
        };
        facts.config = facts.config_of(bundle, &digest, manifest);
        facts.parent = parent_reference(manifest).map(|(reference, digest)| facts.parent(bundle, reference, &digest));
        if let Some(directory) = facts.files_directory().map(str::to_owned) {
            facts.gaps.push(Gap::FilesNotRead { of: digest, directory });
        }
        facts
    }

    /// The directory whose files rules see, when the image is an OLM bundle.
    pub fn files_directory(&self) -> Option<&str> {
        config::label(self.config.as_ref()?, OLM_MANIFESTS).filter(|directory| !directory.is_empty())
    }

    /// Whether rules see the file at `path` of the image's file system: it stands
    /// directly in that directory and is YAML or JSON by its name.
    pub fn wants_file(&self, path: &str) -> bool {
        let Some(directory) = self.files_directory() else { return false };
        let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        clean(parent).eq_ignore_ascii_case(&clean(directory)) && matches!(extension.as_deref(), Some("yaml" | "yml" | "json"))
    }

    /// Adds a file that [`ImageFacts::wants_file`]; one that is neither YAML nor
    /// JSON is passed over, as in Conforma.
    pub fn add_file(&mut self, path: &str, bytes: &[u8]) {
        if !self.wants_file(path) {
            return;
        }
        if let Ok(value) = yaml::parse(bytes, path, Reading::Conforma).and_then(|node| node.to_json(path)) {
            self.files.insert(path.to_owned(), value);
        }
    }

    /// Says that every file of the image was offered to [`ImageFacts::add_file`].
    pub fn files_are_complete(&mut self) {
        self.gaps.retain(|gap| !matches!(gap, Gap::FilesNotRead { .. }));
    }

    fn config_of(&mut self, bundle: &Bundle, of: &Digest, manifest: &Manifest) -> Option<Value> {
        let descriptor = manifest.config()?;
        let Some(bytes) = bundle.blob(&descriptor.digest) else {
            self.gaps.push(Gap::ConfigNotCarried { of: *of, config: descriptor.digest });
            return None;
        };
        match config::read(bytes) {
            Ok(config) => Some(config),
            Err(source) => {
                self.gaps.push(Gap::ConfigMalformed { of: *of, source });
                None
            }
        }
    }

    fn parent(&mut self, bundle: &Bundle, reference: String, digest: &Digest) -> Parent {
        let config = match platform(bundle, digest) {
            Some((digest, manifest)) => self.config_of(bundle, &digest, manifest),
            None => {
                self.gaps.push(Gap::ParentNotCarried { reference: reference.clone() });
                None
            }
        };
        Parent { reference, config }
    }
}

impl Parent {
    pub(super) fn to_json(&self) -> Value {
        match &self.config {
            Some(config) => json!({"ref": self.reference, "config": config}),
            None => json!({ "ref": self.reference }),
        }
    }
}

/// The manifest of an image; of an index the child that a client on linux/amd64
/// takes.
fn platform<'b>(bundle: &'b Bundle, image: &Digest) -> Option<(Digest, &'b Manifest)> {
    let manifest = bundle.manifest(image)?;
    if !manifest.is_index() {
        return Some((*image, manifest));
    }
    let child = linux_amd64(manifest)?;
    Some((child, bundle.manifest(&child)?))
}

/// The child of an index that a client on linux/amd64 takes.
pub(super) fn linux_amd64(index: &Manifest) -> Option<Digest> {
    let wanted = |child: &&carnet_bundle::Descriptor| {
        child.platform.as_ref().is_some_and(|platform| platform.os == "linux" && platform.architecture == "amd64")
    };
    index.children().iter().find(wanted).map(|child| child.digest)
}

/// The parent as the annotations of a manifest name it: by a digest in the name,
/// or in an annotation of its own.
fn parent_reference(manifest: &Manifest) -> Option<(String, Digest)> {
    let name = manifest.annotations.get(BASE_NAME).filter(|name| !name.is_empty())?;
    let text = match manifest.annotations.get(BASE_DIGEST) {
        _ if name.contains('@') => name.clone(),
        Some(digest) if !digest.is_empty() => format!("{name}@{digest}"),
        _ => return None,
    };
    let digest = *text.parse::<Reference>().ok()?.digest()?;
    Some((text, digest))
}

/// A path without `./`, doubled and closing slashes.
fn clean(path: &str) -> String {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_manifests_of_the_named_directory_are_seen() {
        let mut facts = ImageFacts { config: Some(json!({"Labels": {OLM_MANIFESTS: "manifests/"}})), ..ImageFacts::default() };
        for (path, wanted) in [
            ("manifests/a.yaml", true),
            ("./Manifests/b.JSON", true),
            ("manifests/sub/a.yaml", false),
            ("metadata/a.yaml", false),
            ("manifests/a.txt", false),
            ("a.yaml", false),
            ("manifests", false),
        ] {
            assert_eq!(facts.wants_file(path), wanted, "{path}");
        }
        facts.add_file("manifests/a.yaml", b"kind: X\nn: 1\n");
        facts.add_file("manifests/broken.yaml", b"a: [");
        facts.add_file("elsewhere/a.yaml", b"kind: Y\n");
        assert_eq!(json!(facts.files), json!({"manifests/a.yaml": {"kind": "X", "n": 1}}));
        assert!(!ImageFacts::default().wants_file("manifests/a.yaml"));
    }

    #[test]
    fn a_parent_needs_a_digest() {
        let digest = Digest::of(b"").to_string();
        let manifest = |annotations: &[(&str, &str)]| {
            let annotations: BTreeMap<_, _> = annotations.iter().copied().collect();
            let config = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 0});
            let text = json!({"schemaVersion": 2, "config": config, "layers": [], "annotations": annotations}).to_string();
            Manifest::parse(text.as_bytes(), carnet_bundle::media::OCI_MANIFEST).unwrap()
        };
        let reference = |annotations: &[(&str, &str)]| parent_reference(&manifest(annotations)).map(|(reference, _)| reference);
        let named = format!("r.example/base:9@{digest}");
        assert_eq!(reference(&[(BASE_NAME, "r.example/base:9"), (BASE_DIGEST, &digest)]), Some(named.clone()));
        assert_eq!(reference(&[(BASE_NAME, &named)]), Some(named));
        assert_eq!(reference(&[(BASE_NAME, "r.example/base:9")]), None);
        assert_eq!(reference(&[(BASE_DIGEST, &digest)]), None);
        assert_eq!(reference(&[(BASE_NAME, "r.example/base:9"), (BASE_DIGEST, "sha256:short")]), None);
    }
}
