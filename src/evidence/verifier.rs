//! The verifier: the order of the checks (`bundle-spec/verify.md` V6 to V11).

use carnet_bundle::{Digest, Finding, Severity};
use jiff::{SignedDuration, Timestamp};

use crate::{
    backend::Witness,
    codes,
    evidence::Evidence,
    log_proof::LogProofs,
    rules::{Rules, Signer},
    signature::Memo,
    trust_root::TrustRoot,
    verified::{Claim, Verified},
};

mod bound;
mod claim;
mod judgement;

use judgement::Judgement;

/// Judges evidence by one trust root and one set of rules.
///
/// `Send` and `Sync`: one verifier serves all threads.
pub struct Verifier {
    root: TrustRoot,
    rules: Rules,
    now: Timestamp,
    proofs: LogProofs,
    witness: Witness,
}

/// The artifact that evidence is verified for.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    digest: Digest,
    bytes: Option<&'a [u8]>,
    repository: Option<&'a str>,
}

/// Why a verifier cannot be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifierError {
    /// The second verifier cannot use the trust root, or another crypto provider
    /// was installed in this process.
    #[error("the second verifier cannot be set up: {0}")]
    Backend(String),
    /// Keyless rules without any identity would accept no one, or everyone.
    #[error("no identity: keyless evidence needs at least one")]
    NoIdentity,
    /// The profile without logs was asked for with a trust root that lists logs:
    /// it belongs to instances that have none.
    #[error(
        "the trust root lists logs: evidence without a log entry and without a certificate timestamp is not accepted from it"
    )]
    ProfileWithLogs,
    /// Rules that ask something of a certificate, and a key signs: it would pass by
    /// what they do not see.
    #[error(
        "{0} asks for something that a certificate states, and the signer is a key, which has none: \
         ask for an identity, or give the key a trust policy without it"
    )]
    NotOfAKey(&'static str),
    /// A threshold that nothing can meet or that asks for nothing.
    #[error("a certificate needs at least one verified time")]
    Threshold,
}

impl Verifier {
    /// Makes a verifier.
    ///
    /// `now` takes no part in the validity of signatures; it is compared with
    /// signed times to say that a clock is wrong.
    ///
    /// # Errors
    ///
    /// Returns a [`VerifierError`] for rules that make no sense or do not fit the
    /// trust root.
    pub fn new(root: TrustRoot, rules: Rules, now: Timestamp) -> Result<Self, VerifierError> {
        if let Signer::Identities(identities) = &rules.signer {
            if identities.is_empty() {
                return Err(VerifierError::NoIdentity);
            }
            if rules.time_threshold == 0 {
                return Err(VerifierError::Threshold);
            }
            if !rules.time_sources.log && !rules.time_sources.timestamp_authority {
                return Err(VerifierError::Threshold);
            }
            if rules.log_threshold == 0 && rules.sct_threshold == 0 && !root.is_without_logs() {
                return Err(VerifierError::ProfileWithLogs);
            }
        }
        if let (Signer::Key(_), Some(name)) = (&rules.signer, rules.of_certificates()) {
            return Err(VerifierError::NotOfAKey(name));
        }
        let witness = Witness::new(&root).map_err(VerifierError::Backend)?;
        Ok(Self { root, rules, now, proofs: LogProofs::default(), witness })
    }

    /// Uses log proofs that the bundle carries for entries that have none.
    #[must_use]
    pub fn with_proofs(mut self, proofs: LogProofs) -> Self {
        self.proofs = proofs;
        self
    }

    /// The trust root in use.
    pub fn trust_root(&self) -> &TrustRoot {
        &self.root
    }

