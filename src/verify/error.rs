//! Why there is no verdict.

use carnet_bundle::{Digest, OpenError, container::ContainerError};
use carnet_evidence::{IdentityError, KeyError, TrustRootError, VerifierError};
use carnet_policy::{ImagesError, PolicyError, TimeError};

use crate::cli::FlagError;

/// Why a run ends without a verdict (status 2).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A flag that cannot be honoured.
    #[error(transparent)]
    Flag(#[from] FlagError),
    /// An identity that is no rule.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The list of expected images.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// A public key that cannot be used.
    #[error("{name}: {source}")]
    Key {
        /// Where it came from.
        name: String,
        /// What is wrong with it.
        source: KeyError,
    },
    /// The bundle cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// policy.yaml.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A file of the operator that cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Its path as written.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The effective time.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// The trusted root.
    #[error(transparent)]
    TrustRoot(#[from] TrustRootError),
    /// The pinned trusted root is not in the bundle.
    #[error("the bundle carries no trusted root with digest {pin}")]
    TrustedRootNotCarried {
        /// The pin of the operator.
        pin: Digest,
    },
    /// The evidence rules make no sense together.
    #[error(transparent)]
    Verifier(#[from] VerifierError),
}

impl VerifyError {
    /// What the reader can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Flag(_) => "carnet-verify --help lists what this release can do",
            Self::Identity(_) | Self::Policy(PolicyError::IdentityIncomplete { .. }) => {
                "name the signer: identity in policy.yaml, --certificate-identity with --certificate-oidc-issuer, or --public-key"
            }
            Self::Images(_) => "give the expected images: --images FILE, or one image with --image REF",
            Self::Key { .. } => "give a public key in PEM, as `cosign public-key` prints it",
            Self::Open(error) => open_hint(error),
            Self::Policy(PolicyError::RulesNotSupported { .. }) => {
                "judge signatures and attestations now with a policy that has no `sources`"
            }
            Self::Policy(_) => "correct policy.yaml; `ec validate policy` checks it too",
            Self::Read { .. } => "check the path; paths in policy.yaml are relative to the working directory",
            Self::Time(_) => "write `now`, `attestation`, a date or an RFC 3339 time",
            Self::TrustRoot(_) => "give a trusted_root.json as `cosign trusted-root create` or a TUF mirror makes it",
            Self::TrustedRootNotCarried { .. } => "give the file itself with --trusted-root, or correct the digest",
            Self::Verifier(_) => "ask for at least one of: a log entry, a certificate timestamp",
        }
    }
}

fn open_hint(error: &OpenError) -> &'static str {
    match error {
        OpenError::Container(ContainerError::NotCanonical { .. }) => {
            "unpack it with tar and verify the directory, or copy the archive again without re-packing it"
        }
        OpenError::Container(ContainerError::Truncated { .. } | ContainerError::Gzip(_)) => {
            "copy the archive again; this copy is damaged"
        }
        OpenError::Container(ContainerError::Io { .. }) => "check the path and that it can be read",
        OpenError::Container(ContainerError::Limit { .. }) | OpenError::Limit { .. } => {
            "an honest export stays below the limits of bundle-spec/considerations.md"
        }
        OpenError::Critical(_) | OpenError::Unsupported(_) => "use a newer carnet-verify",
        _ => "give an archive that `carnet export` wrote, or its unpacked directory",
    }
}
