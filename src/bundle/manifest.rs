//! OCI manifests and indexes, read strictly from their bytes.

use std::collections::BTreeMap;

use oci_spec::image as oci;
use serde_json::Value;

use crate::{
    digest::{Digest, DigestError},
    json::{self, JsonError},
    media,
};

/// What names a blob: media type, digest, size (OCI image-spec, descriptor.md).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Descriptor {
    /// Media type of the blob.
    pub media_type: String,
    /// Digest of the blob.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub size: u64,
    /// Type of the artifact when the blob is a manifest; a hint.
    pub artifact_type: Option<String>,
    /// Annotations; a hint, never signed.
    pub annotations: BTreeMap<String, String>,
    /// Platform of a child of an index.
    pub platform: Option<Platform>,
    /// Other places of a foreign layer.
    pub urls: Vec<String>,
}

/// Platform of a child of an index.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Deserialize, serde::Serialize)]
pub struct Platform {
    /// Operating system, such as `linux`.
    pub os: String,
    /// Processor architecture, such as `amd64`.
    pub architecture: String,
    /// Variant of the architecture, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A parsed manifest or index. The bytes stay the truth; this is a view.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Manifest {
    /// Media type: the document's own, else the one it was asked under.
    pub media_type: String,
    /// `artifactType` of the document.
    pub artifact_type: Option<String>,
    /// What this manifest is evidence about.
    pub subject: Option<Descriptor>,
    /// Annotations of the document.
    pub annotations: BTreeMap<String, String>,
    /// Children, or config and layers.
    pub body: Body,
}

/// The two sorts of manifests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Body {
    /// An image (or artifact) manifest.
    Image {
        /// The config blob.
        config: Box<Descriptor>,
        /// The layers, in order.
        layers: Vec<Descriptor>,
    },
    /// An index.
    Index {
        /// The children, in order.
        manifests: Vec<Descriptor>,
    },
}

/// Why bytes are not a manifest that carnet reads.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Both `manifests` and `config`/`layers`: two readers would see two things
    /// (CVE-2021-41190).
    #[error("type confusion: the document has both `manifests` and `config` or `layers`")]
    Confused,
    /// A descriptor's digest is not one that version 0 carries.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Not strict JSON, or not of the manifest's shape.
    #[error("not a manifest: {0}")]
    Json(#[from] JsonError),
    /// The document's own media type differs from the one it is known under.
    #[error("media type mismatch: the document says {document}, its descriptor {descriptor}")]
    MediaType {
        /// `mediaType` inside the document.
        document: String,
        /// Media type of the descriptor or the registry's answer.
        descriptor: String,
    },
    /// A media type that is neither image manifest nor index.
    #[error("unsupported manifest media type {0:?}")]
    Unsupported(String),
}

impl Manifest {
    /// Parses the bytes of a manifest that a descriptor or a registry calls
    /// `media_type`.
    ///
    /// # Errors
    ///
    /// Returns a [`ManifestError`] for anything but one unambiguous document of
    /// that media type.
    pub fn parse(bytes: &[u8], media_type: &str) -> Result<Self, ManifestError> {
        let value = json::parse(bytes)?;
        let has = |key: &str| value.get(key).is_some();
        if has("manifests") && (has("layers") || has("config") || has("fsLayers")) {
            return Err(ManifestError::Confused);
        }
        let own = value.get("mediaType").and_then(Value::as_str);
        if let Some(document) = own.filter(|own| *own != media_type) {
            return Err(ManifestError::MediaType { document: document.to_owned(), descriptor: media_type.to_owned() });
        }
        if media::is_index(media_type) {
            Self::from_index(read(value)?, media_type)
        } else if media::is_image_manifest(media_type) {
            Self::from_image(read(value)?, media_type)
        } else {
            Err(ManifestError::Unsupported(media_type.to_owned()))
        }
    }

    fn from_index(index: oci::ImageIndex, media_type: &str) -> Result<Self, ManifestError> {
        Ok(Self {
            media_type: media_type.to_owned(),
            artifact_type: index.artifact_type().as_ref().map(ToString::to_string),
            subject: index.subject().as_ref().map(Descriptor::try_from).transpose()?,
            annotations: sorted(index.annotations()),
            body: Body::Index { manifests: descriptors(index.manifests())? },
        })
    }

    fn from_image(image: oci::ImageManifest, media_type: &str) -> Result<Self, ManifestError> {
        Ok(Self {
            media_type: media_type.to_owned(),
            artifact_type: image.artifact_type().as_ref().map(ToString::to_string),
            subject: image.subject().as_ref().map(Descriptor::try_from).transpose()?,
            annotations: sorted(image.annotations()),
            body: Body::Image { config: Box::new(image.config().try_into()?), layers: descriptors(image.layers())? },
        })
    }

    /// The children of an index; empty for an image manifest.
    pub fn children(&self) -> &[Descriptor] {
        match &self.body {
            Body::Index { manifests } => manifests,
            Body::Image { .. } => &[],
        }
    }

    /// The layers of an image manifest; empty for an index.
    pub fn layers(&self) -> &[Descriptor] {
        match &self.body {
            Body::Image { layers, .. } => layers,
            Body::Index { .. } => &[],
        }
    }

    /// The config of an image manifest.
    pub fn config(&self) -> Option<&Descriptor> {
        match &self.body {
            Body::Image { config, .. } => Some(config),
            Body::Index { .. } => None,
        }
    }

    /// Whether this is an index.
    pub fn is_index(&self) -> bool {
        matches!(self.body, Body::Index { .. })
    }

    /// The type that a referrers list shows: `artifactType`, else the media type
    /// of the config (OCI distribution-spec, "Listing Referrers").
    pub fn effective_artifact_type(&self) -> Option<&str> {
        let config = self.config().map(|config| config.media_type.as_str());
        self.artifact_type.as_deref().or(config)
    }
}

impl TryFrom<&oci::Descriptor> for Descriptor {
    type Error = DigestError;

    fn try_from(value: &oci::Descriptor) -> Result<Self, DigestError> {
        Ok(Self {
            media_type: value.media_type().to_string(),
            digest: value.digest().to_string().parse()?,
            size: value.size(),
            artifact_type: value.artifact_type().as_ref().map(ToString::to_string),
            annotations: sorted(value.annotations()),
            platform: value.platform().as_ref().map(Platform::from),
            urls: value.urls().clone().unwrap_or_default(),
        })
    }
}

impl Descriptor {
    /// Whether this child of an index is a BuildKit attestation manifest.
    pub fn is_buildkit_attestation(&self) -> bool {
        self.annotations.get(media::DOCKER_REFERENCE_TYPE).is_some_and(|kind| kind == "attestation-manifest")
    }

    /// The child of the same index that a BuildKit attestation manifest names.
    pub fn buildkit_subject(&self) -> Option<Digest> {
        self.annotations.get(media::DOCKER_REFERENCE_DIGEST)?.parse().ok()
    }
}

impl From<&oci::Platform> for Platform {
    fn from(value: &oci::Platform) -> Self {
        Self { os: value.os().to_string(), architecture: value.architecture().to_string(), variant: value.variant().clone() }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, ManifestError> {
    json::from_value(value).map_err(ManifestError::Json)
}

fn descriptors(list: &[oci::Descriptor]) -> Result<Vec<Descriptor>, DigestError> {
    list.iter().map(Descriptor::try_from).collect()
}

fn sorted(map: &Option<std::collections::HashMap<String, String>>) -> BTreeMap<String, String> {
    map.iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}
