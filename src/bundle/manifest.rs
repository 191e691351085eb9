//! OCI manifests and indexes, read strictly from their bytes.

use std::collections::BTreeMap;

use oci_spec::image as oci;
use serde_json::Value;

use crate::{
    digest::{Digest, DigestError},
    json::{self, JsonError},
    media,
    tree::count,
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

/// Platform of a child of an index (OCI image-spec, image-index.md): the members that
/// choose an image.
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

/// The two sorts of manifests; a document that could be read as both is refused.
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
    /// A member that readers which ignore letter case take for a known one.
    #[error("ambiguous document: the member {0:?} differs from a known one in letter case only")]
    Folded(String),
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
    /// Another `schemaVersion` than the one that both media types have.
    #[error("schemaVersion is {0}, want 2")]
    SchemaVersion(u32),
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
        if let Some(member) = folded(&value) {
            return Err(ManifestError::Folded(member.to_owned()));
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
        check_version(index.schema_version())?;
        Ok(Self {
            media_type: media_type.to_owned(),
            artifact_type: index.artifact_type().as_ref().map(ToString::to_string),
            subject: index.subject().as_ref().map(Descriptor::try_from).transpose()?,
            annotations: sorted(index.annotations()),
            body: Body::Index { manifests: descriptors(index.manifests())? },
        })
    }

    fn from_image(image: oci::ImageManifest, media_type: &str) -> Result<Self, ManifestError> {
        check_version(image.schema_version())?;
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

    /// The config of an image manifest; `None` for an index.
    pub fn config(&self) -> Option<&Descriptor> {
        match &self.body {
            Body::Image { config, .. } => Some(config),
            Body::Index { .. } => None,
        }
    }

    /// Whether this is an index, by its members, which agree with its media type.
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
    /// A descriptor with the three members that every one has, and no other.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            artifact_type: None,
            annotations: BTreeMap::new(),
            platform: None,
            urls: Vec::new(),
        }
    }

    /// The descriptor of `bytes`.
    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), count(bytes.len()))
    }

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

/// Members that are read.
const MEMBERS: [&str; 19] = [
    "annotations",
    "architecture",
    "artifactType",
    "config",
    "data",
    "digest",
    "fsLayers",
    "layers",
    "manifests",
    "mediaType",
    "os",
    "os.features",
    "os.version",
    "platform",
    "schemaVersion",
    "size",
    "subject",
    "urls",
    "variant",
];

/// The first member that Go's decoder, which ignores letter case, takes for another
/// one: tools that run images would read other layers than were judged.
fn folded(value: &Value) -> Option<&str> {
    match value {
        Value::Array(items) => items.iter().find_map(folded),
        Value::Object(members) => members.iter().find_map(|(key, value)| {
            if !MEMBERS.contains(&key.as_str()) {
                return MEMBERS.iter().any(|name| is_same_but_for_case(key, name)).then_some(key.as_str());
            }
            matches!(key.as_str(), "config" | "layers" | "manifests" | "platform" | "subject").then(|| folded(value)).flatten()
        }),
        _ => None,
    }
}

fn is_same_but_for_case(key: &str, name: &str) -> bool {
    // Upper case first: it takes the long s to S, as Go's folding does.
    key.eq_ignore_ascii_case(name) || !key.is_ascii() && key.to_uppercase().to_lowercase() == name.to_lowercase()
}

fn check_version(version: u32) -> Result<(), ManifestError> {
    if version == oci::SCHEMA_VERSION { Ok(()) } else { Err(ManifestError::SchemaVersion(version)) }
}

fn descriptors(list: &[oci::Descriptor]) -> Result<Vec<Descriptor>, DigestError> {
    list.iter().map(Descriptor::try_from).collect()
}

fn sorted(map: &Option<std::collections::HashMap<String, String>>) -> BTreeMap<String, String> {
    map.iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIPTOR: &str = concat!(
        r#"{"mediaType":"application/octet-stream","size":2,"#,
        r#""digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}"#
    );

    fn image(head: &str) -> String {
        format!(r#"{{{head},"config":{DESCRIPTOR},"layers":[{DESCRIPTOR}]}}"#)
    }

    #[test]
    fn both_media_types_of_a_manifest_are_read_and_its_own_may_be_missing() {
        for media_type in [media::OCI_MANIFEST, media::DOCKER_MANIFEST] {
            for own in [String::new(), r#","mediaType":null"#.to_owned(), format!(r#","mediaType":"{media_type}""#)] {
                let text = image(&format!(r#""schemaVersion":2{own},"unknown":[],"annotations":null"#));
                let manifest = Manifest::parse(text.as_bytes(), media_type).unwrap();
                assert_eq!((manifest.media_type.as_str(), manifest.layers().len()), (media_type, 1), "{text}");
            }
        }
        for media_type in [media::OCI_INDEX, media::DOCKER_LIST] {
            let text = format!(r#"{{"schemaVersion":2,"manifests":[{DESCRIPTOR}]}}"#);
            assert_eq!(Manifest::parse(text.as_bytes(), media_type).unwrap().children().len(), 1);
        }
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_refused() {
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{DESCRIPTOR}],"layers":null}}"#);
        let sha512 = image(r#""schemaVersion":2"#).replace("sha256:", &format!("sha512:{}", "0".repeat(64)));
        for (text, media_type, reason) in [
            (image(r#""schemaVersion":1"#), media::OCI_MANIFEST, "schemaVersion is 1, want 2"),
            (image(r#""other":2"#), media::OCI_MANIFEST, "not a manifest"),
            (image(r#""schemaVersion":2,"schemaVersion":2"#), media::OCI_MANIFEST, "duplicate key"),
            (image(r#""schemaVersion":2"#), media::OCI_CONFIG, "unsupported manifest media type"),
            (
                image(&format!(r#""schemaVersion":2,"mediaType":"{}""#, media::OCI_INDEX)),
                media::OCI_MANIFEST,
                "media type mismatch",
            ),
            (image(r#""schemaVersion":2,"manifests":[]"#), media::OCI_MANIFEST, "type confusion"),
            (index, media::OCI_INDEX, "type confusion"),
            (sha512, media::OCI_MANIFEST, "unsupported digest algorithm"),
        ] {
            let error = Manifest::parse(text.as_bytes(), media_type).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