    /// The rules in use.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Verifies one piece of evidence for `subject`.
    ///
    /// The steps, each named for what it stops:
    ///
    /// 1. V6 the evidence has one reading (parser differentials);
    /// 2. V7 it speaks of this artifact and the signature is good (moved and
    ///    changed signatures);
    /// 3. V8 a trusted log holds exactly this signature (private and replayed log
    ///    entries);
    /// 4. V9 a trusted source says when (back-dating);
    /// 5. V10 at every such time the certificate and all above it were valid, and
    ///    the certificate was logged (leaked and silently issued certificates);
    /// 6. V11 the signer is one of those asked for (someone else's good signature);
    /// 7. the second verifier agrees (our own slips).
    ///
    /// # Errors
    ///
    /// Returns the findings of every step that failed, the decisive one first.
    pub fn verify<'s>(&self, evidence: &Evidence<'_>, subject: impl Into<Subject<'s>>) -> Result<Verified<Claim>, Vec<Finding>> {
        let subject = subject.into();
        let about = evidence.describe();
        Memo::scope(self.root.memo(), || {
            let signed = evidence.read().map_err(|refusal| vec![refusal.into_finding(&about)])?;
            let judgement = Judgement::of(self, &signed, subject);
            claim::conclude(judgement, evidence.kind(), &about)
        })
    }

    /// What the trust root and the rules themselves give cause to say: a trust root
    /// older than `warn`, which is a failure when it is older than `fail`, and
    /// patterns that match too much. `None` sets no limit.
    pub fn findings(&self, warn: Option<SignedDuration>, fail: Option<SignedDuration>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let age = self.root.newest_entry().map(|newest| self.now.duration_since(newest));
        let older = |limit: Option<SignedDuration>| age.filter(|age| limit.is_some_and(|limit| *age > limit));
        if let Some(age) = older(warn).or(older(fail)) {
            let (source, days) = (self.root.source(), age.as_hours() / 24);
            let message = format!("the newest entry of the trust root ({source}) is {days} days old");
            let finding = Finding::new(&codes::TRUST_ROOT_AGED, self.root.digest(), message);
            findings.push(if older(fail).is_some() { finding.with_severity(Severity::Failure) } else { finding });
        }
        if let Signer::Identities(identities) = &self.rules.signer {
            findings.extend(identities.iter().flat_map(crate::identity::Identity::lint));
        }
        findings
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("root", self.root.digest()).field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl<'a> Subject<'a> {
    /// An artifact whose bytes are at hand: some signatures, over an artifact
    /// itself by an Ed25519 or P-384 key, can be verified only with them.
    pub fn of_bytes(bytes: &'a [u8]) -> Self {
        Self { digest: Digest::of(bytes), bytes: Some(bytes), repository: None }
    }

    /// The digest of the artifact.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The same artifact, asked for in this repository (`host/path`, no tag): what
    /// [`crate::RepositoryRule`] compares with.
    #[must_use]
    pub fn in_repository(self, repository: &'a str) -> Self {
        Self { repository: Some(repository), ..self }
    }

    pub(crate) fn repository(&self) -> Option<&'a str> {
        self.repository
    }

    pub(crate) fn bytes(&self) -> Option<&'a [u8]> {
        self.bytes
    }
}

impl From<&Digest> for Subject<'_> {
    fn from(digest: &Digest) -> Self {
        Self { digest: *digest, bytes: None, repository: None }
    }
}

impl From<Digest> for Subject<'_> {
    fn from(digest: Digest) -> Self {
        Self { digest, bytes: None, repository: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{evidence::from_loose_file, identity::Identity, trust_root::TrustSource};

    const BEACON: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";

    macro_rules! conformance {
        ($file:literal) => {
            include_bytes!(concat!("../../testdata/sigstore-conformance/bundle-verify/", $file))
        };
    }

    /// Signature, promise, checkpoint, certificate timestamp and certificate, or those
    /// of Rekor version 2 with a timestamp: each once, although two verifiers judge.
    /// The chains of the trust root were verified with it.
    #[test]
    fn each_signature_is_verified_once() {
        for (bundle, root) in [
            (conformance!("happy-path-v0.3/bundle.sigstore.json").as_slice(), None),
            (
                conformance!("rekor2-happy-path/bundle.sigstore.json"),
                Some(conformance!("rekor2-happy-path/trusted_root.json").as_slice()),
            ),
        ] {
            let root = root.map_or_else(TrustRoot::public_good, |bytes| TrustRoot::parse(bytes, TrustSource::None)).unwrap();
            let memo = root.memo().clone();
            let before = memo.len();
            let identity = Identity::exact(BEACON, "https://token.actions.githubusercontent.com").unwrap();
            let rules = Rules::new(Signer::Identities(vec![identity]));
            let verifier = Verifier::new(root, rules, "2026-11-25T12:00:00Z".parse().unwrap()).unwrap();
            let subject = Subject::of_bytes(include_bytes!("../../testdata/sigstore-conformance/a.txt"));
            for _ in 0..2 {
                verifier.verify(&from_loose_file(subject.digest(), bundle).unwrap(), subject).unwrap();
                assert_eq!(memo.len() - before, 5);
            }
        }
    }
}
