//! Why a TUF chain delivers nothing.

use carnet_bundle::Code;

use crate::codes;

/// Why a chain does not lead to a trust root. There is no verdict then.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TufError {
    /// Other bytes than the ones that were signed for.
    #[error("{name}: {algorithm} mismatch: got {got}, want {want}")]
    Digest {
        /// The file.
        name: String,
        /// `sha256`, `sha512` or `length`.
        algorithm: String,
        /// What its bytes give.
        got: String,
        /// What was signed for.
        want: String,
    },
    /// A file that is not metadata of TUF version 1.
    #[error("{name}: {reason}")]
    Malformed {
        /// The file.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that the chain needs.
    #[error("{name} is not carried")]
    Missing {
        /// The file.
        name: String,
    },
    /// A version below the least one that the operator accepts.
    #[error("{name}: version {got} is older than {floor}, the least that the trust policy accepts")]
    Rollback {
        /// The file.
        name: String,
        /// Its version.
        got: u64,
        /// The least one.
        floor: u64,
    },
    /// Too few good signatures.
    #[error("{name}: {good} of the keys of root {root} signed it, want {threshold}")]
    Threshold {
        /// The file.
        name: String,
        /// Version of the root whose keys were asked for.
        root: u64,
        /// Distinct keys with a good signature.
        good: usize,
        /// How many there have to be.
        threshold: u64,
    },
    /// Another version than the one that has to follow.
    #[error("{name}: version mismatch: got {got}, want {want}")]
    Version {
        /// The file.
        name: String,
        /// The version that is there.
        got: u64,
        /// The one that has to be.
        want: u64,
    },
}

impl TufError {
    /// The stable name of the reason.
    pub fn code(&self) -> &'static Code {
        match self {
            Self::Digest { .. } => &codes::TUF_DIGEST_MISMATCH,
            Self::Malformed { .. } => &codes::TUF_METADATA_MALFORMED,
            Self::Missing { .. } => &codes::TUF_METADATA_MISSING,
            Self::Rollback { .. } => &codes::TUF_ROLLBACK,
            Self::Threshold { .. } => &codes::TUF_THRESHOLD_NOT_MET,
            Self::Version { .. } => &codes::TUF_VERSION_MISMATCH,
        }
    }
}
