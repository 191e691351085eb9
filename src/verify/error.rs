//! Why there is no verdict.

use carnet_bundle::{Digest, Finding, OpenError, container::ContainerError};
use carnet_evidence::{IdentityError, KeyError, TrustPolicyError, TrustRootError, VerifierError, tuf::TufError};
use carnet_policy::{
    ImagesError, Place, PolicyError, TimeError, YamlError,
    rego::{DataError, EvaluationError, LoadError},
};

use crate::{
    cli::FlagError,
    replay::{CarriedError, finding},
};

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
    /// The recorded answers of registries.
    #[error(transparent)]
    Lookups(#[from] CarriedError),
    /// The bundle cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The policy lock of the operator.
    #[error("policy lock: {0}")]
    PolicyLock(String),
    /// A value of `--policy-source`.
    #[error("--policy-source {0:?}: want URL=DIRECTORY")]
    PolicySource(String),
    /// Data of rules.
    #[error(transparent)]
    RuleData(Box<DataError>),
    /// Rules that cannot be used.
    #[error(transparent)]
    RuleSet(Box<LoadError>),
    /// Rules that gave no outcome.
    #[error("{}error validating image {image} of component {component}: {source}", code(source))]
    Rules {
        /// The image as written.
        image: String,
        /// Name of the component.
        component: String,
        /// Why there is no outcome.
        source: Box<EvaluationError>,
    },
    /// Sources of rules that may not or cannot be used.
    #[error("{}", sources(.0))]
    Sources(Vec<Finding>),
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
    /// The trust policy as YAML.
    #[error(transparent)]
    TrustDocument(YamlError),
    /// The trust policy.
    #[error("{place}: {source}")]
    TrustPolicy {
        /// Where it is wrong.
        place: Place,
        /// What is wrong.
        source: TrustPolicyError,
    },
    /// The trusted root.
    #[error(transparent)]
    TrustRoot(#[from] TrustRootError),
    /// A chain of `--timestamp-certificate-chain` that is none.
    #[error("--timestamp-certificate-chain: {0}")]
    TimestampChain(TrustRootError),
    /// Another trust root than the trust policy pins.
    #[error("trust root mismatch: got {got} ({origin}), want {want} as trustRoot.digest pins it")]
    TrustRootMismatch {
        /// The digest of the trust root in use.
        got: Digest,
        /// Where it came from.
        origin: String,
        /// The pin.
        want: Digest,
    },
    /// The trust policy asks for a TUF chain, and something else gave the trust root.
    #[error("the trust root comes from elsewhere ({origin}), want the carried TUF chain as trustRoot.tuf asks for it")]
    TrustRootNotByTuf {
        /// Where it came from.
        origin: String,
    },
    /// The carried TUF chain.
    #[error("{code}: TUF chain of the bundle: {0}", code = .0.code().name)]
    Tuf(#[from] TufError),
    /// Another root.json than the trust policy pins.
    #[error("TUF root mismatch: got {got} ({origin}), want {want} as trustRoot.tuf.root pins it")]
    TufRootMismatch {
        /// The digest of the root.json that was given.
        got: Digest,
        /// Where it came from.
        origin: String,
        /// The pin.
        want: Digest,
    },
    /// The pinned root.json is not in the bundle.
    #[error("the bundle carries no TUF root.json with digest {want}")]
    TufRootNotCarried {
        /// The pin of the operator.
        want: Digest,
    },
    /// The policy of the bundle would have a file of this host read.
    #[error("policy.yaml of the bundle names {0:?}, a path on the disk of this host")]
    CarriedPath(String),
    /// The operator takes the policy of the bundle, and there is none.
    #[error("the bundle carries no policy.yaml")]
    PolicyNotCarried,
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
            Self::Lookups(_) => "export again with a current carnet",
            Self::PolicyLock(_) => "give the lock that `carnet export --lock FILE` wrote",
            Self::PolicySource(_) => "name the URL as policy.yaml has it, and the directory with its content",
            Self::RuleData(_) => "correct the data files; nothing in them may be said twice",
            Self::RuleSet(_) => "correct the rules; `opa check` and `ec validate image` refuse them too",
            Self::Rules { source, .. } => rules_hint(source),
            Self::Sources(_) => {
                "pin the source in policy.yaml (carnet policy pin), or give --policy-lock, --policy-source, --bundle-id or --accept-bundled-sources"
            }
            Self::Policy(_) => "correct policy.yaml; `ec validate policy` checks it too",
            Self::Read { .. } => "check the path; paths in policy.yaml are relative to the working directory",
            Self::Time(_) => "write `now`, `attestation`, a date or an RFC 3339 time",
            Self::TrustDocument(_) | Self::TrustPolicy { .. } => {
                "correct the trust policy; bundle-spec/trust-policy.md lists its keys"
            }
            Self::TimestampChain(_) => {
                "give the certificates of the authority in PEM: its root, what is between, and the one that signs"
            }
            Self::TrustRootMismatch { .. } => "give the pinned trust root with --trusted-root, or correct the digest",
            Self::TrustRootNotByTuf { .. } => {
                "leave --trusted-root and --trusted-root-digest out, or trustRoot.tuf of the trust policy"
            }
            Self::Tuf(error) => error.code().hint,
            Self::TufRootMismatch { .. } => "give the pinned root.json with --tuf-root, or correct the digest",
            Self::TufRootNotCarried { .. } => "give the root.json itself with --tuf-root, or export again with --tuf-chain",
            Self::TrustRoot(_) => "give a trusted_root.json as `cosign trusted-root create` or a TUF mirror makes it",
            Self::CarriedPath(_) => {
                "give the key with --public-key, the directory with --policy-source, or the policy itself with --policy"
            }
            Self::PolicyNotCarried => "give the file itself with --policy, or export again with it",
            Self::TrustedRootNotCarried { .. } => "give the file itself with --trusted-root, or correct the digest",
            Self::Verifier(_) => "ask for at least one of: a log entry, a certificate timestamp",
        }
    }
}

fn sources(findings: &[Finding]) -> String {
    let line = |f: &Finding| match f.message.starts_with(&f.subject) {
        true => format!("{}: {}", f.code, f.message),
        false => format!("{}: {}: {}", f.code, f.subject, f.message),
    };
    findings.iter().map(line).collect::<Vec<_>>().join("; ")
}

/// The code before a message, where a reader may have to tell one reason from
/// another.
fn code(error: &EvaluationError) -> String {
    match error {
        EvaluationError::Lookup { source, .. } => format!("{}: ", finding(source).code),
        _ => String::new(),
    }
}

fn rules_hint(error: &EvaluationError) -> &'static str {
    match error {
        EvaluationError::Lookup { .. } => {
            "export again with this policy.yaml and images.yaml, so that what the rules ask is recorded"
        }
        EvaluationError::NothingEvaluated => "check include and exclude of the policy: no rule had anything to say",
        EvaluationError::LimitExceeded { .. } => "look at the rule that is named: it loops or grows without end",
        _ => "correct the rule that is named; `ec validate image` stops there too",
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
