//! OCI artifacts as sources: titled layers are files.

use std::{collections::HashSet, sync::Arc};

use carnet_bundle::{Descriptor, Digest, Manifest, ManifestError, media};

use super::{SourceFile, tree::unsafe_name};

/// Annotation that names the file of a layer.
const TITLE: &str = "org.opencontainers.image.title";
/// Annotation of a layer that is the tar of a directory (ORAS).
const UNPACK: &str = "io.deis.oras.content.unpack";

/// Why an artifact is no source.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// A layer is a packed directory.
    #[error("layer {0:?} is a packed directory: push the files one by one, as `conftest push` does")]
    Directory(String),
    /// Two layers with one name.
    #[error("two layers have the title {0:?}")]
    Duplicate(String),
    /// The reference names an index.
    #[error("it is an index: name the artifact itself")]
    Index,
    /// The manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A layer whose bytes are not at hand.
    #[error("layer {digest} ({title:?}) is missing")]
    Missing {
        /// Its file name.
        title: String,
        /// Its digest.
        digest: Digest,
    },
    /// A title that is not a plain relative path.
    #[error("the title {title:?} {reason}")]
    Title {
        /// The title.
        title: String,
        /// Why it is refused.
        reason: &'static str,
    },
}

/// The layers of an artifact that are files, as oras would write them: the layers
/// with a title.
///
/// # Errors
///
/// Returns an [`ArtifactError`] when the manifest is none, and for titles that
/// could mean another place.
pub fn titled_layers(manifest: &[u8]) -> Result<Vec<(String, Descriptor)>, ArtifactError> {
    // Sources are image manifests in every registry that Conforma reads.
    let is_index = carnet_bundle::json::parse(manifest).is_ok_and(|document| document.get("manifests").is_some());
    if is_index {
        return Err(ArtifactError::Index);
    }
    let media_type = own_media_type(manifest);
    let manifest = Manifest::parse(manifest, media_type)?;
    let mut files = Vec::new();
    let mut names = HashSet::new();
    for blob in manifest.config().into_iter().chain(manifest.layers()) {
        let Some(title) = blob.annotations.get(TITLE) else { continue };
        let title = title.strip_prefix("./").unwrap_or(title).to_owned();
        if let Some(reason) = title.split('/').find_map(unsafe_name) {
            return Err(ArtifactError::Title { title, reason });
        }
        if blob.annotations.get(UNPACK).is_some_and(|value| value == "true") {
            return Err(ArtifactError::Directory(title));
        }
        if !names.insert(title.to_lowercase()) {
            return Err(ArtifactError::Duplicate(title));
        }
        files.push((title, blob.clone()));
    }
    Ok(files)
}

/// The files of an artifact; `blob` hands out bytes that have the digest asked for.
///
/// # Errors
///
/// As [`titled_layers`], and [`ArtifactError::Missing`] for a layer that is not at
/// hand.
pub fn read<'b>(manifest: &[u8], blob: impl Fn(&Digest) -> Option<&'b [u8]>) -> Result<Vec<SourceFile>, ArtifactError> {
    let file = |(title, layer): (String, Descriptor)| match blob(&layer.digest) {
        Some(bytes) => Ok(SourceFile { path: title, bytes: Arc::from(bytes) }),
        None => Err(ArtifactError::Missing { title, digest: layer.digest }),
    };
    titled_layers(manifest)?.into_iter().map(file).collect()
}

/// Docker manifests say so themselves; OCI ones need not.
fn own_media_type(manifest: &[u8]) -> &'static str {
    let document = carnet_bundle::json::parse(manifest).ok();
    let own = document.as_ref().and_then(|document| document.get("mediaType")).and_then(|value| value.as_str());
    if own == Some(media::DOCKER_MANIFEST) { media::DOCKER_MANIFEST } else { media::OCI_MANIFEST }
}
