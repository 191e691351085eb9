//! Whom the operator trusts: the trust policy and the trust root (V5), and the log
//! proofs that the bundle carries for them to judge.

use carnet_bundle::{Bundle, Digest, Finding, media};
use carnet_evidence::{
    LogProofs, Rules, Signer, TrustPolicy, TrustPolicyError, TrustRoot, TrustSource, Verifier, codes,
    trust_policy::{Notation, Scope, SubjectName, Weight, WithoutWindow},
};
use carnet_policy::yaml;
use jiff::{SignedDuration, Timestamp};

use crate::{
    cli::VerifyArgs,
    error::VerifyError,
    inputs::{Document, Inputs, Question},
    report::{Ending, Relaxation},
};

/// Age after which a trust root is pointed out, without a trust policy.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(180 * 24);

/// What the trust policy says; without one, its defaults.
#[derive(Debug)]
pub(crate) struct Trust {
    policy: Option<TrustPolicy>,
    /// For any signer.
    pub(crate) rules: Rules,
    /// Who must have signed, as the trust policy reads patterns.
    pub(crate) signer: Signer,
}

impl Trust {
    /// Reads the trust policy of the operator.
    pub(crate) fn read(document: Option<&Document>, signer: &Signer) -> Result<Self, VerifyError> {
        let Some(document) = document else {
            return Ok(Self { policy: None, rules: Rules::new(Signer::Identities(Vec::new())), signer: signer.clone() });
        };
        let text = yaml::Document::parse(&document.bytes, &document.name).map_err(VerifyError::TrustDocument)?;
        let wrong = |source: TrustPolicyError| VerifyError::TrustPolicy { place: text.place(source.at()), source };
        let policy = TrustPolicy::from_value(text.value().clone()).map_err(wrong)?;
        if let Some(key) = later(&policy) {
            return Err(VerifyError::TrustLater { place: text.place(key), key });
        }
        let rules = policy.rules_of_all().map_err(wrong)?;
        let signer = policy.rules(signer.clone()).map_err(wrong)?.signer;
        Ok(Self { policy: Some(policy), rules, signer })
    }

    /// V5.3, and what is to be said about patterns.
    pub(crate) fn findings(&self, verifier: &Verifier) -> Vec<Finding> {
        match self.policy.as_ref().map(|policy| policy.trust_root.max_age) {
            Some(age) => verifier.findings(age.warn.duration(), age.fail.duration()),
            None => verifier.findings(Some(MAX_AGE), None),
        }
    }

    /// What the trust policy relaxes; every report says so.
    pub(crate) fn relaxations(&self) -> impl Iterator<Item = Relaxation> {
        let effects = self.policy.iter().flat_map(TrustPolicy::relaxations);
        effects.map(|effect| Relaxation { flag: "--trust-policy".to_owned(), effect })
    }

    fn pin(&self) -> Option<Digest> {
        self.policy.as_ref().and_then(|policy| policy.trust_root.digest)
    }

    fn parse(&self, bytes: &[u8], source: TrustSource) -> Result<TrustRoot, VerifyError> {
        let rule = self.policy.as_ref().map(|policy| policy.trust_root.authority_without_window);
        Ok(match rule {
            Some(WithoutWindow::Accept) => TrustRoot::parse_accepting_open_windows(bytes, source)?,
            _ => TrustRoot::parse(bytes, source)?,
        })
    }
}

/// A key whose work comes later: a rule that is written is never without effect.
fn later(policy: &TrustPolicy) -> Option<&'static str> {
    let (signatures, attestations) = (&policy.signatures, &policy.attestations);
    let used = [
        (policy.trust_root.tuf.is_some(), "trustRoot.tuf"),
        (signatures.scope != Scope::AsConforma, "signatures.scope"),
        (signatures.threshold != 1, "signatures.threshold"),
        (attestations.threshold != 1, "attestations.threshold"),
        (attestations.subject_name != SubjectName::Ignore, "attestations.subjectName"),
        (attestations.slsa_schema != Weight::Fail, "attestations.slsaSchema"),
        (attestations.source_contradiction != Weight::Fail, "attestations.sourceContradiction"),
        (attestations.builder_contradiction != Weight::Note, "attestations.builderContradiction"),
        (attestations.notation != Notation::Ignore, "attestations.notation"),
    ];
    used.into_iter().find(|(used, _)| *used).map(|(_, key)| key)
}

/// Settles whose logs, certificates and timestamps count (V5.1): a file, a pinned
/// copy of the bundle, single keys and certificates, or the compiled-in root. A copy
/// without a pin never counts.
pub(crate) fn trust_root(
    args: &VerifyArgs,
    inputs: &Inputs<'_>,
    question: &Question,
    bundle: Option<&Bundle>,
) -> Result<TrustRoot, VerifyError> {
    let root = chosen(args, inputs, question, bundle)?;
    let counts = *root.source() != TrustSource::None;
    match question.trust.pin().filter(|pin| counts && pin != root.digest()) {
        Some(want) => Err(VerifyError::TrustRootMismatch { got: *root.digest(), origin: root.source().to_string(), want }),
        None => Ok(root),
    }
}

fn chosen(
    args: &VerifyArgs,
    inputs: &Inputs<'_>,
    question: &Question,
    bundle: Option<&Bundle>,
) -> Result<TrustRoot, VerifyError> {
    let trust = &question.trust;
    if let Some(document) = &inputs.trusted_root {
        return trust.parse(&document.bytes, TrustSource::File(document.name.clone()));
    }
    if let Some(pin) = args.trusted_root_digest {
        return pinned(pin, trust, bundle)?.ok_or(VerifyError::TrustedRootNotCarried { pin });
    }
    if let Some(pin) = trust.pin()
        && let Some(root) = pinned(pin, trust, bundle)?
    {
        return Ok(root);
    }
    if let Some((parts, source)) = &inputs.trust.parts {
        return Ok(TrustRoot::from_parts(parts, source)?);
    }
    if question.key.is_some() && question.rules(args).log_threshold == 0 {
        return Ok(TrustRoot::none());
    }
    Ok(TrustRoot::public_good()?)
}

fn pinned(pin: Digest, trust: &Trust, bundle: Option<&Bundle>) -> Result<Option<TrustRoot>, VerifyError> {
    let carried = bundle.and_then(|b| b.documents().find(|d| d.media_type == media::TRUSTED_ROOT && d.digest == pin));
    carried.map(|document| trust.parse(document.bytes, TrustSource::Pinned(pin.to_string()))).transpose()
}

/// The log entries that were fetched at export (`bundle-spec/evidence.md` §5). One
/// that cannot be read proves nothing, and is said.
pub(crate) fn proofs(bundle: Option<&Bundle>) -> (LogProofs, Vec<Finding>) {
    let (mut proofs, mut findings) = (LogProofs::default(), Vec::new());
    let Some(bundle) = bundle else { return (proofs, findings) };
    for entry in &bundle.inventory().proofs {
        let mut documents = bundle.documents();
        let document = documents.find(|d| d.media_type == media::LOG_PROOF && d.digest == entry.digest);
        if let Some(Err(error)) = document.map(|document| proofs.add(document.bytes)) {
            findings.push(Finding::new(&codes::EVIDENCE_MALFORMED, entry.digest, error.to_string()));
        }
    }
    (proofs, findings)
}

/// What of the trust root ends after `now`, soonest first.
pub(crate) fn forecast(root: &TrustRoot, now: Timestamp) -> Vec<Ending> {
    let ends = root.ends().into_iter().filter(|(_, until)| *until > now);
    ends.map(|(what, until)| Ending { what, until }).collect()
}
