//! OCI artifacts as sources.

use carnet_bundle::{Digest, Reference};
use carnet_policy::sources::{
    artifact::{ArtifactError, titled_layers},
    limits::MAX_BYTES,
};
use carnet_registry::{Answer, BlobError, Obstacle};

use crate::source::Source;

/// An artifact as served: the manifest, and the layers that are files.
pub(crate) struct Fetched {
    pub(crate) manifest: Vec<u8>,
    pub(crate) layers: Vec<(Digest, Vec<u8>)>,
}

/// Why an artifact cannot be had.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PullError {
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("{0} does not exist")]
    NotFound(String),
    #[error(transparent)]
    Obstacle(#[from] Obstacle),
    #[error("its files have more than {0} bytes")]
    TooLarge(u64),
}

/// Pulls the artifact that `reference` names.
pub(crate) async fn fetch(source: &dyn Source, reference: &Reference) -> Result<Fetched, PullError> {
    let manifest = found(source.manifest(reference).await, || reference.to_string())?;
    let files = titled_layers(&manifest.bytes)?;
    if files.iter().map(|(_, layer)| layer.size).fold(0, u64::saturating_add) > MAX_BYTES {
        return Err(PullError::TooLarge(MAX_BYTES));
    }
    let mut layers = Vec::new();
    for (title, layer) in files {
        let stream = found(source.blob(reference, &layer).await, || format!("layer {title:?} of {reference}"))?;
        layers.push((layer.digest, stream.read().await?));
    }
    Ok(Fetched { manifest: manifest.bytes.to_vec(), layers })
}

fn found<T>(answer: Answer<T>, what: impl Fn() -> String) -> Result<T, PullError> {
    match answer {
        Answer::Found(value) => Ok(value),
        Answer::None { .. } | Answer::NotOffered { .. } => Err(PullError::NotFound(what())),
        Answer::CouldNotLook(obstacle) => Err(obstacle.into()),
    }
}
