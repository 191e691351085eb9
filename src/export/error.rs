//! Why an export ended without a file.

use std::{io, path::PathBuf, time::Duration};

use carnet_bundle::{Digest, ManifestError, PlanError, ReferenceError};
use carnet_registry::{BlobError, Obstacle, ObstacleKind, RegistryError};

use crate::sources::FetchError;

/// Why an export ended without a file (exit code 2).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ExportError {
    #[error("{what}: {source}")]
    Blob { what: String, source: BlobError },
    #[error("cannot use the cache {path}: {source}")]
    Cache { path: PathBuf, source: io::Error },
    #[error("cannot read {path}: {source}")]
    Document { path: PathBuf, source: io::Error },
    #[error("{path} is larger than {bound} bytes")]
    DocumentSize { path: PathBuf, bound: u64 },
    #[error("not done after {} s", .0.as_secs())]
    Deadline(Duration),
    #[error("{0}")]
    Flags(&'static str),
    #[error("{0}")]
    From(String),
    #[error("{0}")]
    Images(#[from] carnet_policy::ImagesError),
    #[error("could not look at {0} of the places where evidence may be")]
    Incomplete(usize),
    #[error("interrupted")]
    Interrupted,
    #[error("cannot read the layout {path}: {reason}")]
    Layout { path: PathBuf, reason: String },
    #[error("{layout} answers every reference with its one image, but {count} references were asked for")]
    LayoutAmbiguous { layout: String, count: usize },
    #[error("{subject} has more than {bound} {what}")]
    Limit { subject: String, what: &'static str, bound: u64 },
    #[error("cannot carry {path}: {reason}")]
    Loose { path: PathBuf, reason: String },
    #[error("cannot read the manifest {digest} of {reference}: {source}")]
    Manifest { reference: String, digest: Digest, source: ManifestError },
    #[error("nothing to export: no image was named")]
    NoImages,
    #[error("--mirror {0:?}: neither a registry nor a part of one that stands for another")]
    Mirror(String),
    #[error("{reference} does not exist{place}")]
    NotFound { reference: String, place: String },
    #[error("{reference} has none of the platforms {asked}")]
    NoSuchPlatform { reference: String, asked: String },
    #[error("cannot write {path}: {source}")]
    Output { path: PathBuf, source: io::Error },
    #[error("cannot make a bundle: {0}")]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Policy(#[from] carnet_policy::PolicyError),
    #[error("cannot fetch a source of the policy: {0}")]
    PolicySource(#[from] FetchError),
    #[error("{count} log entries have no proof, such as {first}")]
    Proofs { count: usize, first: String },
    #[error("{0}")]
    Reference(#[from] ReferenceError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    #[error("{0}")]
    Secret(&'static str),
    #[error("cannot make a service of {text:?}: {reason}")]
    Service { text: String, reason: String },
    #[error("{variable} is not a time in seconds: {value:?}")]
    SourceDateEpoch { variable: &'static str, value: String },
    #[error("cannot read {path}: {reason}")]
    TrustMaterial { path: PathBuf, reason: String },
    #[error("cannot fetch the trusted root from {url}: {reason}")]
    Tuf { url: String, reason: String },
    #[error("cannot export {reference}: {obstacle}")]
    Unreachable { reference: String, obstacle: Obstacle },
}

impl ExportError {
    /// What the operator can do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Blob { source: BlobError::Obstacle(obstacle), .. } | Self::Unreachable { obstacle, .. } => {
                obstacle_hint(obstacle)
            }
            Self::Blob { .. } => "the source served other bytes than it announced; nothing of it was kept",
            Self::From(_) => "write --from oci:PATH or --from REPOSITORY=oci:PATH",
            Self::Incomplete(_) => "see the list above; --allow-incomplete writes the file and the verifier says what is missing",
            Self::LayoutAmbiguous { .. } => "write --from REPOSITORY=oci:PATH to say which repository it stands for",
            Self::NoImages => "name references, or give a file with --images",
            Self::NotFound { .. } => "check the spelling; a registry may also say so about a repository you may not see",
            Self::Output { source, .. } if is_full(source) => "free some space, or write to another disk",
            Self::Deadline(_) => "run it again: what has come is in the cache; or give more time with --deadline",
            Self::Secret(_) => "give the address without it",
            Self::Mirror(_) => "write --mirror docker.io=mirror.example/hub",
            Self::Reference(_) => "references are written host[:port]/path[:tag][@sha256:digest]",
            Self::Document { .. } | Self::Layout { .. } => "check the path and that it can be read",
            Self::DocumentSize { .. } | Self::Limit { .. } | Self::Plan(_) => {
                "a verifier would refuse such an archive, see the limits in bundle-spec/considerations.md"
            }
            Self::Images(_) => "correct images.yaml; bundle-spec/images.md says what it may hold",
            Self::Interrupted => "nothing was written; run it again",
            Self::Manifest { .. } => {
                "the image itself is damaged or of a kind that carnet does not know; build and push it again"
            }
            Self::NoSuchPlatform { .. } => "leave --platform out to see what there is with `carnet inspect`",
            Self::Proofs { .. } => "--proofs=fetch writes the file with the proofs that can be had",
            Self::Cache { .. } => "name another folder with --cache, or use none with --no-cache",
            Self::Service { .. } => "write url=URL,certificate-chain=FILE or url=URL,public-key=FILE,start-time=TIME",
            Self::Tuf { .. } => "check network, URL and initial root; nothing of it was kept",
            Self::Flags(_) => "leave one of the two out",
            Self::Loose { .. } => "give a Sigstore bundle or DSSE envelope about one of the images, as cosign or gh write them",
            Self::Output { .. } => "check the path and the free space",
            Self::Policy(_) => "correct policy.yaml; `ec validate policy` checks it too",
            Self::PolicySource(_) => {
                "check that what `sources` in policy.yaml names can be fetched from here, with git's or docker's credentials"
            }
            Self::Registry(_) | Self::Runtime(_) => "check the limits and certificates of this machine",
            Self::SourceDateEpoch { .. } => "unset it, or set it to seconds since 1970",
            Self::TrustMaterial { .. } => "give a trusted_root.json or a public key in PEM form",
        }
    }
}

/// A disk, a quota or the largest file of a file system.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

fn obstacle_hint(obstacle: &Obstacle) -> &'static str {
    match (obstacle.kind, obstacle.status) {
        (ObstacleKind::Denied, Some(401)) => "log in with `docker login` or `podman login`, or set REGISTRY_AUTH_FILE",
        (ObstacleKind::Denied, _) => "these credentials may not read that repository",
        (ObstacleKind::Unreachable, Some(429)) => "the registry limits how often it is asked; try later, or log in",
        (ObstacleKind::Unreachable, Some(_)) => "the registry has a problem of its own; try later",
        (ObstacleKind::Unreachable, None) => {
            "check host name, network and proxy; --allow-http-registry asks over plain http, --allow-insecure-registry accepts any certificate"
        }
        (ObstacleKind::Malformed, _) => "the other side does not answer as a registry or layout does",
    }
}
