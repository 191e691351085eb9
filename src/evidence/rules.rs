//! The rules of the operator: which signers count, and what must vouch for them.

use crate::{identity::Identity, public_key::PublicKey};

/// What a piece of evidence must satisfy. The defaults are the strict ones;
/// every setter that lowers safety is named for what it gives up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rules {
    /// Who may sign.
    pub signer: Signer,
    /// Distinct logs that must hold the signature; 0 when logs are ignored.
    pub log_threshold: usize,
    /// Verified times that a certificate needs, by distinct source.
    pub time_threshold: usize,
    /// Distinct CT logs that must hold the certificate.
    pub sct_threshold: usize,
    /// Whether a log entry counts only with an inclusion proof, not with the
    /// log's promise alone.
    pub require_inclusion_proof: bool,
    /// Whether P-384 keys may sign SHA-256, as cosign before 3.0 let them.
    pub accept_p384_with_sha256: bool,
}

/// Who may sign.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Signer {
    /// Anyone whose certificate carries one of these identities.
    Identities(Vec<Identity>),
    /// The holder of this key.
    Key(PublicKey),
}

impl Rules {
    /// The strict rules for `signer`: one log, one verified time and one CT log
    /// for certificates; one log for keys.
    pub fn new(signer: Signer) -> Self {
        Self {
            signer,
            log_threshold: 1,
            time_threshold: 1,
            sct_threshold: 1,
            require_inclusion_proof: false,
            accept_p384_with_sha256: false,
        }
    }

    /// No log entry is asked for. What still holds: the signature, the identity or
    /// key, and for certificates a signed time; entries that are there still have
    /// to verify before their time counts.
    #[must_use]
    pub fn ignore_rekor(mut self) -> Self {
        self.log_threshold = 0;
        self
    }

    /// Neither log nor CT log is asked for: the profile of instances that have
    /// none, such as GitHub's for private repositories. What still holds: a
    /// timestamp of the instance's own authority. [`crate::Verifier::new`] refuses
    /// it for trust roots that list a log.
    #[must_use]
    pub fn timestamps_only(mut self) -> Self {
        self.log_threshold = 0;
        self.sct_threshold = 0;
        self
    }

    /// No certificate timestamp is asked for. What still holds: everything else.
    #[must_use]
    pub fn ignore_sct(mut self) -> Self {
        self.sct_threshold = 0;
        self
    }
}
