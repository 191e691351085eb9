//! Why an import ended without having written everything.

use std::{io, path::PathBuf};

use carnet_bundle::{Digest, OpenError, container::ContainerError, json::JsonError};
use carnet_registry::{Obstacle, ObstacleKind, PushError, RegistryError};

use crate::verifier::StartError;

/// Why an import ended without having written everything (exit code 2).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A blob that an image needs is neither in the archive nor at the target.
    #[error("{owner} needs {digest}, which is neither in the archive nor in {target}")]
    Absent {
        /// Digest of the blob or manifest.
        digest: Digest,
        /// Manifest that names it.
        owner: Digest,
        /// Where it would have to be.
        target: String,
    },
    /// The file is not the one that was judged.
    #[error("the archive has changed since it was judged: {0}")]
    Changed(String),
    /// The archive is compressed.
    #[error("{} is compressed, and blobs are read from their places in the file", .0.display())]
    Compressed(PathBuf),
    /// The archive cannot be read.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// A docker archive cannot be made of what passed.
    #[error("cannot make a docker archive: {0}")]
    DockerArchive(String),
    /// A target that is there already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// Two flags that exclude each other, or one that is missing.
    #[error("{0}")]
    Flags(&'static str),
    /// What stands under the fallback tag is not an index of referrers.
    #[error("{tag} stands for something else than an index: referrers of {subject} cannot be listed there")]
    Fallback {
        /// The tag with its repository.
        tag: String,
        /// Whose referrers it should list.
        subject: Digest,
    },
    /// Another client writes the same fallback tag.
    #[error("{tag} is written by others at the same time: what was added is missing again")]
    FallbackRace {
        /// The tag with its repository.
        tag: String,
    },
    /// The process was told to stop.
    #[error("interrupted")]
    Interrupted,
    /// A document that cannot be written.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A key that cannot sign.
    #[error("cannot sign with {}: {reason}", path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The registry did not let us look.
    #[error("cannot look at {what}: {obstacle}")]
    Look {
        /// What was looked for.
        what: String,
        /// What stood in the way.
        obstacle: Obstacle,
    },
    /// A repository without a place to go to.
    #[error("nothing says where images of {0} go")]
    NoDestination(String),
    /// An image would go where its name says, and nobody expects that name.
    #[error("{got} is expected as {} only", want.join(", "))]
    NameNotExpected {
        /// What it was exported as.
        got: String,
        /// The repositories by which components name it.
        want: Vec<String>,
    },
    /// The archive has a bundle that cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was read back is not what was written.
    #[error("what was written cannot be read back: {0}")]
    Recheck(String),
    /// The HTTP client cannot be set up.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The report of `carnet-verify` cannot be used.
    #[error("cannot use the report of carnet-verify: {0}")]
    Report(String),
    /// The runtime cannot be started.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// Several repositories would become one.
    #[error("images of several repositories would go to {target}: {}", sources.join(", "))]
    SeveralSources {
        /// Where they would go.
        target: String,
        /// Where they come from.
        sources: Vec<String>,
    },
    /// The verifier cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Standard input can be read once only.
    #[error("an import reads the archive twice, and standard input can be read once")]
    StandardInput,
    /// A tag that stands for another image.
    #[error("{tag} stands for {got}, want {want}")]
    TagTaken {
        /// The tag with its repository.
        tag: String,
        /// What it stands for.
        got: Digest,
        /// What it would stand for.
        want: Digest,
    },
    /// A tag that two images would get.
    #[error("{tag} would stand for {one} and {other}")]
    TagTwice {
        /// The tag with its repository.
        tag: String,
        /// One image.
        one: Digest,
        /// The other.
        other: Digest,
    },
    /// Something could not be written to a registry.
    #[error("cannot write {what}: {source}")]
    Write {
        /// What.
        what: String,
        /// Why not.
        source: PushError,
    },
    /// Something could not be written to a file.
    #[error("cannot write {}: {source}", path.display())]
    WriteFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ImportError {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Absent { .. } => "export the image with all of its platforms and layers; registries take no part of one",
            Self::Changed(_) | Self::Write { source: PushError::Source(_), .. } => {
                "nothing that did not pass was written; find out who writes to the file, and import a copy"
            }
            Self::Compressed(_) => "unpack it with gunzip and import the .carnet.tar",
            Self::Container(_) | Self::Open(_) => {
                "give an archive that `carnet export` wrote, or the directory it was unpacked to"
            }
            Self::DockerArchive(_) => "name one platform with --platform, or import into a registry or an oci-archive",
            Self::Exists(_) => "name another place, or replace it with --force",
            Self::Fallback { .. } => "the registry uses such tags for something else; clear the tag, or use another repository",
            Self::FallbackRace { .. } | Self::Interrupted => "run it again: what is there already is not written again",
            Self::Flags(_) => "`carnet import --help` says which flags go together",
            Self::Json(_) | Self::Report(_) => "install carnet and carnet-verify of one release",
            Self::Key { .. } => {
                "give a P-256 or Ed25519 key as `cosign generate-key-pair` or `openssl genpkey` writes it, and its password in COSIGN_PASSWORD"
            }
            Self::Look { obstacle, .. } | Self::Write { source: PushError::Refused(obstacle), .. } => obstacle_hint(obstacle),
            Self::NameNotExpected { .. } => {
                "the exporter chose that name: give the place with --to, or name the image so in images.yaml"
            }
            Self::NoDestination(_) => "name a place with --to, or with --map FROM=TO for each repository",
            Self::Read { .. } => "check the path and that it can be read",
            Self::Recheck(_) => "no tag of an image was written; ask whoever runs the registry, and run it again",
            Self::Registry(_) | Self::Runtime(_) => "check the limits and certificates of this machine",
            Self::SeveralSources { .. } => "give each a place of its own with --map FROM=TO",
            Self::StandardInput => "save the archive to a file first",
            Self::Start(error) => error.hint(),
            Self::TagTaken { .. } => "nothing was written; --force moves the tag",
            Self::TagTwice { .. } => "leave --tag out, or give each repository a place of its own with --map",
            Self::Write { .. } => "the registry changes what it is given; use another one",
            Self::WriteFile { .. } => "check the path and the free space",
        }
    }
}

fn obstacle_hint(obstacle: &Obstacle) -> &'static str {
    match (obstacle.kind, obstacle.status) {
        (_, Some(401)) => "log in with `docker login` or `podman login`, or set REGISTRY_AUTH_FILE",
        (ObstacleKind::Denied, _) => "these credentials may not write to that repository, or its quota is used up",
        (_, Some(413)) => "the registry, or what stands before it, takes no upload of that size; raise its limit",
        (_, Some(429)) => "the registry limits how often it is asked; try later",
        (_, Some(507)) => "the registry has no space left",
        (ObstacleKind::Unreachable, Some(_)) => "the registry has a problem of its own; run it again later",
        (ObstacleKind::Unreachable, None) => {
            "check host name, network and proxy; --allow-http-registry asks over plain http, --allow-insecure-registry accepts any certificate"
        }
        (_, Some(404)) => "the registry lacks the repository, or something that the manifest names",
        (ObstacleKind::Malformed, _) => "the registry does not take this kind of content; nothing is converted for it",
    }
}
