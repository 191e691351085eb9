//! What the rules may ask about images: questions to a registry, answered by the
//! network at export and by the archive ever after.
//!
//! Only what a registry says itself is asked here: which digest a tag has, bytes,
//! lists, refusals. Whatever can be computed is computed from the bytes, so that
//! a recorded answer cannot claim it.

use std::fmt;

use carnet_bundle::{Digest, Reference};
use serde::{Deserialize, Serialize};

/// What a registry said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer<T> {
    /// This.
    Found(T),
    /// There is no such thing (404).
    NotFound,
    /// It would not say: the reason, such as `403 Forbidden`.
    Refused(String),
}

/// Head of a manifest or blob.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Head {
    /// Media type.
    pub media_type: String,
    /// Digest of the content.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// A manifest and what it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ManifestBytes {
    /// Media type of the answer.
    pub media_type: String,
    /// The bytes; whoever hands them out by digest has compared it.
    pub bytes: Vec<u8>,
}

/// A manifest that refers to another one, as the registry lists it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    /// Media type.
    #[serde(default)]
    pub media_type: String,
    /// Size in bytes.
    #[serde(default)]
    pub size: u64,
    /// Digest.
    pub digest: String,
    /// What it is.
    #[serde(default)]
    pub artifact_type: String,
    /// Notes of its author.
    #[serde(default)]
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// Why a question has no answer that can be trusted. It ends the evaluation:
/// `undefined` would let rules pass that negate the question.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// Nobody asked this when the archive was written.
    #[error("lookup not recorded: {question}")]
    NotRecorded {
        /// The question.
        question: Box<Question>,
    },
    /// The bytes are not what the recorded answer or their name promises.
    #[error("{question}: {reason}")]
    Tampered {
        /// The question.
        question: Box<Question>,
        /// Both sides of the mismatch.
        reason: String,
    },
    /// The registry could not be reached.
    #[error("{question}: {reason}")]
    Unreachable {
        /// The question.
        question: Box<Question>,
        /// Why.
        reason: String,
    },
}

/// A question to a registry.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Question {
    /// Does this exist, and which digest has it?
    Head(Reference),
    /// The manifest under a tag or digest.
    Manifest(Reference),
    /// The blob with a digest.
    Blob(Reference),
    /// What refers to a digest?
    Referrers(Reference),
    /// The signatures and attestations of an image.
    Evidence(Reference),
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(reference) => write!(f, "HEAD of {reference}"),
            Self::Manifest(reference) => write!(f, "manifest of {reference}"),
            Self::Blob(reference) => write!(f, "blob {reference}"),
            Self::Referrers(reference) => write!(f, "referrers of {reference}"),
            Self::Evidence(reference) => write!(f, "evidence of {reference}"),
        }
    }
}

/// Options of `ec.sigstore.*`: who must have signed.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct SignerOptions {
    /// Subject, compared as it is; empty for any.
    pub certificate_identity: String,
    /// Subject as a regular expression.
    pub certificate_identity_regexp: String,
    /// Issuer, compared as it is.
    pub certificate_oidc_issuer: String,
    /// Issuer as a regular expression.
    pub certificate_oidc_issuer_regexp: String,
    /// Not to ask for a transparency log.
    pub ignore_rekor: bool,
    /// PEM text of a key, instead of an identity.
    pub public_key: String,
    /// URL of a Rekor server; never asked.
    pub rekor_url: String,
    /// PEM text of the key of the log.
    pub rekor_public_key: String,
}

/// What `ec.sigstore.*` found out about an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verified {
    /// What is wrong, in Conforma's words; empty for success.
    pub errors: Vec<String>,
    /// The signatures, for `verify_image`.
    pub signatures: Vec<VerifiedSignature>,
    /// The attestations, for `verify_attestation`.
    pub attestations: Vec<VerifiedAttestation>,
}

/// A signature that verifies.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct VerifiedSignature {
    /// Id of the key.
    pub keyid: String,
    /// The signature in base64.
    pub signature: String,
    /// The certificate in PEM, or nothing.
    pub certificate: String,
    /// The certificates above it in PEM.
    pub chain: Vec<String>,
    /// What the certificate says.
    pub metadata: std::collections::BTreeMap<String, String>,
}

/// An attestation whose signature verifies.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VerifiedAttestation {
    /// The statement.
    pub statement: serde_json::Value,
    /// The signatures over it.
    pub signatures: Vec<VerifiedSignature>,
}

/// Answers the questions of rules. Implementations may be asked from several
/// threads, and the same question more than once.
pub trait Registry: Send + Sync {
    /// Whether a manifest exists under a tag or digest, and what it is.
    ///
    /// # Errors
    ///
    /// Returns a [`LookupError`] when there is no answer to be trusted.
    fn head(&self, reference: &Reference) -> Result<Answer<Head>, LookupError>;

    /// The manifest under a tag or digest.
    ///
    /// # Errors
    ///
    /// As [`Registry::head`].
    fn manifest(&self, reference: &Reference) -> Result<Answer<ManifestBytes>, LookupError>;

    /// The blob that `reference` names by digest, as the repository serves it.
    ///
    /// # Errors
    ///
    /// As [`Registry::head`].
    fn blob(&self, reference: &Reference) -> Result<Answer<Vec<u8>>, LookupError>;

    /// The manifests that refer to the one that `reference` names by digest.
    ///
    /// # Errors
    ///
    /// As [`Registry::head`].
    fn referrers(&self, reference: &Reference) -> Result<Answer<Vec<Referrer>>, LookupError>;

    /// Verifies the image signatures of an image, with the operator's trust root,
    /// from the bytes that this registry has.
    ///
    /// # Errors
    ///
    /// As [`Registry::head`].
    fn verify_image(&self, reference: &Reference, options: &SignerOptions) -> Result<Verified, LookupError>;

    /// Verifies the attestations of an image, likewise.
    ///
    /// # Errors
    ///
    /// As [`Registry::head`].
    fn verify_attestation(&self, reference: &Reference, options: &SignerOptions) -> Result<Verified, LookupError>;
}

/// Answers no question: for rules that must not need any.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRegistry;

impl Registry for NoRegistry {
    fn head(&self, reference: &Reference) -> Result<Answer<Head>, LookupError> {
        Err(LookupError::NotRecorded { question: Box::new(Question::Head(reference.clone())) })
    }

    fn manifest(&self, reference: &Reference) -> Result<Answer<ManifestBytes>, LookupError> {
        Err(LookupError::NotRecorded { question: Box::new(Question::Manifest(reference.clone())) })
    }

    fn blob(&self, reference: &Reference) -> Result<Answer<Vec<u8>>, LookupError> {
        Err(LookupError::NotRecorded { question: Box::new(Question::Blob(reference.clone())) })
    }

    fn referrers(&self, reference: &Reference) -> Result<Answer<Vec<Referrer>>, LookupError> {
        Err(LookupError::NotRecorded { question: Box::new(Question::Referrers(reference.clone())) })
    }

    fn verify_image(&self, reference: &Reference, _: &SignerOptions) -> Result<Verified, LookupError> {
        Err(LookupError::NotRecorded { question: Box::new(Question::Evidence(reference.clone())) })
    }

    fn verify_attestation(&self, reference: &Reference, _: &SignerOptions) -> Result<Verified, LookupError> {
        Err(LookupError::NotRecorded { question: Box::new(Question::Evidence(reference.clone())) })
    }
}
