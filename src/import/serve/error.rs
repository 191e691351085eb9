//! Why nothing is served.

use std::{io, path::PathBuf};

use carnet_bundle::json::JsonError;

use crate::error::ImportError;

/// Why nothing is served (exit code 2).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Other machines would reach the address.
    #[error("other machines reach {0}, and no login is asked for")]
    Exposed(String),
    /// An archive cannot be opened.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A document that cannot be written.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// An archive that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The ready file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    ReadyFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An image without a name to serve it under.
    #[error("{0:?} is no reference that an image could be served under")]
    Reference(String),
    /// One file for several reports.
    #[error("each archive has a report of its own, and --output names one file for all")]
    Reports,
    /// The runtime cannot be started.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// Standard input can be read once only.
    #[error("archives are read again while they are served, and standard input can be read once")]
    StandardInput,
    /// A tag that would name two things.
    #[error("{tag} would stand for {one} and {other}")]
    TagTwice {
        /// The tag with its repository.
        tag: String,
        /// Digest and source of an image, or of its evidence.
        one: String,
        /// The same of the other.
        other: String,
    },
    /// A certificate or key that cannot be used.
    #[error("cannot use {}: {reason}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

impl ServeError {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "name another address with --listen; port 0 takes any free one",
            Self::Exposed(_) => "listen on 127.0.0.1, or say that anyone may pull with --let-anyone-pull",
            Self::Import(ImportError::Changed(_)) => "nothing was served; find out who writes to the file, and serve a copy",
            Self::Import(ImportError::Compressed(_)) => "unpack it with gunzip and serve the .carnet.tar",
            Self::Import(error) => error.hint(),
            Self::Json(_) => "install carnet and carnet-verify of one release",
            Self::Read { .. } => "check the path and that it can be read",
            Self::ReadyFile { .. } => "check the path and the free space",
            Self::Reference(_) => "export the image under a full reference: registry/repository:tag",
            Self::Reports => "serve one archive, or leave the file out and read the reports from standard output",
            Self::Runtime(_) => "check the limits of this machine",
            Self::StandardInput => "save the archive to a file first",
            Self::TagTwice { .. } => "serve the archives one by one, each on a port of its own",
            Self::Tls { .. } => "give a certificate chain and its key in PEM, as for any web server",
        }
    }
}
